//! The list of tensors that a model needs, compared with those that its checkpoint has.

use std::collections::BTreeSet;

use safetensors::Dtype;

use crate::{
    checkpoint::{Checkpoint, TensorFiles},
    config::DecoderConfig,
    decoder::TensorClass,
    error::EngineError,
    families::Family,
};

/// Missing tensors beyond which the search ends: a checkpoint of another model, or a configuration of no model.
const MOST_MISSING: usize = 4096;
/// Tensors beyond which a configuration describes no real model; the largest that are published have a tenth of it.
const MOST_NEEDS: usize = 1 << 20;

/// Index of a needed tensor in its catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::decoder) struct Wanted(usize);

/// Where a matrix `[rows, columns]` is.
#[derive(Clone, Copy, Debug)]
pub(in crate::decoder) struct Place {
    pub(in crate::decoder) tensor: Wanted,
    /// Scales of blocks of FP8 weights.
    pub(in crate::decoder) scales: Option<Wanted>,
    /// The matrix's first row within the tensor.
    pub(in crate::decoder) first_row: usize,
    pub(in crate::decoder) dims: [usize; 2],
}

/// What a model needs, and what of it the checkpoint lacks.
pub(in crate::decoder) struct Catalogue<'a> {
    /// What there is; `None` where the needs alone are asked for.
    files: Option<&'a TensorFiles>,
    /// Whether experts that may be stored as four-bit floats are, where no file tells.
    is_mxfp4: bool,
    config: &'a DecoderConfig,
    ignored: &'static [&'static str],
    layer: &'static str,
    prefix: &'static str,
    /// What the tensors that are asked for next belong to.
    class: TensorClass,
    needs: Vec<Need>,
    allowed: BTreeSet<String>,
    missing: Vec<String>,
    misshapen: Vec<String>,
}

/// A needed tensor.
pub(in crate::decoder) struct Need {
    pub(in crate::decoder) name: String,
    pub(in crate::decoder) class: TensorClass,
    pub(in crate::decoder) shape: Vec<usize>,
    /// Whether its values are put into another order, so that they cannot stay in the mapped file.
    pub(in crate::decoder) is_rearranged: bool,
    /// Weights in a row of its matrices, where their class may be kept in blocks.
    pub(in crate::decoder) row_width: Option<usize>,
    /// Whether it holds bytes whatever type the other weights have: blocks of four-bit floats, and their scales.
    pub(in crate::decoder) is_packed: bool,
}

impl<'a> Catalogue<'a> {
    /// Compares what the checkpoint's model needs with its files.
    pub(super) fn of_checkpoint(checkpoint: &'a Checkpoint) -> Self {
        let (files, names) = (checkpoint.files(), checkpoint.family().names);
        let prefix = names.prefixes.iter().find(|prefix| {
            files
                .get(&format!("{prefix}{}.weight", names.embed_tokens))
                .is_some()
        });
        Self {
            files: Some(files),
            prefix: prefix.copied().unwrap_or(names.prefixes[0]),
            ..Self::of_config(checkpoint.config(), checkpoint.family(), true)
        }
    }

    /// Lists what a model needs, in the family's published layout.
    pub(super) fn of_config(
        config: &'a DecoderConfig,
        family: &'static Family,
        is_mxfp4: bool,
    ) -> Self {
        let names = family.names;
        Self {
            files: None,
            is_mxfp4,
            config,
            ignored: names.ignored,
            layer: names.layer,
            prefix: names.prefixes[0],
            class: TensorClass::Embeddings,
            needs: Vec::new(),
            allowed: BTreeSet::new(),
            missing: Vec::new(),
            misshapen: Vec::new(),
        }
    }

    pub(super) fn config(&self) -> &'a DecoderConfig {
        self.config
    }

    /// Whether experts that may be stored as four-bit floats are, where no file tells.
    pub(super) fn is_mxfp4(&self) -> bool {
        self.is_mxfp4
    }

    /// Says what the tensors that are asked for next belong to.
    pub(super) fn enter(&mut self, class: TensorClass) {
        self.class = class;
    }

    /// Whether the checkpoint has a tensor of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.shape(name).is_some()
    }

    /// The shape of a tensor, where the checkpoint has it.
    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        let stored = self.files?.get(&format!("{}{name}", self.prefix))?;
        Some(&stored.shape)
    }

    /// Adds a tensor to the needs.
    pub(super) fn want(&mut self, name: &str, shape: &[usize]) -> Result<Wanted, EngineError> {
        let name = format!("{}{name}", self.prefix);
        if let Some(files) = self.files {
            match files.get(&name) {
                None => self.missing.push(name.clone()),
                Some(stored) if stored.shape != shape => {
                    self.misshapen.push(format!(
                        "{name}: found {:?}, config.json needs {shape:?}",
                        stored.shape
                    ));
                }
                Some(_) => {}
            }
        }
        if self.missing.len() > MOST_MISSING {
            return Err(self.errors(Vec::new()));
        }
        if self.needs.len() == MOST_NEEDS {
            return Err(EngineError::Config(format!(
                "config.json: a model of more than {MOST_NEEDS} tensors is no model that was published"
            )));
        }
        self.needs.push(Need {
            name,
            class: self.class,
            shape: shape.to_vec(),
            is_rearranged: false,
            row_width: shape
                .last()
                .copied()
                .filter(|_| shape.len() > 1 && self.class.is_quantisable()),
            is_packed: false,
        });
        Ok(Wanted(self.needs.len() - 1))
    }

    /// Adds a tensor of bytes to the needs.
    pub(super) fn want_packed(
        &mut self,
        name: &str,
        shape: &[usize],
    ) -> Result<Wanted, EngineError> {
        let wanted = self.want(name, shape)?;
        self.needs[wanted.0].is_packed = true;
        Ok(wanted)
    }

    /// Marks a tensor whose values are put into another order, and the width of its matrices' rows then.
    pub(super) fn rearrange(&mut self, wanted: Wanted, row_width: usize) {
        self.needs[wanted.0].is_rearranged = true;
        self.set_row_width(wanted, Some(row_width));
    }

    /// Says how wide the rows of a tensor's matrices are, where its shape does not; `None` where it holds none.
    pub(super) fn set_row_width(&mut self, wanted: Wanted, row_width: Option<usize>) {
        let need = &mut self.needs[wanted.0];
        need.row_width = row_width.filter(|_| need.class.is_quantisable());
    }

    /// Adds a matrix, with its scales where it is stored in FP8 blocks.
    pub(super) fn matrix(&mut self, name: &str, dims: [usize; 2]) -> Result<Place, EngineError> {
        let tensor = self.want(name, &dims)?;
        let dtype = self
            .files
            .and_then(|files| files.get(&self.needs[tensor.0].name))
            .map(|stored| stored.dtype);
        let scales = match (dtype, self.config.fp8_block) {
            (Some(Dtype::F8_E4M3), Some([rows, columns])) => {
                let shape = [dims[0].div_ceil(rows), dims[1].div_ceil(columns)];
                Some(self.want(&format!("{name}_scale_inv"), &shape)?)
            }
            _ => None,
        };
        Ok(Place {
            tensor,
            scales,
            first_row: 0,
            dims,
        })
    }

    /// A tensor that may be there and is not used.
    pub(super) fn allow(&mut self, name: &str) {
        self.allowed.insert(format!("{}{name}", self.prefix));
    }

    /// Name and shape of a needed tensor.
    pub(in crate::decoder) fn need(&self, wanted: Wanted) -> &Need {
        &self.needs[wanted.0]
    }

    /// All needed tensors.
    pub(in crate::decoder) fn needs(&self) -> &[Need] {
        &self.needs
    }

    /// Lists everything that does not fit in one error.
    pub(in crate::decoder) fn check(&self) -> Result<(), EngineError> {
        let known: BTreeSet<&str> = self
            .needs
            .iter()
            .map(|need| need.name.as_str())
            .chain(self.allowed.iter().map(String::as_str))
            .collect();
        let extra: Vec<String> = self
            .files
            .into_iter()
            .flat_map(TensorFiles::names)
            .filter(|name| !known.contains(name) && !self.is_ignored(name))
            .map(str::to_owned)
            .collect();
        if self.missing.is_empty() && self.misshapen.is_empty() && extra.is_empty() {
            Ok(())
        } else {
            Err(self.errors(extra))
        }
    }

    fn errors(&self, extra: Vec<String>) -> EngineError {
        EngineError::Tensors {
            missing: self.missing.clone(),
            extra,
            misshapen: self.misshapen.clone(),
        }
    }

    /// Tensors that checkpoints carry and no decoder needs: rotary tables, layers beyond the last (multi-token
    /// prediction), and what the family names.
    fn is_ignored(&self, name: &str) -> bool {
        if name.ends_with(".rotary_emb.inv_freq")
            || self.ignored.iter().any(|start| name.starts_with(start))
        {
            return true;
        }
        let (before, after) = self.layer.split_once("{}").unwrap_or((self.layer, ""));
        name.strip_prefix(self.prefix)
            .and_then(|name| name.strip_prefix(before))
            .and_then(|rest| rest.split_once(after))
            .and_then(|(number, _)| number.parse::<usize>().ok())
            .is_some_and(|number| number >= self.config.num_layers)
    }
}
