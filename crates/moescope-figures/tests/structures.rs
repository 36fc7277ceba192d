//! What figures of structure say: order, significance, ranks, flows, tokens.

use moescope_core::{Axis, AxisKind, Measurement};
use moescope_figures::{CellOrder, FigureOptions, find};

use crate::common::{
    self,
    drawing::{has, svg, texts},
    numbered, structures,
};

/// A matrix of four groups where 0 and 2 are alike, and 1 and 3.
fn two_pairs() -> Measurement {
    let (near, far) = (0.1, 0.9);
    let values = (0..16)
        .map(|i| match (i / 4, i % 4) {
            (a, b) if a == b => 0.0,
            (a, b) if a % 2 == b % 2 => near,
            _ => far,
        })
        .collect();
    common::measurement(
        "jsd",
        "Divergence",
        "bits",
        vec![numbered(AxisKind::Group, 4), numbered(AxisKind::GroupB, 4)],
        values,
    )
}

fn labels_of_rows(texts: &[String]) -> Vec<&str> {
    // Row labels are written first, before those of the columns.
    let all = texts.iter().map(String::as_str);
    all.filter(|text| ["0", "1", "2", "3"].contains(text))
        .take(4)
        .collect()
}

#[test]
fn like_groups_stand_together_unless_the_given_order_is_wanted() {
    let similar = texts("group_matrix", &two_pairs(), &FigureOptions::default());
    assert_eq!(labels_of_rows(&similar), ["0", "2", "1", "3"]);
    assert!(has(&similar, "in order of similarity"));
    let options = FigureOptions {
        order: CellOrder::Given,
        ..FigureOptions::default()
    };
    let given = texts("group_matrix", &two_pairs(), &options);
    assert_eq!(labels_of_rows(&given), ["0", "1", "2", "3"]);
}

#[test]
fn significance_of_pairs_is_marked_and_explained() {
    let pairs = structures::with_nulls(two_pairs());
    let drawn = svg("group_matrix", &pairs, &FigureOptions::default()).unwrap();
    // Every third of sixteen cells is significant: 0, 3, …, 15 are six; one more dot explains them.
    assert_eq!(drawn.matches("<circle").count(), 7);
    let texts_of = texts("group_matrix", &pairs, &FigureOptions::default());
    assert!(has(&texts_of, "q ≤ 0.05 against the null"), "{texts_of:?}");
    // A mean over layers has no significance of its own.
    let layers = structures::with_nulls(common::pairs(2, 4));
    let mean = texts("group_matrix", &layers, &FigureOptions::default()).join(" ");
    assert!(
        mean.contains("Significance is known layer by layer"),
        "{mean}"
    );
}

#[test]
fn ratios_are_centred_at_one_and_experts_that_are_left_out_are_counted() {
    let lift = structures::co_activation(1, 12);
    let options = FigureOptions {
        top: Some(5),
        ..FigureOptions::default()
    };
    let some = texts("co_activation_matrix", &lift, &options).join(" ");
    assert!(some.contains("5 of 12 experts are drawn"), "{some}");
    assert!(some.contains("reference 1"), "{some}");
    let chosen = FigureOptions {
        experts: vec![7, 2, 11],
        order: CellOrder::Given,
        ..FigureOptions::default()
    };
    let chosen = texts("co_activation_matrix", &lift, &chosen);
    assert!(has(&chosen, "11") && !has(&chosen, "10"), "{chosen:?}");
    let unknown = FigureOptions {
        experts: vec![12],
        ..FigureOptions::default()
    };
    let error = svg("co_activation_matrix", &lift, &unknown).unwrap_err();
    assert!(
        error.to_string().contains("'12' is not a choice"),
        "{error}"
    );
}

#[test]
fn the_furthest_cells_come_first() {
    let mut shares = common::shares(1, 2, 2);
    // Reference 0.5: differences 0.1, 0.1, 0.4, 0.05.
    shares.values = vec![0.6, 0.4, 0.9, 0.45];
    shares.intervals = None;
    let texts = texts("lollipop", &shares, &FigureOptions::default());
    let rows: Vec<&str> = texts
        .iter()
        .filter(|text| text.contains(" · "))
        .map(String::as_str)
        .collect();
    assert_eq!(
        rows,
        [
            "L0 E0 · physics",
            "L0 E0 · math",
            "L0 E1 · math",
            "L0 E1 · physics"
        ]
    );
}

#[test]
fn observed_and_shuffled_are_a_solid_and_a_dashed_line() {
    let lags = structures::lags(1, 2, 6);
    let both = texts("lag_profile", &lags, &FigureOptions::default());
    assert!(
        has(&both, "overlap_observed") && has(&both, "overlap_shuffled"),
        "{both:?}"
    );
    assert!(!has(&both, "overlap_excess"));
    let one = FigureOptions {
        variant: Some("overlap_excess".into()),
        ..FigureOptions::default()
    };
    let one = texts("lag_profile", &lags, &one);
    assert!(has(&one, "variant: overlap_excess"), "{one:?}");
}

#[test]
fn lines_that_are_not_highlighted_lose_their_names() {
    let options = FigureOptions {
        highlight: vec!["law".into()],
        ..FigureOptions::default()
    };
    let series = common::series(8, 15);
    let some = texts("layer_series", &series, &options);
    assert!(has(&some, "law") && !has(&some, "physics"), "{some:?}");
    assert!(has(&some, "the other 14 by discipline"), "{some:?}");
    let all = texts("layer_series", &series, &FigureOptions::default()).join(" ");
    assert!(all.contains("Intervals of more than 8 lines"), "{all}");
    let unknown = FigureOptions {
        highlight: vec!["alchemy".into()],
        ..FigureOptions::default()
    };
    let error = svg("layer_series", &series, &unknown).unwrap_err();
    assert!(error.to_string().contains("'alchemy'"), "{error}");
}

#[test]
fn a_flow_says_what_its_bars_are() {
    let options = FigureOptions {
        top: Some(2),
        ..FigureOptions::default()
    };
    let conditional = texts("layer_flow", &structures::transitions(2, 4), &options).join(" ");
    assert!(conditional.contains("start evenly"), "{conditional}");
    assert!(
        conditional.contains("all other experts together"),
        "{conditional}"
    );
    let mut joint = structures::transitions(2, 4);
    joint.values.iter_mut().for_each(|value| *value /= 4.0);
    let joint = texts("layer_flow", &joint, &options).join(" ");
    assert!(!joint.contains("start evenly"), "{joint}");
}

#[test]
fn tokens_show_their_white_space_and_tables_of_single_experts_are_put_together() {
    let whole = structures::tokens(1, 2, 8);
    let texts_of = texts("vocabulary_table", &whole, &FigureOptions::default());
    assert!(
        has(&texts_of, "␣the") && has(&texts_of, "\\n"),
        "{texts_of:?}"
    );
    assert!(has(&texts_of, "Layer 0 · expert 1"));
    // The same as a table per expert.
    let apart: Vec<Measurement> = (0..2)
        .map(|expert| {
            let mut one = whole.clone();
            one.axes[1] = Axis::new(AxisKind::Expert, vec![expert.to_string()]);
            one.title = format!("Tokens of each expert: layer 0, expert {expert}");
            one.values = whole.values[expert * 8..(expert + 1) * 8].to_vec();
            one
        })
        .collect();
    let kind = find("vocabulary_table").unwrap();
    let options = FigureOptions {
        caption: false,
        ..FigureOptions::default()
    };
    let together = kind.draw_svg_of(&apart, 0, &options).unwrap();
    assert!(together.contains("<title>Tokens of each expert</title>"));
    for expert in ["expert 0", "expert 1"] {
        assert!(together.contains(expert));
    }
}

#[test]
fn a_map_quotes_its_own_quality() {
    let mut map = common::map(30, 3);
    map.axes[1] = Axis::new(AxisKind::Component, vec!["tsne_1".into(), "tsne_2".into()]);
    let quality = common::measurement(
        "fingerprint_map",
        "Quality",
        "fraction",
        vec![Axis::new(
            AxisKind::Variant,
            [
                "trustworthiness_pca",
                "trustworthiness_tsne",
                "neighbour_overlap_tsne",
            ]
            .map(str::to_owned)
            .to_vec(),
        )],
        vec![0.5, 0.94, 0.81],
    );
    let kind = find("fingerprint_map").unwrap();
    let options = FigureOptions {
        hulls: true,
        width_mm: 300.0,
        ..FigureOptions::default()
    };
    let drawn = kind.draw_svg_of(&[map, quality], 0, &options).unwrap();
    assert!(
        drawn.contains("trustworthiness 0.94, neighbour overlap 0.81"),
        "{drawn}"
    );
    assert!(drawn.contains("nearest to its middle"));
}
