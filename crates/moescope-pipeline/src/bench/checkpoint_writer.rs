//! Checkpoints of a given shape with random weights, written piece by piece.
//!
//! They are kept in the user's cache folder, since writing gigabytes takes longer than measuring, and appear there whole
//! or not at all.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use moescope_core::Progress;
use moescope_engine::NeededTensor;
use rayon::prelude::*;
use serde_json::{Map, json};

use super::{
    geometry::Geometry,
    random_weights::{Content, RandomWeights},
};
use crate::{cache_folder::cache_folder, checksum, error::PipelineError};

/// Part of a cached checkpoint's name: another number where the same configuration would be written differently.
const VERSION: u32 = 1;
/// Bytes that are made at once by one thread; even, so that no weight is cut.
const PIECE: usize = 4 << 20;
/// Room on the disk beyond the checkpoint's own bytes.
const SPARE_BYTES: u64 = 64 << 20;
/// The only weight file.
const WEIGHTS: &str = "model.safetensors";

/// A checkpoint that can be written: configuration, tensors, and the seed of their weights.
pub struct RandomCheckpoint {
    name: String,
    config: String,
    seed: u64,
    tensors: Vec<NeededTensor>,
    /// What stands before the weights: the header and its length.
    head: Vec<u8>,
    data_bytes: u64,
}

impl RandomCheckpoint {
    /// Plans a checkpoint; nothing is written.
    ///
    /// # Errors
    /// When the configuration describes no model, or one of more bytes than can be counted.
    pub fn new(geometry: &Geometry, seed: u64) -> Result<Self, PipelineError> {
        let tensors = geometry.config.required_tensors()?;
        let config = if tensors.iter().any(|tensor| tensor.dtype == "U8") {
            geometry.config.clone()
        } else {
            // Weights that the original keeps in fewer bits are written in bf16.
            geometry.config.without("quantization_config")
        };
        let (head, data_bytes) = head(&tensors).ok_or_else(|| {
            PipelineError::Settings(format!(
                "a checkpoint of {} would have more bytes than can be counted",
                geometry.name
            ))
        })?;
        Ok(Self {
            name: geometry.name.clone(),
            config: config.to_text(),
            seed,
            tensors,
            head,
            data_bytes,
        })
    }

    /// Bytes of the weight file.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.head.len() as u64 + self.data_bytes
    }

    /// The folder of this checkpoint in the user's cache, written first where it is not there yet.
    ///
    /// # Errors
    /// When there is no cache folder, the disk is full or refuses, or `progress` cancels; nothing is left then.
    pub fn cached(&self, progress: &dyn Progress) -> Result<PathBuf, PipelineError> {
        let cache = cache_folder().ok_or_else(|| {
            PipelineError::Settings(
                "there is no cache folder to write the checkpoint to; set XDG_CACHE_HOME to one, or HOME".to_owned(),
            )
        })?;
        self.cached_in(&cache.join("bench"), progress)
    }

    fn cached_in(&self, cache: &Path, progress: &dyn Progress) -> Result<PathBuf, PipelineError> {
        let key = format!("{VERSION} {} {}", self.seed, self.config);
        let key = checksum::sha256_of_bytes(key.as_bytes());
        let name = format!("{}-{}", self.name, &key[..16]);
        let folder = cache.join(&name);
        if self.is_whole(&folder) {
            return Ok(folder);
        }
        let failed = |error| PipelineError::io("write a checkpoint into the cache", cache, error);
        fs::create_dir_all(cache).map_err(failed)?;
        // Another process may be writing the same gigabytes.
        let lock = File::create(cache.join(".lock")).map_err(failed)?;
        progress.report(0, 0, "waiting for another process that writes a checkpoint")?;
        lock.lock().map_err(failed)?;
        if self.is_whole(&folder) {
            return Ok(folder);
        }
        let draft = cache.join(format!(".{name}.draft"));
        for left in [&draft, &folder] {
            // What an interrupted process left, or somebody has changed.
            if left.exists() {
                fs::remove_dir_all(left).map_err(failed)?;
            }
        }
        self.write(&draft, progress)?;
        fs::rename(&draft, &folder).map_err(failed)?;
        Ok(folder)
    }

    fn is_whole(&self, folder: &Path) -> bool {
        fs::read_to_string(folder.join("config.json")).is_ok_and(|text| text == self.config)
            && fs::metadata(folder.join(WEIGHTS)).is_ok_and(|found| found.len() == self.bytes())
    }

    /// Writes the checkpoint into a folder that is made for it.
    ///
    /// # Errors
    /// When the folder is there already, the disk is full or refuses, or `progress` cancels; nothing is left then.
    pub fn write(&self, folder: &Path, progress: &dyn Progress) -> Result<(), PipelineError> {
        let failed = |error| PipelineError::io("write the checkpoint", folder, error);
        fs::create_dir(folder).map_err(failed)?;
        let written = self.check_space(folder).and_then(|()| {
            fs::write(folder.join("config.json"), &self.config).map_err(failed)?;
            let mut file = File::create(folder.join(WEIGHTS)).map_err(failed)?;
            self.write_weights(&mut file, progress, &failed)
        });
        if written.is_err() {
            // The error tells more than what a failed removal could add.
            drop(fs::remove_dir_all(folder));
        }
        written
    }

    fn check_space(&self, folder: &Path) -> Result<(), PipelineError> {
        let free = fs4::available_space(folder)
            .map_err(|error| PipelineError::io("ask how much room the disk has", folder, error))?;
        let needed = self.bytes().saturating_add(SPARE_BYTES);
        if needed > free {
            return Err(PipelineError::Space {
                what: format!(
                    "a checkpoint of {} (fewer --layers take less, XDG_CACHE_HOME or --write name another disk)",
                    self.name
                ),
                needed,
                free,
                path: folder.to_owned(),
            });
        }
        Ok(())
    }

    /// Pieces are made by all threads while those before them are written.
    fn write_weights(
        &self,
        file: &mut File,
        progress: &dyn Progress,
        failed: &dyn Fn(io::Error) -> PipelineError,
    ) -> Result<(), PipelineError> {
        let weights = RandomWeights::new(self.seed);
        file.write_all(&self.head).map_err(failed)?;
        let pieces = self.pieces();
        let at_once = 2 * rayon::current_num_threads();
        let (mut ready, mut next) = (Vec::new(), vec![Vec::new(); at_once]);
        let mut done = 0;
        for pieces in pieces.chunks(at_once) {
            progress.report(done, self.data_bytes, "writing random weights")?;
            next.resize(pieces.len(), Vec::new());
            let (written, ()) = rayon::join(
                || write_all(file, &ready),
                || {
                    pieces.par_iter().zip(&mut next).for_each(|(piece, out)| {
                        out.resize(piece.len, 0);
                        weights.fill(piece.content, piece.tensor, piece.number, out);
                    });
                },
            );
            done += written.map_err(failed)?;
            std::mem::swap(&mut ready, &mut next);
        }
        write_all(file, &ready).map_err(failed)?;
        Ok(())
    }

    fn pieces(&self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for (tensor, needed) in self.tensors.iter().enumerate() {
            let content = Content::of(needed);
            let size = usize::try_from(bytes_of(needed).expect("counted when it was planned"))
                .expect("a tensor that a disk has room for");
            pieces.extend((0..size.div_ceil(PIECE)).map(|number| Piece {
                content,
                tensor,
                number,
                len: PIECE.min(size - number * PIECE),
            }));
        }
        pieces
    }
}

/// A part of a tensor.
struct Piece {
    content: Content,
    tensor: usize,
    number: usize,
    len: usize,
}

fn write_all(file: &mut File, buffers: &[Vec<u8>]) -> io::Result<u64> {
    let mut written = 0;
    for buffer in buffers {
        file.write_all(buffer)?;
        written += buffer.len() as u64;
    }
    Ok(written)
}

/// The length of the header, the header (padded to whole words, as the format asks), and the bytes of all tensors.
fn head(tensors: &[NeededTensor]) -> Option<(Vec<u8>, u64)> {
    let mut entries = Map::new();
    let mut end = 0u64;
    for tensor in tensors {
        let start = end;
        end = end.checked_add(bytes_of(tensor)?)?;
        let entry = json!({
            "dtype": tensor.dtype,
            "shape": tensor.shape,
            "data_offsets": [start, end],
        });
        entries.insert(tensor.name.clone(), entry);
    }
    entries.insert("__metadata__".to_owned(), json!({"format": "pt"}));
    let mut text = serde_json::to_vec(&entries).expect("names and numbers are JSON");
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut head = (text.len() as u64).to_le_bytes().to_vec();
    head.append(&mut text);
    end.checked_add(head.len() as u64)?;
    Some((head, end))
}

fn bytes_of(tensor: &NeededTensor) -> Option<u64> {
    let width = if tensor.dtype == "U8" { 1 } else { 2 };
    let mut sizes = tensor.shape.iter().map(|size| *size as u64);
    sizes.try_fold(width, u64::checked_mul)
}

#[cfg(test)]
mod tests;
