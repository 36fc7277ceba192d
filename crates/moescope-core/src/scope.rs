//! Which decisions a measurement counts.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{CoreError, LabelFilter, LayerId, Phase, PositionSelection, ranges};

/// The decisions to measure. The default is prefill only, at all positions, without special or template tokens, all layers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scope {
    /// Layers, in the model's numbering.
    pub layers: LayerSelection,
    /// Prefill, decode, or both.
    pub phase: PhaseSelection,
    /// Positions of tokens in their document; the profiles know none.
    pub positions: PositionSelection,
    /// Whether special and template tokens count; they never do in the profiles.
    pub include_special: bool,
    /// Only documents with these labels; empty means all.
    pub labels: Vec<String>,
    /// Only documents that have one of the labels of every filter, whatever they are compared by; none means all.
    pub only: Vec<LabelFilter>,
    /// Whether each token or each document has the same weight.
    pub weighting: Weighting,
}

impl Scope {
    /// The scope in words, as every result prints it.
    #[must_use]
    pub fn describe(&self) -> String {
        let special = if self.include_special {
            "special tokens included"
        } else {
            "special and template tokens excluded"
        };
        let labels = if self.labels.is_empty() {
            String::new()
        } else {
            format!(", only {}", self.labels.join(", "))
        };
        let filters: Vec<String> = self.only.iter().map(LabelFilter::describe).collect();
        let only = if filters.is_empty() {
            String::new()
        } else {
            format!(", only where {}", filters.join(" and "))
        };
        let positions = if self.positions.is_all() {
            String::new()
        } else {
            format!(", positions {}", self.positions)
        };
        format!(
            "{}{positions}, routed tokens, {special}, layers {}, {} weighting{labels}{only}",
            self.phase, self.layers, self.weighting
        )
    }
}

/// What has equal weight in a mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weighting {
    /// Each token (long documents count more).
    #[default]
    Token,
    /// Each document.
    Document,
}

impl fmt::Display for Weighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token => "token",
            Self::Document => "document",
        })
    }
}

/// Prefill, decode, or both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PhaseSelection {
    /// Given text.
    #[default]
    Prefill,
    /// Generated text.
    Decode,
    /// Both.
    All,
}

impl PhaseSelection {
    /// Whether a decision of this phase counts.
    #[must_use]
    pub fn contains(self, phase: Phase) -> bool {
        match self {
            Self::Prefill => phase == Phase::Prefill,
            Self::Decode => phase == Phase::Decode,
            Self::All => true,
        }
    }

    /// One word, which reads back as the same selection: `prefill`, `decode` or `all`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Prefill => "prefill",
            Self::Decode => "decode",
            Self::All => "all",
        }
    }
}

impl fmt::Display for PhaseSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "prefill and decode",
            one => one.name(),
        })
    }
}

impl FromStr for PhaseSelection {
    type Err = CoreError;

    fn from_str(text: &str) -> Result<Self, CoreError> {
        match text {
            "prefill" => Ok(Self::Prefill),
            "decode" => Ok(Self::Decode),
            "all" => Ok(Self::All),
            other => Err(CoreError::Phase(other.to_owned())),
        }
    }
}

/// A set of layers such as `all` or `0,5-8`, in the model's numbering.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LayerSelection {
    /// Every MoE layer.
    #[default]
    All,
    /// Inclusive ranges.
    Ranges(Vec<(u16, u16)>),
}

impl LayerSelection {
    /// Whether the layer is in the set.
    #[must_use]
    pub fn contains(&self, layer: LayerId) -> bool {
        match self {
            Self::All => true,
            Self::Ranges(ranges) => ranges::contain(ranges, layer.0),
        }
    }
}

impl FromStr for LayerSelection {
    type Err = CoreError;

    fn from_str(text: &str) -> Result<Self, CoreError> {
        if text.trim() == "all" {
            return Ok(Self::All);
        }
        let ranges = ranges::parse(text, None).map_err(|part| CoreError::LayerSelection {
            found: text.to_owned(),
            part: part.to_owned(),
        })?;
        Ok(Self::Ranges(ranges))
    }
}

impl fmt::Display for LayerSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Ranges(ranges) => f.write_str(&ranges::to_text(ranges, None)),
        }
    }
}

impl TryFrom<String> for LayerSelection {
    type Error = CoreError;

    fn try_from(text: String) -> Result<Self, CoreError> {
        text.parse()
    }
}

impl From<LayerSelection> for String {
    fn from(selection: LayerSelection) -> Self {
        selection.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_told_with_its_filters_and_old_ones_are_read() {
        let plain = Scope::default().describe();
        let scope = Scope {
            labels: vec!["chemistry".into()],
            only: vec![
                "genre=abstract,review".parse().unwrap(),
                "source=arxiv".parse().unwrap(),
            ],
            ..Scope::default()
        };
        assert_eq!(
            scope.describe(),
            format!(
                "{plain}, only chemistry, only where genre is abstract or review and source is arxiv"
            )
        );
        let text = serde_json::to_string(&scope).unwrap();
        assert_eq!(serde_json::from_str::<Scope>(&text).unwrap(), scope);
        let old: Scope = serde_json::from_str(r#"{"labels": ["law"]}"#).unwrap();
        assert_eq!(
            old,
            Scope {
                labels: vec!["law".into()],
                ..Scope::default()
            }
        );
    }

    #[test]
    fn positions_are_told_where_not_all_count() {
        let plain = Scope::default();
        assert!(!plain.describe().contains("position"));
        let scope = Scope {
            positions: "0,16-".parse().unwrap(),
            ..Scope::default()
        };
        assert_eq!(
            scope.describe(),
            plain
                .describe()
                .replacen("prefill", "prefill, positions 0,16-", 1)
        );
        let text = serde_json::to_string(&scope).unwrap();
        assert!(text.contains(r#""positions":"0,16-""#), "{text}");
        assert_eq!(serde_json::from_str::<Scope>(&text).unwrap(), scope);
    }

    #[test]
    fn a_phase_is_read_by_its_name() {
        for phase in [
            PhaseSelection::Prefill,
            PhaseSelection::Decode,
            PhaseSelection::All,
        ] {
            assert_eq!(phase.name().parse::<PhaseSelection>().unwrap(), phase);
        }
    }

    #[test]
    fn layer_lists_read_and_print() {
        let layers: LayerSelection = "0, 5-8".parse().unwrap();
        assert_eq!(layers.to_string(), "0,5-8");
        assert!(layers.contains(LayerId(6)) && !layers.contains(LayerId(4)));
        assert!("8-5".parse::<LayerSelection>().is_err());
        assert!("5-".parse::<LayerSelection>().is_err());
        assert!("".parse::<LayerSelection>().is_err());
        assert!("a".parse::<LayerSelection>().is_err());
        assert_eq!(
            "all".parse::<LayerSelection>().unwrap(),
            LayerSelection::All
        );
    }
}
