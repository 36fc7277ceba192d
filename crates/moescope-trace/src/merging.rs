//! Small shards of a slow capture become shards of the usual size.
//!
//! Who cuts by time leaves a shard every few seconds. The merged ones are written under numbers that no shard has yet,
//! synced and renamed; then the manifest is replaced, which is the moment at which they take the place of the small
//! ones; then those are removed. A kill before that moment leaves the small shards as they were, a kill after it the
//! merged ones; either way the files that the manifest does not list go with the next resume.

use std::{ops::Range, path::Path};

use crate::{
    durable,
    error::TraceError,
    folder,
    manifest::{Manifest, Shard},
    schema::Table,
    shard_writer::ShardWriter,
};

/// Merges the small shards at the end once they hold as many decisions as a shard usually does; whether the disk had room
/// for that.
///
/// # Errors
/// When the disk refuses, or a shard is not what the manifest says. No room for merged shards is no error: the small
/// ones stay.
pub(crate) fn merge_where_full(
    folder: &Path,
    manifest: &mut Manifest,
    usual: u64,
) -> Result<bool, TraceError> {
    let small = small_shards(&manifest.shards, usual);
    let together: u64 = manifest.shards[small.clone()].iter().map(decisions).sum();
    if together < usual {
        return Ok(true);
    }
    merge(folder, manifest, small, usual)
}

/// Merges the small shards at the end, however few decisions they hold; whether the disk had room for that.
///
/// # Errors
/// As [`merge_where_full`].
pub(crate) fn merge_rest(
    folder: &Path,
    manifest: &mut Manifest,
    usual: u64,
) -> Result<bool, TraceError> {
    let small = small_shards(&manifest.shards, usual);
    merge(folder, manifest, small, usual)
}

fn merge(
    folder: &Path,
    manifest: &mut Manifest,
    small: Range<usize>,
    usual: u64,
) -> Result<bool, TraceError> {
    if small.len() < 2 {
        return Ok(true);
    }
    let mut next = manifest.clone();
    let replaced = next.shards.split_off(small.start);
    match write_merged(folder, manifest, &replaced, usual) {
        Ok(merged) => next.shards.extend(merged),
        // For a moment both are on the disk. Where there is no room for that, small shards are better than an end.
        Err(TraceError::DiskFull { .. }) => {
            folder::remove_leftovers(folder, manifest)?;
            return Ok(false);
        }
        Err(error) => return Err(error),
    }
    next.write(folder)?;
    *manifest = next;
    for table in Table::ALL {
        for shard in &replaced {
            durable::remove(&folder.join(table.shard_file(shard.index)))?;
        }
        // After a power cut, a trace that says it is complete must not have rows twice.
        durable::sync_folder(&folder.join(table.name()))?;
    }
    Ok(true)
}

/// Writes shards anew as fewer ones, under numbers that none has yet; no manifest names them.
fn write_merged(
    folder: &Path,
    manifest: &Manifest,
    replaced: &[Shard],
    usual: u64,
) -> Result<Vec<Shard>, TraceError> {
    let pieces = (manifest.next_shard()..).zip(pieces(replaced, usual));
    let merged = pieces.map(|(number, shards)| {
        let mut writer = ShardWriter::begin(folder, number, shards[0].first_sample, manifest)?;
        for shard in shards {
            writer.copy(shard, manifest)?;
        }
        Ok(writer.place()?.0)
    });
    merged.collect()
}

/// The shards at the end that are smaller than usual. Merged shards get higher numbers than all others, and files sort by
/// number, so nothing can be merged before a shard that stays.
fn small_shards(shards: &[Shard], usual: u64) -> Range<usize> {
    let is_small = |shard: &&Shard| decisions(shard) < usual;
    let small = shards.iter().rev().take_while(is_small).count();
    shards.len() - small..shards.len()
}

/// Cuts shards into pieces that hold about as many decisions as usual together; the last may hold less.
fn pieces(shards: &[Shard], usual: u64) -> Vec<&[Shard]> {
    let (mut pieces, mut start, mut together) = (Vec::new(), 0, 0);
    for (place, shard) in shards.iter().enumerate() {
        together += decisions(shard);
        if together >= usual || place + 1 == shards.len() {
            pieces.push(&shards[start..=place]);
            (start, together) = (place + 1, 0);
        }
    }
    pieces
}

fn decisions(shard: &Shard) -> u64 {
    shard.tables[Table::Routing.name()].rows
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::manifest::ShardFile;

    fn shards(decisions: &[u64]) -> Vec<Shard> {
        (0u32..)
            .zip(decisions)
            .map(|(index, rows)| {
                let file = ShardFile {
                    file: Table::Routing.shard_file(index),
                    rows: *rows,
                    bytes: 0,
                    sha256: String::new(),
                };
                Shard {
                    index,
                    first_sample: index,
                    samples: 1,
                    tables: BTreeMap::from([(Table::Routing.name().to_owned(), file)]),
                }
            })
            .collect()
    }

    #[test]
    fn only_small_shards_at_the_end_are_merged_up_to_the_usual_size() {
        let check = |decisions: &[u64], expected: &[&[u32]]| {
            let all = shards(decisions);
            let small = &all[small_shards(&all, 10)];
            let found: Vec<Vec<u32>> = pieces(small, 10)
                .into_iter()
                .map(|piece| piece.iter().map(|shard| shard.index).collect())
                .collect();
            assert_eq!(found, expected, "{decisions:?}");
        };
        // 4 + 4 < 10 ≤ 4 + 4 + 4; then 1 + 9.
        check(&[4, 4, 4, 1, 9, 2], &[&[0, 1, 2], &[3, 4], &[5]]);
        check(&[3, 12, 4, 5], &[&[2, 3]]);
        check(&[3, 12], &[]);
        check(&[], &[]);
    }
}
