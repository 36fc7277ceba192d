//! What is fuzzed.

use std::path::Path;

/// A reader with some state between executions, such as a folder that it writes its input to.
///
/// It gets the bytes of a file and says whether they were accepted; it must neither panic nor take long.
pub type Reader = Box<dyn FnMut(&[u8]) -> bool>;

/// A reader of files from strangers, and good files to start from.
pub struct Target {
    /// Its name on the command line and in reports.
    pub name: &'static str,
    /// How inputs are edited.
    pub shape: Shape,
    /// Words of the format: keys, magic numbers, names of types.
    pub words: &'static [&'static str],
    /// Good files, small ones; at least one.
    pub corpus: fn() -> Vec<Vec<u8>>,
    /// Makes the reader, with an empty folder for its files.
    pub open: fn(&Path) -> Reader,
}

/// What an input is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Bytes without a structure that the driver knows.
    Bytes,
    /// JSON, one value or many.
    Json,
    /// Eight bytes with the length of a JSON header, the header, other bytes: safetensors.
    FramedJson,
}
