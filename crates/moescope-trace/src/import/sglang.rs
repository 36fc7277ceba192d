//! `routed_experts` of SGLang: base64 of `int32`, `[prompt + reply − 1 − start, all layers, top_k]` without a header.
//!
//! `/generate` puts them into `meta_info`, OpenAI's forms into `sglext`, where they are of the first choice only (read in
//! 0.5.23's `state_capturer/routed_experts.py`, `managers/io_struct.py` and `entrypoints/openai/`).
//! Dense layers hold zeros. The last token of a reply was never fed back and has no row.

use moescope_core::ModelSpec;

use super::{
    Format, Request as ImportRequest,
    common::{
        array::{Array, ElementType, Layout},
        files, names,
        responses::{Response, Routed},
        routed::Request,
        served::Served,
        sink::{Sink, Stop},
    },
};

pub(super) const FORMAT: Format = Format {
    name: "sglang",
    summary: "routed_experts of SGLang's replies",
    paths: "jsonl or json files of replies, or folders of them",
    needs_model: true,
    options: &[],
    unknown: "weights, all scores, the order of a decision's experts, texts",
    read,
};

fn read(request: &ImportRequest<'_>, sink: &mut dyn Sink) -> Result<(), Stop> {
    let Some(model) = request.model else {
        return Ok(());
    };
    let mut served = Served::new("SGLang", model);
    for path in request.paths {
        for file in files::expand(path, &["jsonl", "ndjson", "json"], sink) {
            files::for_each_json(&file, sink, |text, at, sink| {
                let replies = match Response::parse(text) {
                    Ok(replies) => replies,
                    Err(what) => {
                        sink.problem(at, what);
                        return Ok(());
                    }
                };
                let is_single = replies.len() == 1;
                for (number, reply) in replies.into_iter().enumerate() {
                    let mut reply = reply.innermost();
                    let meta_id = reply.meta_info.as_mut().and_then(|meta| meta.id.take());
                    let id = reply.custom_id.take().or(meta_id).or(reply.id.take());
                    let id = id.unwrap_or_else(|| {
                        if is_single {
                            at.to_owned()
                        } else {
                            format!("{at}#{number}")
                        }
                    });
                    served.model_name = reply.model.as_deref().map(names::last_part);
                    served.deliver(at, id, request_of(&reply, model), sink)?;
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}

fn request_of(reply: &Response<'_>, model: &ModelSpec) -> Result<Request, String> {
    if reply.choices.len() > 1 {
        return Err(
            "it has several choices, and SGLang returns the routing of the first only; request one choice at a time"
                .to_owned(),
        );
    }
    let meta = reply.meta_info.as_ref();
    let extension = reply.sglext.as_ref();
    let routed = meta
        .and_then(|meta| meta.routed_experts.as_ref())
        .or_else(|| extension.and_then(|extension| extension.routed_experts.as_ref()))
        .ok_or(
            "it has no routed_experts; start the server with --enable-return-routed-experts and request them with \
             \"return_routed_experts\": true",
        )?;
    let usage = reply.usage.as_ref();
    let prompt = meta
        .and_then(|meta| meta.prompt_tokens)
        .or_else(|| usage.and_then(|usage| usage.prompt_tokens));
    let generated = meta
        .and_then(|meta| meta.completion_tokens)
        .or_else(|| usage.and_then(|usage| usage.completion_tokens));
    let (Some(prompt), Some(generated)) = (prompt, generated) else {
        return Err("it does not say how many tokens were given and generated".to_owned());
    };
    let start = reply.routed_experts_start_len.unwrap_or(0);
    let array = match routed {
        Routed::Text(text) => array_of(&Routed::bytes(text)?, prompt, generated, start, model)?,
        Routed::Lists(array) => array.clone(),
    };
    let token_ids = token_ids(reply);
    Ok(Request {
        prompt,
        generated,
        token_ids,
        runs: vec![(start, array)],
    })
}

/// The ids of all tokens, wherever the form puts them.
fn token_ids(reply: &Response<'_>) -> Option<Vec<u32>> {
    let choice = reply.choices.first();
    let extension = reply.sglext.as_ref();
    let given = [
        reply.prompt_token_ids.as_ref(),
        choice.and_then(|choice| choice.prompt_token_ids.as_ref()),
        extension.and_then(|extension| extension.input_ids.as_ref()),
    ];
    let generated = [
        reply.output_ids.as_ref(),
        choice.and_then(|choice| choice.token_ids.as_ref()),
        choice.and_then(|choice| choice.response_token_ids.as_ref()),
        extension.and_then(|extension| extension.output_ids.as_ref()?.first()),
    ];
    let first = |lists: &[Option<&Vec<u32>>]| lists.iter().copied().flatten().next().cloned();
    Some([first(&given)?, first(&generated)?].concat())
}

/// Finds the shape that the bytes do not tell.
fn array_of(
    bytes: &[u8],
    prompt: usize,
    generated: usize,
    start: usize,
    model: &ModelSpec,
) -> Result<Array, String> {
    let rows = prompt
        .saturating_add(generated)
        .saturating_sub(1)
        .checked_sub(start)
        .ok_or_else(|| format!("routed_experts_start_len is {start}, beyond its end"))?;
    let top_k = usize::from(model.top_k);
    let all = usize::from(model.num_layers);
    let size = |layers: usize| {
        rows.checked_mul(layers)
            .and_then(|n| n.checked_mul(top_k * 4))
    };
    let layers = [all, model.moe_layers.len()]
        .into_iter()
        .find(|layers| size(*layers) == Some(bytes.len()))
        .ok_or_else(|| {
            format!(
                "its routing has {} bytes; {rows} tokens ({prompt} given, {generated} generated, without the last, from \
                 {start} on) in {all} layers with {top_k} experts each would have {}; if the request had \
                 routed_experts_start_len, put that number into the line",
                bytes.len(),
                size(all).map_or_else(|| "too many".to_owned(), |size| size.to_string())
            )
        })?;
    Array::new(
        ElementType::I32,
        vec![rows, layers, top_k],
        Layout::default(),
        bytes.to_vec(),
    )
}

/// Reads the replies of one line, for whoever has the line in memory; gives how many there are.
///
/// # Errors
/// When the line is broken, or a reply in it has no routing that fits.
pub fn parse_replies(line: &str, model: &ModelSpec) -> Result<usize, String> {
    let replies = Response::parse(line)?;
    let documents = replies.len();
    for reply in replies {
        request_of(&reply.innermost(), model)?.into_content(model)?;
    }
    Ok(documents)
}
