//! Two traces as one whose documents are labelled by their trace, so that what compares two labels compares two traces.

use std::{collections::HashMap, sync::Arc};

use moescope_core::{PhaseSelection, Progress};
use moescope_trace::ExpertsOrder;

use super::{
    DecisionNeeds, DecisionShard, Document, DocumentTensor, OptionalColumn, ProfileColumn,
    TokenSelection, TraceData, source::Source,
};
use crate::{AnalyticsError, MeasureRequest};

/// The column of joined traces that names a document's trace.
pub(crate) const TRACE: &str = "trace";
/// The column of joined traces that names a document's label and its trace; see [`label_in_trace`].
pub(crate) const LABEL_IN_TRACE: &str = "label in trace";

/// The value of [`LABEL_IN_TRACE`].
pub(crate) fn label_in_trace(label: &str, trace: &str) -> String {
    format!("{label} in {trace}")
}

/// One of two traces to join.
pub(crate) struct JoinedMember<'a> {
    /// The trace's name.
    pub(crate) name: &'a str,
    /// The trace.
    pub(crate) data: &'a Arc<TraceData>,
    /// Which of its documents are in, by index.
    pub(crate) documents: &'a [usize],
    /// Which of its tokens count whatever is asked for; `None` for those that are asked for.
    pub(crate) tokens: Option<TokenSelection>,
}

/// Where the rows of joined traces are.
pub(super) struct JoinedTraces {
    members: [Arc<TraceData>; 2],
    /// The tokens of each member that count in place of those that are asked for.
    tokens: [Option<TokenSelection>; 2],
    /// The joined index of each of a member's documents that are in.
    places: [Vec<Option<usize>>; 2],
    pub(super) is_paired: bool,
}

impl JoinedTraces {
    pub(super) fn unfinished(&self) -> Vec<String> {
        let members = self.members.iter();
        members
            .flat_map(|member| member.source.unfinished())
            .collect()
    }
}

impl TraceData {
    /// Joins documents of two traces of models with the same layers and experts.
    ///
    /// Where they are pairs, the i-th documents of both are one text seen twice, and both carry the second's labels, so
    /// that a group is the same in both.
    ///
    /// # Errors
    /// When the models differ in layers, experts or `top_k`.
    pub(crate) fn join(
        members: [JoinedMember<'_>; 2],
        request: &MeasureRequest,
        is_paired: bool,
    ) -> Result<Self, AnalyticsError> {
        check(&members)?;
        let mut documents = Vec::new();
        let places = [0, 1].map(|side| {
            let member = &members[side];
            let mut places = vec![None; member.data.documents.len()];
            for (place, index) in member.documents.iter().enumerate() {
                let own = &member.data.documents[*index];
                let labelled = if is_paired {
                    &members[1].data.documents[members[1].documents[place]]
                } else {
                    own
                };
                places[*index] = Some(documents.len());
                let number = documents.len();
                documents.push(joined_document(number, labelled, member.name, request));
            }
            places
        });
        let second = members[1].data;
        let is_ranked = |member: &JoinedMember<'_>| member.data.order == ExpertsOrder::ByWeight;
        let order = if members.iter().all(is_ranked) {
            ExpertsOrder::ByWeight
        } else {
            ExpertsOrder::Unspecified
        };
        Ok(Self {
            model: second.model.clone(),
            layers: second.layers.clone(),
            order,
            by_sample: (0u32..).zip(0..documents.len()).collect(),
            documents,
            source: Source::Joined(JoinedTraces {
                tokens: members.each_ref().map(|member| member.tokens.clone()),
                members: members.map(|member| Arc::clone(member.data)),
                places,
                is_paired,
            }),
            cache: std::sync::Mutex::default(),
            summaries: std::sync::Mutex::default(),
            beside: None,
            weights: None,
        })
    }
}

/// Refuses traces whose experts cannot be the same ones.
pub(crate) fn check_same_experts(
    a: (&str, &TraceData),
    b: (&str, &TraceData),
) -> Result<(), AnalyticsError> {
    let shape = |data: &TraceData| (data.model.num_experts, data.model.top_k);
    if shape(a.1) == shape(b.1) {
        return Ok(());
    }
    let words = |(name, data): (&str, &TraceData)| {
        let (experts, top_k) = shape(data);
        format!("{name} chooses {top_k} of {experts} experts")
    };
    Err(AnalyticsError::Request(format!(
        "{} and {}, so their experts have no common numbers; `expert_matching` finds which correspond, and `moescope measure` puts the values of several traces side by side",
        words(a),
        words(b)
    )))
}

fn check(members: &[JoinedMember<'_>; 2]) -> Result<(), AnalyticsError> {
    let [a, b] = members;
    check_same_experts((a.name, a.data), (b.name, b.data))?;
    if a.data.layers == b.data.layers {
        return Ok(());
    }
    let layers = |member: &JoinedMember<'_>| {
        let layers = member.data.layers.iter().map(ToString::to_string);
        format!("{} ({})", layers.collect::<Vec<_>>().join(","), member.name)
    };
    Err(AnalyticsError::Request(format!(
        "the traces hold different layers, {} and {}; capture the same --layers",
        layers(a),
        layers(b)
    )))
}

fn joined_document(
    number: usize,
    document: &Document,
    trace: &str,
    request: &MeasureRequest,
) -> Document {
    let mut labels = document.labels.clone();
    // Without a group a document is a group of its own, and it must be the same one in both traces.
    labels
        .entry("group".to_owned())
        .or_insert_with(|| document.id.clone());
    if let Some(label) = request.label_of(document) {
        let cell = label_in_trace(label, trace);
        labels.insert(LABEL_IN_TRACE.to_owned(), cell);
    }
    labels.insert(TRACE.to_owned(), trace.to_owned());
    Document {
        sample: u32::try_from(number).expect("samples are numbered in 32 bits"),
        id: document.id.clone(),
        labels,
    }
}

impl JoinedTraces {
    /// The documents of each member that are in, as indices into the member's and into the joined documents.
    fn documents(&self, side: usize) -> impl Iterator<Item = (usize, usize)> {
        let places = self.places[side].iter().enumerate();
        places.filter_map(|(own, joined)| Some((own, (*joined)?)))
    }

    /// Whether a member counts other tokens than it is asked for.
    pub(super) fn has_own_tokens(&self) -> bool {
        self.tokens.iter().any(Option::is_some)
    }

    /// The tokens of a member that count where these are asked for.
    fn tokens_of(&self, side: usize, asked: &TokenSelection) -> TokenSelection {
        self.tokens[side].as_ref().unwrap_or(asked).clone()
    }

    pub(super) fn tensor(
        &self,
        data: &TraceData,
        column: ProfileColumn,
        phase: PhaseSelection,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<DocumentTensor, AnalyticsError> {
        let asked = TokenSelection::content(phase);
        let width = column.width(usize::from(data.model.num_experts));
        let mut joined = DocumentTensor::of(data.documents.len(), data.layers.len(), width);
        for (side, member) in self.members.iter().enumerate() {
            let tokens = self.tokens_of(side, &asked);
            let own = member.tensor(column, &tokens, metric, progress)?;
            for (document, place) in self.documents(side) {
                for layer in 0..data.layers.len() {
                    let row = joined.row_mut(place, layer);
                    row.copy_from_slice(own.row(document, layer));
                }
            }
        }
        Ok(joined)
    }

    pub(super) fn visit_shards(
        &self,
        needs: &DecisionNeeds,
        metric: &str,
        progress: &dyn Progress,
        visit: &mut dyn FnMut(&DecisionShard) -> Result<(), AnalyticsError>,
    ) -> Result<(), AnalyticsError> {
        for (side, (member, places)) in self.members.iter().zip(&self.places).enumerate() {
            let needs = DecisionNeeds {
                tokens: self.tokens_of(side, &needs.tokens),
                ..needs.clone()
            };
            member.visit_shards(needs, metric, progress, &mut |shard| {
                // A copy is nothing beside what it took to decode it.
                let mut own = shard.clone();
                own.renumber(places);
                visit(&own)
            })?;
        }
        Ok(())
    }

    pub(super) fn knows(&self, column: OptionalColumn) -> bool {
        self.members.iter().all(|member| member.knows(column))
    }

    pub(super) fn token_counts(
        &self,
        data: &TraceData,
        asked: &TokenSelection,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<Vec<Vec<(u32, u32)>>, AnalyticsError> {
        let mut joined = vec![Vec::new(); data.documents.len()];
        for (side, member) in self.members.iter().enumerate() {
            let own = member.token_counts(&self.tokens_of(side, asked), metric, progress)?;
            let mut own: HashMap<usize, _> = own.into_iter().enumerate().collect();
            for (document, place) in self.documents(side) {
                joined[place] = own.remove(&document).unwrap_or_default();
            }
        }
        Ok(joined)
    }
}
