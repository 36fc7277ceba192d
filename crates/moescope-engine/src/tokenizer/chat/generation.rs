//! The `{% generation %}` tag, which transformers adds to Jinja to mark what a model wrote.
//!
//! It changes nothing of the text, so it becomes a `{% with %}` block: that too has a scope of its own.

/// Replaces the tags; all marks for white space stay.
pub(super) fn replace_tags(template: &str) -> String {
    let mut replaced = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start + 2);
        replaced.push_str(before);
        rest = tag;
        let Some(end) = tag.find("%}") else {
            break;
        };
        let inner = &tag[..end];
        let word = inner.trim_matches(|c: char| matches!(c, '-' | '+') || c.is_ascii_whitespace());
        let instead = match word {
            "generation" => "with",
            "endgeneration" => "endwith",
            _ => continue,
        };
        replaced.push_str(&inner.replacen(word, instead, 1));
        rest = &tag[end..];
    }
    replaced.push_str(rest);
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_tag_is_replaced() {
        let check = |template, expected| assert_eq!(replace_tags(template), expected);
        check(
            "a{%- generation +%} b {% endgeneration -%}",
            "a{%- with +%} b {% endwith -%}",
        );
        check(
            "{%generation%}{%\nendgeneration\n%}",
            "{%with%}{%\nendwith\n%}",
        );
        check(
            "{% if generation %}{{ 'generation' }}{% endif %}",
            "{% if generation %}{{ 'generation' }}{% endif %}",
        );
        check("{% generation", "{% generation");
        check("generation {{ x }}", "generation {{ x }}");
    }
}
