//! Numbers of bytes and the like, for people.

/// A size: `21.3 MB`, in powers of 1000.
#[must_use]
pub fn bytes(size: u64) -> String {
    scaled(size, &["B", "kB", "MB", "GB", "TB"])
}

/// A number with three digits and the unit that suits it; each unit is a thousand of the one before.
///
/// # Panics
/// When there is no unit.
#[must_use]
pub fn scaled(number: u64, units: &[&str]) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
    let mut value = number as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{number} {}", units[0])
    } else if value < 10.0 {
        format!("{value:.2} {}", units[unit])
    } else if value < 100.0 {
        format!("{value:.1} {}", units[unit])
    } else {
        format!("{value:.0} {}", units[unit])
    }
}
