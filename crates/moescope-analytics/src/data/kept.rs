//! Summaries that are kept beside a trace.
//!
//! The key says everything that the numbers depend on: the files by their checksums in the manifest, the model, the
//! summary, and the program, since another build may compute the same name in another way.

use std::{env, fmt::Write as _, time::UNIX_EPOCH};

use moescope_trace::{RoutingTrace, TraceCache, schema::Table};

use super::{DecisionNeeds, DocumentTensor};

/// Traces with fewer decisions are read in a moment, and no folder is made beside them.
const FEWEST_DECISIONS: u64 = 1 << 20;

/// Where the summaries of a trace are kept.
#[derive(Debug)]
pub(super) struct KeptSummaries {
    cache: TraceCache,
    /// What all summaries of this trace depend on.
    key: String,
}

impl KeptSummaries {
    /// The summaries of a trace; `None` where keeping them does not pay or the program cannot be told from another build.
    pub(super) fn of(trace: &RoutingTrace) -> Option<Self> {
        (trace.manifest().counts.decisions >= FEWEST_DECISIONS)
            .then(|| Self::of_any(trace))
            .flatten()
    }

    /// The same for a trace of any size.
    pub(super) fn of_any(trace: &RoutingTrace) -> Option<Self> {
        let manifest = trace.manifest();
        let mut key = format!("{}\n{:?}\n", program()?, manifest.model);
        let layers = manifest.recorded_layers();
        writeln!(key, "layers {layers:?}").ok()?;
        for table in [Table::Samples, Table::Tokens, Table::Routing] {
            for shard in &manifest.shards {
                let file = &shard.tables[table.name()];
                writeln!(key, "{} {}", file.file, file.sha256).ok()?;
            }
        }
        Some(Self {
            cache: trace.cache(),
            key,
        })
    }

    /// A kept summary of so many documents, layers and columns.
    pub(super) fn read(
        &self,
        name: &str,
        needs: &DecisionNeeds,
        shape: [usize; 3],
    ) -> Option<DocumentTensor> {
        let content = self.cache.read(&self.key(name, needs, shape))?;
        let (numbers, rest) = content.as_chunks::<8>();
        let [documents, layers, columns] = shape;
        if !rest.is_empty() || numbers.len() != documents * layers * columns {
            return None;
        }
        let mut tensor = DocumentTensor::of(documents, layers, columns);
        for (to, bytes) in tensor.values_mut().iter_mut().zip(numbers) {
            *to = f64::from_le_bytes(*bytes);
        }
        Some(tensor)
    }

    /// Keeps a summary, if it can.
    pub(super) fn write(
        &self,
        name: &str,
        needs: &DecisionNeeds,
        shape: [usize; 3],
        tensor: &DocumentTensor,
    ) {
        let content: Vec<u8> = tensor
            .values()
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.cache.write(&self.key(name, needs, shape), &content);
    }

    fn key(&self, name: &str, needs: &DecisionNeeds, shape: [usize; 3]) -> String {
        format!("{}summary {name:?} {shape:?}\n{needs:?}\n", self.key)
    }
}

/// The program that computes: its version, and its file's length and time, which differ between builds.
fn program() -> Option<String> {
    let file = env::current_exe().ok()?.metadata().ok()?;
    let built = file.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!(
        "moescope {} of {} bytes, built {}",
        env!("CARGO_PKG_VERSION"),
        file.len(),
        built.as_nanos()
    ))
}
