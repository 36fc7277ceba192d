//! Numbers that each document's decisions are reduced to, once.

use std::sync::Arc;

use moescope_core::Progress;

use super::{DecisionNeeds, DocumentDecisions, DocumentTensor, TraceData};
use crate::AnalyticsError;

/// How the decisions of a document become `[layers × columns]` numbers.
///
/// Documents are reduced in parallel and never see each other, so the result does not depend on timing.
/// Equal `name` and `needs` must mean equal numbers: the first result is kept for the next metric that asks.
pub(crate) struct Summary<'a> {
    /// What the numbers are, with every parameter they depend on, e.g. `repetition lag 1`.
    pub(crate) name: String,
    /// What is read.
    pub(crate) needs: DecisionNeeds,
    /// Numbers per layer.
    pub(crate) columns: usize,
    /// Adds a document's decisions to its zeroed numbers, `[layers × columns]`.
    pub(crate) add: &'a (dyn Fn(&DocumentDecisions<'_>, &mut [f64]) + Sync),
}

impl TraceData {
    /// Reduces every document, `[documents, layers, columns]`.
    ///
    /// # Errors
    /// When the trace lacks a needed column, a table is malformed, the numbers would not fit, or the work is cancelled.
    pub(crate) fn summarize(
        &self,
        summary: &Summary<'_>,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<Arc<DocumentTensor>, AnalyticsError> {
        let key = (summary.name.clone(), summary.needs);
        if let Some(known) = self.known_summary(&key) {
            return Ok(known);
        }
        let layers = self.layers().len();
        let mut tensor = DocumentTensor::of(self.documents().len(), layers, summary.columns);
        self.map_documents(
            summary.needs,
            metric,
            progress,
            &|decisions| {
                let mut numbers = vec![0.0; layers * summary.columns];
                (summary.add)(decisions, &mut numbers);
                Ok(numbers)
            },
            &mut |document, numbers| {
                tensor.document_mut(document).copy_from_slice(&numbers);
                Ok(())
            },
        )?;
        let tensor = Arc::new(tensor);
        self.keep_summary(key, &tensor);
        Ok(tensor)
    }
}
