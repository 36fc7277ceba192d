//! What is known of `SciDFM`'s prompts, and how sure it is.
//!
//! `SciDFM` (Sun et al., arXiv 2409.18412; `OpenDFM/SciDFM-MoE-A5.6B-v1.0`) ships `tokenizer.model`, a second model
//! `smiles.model` and no chat template.
//!
//! - **Confirmed** (the repository's files): the tokenizer is a slow `LlamaTokenizer` over `tokenizer.model`; the added
//!   tokens are `[PAD]` 32191, `<|eod|>` 32192, `<|system|>` 32193, `<|user|>` 32194 and `<|assistant|>` 32195; so the
//!   `SentencePiece` ids end at 32190, 191 above the 32,000 of `OpenLLaMA`.
//! - **From a third party** that ran the model: the template `<|user|>:{instruction}<|assistant|>:`, without a system turn;
//!   that atoms and the letters of amino acids are tokens of their own, marked by special pieces.
//! - **Assumed**, from memory of the model card: how those marks are written. [`ScienceUnits`] therefore checks the
//!   tokenizer before it wraps anything: a tokenizer that has no such pieces refutes the assumption, and is refused.

use std::{ops::Range, path::Path};

use super::{SentencePieceModel, Tokenizer, chat::ChatTemplate, read_bytes};
use crate::error::EngineError;

/// What `model_type` and folder names call the model.
const NAME: &str = "scidfm";
/// The template's text, from a third party's runner; it has no place for a system message.
const CHAT_TEMPLATE: &str = "{% for message in messages %}{% if message['role'] == 'user' %}<|user|>:{{ message['content'] }}\
{% elif message['role'] == 'assistant' %}<|assistant|>:{{ message['content'] }}\
{% else %}{{ raise_exception('SciDFM knows no ' ~ message['role'] ~ ' message') }}{% endif %}{% endfor %}\
{% if add_generation_prompt %}<|assistant|>:{% endif %}";
/// The second model's file.
const SMILES_FILE: &str = "smiles.model";
const SMILES_MARKS: [&str; 2] = ["[ChemDFM_Start_SMILES_Unit]", "[ChemDFM_End_SMILES_Unit]"];
const PROTEIN_MARK: &str = "<<protein>>";

impl ChatTemplate {
    /// The template for a model whose files have none, where one is known: `SciDFM`'s, by its `model_type`.
    #[must_use]
    pub fn built_in(model_type: &str) -> Option<Self> {
        (model_type == NAME).then(|| {
            Self::parse(
                CHAT_TEMPLATE,
                "moescope's built-in template for SciDFM",
                None,
            )
            .expect("a constant that the tests parse")
        })
    }
}

/// What a text of science units is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitKind {
    /// Molecules in SMILES notation.
    Smiles,
    /// Amino acids by their letters.
    Protein,
}

/// Wraps the atoms of molecules and the residues of proteins in the marks that `SciDFM` was trained with.
///
/// The marks are an assumption; see the head of this module's file.
#[derive(Clone, Debug)]
pub struct ScienceUnits {
    smiles: SentencePieceModel,
}

impl ScienceUnits {
    /// Reads `smiles.model` from the folder, and checks that the tokenizer has pieces for the marks.
    ///
    /// # Errors
    /// When the folder has no `smiles.model`, or the tokenizer does not know the marks.
    pub fn open(folder: &Path, tokenizer: &Tokenizer) -> Result<Self, EngineError> {
        let path = folder.join(SMILES_FILE);
        if !path.is_file() {
            return Err(EngineError::Tokenizer(format!(
                "science units are for models like SciDFM, whose folder has a second tokenizer, {SMILES_FILE}; there is none: {}",
                folder.display()
            )));
        }
        let units = Self::parse(&read_bytes(&path)?)?;
        units.check(tokenizer)?;
        Ok(units)
    }

    /// Reads the second tokenizer from the bytes of `smiles.model`.
    ///
    /// # Errors
    /// When it is no `SentencePiece` model.
    pub fn parse(smiles_model: &[u8]) -> Result<Self, EngineError> {
        Ok(Self {
            smiles: SentencePieceModel::parse(smiles_model)?,
        })
    }

    /// A tokenizer that was trained with the marks has a piece for a mark, or for the whole unit.
    fn check(&self, tokenizer: &Tokenizer) -> Result<(), EngineError> {
        let [start, end] = SMILES_MARKS;
        for (mark, unit) in [
            (start, format!("{start}C{end}")),
            (PROTEIN_MARK, format!("{PROTEIN_MARK}M")),
        ] {
            if tokenizer.token_id(mark).is_none() && tokenizer.token_id(&unit).is_none() {
                return Err(EngineError::Tokenizer(format!(
                    "the tokenizer has neither '{mark}' nor '{unit}', so this model marks molecules and proteins otherwise \
                     than is assumed of SciDFM; run it without science units"
                )));
            }
        }
        Ok(())
    }

    /// The wrapped text, and for each stretch of the source where it now stands: `(wrapped bytes, first source byte)`.
    ///
    /// White space stays outside the marks.
    ///
    /// # Errors
    /// When the second tokenizer cannot cut the text.
    pub fn wrap(
        &self,
        kind: UnitKind,
        text: &str,
    ) -> Result<(String, Vec<(Range<usize>, usize)>), EngineError> {
        let [start, end] = match kind {
            UnitKind::Smiles => SMILES_MARKS,
            UnitKind::Protein => [PROTEIN_MARK, ""],
        };
        let mut wrapped = String::with_capacity(text.len() * 8);
        let mut places = Vec::new();
        for unit in self.units(kind, text)? {
            let source = &text[unit.clone()];
            let is_space = source.trim().is_empty();
            wrapped.push_str(if is_space { "" } else { start });
            let at = wrapped.len();
            wrapped.push_str(source);
            places.push((at..wrapped.len(), unit.start));
            wrapped.push_str(if is_space { "" } else { end });
        }
        Ok((wrapped, places))
    }

    /// The stretches of the text that are one unit each, and those between them.
    fn units(&self, kind: UnitKind, text: &str) -> Result<Vec<Range<usize>>, EngineError> {
        let mut units = Vec::new();
        for word in words(text) {
            let is_space = text[word.clone()].trim().is_empty();
            match kind {
                _ if is_space => units.push(word),
                UnitKind::Protein => units.extend(
                    text[word.clone()]
                        .char_indices()
                        .map(|(at, c)| word.start + at..word.start + at + c.len_utf8()),
                ),
                UnitKind::Smiles => {
                    let pieces = self.smiles.encode(&text[word.clone()])?;
                    let mut done = word.start;
                    // The first piece is the space that is put first; bytes of one character are one unit.
                    for piece in pieces {
                        let unit = done..(word.start + piece.end).max(done);
                        if !unit.is_empty() {
                            done = unit.end;
                            units.push(unit);
                        }
                    }
                    if done < word.end {
                        units.push(done..word.end);
                    }
                }
            }
        }
        Ok(units)
    }
}

/// Stretches of white space and of other text, in turn.
fn words(text: &str) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    let mut was_space = None;
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        match words.last_mut() {
            Some(word) if was_space == Some(c.is_whitespace()) => word.end = end,
            _ => words.push(at..end),
        }
        was_space = Some(c.is_whitespace());
    }
    words
}

#[cfg(test)]
mod tests {
    use moescope_core::Role;

    use super::{
        super::chat::{ChatClock, ChatMessage},
        *,
    };

    #[test]
    fn the_built_in_template_is_the_known_string() {
        let template = ChatTemplate::built_in("scidfm").unwrap();
        let clock = ChatClock::midnight("2024-01-01").unwrap();
        let message = |role, content: &str| ChatMessage {
            role,
            content: content.to_owned(),
        };
        let (text, _) = template
            .render(&[message(Role::User, "What is C(C(=O)O)N?")], clock)
            .unwrap();
        assert_eq!(text, "<|user|>:What is C(C(=O)O)N?<|assistant|>:");
        let system = [message(Role::System, "x"), message(Role::User, "y")];
        let error = template.render(&system, clock).unwrap_err();
        assert!(
            error.to_string().contains("SciDFM knows no system message"),
            "{error}"
        );
        assert!(ChatTemplate::built_in("mixtral").is_none());
    }
}
