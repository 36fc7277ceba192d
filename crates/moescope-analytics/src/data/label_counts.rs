//! How often the tokens of each label chose each expert.

use moescope_core::{PhaseSelection, Progress};

use super::{DecisionNeeds, ProfileColumn, TokenSelection, TraceData};
use crate::AnalyticsError;

/// Which table counts are read from; both give the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountSource {
    /// The sums of every document: the table to ask.
    Profiles,
    /// The decisions one by one, joined with the tokens that count: what the sums can be checked with.
    Decisions,
}

/// How often the content tokens of each label chose each expert at each layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelCounts {
    /// The labels, in display order.
    pub labels: Vec<String>,
    layers: usize,
    experts: usize,
    counts: Vec<u64>,
}

impl LabelCounts {
    /// The counts of a label at a layer (an index into [`TraceData::layers`]), `[experts]`.
    #[must_use]
    pub fn row(&self, label: usize, layer: usize) -> &[u64] {
        let start = (label * self.layers + layer) * self.experts;
        &self.counts[start..start + self.experts]
    }

    /// The counts of a label, `[layers × experts]`, to add to.
    fn label_mut(&mut self, label: usize) -> &mut [u64] {
        let size = self.layers * self.experts;
        &mut self.counts[label * size..(label + 1) * size]
    }
}

impl TraceData {
    /// Counts the choices of routed tokens that are neither special nor template; documents without a label are left out.
    ///
    /// # Errors
    /// When there is no such label column, a table is malformed, or the work is cancelled.
    pub fn label_counts(
        &self,
        by: &str,
        phase: PhaseSelection,
        source: CountSource,
        progress: &dyn Progress,
    ) -> Result<LabelCounts, AnalyticsError> {
        let labels = self.labels(by)?;
        let tokens = TokenSelection::content(phase);
        let of_document: Vec<Option<usize>> = self
            .documents()
            .iter()
            .map(|document| {
                let label = document.label(by)?;
                labels.iter().position(|known| known == label)
            })
            .collect();
        let (layers, experts) = (self.layers().len(), usize::from(self.model().num_experts));
        let mut found = LabelCounts {
            counts: vec![0; labels.len() * layers * experts],
            labels,
            layers,
            experts,
        };
        match source {
            CountSource::Profiles => {
                let counts = self.tensor(ProfileColumn::Counts, &tokens, NAME, progress)?;
                for (document, label) in of_document.iter().enumerate() {
                    let Some(label) = label else { continue };
                    let sums = found.label_mut(*label).chunks_exact_mut(experts);
                    for (layer, sums) in sums.enumerate() {
                        for (sum, count) in sums.iter_mut().zip(counts.row(document, layer)) {
                            #[expect(
                                clippy::cast_possible_truncation,
                                clippy::cast_sign_loss,
                                reason = "sums of u32 counts"
                            )]
                            {
                                *sum += *count as u64;
                            }
                        }
                    }
                }
            }
            CountSource::Decisions => {
                let needs = DecisionNeeds {
                    tokens,
                    ..DecisionNeeds::default()
                };
                self.map_documents(
                    needs,
                    NAME,
                    progress,
                    &|decisions| {
                        let mut counts = vec![0_u32; layers * experts];
                        for row in decisions.counted_rows() {
                            let start = decisions.layer(row) * experts;
                            let counts = &mut counts[start..start + experts];
                            for expert in decisions.experts(row) {
                                counts[usize::from(*expert)] += 1;
                            }
                        }
                        Ok(counts)
                    },
                    &mut |document, counts| {
                        if let Some(label) = of_document[document] {
                            let sums = found.label_mut(label).iter_mut();
                            sums.zip(counts)
                                .for_each(|(sum, count)| *sum += u64::from(count));
                        }
                        Ok(())
                    },
                )?;
            }
        }
        Ok(found)
    }
}

/// What errors call this.
const NAME: &str = "expert counts";
