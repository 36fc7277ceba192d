//! What the user chose for live generation; plain values, so that undo can step through them.

use std::path::PathBuf;

use egui::Key;
use moescope_core::LayerId;
use moescope_engine::{Intervention, SamplingConfig};
use moescope_figures::ColorScale;
use moescope_pipeline::{ChatConfig, PromptConfig, session::StartConfig};
use serde::{Deserialize, Serialize};

/// Keys that choose the layer of the tokens' colours, and how many layers down they go.
pub(crate) const LAYER_KEYS: [(Key, isize); 2] = [(Key::OpenBracket, -1), (Key::CloseBracket, 1)];

/// What the Live, Token and Intervene views use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LiveChoice {
    /// The text to continue, or the user's message.
    pub prompt: String,
    /// Whether it is a message in a conversation.
    pub is_chat: bool,
    /// The instructions before it.
    pub system: String,
    /// The user's next message, as far as it is typed.
    pub next_message: String,
    /// Divides the logits; 0 always takes the most likely token.
    pub temperature: f32,
    /// Draw only from so many; 0 for all.
    pub top_k: usize,
    /// Draw only from the most likely that together have this probability.
    pub top_p: f32,
    /// Seed of the draws.
    pub seed: u64,
    /// Tokens that one press of Start or Continue draws at most.
    pub max_tokens: usize,
    /// What colours the tokens.
    pub color: ChipColor,
    /// The layer that colours them; the last MoE layer where there is none of this number.
    pub layer: Option<LayerId>,
    /// What the heat map shows.
    pub picture: PictureChoice,
    /// Tokens of the picture of the last ones.
    pub last: usize,
    /// The label that replies are compared with; the first one where there is none of this name.
    pub label: Option<String>,
    /// How values of the picture become colours.
    pub scale: ColorScale,
    /// What a click on a cell of the Intervene view does.
    pub action: CellAction,
    /// What is added to a score by a boost.
    pub boost: f32,
    /// The expert that takes the place of a swapped one.
    pub swap_with: u16,
    /// The interventions that are chosen, as the command line writes them.
    pub interventions: Vec<String>,
    /// Which numbers stand under the texts of Intervene.
    pub numbers: NumbersChoice,
    /// How many experts of like load an ablation compares with.
    pub controls: usize,
    /// At most this many texts of each label are used by an ablation; 0 for all.
    pub ablate_limit: usize,
    /// The folder in which lines are kept as traces; beside captures where it is empty.
    pub kept_in: PathBuf,
}

impl Default for LiveChoice {
    fn default() -> Self {
        Self {
            prompt: "The enzyme lowers the activation energy of".to_owned(),
            is_chat: false,
            system: String::new(),
            next_message: String::new(),
            temperature: 0.8,
            top_k: 0,
            top_p: 1.0,
            seed: 1,
            max_tokens: 128,
            color: ChipColor::default(),
            layer: None,
            picture: PictureChoice::default(),
            last: 32,
            label: None,
            scale: ColorScale::Auto,
            action: CellAction::default(),
            boost: 2.0,
            swap_with: 0,
            interventions: Vec::new(),
            numbers: NumbersChoice::default(),
            controls: 7,
            ablate_limit: 8,
            kept_in: PathBuf::new(),
        }
    }
}

/// What colours a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChipColor {
    /// The heaviest expert at a layer.
    #[default]
    TopExpert,
    /// Entropy of the router at a layer.
    Entropy,
    /// How close the best expert that was left out came, at a layer.
    Margin,
    /// How unexpected the token was.
    Surprisal,
    /// How much more a label's documents use its experts than an indifferent router would, over all layers.
    Agreement,
}

impl ChipColor {
    /// All of them, in order.
    pub const ALL: [Self; 5] = [
        Self::TopExpert,
        Self::Entropy,
        Self::Margin,
        Self::Surprisal,
        Self::Agreement,
    ];

    /// Its name on the screen.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::TopExpert => "Top expert",
            Self::Entropy => "Routing entropy",
            Self::Margin => "Margin",
            Self::Surprisal => "Surprisal",
            Self::Agreement => "Agreement with a label",
        }
    }

    /// Whether it is a number of one layer.
    #[must_use]
    pub fn has_layer(self) -> bool {
        matches!(self, Self::TopExpert | Self::Entropy | Self::Margin)
    }
}

/// What the heat map shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PictureChoice {
    /// The token that is chosen, or the last one.
    Token,
    /// The last tokens.
    Last,
    /// The whole reply.
    #[default]
    Reply,
    /// The reply minus the prompt.
    MinusPrompt,
    /// The reply minus a label's documents.
    MinusLabel,
}

impl PictureChoice {
    /// All of them, in order.
    pub const ALL: [Self; 5] = [
        Self::Token,
        Self::Last,
        Self::Reply,
        Self::MinusPrompt,
        Self::MinusLabel,
    ];

    /// Its name on the screen.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Token => "This token",
            Self::Last => "Last tokens",
            Self::Reply => "Whole reply",
            Self::MinusPrompt => "Reply − prompt",
            Self::MinusLabel => "Reply − label",
        }
    }
}

/// What is measured of interventions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumbersChoice {
    /// Their effect on the text that is shown.
    #[default]
    Effect,
    /// Whether one expert matters on held-out texts.
    Ablation,
}

/// What a click on a cell does to its expert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CellAction {
    /// Never choose it.
    #[default]
    Mask,
    /// Choose it as ever, and add nothing of it.
    Zero,
    /// Always choose it.
    Force,
    /// Add to its score.
    Boost,
    /// Send its tokens to another expert, and the other's to it.
    Swap,
}

impl CellAction {
    /// All of them, in order.
    pub const ALL: [Self; 5] = [Self::Mask, Self::Zero, Self::Force, Self::Boost, Self::Swap];

    /// Its name on the screen.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Mask => "Mask",
            Self::Zero => "Zero",
            Self::Force => "Force",
            Self::Boost => "Boost",
            Self::Swap => "Swap",
        }
    }
}

impl LiveChoice {
    /// What a session is started with.
    ///
    /// # Errors
    /// When an intervention cannot be read.
    pub(crate) fn start(&self) -> Result<StartConfig, String> {
        let chat = ChatConfig {
            system: (!self.system.trim().is_empty()).then(|| self.system.clone()),
            date: None,
        };
        Ok(StartConfig {
            prompt: self.prompt.clone(),
            framing: PromptConfig {
                chat: self.is_chat.then_some(chat),
                ..PromptConfig::default()
            },
            sampling: self.sampling(),
            stop: Vec::new(),
            interventions: self.interventions()?,
        })
    }

    /// How tokens are drawn.
    pub(crate) fn sampling(&self) -> SamplingConfig {
        SamplingConfig {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            seed: self.seed,
        }
    }

    /// The place of the layer that is looked at among a model's: the chosen one, or the last.
    pub(crate) fn layer_place(&self, layers: &[LayerId]) -> usize {
        let chosen = self
            .layer
            .and_then(|layer| layers.iter().position(|l| *l == layer));
        chosen.unwrap_or(layers.len().saturating_sub(1))
    }

    /// The same with a layer that lies further down, or up where `down` is negative.
    pub(crate) fn moved(&self, layers: &[LayerId], down: isize) -> Self {
        let last = layers.len().saturating_sub(1);
        let place = self.layer_place(layers).saturating_add_signed(down);
        Self {
            layer: layers.get(place.min(last)).copied(),
            ..self.clone()
        }
    }

    /// The interventions that are chosen.
    ///
    /// # Errors
    /// When one cannot be read.
    pub(crate) fn interventions(&self) -> Result<Vec<Intervention>, String> {
        let parse = |spec: &String| {
            spec.parse()
                .map_err(|error: moescope_engine::EngineError| error.to_string())
        };
        self.interventions.iter().map(parse).collect()
    }

    /// What an action on an expert is, as the command line writes it.
    pub(crate) fn spec(&self, action: CellAction, layer: LayerId, expert: u16) -> String {
        match action {
            CellAction::Mask => format!("mask:{layer}:{expert}"),
            CellAction::Zero => format!("zero:{layer}:{expert}"),
            CellAction::Force => format!("force:{layer}:{expert}"),
            CellAction::Boost => format!("boost={}:{layer}:{expert}", self.boost),
            CellAction::Swap => format!("swap:{layer}:{expert}={}", self.swap_with),
        }
    }

    /// Whether an action on an expert is chosen.
    pub(crate) fn has(&self, action: CellAction, layer: LayerId, expert: u16) -> bool {
        self.interventions
            .contains(&self.spec(action, layer, expert))
    }

    /// Chooses what a click on a cell does, or takes it back where it was chosen.
    pub(crate) fn toggle(&mut self, layer: LayerId, expert: u16) {
        self.toggle_as(self.action, layer, expert);
    }

    /// The same with an action that a click need not have.
    pub(crate) fn toggle_as(&mut self, action: CellAction, layer: LayerId, expert: u16) {
        let spec = self.spec(action, layer, expert);
        match self.interventions.iter().position(|known| *known == spec) {
            Some(place) => {
                self.interventions.remove(place);
            }
            None => self.interventions.push(spec),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layer_moves_from_the_last_one_and_stays_among_the_models() {
        let layers = [LayerId(1), LayerId(3), LayerId(5)];
        let choice = LiveChoice::default();
        assert_eq!(choice.moved(&layers, 1).layer, Some(LayerId(5)));
        let above = choice.moved(&layers, -1);
        assert_eq!(above.layer, Some(LayerId(3)));
        assert_eq!(above.moved(&layers, -2).layer, Some(LayerId(1)));
    }

    #[test]
    fn a_cell_is_chosen_once_and_taken_back() {
        let mut choice = LiveChoice::default();
        choice.toggle(LayerId(3), 5);
        choice.action = CellAction::Boost;
        choice.toggle(LayerId(3), 5);
        assert_eq!(choice.interventions, ["mask:3:5", "boost=2:3:5"]);
        assert_eq!(choice.interventions().unwrap().len(), 2);
        choice.action = CellAction::Mask;
        choice.toggle(LayerId(3), 5);
        assert_eq!(choice.interventions, ["boost=2:3:5"]);
        choice.toggle_as(CellAction::Zero, LayerId(3), 5);
        assert!(choice.has(CellAction::Zero, LayerId(3), 5));
        assert!(!choice.has(CellAction::Mask, LayerId(3), 5));
        assert_eq!(choice.action, CellAction::Mask, "clicks do what they did");
        choice.interventions.push("nonsense".into());
        assert!(choice.start().is_err());
    }
}
