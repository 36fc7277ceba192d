//! Python's methods of strings, lists and dictionaries, with a bound on what they may build.

use minijinja::{
    Error, ErrorKind, State, Value,
    value::{ValueKind, from_args},
};

/// Bytes for one unit of fuel, as minijinja counts.
const BYTES_PER_FUEL: usize = 64;
/// Bytes of an item in a list.
const ITEM_BYTES: usize = 32;

/// Calls a method that Jinja's values do not have themselves.
///
/// Methods that can make much of little are paid for before they build it.
pub(super) fn call(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    if let Some(text) = value.as_str().filter(|_| value.kind() == ValueKind::String) {
        match method {
            "replace" => {
                let (old, new, count): (&str, &str, Option<i64>) = from_args(args)?;
                let matches = text.matches(old).count();
                let most = usize::try_from(count.unwrap_or(-1)).unwrap_or(usize::MAX);
                let replaced = matches.min(most);
                pay(
                    state,
                    text.len()
                        .saturating_add(replaced.saturating_mul(new.len())),
                )?;
                return Ok(text.replacen(old, new, replaced).into());
            }
            "join" => {
                let (values,): (&Value,) = from_args(args)?;
                return join(state, text, values);
            }
            "split" | "rsplit" | "splitlines" => {
                let separator = args
                    .first()
                    .and_then(Value::as_str)
                    .filter(|s| !s.is_empty());
                let items = match separator {
                    Some(separator) => text.matches(separator).count(),
                    None => text.matches(char::is_whitespace).count(),
                };
                pay(
                    state,
                    text.len().saturating_add(items.saturating_mul(ITEM_BYTES)),
                )?;
            }
            "removeprefix" => {
                let (prefix,): (&str,) = from_args(args)?;
                return Ok(text.strip_prefix(prefix).unwrap_or(text).into());
            }
            "removesuffix" => {
                let (suffix,): (&str,) = from_args(args)?;
                return Ok(text.strip_suffix(suffix).unwrap_or(text).into());
            }
            // A width in the format could ask for any length.
            "format" => return Err(Error::from(ErrorKind::UnknownMethod)),
            _ => {}
        }
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args)
}

fn join(state: &State<'_, '_>, separator: &str, values: &Value) -> Result<Value, Error> {
    let mut joined = String::new();
    for (place, value) in values.try_iter()?.enumerate() {
        let text = value.as_str().ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidOperation,
                format!("join needs strings, item {place} is a {}", value.kind()),
            )
        })?;
        pay(state, separator.len() + text.len())?;
        if place > 0 {
            joined.push_str(separator);
        }
        joined.push_str(text);
    }
    Ok(joined.into())
}

fn pay(state: &State<'_, '_>, bytes: usize) -> Result<(), Error> {
    state.consume_fuel((bytes / BYTES_PER_FUEL + 1) as u64)
}
