//! Rows of `routing`.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, Float32Array, RecordBatch, UInt16Array, UInt32Array, new_null_array,
    types::{Float32Type, UInt16Type, UInt32Type},
};
use arrow_schema::DataType;
use moescope_core::{DecisionBatch, LayerId};
use parquet::errors::ParquetError;

use super::{ListRows, batch, lists::list_column, number, numbers};
use crate::{
    rounding::round_all,
    schema::{self, Table},
};

/// The decisions of one document; floats are rounded unless `is_full_precision`, logits left out unless kept.
pub(crate) fn to_batch(
    sample: u32,
    decisions: DecisionBatch,
    keeps_logits: bool,
    is_full_precision: bool,
) -> RecordBatch {
    let (rows, top_k, experts) = (decisions.len(), decisions.top_k(), decisions.num_experts());
    let rounded = |values: Option<Vec<f32>>| {
        values.map(|mut values| {
            if !is_full_precision {
                round_all(&mut values);
            }
            values
        })
    };
    let floats = |values: Option<Vec<f32>>| -> ArrayRef {
        match rounded(values) {
            None => new_null_array(&DataType::Float32, rows),
            Some(values) => Arc::new(Float32Array::from(values)),
        }
    };
    // Where every expert is chosen there is no margin and no runner-up.
    let margin = rounded(decisions.margin).unwrap_or_else(|| vec![f32::NAN; rows]);
    let margin: Float32Array = margin
        .into_iter()
        .map(|value| Some(value).filter(|value| !value.is_nan()))
        .collect();
    let runner_up = decisions.runner_up.unwrap_or_else(|| vec![u16::MAX; rows]);
    let runner_up: UInt16Array = runner_up
        .into_iter()
        .map(|value| Some(value).filter(|value| *value != u16::MAX))
        .collect();
    let layers: Vec<u16> = decisions.layer.iter().map(|layer| layer.0).collect();
    let logits = decisions.router_logits.filter(|_| keeps_logits);
    let columns = vec![
        Arc::new(UInt32Array::from_value(sample, rows)) as ArrayRef,
        Arc::new(UInt32Array::from(decisions.position)),
        Arc::new(UInt16Array::from(layers)),
        Arc::new(UInt16Array::from(decisions.moe_layer)),
        list_column::<UInt16Type>(Some(decisions.selected_experts), top_k, rows),
        list_column::<Float32Type>(rounded(decisions.routing_weights), top_k, rows),
        floats(decisions.topk_mass),
        floats(decisions.entropy),
        Arc::new(margin),
        Arc::new(runner_up),
        floats(decisions.logsumexp),
        list_column::<Float32Type>(rounded(logits), experts, rows),
    ];
    batch(Table::Routing, &[], columns)
}

/// Decisions of one document as they were read, before anything about them is trusted.
#[derive(Debug, Default)]
pub(crate) struct RoutingRows {
    pub(crate) position: Vec<u32>,
    pub(crate) layer: Vec<u16>,
    pub(crate) moe_layer: Vec<u16>,
    pub(crate) experts: ListRows<u16>,
    pub(crate) weights: ListRows<f32>,
    pub(crate) topk_mass: Vec<Option<f32>>,
    pub(crate) entropy: Vec<Option<f32>>,
    pub(crate) margin: Vec<Option<f32>>,
    pub(crate) runner_up: Vec<Option<u16>>,
    pub(crate) logsumexp: Vec<Option<f32>>,
    pub(crate) logits: ListRows<f32>,
}

impl RoutingRows {
    pub(crate) fn append(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        self.position
            .extend_from_slice(numbers::<UInt32Type>(batch, schema::POSITION)?.values());
        self.layer
            .extend_from_slice(numbers::<UInt16Type>(batch, schema::LAYER)?.values());
        self.moe_layer
            .extend_from_slice(numbers::<UInt16Type>(batch, schema::MOE_LAYER)?.values());
        self.experts.append::<UInt16Type>(batch, schema::EXPERTS)?;
        self.weights.append::<Float32Type>(batch, schema::WEIGHTS)?;
        self.logits.append::<Float32Type>(batch, schema::LOGITS)?;
        for (column, name) in [
            (&mut self.topk_mass, schema::TOPK_MASS),
            (&mut self.entropy, schema::ENTROPY),
            (&mut self.margin, schema::MARGIN),
            (&mut self.logsumexp, schema::LOGSUMEXP),
        ] {
            let array = numbers::<Float32Type>(batch, name)?;
            column.extend((0..batch.num_rows()).map(|row| number(array, row)));
        }
        let runner_up = numbers::<UInt16Type>(batch, schema::RUNNER_UP)?;
        self.runner_up
            .extend((0..batch.num_rows()).map(|row| number(runner_up, row)));
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.position.len()
    }

    /// The decisions as a batch; a column that is NULL in every row is `None`.
    pub(crate) fn into_decisions(
        self,
        num_experts: usize,
        top_k: usize,
    ) -> Result<DecisionBatch, String> {
        let mut decisions = DecisionBatch::ids_only(num_experts, top_k);
        decisions.selected_experts = self
            .experts
            .into_uniform(top_k)
            .map_err(|reason| format!("{}: {reason}", schema::EXPERTS))?
            .unwrap_or_default();
        if decisions.selected_experts.len() != self.position.len() * top_k {
            return Err(format!("{} is NULL", schema::EXPERTS));
        }
        decisions.routing_weights = self
            .weights
            .into_uniform(top_k)
            .map_err(|reason| format!("{}: {reason}", schema::WEIGHTS))?;
        decisions.router_logits = self
            .logits
            .into_uniform(num_experts)
            .map_err(|reason| format!("{}: {reason}", schema::LOGITS))?;
        decisions.position = self.position;
        decisions.layer = self.layer.into_iter().map(LayerId).collect();
        decisions.moe_layer = self.moe_layer;
        decisions.topk_mass = known(self.topk_mass, f32::NAN);
        decisions.entropy = known(self.entropy, f32::NAN);
        decisions.margin = known(self.margin, f32::NAN);
        decisions.runner_up = known(self.runner_up, u16::MAX);
        decisions.logsumexp = known(self.logsumexp, f32::NAN);
        Ok(decisions)
    }
}

/// A column with `missing` in place of NULL, or `None` where every row is NULL.
fn known<T: Copy>(values: Vec<Option<T>>, missing: T) -> Option<Vec<T>> {
    values.iter().any(Option::is_some).then(|| {
        values
            .into_iter()
            .map(|value| value.unwrap_or(missing))
            .collect()
    })
}
