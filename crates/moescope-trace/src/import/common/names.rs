//! Names from strangers, fit for a manifest.

/// The last part of a path, or the repository id as it is: a manifest holds no absolute path.
pub(crate) fn last_part(name: &str) -> String {
    let name = name.trim_end_matches(['/', '\\']);
    let is_path = name.starts_with(['/', '\\', '~', '.'])
        || name.contains('\\')
        || name.get(1..2) == Some(":")
        || name.matches('/').count() > 1;
    let part = if is_path {
        name.rsplit(['/', '\\']).next().unwrap_or(name)
    } else {
        name
    };
    let part: String = part.chars().filter(|c| !c.is_control()).take(200).collect();
    if part.split(['/', '\\']).any(|part| part == "..") {
        return "unnamed".to_owned();
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_keep_their_last_part_and_repositories_both() {
        assert_eq!(
            last_part("allenai/OLMoE-1B-7B-0924"),
            "allenai/OLMoE-1B-7B-0924"
        );
        assert_eq!(last_part("/data/ada/models/olmoe/"), "olmoe");
        assert_eq!(last_part("C:\\models\\olmoe"), "olmoe");
        assert_eq!(last_part("./x"), "x");
        assert_eq!(last_part("a/.."), "unnamed");
    }
}
