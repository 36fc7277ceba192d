//! Numbers that may be undefined, as JSON has them: NaN is written as `null`, and `null` is read as NaN.

use serde::{Deserialize, Deserializer};

/// Reads a number, or NaN where there is none.
pub(crate) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let found = Option::<f64>::deserialize(deserializer)?;
    Ok(found.unwrap_or(f64::NAN))
}

/// Reads numbers, each of which may be missing.
pub(crate) fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    let found = Vec::<Option<f64>>::deserialize(deserializer)?;
    let numbers = found.into_iter();
    Ok(numbers.map(|found| found.unwrap_or(f64::NAN)).collect())
}
