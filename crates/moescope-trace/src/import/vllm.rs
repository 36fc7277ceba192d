//! `routed_experts` of vLLM, as its HTTP and Python interfaces return them.
//!
//! Since 0.22 each choice of a reply holds base64 of a `.npy` file `[prompt + reply − 1, layers, top_k]` of `uint8`,
//! `uint16` or `int32`: the last token of a reply was never fed back (read in 0.33's
//! `entrypoints/openai/completion/protocol.py`, `utils/serial_utils.py` and `routed_experts_capturer.py`).
//! 0.21 gave lists of `int16`, those of the prompt beside the choices, with −1 where a prefix came from the cache.
//! Layers are all decoder layers, with zeros for dense ones, or only those with a router.

use moescope_core::{ModelSpec, Phase};

use super::{
    Format, Request as ImportRequest,
    common::{
        array::Array,
        files::{self, SourceFile},
        names,
        npy::parse_npy,
        responses::{Choice, Response, Routed},
        routed::Request,
        served::Served,
        sink::{Sink, Stop},
        tensor_file::{TensorFile, parse_npz},
    },
};

pub(super) const FORMAT: Format = Format {
    name: "vllm",
    summary: "routed_experts of vLLM's replies, or of its Python outputs saved with NumPy",
    paths: "jsonl or json files of replies, npz or npy files, or folders of them",
    needs_model: true,
    options: &["--phase"],
    unknown: "weights, all scores, the order of a decision's experts, texts",
    read,
};

const ROUTED: &str = "routed_experts";
const PROMPT_ROUTED: &str = "prompt_routed_experts";
const PROMPT_IDS: &str = "prompt_token_ids";
const REPLY_IDS: &str = "token_ids";

fn read(request: &ImportRequest<'_>, sink: &mut dyn Sink) -> Result<(), Stop> {
    let Some(model) = request.model else {
        return Ok(());
    };
    let mut served = Served::new("vLLM", model);
    for path in request.paths {
        for file in files::expand(path, &["jsonl", "ndjson", "json", "npz", "npy"], sink) {
            match file.ending.as_str() {
                "npz" | "npy" => read_arrays(&file, request.phase, &mut served, sink)?,
                _ => files::for_each_json(&file, sink, |text, at, sink| {
                    match Response::parse(text) {
                        Err(what) => sink.problem(at, what),
                        Ok(replies) => {
                            for reply in replies {
                                take_reply(reply.innermost(), at, &mut served, sink)?;
                            }
                        }
                    }
                    Ok(())
                })?,
            }
        }
    }
    Ok(())
}

fn read_arrays(
    file: &SourceFile,
    phase: Option<Phase>,
    served: &mut Served<'_>,
    sink: &mut dyn Sink,
) -> Result<(), Stop> {
    let Some(bytes) = files::read_whole(file, sink) else {
        return Ok(());
    };
    let request = if file.ending == "npz" {
        parse_output(&bytes)
    } else {
        parse_npy(&bytes).and_then(|array| request_of_array(array, phase))
    };
    served.deliver(&file.shown, file.stem.clone(), request, sink)
}

/// Reads a Python output that was saved by `np.savez`, from the bytes of the file.
pub(crate) fn parse_output(bytes: &[u8]) -> Result<Request, String> {
    let wanted = [ROUTED, PROMPT_ROUTED, PROMPT_IDS, REPLY_IDS];
    let mut file = parse_npz(bytes, |name| wanted.contains(&name))?;
    let prompt_ids = token_ids(&mut file, PROMPT_IDS)?.ok_or_else(|| {
        format!("it lacks {PROMPT_IDS}, so nobody knows which tokens were given; save them with the routing")
    })?;
    let reply_ids = token_ids(&mut file, REPLY_IDS)?.ok_or_else(|| {
        format!("it lacks {REPLY_IDS}; save the reply's token ids with the routing")
    })?;
    let routed = file.arrays.remove(ROUTED);
    let prompt_routed = file.arrays.remove(PROMPT_ROUTED);
    join(
        (prompt_ids.len(), reply_ids.len()),
        Some([prompt_ids, reply_ids].concat()),
        prompt_routed,
        routed,
        None,
    )
}

fn token_ids(file: &mut TensorFile, name: &str) -> Result<Option<Vec<u32>>, String> {
    let Some(array) = file.arrays.remove(name) else {
        return Ok(None);
    };
    (0..array.len())
        .map(|i| array.integer(i).and_then(|id| u32::try_from(id).ok()))
        .collect::<Option<_>>()
        .map(Some)
        .ok_or_else(|| format!("{name} holds something else than token ids"))
}

/// A lone array, which does not say which tokens were given and which generated.
fn request_of_array(array: Array, phase: Option<Phase>) -> Result<Request, String> {
    let phase = phase.ok_or(
        "a lone array does not say which of its tokens were given and which were generated: save an .npz with \
         prompt_token_ids and token_ids, or say --phase prefill or --phase decode for all of them",
    )?;
    let tokens = array.shape().first().copied().unwrap_or(0);
    let (prompt, generated) = match phase {
        Phase::Prefill => (tokens, 0),
        Phase::Decode => (0, tokens),
    };
    Ok(Request {
        prompt,
        generated,
        token_ids: None,
        runs: vec![(0, array)],
    })
}

fn take_reply(
    mut reply: Response<'_>,
    at: &str,
    served: &mut Served<'_>,
    sink: &mut dyn Sink,
) -> Result<(), Stop> {
    served.model_name = reply.model.as_deref().map(names::last_part);
    served.version = reply.system_fingerprint.as_deref().and_then(version_of);
    let id = reply.custom_id.take().or_else(|| reply.id.take());
    let id = id.unwrap_or_else(|| at.to_owned());
    if reply.choices.is_empty() {
        let what = "it has no choices; is it the reply of /v1/completions or /v1/chat/completions?";
        sink.problem(at, what.to_owned());
        return Ok(());
    }
    let choices = std::mem::take(&mut reply.choices);
    let is_single = choices.len() == 1;
    for (place, choice) in choices.into_iter().enumerate() {
        let number = choice.index.map_or(place, |index| index as usize);
        let id = if is_single {
            id.clone()
        } else {
            format!("{id}#{number}")
        };
        let request = request_of_choice(&reply, choice, is_single);
        served.deliver(at, id, request, sink)?;
    }
    Ok(())
}

fn request_of_choice(
    reply: &Response<'_>,
    choice: Choice<'_>,
    is_single: bool,
) -> Result<Request, String> {
    let prompt_ids = choice
        .prompt_token_ids
        .or_else(|| reply.prompt_token_ids.clone());
    // Usage sums over the choices, so it tells the length of one only where there is one.
    let usage = reply.usage.as_ref().filter(|_| is_single);
    let prompt = prompt_ids
        .as_ref()
        .map(Vec::len)
        .or_else(|| usage.and_then(|usage| usage.prompt_tokens));
    let generated = choice
        .token_ids
        .as_ref()
        .map(Vec::len)
        .or_else(|| usage.and_then(|usage| usage.completion_tokens));
    let (Some(prompt), Some(generated)) = (prompt, generated) else {
        return Err(
            "it does not say how many tokens were given and generated; request it with \"return_token_ids\": true"
                .to_owned(),
        );
    };
    let token_ids = prompt_ids
        .zip(choice.token_ids)
        .map(|(prompt, reply)| [prompt, reply].concat());
    let array = |routed: &Routed<'_>| match routed {
        Routed::Text(text) => Routed::bytes(text).and_then(|bytes| parse_npy(&bytes)),
        Routed::Lists(array) => Ok(array.clone()),
    };
    join(
        (prompt, generated),
        token_ids,
        reply
            .prompt_routed_experts
            .as_ref()
            .map(array)
            .transpose()?,
        choice.routed_experts.as_ref().map(array).transpose()?,
        reply.routed_experts_prompt_start,
    )
}

/// Puts the routing of prompt and reply onto their tokens.
fn join(
    (prompt, generated): (usize, usize),
    token_ids: Option<Vec<u32>>,
    prompt_routed: Option<Array>,
    routed: Option<Array>,
    start: Option<usize>,
) -> Result<Request, String> {
    let rows = |array: &Array| array.shape().first().copied().unwrap_or(0);
    let mut runs = Vec::new();
    if let Some(given) = prompt_routed {
        if rows(&given) != prompt {
            return Err(format!(
                "{PROMPT_ROUTED} has {} rows for {prompt} tokens of the prompt",
                rows(&given)
            ));
        }
        runs.push((0, given));
        if let Some(routed) = routed {
            runs.push((prompt, routed));
        }
    } else {
        let routed = routed.ok_or(
            "it has no routed_experts; start the server with --enable-return-routed-experts",
        )?;
        let start = start.unwrap_or(0);
        let total = prompt.saturating_add(generated);
        let found = start.saturating_add(rows(&routed));
        if found != total && found != total.saturating_sub(1) {
            return Err(format!(
                "{ROUTED} has {} rows from token {start} on, but {prompt} tokens were given and {generated} generated: \
                 expected one row for each but the last; if the request had routed_experts_prompt_start, put that number \
                 into the line",
                rows(&routed)
            ));
        }
        runs.push((start, routed));
    }
    Ok(Request {
        prompt,
        generated,
        token_ids,
        runs,
    })
}

/// `0.33.0` of `vllm-0.33.0-2c744646`.
fn version_of(fingerprint: &str) -> Option<String> {
    let version = fingerprint.strip_prefix("vllm-")?.split('-').next()?;
    Some(version.chars().take(40).collect())
}

/// Reads the replies of one line and gives each request, for whoever has the line in memory.
///
/// # Errors
/// When the line is broken, or a reply in it has no routing that fits.
pub fn parse_replies(line: &str, model: &ModelSpec) -> Result<usize, String> {
    let mut documents = 0;
    for reply in Response::parse(line)? {
        let mut reply = reply.innermost();
        let choices = std::mem::take(&mut reply.choices);
        let is_single = choices.len() == 1;
        for choice in choices {
            request_of_choice(&reply, choice, is_single)?.into_content(model)?;
            documents += 1;
        }
    }
    Ok(documents)
}
