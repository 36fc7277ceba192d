//! Measurements like those of a real study, made of a fixed sequence of numbers.
#![allow(dead_code, reason = "the example `gallery` uses a part of this")]
#![expect(clippy::cast_precision_loss, reason = "counts of a fixture are small")]

pub(crate) mod drawing;
pub(crate) mod gallery;
pub(crate) mod structures;

use moescope_core::{
    Axis, AxisKind, Interval, Measurement, NullComparison, Protocol, STANDARD_DISCIPLINES,
};

/// A fixed sequence of numbers in 0..1: the same on every machine.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> f64 {
        // Knuth's MMIX generator; the upper bits are the good ones.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1_u64 << 24) as f64
    }

    /// About normal: the sum of six less its mean.
    pub(crate) fn bell(&mut self) -> f64 {
        (0..6).map(|_| self.next()).sum::<f64>() - 3.0
    }
}

pub(crate) fn numbered(kind: AxisKind, n: usize) -> Axis {
    Axis::new(kind, (0..n).map(|i| i.to_string()).collect())
}

pub(crate) fn disciplines(n: usize) -> Vec<String> {
    STANDARD_DISCIPLINES
        .iter()
        .take(n)
        .map(|d| (*d).to_owned())
        .collect()
}

pub(crate) fn protocol() -> Protocol {
    Protocol {
        scope: "prefill, routed tokens, special and template tokens excluded, weighted by token"
            .into(),
        phase: "prefill".into(),
        by: "discipline".into(),
        level: Some(0.95),
        interval_method:
            "95 % BCa bootstrap over source documents within discipline, 1,000 resamples".into(),
        null_method: "labels permuted over source documents, 1,000 permutations, max-T".into(),
        bias_correction: "none".into(),
        resample_by: "group".into(),
        resamples: 1000,
        seed: 1,
        n_tokens: 61_440,
        n_documents: 240,
        n_groups: 240,
        label_sizes: vec![],
        notes: vec![],
    }
}

pub(crate) fn measurement(
    metric: &str,
    title: &str,
    unit: &str,
    axes: Vec<Axis>,
    values: Vec<f64>,
) -> Measurement {
    Measurement {
        metric: metric.into(),
        title: title.into(),
        unit: unit.into(),
        axes,
        values,
        intervals: None,
        nulls: None,
        reference: None,
        protocol: protocol(),
    }
}

/// Shares of assignments: `layers × groups × experts`, each row summing to one, with intervals.
pub(crate) fn shares(layers: usize, groups: usize, experts: usize) -> Measurement {
    let mut numbers = Numbers::new(7);
    let mut values = Vec::new();
    for layer in 0..layers {
        // Deeper layers specialise more.
        let strength = 0.4 + 0.8 * layer as f64 / layers as f64;
        for _ in 0..groups {
            let row: Vec<f64> = (0..experts)
                .map(|_| (1.0 + strength * numbers.bell()).max(0.02))
                .map(|v| v * v)
                .collect();
            let sum: f64 = row.iter().sum();
            values.extend(row.iter().map(|v| v / sum));
        }
    }
    let intervals = values
        .iter()
        .map(|v| {
            let half = 0.12 * v + 0.02 / experts as f64 * (1.0 + numbers.next());
            Some(Interval {
                low: v - half,
                high: v + half,
            })
        })
        .collect();
    Measurement {
        intervals: Some(intervals),
        reference: Some(1.0 / experts as f64),
        ..measurement(
            "assignment_share",
            "Share of assignments per expert",
            "share of assignments",
            vec![
                numbered(AxisKind::Layer, layers),
                Axis::new(AxisKind::Group, disciplines(groups)),
                numbered(AxisKind::Expert, experts),
            ],
            values,
        )
    }
}

/// Documents on a map, a cluster per discipline.
pub(crate) fn map(documents: usize, classes: usize) -> Measurement {
    let mut numbers = Numbers::new(11);
    let centers: Vec<(f64, f64)> = (0..classes)
        .map(|_| (18.0 * numbers.bell(), 18.0 * numbers.bell()))
        .collect();
    let names = disciplines(classes);
    let mut values = Vec::new();
    let mut labels = Vec::new();
    let mut groups = Vec::new();
    for i in 0..documents {
        let class = i % classes;
        values.push(centers[class].0 + 3.5 * numbers.bell());
        values.push(centers[class].1 + 3.5 * numbers.bell());
        labels.push(format!("doc-{i}"));
        groups.push(names[class].clone());
    }
    let mut documents = Axis::new(AxisKind::Document, labels);
    documents.classes = Some(groups);
    let mut measurement = measurement(
        "fingerprint_map",
        "Routing fingerprints of documents (t-SNE of concatenated mean gate probabilities, perplexity 30, seed 1)",
        "",
        vec![
            documents,
            Axis::new(
                AxisKind::Component,
                vec!["t-SNE 1".into(), "t-SNE 2".into()],
            ),
        ],
        values,
    );
    measurement.protocol.null_method = String::new();
    measurement.protocol.interval_method = String::new();
    measurement.protocol.notes = vec![
        "A map shows neighbours, not distances; neighbour overlap over 10 seeds 0.81, trustworthiness 0.94".into(),
    ];
    measurement
}

/// A value per layer and group, with intervals and nulls.
pub(crate) fn series(layers: usize, groups: usize) -> Measurement {
    let mut numbers = Numbers::new(3);
    let mut values = vec![0.0; layers * groups];
    let mut intervals = vec![None; layers * groups];
    let mut nulls = vec![None; layers * groups];
    for group in 0..groups {
        let height = 0.1 + 0.25 * numbers.next();
        for layer in 0..layers {
            let depth = (layer as f64 + 0.5) / layers as f64;
            let value = 0.02 + height * depth * (1.6 - depth) + 0.01 * numbers.bell();
            let half = 0.012 + 0.02 * numbers.next();
            let at = layer * groups + group;
            values[at] = value;
            intervals[at] = Some(Interval {
                low: value - half,
                high: value + half,
            });
            nulls[at] = Some(NullComparison {
                null_mean: 0.012 + 0.004 * depth,
                p: 0.001,
                p_corrected: Some(0.001),
            });
        }
    }
    Measurement {
        intervals: Some(intervals),
        nulls: Some(nulls),
        ..measurement(
            "first_choice_repeat_excess",
            "How often neighbouring tokens share their first expert, beyond chance",
            "share of adjacent token pairs",
            vec![
                numbered(AxisKind::Layer, layers),
                Axis::new(AxisKind::Group, disciplines(groups)),
            ],
            values,
        )
    }
}

/// A symmetric matrix of divergences per layer.
pub(crate) fn pairs(layers: usize, groups: usize) -> Measurement {
    let mut numbers = Numbers::new(5);
    let mut values = vec![0.0; layers * groups * groups];
    for layer in 0..layers {
        for a in 0..groups {
            for b in 0..a {
                let value = 0.02 + 0.1 * numbers.next() * (1.0 + layer as f64);
                values[(layer * groups + a) * groups + b] = value;
                values[(layer * groups + b) * groups + a] = value;
            }
        }
    }
    measurement(
        "discipline_jsd",
        "Divergence between the routing of disciplines",
        "Jensen–Shannon divergence of assignment shares (bits)",
        vec![
            numbered(AxisKind::Layer, layers),
            Axis::new(AxisKind::Group, disciplines(groups)),
            Axis::new(AxisKind::GroupB, disciplines(groups)),
        ],
        values,
    )
}

/// A share by range of margins and variant: most of the near-ties, and nothing of the clear choices.
pub(crate) fn margins() -> Measurement {
    let bins = ["<0.001", "0.001–0.01", "0.01–0.1", "≥0.1"];
    let shares = [[0.34, 0.52], [0.06, 0.31], [0.004, 0.05], [0.0, 0.0]];
    let values: Vec<f64> = shares.into_iter().flatten().collect();
    let intervals = values.iter().map(|v| {
        (*v > 0.0).then_some(Interval {
            low: 0.9 * v,
            high: 1.12 * v,
        })
    });
    Measurement {
        intervals: Some(intervals.collect()),
        ..measurement(
            "changed_selections",
            "Selections that changed, by margin",
            "share of decisions",
            vec![
                Axis::new(AxisKind::Margin, bins.map(str::to_owned).to_vec()),
                Axis::new(AxisKind::Variant, vec!["q8".into(), "q4".into()]),
            ],
            values.clone(),
        )
    }
}
