//! Reading `config.json`: keys of both generations of transformers, bounded sizes, errors that name the key.

use serde_json::{Map, Value};

use crate::error::EngineError;

/// Largest size that any count or width in a configuration may have; real models stay far below.
const LARGEST: u64 = 1 << 24;

/// The keys of a model's `config.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigJson(pub(super) Map<String, Value>);

impl ConfigJson {
    /// Parses the file's text.
    ///
    /// # Errors
    /// When it is not a JSON object.
    pub fn parse(text: &str) -> Result<Self, EngineError> {
        let value: Value = serde_json::from_str(text).map_err(|error| {
            EngineError::Config(format!("config.json is not valid JSON: {error}"))
        })?;
        match value {
            Value::Object(map) => Ok(Self(map)),
            other => Err(EngineError::Config(format!(
                "config.json holds {}, not an object",
                kind(&other)
            ))),
        }
    }

    /// The value of the first of `keys` that is there and not null.
    #[must_use]
    pub fn get(&self, keys: &[&str]) -> Option<&Value> {
        keys.iter()
            .find_map(|key| self.0.get(*key).filter(|value| !value.is_null()))
    }

    /// A nested object such as `rope_scaling`.
    ///
    /// # Errors
    /// When the key holds something else.
    pub fn object(&self, keys: &[&str]) -> Result<Option<Self>, EngineError> {
        match self.get(keys) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Self(map.clone()))),
            Some(other) => Err(wrong(keys, "an object", other)),
        }
    }

    /// A count or width from 1 to 2²⁴, if it is given.
    ///
    /// # Errors
    /// When the key holds something else.
    ///
    /// # Panics
    /// Never: the number was bounded.
    pub fn size_opt(&self, keys: &[&str]) -> Result<Option<usize>, EngineError> {
        let Some(value) = self.get(keys) else {
            return Ok(None);
        };
        match value.as_u64() {
            Some(size @ 1..=LARGEST) => Ok(Some(usize::try_from(size).expect("bounded above"))),
            _ => Err(wrong(keys, "a whole number from 1 to 16777216", value)),
        }
    }

    /// A count or width that must be given.
    ///
    /// # Errors
    /// When the key is missing or holds something else.
    pub fn size(&self, keys: &[&str]) -> Result<usize, EngineError> {
        self.size_opt(keys)?
            .ok_or_else(|| EngineError::Config(format!("config.json has no {}", keys.join(" or "))))
    }

    /// A count or width that must be given: as a number, or as a list with one entry per layer that are all the same.
    ///
    /// # Errors
    /// When the key is missing, holds something else, or differs between layers.
    ///
    /// # Panics
    /// Never: the number was bounded.
    pub fn uniform_size(&self, keys: &[&str]) -> Result<usize, EngineError> {
        let Some(value @ Value::Array(entries)) = self.get(keys) else {
            return self.size(keys);
        };
        let first = entries.first().and_then(Value::as_u64);
        match first {
            Some(size @ 1..=LARGEST) if entries.iter().all(|entry| entry.as_u64() == first) => {
                Ok(usize::try_from(size).expect("bounded above"))
            }
            _ => Err(wrong(
                keys,
                "a whole number from 1 to 16777216, or a list that repeats one",
                value,
            )),
        }
    }

    /// A finite number, if it is given.
    ///
    /// # Errors
    /// When the key holds something else.
    pub fn number_opt(&self, keys: &[&str]) -> Result<Option<f64>, EngineError> {
        let Some(value) = self.get(keys) else {
            return Ok(None);
        };
        value
            .as_f64()
            .filter(|x| x.is_finite())
            .map(Some)
            .ok_or_else(|| wrong(keys, "a number", value))
    }

    /// A text, if it is given.
    ///
    /// # Errors
    /// When the key holds something else.
    pub fn text_opt(&self, keys: &[&str]) -> Result<Option<&str>, EngineError> {
        let Some(value) = self.get(keys) else {
            return Ok(None);
        };
        value
            .as_str()
            .map(Some)
            .ok_or_else(|| wrong(keys, "a text", value))
    }

    /// A switch, `false` where it is not given.
    ///
    /// # Errors
    /// When the key holds something else.
    pub fn flag(&self, keys: &[&str]) -> Result<bool, EngineError> {
        self.flag_or(keys, false)
    }

    /// A switch with the family's own default.
    ///
    /// # Errors
    /// When the key holds something else.
    pub fn flag_or(&self, keys: &[&str], default: bool) -> Result<bool, EngineError> {
        let Some(value) = self.get(keys) else {
            return Ok(default);
        };
        value
            .as_bool()
            .ok_or_else(|| wrong(keys, "true or false", value))
    }

    /// A list of finite numbers; empty where none is given.
    ///
    /// # Errors
    /// When the key holds something else.
    pub fn numbers(&self, keys: &[&str]) -> Result<Vec<f64>, EngineError> {
        match self.get(keys) {
            None => Ok(Vec::new()),
            Some(value @ Value::Array(items)) => items
                .iter()
                .map(|item| {
                    item.as_f64()
                        .filter(|x| x.is_finite())
                        .ok_or_else(|| wrong(keys, "a list of numbers", value))
                })
                .collect(),
            Some(other) => Err(wrong(keys, "a list of numbers", other)),
        }
    }

    /// A list of texts, if it is given.
    ///
    /// # Errors
    /// When the key holds something else.
    pub fn texts(&self, keys: &[&str]) -> Result<Option<Vec<&str>>, EngineError> {
        match self.get(keys) {
            None => Ok(None),
            Some(value @ Value::Array(items)) => items
                .iter()
                .map(|item| {
                    item.as_str()
                        .ok_or_else(|| wrong(keys, "a list of texts", value))
                })
                .collect::<Result<_, _>>()
                .map(Some),
            Some(other) => Err(wrong(keys, "a list of texts", other)),
        }
    }

    /// A count from 0 to 2²⁴, if it is given: where 0 means none.
    ///
    /// # Errors
    /// When the key holds something else.
    ///
    /// # Panics
    /// Never: the number was bounded.
    pub fn count_opt(&self, keys: &[&str]) -> Result<Option<usize>, EngineError> {
        match self.get(keys) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(count @ 0..=LARGEST) => {
                    Ok(Some(usize::try_from(count).expect("bounded above")))
                }
                _ => Err(wrong(keys, "a whole number from 0 to 16777216", value)),
            },
        }
    }

    /// A list of layer numbers; empty where none is given.
    ///
    /// # Errors
    /// When the key holds something else.
    pub fn layers(&self, keys: &[&str]) -> Result<Vec<usize>, EngineError> {
        self.token_ids(keys)
            .map(|ids| ids.into_iter().map(|id| id as usize).collect())
    }

    /// One token id or a list of them; empty where none is given.
    ///
    /// # Errors
    /// When the key holds something else.
    pub fn token_ids(&self, keys: &[&str]) -> Result<Vec<u32>, EngineError> {
        let Some(value) = self.get(keys) else {
            return Ok(Vec::new());
        };
        let id = |value: &Value| {
            value
                .as_u64()
                .and_then(|id| u32::try_from(id).ok())
                .ok_or_else(|| wrong(keys, "token ids", value))
        };
        match value {
            Value::Array(values) => values.iter().map(id).collect(),
            single => Ok(vec![id(single)?]),
        }
    }
}

fn wrong(keys: &[&str], wanted: &str, found: &Value) -> EngineError {
    let mut found = found.to_string();
    if found.chars().count() > 60 {
        found = found.chars().take(60).chain("…".chars()).collect();
    }
    EngineError::Config(format!(
        "config.json: {} must be {wanted}, found {found}",
        keys.join(" or ")
    ))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a switch",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
