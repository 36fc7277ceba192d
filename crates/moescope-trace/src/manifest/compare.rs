//! Whether a resumed capture would continue the rows that are there.

use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use super::Manifest;
use crate::error::TraceError;

/// The fields that rows depend on; the more telling name comes first where one field holds another.
const ROWS_DEPEND_ON: [&str; 21] = [
    "model",
    "layers",
    "scores",
    "float_significant_bits",
    "checkpoint",
    "compute_type",
    "tokenizer",
    "chat_template",
    "bos_policy",
    "engine",
    "decoding",
    "seeds",
    "interventions",
    "inputs",
    "label_columns",
    "overlong",
    "settings",
    "profiles_only",
    "keeps_text",
    "keeps_logits",
    "schema_version",
];

/// What must agree for two traces to be one data set.
const ONE_DATA_SET: [&str; 8] = [
    "schema_version",
    "model",
    "layers",
    "scores",
    "float_significant_bits",
    "compute_type",
    "tokenizer",
    "profiles_only",
];

impl Manifest {
    /// Refuses to continue `self` with what `wanted` would write, naming the first field that differs.
    pub(crate) fn check_resumable(&self, wanted: &Self, path: &Path) -> Result<(), TraceError> {
        match first_difference(self, wanted, &ROWS_DEPEND_ON) {
            None => Ok(()),
            Some(difference) => Err(TraceError::Incompatible {
                field: difference.field,
                found: difference.first,
                wanted: difference.second,
                path: path.to_owned(),
            }),
        }
    }

    /// The first field that keeps two traces from being merged into one data set, with both values.
    ///
    /// Model, gating, recorded layers, meaning of scores, precision and tokenizer must agree.
    #[must_use]
    pub fn unmergeable_field(&self, other: &Self) -> Option<(String, String, String)> {
        first_difference(self, other, &ONE_DATA_SET).map(|d| (d.field, d.first, d.second))
    }

    /// Every field that rows depend on and in which two traces differ.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<ManifestDifference> {
        differences(self, other, &ROWS_DEPEND_ON)
    }
}

/// One field that differs between two manifests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ManifestDifference {
    /// The field, as `model.num_experts`.
    pub field: String,
    /// The first manifest's value as JSON, cut where it is long, or `absent`.
    pub first: String,
    /// The second manifest's.
    pub second: String,
}

fn first_difference(
    a: &Manifest,
    b: &Manifest,
    fields: &[&'static str],
) -> Option<ManifestDifference> {
    differences(a, b, fields).into_iter().next()
}

/// Every field that differs, in the order of `fields`.
fn differences(a: &Manifest, b: &Manifest, fields: &[&'static str]) -> Vec<ManifestDifference> {
    let (a, b) = (normalized(a), normalized(b));
    let mut found = Vec::new();
    for field in fields {
        let null = Value::Null;
        let (x, y) = (
            a.get(*field).unwrap_or(&null),
            b.get(*field).unwrap_or(&null),
        );
        collect_differing_leaves(field, x, y, &mut found);
    }
    found
}

/// The manifest as JSON that went through text, as the one on disk did, so that floats compare equal.
fn normalized(manifest: &Manifest) -> Value {
    serde_json::to_string(manifest)
        .and_then(|text| serde_json::from_str(&text))
        .expect("a manifest is plain data with string keys, which JSON can hold")
}

/// Descends into objects so that the message names `model.num_experts`, not `model`.
fn collect_differing_leaves(
    field: &str,
    a: &Value,
    b: &Value,
    found: &mut Vec<ManifestDifference>,
) {
    if a == b {
        return;
    }
    let nothing = Map::new();
    let fields = |value: &Value| match value {
        Value::Object(fields) => Some(fields.clone()),
        Value::Null => Some(nothing.clone()),
        _ => None,
    };
    // An absent object differs in the fields of the other one.
    if (a.is_object() || b.is_object())
        && let (Some(x), Some(y)) = (fields(a), fields(b))
    {
        let keys = x.keys().chain(y.keys().filter(|key| !x.contains_key(*key)));
        for key in keys {
            let null = Value::Null;
            collect_differing_leaves(
                &format!("{field}.{key}"),
                x.get(key).unwrap_or(&null),
                y.get(key).unwrap_or(&null),
                found,
            );
        }
        return;
    }
    found.push(ManifestDifference {
        field: field.to_owned(),
        first: shown(a),
        second: shown(b),
    });
}

/// A value short enough for an error message.
fn shown(value: &Value) -> String {
    const LIMIT: usize = 120;
    if value.is_null() {
        return "absent".to_owned();
    }
    let text = value.to_string();
    if text.chars().count() <= LIMIT {
        text
    } else {
        text.chars().take(LIMIT).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decoding, Engine, Input};

    fn check(change: impl FnOnce(&mut Manifest), field: Option<&str>) {
        let decoding = Some(Decoding {
            temperature: 0.7,
            ..Decoding::default()
        });
        let old = Manifest {
            decoding,
            ..Manifest::default()
        };
        let mut new = old.clone();
        change(&mut new);
        let found = first_difference(&old, &new, &ROWS_DEPEND_ON).map(|d| d.field);
        assert_eq!(found.as_deref(), field);
    }

    #[test]
    fn the_field_that_differs_is_named() {
        check(|_| {}, None);
        check(|m| m.model.num_experts = 8, Some("model.num_experts"));
        check(
            |m| m.model.gating.scaling = 2.5,
            Some("model.gating.scaling"),
        );
        check(|m| m.keeps_logits = true, Some("keeps_logits"));
        check(|m| m.inputs.push(Input::default()), Some("inputs"));
        check(
            |m| m.decoding.as_mut().unwrap().temperature = 0.8,
            Some("decoding.temperature"),
        );
        check(|m| m.engine = Some(Engine::default()), Some("engine.name"));
        check(
            |m| _ = m.settings.insert("max_tokens".into(), 5.into()),
            Some("settings.max_tokens"),
        );
    }

    #[test]
    fn all_fields_that_differ_are_listed() {
        let old = Manifest::default();
        let mut new = old.clone();
        new.model.num_experts = 8;
        new.model.top_k = 2;
        new.interventions.push("mask:all:3".into());
        let found = old.differences(&new);
        let fields: Vec<&str> = found.iter().map(|d| d.field.as_str()).collect();
        assert_eq!(
            fields,
            ["model.num_experts", "model.top_k", "interventions"]
        );
        assert_eq!(
            (found[0].first.as_str(), found[0].second.as_str()),
            ("0", "8")
        );
        assert!(old.differences(&old).is_empty());
    }

    #[test]
    fn times_and_titles_do_not_matter() {
        check(|m| m.title = Some("other".into()), None);
        check(|m| m.times.started_at = Some("2030-01-01".into()), None);
        check(|m| m.complete = true, None);
    }
}
