//! Writing safetensors files, honest and lying ones.

use std::{fs, io, path::Path};

use serde_json::{Map, Value, json};

/// A safetensors file in the making: f32 tensors, and a header that a test may bend.
#[derive(Clone, Debug, Default)]
pub struct SafetensorsFile {
    header: Map<String, Value>,
    data: Vec<u8>,
}

impl SafetensorsFile {
    /// A file without tensors.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an f32 tensor.
    ///
    /// # Panics
    /// When the shape does not hold as many values.
    #[must_use]
    pub fn tensor(mut self, name: &str, shape: &[usize], values: &[f32]) -> Self {
        assert_eq!(
            shape.iter().product::<usize>(),
            values.len(),
            "values of {name}"
        );
        let start = self.data.len();
        self.data
            .extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let entry =
            json!({"dtype": "F32", "shape": shape, "data_offsets": [start, self.data.len()]});
        self.header.insert(name.to_owned(), entry);
        self
    }

    /// Adds an i64 tensor of one dimension.
    #[must_use]
    pub fn ids(mut self, name: &str, values: &[i64]) -> Self {
        let start = self.data.len();
        self.data
            .extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let entry = json!({"dtype": "I64", "shape": [values.len()], "data_offsets": [start, self.data.len()]});
        self.header.insert(name.to_owned(), entry);
        self
    }

    /// Replaces what the header says of a tensor, so that it can lie.
    #[must_use]
    pub fn claim(mut self, name: &str, entry: Value) -> Self {
        self.header.insert(name.to_owned(), entry);
        self
    }

    /// Drops a tensor's entry; its bytes stay.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// The file's bytes: the header's length, the header, the data.
    ///
    /// # Panics
    /// Never: a JSON object can always be written.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let header = serde_json::to_vec(&self.header).expect("a JSON object can be written");
        self.bytes_claiming(header.len() as u64)
    }

    /// The file's bytes with a header length of the caller's choice.
    ///
    /// # Panics
    /// Never: a JSON object can always be written.
    #[must_use]
    pub fn bytes_claiming(&self, header_len: u64) -> Vec<u8> {
        let header = serde_json::to_vec(&self.header).expect("a JSON object can be written");
        let mut bytes = header_len.to_le_bytes().to_vec();
        bytes.extend(header);
        bytes.extend(&self.data);
        bytes
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        fs::write(path, self.bytes())
    }
}
