//! How the making of two traces differs, in words.

use moescope_analytics::TraceSet;
use moescope_trace::Manifest;
use serde::Serialize;

/// One field of the manifest in which a trace differs from the reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OriginDifference {
    /// The trace's name.
    pub trace: String,
    /// What the field is about, for people: `model`, `arithmetic`, `prompt`, …
    pub about: &'static str,
    /// The field of the manifest.
    pub field: String,
    /// The trace's value.
    pub value: String,
    /// The reference's value.
    pub reference: String,
}

/// Every difference of every trace from the reference.
pub(super) fn differences(traces: &TraceSet, manifests: &[&Manifest]) -> Vec<OriginDifference> {
    let names = traces.names();
    let reference = names
        .iter()
        .position(|name| name == traces.reference_name());
    let Some(reference) = reference.and_then(|place| manifests.get(place)) else {
        return Vec::new();
    };
    names
        .iter()
        .zip(manifests)
        .flat_map(|(name, manifest)| {
            let differences = manifest.differences(reference).into_iter();
            differences.map(|difference| OriginDifference {
                trace: name.clone(),
                about: about(&difference.field),
                field: difference.field,
                value: difference.first,
                reference: difference.second,
            })
        })
        .collect()
}

/// What a field of the manifest is about.
fn about(field: &str) -> &'static str {
    /// What fields begin with; the first that fits counts.
    const FIELDS: [(&str, &str); 19] = [
        ("checkpoint.weight_types", "type of the weights"),
        ("checkpoint", "checkpoint"),
        ("model", "model"),
        ("compute_type", "arithmetic"),
        ("tokenizer", "tokenizer"),
        ("chat_template", "prompt"),
        ("bos_policy", "prompt"),
        ("settings.chat", "prompt"),
        ("settings.system", "prompt"),
        ("settings.science_units", "prompt"),
        ("interventions", "interventions"),
        ("decoding", "generation"),
        ("seeds", "generation"),
        ("inputs", "texts"),
        ("overlong", "texts"),
        ("settings.limit", "texts"),
        ("engine", "engine"),
        ("layers", "recorded layers"),
        ("settings", "settings of the capture"),
    ];
    FIELDS
        .iter()
        .find(|(start, _)| field.starts_with(start))
        .map_or("what is recorded", |(_, about)| about)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_put_into_words() {
        let found = [
            "checkpoint.weight_types.experts",
            "checkpoint.id",
            "compute_type",
            "settings.chat_date",
            "settings.batch_tokens",
            "keeps_logits",
        ]
        .map(about);
        assert_eq!(
            found,
            [
                "type of the weights",
                "checkpoint",
                "arithmetic",
                "prompt",
                "settings of the capture",
                "what is recorded"
            ]
        );
    }
}
