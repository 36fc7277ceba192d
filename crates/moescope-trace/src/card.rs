//! `README.md` of a trace: a dataset card whose snippets run.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use sha2::{Digest as _, Sha256};

use crate::{
    durable,
    error::TraceError,
    manifest::{ExpertsOrder, Manifest},
    rounding::FULL_BITS,
    schema::{self, Table},
};

/// The card's name while it is being written.
pub(crate) const CARD_TMP: &str = ".README.md.tmp";
const CARD_FILE: &str = "README.md";

/// What every share, interval and map of the toolkit starts from; the card's snippets stand in `card/`.
const SNIPPETS: [(&str, &str); 4] = [
    ("DuckDB", include_str!("card/duckdb.py")),
    ("pandas", include_str!("card/pandas.py")),
    ("polars", include_str!("card/polars.py")),
    ("Hugging Face datasets", include_str!("card/datasets.py")),
];

/// Licences that the Hugging Face hub knows by these identifiers.
const HUB_LICENCES: [&str; 14] = [
    "apache-2.0",
    "bsd-2-clause",
    "bsd-3-clause",
    "cc-by-2.0",
    "cc-by-3.0",
    "cc-by-4.0",
    "cc-by-nc-4.0",
    "cc-by-sa-3.0",
    "cc-by-sa-4.0",
    "cc0-1.0",
    "gpl-3.0",
    "mit",
    "odc-by",
    "unlicense",
];

pub(crate) fn write(
    folder: &Path,
    manifest: &Manifest,
    licences: &BTreeMap<Option<String>, u64>,
) -> Result<(), TraceError> {
    let text = text(manifest, licences);
    durable::replace_file(folder, CARD_FILE, CARD_TMP, text.as_bytes())
}

fn text(manifest: &Manifest, licences: &BTreeMap<Option<String>, u64>) -> String {
    [
        front_matter(manifest, licences),
        what_it_is(manifest),
        how_it_was_made(manifest),
        documents(manifest, licences),
        tables(manifest),
        how_to_load(manifest),
    ]
    .join("\n")
}

/// Quoted as JSON, which is YAML as well.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// One line of plain text that no Markdown or control character can turn into anything else.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .flat_map(|c| {
            let escape = "\\`*_[]<>|#".contains(c).then_some('\\');
            escape.into_iter().chain([c])
        })
        .collect()
}

/// A column's name as code; a label's name may hold what code cannot.
fn column_name(name: &str) -> String {
    if name.chars().all(|c| c.is_alphanumeric() || c == '_') {
        format!("`{name}`")
    } else {
        plain(name)
    }
}

fn title(manifest: &Manifest) -> String {
    manifest.title.clone().unwrap_or_else(|| {
        let checkpoint = manifest.checkpoint.as_ref().and_then(|c| c.id.as_deref());
        format!(
            "Expert routing of {}",
            checkpoint.unwrap_or(&manifest.model.family)
        )
    })
}

fn front_matter(manifest: &Manifest, licences: &BTreeMap<Option<String>, u64>) -> String {
    let known: Vec<&str> = licences.keys().flatten().map(String::as_str).collect();
    let single = match known[..] {
        [licence] if licences.len() == 1 => Some(licence.to_lowercase()),
        _ => None,
    };
    let licence = match &single {
        Some(licence) if HUB_LICENCES.contains(&licence.as_str()) => licence,
        // Several licences, or one that the hub has no word for; the card lists them.
        _ if known.is_empty() => "unknown",
        _ => "other",
    };
    let mut text = format!(
        "---\npretty_name: {}\nlicense: {licence}\ntags:\n- mixture-of-experts\n- expert-routing\n- interpretability\n- moescope\nconfigs:\n",
        quoted(&title(manifest))
    );
    for table in [
        Table::Routing,
        Table::Tokens,
        Table::Samples,
        Table::Profiles,
    ] {
        let default = if table == Table::Routing {
            "  default: true\n"
        } else {
            ""
        };
        write!(
            text,
            "- config_name: {table}\n{default}  description: \"content {}\"\n  data_files:\n  - split: train\n    \
             path: \"{table}/*.parquet\"\n",
            content(manifest, table)
        )
        .expect(INFALLIBLE);
    }
    text + "---\n"
}

/// A short checksum of a table's files.
///
/// `datasets` (seen in 5.2) keeps what it has loaded under the folder's own name and a hash of this front matter. Two
/// traces in folders of the same name would share an entry, and the second would show the rows of the first.
fn content(manifest: &Manifest, table: Table) -> String {
    let files = manifest
        .shards
        .iter()
        .filter_map(|shard| shard.tables.get(&table.to_string()));
    let mut sum = Sha256::new();
    for file in files {
        sum.update(&file.sha256);
    }
    durable::hex(&sum.finalize()[..8])
}

const INFALLIBLE: &str = "writing to a string cannot fail";

fn what_it_is(manifest: &Manifest) -> String {
    let model = &manifest.model;
    let counts = &manifest.counts;
    format!(
        "# {}\n\n\
        Which experts a mixture-of-experts language model chose for each token of {} documents.\n\
        The model has {} MoE layers with {} experts each and chooses {} of them per token and layer.\n\
        A *decision* is one token at one MoE layer; an *assignment* is one of its {} experts.\n\
        There are {} tokens and {} decisions.\n\
        The format is moescope's routing trace, schema version {}; `manifest.json` holds all that is told here, and \
        checksums.\n",
        plain(&title(manifest)),
        counts.samples,
        model.moe_layers.len(),
        model.num_experts,
        model.top_k,
        model.top_k,
        counts.tokens,
        counts.decisions,
        manifest.schema_version,
    )
}

fn how_it_was_made(manifest: &Manifest) -> String {
    let mut lines = vec![format!(
        "- Toolkit: moescope {}",
        plain(&manifest.toolkit.version)
    )];
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            lines.push(format!("- {name}: {}", plain(&value)));
        }
    };
    line("Model family", Some(manifest.model.family.clone()));
    if let Some(checkpoint) = &manifest.checkpoint {
        line("Checkpoint", checkpoint.id.clone());
        line("Revision", checkpoint.revision.clone());
        let types: Vec<String> = checkpoint
            .weight_types
            .iter()
            .map(|(class, stored)| format!("{class} {stored}"))
            .collect();
        line(
            "Stored weights",
            (!types.is_empty()).then(|| types.join(", ")),
        );
    }
    line("Arithmetic", manifest.compute_type.clone());
    if let Some(tokenizer) = &manifest.tokenizer {
        line("Tokenizer", Some(tokenizer.kind.clone()));
    }
    line("Beginning of sequence", manifest.bos_policy.clone());
    if let Some(engine) = &manifest.engine {
        let version = engine.version.as_deref().unwrap_or_default();
        let name = format!("{} {version}", engine.name);
        line("Engine", Some(name.trim_end().to_owned()));
        line("Device", engine.device.clone());
        line("Kernels", engine.kernel_path.clone());
    }
    let inputs: Vec<String> = manifest
        .inputs
        .iter()
        .map(|input| format!("{} ({} records)", input.name, input.rows))
        .collect();
    line("Inputs", (!inputs.is_empty()).then(|| inputs.join(", ")));
    if let Some(decoding) = &manifest.decoding {
        let how = format!(
            "up to {} new tokens, temperature {}",
            decoding.max_new_tokens, decoding.temperature
        );
        line("Generation", Some(how));
    }
    for (name, value) in import_lines(manifest) {
        line(name, Some(value));
    }
    let interventions = &manifest.interventions;
    line(
        "Interventions",
        (!interventions.is_empty()).then(|| interventions.join(", ")),
    );
    let layers: Vec<String> = manifest
        .recorded_layers()
        .iter()
        .map(ToString::to_string)
        .collect();
    line("Recorded layers", Some(layers.join(", ")));
    let order = match manifest.scores.experts_order {
        ExpertsOrder::ByWeight => "heaviest first, ties to the lower id",
        ExpertsOrder::Unspecified => "unknown",
    };
    line("Order of the experts of a decision", Some(order.to_owned()));
    let known = |column: &str, meaning: &Option<String>| {
        meaning.clone().filter(|_| !manifest.is_unknown(column))
    };
    line(
        "Entropy and mass are of",
        known("routing.entropy", &manifest.scores.entropy_of),
    );
    line(
        "Margins compare",
        known("routing.margin", &manifest.scores.margin_of),
    );
    let rounding = if manifest.float_significant_bits == FULL_BITS {
        "none".to_owned()
    } else {
        format!("to {} significant bits", manifest.float_significant_bits)
    };
    line("Rounding of floats in routing", Some(rounding));
    line(
        "Unknown columns",
        (!manifest.unknown_columns.is_empty()).then(|| manifest.unknown_columns.join(", ")),
    );
    format!("## How it was made\n\n{}\n", lines.join("\n"))
}

/// How an imported trace came about; nothing for a capture.
fn import_lines(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let Some(import) = manifest.import() else {
        return Vec::new();
    };
    let mut lines = vec![(
        "Imported",
        format!(
            "by moescope from the format '{}', not captured",
            import.format
        ),
    )];
    lines.extend(import.derived.iter().map(|derived| {
        let what = format!("{}: {}", derived.column, derived.from);
        ("Computed, not recorded", what)
    }));
    let without = import.tokens_without_routing;
    if without > 0 {
        let name = "Tokens whose routing the source does not hold";
        lines.push((name, without.to_string()));
    }
    lines
}

fn documents(manifest: &Manifest, licences: &BTreeMap<Option<String>, u64>) -> String {
    let mut text = String::from("## Documents\n\n| discipline | documents |\n|---|---|\n");
    let mut unlabelled = manifest.counts.samples;
    for (label, count) in &manifest.counts.by_discipline {
        unlabelled = unlabelled.saturating_sub(*count);
        writeln!(text, "| {} | {count} |", plain(label)).expect(INFALLIBLE);
    }
    if unlabelled > 0 {
        writeln!(text, "| (none) | {unlabelled} |").expect(INFALLIBLE);
    }
    text += "\n| licence of the text | documents |\n|---|---|\n";
    for (licence, count) in licences {
        let licence = licence.as_deref().map_or("unknown".to_owned(), plain);
        writeln!(text, "| {licence} | {count} |").expect(INFALLIBLE);
    }
    text
}

fn tables(manifest: &Manifest) -> String {
    let mut text = String::from(
        "## Tables\n\nMissing is NULL, never 0.\nRows are sorted by sample, position and layer.\n",
    );
    for table in Table::ALL {
        let what = match table {
            Table::Samples => "one row per document",
            Table::Tokens => "one row per token",
            Table::Routing => "one row per decision",
            Table::Profiles => {
                "one row per document, MoE layer and phase: sums over its routed tokens that are neither special nor from a template"
            }
        };
        write!(
            text,
            "\n**{table}**: {what}.\n\n| column | meaning |\n|---|---|\n"
        )
        .expect(INFALLIBLE);
        for field in table.schema(&manifest.label_columns).fields() {
            let meaning = schema::meaning(table, field.name());
            writeln!(text, "| {} | {meaning} |", column_name(field.name())).expect(INFALLIBLE);
        }
    }
    text
}

fn how_to_load(manifest: &Manifest) -> String {
    let layers = manifest.recorded_layers();
    let layer = layers[layers.len() / 2];
    let mut text = format!(
        "## How to load\n\n\
        Each snippet runs from within this folder and prints, for each discipline, the share of assignments that each \
        expert of layer {layer} received (content tokens of given text).\n"
    );
    for (name, snippet) in SNIPPETS {
        let snippet = snippet
            .replace("LAYER", &layer.to_string())
            .replace("NUM_EXPERTS", &manifest.model.num_experts.to_string());
        write!(text, "\n{name}:\n\n```python\n{snippet}```\n").expect(INFALLIBLE);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn licence_of(licences: &[Option<&str>]) -> String {
        let licences = licences
            .iter()
            .map(|licence| (licence.map(str::to_owned), 1))
            .collect();
        let matter = front_matter(&fixture::manifest(), &licences);
        let line = matter.lines().find(|line| line.starts_with("license: "));
        line.unwrap()["license: ".len()..].to_owned()
    }

    #[test]
    fn one_licence_is_named_and_several_are_other() {
        assert_eq!(licence_of(&[Some("CC-BY-4.0")]), "cc-by-4.0");
        assert_eq!(licence_of(&[Some("CC-BY-4.0"), Some("MIT")]), "other");
        assert_eq!(licence_of(&[Some("CC-BY-4.0"), None]), "other");
        assert_eq!(licence_of(&[Some("house licence")]), "other");
        assert_eq!(licence_of(&[None]), "unknown");
        assert_eq!(licence_of(&[]), "unknown");
    }

    #[test]
    fn names_cannot_break_out_of_yaml_or_markdown() {
        let manifest = Manifest {
            title: Some("a: b\n---\n# [x](y)".into()),
            ..fixture::manifest()
        };
        let text = text(&manifest, &BTreeMap::new());
        assert!(text.contains(r#"pretty_name: "a: b\n---\n# [x](y)""#));
        assert!(text.contains(r"# a: b --- \# \[x\](y)"));
    }

    #[test]
    fn traces_of_other_content_have_another_front_matter() {
        let folder = tempfile::tempdir().unwrap();
        let front = |name: &str, samples| {
            let path = folder.path().join(name).join("trace");
            let manifest = fixture::write_trace(&path, samples, fixture::config());
            front_matter(&manifest, &BTreeMap::new())
        };
        assert_eq!(front("a", 3), front("b", 3));
        assert_ne!(front("a2", 3), front("c", 4));
    }

    #[test]
    fn no_column_lacks_a_meaning() {
        for table in Table::ALL {
            for field in table.schema(&[]).fields() {
                let meaning = schema::meaning(table, field.name());
                assert_ne!(meaning, schema::meaning(Table::Samples, "year"), "{field}");
            }
        }
    }
}
