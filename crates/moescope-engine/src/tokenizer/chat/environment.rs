//! Jinja as transformers sets it up for chat templates.

use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Value,
    syntax::SyntaxConfig,
    value::{Kwargs, ValueKind},
};

use super::{methods, python_json};

/// The name of the one template of an environment.
pub(super) const NAME: &str = "chat_template";
/// Work that a template may do beside what its messages need; published ones need a few thousand units.
const FUEL: u64 = 200_000;

/// An environment that compiles like `ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)` with the
/// functions that transformers adds.
///
/// A template can read its messages and nothing else, and its fuel bounds both its time and its memory.
pub(super) fn environment() -> Environment<'static> {
    let mut jinja = Environment::new();
    jinja.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .expect("the usual delimiters are valid"),
    );
    jinja.set_auto_escape_callback(|_| AutoEscape::None);
    jinja.set_unknown_method_callback(methods::call);
    jinja.add_filter("tojson", python_json::tojson);
    jinja.add_function(
        "raise_exception",
        |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, Raised(message)))
        },
    );
    // Strings are iterable and sequences in Python.
    jinja.add_test("iterable", |value: &Value| {
        value.kind() == ValueKind::String || value.try_iter().is_ok()
    });
    jinja.add_test("sequence", |value: &Value| {
        matches!(
            value.kind(),
            ValueKind::String | ValueKind::Seq | ValueKind::Map
        )
    });
    jinja.add_function(
        "dict",
        |pairs: Option<Value>, more: Kwargs| -> Result<Value, Error> {
            let given = pairs.map_or_else(|| Ok(Vec::new()), |map| pairs_of(&map))?;
            let names: Vec<String> = more.args().map(str::to_owned).collect();
            let more = names
                .into_iter()
                .map(|name| Ok((Value::from(name.as_str()), more.get::<Value>(&name)?)))
                .collect::<Result<Vec<_>, Error>>()?;
            Ok(given.into_iter().chain(more).collect())
        },
    );
    jinja.set_fuel(Some(FUEL));
    jinja
}

/// The fuel of a rendering whose messages have this many bytes: enough to copy them some dozen times.
pub(super) fn fuel(bytes: usize) -> u64 {
    FUEL.saturating_add(bytes as u64)
}

fn pairs_of(map: &Value) -> Result<Vec<(Value, Value)>, Error> {
    map.try_iter()?
        .map(|key| {
            let value = map.get_item(&key)?;
            Ok((key, value))
        })
        .collect()
}

/// What a template says when it refuses; the mark tells it from errors of the template itself.
struct Raised(String);

/// Stands before a message that a template raised.
pub(super) const RAISED: &str = "raised: ";

impl From<Raised> for std::borrow::Cow<'static, str> {
    fn from(raised: Raised) -> Self {
        format!("{RAISED}{}", raised.0).into()
    }
}
