//! Checks JSON against `docs/manifest.schema.json`, with the few keywords of JSON Schema that it uses.
//!
//! A full validator would be a larger dependency than the rest of this crate;
//! a test holds the schema to the keywords known here.

use serde_json::Value;

/// The published description of the manifest.
pub(crate) const SCHEMA: &str = include_str!("../../../../docs/manifest.schema.json");

type Decide = fn(&str) -> bool;

/// Patterns of the schema with the functions that decide them.
const PATTERNS: [(&str, Decide); 2] = [
    ("^[0-9a-f]{64}$", is_sha256),
    (
        "^(samples|tokens|routing|profiles)/part-[0-9]{5,10}\\.parquet$",
        is_shard_file,
    ),
];

/// What in `value` breaks the schema, one sentence each, at most `limit` of them.
pub(crate) fn violations(value: &Value, limit: usize) -> Vec<String> {
    let schema: Value = serde_json::from_str(SCHEMA)
        .expect("the schema is part of this crate, and a test reads it");
    let mut checker = Checker {
        root: &schema,
        limit,
        found: Vec::new(),
    };
    checker.check("manifest", value, &schema);
    checker.found
}

struct Checker<'a> {
    root: &'a Value,
    limit: usize,
    found: Vec<String>,
}

impl<'a> Checker<'a> {
    fn report(&mut self, at: &str, problem: &str) {
        if self.found.len() < self.limit {
            self.found.push(format!("{at} {problem}"));
        }
    }

    fn check(&mut self, at: &str, value: &Value, schema: &'a Value) {
        let schema = self.resolve(schema);
        if !self.has_type(at, value, schema) {
            return;
        }
        self.check_scalar(at, value, schema);
        match value {
            Value::Object(fields) => {
                for name in strings(schema.get("required")) {
                    if !fields.contains_key(name) {
                        self.report(at, &format!("lacks '{name}'"));
                    }
                }
                let properties = schema.get("properties");
                for (name, field) in fields {
                    let described = properties
                        .and_then(|p| p.get(name))
                        .or_else(|| schema.get("additionalProperties"));
                    if let Some(described) = described {
                        self.check(&format!("{at}.{name}"), field, described);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(described) = schema.get("items") {
                    for (index, item) in items.iter().enumerate() {
                        self.check(&format!("{at}[{index}]"), item, described);
                    }
                }
                let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
                if (items.len() as u64) < least {
                    self.report(at, &format!("has fewer than {least} items"));
                }
            }
            _ => {}
        }
    }

    fn resolve(&self, schema: &'a Value) -> &'a Value {
        schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|reference| self.root.pointer(reference.strip_prefix('#')?))
            .unwrap_or(schema)
    }

    fn has_type(&mut self, at: &str, value: &Value, schema: &Value) -> bool {
        let names: Vec<&str> = match schema.get("type") {
            None => return true,
            Some(Value::String(name)) => vec![name],
            Some(several) => strings(Some(several)).collect(),
        };
        let fits = names.iter().any(|name| match *name {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "null" => value.is_null(),
            _ => false,
        });
        if !fits {
            self.report(at, &format!("is not of type {}", names.join(" or ")));
        }
        fits
    }

    fn check_scalar(&mut self, at: &str, value: &Value, schema: &Value) {
        if let Some(Value::Array(allowed)) = schema.get("enum")
            && !allowed.contains(value)
        {
            self.report(
                at,
                &format!("is {value}, which is not one of the accepted values"),
            );
        }
        if let Some(number) = value.as_f64() {
            if let Some(least) = schema.get("minimum").and_then(Value::as_f64)
                && number < least
            {
                self.report(at, &format!("is {number}, below {least}"));
            }
            if let Some(most) = schema.get("maximum").and_then(Value::as_f64)
                && number > most
            {
                self.report(at, &format!("is {number}, above {most}"));
            }
        }
        if let (Some(text), Some(pattern)) = (value.as_str(), schema.get("pattern")) {
            let known = PATTERNS.iter().find(|(name, _)| pattern == name);
            if !known.is_some_and(|(_, matches)| matches(text)) {
                self.report(at, &format!("does not match {pattern}"));
            }
        }
    }
}

fn strings(value: Option<&Value>) -> impl Iterator<Item = &str> {
    value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_shard_file(text: &str) -> bool {
    let Some((table, file)) = text.split_once('/') else {
        return false;
    };
    let number = file
        .strip_prefix("part-")
        .and_then(|rest| rest.strip_suffix(".parquet"))
        .unwrap_or_default();
    matches!(table, "samples" | "tokens" | "routing" | "profiles")
        && (5..=10).contains(&number.len())
        && number.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::Manifest;

    /// Calls `visit` for each schema within a schema.
    fn walk(schema: &Value, visit: &mut impl FnMut(&Value)) {
        visit(schema);
        for group in ["properties", "$defs"] {
            for inner in schema[group]
                .as_object()
                .into_iter()
                .flat_map(|o| o.values())
            {
                walk(inner, visit);
            }
        }
        for single in ["items", "additionalProperties"] {
            if schema[single].is_object() {
                walk(&schema[single], visit);
            }
        }
    }

    #[test]
    fn the_schema_uses_only_keywords_that_are_checked() {
        let known: BTreeSet<&str> = [
            "$schema",
            "$id",
            "$defs",
            "$ref",
            "title",
            "description",
            "type",
            "required",
            "properties",
            "additionalProperties",
            "items",
            "minItems",
            "enum",
            "minimum",
            "maximum",
            "pattern",
            "examples",
        ]
        .into();
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        walk(&schema, &mut |inner| {
            for keyword in inner.as_object().unwrap().keys() {
                assert!(known.contains(keyword.as_str()), "keyword {keyword}");
            }
            if let Some(reference) = inner.get("$ref").and_then(Value::as_str) {
                assert!(schema.pointer(&reference[1..]).is_some(), "{reference}");
            }
            if let Some(pattern) = inner.get("pattern") {
                assert!(
                    PATTERNS.iter().any(|(name, _)| pattern == name),
                    "{pattern}"
                );
            }
            let described = inner.get("$ref").is_some() || inner.get("type").is_some();
            assert!(described || inner.get("description").is_some(), "{inner}");
        });
    }

    #[test]
    fn every_field_of_the_manifest_is_described() {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let manifest = serde_json::to_value(Manifest::default()).unwrap();
        for name in manifest.as_object().unwrap().keys() {
            assert!(schema["properties"].get(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_manifest_with_every_part_fits() {
        let manifest = Manifest {
            title: Some("tiny".into()),
            toolkit: crate::Toolkit {
                commit: Some("0123abc".into()),
                ..crate::Toolkit::default()
            },
            layers: Some(vec![moescope_core::LayerId(3)]),
            scores: crate::Scores::of(&moescope_core::Gating::softmax_top_k()),
            chat_template: Some("{{ messages }}".into()),
            bos_policy: Some("as the tokenizer says".into()),
            decoding: Some(crate::Decoding {
                max_new_tokens: 8,
                top_k: Some(40),
                top_p: Some(0.9),
                stop: vec!["end".into()],
                ..crate::Decoding::default()
            }),
            seeds: [("sampling".to_owned(), u64::MAX)].into(),
            interventions: vec!["mask:3:1".into()],
            overlong: Some(crate::Overlong {
                policy: crate::OverlongPolicy::Chunk,
                max_tokens: 512,
                touched: vec!["doc-1".into()],
            }),
            settings: [("limit".to_owned(), json!(5))].into(),
            performance: Some(crate::Performance::default()),
            ..crate::fixture::manifest()
        };
        let value = serde_json::to_value(&manifest).unwrap();
        assert_eq!(violations(&value, 20), [""; 0]);
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        for name in value.as_object().unwrap().keys() {
            assert!(schema["properties"].get(name).is_some(), "{name}");
        }
        let back: Manifest = serde_json::from_value(value).unwrap();
        assert_eq!(back, manifest);
    }

    #[test]
    fn violations_are_named_with_their_place() {
        let mut manifest = serde_json::to_value(Manifest::default()).unwrap();
        manifest["model"]["top_k"] = json!("two");
        manifest.as_object_mut().unwrap().remove("complete");
        manifest["shards"] = json!([{"index": -1, "first_sample": 0, "samples": 0, "tables": {
            "samples": {"file": "../samples/part-00000.parquet", "rows": 0, "bytes": 0, "sha256": "x"}}}]);
        let found = violations(&manifest, 20).join("\n");
        for expected in [
            "manifest lacks 'complete'",
            "manifest.model.top_k is not of type integer",
            "manifest.shards[0].index is -1, below 0",
            "manifest.shards[0].tables lacks 'tokens'",
            "manifest.shards[0].tables.samples.file does not match",
            "manifest.shards[0].tables.samples.sha256 does not match",
        ] {
            assert!(found.contains(expected), "{expected} not in:\n{found}");
        }
        assert_eq!(violations(&manifest, 2).len(), 2);
    }
}
