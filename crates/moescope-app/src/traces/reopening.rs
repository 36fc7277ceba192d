//! Traces whose capture goes on: it merges files that they were opened with, and then they are opened again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use moescope_analytics::{AnalyticsError, TraceData};
use moescope_pipeline::PipelineError;
use moescope_trace::TraceError;

use super::{ReadTrace, TraceId, TracePlace, read};

/// A trace as a question is asked of it on another thread, and where it is, should its files have been merged meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct AskedTrace {
    pub(super) place: TracePlace,
    pub(super) data: Arc<TraceData>,
    pub(super) reopened: Reopened,
}

/// Traces that were read again while questions were answered, for whoever holds the open ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Reopened(Arc<Mutex<HashMap<TraceId, Renewed>>>);

/// A trace that was read again.
#[derive(Debug)]
struct Renewed {
    /// What all questions are asked of from then on.
    data: Arc<TraceData>,
    /// What takes the open trace's place, until it has.
    read: Option<ReadTrace>,
}

/// An error that says whether it is one of files that were merged.
pub(crate) trait MergedFiles {
    /// Whether opening the trace again may help.
    fn is_of_merged_files(&self) -> bool;
}

impl AskedTrace {
    /// What `ask` finds in the trace. Where its files were merged, the trace is read again, once, and asked again; the open
    /// one is then replaced by what was read. Nothing is answered from before when another question had it read meanwhile.
    ///
    /// # Errors
    /// When asking fails for another reason or a second time, or the trace cannot be read.
    pub(crate) fn answer<T>(
        &self,
        ask: impl Fn(&TraceData) -> Result<T, AnalyticsError>,
    ) -> Result<T, String> {
        let id = self.place.id;
        let data = self.reopened.latest(id, &self.data);
        let found = ask(&data);
        let mut latest = self.reopened.latest(id, &data);
        if Arc::ptr_eq(&latest, &data) {
            match found {
                Err(error) if error.is_of_merged_files() => {
                    let again = read(self.place.path.clone(), self.place.is_demo)?;
                    latest = self.reopened.put(id, &data, again);
                }
                ended => return ended.map_err(|error| error.to_string()),
            }
        }
        ask(&latest).map_err(|error| error.to_string())
    }
}

impl Reopened {
    /// The data that was read last, or `known` where nothing was read again.
    fn latest(&self, id: TraceId, known: &Arc<TraceData>) -> Arc<TraceData> {
        let renewed = self.lock();
        let data = renewed.get(&id).map_or(known, |renewed| &renewed.data);
        Arc::clone(data)
    }

    /// Notes what was read in place of `before`, unless somebody else did so first; the data from now on.
    fn put(&self, id: TraceId, before: &Arc<TraceData>, read: ReadTrace) -> Arc<TraceData> {
        let mut renewed = self.lock();
        if let Some(other) = renewed.get(&id)
            && !Arc::ptr_eq(&other.data, before)
        {
            return Arc::clone(&other.data);
        }
        let data = Arc::clone(&read.data);
        let entry = Renewed {
            data: Arc::clone(&data),
            read: Some(read),
        };
        renewed.insert(id, entry);
        data
    }

    /// Takes what has come.
    pub(super) fn take(&self) -> Vec<(TraceId, ReadTrace)> {
        let mut renewed = self.lock();
        let taken = |(id, renewed): (&TraceId, &mut Renewed)| Some((*id, renewed.read.take()?));
        renewed.iter_mut().filter_map(taken).collect()
    }

    /// Forgets a trace that is closed.
    pub(super) fn forget(&self, id: TraceId) {
        self.lock().remove(&id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TraceId, Renewed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does work that opens traces by itself, and once more where their files were merged on the way.
///
/// # Errors
/// What the work gives, the second time where there is one.
pub(crate) fn once_more<T, E: MergedFiles>(work: impl Fn() -> Result<T, E>) -> Result<T, E> {
    match work() {
        Err(error) if error.is_of_merged_files() => work(),
        ended => ended,
    }
}

impl MergedFiles for TraceError {
    fn is_of_merged_files(&self) -> bool {
        matches!(self, Self::Gone { .. })
    }
}

impl MergedFiles for AnalyticsError {
    fn is_of_merged_files(&self) -> bool {
        matches!(self, Self::Trace(error) if error.is_of_merged_files())
    }
}

impl MergedFiles for PipelineError {
    fn is_of_merged_files(&self) -> bool {
        match self {
            Self::Trace(error) => error.is_of_merged_files(),
            Self::Analytics(error) => error.is_of_merged_files(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        path::{Path, PathBuf},
        thread,
    };

    use moescope_analytics::{MeasureRequest, find};
    use moescope_core::{DecisionBatch, Gating, LayerId, NoProgress, Sample};
    use moescope_testkit::{content_token, model_spec};
    use moescope_trace::{Manifest, SampleRecord, Scores, TraceWriter, WriterConfig};

    use super::{super::Traces, *};

    /// A writer that merges its shards as soon as they hold two decisions.
    fn writer(path: &Path) -> TraceWriter {
        let model = model_spec(1, 3, 1);
        let manifest = Manifest {
            scores: Scores::of(&model.gating),
            model,
            compute_type: Some("f32".into()),
            ..Manifest::default()
        };
        let config = WriterConfig {
            shard_decisions: 2,
            ..WriterConfig::default()
        };
        TraceWriter::create(path, manifest, config).unwrap()
    }

    /// Writes a document of one token into a shard of its own.
    fn append(writer: &mut TraceWriter, sample: u32) {
        let mut decisions = DecisionBatch::new(3, 1);
        let logits = [0.1, 0.2, 0.9];
        let gating = Gating::softmax_top_k();
        decisions.push_decision(0, LayerId(1), 0, &[2], &[1.0], &logits, &gating);
        let meta = Sample {
            id: format!("doc-{sample}"),
            text: "x".into(),
            ..Sample::default()
        };
        let record = SampleRecord {
            sample,
            meta,
            num_prompt_tokens: Some(1),
            seed: None,
            tokens: vec![content_token(0, 17)],
            decisions,
        };
        writer.append(record).unwrap();
        writer.end_batch().unwrap();
        writer.flush_shard().unwrap();
    }

    /// The trace in a folder, open in an app.
    fn opened(path: &Path) -> Traces {
        let mut traces = Traces::default();
        traces.open(path.to_owned(), &egui::Context::default());
        while traces.is_opening() {
            let failed = traces.advance().failed;
            assert!(failed.is_empty(), "{failed:?}");
            thread::yield_now();
        }
        traces
    }

    /// A trace that was opened with one document while its capture goes on.
    fn growing(folder: &Path) -> (PathBuf, TraceWriter, Traces, TraceId) {
        let path = folder.join("trace");
        let mut writer = writer(&path);
        append(&mut writer, 0);
        let traces = opened(&path);
        let id = traces.all()[0].id;
        (path, writer, traces, id)
    }

    fn documents(data: &TraceData) -> Result<u64, AnalyticsError> {
        let request = MeasureRequest {
            by: "all".into(),
            resamples: 0,
            permutations: 0,
            ..MeasureRequest::default()
        };
        let found = find("assignment_share")?.measure(data, &request, &NoProgress)?;
        Ok(found[0].protocol.n_documents)
    }

    #[test]
    fn a_trace_whose_files_were_merged_is_opened_again_and_answers() {
        let folder = tempfile::tempdir().unwrap();
        let (_, mut writer, mut traces, id) = growing(folder.path());
        append(&mut writer, 1);
        let asked = traces.asked(id).unwrap();
        assert!(
            documents(&asked.data).unwrap_err().is_of_merged_files(),
            "the file that it was opened with is gone"
        );
        assert_eq!(asked.answer(documents), Ok(2));
        // From now on the open trace is the one that was read, under its old number.
        assert_eq!(traces.get(id).unwrap().about.counts.samples, 1);
        assert_eq!(traces.advance().renewed, [id]);
        let open = traces.get(id).unwrap();
        assert_eq!(open.about.counts.samples, 2);
        assert_eq!(documents(&open.data).unwrap(), 2);
        assert_eq!(traces.all().len(), 1);
    }

    #[test]
    fn questions_that_were_asked_before_a_trace_was_read_again_are_answered_from_what_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let (_, mut writer, mut traces, id) = growing(folder.path());
        let [first, second, third] = [(); 3].map(|()| traces.asked(id).unwrap());
        append(&mut writer, 1);
        // The second one still finds its answer in the old files, but meanwhile the first one has had them read.
        let calls = Cell::new(0);
        let told = second.answer(|data| {
            calls.set(calls.get() + 1);
            if calls.get() == 1 {
                assert_eq!(first.answer(documents), Ok(2));
                return Ok(1);
            }
            documents(data)
        });
        assert_eq!(told, Ok(2));
        // And a third one asks what is there, at once.
        let calls = Cell::new(0);
        let told = third.answer(|data| {
            calls.set(calls.get() + 1);
            documents(data)
        });
        assert_eq!((told, calls.get()), (Ok(2), 1));
        assert_eq!(traces.advance().renewed, [id], "it was read once");
        assert!(traces.advance().renewed.is_empty());
    }

    #[test]
    fn a_second_failure_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (path, _writer, traces, id) = growing(folder.path());
        let asked = traces.asked(id).unwrap();
        let calls = Cell::new(0);
        let gone = || TraceError::Gone { path: path.clone() };
        let failing = |_: &TraceData| -> Result<(), AnalyticsError> {
            calls.set(calls.get() + 1);
            Err(gone().into())
        };
        let told = asked.answer(failing).unwrap_err();
        assert!(told.contains("a file of the trace is gone"), "{told}");
        assert_eq!(calls.get(), 2);
        // Another error is told at once.
        let refused = |_: &TraceData| -> Result<(), AnalyticsError> {
            calls.set(calls.get() + 1);
            Err(AnalyticsError::Request("it makes no sense".into()))
        };
        assert!(asked.answer(refused).is_err());
        assert_eq!(calls.get(), 3);
    }

    #[test]
    fn work_that_opens_traces_is_done_twice_at_most() {
        let calls = Cell::new(0);
        let failing = |fails: u32| {
            calls.set(0);
            once_more(|| {
                calls.set(calls.get() + 1);
                if calls.get() > fails {
                    return Ok(calls.get());
                }
                Err(PipelineError::Trace(TraceError::Gone { path: "a".into() }))
            })
        };
        assert_eq!(failing(0).unwrap(), 1);
        assert_eq!(failing(1).unwrap(), 2);
        assert!(failing(2).is_err());
        assert_eq!(calls.get(), 2);
    }
}
