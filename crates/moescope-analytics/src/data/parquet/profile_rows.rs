//! Columns of `profiles` as dense tensors.

use moescope_core::{LayerId, Phase, PhaseSelection, Progress};
use moescope_trace::{Number, TableReader, schema, schema::Table};
use rayon::prelude::*;

use super::{ParquetTrace, malformed};
use crate::{
    AnalyticsError,
    data::{DocumentTensor, ProfileColumn, TraceData, steps::Steps},
};

/// Reads one column over all documents and layers, `[documents, layers, columns]`.
pub(super) fn read(
    files: &ParquetTrace,
    data: &TraceData,
    column: ProfileColumn,
    phase: PhaseSelection,
    metric: &str,
    progress: &dyn Progress,
) -> Result<DocumentTensor, AnalyticsError> {
    let width = column.width(usize::from(data.model().num_experts));
    let shards = &files.trace.manifest().shards;
    let rows = shards
        .iter()
        .map(|shard| shard.tables[Table::Profiles.name()].rows);
    let steps = Steps::new(rows.sum(), "reading profiles");
    let readers = files.open_all(Table::Profiles, &|| steps.check(progress))?;
    let groups: Vec<(&TableReader, usize)> = readers
        .iter()
        .flat_map(|reader| (0..reader.num_row_groups()).map(move |group| (reader, group)))
        .collect();
    let rows = groups
        .iter()
        .map(|(reader, group)| reader.rows(*group))
        .sum();
    let mut tensor = DocumentTensor::zeros(
        data.documents().len(),
        data.layers().len(),
        width,
        rows,
        files.folder(),
    )?;
    for groups in groups.chunks(2 * rayon::current_num_threads()) {
        let read: Vec<Result<ProfileRows, AnalyticsError>> = groups
            .par_iter()
            .map(|(reader, group)| {
                let rows = ProfileRows::read(reader, *group, column, width, metric)?;
                steps.add(rows.samples.len(), progress)?;
                Ok(rows)
            })
            .collect();
        for (rows, (reader, _)) in read.into_iter().zip(groups) {
            rows?.enter(data, reader, column, phase, &mut tensor)?;
        }
    }
    Ok(tensor)
}

/// One column of a row group with its keys.
struct ProfileRows {
    samples: Vec<u32>,
    layers: Vec<u16>,
    phases: Vec<Option<Phase>>,
    values: Values,
}

/// Values, `[rows × width]`.
enum Values {
    Counts(Vec<u32>),
    Sums(Vec<f32>),
}

impl ProfileRows {
    fn read(
        reader: &TableReader,
        group: usize,
        column: ProfileColumn,
        width: usize,
        metric: &str,
    ) -> Result<Self, AnalyticsError> {
        let name = column_name(column);
        let rows = reader.row_group(group)?;
        let len = rows.rows();
        let mut found = Self {
            samples: vec![0; len],
            layers: vec![0; len],
            phases: vec![None; len],
            values: match column {
                ProfileColumn::Tokens => {
                    let mut tokens = vec![0; len];
                    rows.numbers(name, &mut tokens)?;
                    Values::Counts(tokens)
                }
                ProfileColumn::Counts => {
                    Values::Counts(lists(reader, group, column, width, metric)?)
                }
                _ => Values::Sums(lists(reader, group, column, width, metric)?),
            },
        };
        rows.numbers(schema::SAMPLE, &mut found.samples)?;
        rows.numbers(schema::LAYER, &mut found.layers)?;
        rows.phases(&mut found.phases)?;
        Ok(found)
    }

    /// Adds the rows of a phase to a tensor.
    fn enter(
        &self,
        data: &TraceData,
        reader: &TableReader,
        column: ProfileColumn,
        phase: PhaseSelection,
        tensor: &mut DocumentTensor,
    ) -> Result<(), AnalyticsError> {
        let broken = |reason| malformed(Table::Profiles, reader.path(), reason);
        let width = tensor.columns();
        for (row, (sample, layer)) in self.samples.iter().zip(&self.layers).enumerate() {
            let row_phase = self.phases[row].unwrap_or(Phase::Prefill);
            if !phase.contains(row_phase) {
                continue;
            }
            let document = data
                .index_of(*sample)
                .ok_or_else(|| broken(format!("there is no sample {sample}")))?;
            let layer = data
                .layer_index(LayerId(*layer))
                .ok_or_else(|| broken(format!("the manifest records no layer {layer}")))?;
            let place = row * width..(row + 1) * width;
            match &self.values {
                Values::Counts(counts) => {
                    tensor.add(document, layer, counts[place].iter().map(|x| f64::from(*x)));
                }
                Values::Sums(sums) => {
                    let values = sums[place].iter().map(|x| f64::from(*x));
                    if column == ProfileColumn::LastProb {
                        // Decoding comes after prefill, so its last token is the last.
                        let target = tensor.row_mut(document, layer);
                        if row_phase == Phase::Decode || target.iter().all(|x| *x == 0.0) {
                            target.iter_mut().zip(values).for_each(|(to, x)| *to = x);
                        }
                    } else {
                        tensor.add(document, layer, values);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Lists of one number for each expert; an error where they are NULL.
fn lists<N: Number>(
    reader: &TableReader,
    group: usize,
    column: ProfileColumn,
    width: usize,
    metric: &str,
) -> Result<Vec<N>, AnalyticsError> {
    let name = column_name(column);
    // Asked before memory is taken, since the footer may say anything.
    if !reader.has_lists_of(group, name, width) {
        return Err(match reader.nulls(group, name) {
            Some(nulls) if nulls > 0 => column.missing(metric),
            _ => malformed(
                Table::Profiles,
                reader.path(),
                format!("a list of column {name} does not have {width} elements"),
            ),
        });
    }
    let mut values = vec![N::NULL; reader.rows(group) * width];
    if reader.row_group(group)?.lists(name, width, &mut values)? {
        Ok(values)
    } else {
        Err(column.missing(metric))
    }
}

fn column_name(column: ProfileColumn) -> &'static str {
    match column {
        ProfileColumn::Tokens => schema::N_TOKENS,
        ProfileColumn::Counts => schema::COUNTS,
        ProfileColumn::WeightSum => schema::WEIGHT_SUM,
        ProfileColumn::ProbSum => schema::PROB_SUM,
        ProfileColumn::LogitSum => schema::LOGIT_SUM,
        ProfileColumn::LastProb => schema::LAST_PROB,
    }
}
