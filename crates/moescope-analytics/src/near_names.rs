//! Names that may have been meant by one that is not known.

/// Up to three known names near to one, nearest first: `'gini' or 'jsd'`; `None` where none is near.
pub(crate) fn near<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let length = name.chars().count();
    let mut near: Vec<(usize, &str)> = known
        .map(|known| (distance(name, known), known))
        .filter(|(distance, known)| {
            let is_like = *distance <= 2.max(known.len() / 3) && *distance < length;
            is_like || (name.len() > 2 && known.contains(name))
        })
        .collect();
    near.sort_unstable();
    let near: Vec<String> = near
        .iter()
        .take(3)
        .map(|(_, known)| format!("'{known}'"))
        .collect();
    (!near.is_empty()).then(|| near.join(" or "))
}

/// ` (did you mean 'x'?)` with the known names that are near, or nothing where none is.
pub(crate) fn did_you_mean(name: &str, known: &[String]) -> String {
    near(name, known.iter().map(String::as_str))
        .map_or_else(String::new, |near| format!(" (did you mean {near}?)"))
}

/// Levenshtein's distance with swaps of neighbours (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    // A name that long resembles none of ours, and the table of the distance would only cost memory.
    const LONGEST: usize = 64;
    if a.chars().count().max(b.chars().count()) > LONGEST {
        return usize::MAX;
    }
    strsim::osa_distance(a, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_labels_are_suggested_and_far_ones_are_not() {
        let labels = ["chemistry", "law", "math", "physics"].map(str::to_owned);
        assert_eq!(
            did_you_mean("chemisrty", &labels),
            " (did you mean 'chemistry'?)"
        );
        assert_eq!(did_you_mean("maths", &labels), " (did you mean 'math'?)");
        assert_eq!(did_you_mean("art", &labels), "");
        // As many changes as it has letters leave nothing of a name.
        assert_eq!(did_you_mean("cs", &["id".to_owned()]), "");
    }
}
