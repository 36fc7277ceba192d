//! Options that several verbs share.

use anyhow::bail;
use clap::{Args, ValueEnum};
use moescope_core::Progress as _;
use moescope_engine::{Checkpoint, ComputeDevice, DeviceChoice, Intervention, SamplingConfig};
use moescope_pipeline::{Download, LoadedModel, ModelFiles, ModelFolder, PassSize, check_memory};

use crate::{cli::GlobalArgs, console::Console, devices};

/// Which model, and how it is computed.
#[derive(Args, Debug)]
pub(crate) struct ModelArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// How weights are kept: this version only knows `stored`
    #[arg(long, value_enum, default_value_t, value_name = "TYPE")]
    pub(crate) weights: WeightsArg,
    /// Type of the arithmetic: this version only knows `f32`
    #[arg(long, value_enum, default_value_t, value_name = "TYPE")]
    pub(crate) compute: ComputeArg,
}

/// Which model, and where it may come from.
#[derive(Args, Debug)]
pub(crate) struct SourceArgs {
    /// A folder in Hugging Face layout, a repository id such as mistralai/Mixtral-8x7B-v0.1, or `demo`, the embedded
    /// model
    #[arg(value_name = "MODEL")]
    pub(crate) model: String,
    /// Commit, branch or tag of a repository [default: main]
    #[arg(long, value_name = "REVISION", help_heading = "Hugging Face Hub")]
    pub(crate) revision: Option<String>,
    /// Download what the local Hugging Face cache lacks of a repository; without this nothing is downloaded
    ///
    /// Only what the model needs is taken: configuration, safetensors weights, tokenizer. An interrupted download is
    /// continued by the same command. What the cache has whole is used as it is, and the Hub is not asked. `HF_HOME`
    /// (or `HF_HUB_CACHE`) is the cache's place, `HF_TOKEN` (or `hf auth login`) opens private and gated
    /// repositories, `HF_ENDPOINT` names another server, `HTTPS_PROXY` a proxy.
    #[arg(long, conflicts_with = "offline", help_heading = "Hugging Face Hub")]
    pub(crate) download: bool,
    /// Never use the network (as does the variable `HF_HUB_OFFLINE`)
    #[arg(long, help_heading = "Hugging Face Hub")]
    pub(crate) offline: bool,
}

impl SourceArgs {
    /// Finds the model's folder, and downloads it where that is allowed.
    pub(crate) fn find(&self, console: &Console) -> anyhow::Result<ModelFolder> {
        let download = match (self.download, self.offline) {
            (true, _) => Download::Allowed,
            (_, true) => Download::Forbidden,
            _ => Download::NotAsked,
        };
        let folder = ModelFolder::obtain(&self.model, self.revision.as_deref(), download, console)?;
        if folder.is_temporary() {
            console.warning(
                "the user's cache folder cannot be written, so the embedded model is unpacked anew for this run; \
                 set XDG_CACHE_HOME to a folder that can",
            );
        }
        Ok(folder)
    }
}

/// How weights are kept in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum WeightsArg {
    /// As in the files.
    #[default]
    Stored,
    /// In blocks of 8-bit numbers.
    Q8,
    /// In blocks of 4-bit numbers.
    Q4,
}

/// The type of the arithmetic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ComputeArg {
    /// Single precision.
    #[default]
    F32,
    /// Brain floating point.
    Bf16,
}

impl ModelArgs {
    /// Refuses types that this version does not have.
    pub(crate) fn check_types(&self) -> anyhow::Result<()> {
        if self.weights != WeightsArg::Stored {
            let name = self.weights.to_possible_value();
            let name = name.as_ref().map_or("", |value| value.get_name());
            bail!("--weights {name} is not part of this version; it keeps weights as stored");
        }
        if self.compute != ComputeArg::F32 {
            bail!(
                "--compute bf16 is not part of this version; it computes in f32, with weights as stored"
            );
        }
        Ok(())
    }

    /// Opens the model's files and reads the choice of device.
    pub(crate) fn open(
        &self,
        global: &GlobalArgs,
        console: &Console,
    ) -> anyhow::Result<(ModelFiles, DeviceChoice)> {
        self.check_types()?;
        let choice = devices::choice(global)?;
        let files = ModelFiles::open(self.source.find(console)?)?;
        let spec = files.checkpoint.model_spec();
        console.detail(&format!(
            "model: {} ({}, {} layers, {} experts, top-{})",
            files.folder.name, spec.family, spec.num_layers, spec.num_experts, spec.top_k
        ));
        Ok((files, choice))
    }

    /// Opens and loads the model, if the passes that are planned fit into the device's memory.
    pub(crate) fn load(
        &self,
        global: &GlobalArgs,
        console: &Console,
        pass: impl FnOnce(&ModelFiles) -> anyhow::Result<PassSize>,
    ) -> anyhow::Result<LoadedModel> {
        let (files, choice) = self.open(global, console)?;
        let pass = pass(&files)?;
        let device = devices::open(choice, console)?;
        check_fit(&files.checkpoint, &device, &pass, console)?;
        console.report(0, 0, "loading weights")?;
        Ok(files.load(device, console)?)
    }
}

/// Refuses what the device's memory cannot hold before a weight is touched, and warns of what will be slow.
pub(crate) fn check_fit(
    checkpoint: &Checkpoint,
    device: &ComputeDevice,
    pass: &PassSize,
    console: &Console,
) -> anyhow::Result<()> {
    if let Some(warning) = check_memory(checkpoint, device, pass)? {
        console.warning(&warning);
    }
    Ok(())
}

/// How tokens are drawn.
#[derive(Args, Debug)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct SamplingArgs {
    /// Divides the logits; 0 always takes the most likely token
    #[arg(
        long,
        default_value_t = 0.0,
        value_name = "T",
        allow_negative_numbers = true
    )]
    pub(crate) temperature: f32,
    /// Draw only from the K most likely tokens; 0 from all
    #[arg(long, default_value_t = 0, value_name = "K")]
    pub(crate) top_k: usize,
    /// Draw only from the most likely tokens that together have this probability
    #[arg(
        long,
        default_value_t = 1.0,
        value_name = "P",
        allow_negative_numbers = true
    )]
    pub(crate) top_p: f32,
    /// Seed of the draw
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,
}

impl SamplingArgs {
    /// Checks the numbers.
    pub(crate) fn config(&self) -> anyhow::Result<SamplingConfig> {
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            bail!(
                "--temperature must be 0 or more, found {}",
                self.temperature
            );
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            bail!(
                "--top-p must be above 0 and at most 1, found {}",
                self.top_p
            );
        }
        Ok(SamplingConfig {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            seed: self.seed,
        })
    }
}

/// Changes to routing.
#[derive(Args, Debug)]
pub(crate) struct InterventionArgs {
    /// Change the routing: mask:LAYERS:EXPERTS, boost=X:LAYERS:EXPERTS, force:LAYERS:EXPERTS, swap:LAYERS:A=B;
    /// may be given more than once
    #[arg(long = "intervene", value_name = "SPEC")]
    specs: Vec<String>,
}

impl InterventionArgs {
    /// Reads the changes.
    pub(crate) fn interventions(&self) -> anyhow::Result<Vec<Intervention>> {
        Ok(self
            .specs
            .iter()
            .map(|spec| spec.parse())
            .collect::<Result<_, _>>()?)
    }
}
