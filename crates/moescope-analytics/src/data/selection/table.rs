//! Sums of a selection's documents by unit of resampling.

use super::Selection;
use crate::stats::units::UnitTable;

impl Selection {
    /// Sums per unit: `fill` gives a document's row at a layer (indices into the trace's), `[columns]`.
    ///
    /// Where labels are matched, the table weights them.
    pub(crate) fn unit_table(
        &self,
        columns: usize,
        fill: impl Fn(usize, usize, &mut [f64]),
    ) -> UnitTable {
        debug_assert_eq!(
            self.position_ranges(),
            1,
            "only loads are counted by position"
        );
        self.unit_table_by_position(columns, |document, layer, _, row| {
            fill(document, layer, row);
        })
    }

    /// The same, with the row of every range of positions (one range unless positions are matched).
    pub(crate) fn unit_table_by_position(
        &self,
        columns: usize,
        fill: impl Fn(usize, usize, usize, &mut [f64]),
    ) -> UnitTable {
        let label = self.unit_label.clone();
        let mut table = UnitTable::new(self.labels.len(), label, self.layers.len(), columns);
        let ranges = self.position_ranges();
        let parts = match &self.matching {
            None => {
                if let Some(partners) = &self.partners {
                    table = table.with_partners(partners.clone());
                }
                self.unit.iter().map(|unit| Some(*unit)).collect()
            }
            Some(matching) => {
                let (strata, blocks, parts) = matching.strata(self);
                table = table.with_strata(strata, blocks);
                parts
            }
        };
        let mut row = vec![0.0; columns];
        for (place, layer) in self.layers.iter().enumerate() {
            for (i, part) in parts.iter().enumerate() {
                let Some(part) = part else { continue };
                row.fill(0.0);
                fill(self.documents[i / ranges], *layer, i % ranges, &mut row);
                for (sum, value) in table.row_mut(place, *part).iter_mut().zip(&row) {
                    *sum += value;
                }
            }
        }
        table
    }

    /// Number of ranges of positions in which labels are matched; 1 where they are not matched by position.
    pub(crate) fn position_ranges(&self) -> usize {
        self.matching.as_ref().map_or(1, |matching| matching.ranges)
    }
}
