//! Options that several verbs share.

use anyhow::bail;
use clap::{Args, ValueEnum};
use moescope_core::Progress as _;
use moescope_engine::{ChatClock, DeviceChoice, Intervention, SamplingConfig};
use moescope_pipeline::{ChatConfig, LoadedModel, ModelFiles, ModelFolder, PromptConfig};

use crate::{cli::GlobalArgs, console::Console, devices};

/// Which model, and how it is computed.
#[derive(Args, Debug)]
pub(crate) struct ModelArgs {
    /// A folder in Hugging Face layout, a repository id in the local cache, or `demo`, the embedded model
    #[arg(value_name = "MODEL")]
    pub(crate) model: String,
    /// Commit, branch or tag of a repository
    #[arg(long, value_name = "REVISION")]
    pub(crate) revision: Option<String>,
    /// How weights are kept: this version only knows `stored`
    #[arg(long, value_enum, default_value_t, value_name = "TYPE")]
    pub(crate) weights: WeightsArg,
    /// Type of the arithmetic: this version only knows `f32`
    #[arg(long, value_enum, default_value_t, value_name = "TYPE")]
    pub(crate) compute: ComputeArg,
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
    /// Finds the model's folder.
    pub(crate) fn find(&self, console: &Console) -> anyhow::Result<ModelFolder> {
        let folder = ModelFolder::find(&self.model, self.revision.as_deref())?;
        if folder.is_temporary() {
            console.warning(
                "the user's cache folder cannot be written, so the embedded model is unpacked anew for this run; \
                 set XDG_CACHE_HOME to a folder that can",
            );
        }
        Ok(folder)
    }

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
        let files = ModelFiles::open(self.find(console)?)?;
        let spec = files.checkpoint.model_spec();
        console.detail(&format!(
            "model: {} ({}, {} layers, {} experts, top-{})",
            files.folder.name, spec.family, spec.num_layers, spec.num_experts, spec.top_k
        ));
        Ok((files, choice))
    }

    /// Opens and loads the model.
    pub(crate) fn load(
        &self,
        global: &GlobalArgs,
        console: &Console,
    ) -> anyhow::Result<LoadedModel> {
        let (files, choice) = self.open(global, console)?;
        let device = devices::open(choice, console)?;
        console.report(0, 0, "loading weights")?;
        Ok(files.load(device, console)?)
    }
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

/// How a text becomes what the model reads.
#[derive(Args, Debug)]
#[command(next_help_heading = "Prompt")]
pub(crate) struct PromptArgs {
    /// Make each text the user's message, by the model's chat template
    #[arg(long)]
    pub(crate) chat: bool,
    /// Instructions before the user's message
    #[arg(long, value_name = "TEXT", requires = "chat")]
    pub(crate) system: Option<String>,
    /// The date for templates that ask for one, like 2024-07-26 [default: today in UTC]
    #[arg(long, value_name = "DATE", requires = "chat")]
    pub(crate) chat_date: Option<String>,
}

impl PromptArgs {
    /// Reads the options.
    pub(crate) fn config(&self) -> anyhow::Result<PromptConfig> {
        let date = self.chat_date.as_deref().map(ChatClock::midnight);
        let chat = ChatConfig {
            system: self.system.clone(),
            date: date.transpose()?,
        };
        Ok(PromptConfig {
            chat: self.chat.then_some(chat),
            ..PromptConfig::default()
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
