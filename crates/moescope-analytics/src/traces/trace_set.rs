//! The traces of a comparison.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use moescope_core::{Axis, AxisKind, Progress};

use super::{agreement::Agreement, documents::CommonDocuments};
use crate::{AnalyticsError, TraceData, data::TokenSelection};

/// Traces to compare, each with the reference; their order is that of a sequence of checkpoints.
///
/// ```no_run
/// use std::path::Path;
///
/// use moescope_analytics::{MeasureRequest, TraceData, TraceSet, find_comparison, table};
/// use moescope_core::NoProgress;
///
/// let open = |folder: &str| TraceData::open(Path::new(folder));
/// let traces = TraceSet::new(
///     vec![("early".into(), open("early")?), ("final".into(), open("final")?)],
///     1,
/// )?;
/// let found = find_comparison("router_saturation")?.compare(&traces, &MeasureRequest::default(), &NoProgress)?;
/// println!("{}", table(&found[0]));
/// # Ok::<(), moescope_analytics::AnalyticsError>(())
/// ```
pub struct TraceSet {
    names: Vec<String>,
    traces: Vec<Arc<TraceData>>,
    reference: usize,
    /// The digests of all texts, `[traces][documents]`, once they were read.
    texts: Mutex<Option<Texts>>,
    /// A handful of entries, so a list is enough.
    agreements: Mutex<Vec<(AgreementKey, Arc<Agreement>)>>,
}

type Texts = Arc<Vec<Vec<Option<u64>>>>;

/// What a kept agreement is of: a trace, and the tokens that count.
pub(super) type AgreementKey = (usize, TokenSelection);

impl TraceSet {
    /// Traces with their names in tables, and which of them is the reference.
    ///
    /// # Errors
    /// When there are fewer than two, when two have one name, or when there is no such reference.
    pub fn new(traces: Vec<(String, TraceData)>, reference: usize) -> Result<Self, AnalyticsError> {
        let error = |reason: &str| Err(AnalyticsError::Request(reason.to_owned()));
        if traces.len() < 2 {
            return error("a comparison needs two traces");
        }
        if reference >= traces.len() {
            return error("the reference is none of the traces");
        }
        let (names, traces): (Vec<String>, Vec<TraceData>) = traces.into_iter().unzip();
        for (place, name) in names.iter().enumerate() {
            if names[..place].contains(name) {
                return error(&format!("two traces are called '{name}'"));
            }
        }
        Ok(Self {
            names,
            traces: traces.into_iter().map(Arc::new).collect(),
            reference,
            texts: Mutex::default(),
            agreements: Mutex::default(),
        })
    }

    /// The names, in order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The name of the trace that the others are compared with.
    #[must_use]
    pub fn reference_name(&self) -> &str {
        &self.names[self.reference]
    }

    /// The trace that the others are compared with.
    #[must_use]
    pub fn reference(&self) -> &TraceData {
        &self.traces[self.reference]
    }

    /// The place of the reference.
    pub(crate) fn reference_index(&self) -> usize {
        self.reference
    }

    /// The places of all traces but the reference, in order.
    pub(crate) fn others(&self) -> impl Iterator<Item = usize> + Clone {
        let reference = self.reference;
        (0..self.traces.len()).filter(move |trace| *trace != reference)
    }

    /// A trace.
    pub(crate) fn trace(&self, trace: usize) -> &Arc<TraceData> {
        &self.traces[trace]
    }

    /// A trace's name.
    pub(crate) fn name(&self, trace: usize) -> &str {
        &self.names[trace]
    }

    /// The axis of all traces but the reference.
    pub(crate) fn axis_of_others(&self) -> Axis {
        let names = self.others().map(|trace| self.names[trace].clone());
        Axis::new(AxisKind::Trace, names.collect())
    }

    /// The documents that every trace holds.
    pub(crate) fn common_documents(&self) -> CommonDocuments {
        CommonDocuments::of(self)
    }

    /// The digests of all texts, `[traces][documents]`; `None` where a text was not kept.
    pub(crate) fn texts(&self, progress: &dyn Progress) -> Result<Texts, AnalyticsError> {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = texts.as_ref() {
            return Ok(Arc::clone(known));
        }
        let read = self.traces.iter().map(|trace| trace.text_digests(progress));
        let read: Texts = Arc::new(read.collect::<Result<_, _>>()?);
        *texts = Some(Arc::clone(&read));
        Ok(read)
    }

    pub(super) fn known_agreement(&self, key: &AgreementKey) -> Option<Arc<Agreement>> {
        let agreements = self
            .agreements
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let known = agreements.iter().find(|(known, _)| known == key);
        known.map(|(_, agreement)| Arc::clone(agreement))
    }

    pub(super) fn keep_agreement(&self, key: AgreementKey, agreement: &Arc<Agreement>) {
        let mut agreements = self
            .agreements
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        agreements.retain(|((_, known), _)| key.1.keeps(known));
        agreements.push((key, Arc::clone(agreement)));
    }
}

impl fmt::Debug for TraceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceSet")
            .field("names", &self.names)
            .field("reference", &self.reference_name())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use moescope_testkit::model_spec;

    use super::*;
    use crate::ExpertsOrder;

    fn empty() -> TraceData {
        TraceData::in_memory(model_spec(1, 2, 1), ExpertsOrder::ByWeight, Vec::new()).unwrap()
    }

    #[test]
    fn a_set_has_two_traces_of_different_names_and_a_reference_among_them() {
        let set = |names: &[&str], reference| {
            let traces = names.iter().map(|name| ((*name).to_owned(), empty()));
            TraceSet::new(traces.collect(), reference)
        };
        let error = |names, reference| set(names, reference).unwrap_err().to_string();
        assert!(error(&["a"], 0).contains("needs two traces"));
        assert!(error(&["a", "a"], 0).contains("called 'a'"));
        assert!(error(&["a", "b"], 2).contains("none of the traces"));
        let set = set(&["a", "b", "c"], 1).unwrap();
        assert_eq!(set.others().collect::<Vec<_>>(), [0, 2]);
        assert_eq!(set.reference_name(), "b");
    }
}
