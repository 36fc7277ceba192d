//! Documents as points: what stands for a document, how near two of them are, and maps of them.

mod kind;
mod matrix;
mod neighbours;
mod pca;
mod quality;
mod similarity;
mod tokens;
mod tsne;

pub use kind::FingerprintKind;

pub(crate) use kind::{Saturation, fingerprints};
pub(crate) use matrix::{Matrix, dot};
pub(crate) use neighbours::{nearest, votes};
pub(crate) use pca::principal_components;
pub(crate) use quality::{neighbour_overlap, trustworthiness};
pub(crate) use similarity::{Pairs, Similarities, chance_of_guessing};
pub(crate) use tokens::TokenBags;
pub(crate) use tsne::{FEWEST_POINTS, MapStart, Neighbourhood, tsne};
