import duckdb

shares = duckdb.sql("""
    SELECT discipline, expert, sum(n) / sum(sum(n)) OVER (PARTITION BY discipline) AS share
    FROM (
        SELECT discipline, generate_subscripts(counts, 1) - 1 AS expert, unnest(counts) AS n
        FROM 'profiles/*.parquet' JOIN 'samples/*.parquet' USING (sample)
        WHERE layer = LAYER AND phase = 'prefill'
    )
    GROUP BY discipline, expert
    ORDER BY discipline, expert
""")
print(shares)
