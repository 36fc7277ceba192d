//! Row groups of `tokens`.

use std::ops::RangeInclusive;

use moescope_trace::{Number as _, TableReader, schema};

use super::{
    malformed, missing_column,
    routing_rows::{Run, runs},
};
use crate::{
    AnalyticsError,
    data::{DecisionNeeds, decisions::TokenColumns},
};

/// The tokens of a row group, whatever documents they belong to.
pub(super) struct TokenRows {
    /// The shard and the row group.
    pub(super) place: (usize, usize),
    pub(super) runs: Vec<Run>,
    pub(super) columns: TokenColumns,
}

impl TokenRows {
    /// Reads what is needed of a row group; an unknown id is [`Number::NULL`].
    pub(super) fn read(
        reader: &TableReader,
        shard: usize,
        group: usize,
        needs: &DecisionNeeds,
    ) -> Result<Self, AnalyticsError> {
        let rows = reader.row_group(group)?;
        let len = rows.rows();
        let mut samples = vec![0; len];
        rows.numbers(schema::SAMPLE, &mut samples)?;
        let runs = runs(&samples);
        if !runs.is_sorted_by(|a, b| a.sample < b.sample) {
            return Err(malformed(
                schema::Table::Tokens,
                reader.path(),
                "rows are not sorted by sample".to_owned(),
            ));
        }
        let flags = |name| -> Result<Vec<bool>, AnalyticsError> {
            let mut flags = vec![false; len];
            rows.flags(name, &mut flags)?;
            Ok(flags)
        };
        let mut phases = vec![None; len];
        rows.phases(&mut phases)?;
        let is_routed = flags(schema::IS_ROUTED)?;
        let mut position = vec![0; len];
        rows.numbers(schema::POSITION, &mut position)?;
        let is_held = |row: usize| is_routed[row] && needs.tokens.holds(phases[row], position[row]);
        let counted = if needs.tokens.include_special {
            (0..len).map(is_held).collect()
        } else {
            let is_special = flags(schema::IS_SPECIAL)?;
            let is_template = flags(schema::IS_TEMPLATE)?;
            let row = |row: usize| is_held(row) && !is_special[row] && !is_template[row];
            (0..len).map(row).collect()
        };
        let mut columns = TokenColumns {
            position,
            counted,
            ..TokenColumns::default()
        };
        if needs.token_ids {
            columns.ids = vec![0; len];
            rows.numbers(schema::TOKEN_ID, &mut columns.ids)?;
        }
        if needs.byte_ranges {
            let (mut starts, mut ends) = (vec![0; len], vec![0; len]);
            rows.numbers(schema::BYTE_START, &mut starts)?;
            rows.numbers(schema::BYTE_END, &mut ends)?;
            let known = |(start, end): (u32, u32)| {
                let is_known = start != u32::NULL && end != u32::NULL;
                if is_known { (start, end) } else { (0, 0) }
            };
            columns.byte_ranges = starts.into_iter().zip(ends).map(known).collect();
        }
        if needs.surprisal {
            columns.surprisal = vec![0.0; len];
            rows.numbers(schema::SURPRISAL, &mut columns.surprisal)?;
        }
        if needs.predicted_ids {
            columns.predicted_ids = vec![0; len];
            rows.numbers(schema::PREDICTED_ID, &mut columns.predicted_ids)?;
        }
        Ok(Self {
            place: (shard, group),
            runs,
            columns,
        })
    }

    /// Appends a sample's tokens to other columns.
    pub(super) fn append_sample(&self, sample: u32, to: &mut TokenColumns) {
        let Ok(run) = self.runs.binary_search_by_key(&sample, |run| run.sample) else {
            return;
        };
        to.append(&self.columns, self.runs[run].rows.clone());
    }

    /// Whether a token's id is unknown, where ids were asked for.
    pub(super) fn has_unknown_id(&self) -> bool {
        self.columns.ids.contains(&u32::NULL)
    }

    /// The largest number of a sample.
    pub(super) fn last_sample(&self) -> Option<u32> {
        self.runs.last().map(|run| run.sample)
    }
}

/// Fails where all of a column that is needed is NULL, so that a metric need not read a trace to find nothing.
pub(super) fn check_known(
    reader: &TableReader,
    needs: &DecisionNeeds,
    metric: &str,
) -> Result<(), AnalyticsError> {
    let is_unknown = |column: &str| {
        let mut groups = 0..reader.num_row_groups();
        let is_null = |group| reader.nulls(group, column) == u64::try_from(reader.rows(group)).ok();
        !groups.is_empty() && groups.all(is_null)
    };
    for (is_needed, column, what) in [
        (needs.surprisal, schema::SURPRISAL, "surprisals"),
        (
            needs.predicted_ids,
            schema::PREDICTED_ID,
            "predicted tokens",
        ),
    ] {
        if is_needed && is_unknown(column) {
            return Err(missing_column(metric, what));
        }
    }
    Ok(())
}

/// The row groups of a table that may hold rows of some samples.
pub(super) fn groups_of<'a>(
    reader: &'a TableReader,
    samples: &'a RangeInclusive<u32>,
) -> impl Iterator<Item = usize> + 'a {
    (0..reader.num_row_groups()).filter(move |group| {
        let held = reader.samples(*group);
        held.start() <= samples.end() && samples.start() <= held.end()
    })
}
