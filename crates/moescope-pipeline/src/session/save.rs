//! A branch as a trace of one sample.

use std::path::Path;

use moescope_engine::RunConfig;
use moescope_trace::{CaptureSummary, TraceWriter, WriterConfig};
use serde_json::json;

use super::growing::Growing;
use crate::{
    capture::{describe_model, sample_record},
    clock,
    error::PipelineError,
    model::LoadedModel,
};

/// Writes a branch into a new folder, with its interventions in the manifest.
///
/// Where interventions changed on the way, each says from which token on it was in force.
pub(super) fn save(
    loaded: &LoadedModel,
    branch: &Growing<'_>,
    keeps_logits: bool,
    path: &Path,
) -> Result<(), PipelineError> {
    let record = branch.growth.record().clone();
    let drawn = record.tokens.len() - record.num_prompt_tokens;
    let run = RunConfig {
        max_new_tokens: drawn,
        sampling: branch.growth.sampling().clone(),
        ..RunConfig::default()
    };
    let mut manifest = describe_model(loaded, &run, &interventions(branch));
    if let Some(decoding) = &mut manifest.decoding {
        decoding.stop.clone_from(&branch.stop);
    }
    let description = &branch.description;
    manifest
        .chat_template
        .clone_from(&description.chat_template);
    manifest.bos_policy = Some(description.bos_policy.clone());
    manifest.settings.extend(description.settings.clone());
    if let Some((parent, kept)) = branch.info.parent {
        let origin = json!({"branch": branch.info.id.0, "from": parent.0, "kept_tokens": kept});
        manifest.settings.insert("session".to_owned(), origin);
    }
    let config = WriterConfig {
        keep_logits: keeps_logits,
        ..WriterConfig::default()
    };
    let tokens = record.tokens.len() as u64;
    let mut writer = TraceWriter::create(path, manifest, config)?;
    let seed = (drawn > 0).then_some(branch.growth.sampling().seed);
    writer.append(sample_record(
        0,
        &branch.planned,
        record,
        None,
        seed,
        &loaded.files.tokenizer,
    ))?;
    writer.end_batch()?;
    writer.finish(CaptureSummary {
        elapsed_secs: branch.secs,
        tokens,
        finished_at: Some(clock::now()),
    })?;
    Ok(())
}

/// As the command line writes them; with the first token where not all were in force throughout.
fn interventions(branch: &Growing<'_>) -> Vec<String> {
    let stretches = branch.growth.stretches();
    let [(_, throughout)] = stretches else {
        let of_stretch = |(first, under): &(usize, moescope_engine::Interventions)| {
            let specs = match under.specs() {
                specs if specs.is_empty() => vec!["none".to_owned()],
                specs => specs,
            };
            let first = *first;
            specs
                .into_iter()
                .map(move |spec| format!("{spec} from token {first}"))
        };
        return stretches.iter().flat_map(of_stretch).collect();
    };
    throughout.specs()
}
