//! Which experts are shown at each layer, in which order, and what flows between them.

use crate::axis::count;

/// The bars of all layers with the bands between them.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    pub(super) columns: Vec<Column>,
    /// The bands from each layer to the next.
    pub(super) bands: Vec<Vec<Band>>,
}

/// The bars of one layer.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) title: String,
    pub(super) bars: Vec<Bar>,
    /// The share of all experts without a bar.
    pub(super) others: f64,
}

/// An expert of a layer.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    pub(super) expert: usize,
    pub(super) name: String,
    /// Its share of the layer.
    pub(super) share: f64,
}

/// What goes from one bar to one of the next layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Band {
    /// The place of its bar among those of its layer.
    pub(super) from: usize,
    /// The place of its bar among those of the next layer.
    pub(super) to: usize,
    /// Its share of everything between the two layers.
    pub(super) share: f64,
    /// Its part of what leaves its bar.
    pub(super) part: f64,
}

impl Flow {
    /// The flow through some steps: `matrices` hold expert × next expert for each, with nothing undefined.
    pub(super) fn new(
        labels: &[String],
        (from, to): (&[String], &[String]),
        matrices: &[Vec<f64>],
        most: usize,
    ) -> Self {
        let width = to.len();
        let shares: Vec<Vec<f64>> = matrices.iter().map(|matrix| scaled(matrix)).collect();
        let leaving = |step: usize| -> Vec<f64> {
            let rows = shares[step].chunks(width);
            rows.map(|row| row.iter().sum()).collect()
        };
        let arriving = |step: usize| -> Vec<f64> {
            (0..width)
                .map(|b| shares[step].iter().skip(b).step_by(width).sum())
                .collect()
        };
        let mut columns: Vec<Column> = Vec::new();
        for place in 0..=labels.len() {
            let names = if place == labels.len() { to } else { from };
            // What arrives at an expert also leaves it, except where a measurement counts otherwise: then the larger.
            let sizes: Vec<f64> = match (place.checked_sub(1), place < labels.len()) {
                (None, _) => leaving(place),
                (Some(before), false) => arriving(before),
                (Some(before), true) => {
                    let pairs = arriving(before).into_iter().zip(leaving(place));
                    pairs.map(|(a, b)| a.max(b)).collect()
                }
            };
            let mut shown: Vec<usize> = (0..sizes.len()).collect();
            shown.sort_by(|a, b| sizes[*b].total_cmp(&sizes[*a]).then(a.cmp(b)));
            shown.truncate(most);
            if let Some(last) = columns.last() {
                arrange(&mut shown, last, &shares[place - 1], width);
            }
            let bars: Vec<Bar> = shown
                .iter()
                .map(|expert| Bar {
                    expert: *expert,
                    name: names[*expert].clone(),
                    share: sizes[*expert],
                })
                .collect();
            let all: f64 = sizes.iter().sum();
            let with_bars: f64 = bars.iter().map(|bar| bar.share).sum();
            columns.push(Column {
                title: labels
                    .get(place)
                    .map_or_else(|| after(labels), |label| format!("Layer {label}")),
                bars,
                others: if names.len() > most && all > 0.0 {
                    (1.0 - with_bars / all).max(0.0)
                } else {
                    0.0
                },
            });
        }
        let bands = (0..labels.len())
            .map(|step| bands(&columns[step], &columns[step + 1], &shares[step], width))
            .collect();
        Self { columns, bands }
    }

    /// Whether some experts have no bar.
    pub(super) fn has_others(&self) -> bool {
        self.columns.iter().any(|column| column.others > 0.0)
    }
}

/// Whether each row sums to one (or to nothing): shares of what leaves each expert, not of all.
pub(super) fn are_conditional(matrices: &[Vec<f64>], width: usize) -> bool {
    width > 1
        && matrices.iter().flat_map(|m| m.chunks(width)).all(|row| {
            let sum: f64 = row.iter().sum();
            sum == 0.0 || (sum - 1.0).abs() < 1e-6
        })
        && matrices.iter().flatten().any(|value| *value > 0.0)
}

/// Makes shares of each expert's own tokens shares of all: of tokens that start evenly from the first layer's experts
/// and go where the shares send them.
pub(super) fn follow(matrices: &mut [Vec<f64>], width: usize) {
    let mut tokens: Option<Vec<f64>> = None;
    for matrix in matrices {
        let rows = matrix.len() / width;
        let here = tokens.take().unwrap_or_else(|| vec![1.0; rows]);
        let mut next = vec![0.0; width];
        for (row, held) in matrix.chunks_mut(width).zip(&here) {
            for (share, arrived) in row.iter_mut().zip(&mut next) {
                *share *= held;
                *arrived += *share;
            }
        }
        tokens = Some(next);
    }
}

/// The matrix as shares of its sum.
fn scaled(matrix: &[f64]) -> Vec<f64> {
    // Divided by the largest first, so that the sum of huge values stays finite.
    let largest = matrix.iter().copied().fold(0.0, f64::max);
    if largest <= 0.0 {
        return vec![0.0; matrix.len()];
    }
    let parts: Vec<f64> = matrix.iter().map(|value| value / largest).collect();
    let sum: f64 = parts.iter().sum();
    parts.iter().map(|part| part / sum).collect()
}

/// Puts experts in the order of where their bands come from, so that few bands cross.
fn arrange(shown: &mut [usize], last: &Column, shares: &[f64], width: usize) {
    let origin = |expert: usize| {
        let (mut sum, mut places) = (0.0, 0.0);
        for (place, bar) in last.bars.iter().enumerate() {
            let share = shares[bar.expert * width + expert];
            sum += share;
            places += share * count(place);
        }
        if sum > 0.0 {
            places / sum
        } else {
            count(last.bars.len())
        }
    };
    shown.sort_by(|a, b| origin(*a).total_cmp(&origin(*b)).then(a.cmp(b)));
}

fn bands(from: &Column, to: &Column, shares: &[f64], width: usize) -> Vec<Band> {
    let mut bands = Vec::new();
    for (i, bar) in from.bars.iter().enumerate() {
        let row = &shares[bar.expert * width..(bar.expert + 1) * width];
        let leaving: f64 = row.iter().sum();
        for (j, next) in to.bars.iter().enumerate() {
            let share = row[next.expert];
            if share > 0.0 {
                bands.push(Band {
                    from: i,
                    to: j,
                    share,
                    part: share / leaving,
                });
            }
        }
    }
    bands
}

/// The title of the last column: the layer after, by number where the labels have one step.
fn after(labels: &[String]) -> String {
    let numbers: Option<Vec<i64>> = labels.iter().map(|label| label.parse().ok()).collect();
    match numbers.as_deref() {
        Some([.., a, b]) if b > a => {
            let next = b.checked_add(b - a);
            next.map_or_else(|| "next".to_owned(), |next| format!("Layer {next}"))
        }
        _ => "next".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_experts_have_bars_and_the_rest_one_share() {
        let names: Vec<String> = (0..3).map(|i| i.to_string()).collect();
        // Counts from experts 0, 1, 2 (rows) to 0, 1, 2; together 10.
        let matrix = vec![1.0, 0.0, 3.0, 0.0, 4.0, 0.0, 1.0, 1.0, 0.0];
        let flow = Flow::new(&["4".to_owned()], (&names, &names), &[matrix], 2);
        let shown = |place: usize| -> Vec<usize> {
            flow.columns[place].bars.iter().map(|b| b.expert).collect()
        };
        // Leaving: 4, 4, 2, so 0 and 1 are shown. Arriving: 2, 5, 3, so 1 and 2; 2 comes from 0, which stands first.
        assert_eq!(shown(0), [0, 1]);
        assert_eq!(shown(1), [2, 1]);
        assert!((flow.columns[0].others - 0.2).abs() < 1e-12);
        assert!((flow.columns[1].others - 0.2).abs() < 1e-12);
        let bands: Vec<(usize, usize)> = flow.bands[0].iter().map(|b| (b.from, b.to)).collect();
        assert_eq!(bands, [(0, 0), (1, 1)]);
        // Of what leaves expert 0, three of four go to expert 2.
        assert!((flow.bands[0][0].part - 0.75).abs() < 1e-12);
        assert_eq!(flow.columns[1].title, "next");
        assert_eq!(after(&["2".to_owned(), "4".to_owned()]), "Layer 6");
    }

    #[test]
    fn tokens_are_followed_from_layer_to_layer() {
        // Both experts send everything to expert 1, which sends a quarter back to expert 0.
        let mut matrices = vec![vec![0.0, 1.0, 0.0, 1.0], vec![1.0, 0.0, 0.25, 0.75]];
        follow(&mut matrices, 2);
        assert_eq!(matrices[0], [0.0, 1.0, 0.0, 1.0]);
        assert_eq!(matrices[1], [0.0, 0.0, 0.5, 1.5]);
    }

    #[test]
    fn conditional_shares_are_recognised() {
        assert!(are_conditional(&[vec![0.5, 0.5, 1.0, 0.0]], 2));
        assert!(!are_conditional(&[vec![0.25, 0.25, 0.5, 0.0]], 2));
    }
}
