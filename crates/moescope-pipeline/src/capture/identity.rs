//! What a manifest says of the model, the device and the settings.

use moescope_engine::RunConfig;
use moescope_trace as trace;
use serde_json::json;

use super::plan::CapturePlan;
use crate::{clock, data::OnBadRow, model::LoadedModel};

/// A manifest with everything that follows from the model, the device and how tokens are drawn.
pub(crate) fn describe_model(
    loaded: &LoadedModel,
    run: &RunConfig,
    interventions: &[String],
) -> trace::Manifest {
    let files = &loaded.files;
    let is_generating = run.max_new_tokens > 0;
    let untrained_routers = loaded.model.options().untrained_routers;
    let narrow = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
    trace::Manifest {
        toolkit: trace::Toolkit {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: option_env!("MOESCOPE_COMMIT").map(str::to_owned),
        },
        model: files.checkpoint.model_spec(),
        checkpoint: Some(trace::Checkpoint {
            id: Some(files.folder.name.clone()),
            revision: files.folder.revision.clone(),
            config_sha256: Some(files.checkpoint.config_sha256().to_owned()),
            files: files
                .checkpoint
                .files()
                .files()
                .iter()
                .map(|file| trace::CheckpointFile {
                    name: file.name.clone(),
                    size: file.size,
                    header_sha256: Some(file.header_sha256.clone()),
                })
                .collect(),
            weight_types: loaded.model.weight_types().clone(),
        }),
        compute_type: Some(loaded.model.options().compute.name().to_owned()),
        tokenizer: Some(files.tokenizer_identity()),
        engine: Some(trace::Engine {
            name: "moescope".to_owned(),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            device: Some(format!("{}: {}", loaded.device.kind, loaded.device.name)),
            kernel_path: Some(loaded.model.kernels().name()),
        }),
        decoding: is_generating.then(|| trace::Decoding {
            max_new_tokens: narrow(run.max_new_tokens),
            temperature: f64::from(run.sampling.temperature),
            top_k: (run.sampling.top_k > 0).then(|| narrow(run.sampling.top_k)),
            top_p: (run.sampling.top_p < 1.0).then(|| f64::from(run.sampling.top_p)),
            stop: Vec::new(),
        }),
        seeds: is_generating
            .then(|| ("sampling".to_owned(), run.sampling.seed))
            .into_iter()
            .collect(),
        interventions: interventions
            .iter()
            .cloned()
            .chain(untrained_routers.map(|seed| format!("untrained-routers={seed}")))
            .collect(),
        times: trace::Times {
            started_at: Some(clock::now()),
            finished_at: None,
        },
        ..trace::Manifest::default()
    }
}

impl CapturePlan {
    /// The manifest that this capture begins with; a resumed one must begin with the same.
    #[must_use]
    pub fn manifest(&self, loaded: &LoadedModel) -> trace::Manifest {
        let config = &self.config;
        let columns = &config.data.columns;
        let settings = [
            ("batch_tokens", json!(self.batch_tokens)),
            ("shard_decisions", json!(self.writer.shard_decisions)),
            ("records_surprisal", json!(config.records_surprisal)),
            ("limit", json!(config.data.limit)),
            ("text_column", json!(columns.text)),
            ("discipline_column", json!(columns.discipline)),
            ("id_column", json!(columns.id)),
            ("group_column", json!(columns.group)),
            ("group_before", json!(columns.group_before)),
            ("genre_column", json!(columns.genre)),
            (
                "on_bad_row",
                json!(match config.data.on_bad_row {
                    OnBadRow::Error => "error",
                    OnBadRow::Skip => "skip",
                }),
            ),
        ];
        trace::Manifest {
            layers: self.layers.clone(),
            chat_template: self.prompt.chat_template.clone(),
            bos_policy: Some(self.prompt.bos_policy.clone()),
            inputs: self.inputs.clone(),
            label_columns: config.data.keep_columns.clone(),
            overlong: Some(self.overlong.clone()),
            settings: settings
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name.to_owned(), value))
                .chain(self.prompt.settings.clone())
                .collect(),
            ..describe_model(loaded, &self.run, &self.interventions.specs())
        }
    }
}
