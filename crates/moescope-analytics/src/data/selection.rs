//! Which documents, layers and labels a request means, and what a reader must know of them.

mod confounds;
mod matching;
mod table;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use moescope_core::{Axis, AxisKind, LabelSize, Progress, Protocol};

use super::{ProfileColumn, TraceData, documents};
use crate::{AnalyticsError, MeasureRequest, calibration};
use matching::Matching;

/// The documents of a request with their labels and units of resampling.
///
/// A unit is the part of a group that carries one label; almost always that is the whole group.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    /// Indices into the trace's documents, ascending.
    pub(crate) documents: Vec<usize>,
    /// Label names; two, in the order of the request, under a contrast.
    pub(crate) labels: Vec<String>,
    /// The label of each selected document.
    pub(crate) label: Vec<usize>,
    /// The unit of each selected document.
    pub(crate) unit: Vec<usize>,
    /// The label of each unit, ascending.
    pub(crate) unit_label: Vec<usize>,
    /// The group of each selected document.
    pub(crate) group: Vec<usize>,
    /// Number of groups.
    pub(crate) groups: usize,
    /// Indices into the trace's layers, ascending.
    pub(crate) layers: Vec<usize>,
    /// Counted tokens of each selected document (at the layer that has most).
    pub(crate) tokens: Vec<f64>,
    /// The unit of the other trace that is the same group, where the labels are of two traces of the same documents.
    partners: Option<Vec<Option<usize>>>,
    layer_labels: Vec<String>,
    matching: Option<Matching>,
    notes: Vec<String>,
}

impl Selection {
    /// Finds what a request means in a trace.
    pub(crate) fn new(
        data: &TraceData,
        request: &MeasureRequest,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<Self, AnalyticsError> {
        Self::among(data, request, metric, progress, &|_| true)
    }

    /// Finds what a request means among some of the trace's documents, given by index.
    pub(crate) fn among(
        data: &TraceData,
        request: &MeasureRequest,
        metric: &str,
        progress: &dyn Progress,
        keep: &dyn Fn(usize) -> bool,
    ) -> Result<Self, AnalyticsError> {
        request.check()?;
        request.refuse_reference_scope(&format!("{metric} of one trace"))?;
        matching::check(request, metric)?;
        let layers = select_layers(data, request)?;
        let labels = select_labels(data, request)?;
        check_resampling_column(data, request)?;
        let token_counts =
            data.tensor_in(ProfileColumn::Tokens, &request.scope, metric, progress)?;
        let mut builder = Builder::default();
        let kept = |(index, _): &(usize, _)| keep(*index);
        for (index, document) in data.documents().iter().enumerate().filter(kept) {
            if !request.lets_through(document) {
                builder.unknown += usize::from(request.lacks_filtered_column(document));
                continue;
            }
            let Some(label) = request.label_of(document) else {
                builder.unlabelled += 1;
                continue;
            };
            let Some(label) = labels.iter().position(|known| known == label) else {
                continue;
            };
            let tokens = layers
                .iter()
                .map(|layer| token_counts.row(index, *layer)[0])
                .fold(0.0, f64::max);
            if tokens == 0.0 {
                builder.empty += 1;
                continue;
            }
            let group = document.label(&request.resample_by).unwrap_or(&document.id);
            builder.rows.push(Row {
                document: index,
                label,
                group: group.to_owned(),
                tokens,
            });
        }
        if request.match_on.is_empty() {
            return builder.finish(data, request, &labels, layers, metric);
        }
        let (stratum, notes) =
            matching::restrict(&mut builder.rows, data, request, &labels, metric)?;
        let mut selection = builder.finish(data, request, &labels, layers, metric)?;
        let matching = Matching::new(stratum, &selection, data, request, metric, progress)?;
        let Some(note) = matching.note(&selection, request.scope.weighting) else {
            return Err(AnalyticsError::TooLittle {
                metric: metric.to_owned(),
                found: format!("no range of positions occurs under every {}", request.by),
                help: "match fewer variables".to_owned(),
            });
        };
        selection.notes.extend(notes);
        selection.notes.push(note);
        selection.matching = Some(matching);
        Ok(selection)
    }

    /// The same documents under one label, for quantities that no label divides; a contrast keeps its two.
    pub(crate) fn under_one_label(mut self, request: &MeasureRequest) -> Self {
        if request.contrast.is_none() {
            self.partners = None;
            self.labels = vec![documents::ALL.to_owned()];
            self.label.fill(0);
            self.unit.clone_from(&self.group);
            self.unit_label = vec![0; self.groups];
        }
        self
    }

    /// The same documents as another trace holds them: under the same labels, in the same groups and with the same weights,
    /// at all layers of that trace. `place` finds a document of this trace in the other; both sort theirs by id, so they stay
    /// ascending.
    pub(crate) fn in_other_trace(&self, other: &TraceData, place: impl Fn(usize) -> usize) -> Self {
        let layers = other.layers();
        Self {
            documents: self.documents.iter().map(|d| place(*d)).collect(),
            layers: (0..layers.len()).collect(),
            layer_labels: layers.iter().map(ToString::to_string).collect(),
            partners: None,
            ..self.clone()
        }
    }

    /// The place of each of the trace's documents in this selection, where it has one.
    pub(crate) fn places(&self, data: &TraceData) -> Vec<Option<usize>> {
        let mut places = vec![None; data.documents().len()];
        for (place, document) in self.documents.iter().enumerate() {
            places[*document] = Some(place);
        }
        places
    }

    /// The place of each of the trace's layers in this selection, where it has one.
    pub(crate) fn layer_places(&self, data: &TraceData) -> Vec<Option<usize>> {
        let mut places = vec![None; data.layers().len()];
        for (place, layer) in self.layers.iter().enumerate() {
            places[*layer] = Some(place);
        }
        places
    }

    /// The same documents under one label, their groups put together into at most `blocks` units of resampling.
    ///
    /// Groups are dealt to blocks in turn, so that blocks are alike in size.
    pub(crate) fn pooled(&self, blocks: usize) -> Self {
        Self {
            labels: vec!["all labels".to_owned()],
            label: vec![0; self.documents.len()],
            unit: self.group.iter().map(|group| group % blocks).collect(),
            unit_label: vec![0; self.groups.min(blocks)],
            partners: None,
            ..self.clone()
        }
    }

    /// The same with all selected layers taken as one.
    pub(crate) fn with_layers_together(&self) -> Self {
        Self {
            layers: self.layers[..1].to_vec(),
            layer_labels: vec!["all selected".to_owned()],
            ..self.clone()
        }
    }

    /// The place of each selected document among the selected, by its index in the trace.
    pub(crate) fn place_of_documents(&self) -> HashMap<usize, usize> {
        self.documents.iter().copied().zip(0..).collect()
    }

    /// The axis of layers.
    pub(crate) fn layer_axis(&self) -> Axis {
        Axis::new(AxisKind::Layer, self.layer_labels.clone())
    }

    /// The axis of labels.
    pub(crate) fn group_axis(&self) -> Axis {
        Axis::new(AxisKind::Group, self.labels.clone())
    }

    /// The axis of documents, each with its label as class.
    pub(crate) fn document_axis(&self, data: &TraceData) -> Axis {
        let id = |index: &usize| data.documents()[*index].id.clone();
        Axis {
            kind: AxisKind::Document,
            labels: self.documents.iter().map(id).collect(),
            classes: Some(self.label.iter().map(|l| self.labels[*l].clone()).collect()),
        }
    }

    /// Number of groups of each label.
    pub(crate) fn groups_of_labels(&self) -> Vec<usize> {
        let mut count = vec![0; self.labels.len()];
        for label in &self.unit_label {
            count[*label] += 1;
        }
        count
    }

    /// How much of each label is counted.
    fn label_sizes(&self) -> Vec<LabelSize> {
        let mut tokens = vec![0.0; self.labels.len()];
        let mut documents = vec![0; self.labels.len()];
        let mut groups = vec![BTreeSet::new(); self.labels.len()];
        for (place, label) in self.label.iter().enumerate() {
            tokens[*label] += self.tokens[place];
            documents[*label] += 1;
            groups[*label].insert(self.group[place]);
        }
        let size = |(label, name): (usize, &String)| LabelSize {
            label: name.clone(),
            n_tokens: whole(tokens[label]),
            n_documents: documents[label],
            n_groups: groups[label].len() as u64,
        };
        self.labels.iter().enumerate().map(size).collect()
    }

    /// The protocol of this request so far: scope, sizes and notes.
    pub(crate) fn protocol(&self, request: &MeasureRequest) -> Protocol {
        Protocol {
            scope: request.describe_scope(),
            phase: request.scope.phase.name().to_owned(),
            by: request.by.clone(),
            bias_correction: "none".to_owned(),
            interval_method: "none".to_owned(),
            resample_by: request.resample_by.clone(),
            resamples: request.resamples,
            seed: request.seed,
            n_tokens: whole(self.tokens.iter().sum()),
            n_documents: self.documents.len() as u64,
            n_groups: self.groups as u64,
            label_sizes: self.label_sizes(),
            notes: self.notes.clone(),
            ..Protocol::default()
        }
    }
}

/// A sum of counts of tokens.
fn whole(tokens: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a sum of u32 counts"
    )]
    let whole = tokens as u64;
    whole
}

/// A document that is in.
struct Row {
    document: usize,
    label: usize,
    group: String,
    tokens: f64,
}

#[derive(Default)]
struct Builder {
    rows: Vec<Row>,
    /// Documents without a label in a column that is filtered by.
    unknown: usize,
    unlabelled: usize,
    empty: usize,
}

impl Builder {
    fn finish(
        self,
        data: &TraceData,
        request: &MeasureRequest,
        labels: &[String],
        layers: Vec<usize>,
        metric: &str,
    ) -> Result<Selection, AnalyticsError> {
        // A label whose documents are all empty has nothing to show.
        let used: BTreeSet<usize> = self.rows.iter().map(|row| row.label).collect();
        let mut notes = data.source.unfinished();
        notes.extend(calibration::notes(metric));
        notes.extend(self.notes(request, labels, &used));
        if used.is_empty() || (request.contrast.is_some() && used.len() < 2) {
            return Err(AnalyticsError::TooLittle {
                metric: metric.to_owned(),
                found: format!(
                    "{} of {} documents have tokens in scope ({})",
                    self.rows.len(),
                    data.documents().len(),
                    request.describe_scope()
                ),
                help: widen(request),
            });
        }
        let place: BTreeMap<usize, usize> = used.iter().copied().zip(0..).collect();
        let labels: Vec<String> = used.iter().map(|label| labels[*label].clone()).collect();
        let label: Vec<usize> = self.rows.iter().map(|row| place[&row.label]).collect();
        let groups: BTreeSet<&str> = self.rows.iter().map(|row| row.group.as_str()).collect();
        let groups: BTreeMap<&str, usize> = groups.into_iter().zip(0..).collect();
        let group: Vec<usize> = self
            .rows
            .iter()
            .map(|row| groups[row.group.as_str()])
            .collect();
        let units: BTreeSet<(usize, usize)> =
            label.iter().copied().zip(group.iter().copied()).collect();
        let unit_label = units.iter().map(|(label, _)| *label).collect();
        let units: BTreeMap<(usize, usize), usize> = units.into_iter().zip(0..).collect();
        let unit = |place: usize| units[&(label[place], group[place])];
        let partners = data.is_paired().then(|| {
            let documents = self.rows.iter().map(|row| row.document);
            let places: BTreeMap<usize, usize> = documents.zip(0..).collect();
            let mut partners = vec![None; units.len()];
            for (document, place) in &places {
                let partner = data.partner(*document).and_then(|p| places.get(&p));
                if let Some(partner) = partner {
                    partners[unit(*place)] = Some(unit(*partner));
                }
            }
            partners
        });
        let mut labels_of = vec![0_usize; groups.len()];
        for (_, group) in units.keys() {
            labels_of[*group] += 1;
        }
        let mixed = labels_of.iter().filter(|labels| **labels > 1).count();
        if mixed > 0 && partners.is_none() {
            notes.push(format!(
                "{mixed} of {} groups hold documents of several labels; their parts are resampled and permuted as if independent, which makes differences look less certain than they are",
                groups.len()
            ));
        }
        let documents: Vec<usize> = self.rows.iter().map(|row| row.document).collect();
        let described = confounds::Described {
            documents: documents.iter().map(|d| &data.documents()[*d]).collect(),
            tokens: self.rows.iter().map(|row| row.tokens).collect(),
            label: &label,
            labels: &labels,
        };
        notes.extend(described.notes(&request.by, &request.match_on));
        Ok(Selection {
            unit: label
                .iter()
                .zip(&group)
                .map(|(label, group)| units[&(*label, *group)])
                .collect(),
            groups: groups.len(),
            layer_labels: layers
                .iter()
                .map(|l| data.layers()[*l].to_string())
                .collect(),
            tokens: self.rows.iter().map(|row| row.tokens).collect(),
            documents,
            labels,
            label,
            unit_label,
            group,
            partners,
            layers,
            matching: None,
            notes,
        })
    }

    fn notes(
        &self,
        request: &MeasureRequest,
        labels: &[String],
        used: &BTreeSet<usize>,
    ) -> Vec<String> {
        let mut notes = Vec::new();
        if self.unknown > 0 {
            let filters = request.scope.only.iter();
            let columns: Vec<&str> = filters.map(|filter| filter.column.as_str()).collect();
            notes.push(format!(
                "{} documents without {} are left out by the filter",
                self.unknown,
                columns.join(" or ")
            ));
        }
        if self.unlabelled > 0 {
            notes.push(format!(
                "{} documents without {} are left out",
                self.unlabelled, request.by
            ));
        }
        if self.empty > 0 {
            notes.push(format!(
                "{} documents without a token in scope are left out",
                self.empty
            ));
        }
        let gone: Vec<&str> = labels
            .iter()
            .enumerate()
            .filter(|(label, _)| !used.contains(label))
            .map(|(_, name)| name.as_str())
            .collect();
        if !gone.is_empty() {
            notes.push(format!("no token in scope: {}", gone.join(", ")));
        }
        notes
    }
}

/// What would let more in.
fn widen(request: &MeasureRequest) -> String {
    let scope = &request.scope;
    let narrow = [
        (!scope.only.is_empty(), "without --only, or "),
        (!scope.positions.is_all(), "without --positions, or "),
    ];
    let ways: String = narrow
        .iter()
        .filter(|(is_narrow, _)| *is_narrow)
        .map(|(_, way)| *way)
        .collect();
    format!("widen the scope, e.g. {ways}with --phase all")
}

fn select_layers(data: &TraceData, request: &MeasureRequest) -> Result<Vec<usize>, AnalyticsError> {
    let selection = &request.scope.layers;
    let layers: Vec<usize> = data
        .layers()
        .iter()
        .enumerate()
        .filter(|(_, layer)| selection.contains(**layer))
        .map(|(index, _)| index)
        .collect();
    if layers.is_empty() {
        let available: Vec<String> = data.layers().iter().map(ToString::to_string).collect();
        return Err(AnalyticsError::NoLayers {
            selection: selection.to_string(),
            available: available.join(","),
        });
    }
    Ok(layers)
}

/// The labels to measure, in display order, or the two of the contrast in its order.
fn select_labels(
    data: &TraceData,
    request: &MeasureRequest,
) -> Result<Vec<String>, AnalyticsError> {
    let available = request.labels_in(data)?;
    let wanted = request.named_labels();
    request.check_labels(&wanted, &available)?;
    if request.contrast.is_some() {
        return Ok(wanted);
    }
    Ok(available
        .into_iter()
        .filter(|label| wanted.is_empty() || wanted.contains(label))
        .collect())
}

/// `group` may be absent everywhere, since it defaults to the id; any other column must exist.
fn check_resampling_column(
    data: &TraceData,
    request: &MeasureRequest,
) -> Result<(), AnalyticsError> {
    if request.resample_by == "group" {
        return Ok(());
    }
    documents::labels(data.documents(), &request.resample_by).map(|_| ())
}
