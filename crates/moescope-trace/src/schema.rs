//! The tables and columns of a routing dataset; no other module spells a column's name.
//!
//! What each column means is told in `docs/TRACE_FORMAT.md`.

use std::{fmt, sync::Arc};

use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};

/// The version of the format that this crate writes, and the newest that it reads.
pub const SCHEMA_VERSION: u32 = 1;

/// The number of a document within the trace: the key of every table.
pub const SAMPLE: &str = "sample";
/// The document's unique id.
pub const ID: &str = "id";
/// The document's field.
pub const DISCIPLINE: &str = "discipline";
/// The unit of resampling; NULL means the id.
pub const GROUP: &str = "group";
/// What kind of text it is.
pub const GENRE: &str = "genre";
/// Where the text comes from.
pub const SOURCE: &str = "source";
/// The text's licence.
pub const LICENCE: &str = "licence";
/// Links the members of a matched pair.
pub const PAIR: &str = "pair";
/// The document's text in `samples`, the token's piece in `tokens`.
pub const TEXT: &str = "text";
/// Rows that the document has in `tokens`.
pub const NUM_TOKENS: &str = "num_tokens";
/// How many of them were given rather than generated.
pub const NUM_PROMPT_TOKENS: &str = "num_prompt_tokens";
/// The seed of the document's sampling.
pub const SEED: &str = "seed";
/// The token's place within its sample.
pub const POSITION: &str = "position";
/// The entry of the vocabulary.
pub const TOKEN_ID: &str = "token_id";
/// First byte of the token in the sample's text.
pub const BYTE_START: &str = "byte_start";
/// One past the last byte.
pub const BYTE_END: &str = "byte_end";
/// `prefill` or `decode`.
pub const PHASE: &str = "phase";
/// `document`, `system`, `user` or `assistant`.
pub const ROLE: &str = "role";
/// Whether the token is a special one.
pub const IS_SPECIAL: &str = "is_special";
/// Whether a chat template put it there.
pub const IS_TEMPLATE: &str = "is_template";
/// Whether it went through the routers.
pub const IS_ROUTED: &str = "is_routed";
/// Nats, of this token given those before it.
pub const SURPRISAL: &str = "surprisal";
/// The most likely next token after this one.
pub const PREDICTED_ID: &str = "predicted_id";
/// The layer in the model's numbering.
pub const LAYER: &str = "layer";
/// The layer's number among the layers with a router.
pub const MOE_LAYER: &str = "moe_layer";
/// The chosen experts, `list<u16>[top_k]`.
pub const EXPERTS: &str = "experts";
/// The factors on their outputs, `list<f32>[top_k]`.
pub const WEIGHTS: &str = "weights";
/// Probability mass of the chosen before normalisation.
pub const TOPK_MASS: &str = "topk_mass";
/// Nats, of the distribution over all experts.
pub const ENTROPY: &str = "entropy";
/// k-th minus (k+1)-th selection score.
pub const MARGIN: &str = "margin";
/// The (k+1)-th expert.
pub const RUNNER_UP: &str = "runner_up";
/// ln Σ exp(logits).
pub const LOGSUMEXP: &str = "logsumexp";
/// Router logits, `list<f32>[num_experts]`.
pub const LOGITS: &str = "logits";
/// Content tokens that the row sums over.
pub const N_TOKENS: &str = "n_tokens";
/// How many of them chose each expert, `list<u32>[num_experts]`.
pub const COUNTS: &str = "counts";
/// Sum of the weights of each expert where it was chosen, `list<f32>[num_experts]`.
pub const WEIGHT_SUM: &str = "weight_sum";
/// Sum of the probabilities of each expert over all tokens, `list<f32>[num_experts]`.
pub const PROB_SUM: &str = "prob_sum";
/// Sum of the router logits of each expert over all tokens, `list<f32>[num_experts]`.
pub const LOGIT_SUM: &str = "logit_sum";
/// The distribution over experts at the last content token, `list<f32>[num_experts]`.
pub const LAST_PROB: &str = "last_prob";

/// The name of a list's element field, as the Parquet specification writes it.
pub(crate) const ELEMENT: &str = "element";

/// One of the four tables of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// One row per document.
    Samples,
    /// One row per token.
    Tokens,
    /// One row per decision: a token at a layer with a router.
    Routing,
    /// One row per document, layer with a router, and phase: sums over its content tokens.
    Profiles,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 4] = [Self::Samples, Self::Tokens, Self::Routing, Self::Profiles];

    /// The table's name: its folder, and its configuration on the Hugging Face hub.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Samples => "samples",
            Self::Tokens => "tokens",
            Self::Routing => "routing",
            Self::Profiles => "profiles",
        }
    }

    /// Where shard `index` of the table lies below the trace's folder, with `/` between the parts.
    #[must_use]
    pub fn shard_file(self, index: u32) -> String {
        format!("{}/part-{index:05}.parquet", self.name())
    }

    /// The table's columns; `label_columns` are the user's own columns of `samples`.
    #[must_use]
    pub fn schema(self, label_columns: &[String]) -> SchemaRef {
        let fields = match self {
            Self::Samples => {
                let mut fields = samples_fields();
                fields.extend(
                    label_columns
                        .iter()
                        .map(|name| nullable(name, DataType::Utf8)),
                );
                fields
            }
            Self::Tokens => tokens_fields(),
            Self::Routing => routing_fields(),
            Self::Profiles => profiles_fields(),
        };
        Arc::new(Schema::new(fields))
    }

    /// The leading columns that rows are sorted by; each is a scalar, so its index is that of its Parquet leaf.
    pub(crate) fn sorted_by(self) -> &'static [i32] {
        match self {
            Self::Samples => &[0],
            Self::Tokens | Self::Profiles => &[0, 1],
            Self::Routing => &[0, 1, 2],
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The type of a list column; elements are never NULL.
pub(crate) fn list_of(element: DataType) -> DataType {
    DataType::List(element_field(element))
}

pub(crate) fn element_field(element: DataType) -> FieldRef {
    Arc::new(Field::new(ELEMENT, element, false))
}

/// Every column that may be NULL, as `table.column`.
pub(crate) fn nullable_columns(label_columns: &[String]) -> Vec<String> {
    Table::ALL
        .into_iter()
        .flat_map(|table| {
            table
                .schema(label_columns)
                .fields()
                .iter()
                .filter(|field| field.is_nullable())
                .map(|field| qualified(table, field.name()))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// A column's name with its table's, as the manifest lists unknown columns.
pub(crate) fn qualified(table: Table, column: &str) -> String {
    format!("{table}.{column}")
}

/// What a column means, for people; a column that the format does not know is the user's own.
pub(crate) fn meaning(table: Table, column: &str) -> &'static str {
    match (table, column) {
        (_, SAMPLE) => "number of the document, the key of every table",
        (Table::Samples, ID) => "unique id of the document",
        (Table::Samples, DISCIPLINE) => "the document's field",
        (Table::Samples, GROUP) => {
            "parent document (book, article), the unit of resampling; NULL means the id"
        }
        (Table::Samples, GENRE) => "kind of text",
        (Table::Samples, SOURCE) => "where the text comes from",
        (Table::Samples, LICENCE) => "licence of the text",
        (Table::Samples, PAIR) => "links the members of a matched pair",
        (Table::Samples, TEXT) => "the text",
        (Table::Samples, NUM_TOKENS) => "number of tokens",
        (Table::Samples, NUM_PROMPT_TOKENS) => "how many of them were given, not generated",
        (Table::Samples, SEED) => "seed of the sampling",
        (_, POSITION) => "place of the token in the document, from 0",
        (Table::Tokens, TOKEN_ID) => "entry of the vocabulary",
        (Table::Tokens, TEXT) => "the token's piece of text; bytes that are not UTF-8 replaced",
        (Table::Tokens, BYTE_START) => "first byte in the document's text",
        (Table::Tokens, BYTE_END) => "one past the last byte in the document's text",
        (Table::Tokens | Table::Profiles, PHASE) => {
            "prefill (given text) or decode (generated), of the forward pass that routed it"
        }
        (Table::Tokens, ROLE) => "document, system, user or assistant",
        (Table::Tokens, IS_SPECIAL) => "whether it is a special token",
        (Table::Tokens, IS_TEMPLATE) => "whether a chat template put it there",
        (Table::Tokens, IS_ROUTED) => {
            "whether it went through the routers; false for a last sampled token that was never fed back"
        }
        (Table::Tokens, SURPRISAL) => {
            "nats, of this token given those before it; it pairs with the routing at position − 1"
        }
        (Table::Tokens, PREDICTED_ID) => "most likely next token after this one",
        (_, LAYER) => "layer in the model's numbering",
        (_, MOE_LAYER) => "its number among the MoE layers",
        (Table::Routing, EXPERTS) => "chosen experts, `top_k` of them",
        (Table::Routing, WEIGHTS) => "factor on each chosen expert's output",
        (Table::Routing, TOPK_MASS) => "probability mass of the chosen before normalisation",
        (Table::Routing, ENTROPY) => "nats, of the distribution over all experts",
        (Table::Routing, MARGIN) => {
            "k-th minus (k+1)-th selection score; NULL where all are chosen"
        }
        (Table::Routing, RUNNER_UP) => "the (k+1)-th expert; NULL where all are chosen",
        (Table::Routing, LOGSUMEXP) => "ln Σ exp(logits)",
        (Table::Routing, LOGITS) => "router logits, one per expert",
        (Table::Profiles, N_TOKENS) => "tokens that the row sums over",
        (Table::Profiles, COUNTS) => "how many of them chose each expert",
        (Table::Profiles, WEIGHT_SUM) => "sum of each expert's weights where it was chosen",
        (Table::Profiles, PROB_SUM) => "sum of each expert's probabilities over all tokens",
        (Table::Profiles, LOGIT_SUM) => "sum of each expert's router logits over all tokens",
        (Table::Profiles, LAST_PROB) => "probabilities at the last of the tokens",
        _ => "label of the data set's author",
    }
}

fn required(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, false)
}

fn nullable(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

fn samples_fields() -> Vec<Field> {
    vec![
        required(SAMPLE, DataType::UInt32),
        required(ID, DataType::Utf8),
        nullable(DISCIPLINE, DataType::Utf8),
        nullable(GROUP, DataType::Utf8),
        nullable(GENRE, DataType::Utf8),
        nullable(SOURCE, DataType::Utf8),
        nullable(LICENCE, DataType::Utf8),
        nullable(PAIR, DataType::Utf8),
        nullable(TEXT, DataType::Utf8),
        required(NUM_TOKENS, DataType::UInt32),
        nullable(NUM_PROMPT_TOKENS, DataType::UInt32),
        nullable(SEED, DataType::UInt64),
    ]
}

fn tokens_fields() -> Vec<Field> {
    vec![
        required(SAMPLE, DataType::UInt32),
        required(POSITION, DataType::UInt32),
        nullable(TOKEN_ID, DataType::UInt32),
        nullable(TEXT, DataType::Utf8),
        nullable(BYTE_START, DataType::UInt32),
        nullable(BYTE_END, DataType::UInt32),
        nullable(PHASE, DataType::Utf8),
        nullable(ROLE, DataType::Utf8),
        nullable(IS_SPECIAL, DataType::Boolean),
        nullable(IS_TEMPLATE, DataType::Boolean),
        required(IS_ROUTED, DataType::Boolean),
        nullable(SURPRISAL, DataType::Float32),
        nullable(PREDICTED_ID, DataType::UInt32),
    ]
}

fn routing_fields() -> Vec<Field> {
    vec![
        required(SAMPLE, DataType::UInt32),
        required(POSITION, DataType::UInt32),
        required(LAYER, DataType::UInt16),
        required(MOE_LAYER, DataType::UInt16),
        required(EXPERTS, list_of(DataType::UInt16)),
        nullable(WEIGHTS, list_of(DataType::Float32)),
        nullable(TOPK_MASS, DataType::Float32),
        nullable(ENTROPY, DataType::Float32),
        nullable(MARGIN, DataType::Float32),
        nullable(RUNNER_UP, DataType::UInt16),
        nullable(LOGSUMEXP, DataType::Float32),
        nullable(LOGITS, list_of(DataType::Float32)),
    ]
}

fn profiles_fields() -> Vec<Field> {
    vec![
        required(SAMPLE, DataType::UInt32),
        required(LAYER, DataType::UInt16),
        required(MOE_LAYER, DataType::UInt16),
        required(PHASE, DataType::Utf8),
        required(N_TOKENS, DataType::UInt32),
        required(COUNTS, list_of(DataType::UInt32)),
        nullable(WEIGHT_SUM, list_of(DataType::Float32)),
        nullable(PROB_SUM, list_of(DataType::Float32)),
        nullable(LOGIT_SUM, list_of(DataType::Float32)),
        nullable(LAST_PROB, list_of(DataType::Float32)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_by_leading_scalar_columns() {
        for table in Table::ALL {
            let schema = table.schema(&[]);
            for (place, index) in table.sorted_by().iter().enumerate() {
                assert_eq!(usize::try_from(*index).unwrap(), place);
                assert!(!schema.field(place).is_nullable());
            }
        }
        assert_eq!(Table::Routing.shard_file(7), "routing/part-00007.parquet");
    }

    #[test]
    fn label_columns_are_nullable_strings_of_samples_only() {
        let labels = ["year".to_owned()];
        assert_eq!(
            Table::Samples
                .schema(&labels)
                .fields()
                .last()
                .unwrap()
                .name(),
            "year"
        );
        assert_eq!(Table::Routing.schema(&labels), Table::Routing.schema(&[]));
        assert!(nullable_columns(&labels).contains(&"samples.year".to_owned()));
        assert!(!nullable_columns(&labels).contains(&"samples.id".to_owned()));
    }
}
