//! What a capture would run, option by option as `moescope capture` has them.

use std::path::PathBuf;

use moescope_core::{CoreError, LayerSelection};
use moescope_engine::{
    ChatClock, ComputeType, DeviceChoice, EngineError, Intervention, LoadOptions, SamplingConfig,
    WeightType,
};
use moescope_pipeline::{
    CaptureConfig, ChatConfig, Columns, DataConfig, EmbeddedFile, OnBadRow, PipelineError,
    PromptConfig, demo::held_out_for,
};
use moescope_trace::OverlongPolicy;
use serde::{Deserialize, Serialize};

use crate::{captures::beside, command_line};

/// What the Capture view would run. What is typed is kept as it was typed; [`Self::config`] reads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own that a user turns on or off"
)]
pub struct CaptureChoice {
    /// The model: `demo`, a folder, or a repository in the local cache.
    pub model: String,
    /// The files with the texts.
    pub files: Vec<PathBuf>,
    /// A text that was typed or pasted, in place of files.
    pub text: String,
    /// The label of that text.
    pub text_label: String,
    /// Where the files have texts and labels, and what becomes of bad records.
    pub columns: ColumnsChoice,
    /// The trace's folder.
    pub out: PathBuf,
    /// At most this many documents of each discipline; 0 for all.
    pub limit: usize,
    /// Longest text in tokens; 0 for the model's context, less what is generated.
    pub max_tokens: usize,
    /// What becomes of longer ones.
    pub overlong: OverlongPolicy,
    /// Tokens to generate after each document.
    pub generate: usize,
    /// The temperature of generated tokens; 0 is greedy.
    pub temperature: f32,
    /// Draw only from so many of the most likely tokens; 0 for all.
    pub top_k: usize,
    /// Draw only from the most likely tokens that together have this probability.
    pub top_p: f32,
    /// Seed of the draws.
    pub seed: u64,
    /// Whether each text is the user's message in a conversation.
    pub is_chat: bool,
    /// The instructions before it.
    pub system: String,
    /// The date for templates that ask for one, like 2024-07-26; today where it is empty.
    pub chat_date: String,
    /// Whether texts of the disciplines `smiles` and `protein` are wrapped in `SciDFM`'s marks.
    pub wraps_science_units: bool,
    /// Whether router logits are kept.
    pub keeps_logits: bool,
    /// Whether numbers keep all their bits.
    pub is_full_precision: bool,
    /// Whether surprisal and predictions are recorded.
    pub records_surprisal: bool,
    /// The layers to record, like `0,5-8`; all where it is empty.
    pub layers: String,
    /// Tokens that go through the model together; 0 for what suits the device.
    pub batch_tokens: u32,
    /// Decisions after which a file of the trace is cut; 0 for the usual number.
    pub shard_decisions: u64,
    /// Changes to routing, as the command line writes them.
    pub interventions: Vec<String>,
    /// The seed of routers with random weights, the baseline for what routers learned.
    pub untrained_routers: Option<u64>,
    /// How weights are kept.
    pub weights: WeightType,
    /// The type of the arithmetic.
    pub compute: ComputeType,
    /// Where to compute, as `--device` has it; where the app was told to, if it is empty.
    pub device: String,
    /// Whether what is in the folder is continued.
    pub resumes: bool,
}

/// Where files have texts and labels; an empty name stands for the usual one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ColumnsChoice {
    /// The column of the text.
    pub text: String,
    /// The column of the discipline.
    pub discipline: String,
    /// The column of the unique id.
    pub id: String,
    /// The column of the parent document, the unit of resampling.
    pub group: String,
    /// Where a record has no group: its id up to this sign is the group.
    pub group_before: String,
    /// The column of the kind of text.
    pub genre: String,
    /// Further columns to keep as labels, with commas between them.
    pub keep: String,
    /// Whether records that cannot be used are left out instead of refusing all.
    pub skips_bad_rows: bool,
}

impl CaptureChoice {
    /// The embedded texts that an ablation reads: where no files were chosen, and only for the embedded model.
    pub(crate) fn held_out(&self) -> Option<&'static [EmbeddedFile]> {
        if self.files.is_empty() {
            held_out_for(&self.model)
        } else {
            None
        }
    }

    /// What a capture is configured with; a typed text is read from the file that is kept beside the trace.
    ///
    /// # Errors
    /// When there is no text or no folder, or an option cannot be read.
    pub fn config(&self) -> Result<CaptureConfig, PipelineError> {
        let missing = |what: &str| Err(PipelineError::Settings(what.to_owned()));
        let files = match (self.files.is_empty(), self.text.trim().is_empty()) {
            (false, _) => self.files.clone(),
            (true, false) => vec![beside(&self.out)],
            (true, true) => {
                return missing("there is nothing to capture; choose files, or type a text");
            }
        };
        if self.out.as_os_str().is_empty() {
            return missing("the capture needs a folder for its trace");
        }
        Ok(CaptureConfig {
            data: DataConfig {
                files,
                limit: (self.limit > 0).then_some(self.limit),
                ..self.data()
            },
            prompt: self.prompt()?,
            out: self.out.clone(),
            max_tokens: (self.max_tokens > 0).then_some(self.max_tokens),
            overlong: self.overlong,
            generate: self.generate,
            sampling: self.sampling(),
            keeps_logits: self.keeps_logits,
            is_full_precision: self.is_full_precision,
            records_surprisal: self.records_surprisal,
            layers: self.layers()?,
            interventions: self.interventions()?,
            batch_tokens: (self.batch_tokens > 0).then_some(self.batch_tokens as usize),
            shard_decisions: (self.shard_decisions > 0).then_some(self.shard_decisions),
            resumes: self.resumes,
            ..CaptureConfig::default()
        })
    }

    /// Which columns of the chosen files are read, and how; a typed text has its own.
    pub(crate) fn data(&self) -> DataConfig {
        if self.files.is_empty() {
            DataConfig::default()
        } else {
            self.columns.data()
        }
    }

    /// How the model is loaded.
    #[must_use]
    pub fn load_options(&self) -> LoadOptions {
        LoadOptions {
            weights: self.weights,
            compute: self.compute,
            untrained_routers: self.untrained_routers,
        }
    }

    /// Where to compute; `usual` where nothing was chosen.
    ///
    /// # Errors
    /// When what was typed is no device.
    pub fn device_choice(&self, usual: DeviceChoice) -> Result<DeviceChoice, EngineError> {
        match self.device.trim() {
            "" => Ok(usual),
            typed => typed.parse(),
        }
    }

    /// The `moescope capture …` line that makes the same trace. A typed text must be in its file before it is run.
    ///
    /// # Errors
    /// Says what has to be chosen first.
    pub fn command_line(&self, usual: DeviceChoice) -> Result<String, &'static str> {
        command_line::capture(self, usual)
    }

    /// What has to be chosen or mended before this can be planned; `None` where nothing has to.
    pub(crate) fn missing(&self, usual: DeviceChoice) -> Option<String> {
        let told = if self.model.trim().is_empty() {
            "Choose a model"
        } else if self.files.is_empty() && self.text.trim().is_empty() {
            "Choose files, or type a text"
        } else if self.out.as_os_str().is_empty() {
            "Choose a folder for the trace"
        } else {
            let device = self.device_choice(usual).err();
            let device = device.map(|error| error.to_string());
            return device.or_else(|| Some(self.config().err()?.to_string()));
        };
        Some(told.to_owned())
    }

    /// The layers to record.
    ///
    /// # Errors
    /// When what was typed is no list of layers.
    pub(crate) fn layers(&self) -> Result<LayerSelection, CoreError> {
        match self.layers.trim() {
            "" => Ok(LayerSelection::All),
            typed => typed.parse(),
        }
    }

    /// The date that templates are told; `None` for today.
    ///
    /// # Errors
    /// When what was typed is no date.
    pub(crate) fn chat_clock(&self) -> Result<Option<ChatClock>, EngineError> {
        named(&self.chat_date)
            .map(|date| ChatClock::midnight(&date))
            .transpose()
    }

    fn interventions(&self) -> Result<Vec<Intervention>, EngineError> {
        self.interventions.iter().map(|spec| spec.parse()).collect()
    }

    fn prompt(&self) -> Result<PromptConfig, EngineError> {
        let chat = ChatConfig {
            system: (!self.system.trim().is_empty()).then(|| self.system.clone()),
            date: if self.is_chat {
                self.chat_clock()?
            } else {
                None
            },
        };
        Ok(PromptConfig {
            chat: self.is_chat.then_some(chat),
            wraps_science_units: self.wraps_science_units,
        })
    }

    /// How tokens are drawn; as usual where none are.
    fn sampling(&self) -> SamplingConfig {
        if self.generate == 0 {
            return SamplingConfig::default();
        }
        SamplingConfig {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            seed: self.seed,
        }
    }
}

impl ColumnsChoice {
    /// Which columns are read, and how; no files yet.
    fn data(&self) -> DataConfig {
        DataConfig {
            columns: Columns {
                text: named(&self.text),
                discipline: named(&self.discipline),
                id: named(&self.id),
                group: named(&self.group),
                // A space can be the sign.
                group_before: (!self.group_before.is_empty()).then(|| self.group_before.clone()),
                genre: named(&self.genre),
            },
            keep_columns: self.kept(),
            on_bad_row: if self.skips_bad_rows {
                OnBadRow::Skip
            } else {
                OnBadRow::Error
            },
            ..DataConfig::default()
        }
    }

    /// The further columns that are kept.
    fn kept(&self) -> Vec<String> {
        self.keep.split(',').filter_map(named).collect()
    }
}

/// A name as it was meant; `None` where nothing was typed.
fn named(typed: &str) -> Option<String> {
    let name = typed.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

impl Default for CaptureChoice {
    fn default() -> Self {
        Self {
            model: "demo".to_owned(),
            files: Vec::new(),
            text: String::new(),
            text_label: String::new(),
            columns: ColumnsChoice::default(),
            out: PathBuf::new(),
            limit: 0,
            max_tokens: 0,
            overlong: OverlongPolicy::default(),
            generate: 0,
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            seed: 0,
            is_chat: false,
            system: String::new(),
            chat_date: String::new(),
            wraps_science_units: false,
            keeps_logits: false,
            is_full_precision: false,
            records_surprisal: true,
            layers: String::new(),
            batch_tokens: 0,
            shard_decisions: 0,
            interventions: Vec::new(),
            untrained_routers: None,
            weights: WeightType::default(),
            compute: ComputeType::default(),
            device: String::new(),
            resumes: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_an_older_version_are_read_with_the_usual_options() {
        let old = r#"{"model": "mine", "generate": 5, "temperature": 0.5, "seed": 3}"#;
        let choice: CaptureChoice = serde_json::from_str(old).unwrap();
        let expected = CaptureChoice {
            model: "mine".into(),
            generate: 5,
            temperature: 0.5,
            seed: 3,
            ..CaptureChoice::default()
        };
        assert_eq!(choice, expected);
        assert!(choice.records_surprisal && choice.top_p >= 1.0);
    }

    #[test]
    fn what_is_typed_is_read_as_the_command_line_reads_it() {
        let typed = CaptureChoice {
            files: vec!["papers.csv".into()],
            out: "trace".into(),
            layers: " 0,5-8 ".into(),
            interventions: vec!["mask:2:1".into()],
            columns: ColumnsChoice {
                keep: "year, journal,".into(),
                ..ColumnsChoice::default()
            },
            ..CaptureChoice::default()
        };
        let config = typed.config().unwrap();
        let layers: LayerSelection = "0,5-8".parse().unwrap();
        let mask: Intervention = "mask:2:1".parse().unwrap();
        assert_eq!(config.layers, layers);
        assert_eq!(config.interventions, [mask]);
        assert_eq!(config.data.keep_columns, ["year", "journal"]);
        // A typed text has no columns but its own.
        let pasted = CaptureChoice {
            files: Vec::new(),
            text: "a text".into(),
            ..typed.clone()
        };
        let config = pasted.config().unwrap();
        assert_eq!(config.data.files, [beside(&typed.out)]);
        assert!(config.data.keep_columns.is_empty());
        let check = |change: fn(&mut CaptureChoice), expected: &str| {
            let mut choice = typed.clone();
            change(&mut choice);
            let told = choice.config().unwrap_err().to_string();
            assert!(told.contains(expected), "{told} lacks {expected}");
        };
        check(|choice| choice.layers = "5-".into(), "5-");
        check(|choice| choice.interventions.push("hide:1".into()), "hide");
        check(|choice| choice.files.clear(), "nothing to capture");
        check(|choice| choice.out = PathBuf::new(), "a folder");
        check(
            |choice| {
                choice.is_chat = true;
                choice.chat_date = "yesterday".into();
            },
            "yesterday",
        );
        assert_eq!(
            typed.device_choice(DeviceChoice::Cpu).unwrap(),
            DeviceChoice::Cpu
        );
        let elsewhere = CaptureChoice {
            device: "toaster".into(),
            ..typed
        };
        assert!(elsewhere.device_choice(DeviceChoice::Cpu).is_err());
    }
}
