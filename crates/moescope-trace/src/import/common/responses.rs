//! Replies of servers as JSON: OpenAI's two forms, SGLang's own, and the lines that wrap them with an id of the user's.

use std::{borrow::Cow, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor},
};

use super::array::{Array, ElementType, Layout};

/// One reply, or a line that wraps one.
///
/// A line of `vllm run-batch` has `custom_id` and `response.body`; any line may wrap the reply as `response` beside an
/// `id` or `custom_id` of the user's own.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Response<'a> {
    pub(crate) custom_id: Option<String>,
    pub(crate) id: Option<String>,
    #[serde(borrow, rename = "response")]
    pub(crate) wrapped: Option<Box<Response<'a>>>,
    #[serde(borrow)]
    pub(crate) body: Option<Box<Response<'a>>>,
    pub(crate) model: Option<String>,
    pub(crate) system_fingerprint: Option<String>,
    #[serde(borrow)]
    pub(crate) choices: Vec<Choice<'a>>,
    pub(crate) usage: Option<Usage>,
    pub(crate) prompt_token_ids: Option<Vec<u32>>,
    #[serde(borrow)]
    pub(crate) prompt_routed_experts: Option<Routed<'a>>,
    pub(crate) routed_experts_prompt_start: Option<usize>,
    pub(crate) routed_experts_start_len: Option<usize>,
    #[serde(borrow)]
    pub(crate) meta_info: Option<MetaInfo<'a>>,
    pub(crate) output_ids: Option<Vec<u32>>,
    #[serde(borrow)]
    pub(crate) sglext: Option<SglExt<'a>>,
}

/// One completion of a reply.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Choice<'a> {
    pub(crate) index: Option<u32>,
    pub(crate) token_ids: Option<Vec<u32>>,
    pub(crate) prompt_token_ids: Option<Vec<u32>>,
    pub(crate) response_token_ids: Option<Vec<u32>>,
    #[serde(borrow)]
    pub(crate) routed_experts: Option<Routed<'a>>,
}

/// How many tokens a reply counts.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Usage {
    pub(crate) prompt_tokens: Option<usize>,
    pub(crate) completion_tokens: Option<usize>,
}

/// SGLang's facts about a reply.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct MetaInfo<'a> {
    pub(crate) id: Option<String>,
    pub(crate) prompt_tokens: Option<usize>,
    pub(crate) completion_tokens: Option<usize>,
    #[serde(borrow)]
    pub(crate) routed_experts: Option<Routed<'a>>,
}

/// SGLang's addition to OpenAI's forms.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SglExt<'a> {
    pub(crate) input_ids: Option<Vec<u32>>,
    pub(crate) output_ids: Option<Vec<Vec<u32>>>,
    #[serde(borrow)]
    pub(crate) routed_experts: Option<Routed<'a>>,
}

/// Routing as it stands in JSON.
#[derive(Debug)]
pub(crate) enum Routed<'a> {
    /// In base64.
    Text(Cow<'a, str>),
    /// As lists of lists of lists.
    Lists(Array),
}

impl<'a> Response<'a> {
    /// The replies of a line: one object, or a list of them.
    pub(crate) fn parse(text: &'a str) -> Result<Vec<Self>, String> {
        let broken = |error: serde_json::Error| format!("broken JSON: {error}");
        if text.trim_start().starts_with('[') {
            serde_json::from_str(text).map_err(broken)
        } else {
            serde_json::from_str(text)
                .map(|one| vec![one])
                .map_err(broken)
        }
    }

    /// Unwraps the reply; what a line says about it goes along.
    pub(crate) fn innermost(mut self) -> Self {
        let mut custom_id = None;
        let (mut prompt_start, mut start_len) = (None, None);
        loop {
            custom_id = custom_id.or(self.custom_id.take());
            prompt_start = prompt_start.or(self.routed_experts_prompt_start);
            start_len = start_len.or(self.routed_experts_start_len);
            let Some(inner) = self.wrapped.take().or(self.body.take()) else {
                break;
            };
            // The id of a wrapping line is the user's own; that of the reply is the server's.
            custom_id = custom_id.or(self.id.take());
            self = *inner;
        }
        self.custom_id = custom_id;
        self.routed_experts_prompt_start = prompt_start;
        self.routed_experts_start_len = start_len;
        self
    }
}

impl Routed<'_> {
    /// The bytes behind the base64.
    pub(crate) fn bytes(text: &str) -> Result<Vec<u8>, String> {
        STANDARD
            .decode(text.trim())
            .map_err(|error| format!("its routing is not base64: {error}"))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Routed<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RoutedVisitor)
    }
}

struct RoutedVisitor;

impl<'de> Visitor<'de> for RoutedVisitor {
    type Value = Routed<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("routing as base64 or as [tokens][layers][experts]")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Routed::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Routed::Text(Cow::Owned(text.to_owned())))
    }

    /// Flattens the lists, which must all be of one length on each level.
    fn visit_seq<A: SeqAccess<'de>>(self, mut tokens: A) -> Result<Self::Value, A::Error> {
        let mut shape = [0usize, 0, 0];
        let mut flat: Vec<u8> = Vec::new();
        while let Some(layers) = tokens.next_element::<Level<Level<Number>>>()? {
            let layer_count = layers.0.len();
            for experts in layers.0 {
                let expert_count = experts.0.len();
                if shape[2] != 0 && shape[2] != expert_count {
                    return Err(A::Error::custom("the lists of experts differ in length"));
                }
                shape[2] = expert_count;
                flat.extend(experts.0.iter().flat_map(|number| number.0.to_le_bytes()));
            }
            if shape[0] != 0 && shape[1] != layer_count {
                return Err(A::Error::custom("the lists of layers differ in length"));
            }
            shape[1] = layer_count;
            shape[0] += 1;
        }
        Array::new(ElementType::I32, shape.to_vec(), Layout::default(), flat)
            .map(Routed::Lists)
            .map_err(A::Error::custom)
    }
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Level<T>(Vec<T>);

#[derive(Deserialize)]
#[serde(transparent)]
struct Number(i32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_become_an_array() {
        let text = r#"{"choices": [{"routed_experts": [[[1, 2], [3, 4]], [[5, 6], [7, -1]]]}]}"#;
        let replies = Response::parse(text).unwrap();
        let Some(Routed::Lists(array)) = &replies[0].choices[0].routed_experts else {
            panic!("no lists");
        };
        assert_eq!(array.shape(), [2, 2, 2]);
        assert_eq!((array.integer(2), array.integer(7)), (Some(3), Some(-1)));
        for ragged in [
            "[[[1],[1,2]]]",
            "[[[1]],[[1],[2]]]",
            "[[[1]],7]",
            "[[[1.5]]]",
        ] {
            let text = format!(r#"{{"prompt_routed_experts": {ragged}}}"#);
            assert!(Response::parse(&text).is_err(), "{ragged}");
        }
    }

    #[test]
    fn the_users_id_outranks_the_servers() {
        let text = r#"{"id": "line", "custom_id": "mine", "response": {"body": {"id": "cmpl-1", "model": "m"}}}"#;
        let reply = Response::parse(text).unwrap().remove(0).innermost();
        assert_eq!(reply.custom_id.as_deref(), Some("mine"));
        assert_eq!(
            (reply.id.as_deref(), reply.model.as_deref()),
            (Some("cmpl-1"), Some("m"))
        );
        let text = r#"{"id": "mine", "response": {"id": "cmpl-1"}}"#;
        let reply = Response::parse(text).unwrap().remove(0).innermost();
        assert_eq!(reply.custom_id.as_deref(), Some("mine"));
    }

    #[test]
    fn deep_json_is_an_error() {
        let text = format!("{}{}", r#"{"body":"#.repeat(5000), "}".repeat(5000));
        assert!(Response::parse(&text).unwrap_err().contains("recursion"));
        // What is not looked at is skipped without recursion, however deep.
        let (open, close) = ("[".repeat(5000), "]".repeat(5000));
        let skipped = format!(r#"{{"x": {open}{close}}}"#);
        assert!(Response::parse(&skipped).is_ok());
        let looked_at = format!(r#"{{"prompt_routed_experts": {open}{close}}}"#);
        assert!(Response::parse(&looked_at).is_err());
    }
}
