//! The documents that several traces share.

use std::collections::HashMap;

use super::trace_set::TraceSet;

/// The documents that every trace of a set holds, matched by id.
#[derive(Clone, Debug)]
pub(crate) struct CommonDocuments {
    /// `[traces][documents]`: indices into each trace's documents, in the order of the ids.
    pub(crate) of_trace: Vec<Vec<usize>>,
    /// What was left out.
    pub(crate) notes: Vec<String>,
}

impl CommonDocuments {
    pub(super) fn of(traces: &TraceSet) -> Self {
        let count = traces.names().len();
        let by_id: Vec<HashMap<&str, usize>> = (0..count)
            .map(|trace| {
                let documents = traces.trace(trace).documents().iter();
                documents.map(|d| d.id.as_str()).zip(0..).collect()
            })
            .collect();
        let mut of_trace = vec![Vec::new(); count];
        for document in traces.reference().documents() {
            let places = by_id.iter().map(|ids| ids.get(document.id.as_str()));
            if let Some(places) = places.collect::<Option<Vec<_>>>() {
                for (documents, place) in of_trace.iter_mut().zip(places) {
                    documents.push(*place);
                }
            }
        }
        let common = of_trace[0].len();
        let notes = (0..count)
            .filter_map(|trace| {
                let alone = traces.trace(trace).documents().len() - common;
                (alone > 0).then(|| {
                    format!(
                        "{alone} documents of {} are not in every trace and are left out",
                        traces.name(trace)
                    )
                })
            })
            .collect();
        Self { of_trace, notes }
    }

    /// Number of documents.
    pub(crate) fn len(&self) -> usize {
        self.of_trace[0].len()
    }

    /// The place among these of each document of a trace.
    pub(crate) fn places(&self, trace: usize) -> HashMap<usize, usize> {
        self.of_trace[trace].iter().copied().zip(0..).collect()
    }
}
