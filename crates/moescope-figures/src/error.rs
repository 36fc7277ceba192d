//! What can go wrong between a measurement and a figure.

use moescope_core::CoreError;
use thiserror::Error;

/// A figure that could not be drawn, and what would help.
#[derive(Debug, Error)]
pub enum FigureError {
    /// The measurement's own parts disagree.
    #[error(transparent)]
    Measurement(#[from] CoreError),
    /// No figure kind has this name.
    #[error("there is no figure '{found}'; the kinds are {known}")]
    UnknownKind {
        /// The name as given.
        found: String,
        /// All names, comma separated.
        known: String,
    },
    /// A file name whose ending is no format of ours.
    #[error("cannot tell the format of the figure; end the name in .svg, .pdf or .png: {path}")]
    UnknownFormat {
        /// The path as given.
        path: String,
    },
    /// A word that is none of the choices of an option.
    #[error("'{found}' is not a choice for {option}; choose one of {choices}")]
    UnknownChoice {
        /// The option's name.
        option: &'static str,
        /// The word as given.
        found: String,
        /// What may be chosen.
        choices: String,
    },
    /// An option without which the figure would be ambiguous.
    #[error("{figure} draws one {option} at a time; choose {option} from {choices}")]
    MissingChoice {
        /// The figure's name.
        figure: &'static str,
        /// The option's name.
        option: &'static str,
        /// What may be chosen.
        choices: String,
    },
    /// An option that chooses from an axis which the measurement does not have.
    #[error(
        "a {option} was chosen, but measurement '{metric}' has no {option} axis; its axes are {found}"
    )]
    NothingToChoose {
        /// The option's name.
        option: &'static str,
        /// The measurement's metric.
        metric: String,
        /// The axes that the measurement has.
        found: String,
    },
    /// A measurement with other axes than the figure draws.
    #[error("{figure} needs axes {needed}; measurement '{metric}' has {found}")]
    WrongAxes {
        /// The figure's name.
        figure: &'static str,
        /// The axes that would do.
        needed: &'static str,
        /// The measurement's metric.
        metric: String,
        /// The axes that the measurement has.
        found: String,
    },
    /// An axis without a single index.
    #[error("{figure} has nothing to draw: axis {axis} of '{metric}' is empty")]
    Empty {
        /// The figure's name.
        figure: &'static str,
        /// The measurement's metric.
        metric: String,
        /// The empty axis.
        axis: String,
    },
    /// A size that no page can have, or that does not hold the figure.
    #[error("cannot draw a figure with {what} of {found}; {help}")]
    Size {
        /// Which size.
        what: &'static str,
        /// The size as given, with its unit.
        found: String,
        /// What would do.
        help: String,
    },
    /// The drawing backend failed.
    #[error("cannot draw {what}: {reason}")]
    Draw {
        /// The element or step.
        what: &'static str,
        /// The backend's words.
        reason: String,
    },
    /// An SVG that could not be turned into the wanted format.
    #[error("cannot turn the SVG into {format}: {reason}")]
    Render {
        /// The wanted format.
        format: &'static str,
        /// The renderer's words.
        reason: String,
    },
}
