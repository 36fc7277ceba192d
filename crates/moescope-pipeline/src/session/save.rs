//! A branch as a trace of one sample.

use std::path::Path;

use moescope_engine::{RunConfig, SamplingConfig};
use moescope_trace::{CaptureSummary, Manifest, SampleRecord, TraceWriter, WriterConfig};
use serde_json::{Map, json};

use super::growing::Growing;
use crate::{
    capture::{describe_model, sample_record},
    clock,
    error::PipelineError,
    model::LoadedModel,
};

/// The manifest's setting that says how a branch came about.
pub(super) const SESSION: &str = "session";
const KEPT_TOKENS: &str = "kept_tokens";

/// Writes a branch into a new folder, with its interventions in the manifest.
///
/// Where interventions changed on the way, each says from which token on it was in force.
pub(super) fn save(
    loaded: &LoadedModel,
    branch: &Growing<'_>,
    keeps_logits: bool,
    path: &Path,
) -> Result<(), PipelineError> {
    let mut manifest = manifest(loaded, branch);
    manifest.keeps_logits = keeps_logits;
    let record = sample_record(
        0,
        &branch.planned,
        branch.growth.record().clone(),
        None,
        Some(branch.last_sampling().seed),
        &loaded.files.tokenizer,
    );
    write(path, manifest, record, branch.secs, Some(clock::now()))
}

/// What a manifest says of a branch that goes on; [`write`] says how far it came.
pub(super) fn manifest(loaded: &LoadedModel, branch: &Growing<'_>) -> Manifest {
    let run = RunConfig {
        max_new_tokens: 1,
        sampling: branch.last_sampling().clone(),
        ..RunConfig::default()
    };
    let mut manifest = describe_model(loaded, &run, &interventions(branch));
    manifest.times.started_at = Some(branch.started_at.clone());
    if let Some(decoding) = &mut manifest.decoding {
        decoding.stop.clone_from(&branch.stop);
    }
    let description = &branch.description;
    manifest
        .chat_template
        .clone_from(&description.chat_template);
    manifest.bos_policy = Some(description.bos_policy.clone());
    manifest.settings.extend(description.settings.clone());
    let mut session = Map::new();
    if let Some((parent, kept)) = branch.info.parent {
        session.insert("branch".to_owned(), branch.info.id.0.into());
        session.insert("from".to_owned(), parent.0.into());
        session.insert(KEPT_TOKENS.to_owned(), kept.into());
    }
    // `decoding` and `seeds` have room for one way of drawing: that of the last token.
    if let samplings @ [_, _, ..] = branch.growth.samplings() {
        let stretch = |(first, sampling): &(usize, SamplingConfig)| json!({"from_token": first, "sampling": sampling});
        session.insert(
            "samplings".to_owned(),
            samplings.iter().map(stretch).collect(),
        );
    }
    if !session.is_empty() {
        manifest.settings.insert(SESSION.to_owned(), session.into());
    }
    manifest
}

/// Writes a trace of one sample into a new folder.
pub(super) fn write(
    path: &Path,
    mut manifest: Manifest,
    mut record: SampleRecord,
    elapsed_secs: f64,
    finished_at: Option<String>,
) -> Result<(), PipelineError> {
    let tokens = record.tokens.len();
    let given = record.num_prompt_tokens.unwrap_or(0) as usize;
    let drawn = tokens.saturating_sub(given);
    if drawn == 0 {
        manifest.decoding = None;
        manifest.seeds.clear();
        record.seed = None;
    } else if let Some(decoding) = &mut manifest.decoding {
        decoding.max_new_tokens = u32::try_from(drawn).unwrap_or(u32::MAX);
    }
    // What the branch it came from had computed took no time of this one.
    let session = manifest.settings.get(SESSION);
    let kept = session.and_then(|session| session[KEPT_TOKENS].as_u64());
    let own = (tokens as u64).saturating_sub(kept.unwrap_or(0).max(given as u64));
    let config = WriterConfig {
        keep_logits: manifest.keeps_logits,
        ..WriterConfig::default()
    };
    let mut writer = TraceWriter::create(path, manifest, config)?;
    writer.append(record)?;
    writer.end_batch()?;
    writer.finish(CaptureSummary {
        elapsed_secs,
        tokens: own,
        finished_at,
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
