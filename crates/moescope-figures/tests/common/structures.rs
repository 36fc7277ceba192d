//! Measurements of structure and order: pairs of experts, steps between layers, lags, checkpoints, tokens.

use moescope_core::{Axis, AxisKind, Interval, Measurement, NullComparison};

use super::{Numbers, disciplines, measurement, numbered};

/// What an intervention does to groups, beside its controls: the first group suffers, the last one gains a little.
pub(crate) fn effects(groups: usize) -> Measurement {
    let mut numbers = Numbers::new(29);
    let mut values = Vec::new();
    let mut nulls = Vec::new();
    for group in 0..groups {
        #[expect(clippy::cast_precision_loss, reason = "a few groups")]
        let target = 0.21 / (1.0 + group as f64) - 0.03;
        let controls = 0.02 + 0.004 * numbers.bell();
        values.extend([target, controls, target - controls]);
        let null = NullComparison {
            null_mean: controls,
            p: if group == 0 { 0.03 } else { 0.4 },
            p_corrected: Some(if group == 0 { 0.04 } else { 0.7 }),
        };
        nulls.extend([Some(null), None, None]);
    }
    let intervals = values.iter().map(|v| {
        Some(Interval {
            low: v - 0.012,
            high: v + 0.016,
        })
    });
    let variants = ["target", "controls", "difference"].map(str::to_owned);
    Measurement {
        intervals: Some(intervals.collect()),
        nulls: Some(nulls),
        reference: Some(0.0),
        ..measurement(
            "ablation_effect",
            "Change of surprisal under the intervention",
            "nats per token",
            vec![
                Axis::new(AxisKind::Group, disciplines(groups)),
                Axis::new(AxisKind::Variant, variants.to_vec()),
            ],
            values.clone(),
        )
    }
}

/// Lift of pairs of experts by layer: three families of experts that are chosen together, diagonal undefined.
pub(crate) fn co_activation(layers: usize, experts: usize) -> Measurement {
    let mut numbers = Numbers::new(13);
    let mut values = vec![f64::NAN; layers * experts * experts];
    for layer in 0..layers {
        for a in 0..experts {
            for b in 0..a {
                let base = if a % 3 == b % 3 { 2.1 } else { 0.7 };
                let value = base * (1.0 + 0.35 * numbers.bell()).max(0.1);
                values[(layer * experts + a) * experts + b] = value;
                values[(layer * experts + b) * experts + a] = value;
            }
        }
    }
    Measurement {
        reference: Some(1.0),
        ..measurement(
            "co_activation_lift",
            "Co-activation beside chance",
            "co-activation over what chance gives (ratio)",
            vec![
                numbered(AxisKind::Layer, layers),
                numbered(AxisKind::Expert, experts),
                numbered(AxisKind::ExpertB, experts),
            ],
            values,
        )
    }
}

/// Shares of each expert's tokens that go to each expert of the next layer; rows sum to one.
pub(crate) fn transitions(steps: usize, experts: usize) -> Measurement {
    let mut numbers = Numbers::new(17);
    let mut values = Vec::new();
    for _ in 0..steps {
        for _ in 0..experts {
            let row: Vec<f64> = (0..experts)
                .map(|_| (0.6 + numbers.bell()).max(0.02))
                .map(|v| v * v * v)
                .collect();
            let sum: f64 = row.iter().sum();
            values.extend(row.iter().map(|v| v / sum));
        }
    }
    measurement(
        "layer_transition",
        "Expert at the next layer",
        "share of the first expert's tokens",
        vec![
            numbered(AxisKind::Layer, steps),
            numbered(AxisKind::Expert, experts),
            numbered(AxisKind::ExpertB, experts),
        ],
        values,
    )
}

/// Overlap by lag, observed and of tokens in random order, with their difference.
pub(crate) fn lags(layers: usize, groups: usize, lags: usize) -> Measurement {
    let mut numbers = Numbers::new(19);
    let mut values = Vec::new();
    let mut intervals = Vec::new();
    for _ in 0..layers {
        for _ in 0..groups {
            let (height, shuffled) = (0.2 + 0.2 * numbers.next(), 0.16 + 0.05 * numbers.next());
            for lag in 1..=lags {
                let observed = shuffled + height / lag as f64 + 0.004 * numbers.bell();
                values.extend([observed, shuffled, observed - shuffled]);
                intervals.extend([
                    Some(Interval {
                        low: observed - 0.02,
                        high: observed + 0.02,
                    }),
                    None,
                    None,
                ]);
            }
        }
    }
    Measurement {
        intervals: Some(intervals),
        reference: Some(0.125),
        ..measurement(
            "overlap_by_lag",
            "Overlap of chosen experts by distance",
            "share of k",
            vec![
                numbered(AxisKind::Layer, layers),
                Axis::new(AxisKind::Group, disciplines(groups)),
                Axis::new(
                    AxisKind::Lag,
                    (1..=lags).map(|lag| lag.to_string()).collect(),
                ),
                Axis::new(
                    AxisKind::Variant,
                    ["overlap_observed", "overlap_shuffled", "overlap_excess"]
                        .map(str::to_owned)
                        .to_vec(),
                ),
            ],
            values,
        )
    }
}

/// Observed and shuffled alone.
pub(crate) fn without_excess(mut lags: Measurement) -> Measurement {
    let is_kept = |i: &usize| i % 3 != 2;
    lags.axes[3].labels.truncate(2);
    let kept = (0..lags.values.len()).filter(is_kept);
    lags.values = kept.map(|i| lags.values[i]).collect();
    lags.intervals = lags.intervals.map(|all| {
        let kept = (0..all.len()).filter(is_kept);
        kept.map(|i| all[i]).collect()
    });
    lags
}

/// Shares of assignments by range of positions and expert.
pub(crate) fn positions(layers: usize, ranges: usize, experts: usize) -> Measurement {
    let mut shares = super::shares(layers, ranges, experts);
    shares.metric = "position_profile".into();
    shares.title = "Share of assignments by position".into();
    let labels = (0..ranges).map(|range| {
        let first = if range == 0 { 0 } else { 4_u64 << range };
        format!("{first}-{}", (8_u64 << range) - 1)
    });
    shares.axes[1] = Axis::new(AxisKind::Position, labels.collect());
    shares
}

/// Router saturation by layer over checkpoints.
pub(crate) fn saturation(layers: usize, traces: usize) -> Measurement {
    let mut numbers = Numbers::new(23);
    let mut values = Vec::new();
    for layer in 0..layers {
        let start = 0.3 + 0.35 * (layer as f64 + 0.5) / layers as f64;
        for trace in 0..traces {
            let done = (trace + 1) as f64 / traces as f64;
            values.push(start + (0.97 - start) * done * (2.0 - done) + 0.006 * numbers.bell());
        }
    }
    measurement(
        "router_saturation",
        "Share of the final experts that are chosen already",
        "share of assignments",
        vec![
            numbered(AxisKind::Layer, layers),
            Axis::new(
                AxisKind::Trace,
                (1..=traces)
                    .map(|trace| format!("step {}k", 5 * trace * trace))
                    .collect(),
            ),
        ],
        values,
    )
}

/// The share of each token's occurrences that go to each expert, most of them undefined.
pub(crate) fn tokens(layers: usize, experts: usize, tokens: usize) -> Measurement {
    const PIECES: [&str; 16] = [
        " the",
        "\n",
        " ∂",
        "ψ",
        "中",
        " cell",
        " kinase",
        "Σ",
        " plaintiff",
        "C(=O)",
        " {",
        "\t",
        " orbit",
        " the-longest-token-of-this-vocabulary",
        "MKV",
        " tax",
    ];
    let mut numbers = Numbers::new(29);
    let mut values = Vec::new();
    for i in 0..layers * experts * tokens {
        let share = 0.05 + 0.9 * numbers.next() * numbers.next();
        values.push(if i % 5 == 3 { f64::NAN } else { share });
    }
    let labels = (0..tokens).map(|i| match i / PIECES.len() {
        0 => PIECES[i].to_owned(),
        round => format!("{}{round}", PIECES[i % PIECES.len()].trim_end()),
    });
    measurement(
        "top_tokens",
        "Tokens of each expert",
        "share of the token's occurrences",
        vec![
            numbered(AxisKind::Layer, layers),
            numbered(AxisKind::Expert, experts),
            Axis::new(AxisKind::Token, labels.collect()),
        ],
        values,
    )
}

/// A probability and how often it was right, by tenth, calibrated and raw.
pub(crate) fn reliability() -> Measurement {
    let mut numbers = Numbers::new(31);
    let mut values = Vec::new();
    let mut intervals = Vec::new();
    for tenth in 0..10 {
        let given = 0.1 * f64::from(tenth) + 0.05;
        let right = (given + 0.02 * numbers.bell()).clamp(0.0, 1.0);
        let raw = 1.0 - (1.0 - given) * (1.0 - given);
        values.extend([given, right, raw, right]);
        let interval = Interval {
            low: (right - 0.06).max(0.0),
            high: (right + 0.06).min(1.0),
        };
        intervals.extend([None, Some(interval), None, None]);
    }
    Measurement {
        intervals: Some(intervals),
        ..measurement(
            "label_drift",
            "Reliability of the label's probability, by tenth of windows",
            "probability",
            vec![
                Axis::new(
                    AxisKind::Rank,
                    (1..=10).map(|tenth| tenth.to_string()).collect(),
                ),
                Axis::new(
                    AxisKind::Variant,
                    ["probability", "right", "raw_probability", "raw_right"]
                        .map(str::to_owned)
                        .to_vec(),
                ),
            ],
            values,
        )
    }
}

/// The measurement with nulls: every third value stands out.
pub(crate) fn with_nulls(mut measurement: Measurement) -> Measurement {
    let nulls = (0..measurement.values.len()).map(|i| {
        let q = if i % 3 == 0 { 0.01 } else { 0.4 };
        Some(NullComparison {
            null_mean: measurement.reference.unwrap_or(0.0),
            p: q / 10.0,
            p_corrected: Some(q),
        })
    });
    measurement.nulls = Some(nulls.collect());
    measurement
}
