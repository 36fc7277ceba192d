import polars as pl

shares = (
    pl.scan_parquet("profiles/*.parquet")
    .filter(pl.col("layer") == LAYER, pl.col("phase") == "prefill")
    .join(pl.scan_parquet("samples/*.parquet"), on="sample")
    .select("discipline", "counts", expert=pl.int_ranges(pl.col("counts").list.len()))
    .explode("counts", "expert")
    .group_by("discipline", "expert")
    .agg(n=pl.col("counts").cast(pl.Int64).sum())
    .with_columns(share=pl.col("n") / pl.col("n").sum().over("discipline"))
    .sort("discipline", "expert")
    .collect()
)
print(shares)
