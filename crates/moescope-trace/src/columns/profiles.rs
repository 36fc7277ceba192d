//! Rows of `profiles`.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, RecordBatch, StringArray, UInt16Array, UInt32Array,
    builder::{ListBuilder, PrimitiveBuilder},
    types::{ArrowPrimitiveType, Float32Type, UInt16Type, UInt32Type},
};
use moescope_core::LayerId;
use parquet::errors::ParquetError;

use super::{ListRows, batch, numbers, strings, tokens::phase_of};
use crate::{
    profile::Profile,
    schema::{self, Table, element_field},
};

/// The profiles of one document.
pub(crate) fn to_batch(sample: u32, profiles: &[Profile]) -> RecordBatch {
    let layers = profiles.iter().map(|p| p.layer.0);
    let moe_layers = profiles.iter().map(|p| p.moe_layer);
    let n_tokens = profiles.iter().map(|p| p.n_tokens);
    let phases = profiles.iter().map(|p| Some(p.phase.as_str()));
    let columns = vec![
        Arc::new(UInt32Array::from_value(sample, profiles.len())) as ArrayRef,
        Arc::new(UInt16Array::from_iter_values(layers)),
        Arc::new(UInt16Array::from_iter_values(moe_layers)),
        Arc::new(phases.collect::<StringArray>()),
        Arc::new(UInt32Array::from_iter_values(n_tokens)),
        lists::<UInt32Type>(profiles.iter().map(|p| Some(p.counts.as_slice()))),
        lists::<Float32Type>(profiles.iter().map(|p| p.weight_sum.as_deref())),
        lists::<Float32Type>(profiles.iter().map(|p| p.prob_sum.as_deref())),
        lists::<Float32Type>(profiles.iter().map(|p| p.logit_sum.as_deref())),
        lists::<Float32Type>(profiles.iter().map(|p| p.last_prob.as_deref())),
    ];
    batch(Table::Profiles, &[], columns)
}

fn lists<'a, T: ArrowPrimitiveType>(
    rows: impl Iterator<Item = Option<&'a [T::Native]>>,
) -> ArrayRef {
    let mut builder =
        ListBuilder::new(PrimitiveBuilder::<T>::new()).with_field(element_field(T::DATA_TYPE));
    for row in rows {
        match row {
            Some(values) => {
                builder.values().append_slice(values);
                builder.append(true);
            }
            None => builder.append(false),
        }
    }
    Arc::new(builder.finish())
}

/// The profiles of a batch, whatever documents they belong to, with lists of any length.
pub(crate) fn from_batch(batch: &RecordBatch) -> Result<Vec<Profile>, ParquetError> {
    let layer = numbers::<UInt16Type>(batch, schema::LAYER)?;
    let moe_layer = numbers::<UInt16Type>(batch, schema::MOE_LAYER)?;
    let phase = strings(batch, schema::PHASE)?;
    let n_tokens = numbers::<UInt32Type>(batch, schema::N_TOKENS)?;
    let mut counts = ListRows::<u32>::default();
    counts.append::<UInt32Type>(batch, schema::COUNTS)?;
    let floats = |name| -> Result<ListRows<f32>, ParquetError> {
        let mut rows = ListRows::default();
        rows.append::<Float32Type>(batch, name)?;
        Ok(rows)
    };
    let weight_sum = floats(schema::WEIGHT_SUM)?;
    let prob_sum = floats(schema::PROB_SUM)?;
    let logit_sum = floats(schema::LOGIT_SUM)?;
    let last_prob = floats(schema::LAST_PROB)?;
    (0..batch.num_rows())
        .map(|row| {
            let list = |rows: &ListRows<f32>| rows.row(row).map(<[f32]>::to_vec);
            Ok(Profile {
                layer: LayerId(layer.value(row)),
                moe_layer: moe_layer.value(row),
                phase: phase_of(phase.value(row))?,
                n_tokens: n_tokens.value(row),
                counts: counts.row(row).unwrap_or_default().to_vec(),
                weight_sum: list(&weight_sum),
                prob_sum: list(&prob_sum),
                logit_sum: list(&logit_sum),
                last_prob: list(&last_prob),
            })
        })
        .collect()
}
