//! Rows of `samples`.

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{
    ArrayRef, RecordBatch, StringArray, UInt32Array, UInt64Array,
    types::{UInt32Type, UInt64Type},
};
use moescope_core::{Discipline, Sample};
use parquet::errors::ParquetError;

use super::{batch, number, numbers, string, strings};
use crate::schema::{self, Table};

/// One row of `samples`: a document, its labels and its length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleRow {
    /// The document's number.
    pub sample: u32,
    /// The document; its text is empty where the trace does not keep it.
    pub meta: Sample,
    /// Whether the trace keeps the document's text.
    pub has_text: bool,
    /// Rows that it has in `tokens`.
    pub num_tokens: u32,
    /// How many of them were given rather than generated.
    pub num_prompt_tokens: Option<u32>,
    /// The seed of its sampling.
    pub seed: Option<u64>,
}

/// One document as a batch of one row.
pub(crate) fn to_batch(row: &SampleRow, label_columns: &[String]) -> RecordBatch {
    let meta = &row.meta;
    let text = |value: Option<&str>| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(UInt32Array::from(vec![row.sample])),
        text(Some(&meta.id)),
        text(meta.discipline.as_ref().map(Discipline::as_str)),
        text(meta.group.as_deref()),
        text(meta.genre.as_deref()),
        text(meta.source.as_deref()),
        text(meta.licence.as_deref()),
        text(meta.pair.as_deref()),
        text(row.has_text.then_some(meta.text.as_str())),
        Arc::new(UInt32Array::from(vec![row.num_tokens])),
        Arc::new(UInt32Array::from(vec![row.num_prompt_tokens])),
        Arc::new(UInt64Array::from(vec![row.seed])),
    ];
    columns.extend(
        label_columns
            .iter()
            .map(|name| text(meta.labels.get(name).map(String::as_str))),
    );
    batch(Table::Samples, label_columns, columns)
}

/// The documents of a batch.
pub(crate) fn from_batch(
    batch: &RecordBatch,
    label_columns: &[String],
) -> Result<Vec<SampleRow>, ParquetError> {
    let sample = numbers::<UInt32Type>(batch, schema::SAMPLE)?;
    let num_tokens = numbers::<UInt32Type>(batch, schema::NUM_TOKENS)?;
    let num_prompt_tokens = numbers::<UInt32Type>(batch, schema::NUM_PROMPT_TOKENS)?;
    let seed = numbers::<UInt64Type>(batch, schema::SEED)?;
    let id = strings(batch, schema::ID)?;
    let discipline = strings(batch, schema::DISCIPLINE)?;
    let group = strings(batch, schema::GROUP)?;
    let genre = strings(batch, schema::GENRE)?;
    let source = strings(batch, schema::SOURCE)?;
    let licence = strings(batch, schema::LICENCE)?;
    let pair = strings(batch, schema::PAIR)?;
    // Readers of labels leave the texts out.
    let text = batch
        .column_by_name(schema::TEXT)
        .map(|_| strings(batch, schema::TEXT))
        .transpose()?;
    let labels: Vec<(&String, &StringArray)> = label_columns
        .iter()
        .map(|name| Ok((name, strings(batch, name)?)))
        .collect::<Result<_, ParquetError>>()?;
    (0..batch.num_rows())
        .map(|row| {
            let discipline = string(discipline, row)
                .map(|label| Discipline::new(&label))
                .transpose()
                .map_err(|error| ParquetError::General(error.to_string()))?;
            let kept_text = text.and_then(|text| string(text, row));
            let labels: BTreeMap<String, String> = labels
                .iter()
                .filter_map(|(name, column)| Some(((*name).clone(), string(column, row)?)))
                .collect();
            Ok(SampleRow {
                sample: sample.value(row),
                has_text: kept_text.is_some(),
                meta: Sample {
                    id: id.value(row).to_owned(),
                    discipline,
                    group: string(group, row),
                    genre: string(genre, row),
                    source: string(source, row),
                    licence: string(licence, row),
                    pair: string(pair, row),
                    text: kept_text.unwrap_or_default(),
                    labels,
                },
                num_tokens: num_tokens.value(row),
                num_prompt_tokens: number(num_prompt_tokens, row),
                seed: number(seed, row),
            })
        })
        .collect()
}
