//! Which token lies in which cell of which factor, and what was chosen there.

use std::collections::BTreeSet;

use moescope_core::{Progress, Weighting};

use crate::{
    AnalyticsError, MeasureRequest, TraceData,
    control::{POSITION_RANGES, length_bin, position_range},
    data::{DecisionNeeds, DocumentDecisions, GENRE, Selection, TokenSelection},
};

/// Sums held at a time, 1 GiB; more layers are read in several passes.
const MOST_SUMS: usize = 1 << 27;

/// The factors of few levels, and every token's place among them.
pub(super) struct Design {
    /// Name and number of levels of each: position, length, other columns, and last the label.
    pub(super) factors: Vec<(String, usize)>,
    /// The levels of each selected document in all factors but the first, as columns.
    of_document: Vec<Vec<usize>>,
    /// The weight of each selected document's tokens.
    pub(super) weight: Vec<f64>,
    pub(super) cells: Vec<Cell>,
    /// Weight of every token id.
    pub(super) token_weight: Vec<f64>,
    /// Weight of every token id in every column, `[tokens × columns]`.
    pub(super) token_columns: Vec<f64>,
    /// Weight that columns have in common, `[columns × columns]`.
    pub(super) gram: Vec<f64>,
    /// The weight of all tokens.
    pub(super) total: f64,
    /// Every token id that occurs, ascending.
    ids: Vec<u32>,
}

/// Tokens of one id in one range of positions of one document.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    /// The number of the token id.
    pub(super) token: u32,
    /// The place of the document among the selected.
    pub(super) document: u32,
    range: u8,
    /// How many, times the document's weight.
    pub(super) weight: f64,
}

/// What was chosen at one layer, as weighted counts.
pub(super) struct Choices {
    /// `[tokens × experts]`.
    pub(super) of_tokens: Vec<f64>,
    /// `[ranges × experts]`.
    pub(super) of_ranges: Vec<f64>,
}

impl Design {
    pub(super) fn new(
        data: &TraceData,
        selection: &Selection,
        request: &MeasureRequest,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<Self, AnalyticsError> {
        let tokens = TokenSelection::of(&request.scope);
        let counts = data.token_counts(&tokens, metric, progress)?;
        let ids: BTreeSet<u32> = selection
            .documents
            .iter()
            .flat_map(|document| counts[*document].iter().map(|(id, _)| *id))
            .collect();
        let documents = data.documents();
        let mut factors = vec![("position".to_owned(), POSITION_RANGES)];
        let mut of_document = vec![Vec::new(); selection.documents.len()];
        let mut first = POSITION_RANGES;
        let mut add = |name: &str, values: Vec<String>| {
            let levels: BTreeSet<&String> = values.iter().collect();
            let levels: Vec<&String> = levels.into_iter().collect();
            if levels.len() < 2 {
                return;
            }
            for (columns, value) in of_document.iter_mut().zip(&values) {
                columns.push(first + levels.partition_point(|level| *level < value));
            }
            factors.push((name.to_owned(), levels.len()));
            first += levels.len();
        };
        let bin = |tokens: &f64| format!("{:03}", length_bin(*tokens));
        add("length", selection.tokens.iter().map(bin).collect());
        for column in ["discipline", GENRE]
            .into_iter()
            .filter(|c| *c != request.by)
        {
            let value = |document: &usize| {
                documents[*document]
                    .label(column)
                    .unwrap_or("(unknown)")
                    .to_owned()
            };
            add(column, selection.documents.iter().map(value).collect());
        }
        let own = selection.label.iter().map(|label| format!("{label:09}"));
        add(&request.by, own.collect());
        let weight = |tokens: &f64| match request.scope.weighting {
            Weighting::Token => 1.0,
            Weighting::Document => 1.0 / tokens,
        };
        Ok(Self {
            factors,
            of_document,
            weight: selection.tokens.iter().map(weight).collect(),
            cells: Vec::new(),
            token_weight: Vec::new(),
            token_columns: Vec::new(),
            gram: Vec::new(),
            total: 0.0,
            ids: ids.into_iter().collect(),
        })
    }

    /// Number of columns of all factors.
    pub(super) fn columns(&self) -> usize {
        self.factors.iter().map(|(_, levels)| levels).sum()
    }

    /// The columns that a cell lies in, one of each factor.
    pub(super) fn columns_of(&self, cell: &Cell) -> impl Iterator<Item = usize> + '_ {
        let of_document = &self.of_document[cell.document as usize];
        std::iter::once(usize::from(cell.range)).chain(of_document.iter().copied())
    }

    /// The columns of a document, all factors but position.
    pub(super) fn columns_of_document(&self, document: usize) -> &[usize] {
        &self.of_document[document]
    }

    /// How many layers can be read at a time.
    pub(super) fn layers_at_a_time(&self, data: &TraceData) -> usize {
        let sums = self.ids.len() * usize::from(data.model().num_experts);
        (MOST_SUMS / sums.max(1)).max(1)
    }

    /// Reads what was chosen at some layers; the first call also finds the cells.
    pub(super) fn read(
        &mut self,
        data: &TraceData,
        selection: &Selection,
        request: &MeasureRequest,
        layers: &[usize],
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<Vec<Choices>, AnalyticsError> {
        let needs = DecisionNeeds {
            token_ids: true,
            ..DecisionNeeds::of(&request.scope)
        };
        let experts = usize::from(data.model().num_experts);
        let mut place = vec![None; data.documents().len()];
        for (at, document) in selection.documents.iter().enumerate() {
            place[*document] = Some(at);
        }
        let mut choices: Vec<Choices> = layers
            .iter()
            .map(|_| Choices {
                of_tokens: vec![0.0; self.ids.len() * experts],
                of_ranges: vec![0.0; POSITION_RANGES * experts],
            })
            .collect();
        let has_cells = !self.cells.is_empty();
        let ids = std::mem::take(&mut self.ids);
        data.map_documents(
            needs,
            metric,
            progress,
            &|decisions| Ok(place[decisions.document].map(|_| counts(decisions, layers, &ids))),
            &mut |document, counts| {
                let (Some(counts), Some(document)) = (counts, place[document]) else {
                    return Ok(());
                };
                let weight = self.weight[document];
                for (token, range, layer, expert, count) in counts.choices {
                    let choices = &mut choices[usize::from(layer)];
                    let weighted = weight * f64::from(count);
                    let expert = usize::from(expert);
                    choices.of_ranges[usize::from(range) * experts + expert] += weighted;
                    choices.of_tokens[token as usize * experts + expert] += weighted;
                }
                if !has_cells {
                    for (token, range, count) in counts.cells {
                        self.cells.push(Cell {
                            token,
                            document: u32::try_from(document).expect("samples are 32-bit"),
                            range,
                            weight: weight * f64::from(count),
                        });
                    }
                }
                Ok(())
            },
        )?;
        self.ids = ids;
        if !has_cells {
            // Sums do not depend on the order in which documents were captured.
            self.cells
                .sort_unstable_by_key(|cell| (cell.token, cell.document, cell.range));
            self.cross();
        }
        Ok(choices)
    }

    /// Sums the cells' weights by token and column.
    fn cross(&mut self) {
        let columns = self.columns();
        let mut token_weight = vec![0.0; self.ids.len()];
        let mut token_columns = vec![0.0; self.ids.len() * columns];
        let mut gram = vec![0.0; columns * columns];
        let mut total = 0.0;
        for cell in &self.cells {
            let token = cell.token as usize;
            token_weight[token] += cell.weight;
            total += cell.weight;
            for a in self.columns_of(cell) {
                token_columns[token * columns + a] += cell.weight;
                for b in self.columns_of(cell) {
                    gram[a * columns + b] += cell.weight;
                }
            }
        }
        self.token_weight = token_weight;
        self.token_columns = token_columns;
        self.gram = gram;
        self.total = total;
    }
}

/// One document's tokens and choices.
struct Counts {
    /// Number of the token id, range of positions, how many.
    cells: Vec<(u32, u8, u32)>,
    /// Number of the token id, range of positions, place of the layer, expert, how often.
    choices: Vec<(u32, u8, u16, u16, u32)>,
}

fn counts(decisions: &DocumentDecisions<'_>, layers: &[usize], ids: &[u32]) -> Counts {
    let narrow = |n: usize| u32::try_from(n).expect("token ids and positions are 32-bit");
    let mut choices: Vec<(u32, u8, u16, u16)> = Vec::new();
    let mut cells: Vec<(u32, u8)> = Vec::new();
    for row in decisions.counted_rows() {
        let Ok(layer) = layers.binary_search(&decisions.layer(row)) else {
            continue;
        };
        let id = decisions.tokens.ids[decisions.token(row)];
        let token = narrow(ids.partition_point(|known| *known < id));
        let range = position_range(decisions.position[row]);
        let range = u8::try_from(range).expect("there are few ranges");
        if layer == 0 {
            cells.push((token, range));
        }
        let layer = u16::try_from(layer).expect("layers are numbered in 16 bits");
        let experts = decisions.experts(row).iter();
        choices.extend(experts.map(|expert| (token, range, layer, *expert)));
    }
    cells.sort_unstable();
    choices.sort_unstable();
    Counts {
        cells: cells
            .chunk_by(|a, b| a == b)
            .map(|run| (run[0].0, run[0].1, narrow(run.len())))
            .collect(),
        choices: choices
            .chunk_by(|a, b| a == b)
            .map(|run| (run[0].0, run[0].1, run[0].2, run[0].3, narrow(run.len())))
            .collect(),
    }
}
