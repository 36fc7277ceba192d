//! Which row groups come next, and the shards that are opened for them.

use moescope_trace::schema::Table;
use rayon::prelude::*;

use super::{Job, OpenShard, Windows};
use crate::{AnalyticsError, data::parquet::token_rows::check_known};

/// Shards that are opened ahead: enough for a window where each is tiny.
const SHARDS_AHEAD: usize = 64;

impl Windows<'_> {
    /// The row groups that come next, as many as a window may hold; none at the end.
    pub(super) fn plan(&mut self) -> Result<Vec<Job>, AnalyticsError> {
        let most = self.most_rows;
        loop {
            if self.open.is_empty() {
                let opened = self.open_more()?;
                if opened.is_empty() {
                    return Ok(Vec::new());
                }
                self.next_shard += opened.len();
                self.open.extend(opened);
            }
            let mut jobs = Vec::new();
            let mut rows = 0;
            for (place, shard) in self.open.iter_mut().enumerate() {
                while shard.next_group < shard.routing.num_row_groups() {
                    let group = shard.next_group;
                    self.columns.check_lists(&shard.routing, group)?;
                    let rows_of_group = shard.routing.rows(group);
                    rows += rows_of_group;
                    if rows > most && !jobs.is_empty() {
                        return Ok(jobs);
                    }
                    shard.next_group += 1;
                    jobs.push(Job {
                        open: place,
                        group,
                        rows: rows_of_group,
                        ends_shard: shard.next_group == shard.routing.num_row_groups(),
                    });
                }
            }
            if !jobs.is_empty() {
                return Ok(jobs);
            }
            // Shards without a row.
            self.open.clear();
        }
    }

    /// Rows of open shards that are in no window yet.
    pub(super) fn rows_ahead(&self) -> usize {
        let rows = |shard: &OpenShard| -> usize {
            let groups = shard.next_group..shard.routing.num_row_groups();
            groups.map(|group| shard.routing.rows(group)).sum()
        };
        self.open.iter().map(rows).sum()
    }

    /// Compares the checksums of the next shards and opens them: enough for a window.
    pub(super) fn open_more(&self) -> Result<Vec<OpenShard>, AnalyticsError> {
        let rows = self.most_rows;
        let shards = &self.files.trace.manifest().shards[self.next_shard..];
        let mut ahead = 0_u64;
        let count = shards
            .iter()
            .take(SHARDS_AHEAD)
            .take_while(|shard| {
                let is_enough = ahead >= rows as u64;
                ahead += shard.tables[Table::Routing.name()].rows;
                !is_enough
            })
            .count();
        (self.next_shard..self.next_shard + count)
            .into_par_iter()
            .map(|index| {
                let open = |table| {
                    self.files
                        .open_checked(index, table, &|| self.steps.check(self.progress))
                };
                let (routing, tokens) =
                    rayon::join(|| open(Table::Routing), || open(Table::Tokens));
                let (routing, tokens) = (routing?, tokens?);
                check_known(&tokens, &self.needs, self.metric)?;
                Ok(OpenShard {
                    index,
                    routing,
                    tokens,
                    next_group: 0,
                })
            })
            .collect::<Vec<Result<OpenShard, AnalyticsError>>>()
            .into_iter()
            .collect()
    }
}
