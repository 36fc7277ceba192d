//! A list of JSON objects, read one at a time.

use std::{fmt, io::BufRead};

use serde::de::{Deserializer as _, Error as _, SeqAccess, Visitor};
use serde_json::Value;

use super::{
    collector::Collector,
    format::{FileNames, ReadError},
    row::{Field, Row},
};

pub(super) fn read(
    reader: Box<dyn BufRead>,
    names: &FileNames<'_>,
    collector: &mut Collector<'_>,
    tick: &mut dyn FnMut(u64) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let mut deserializer = serde_json::Deserializer::from_reader(reader);
    let mut stop = None;
    let mut number = 0;
    let visitor = Elements(&mut |value| {
        number += 1;
        if number % 4096 == 0
            && let Err(error) = tick(number)
        {
            stop = Some(error);
            return false;
        }
        let at = format!("{}[{}]", names.shown, number - 1);
        let id = format!("{}[{}]", names.own, number - 1);
        take(value, at, id, collector);
        true
    });
    let result = deserializer
        .deserialize_seq(visitor)
        .and_then(|()| deserializer.end());
    match (stop, result) {
        (Some(error), _) => Err(error),
        (None, Ok(())) => Ok(()),
        (None, Err(error)) => {
            let hint = if number == 0 {
                "; a .json file holds one list of objects, and one object a line belongs into .jsonl"
            } else {
                ""
            };
            let line = error.line() as u64;
            collector.bad_record(names.at(line), format!("broken JSON: {error}{hint}"));
            Ok(())
        }
    }
}

/// Hands the elements of a list on, one by one, until told to stop.
struct Elements<'a>(&'a mut dyn FnMut(Value) -> bool);

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(value) = list.next_element()? {
            if !(self.0)(value) {
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

/// Takes one JSON value as a record.
pub(super) fn take(value: Value, at: String, fallback_id: String, collector: &mut Collector<'_>) {
    let Value::Object(object) = value else {
        let kind = kind_of(&value);
        return collector.bad_record(at, format!("the record is {kind}, not an object"));
    };
    let fields = object
        .into_iter()
        .map(|(name, value)| {
            let kind = kind_of(&value);
            let field = match value {
                Value::Null => Field::Missing,
                Value::String(text) => Field::Text(text),
                Value::Bool(_) | Value::Number(_) => Field::Plain(value.to_string(), kind),
                Value::Array(_) | Value::Object(_) => Field::Nested(value.to_string(), kind),
            };
            (name, field)
        })
        .collect();
    collector.row(Row {
        at,
        fallback_id,
        fields,
    });
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
