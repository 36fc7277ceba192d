//! Options that several verbs share.

use anyhow::bail;
use clap::{Args, ValueEnum};
use moescope_core::Progress as _;
use moescope_engine::{
    ChatClock, Checkpoint, ComputeDevice, ComputeType, DeviceChoice, Intervention, LoadOptions,
    SamplingConfig, WeightType,
};
use moescope_pipeline::{
    ChatConfig, Download, LoadedModel, ModelFiles, ModelFolder, PassSize, PromptConfig,
    check_memory, left_as_stored,
};

use crate::{cli::GlobalArgs, console::Console, devices};

/// Which model, and how it is computed.
#[derive(Args, Debug)]
pub(crate) struct ModelArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) precision: PrecisionArgs,
}

/// How a model is kept and computed.
#[derive(Args, Debug)]
pub(crate) struct PrecisionArgs {
    /// How attention, experts, dense layers and head are kept; routers, norms and embeddings stay as stored
    ///
    /// q8 takes 8.5 bits a weight, q4 takes 4.5 (the blocks of ggml's `Q8_0` and `Q4_0`). `compare-weights` measures what
    /// that does to routing.
    #[arg(long, value_enum, default_value_t, value_name = "TYPE")]
    pub(crate) weights: WeightsArg,
    /// Type of the numbers that are multiplied with weights: f32 for fidelity, bf16 for speed (CPU only; with AVX2 alone
    /// or VNNI, q8 and q4 meet 16-bit integers instead)
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
    #[command(flatten)]
    pub(crate) hub: HubArgs,
}

/// Where a repository may come from.
#[derive(Args, Debug)]
pub(crate) struct HubArgs {
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
        self.hub.find(&self.model, console)
    }

    /// Opens the model's files and reads the choice of device.
    pub(crate) fn open(
        &self,
        global: &GlobalArgs,
        console: &Console,
    ) -> anyhow::Result<(ModelFiles, DeviceChoice)> {
        let choice = devices::choice(global)?;
        let files = ModelFiles::open(self.find(console)?)?;
        let spec = files.checkpoint.model_spec();
        console.detail(&format!(
            "model: {} ({}, {} layers, {} experts, top-{})",
            files.folder.name, spec.family, spec.num_layers, spec.num_experts, spec.top_k
        ));
        Ok((files, choice))
    }
}

impl HubArgs {
    /// Finds a model's folder, and downloads it where that is allowed.
    pub(crate) fn find(&self, model: &str, console: &Console) -> anyhow::Result<ModelFolder> {
        let download = match (self.download, self.offline) {
            (true, _) => Download::Allowed,
            (_, true) => Download::Forbidden,
            _ => Download::NotAsked,
        };
        let folder = ModelFolder::obtain(model, self.revision.as_deref(), download, console)?;
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

impl From<WeightsArg> for WeightType {
    fn from(arg: WeightsArg) -> Self {
        match arg {
            WeightsArg::Stored => Self::Stored,
            WeightsArg::Q8 => Self::Q8,
            WeightsArg::Q4 => Self::Q4,
        }
    }
}

impl From<ComputeArg> for ComputeType {
    fn from(arg: ComputeArg) -> Self {
        match arg {
            ComputeArg::F32 => Self::F32,
            ComputeArg::Bf16 => Self::Bf16,
        }
    }
}

impl PrecisionArgs {
    /// How the model is loaded.
    pub(crate) fn options(&self) -> LoadOptions {
        LoadOptions {
            weights: self.weights.into(),
            compute: self.compute.into(),
            ..LoadOptions::default()
        }
    }
}

impl ModelArgs {
    /// How the model is loaded.
    pub(crate) fn options(&self) -> LoadOptions {
        self.precision.options()
    }

    /// Opens the model's files and reads the choice of device.
    pub(crate) fn open(
        &self,
        global: &GlobalArgs,
        console: &Console,
    ) -> anyhow::Result<(ModelFiles, DeviceChoice)> {
        self.source.open(global, console)
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
        check_fit(&files.checkpoint, &device, self.options(), &pass, console)?;
        console.report(0, 0, "loading weights")?;
        Ok(files.load(device, self.options(), console)?)
    }
}

/// Refuses what the device's memory cannot hold before a weight is touched, and warns of what will be slow, and of
/// weights that cannot be kept as asked.
pub(crate) fn check_fit(
    checkpoint: &Checkpoint,
    device: &ComputeDevice,
    options: LoadOptions,
    pass: &PassSize,
    console: &Console,
) -> anyhow::Result<()> {
    if let Some(warning) = left_as_stored(checkpoint, options.weights)? {
        console.warning(&warning);
    }
    if let Some(warning) = check_memory(checkpoint, device, options.weights, pass)? {
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
    /// Change the routing: mask:LAYERS:EXPERTS, boost=X:LAYERS:EXPERTS, force:LAYERS:EXPERTS, swap:LAYERS:A=B,
    /// zero:LAYERS:EXPERTS (chosen as ever, adding nothing); may be given more than once
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
