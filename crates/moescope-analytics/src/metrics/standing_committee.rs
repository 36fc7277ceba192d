//! Experts that lead whatever the label.

use moescope_core::{Axis, AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, LoadMass, MeasureRequest, Metric, TraceData,
    data::Selection,
    inference::{Committee, CommitteeRule, Joint, mass_table, measure_joint, need_two_labels},
    stats::{
        bootstrap::{BootstrapConfig, bootstrap},
        count::real,
        interval::IntervalMethod,
        statistic::{Sides, Statistic},
        units::UnitTable,
    },
};

/// The standing committee of every layer.
pub(super) struct StandingCommittee;

/// What is said of a committee.
const SUMMARY: [&str; 4] = ["candidates", "members", "coverage", "density_ratio"];
/// What is said of a member.
const DETAILS: [&str; 5] = [
    "share_of_labels",
    "mean_rank",
    "rank_variance",
    "relative_load",
    "stability",
];

impl Metric for StandingCommittee {
    fn about(&self) -> About {
        About {
            name: "standing_committee",
            title: "Standing committee",
            formula: "of the mean router probabilities c(e, D) at the last counted token: R(e, D) is the rank of expert e among those of label D, or k + 1 where it is beyond k; `candidates` are experts with R ≤ k in at least γ = 0.8 of the labels; `members` are the candidates that no other candidate beats in mean rank and variance of rank over labels (Pareto set); `coverage` is the mean over labels of Σ_{e in C} c(e, D) / Σ_e c(e, D); `density_ratio` the mean share of a member over the mean share of any other expert",
            unit: "experts; share of the router's probability; ratio",
            range: "`candidates` and `members` 0 to E, `coverage` 0 to 1, `density_ratio` 0 upward with 1 for members like all others",
            edge_cases: "A second table lists the members by mean rank, a third has their share of labels, mean rank, variance of rank (over the labels, not of a sample), relative load (1 is balanced) and stability. One candidate beats another if neither its mean rank nor its variance is larger, and one is smaller; equal ones stay together. With few labels the bar of 0.8 is coarse: with four it asks for all of them. `--mass` ranks by another load, e.g. `counts`. Found at the last prompt token; generated tokens are another matter (`--phase decode`). An empty committee has coverage and ratio 0. Refused under a contrast, with one label, and where the trace holds no router probabilities.",
            uncertainty: "Percentile bootstrap over groups within label for the first table; `stability` is the share of resamples whose committee has the member; every label needs five groups. Null: labels permuted over groups, two-sided, q over layers and values: what a committee is where labels do not matter.",
            citation: "arXiv 2601.03425, sections on the expert contribution index, the committee and table 5.",
            inputs: &[Input::Profiles],
            axes: &[AxisKind::Layer, AxisKind::Variant],
        }
    }

    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let about = self.about();
        if request.contrast.is_some() {
            return Err(AnalyticsError::Request(format!(
                "{} is of all labels together, and has no difference of two; leave out the contrast, or compare leading experts (top_set_jaccard)",
                about.name
            )));
        }
        let selection = Selection::new(data, request, about.name, progress)?;
        need_two_labels(&selection, request, about.name)?;
        let mass = request.mass.unwrap_or(LoadMass::LastProbabilities);
        let table = mass_table(data, &selection, request, mass, about.name, progress)?;
        let rule = CommitteeRule::published(usize::from(data.model().top_k), table.columns);
        let evaluate = |sums: &[f64], out: &mut [f64]| {
            let committee = rule.find(sums);
            out.copy_from_slice(&[
                real(committee.candidates),
                real(committee.members.len()),
                committee.coverage,
                committee.density_ratio,
            ]);
        };
        let joint = Joint {
            about: &about,
            title: about.title.to_owned(),
            unit: about.unit,
            table: &table,
            axes: vec![Axis::new(
                AxisKind::Variant,
                SUMMARY.map(str::to_owned).to_vec(),
            )],
            evaluate: &evaluate,
            method: IntervalMethod::Percentile,
            reference: None,
        };
        let mut summary = measure_joint(&selection, request, joint, progress)?;
        // Values of four units have no smallest difference in common.
        summary
            .protocol
            .notes
            .retain(|note| !note.starts_with("power:"));
        summary.protocol.notes.push(format!(
            "committee: rank k + 1 beyond the k = {} leading experts, candidates in at least {} of {} labels; {}",
            rule.top_k,
            rule.least_share,
            selection.labels.len(),
            mass.words()
        ));
        let committees: Vec<Committee> = (0..table.layers)
            .map(|layer| rule.find(&table.sums(layer)))
            .collect();
        let stability = stability(&table, rule, request, progress)?;
        let lists = lists(&about, &selection, &summary, &committees, &stability)?;
        Ok([vec![summary], lists].concat())
    }
}

/// The members by mean rank, `[layers, places]`, and what is said of each, `[layers, places, details]`.
fn lists(
    about: &About,
    selection: &Selection,
    summary: &Measurement,
    committees: &[Committee],
    stability: &[f64],
) -> Result<Vec<Measurement>, AnalyticsError> {
    let places = committees
        .iter()
        .map(|c| c.members.len())
        .max()
        .unwrap_or(0);
    let experts = stability.len() / committees.len().max(1);
    let (mut ids, mut details) = (Vec::new(), Vec::new());
    for (layer, committee) in committees.iter().enumerate() {
        for place in 0..places {
            if let Some(member) = committee.members.get(place) {
                ids.push(real(member.expert));
                details.extend([
                    member.share_of_labels,
                    member.mean_rank,
                    member.rank_variance,
                    member.relative_load,
                    stability[layer * experts + member.expert],
                ]);
            } else {
                ids.push(f64::NAN);
                details.extend([f64::NAN; DETAILS.len()]);
            }
        }
    }
    let mut protocol = summary.protocol.clone();
    "none".clone_into(&mut protocol.interval_method);
    protocol.null_method.clear();
    protocol.level = None;
    protocol.notes.push("places by rising mean rank".to_owned());
    let ranks = Axis::new(
        AxisKind::Rank,
        (1..=places).map(|place| place.to_string()).collect(),
    );
    let ids = Measurement {
        metric: about.name.to_owned(),
        title: format!("{}: its members", about.title),
        unit: "expert id".to_owned(),
        axes: vec![selection.layer_axis(), ranks.clone()],
        values: ids,
        intervals: None,
        nulls: None,
        reference: None,
        protocol,
    };
    let variants = Axis::new(AxisKind::Variant, DETAILS.map(str::to_owned).to_vec());
    let details = Measurement {
        title: format!("{}: how its members lead", about.title),
        unit: "share; rank; rank squared; times the balanced load; share of resamples".to_owned(),
        axes: vec![selection.layer_axis(), ranks, variants],
        values: details,
        ..ids.clone()
    };
    ids.check()?;
    details.check()?;
    Ok(vec![ids, details])
}

/// How often each expert is a member in a resample, `[layers × experts]`; NaN with few groups or without resamples.
fn stability(
    table: &UnitTable,
    rule: CommitteeRule,
    request: &MeasureRequest,
    progress: &dyn Progress,
) -> Result<Vec<f64>, AnalyticsError> {
    let evaluate = |sums: &[f64], out: &mut [f64]| {
        out.fill(0.0);
        for member in rule.find(sums).members {
            out[member.expert] = 1.0;
        }
    };
    let statistic = Statistic {
        len: table.columns,
        evaluate: &evaluate,
        sides: &|_| Sides::All,
    };
    let config = BootstrapConfig {
        resamples: request.resamples,
        seed: request.seed,
        level: request.level,
        method: IntervalMethod::Percentile,
    };
    Ok(bootstrap(table, &statistic, config, progress)?.means)
}
