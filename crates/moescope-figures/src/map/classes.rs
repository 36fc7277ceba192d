//! The classes of a map's documents.

use std::collections::{BTreeMap, BTreeSet};

use super::is_finite;
use crate::{
    canvas::Point,
    palette::{self, Category},
    text::clean,
};

/// The classes of the documents.
#[derive(Clone, Debug)]
pub(crate) struct Classes {
    /// Names in the order of the legend.
    pub(super) names: Vec<String>,
    /// Colour and shape of each class.
    pub(super) looks: Vec<Category>,
    /// Documents with a place on the map, per class.
    pub(super) counts: Vec<usize>,
    /// The class of each document.
    pub(super) of: Vec<usize>,
    /// Whether the measurement says which class a document is of.
    pub(super) is_given: bool,
}

impl Classes {
    /// The classes of documents at some places; without given ones, all documents are of one.
    pub(crate) fn new(classes: Option<&[String]>, places: &[Point]) -> Self {
        let is_given = classes.is_some();
        let given: Vec<String> = match classes {
            Some(classes) => classes.iter().map(|class| clean(class)).collect(),
            None => vec!["documents".to_owned(); places.len()],
        };
        let mut names: Vec<String> = given
            .iter()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .cloned()
            .collect();
        // A stable sort: names that are no standard discipline stay in alphabetical order.
        names.sort_by_key(|name| standard_place(name));
        let labels: Vec<&str> = names.iter().map(String::as_str).collect();
        let looks = palette::categories(&labels);
        let places_of: BTreeMap<&str, usize> = labels
            .iter()
            .enumerate()
            .map(|(i, label)| (*label, i))
            .collect();
        let of: Vec<usize> = given
            .iter()
            .map(|class| places_of[class.as_str()])
            .collect();
        let mut counts = vec![0; names.len()];
        for (class, place) in of.iter().zip(places) {
            if is_finite(*place) {
                counts[*class] += 1;
            }
        }
        Self {
            names,
            looks,
            counts,
            of,
            is_given,
        }
    }
}

/// Disciplines of our data sets come first, in their own order.
fn standard_place(name: &str) -> usize {
    moescope_core::STANDARD_DISCIPLINES
        .iter()
        .position(|d| *d == name)
        .unwrap_or(usize::MAX)
}
