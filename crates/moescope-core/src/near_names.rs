//! Names that may have been meant by one that is not known.

/// A longer name resembles none of ours, and the table of changes would only cost memory.
const LONGEST: usize = 64;
/// So many names are told at most.
const MOST_TOLD: usize = 3;
/// Fewer letters are part of too many names.
const LEAST_PART: usize = 3;

/// Known names that may have been meant: `'gini' or 'jsd'`; `None` where none is near.
///
/// Near are those that the fewest changes lead to: letters put in, left out or replaced, and neighbours swapped. There may
/// be one change for every three letters of the name, at least one, and fewer than letters were typed. Where none is so
/// near, it is those that hold what was typed. Capitals do not count; at most three are told, in alphabetical order.
///
/// ```
/// use moescope_core::near_names;
///
/// let metrics = ["load_entropy", "gini", "jsd"];
/// assert_eq!(near_names("jds", &metrics).as_deref(), Some("'jsd'"));
/// assert_eq!(near_names("entropy", &metrics).as_deref(), Some("'load_entropy'"));
/// assert_eq!(near_names("perplexity", &metrics), None);
/// ```
#[must_use]
pub fn near_names<S: AsRef<str>>(typed: &str, known: &[S]) -> Option<String> {
    let typed = typed.to_lowercase();
    let known: Vec<&str> = known.iter().map(AsRef::as_ref).collect();
    let changed: Vec<(usize, &str)> = known
        .iter()
        .copied()
        .filter_map(|name| Some((changes(&typed, &name.to_lowercase())?, name)))
        .collect();
    let mut near: Vec<&str> = match changed.iter().map(|(changes, _)| *changes).min() {
        Some(fewest) => {
            let nearest = changed.iter().filter(|(changes, _)| *changes == fewest);
            nearest.map(|(_, name)| *name).collect()
        }
        None if typed.chars().count() >= LEAST_PART => {
            let holding = known.iter().copied();
            holding
                .filter(|name| name.to_lowercase().contains(&typed))
                .collect()
        }
        None => Vec::new(),
    };
    near.sort_unstable();
    near.dedup();
    let told = near.iter().take(MOST_TOLD);
    let told: Vec<String> = told.map(|name| format!("'{name}'")).collect();
    (!told.is_empty()).then(|| told.join(" or "))
}

/// ` (did you mean 'x'?)` with the known names that are near, or nothing where none is; see [`near_names`].
#[must_use]
pub fn did_you_mean<S: AsRef<str>>(typed: &str, known: &[S]) -> String {
    near_names(typed, known).map_or_else(String::new, |near| format!(" (did you mean {near}?)"))
}

/// How many changes lead from what was typed to a name (Levenshtein's distance with swaps of neighbours); `None` where
/// they are too many for a slip.
fn changes(typed: &str, name: &str) -> Option<usize> {
    let [length, letters] = [typed, name].map(|text| text.chars().count());
    if length.max(letters) > LONGEST {
        return None;
    }
    let changes = strsim::osa_distance(typed, name);
    (changes <= (letters / 3).max(1) && changes < length).then_some(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(typed: &str, known: &[&str], expected: &str) {
        assert_eq!(did_you_mean(typed, known), expected, "{typed}");
    }

    #[test]
    fn near_names_are_suggested_and_far_ones_are_not() {
        let labels = ["chemistry", "law", "math", "physics"];
        check("chemisrty", &labels, " (did you mean 'chemistry'?)");
        check("maths", &labels, " (did you mean 'math'?)");
        check("art", &labels, "");
        check("txt", &["text", "id"], " (did you mean 'text'?)");
        check("domain", &["text", "id"], "");
        check(
            "Discipline",
            &["discipline"],
            " (did you mean 'discipline'?)",
        );
        // Two changes are too many for two letters, and as many as were typed leave nothing of a name.
        check("cs", &["id"], "");
        check("z", &["a", "b"], "");
        check(&"x".repeat(100_000), &labels, "");
    }

    #[test]
    fn only_the_nearest_are_told() {
        // One change leads to `q8` and two to `q4`; three lead to `height_mm`, and one to `width_mm`.
        check("q88", &["q4", "q8"], " (did you mean 'q8'?)");
        let sizes = ["height_mm", "width_mm"];
        check("widht_mm", &sizes, " (did you mean 'width_mm'?)");
        check("q5", &["q8", "q4"], " (did you mean 'q4' or 'q8'?)");
        let many = ["case", "cake", "cafe", "care"];
        check("cae", &many, " (did you mean 'cafe' or 'cake' or 'care'?)");
    }

    #[test]
    fn a_part_of_a_name_leads_to_it_where_no_slip_does() {
        let names = ["any_overlap_repetition", "first_choice_repetition", "gini"];
        check(
            "repetition",
            &names,
            " (did you mean 'any_overlap_repetition' or 'first_choice_repetition'?)",
        );
        check(
            "bf16",
            &["q8", "bf16-compute"],
            " (did you mean 'bf16-compute'?)",
        );
        check("re", &names, "");
    }
}
