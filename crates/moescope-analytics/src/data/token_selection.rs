//! Which tokens of every document count.

use moescope_core::{Phase, PhaseSelection, PositionSelection, Scope};

/// The tokens that count, by their phase, by whether they are content, and by where they stand; of those, the routed ones do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TokenSelection {
    /// The phases that count.
    pub(crate) phase: PhaseSelection,
    /// Whether special and template tokens count.
    pub(crate) include_special: bool,
    /// The positions that count.
    pub(crate) positions: PositionSelection,
}

impl TokenSelection {
    /// The tokens that a scope counts.
    pub(crate) fn of(scope: &Scope) -> Self {
        Self {
            phase: scope.phase,
            include_special: scope.include_special,
            positions: scope.positions.clone(),
        }
    }

    /// Content tokens of some phases, wherever they stand: what the profiles are sums of.
    pub(crate) fn content(phase: PhaseSelection) -> Self {
        Self {
            phase,
            ..Self::default()
        }
    }

    /// The phases whose profiles sum just these tokens; `None` where only the decisions can be asked.
    pub(crate) fn in_profiles(&self) -> Option<PhaseSelection> {
        (!self.include_special && self.positions.is_all()).then_some(self.phase)
    }

    /// Whether what was summed of `other` stays in memory beside what is summed of these.
    ///
    /// Positions can be chosen in any number of ways, so of chosen ones only the last stay.
    pub(crate) fn keeps(&self, other: &Self) -> bool {
        self.positions.is_all() || other.positions.is_all() || self.positions == other.positions
    }

    /// Whether a token of this phase at this position counts, as far as these say.
    ///
    /// A source that does not know the phase gave text, which is prefill.
    pub(crate) fn holds(&self, phase: Option<Phase>, position: u32) -> bool {
        self.phase.contains(phase.unwrap_or(Phase::Prefill)) && self.positions.contains(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_asked_only_where_they_sum_the_same_tokens() {
        let asked = |scope: Scope| TokenSelection::of(&scope).in_profiles();
        assert_eq!(asked(Scope::default()), Some(PhaseSelection::Prefill));
        let decode = Scope {
            phase: PhaseSelection::Decode,
            ..Scope::default()
        };
        assert_eq!(asked(decode), Some(PhaseSelection::Decode));
        let special = Scope {
            include_special: true,
            ..Scope::default()
        };
        assert_eq!(asked(special), None);
        let placed = Scope {
            positions: "4-".parse().unwrap(),
            ..Scope::default()
        };
        assert_eq!(asked(placed), None);
    }

    #[test]
    fn of_chosen_positions_only_the_last_stay_in_memory() {
        let at = |positions: &str| TokenSelection {
            positions: positions.parse().unwrap(),
            ..TokenSelection::default()
        };
        assert!(at("0-7").keeps(&at("0-7")));
        assert!(at("0-7").keeps(&at("all")) && at("all").keeps(&at("0-7")));
        assert!(!at("0-7").keeps(&at("0-8")));
    }

    #[test]
    fn phase_and_position_must_both_hold() {
        let tokens = TokenSelection {
            positions: "2-3".parse().unwrap(),
            ..TokenSelection::content(PhaseSelection::Prefill)
        };
        assert!(tokens.holds(Some(Phase::Prefill), 2) && tokens.holds(None, 3));
        assert!(!tokens.holds(Some(Phase::Decode), 2) && !tokens.holds(None, 4));
    }
}
