//! Suggestions for mistyped names.

/// ` (did you mean 'x'?)` for the known name that is nearest to `typed`, or nothing where none is near.
#[must_use]
pub fn did_you_mean(typed: &str, known: &[&str]) -> String {
    nearest(typed, known).map_or_else(String::new, |name| format!(" (did you mean '{name}'?)"))
}

/// The known name that is nearest to `typed`, if it is near: a Jaro–Winkler similarity above 0.8.
#[must_use]
pub fn nearest<'a>(typed: &str, known: &[&'a str]) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    known
        .iter()
        .map(|name| (strsim::jaro_winkler(&typed, &name.to_lowercase()), *name))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested_and_far_ones_are_not() {
        assert_eq!(nearest("txt", &["text", "id"]), Some("text"));
        assert_eq!(nearest("Discipline", &["discipline"]), Some("discipline"));
        assert_eq!(nearest("domain", &["text", "id"]), None);
    }
}
