//! Router logits and top-k tensors of Hugging Face transformers, saved as safetensors or `.npz`.
//!
//! With `output_router_logits=True` a model returns a tuple with one tensor `[batch · tokens, experts]` for each layer
//! with a router; rows of padding are among them, so the attention mask must be saved as well.
//! transformers 4.57 and 5.23 return logits; 5.0.0 returned probabilities for some families.
//! `docs/IMPORTS.md` has the two lines that save a batch.

use super::{
    Format, Request,
    common::{
        batch::{Batch, Container, Known},
        files::{self, SourceFile},
        sink::{Imported, Sink, Stop},
    },
};

pub(super) const FORMAT: Format = Format {
    name: "transformers",
    summary: "router logits or chosen experts that a script saved from Hugging Face transformers",
    paths: "safetensors or npz files, or folders of them; a file is a batch",
    needs_model: true,
    options: &["--scores"],
    unknown: "texts; with chosen experts alone also weights and all scores",
    read,
};

fn read(request: &Request<'_>, sink: &mut dyn Sink) -> Result<(), Stop> {
    let Some(model) = request.model else {
        return Ok(());
    };
    let mut first: Option<(String, Known)> = None;
    for path in request.paths {
        for file in files::expand(path, &["safetensors", "npz"], sink) {
            let Some(bytes) = files::read_whole(&file, sink) else {
                continue;
            };
            let container = match file.ending.as_str() {
                "npz" => Container::Npz,
                _ => Container::Safetensors,
            };
            let batch = match Batch::parse(&bytes, container, &file.stem, model, request.scores) {
                Ok(batch) => batch,
                Err(what) => {
                    sink.problem(&file.shown, what);
                    continue;
                }
            };
            drop(bytes);
            match &first {
                None => {
                    let facts = match batch.facts() {
                        Ok(facts) => facts,
                        Err(what) => {
                            sink.problem(&file.shown, what);
                            return Ok(());
                        }
                    };
                    first = Some((file.shown.clone(), batch.known()));
                    sink.begin(facts)?;
                }
                Some((shown, known)) if *known != batch.known() => {
                    let what = format!("it holds other kinds of tensors than {shown}");
                    sink.problem(&file.shown, what);
                    continue;
                }
                Some(_) => {}
            }
            deliver(&batch, &file, sink)?;
        }
    }
    Ok(())
}

fn deliver(batch: &Batch<'_>, file: &SourceFile, sink: &mut dyn Sink) -> Result<(), Stop> {
    for (sequence, id) in batch.ids.iter().enumerate() {
        match batch.sequence(sequence) {
            Ok(content) => sink.document(Imported {
                at: file.shown.clone(),
                id: id.clone(),
                discipline: None,
                content,
            })?,
            Err(what) => sink.problem(&file.shown, format!("sample '{id}': {what}")),
        }
    }
    Ok(())
}
