//! Whether a manifest's parts fit together, so that everything after it may trust them.

use std::collections::BTreeSet;

use super::{Manifest, Shard};
use crate::{error::TraceError, schema::Table};

/// Layers, experts and so on beyond this come from no model and would only cost memory.
const MAX_EXPERTS: u16 = 16_384;
/// No capture cuts so many shards; a number below it leaves room for the next.
const END_OF_NUMBERS: u32 = 1 << 31;

impl Manifest {
    /// Says what in the manifest contradicts itself or could lead outside the trace's folder.
    pub(crate) fn inconsistency(&self) -> Option<String> {
        self.model_problem()
            .or_else(|| self.name_problem())
            .or_else(|| self.label_problem())
            .or_else(|| self.shard_problem())
    }

    fn model_problem(&self) -> Option<String> {
        let model = &self.model;
        if model.num_experts == 0 || model.num_experts > MAX_EXPERTS {
            return Some(format!(
                "model.num_experts is {}, expected 1 to {MAX_EXPERTS}",
                model.num_experts
            ));
        }
        if model.top_k == 0 || model.top_k > model.num_experts {
            return Some(format!(
                "model.top_k is {}, expected 1 to num_experts = {}",
                model.top_k, model.num_experts
            ));
        }
        if model.moe_layers.is_empty() {
            return Some("model.moe_layers is empty".to_owned());
        }
        if !model.moe_layers.is_sorted_by(|a, b| a < b) {
            return Some("model.moe_layers is not strictly ascending".to_owned());
        }
        if let Some(layer) = model.moe_layers.iter().find(|l| l.0 >= model.num_layers) {
            return Some(format!(
                "model.moe_layers holds layer {layer}, but model.num_layers is {}",
                model.num_layers
            ));
        }
        if let Some(layers) = &self.layers {
            if layers.is_empty() || !layers.is_sorted_by(|a, b| a < b) {
                return Some("layers is empty or not strictly ascending".to_owned());
            }
            if let Some(layer) = layers.iter().find(|l| self.moe_layer(**l).is_none()) {
                return Some(format!("layers holds {layer}, which is no MoE layer"));
            }
        }
        if !(2..=24).contains(&self.float_significant_bits) {
            return Some(format!(
                "float_significant_bits is {}, expected 2 to 24",
                self.float_significant_bits
            ));
        }
        None
    }

    /// Absolute paths tell who captured where; they belong into no published file.
    fn name_problem(&self) -> Option<String> {
        let checkpoint = self.checkpoint.iter();
        let ids = checkpoint
            .clone()
            .filter_map(|c| c.id.as_deref())
            .map(|id| ("checkpoint.id", id));
        let files = checkpoint
            .flat_map(|c| &c.files)
            .map(|file| ("checkpoint.files", file.name.as_str()));
        let inputs = self
            .inputs
            .iter()
            .map(|input| ("inputs", input.name.as_str()));
        ids.chain(files)
            .chain(inputs)
            .find(|(_, name)| is_path_outside(name))
            .map(|(field, name)| {
                format!("{field} holds '{name}'; a name may not be an absolute path or hold '..'")
            })
    }

    fn label_problem(&self) -> Option<String> {
        check_label_columns(&self.label_columns)
            .err()
            .map(|error| error.to_string())
    }

    fn shard_problem(&self) -> Option<String> {
        let mut next_sample = 0u32;
        let mut next_number = 0u32;
        for (index, shard) in self.shards.iter().enumerate() {
            if !(next_number..END_OF_NUMBERS).contains(&shard.index) {
                return Some(format!(
                    "shard {index} calls itself {}, at least {next_number} and below {END_OF_NUMBERS} was expected",
                    shard.index
                ));
            }
            next_number = shard.index + 1;
            if shard.first_sample != next_sample {
                return Some(format!(
                    "shard {index} begins at sample {}, expected {next_sample}",
                    shard.first_sample
                ));
            }
            let Some(end) = next_sample.checked_add(shard.samples) else {
                return Some(format!("shard {index} ends beyond the last sample number"));
            };
            next_sample = end;
            if let Some(reason) = shard.problem() {
                return Some(reason);
            }
        }
        if self.counts.samples != u64::from(next_sample) {
            return Some(format!(
                "counts.samples is {}, but the shards hold {next_sample}",
                self.counts.samples
            ));
        }
        None
    }
}

impl Shard {
    fn problem(&self) -> Option<String> {
        let known: BTreeSet<&str> = Table::ALL.iter().map(|table| table.name()).collect();
        if let Some(name) = self
            .tables
            .keys()
            .find(|name| !known.contains(name.as_str()))
        {
            return Some(format!(
                "shard {} has a table '{name}'; the tables are samples, tokens, routing and profiles",
                self.index
            ));
        }
        for table in Table::ALL {
            let Some(file) = self.tables.get(table.name()) else {
                return Some(format!("shard {} lacks table {table}", self.index));
            };
            // Only this one name is accepted, so no name can lead out of the folder.
            let expected = table.shard_file(self.index);
            if file.file != expected {
                return Some(format!(
                    "shard {} of {table} is in file '{}', the only accepted name is '{expected}'",
                    self.index, file.file
                ));
            }
        }
        let samples = &self.tables[Table::Samples.name()];
        if samples.rows != u64::from(self.samples) {
            return Some(format!(
                "shard {} has {} samples, but {} rows in its samples table",
                self.index, self.samples, samples.rows
            ));
        }
        None
    }
}

/// Checks the user's label columns against the columns of `samples` and against each other.
pub(crate) fn check_label_columns(names: &[String]) -> Result<(), TraceError> {
    // DuckDB's column names ignore case, so two names must differ in more than that.
    let mut taken: BTreeSet<String> = Table::Samples
        .schema(&[])
        .fields()
        .iter()
        .map(|field| field.name().to_lowercase())
        .collect();
    for name in names {
        let reason = if name.is_empty() || name.len() > 256 || name.trim() != name {
            Some("a name has 1 to 256 bytes and no white space at its ends")
        } else if name.chars().any(char::is_control) {
            Some("it holds control characters")
        } else if !taken.insert(name.to_lowercase()) {
            Some("the table has a column of that name (upper and lower case count as equal)")
        } else {
            None
        };
        if let Some(reason) = reason {
            return Err(TraceError::LabelColumn {
                name: name.clone(),
                reason,
            });
        }
    }
    Ok(())
}

fn is_path_outside(name: &str) -> bool {
    let mut start = name.chars();
    let has_drive =
        start.next().is_some_and(|c| c.is_ascii_alphabetic()) && start.next() == Some(':');
    name.starts_with(['/', '\\', '~'])
        || has_drive
        || name.split(['/', '\\']).any(|part| part == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_name(name: &str, is_outside: bool) {
        assert_eq!(is_path_outside(name), is_outside, "{name}");
    }

    #[test]
    fn absolute_and_parent_paths_are_no_names() {
        check_name("allenai/OLMoE-1B-7B-0924", false);
        check_name("model-00001-of-00003.safetensors", false);
        check_name("..hidden", false);
        check_name("/home/ada/model", true);
        check_name("C:\\models", true);
        check_name("\\\\server\\share", true);
        check_name("~/model", true);
        check_name("a/../../b", true);
    }

    #[test]
    fn label_columns_may_not_collide_even_in_case() {
        let check = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&n| n.to_owned()).collect();
            check_label_columns(&names)
        };
        assert!(check(&["year", "author"]).is_ok());
        for bad in [&["Discipline"][..], &["year", "Year"], &[""], &["a\nb"]] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }
}
