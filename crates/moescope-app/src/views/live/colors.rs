//! What the colours of tokens stand for: a quantity, its range, and its number.

use std::sync::Arc;

use moescope_analytics::{LabelPreference, LabelReference};
use moescope_figures::{
    palette::{self, Rgb},
    short_number,
};
use moescope_pipeline::session::LiveColumns;

use crate::{
    lives::{ChipColor, LiveChoice},
    view::ViewContext,
};

/// Margins span three decades, so that near ties are told apart.
const MARGIN_DECADES: f64 = 3.0;
const LEAST_MARGIN: f64 = 1e-3;
/// From here on all surprisals have one colour, in nats.
const MOST_SURPRISAL: f64 = 10.0;
/// From here on all agreements have one colour, in bits.
const MOST_AGREEMENT: f64 = 2.0;

/// What colours mean.
pub(super) enum Legend {
    /// A colour for each of the first experts.
    Experts {
        /// How many colours there are.
        colors: usize,
        /// Whether further experts have the same colours again.
        repeats: bool,
    },
    /// A bar from low to high.
    Bar {
        /// The colour at a share of the bar.
        color: fn(f64) -> Rgb,
        /// Where it begins.
        low: String,
        /// Where it ends, with the unit.
        high: String,
    },
}

/// What the colour and the number of any token of a line follow from, beside the token.
#[derive(Debug, Default)]
pub(super) struct Coloring {
    color: ChipColor,
    layer: usize,
    reference: Option<Arc<LabelReference>>,
    label: String,
}

impl PartialEq for Coloring {
    fn eq(&self, other: &Self) -> bool {
        let of = |coloring: &Self| coloring.reference.as_ref().map(Arc::as_ptr);
        self.color == other.color
            && self.layer == other.layer
            && of(self) == of(other)
            && self.label == other.label
    }
}

/// What colours tokens, and the number that is written under each.
pub(super) struct Colors<'a> {
    columns: &'a LiveColumns,
    color: ChipColor,
    /// The layer's place.
    layer: usize,
    layer_words: String,
    /// What the label's documents prefer, where they are of the same routers.
    preference: Option<LabelPreference<'a>>,
    reference: Option<&'a Arc<LabelReference>>,
    label: String,
}

impl<'a> Colors<'a> {
    pub(super) fn new(
        ctx: &ViewContext<'a>,
        columns: &'a LiveColumns,
        choice: &LiveChoice,
    ) -> Self {
        let layers = columns.layers();
        let layer = choice.layer_place(layers);
        let label = ctx.state.lives.label(choice).unwrap_or_default().to_owned();
        let reference = ctx.state.lives.reference.value();
        let alike = reference.filter(|of| of.has_routers(layers, columns.num_experts()));
        Self {
            preference: alike.and_then(|reference| reference.preference(&label)),
            reference,
            layer_words: layers
                .get(layer)
                .map_or_else(String::new, |l| format!("at layer {l}")),
            columns,
            color: choice.color,
            layer,
            label,
        }
    }

    /// What tokens' colours and numbers follow from.
    pub(super) fn coloring(&self) -> Coloring {
        Coloring {
            color: self.color,
            layer: self.layer,
            reference: self.reference.cloned(),
            label: self.label.clone(),
        }
    }

    /// What the number under a token is.
    pub(super) fn words(&self) -> String {
        match self.color {
            ChipColor::TopExpert => format!("top expert {}", self.layer_words),
            ChipColor::Entropy => format!("routing entropy in nats {}", self.layer_words),
            ChipColor::Margin => format!("margin {}", self.layer_words),
            ChipColor::Surprisal => "surprisal in nats".to_owned(),
            ChipColor::Agreement => format!("agreement with {} in bits", self.label),
        }
    }

    /// What that quantity is.
    pub(super) fn explained(&self) -> &'static str {
        match self.color {
            ChipColor::TopExpert => "the one with the largest weight",
            ChipColor::Entropy => "the entropy of the router's scores over all experts",
            ChipColor::Margin => "the score of the last chosen expert minus the runner-up's",
            ChipColor::Surprisal => "how unexpected the token was",
            ChipColor::Agreement => {
                "how much more its documents use these experts than even routing would"
            }
        }
    }

    /// A token's colour, where its quantity is known, and its number.
    pub(super) fn of(&self, token: usize) -> (Option<Rgb>, String) {
        let number = |value: f32, share: f64| {
            let color = palette::sequential(share.clamp(0.0, 1.0));
            (Some(color), short_number(f64::from(value)))
        };
        let none = (None, "—".to_owned());
        match self.color {
            ChipColor::TopExpert => {
                let expert = self.columns.experts(token, self.layer)[0];
                let color = palette::category(usize::from(expert)).color;
                (Some(color), expert.to_string())
            }
            ChipColor::Entropy => {
                let entropy = self.columns.entropy(token, self.layer);
                number(entropy, f64::from(entropy) / self.most_entropy())
            }
            ChipColor::Margin => self
                .columns
                .margin(token, self.layer)
                .map_or(none, |margin| {
                    let share = 1.0 + f64::from(margin).max(LEAST_MARGIN).log10() / MARGIN_DECADES;
                    number(margin, share)
                }),
            ChipColor::Surprisal => self.columns.tokens()[token]
                .surprisal
                .map_or(none, |nats| number(nats, f64::from(nats) / MOST_SURPRISAL)),
            ChipColor::Agreement => self.agreement(token).map_or(none, |bits| {
                let share = 0.5 + 0.5 * bits / MOST_AGREEMENT;
                let color = palette::diverging(share.clamp(0.0, 1.0));
                (Some(color), format!("{bits:+.1}"))
            }),
        }
    }

    /// What the colours mean.
    pub(super) fn legend(&self) -> Legend {
        let bar = |low: String, high: String| Legend::Bar {
            color: palette::sequential,
            low,
            high,
        };
        match self.color {
            ChipColor::TopExpert => {
                let experts = self.columns.num_experts();
                let first = palette::category(0).color;
                let period = (1..experts).find(|expert| palette::category(*expert).color == first);
                Legend::Experts {
                    colors: period.unwrap_or(experts),
                    repeats: period.is_some(),
                }
            }
            ChipColor::Entropy => bar(
                "0".to_owned(),
                format!("{} nats", short_number(self.most_entropy())),
            ),
            ChipColor::Margin => bar(
                format!("{} or less", short_number(LEAST_MARGIN)),
                "1 or more, on a logarithmic scale".to_owned(),
            ),
            ChipColor::Surprisal => bar(
                "0".to_owned(),
                format!("{} nats or more", short_number(MOST_SURPRISAL)),
            ),
            ChipColor::Agreement => Legend::Bar {
                color: palette::diverging,
                low: format!("−{} or less", short_number(MOST_AGREEMENT)),
                high: format!("+{} bits or more", short_number(MOST_AGREEMENT)),
            },
        }
    }

    /// How much a token's routing agrees with the label, in bits.
    fn agreement(&self, token: usize) -> Option<f64> {
        self.preference?.mean_bits(self.columns.chosen().of(token))
    }

    /// Entropy of a router that is indifferent, in nats.
    fn most_entropy(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a count of experts")]
        let experts = self.columns.num_experts() as f64;
        experts.ln().max(1e-9)
    }
}
