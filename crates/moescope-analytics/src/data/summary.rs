//! Numbers that each document's decisions are reduced to, once.

use std::sync::Arc;

use moescope_core::Progress;

use super::{DecisionNeeds, DocumentDecisions, DocumentTensor, TraceData};
use crate::AnalyticsError;

/// How the decisions of a document become `[layers × columns]` numbers.
///
/// Documents are reduced in parallel and never see each other, so the result does not depend on timing.
/// Equal `name` and `needs` must mean equal numbers: the first result is kept for the next metric that asks, and where the
/// trace is large also beside it, for the next run of the same program.
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
        let key = (summary.name.clone(), summary.needs.clone());
        if let Some(known) = self.known_summary(&key) {
            return Ok(known);
        }
        let shape = [self.documents().len(), self.layers().len(), summary.columns];
        let [documents, layers, columns] = shape;
        let beside = self.summaries_beside();
        let kept = beside.and_then(|kept| kept.read(&summary.name, &summary.needs, shape));
        if let Some(known) = kept {
            let tensor = Arc::new(known);
            self.keep_summary(key, &tensor);
            return Ok(tensor);
        }
        let mut tensor = DocumentTensor::of(documents, layers, columns);
        self.map_documents(
            summary.needs.clone(),
            metric,
            progress,
            &|decisions| {
                let mut numbers = vec![0.0; layers * columns];
                (summary.add)(decisions, &mut numbers);
                Ok(numbers)
            },
            &mut |document, numbers| {
                tensor.document_mut(document).copy_from_slice(&numbers);
                Ok(())
            },
        )?;
        if let Some(kept) = beside {
            kept.write(&summary.name, &summary.needs, shape, &tensor);
        }
        let tensor = Arc::new(tensor);
        self.keep_summary(key, &tensor);
        Ok(tensor)
    }
}
