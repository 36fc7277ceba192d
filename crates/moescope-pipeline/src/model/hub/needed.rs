//! Which files of a repository a model is made of; all others stay on the Hub.

/// The only weight file of a small model.
pub(super) const SINGLE: &str = "model.safetensors";
/// What names the weight files of a large one.
pub(super) const INDEX: &str = "model.safetensors.index.json";
/// Tokenizers that this program or a later version reads.
pub(super) const TOKENIZERS: [&str; 3] = ["tokenizer.json", "tokenizer.model", "smiles.model"];

/// Descriptions: small, and each is taken where it is there.
const DESCRIPTIONS: [&str; 7] = [
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
];

/// Whether a file describes the model or its tokenizer.
pub(super) fn is_description(name: &str) -> bool {
    DESCRIPTIONS.contains(&name) || TOKENIZERS.contains(&name)
}

/// Whether a name from a server names a file directly in the folder, on every system.
pub(super) fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 200
        && !name.starts_with('.')
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// What a repository has instead of safetensors weights, in words.
pub(super) fn other_weights(names: &[&str]) -> String {
    let endings = [".bin", ".pth", ".pt", ".gguf", ".ckpt", ".msgpack", ".h5"];
    let other: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| {
            endings.iter().any(|ending| name.ends_with(ending)) || name.ends_with(".safetensors")
        })
        .take(3)
        .collect();
    if other.is_empty() {
        "it has no weights at all".to_owned()
    } else {
        format!(
            "it has {}, which must be converted first: {SINGLE}, or {INDEX} and the files it names, are what is read",
            other.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_model_is_made_of_is_needed() {
        for name in [
            "config.json",
            "tokenizer.json",
            "smiles.model",
            "chat_template.jinja",
        ] {
            assert!(is_description(name), "{name}");
        }
        for name in [
            "pytorch_model.bin",
            "original/config.json",
            "vocab.json",
            "README.md",
            "model.safetensors",
        ] {
            assert!(!is_description(name), "{name}");
        }
    }

    #[test]
    fn names_that_could_leave_the_folder_are_not_plain() {
        assert!(is_plain_name("model-00001-of-00019.safetensors"));
        for name in [
            "",
            ".",
            "..",
            ".hidden",
            "a/b",
            "a\\b",
            "C:a",
            "a\0",
            "con\u{202e}fig",
        ] {
            assert!(!is_plain_name(name), "{name:?}");
        }
    }
}
