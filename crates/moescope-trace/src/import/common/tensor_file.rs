//! Files of named arrays: safetensors and NumPy's `.npz`, read whole and bounded.

use std::{
    collections::BTreeMap,
    io::{Cursor, Read as _},
};

use safetensors::{Dtype, SafeTensors};
use zip::ZipArchive;

use super::{
    array::{Array, ElementType, Layout},
    npy::parse_npy,
};

/// Most arrays that a file may hold: three for each layer of a model with a thousand of them.
const MOST_ARRAYS: usize = 4096;
/// How much an archive may grow: deflate's limit is 1032, and arrays of numbers stay far below.
const MOST_GROWTH: u64 = 256;
/// Small archives may grow more: a mask of ones nearly vanishes when it is compressed.
const FREE_GROWTH: u64 = 16 << 20;

/// Named arrays, and the texts that stand beside them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TensorFile {
    /// The arrays by name.
    pub arrays: BTreeMap<String, Array>,
    /// safetensors' `__metadata__`; empty in a `.npz`.
    pub metadata: BTreeMap<String, String>,
    /// The names of all arrays of the file, also of those that were not asked for.
    pub names: Vec<String>,
}

/// Reads the arrays that `is_wanted` names from a safetensors file.
///
/// # Errors
/// When the file is broken, or an array that is wanted is of an element type that no routing has.
pub fn parse_safetensors(
    bytes: &[u8],
    is_wanted: impl Fn(&str) -> bool,
) -> Result<TensorFile, String> {
    let (_, header) = SafeTensors::read_metadata(bytes)
        .map_err(|error| format!("this is no whole safetensors file: {error}"))?;
    let tensors = SafeTensors::deserialize(bytes)
        .map_err(|error| format!("this is no whole safetensors file: {error}"))?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let mut file = TensorFile {
        metadata: metadata.into_iter().collect(),
        ..TensorFile::default()
    };
    let mut names: Vec<String> = tensors.names().into_iter().map(str::to_owned).collect();
    names.sort();
    check_number(names.len())?;
    for name in names.iter().filter(|name| is_wanted(name)) {
        let view = tensors
            .tensor(name)
            .map_err(|error| format!("'{name}': {error}"))?;
        let element = element_of(view.dtype())
            .ok_or_else(|| format!("'{name}' is of type {:?}", view.dtype()))?;
        let array = Array::new(
            element,
            view.shape().to_vec(),
            Layout::default(),
            view.data().to_vec(),
        )
        .map_err(|what| format!("'{name}': {what}"))?;
        file.arrays.insert(name.clone(), array);
    }
    file.names = names;
    Ok(file)
}

/// Reads the arrays that `is_wanted` names from a `.npz` file.
///
/// # Errors
/// When the archive is broken, encrypted, packed otherwise than NumPy does, or grows more than arrays do.
pub fn parse_npz(bytes: &[u8], is_wanted: impl Fn(&str) -> bool) -> Result<TensorFile, String> {
    let broken = |error: zip::result::ZipError| format!("this is no whole .npz file: {error}");
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    check_number(archive.len())?;
    let mut left = (bytes.len() as u64)
        .saturating_mul(MOST_GROWTH)
        .clamp(FREE_GROWTH, super::files::LARGEST_FILE);
    let mut file = TensorFile::default();
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(broken)?;
        let Some(name) = entry.name().strip_suffix(".npy").map(str::to_owned) else {
            continue;
        };
        if is_wanted(&name) {
            let mut content = Vec::new();
            let read = entry
                .take(left.saturating_add(1))
                .read_to_end(&mut content)
                .map_err(|error| format!("'{name}' cannot be unpacked: {error}"))?;
            left = left.checked_sub(read as u64).ok_or_else(|| {
                format!(
                    "'{name}' unpacks to far more than arrays of numbers do; the archive is refused"
                )
            })?;
            let array = parse_npy(&content).map_err(|what| format!("'{name}': {what}"))?;
            if file.arrays.insert(name.clone(), array).is_some() {
                return Err(format!("'{name}' is there twice"));
            }
        }
        file.names.push(name);
    }
    file.names.sort();
    Ok(file)
}

fn check_number(arrays: usize) -> Result<(), String> {
    if arrays > MOST_ARRAYS {
        return Err(format!("it holds {arrays} arrays, more than {MOST_ARRAYS}"));
    }
    Ok(())
}

fn element_of(dtype: Dtype) -> Option<ElementType> {
    Some(match dtype {
        Dtype::BOOL => ElementType::Bool,
        Dtype::U8 => ElementType::U8,
        Dtype::I8 => ElementType::I8,
        Dtype::U16 => ElementType::U16,
        Dtype::I16 => ElementType::I16,
        Dtype::U32 => ElementType::U32,
        Dtype::I32 => ElementType::I32,
        Dtype::U64 => ElementType::U64,
        Dtype::I64 => ElementType::I64,
        Dtype::F16 => ElementType::F16,
        Dtype::BF16 => ElementType::BF16,
        Dtype::F32 => ElementType::F32,
        Dtype::F64 => ElementType::F64,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

    use super::*;

    fn npy(shape: &str, bytes: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
        file.extend(header.as_bytes());
        file.extend(bytes);
        file
    }

    fn npz(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in entries {
            let options =
                SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
            writer.start_file(*name, options).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn only_wanted_arrays_are_unpacked() {
        let bytes = npz(&[("a.npy", npy("(2,)", &[3, 4])), ("b.npy", b"junk".to_vec())]);
        let file = parse_npz(&bytes, |name| name == "a").unwrap();
        assert_eq!(file.arrays["a"].integer(1), Some(4));
        assert_eq!(file.names, ["a", "b"]);
        assert!(parse_npz(&bytes, |_| true).unwrap_err().contains("'b'"));
    }

    #[test]
    fn an_archive_that_grows_without_end_is_refused() {
        let zeros = vec![0; 64 << 20];
        let bytes = npz(&[("a.npy", npy("(67108864,)", &zeros))]);
        assert!(bytes.len() < 128 << 10);
        let error = parse_npz(&bytes, |_| true).unwrap_err();
        assert!(error.contains("far more"), "{error}");
    }

    #[test]
    fn cut_files_are_refused() {
        let bytes = npz(&[("a.npy", npy("(2,)", &[3, 4]))]);
        assert!(parse_npz(&bytes[..bytes.len() - 9], |_| true).is_err());
        assert!(parse_safetensors(&[8, 0, 0, 0, 0, 0, 0, 0, b'{'], |_| true).is_err());
        assert!(parse_safetensors(&[255; 16], |_| true).is_err());
    }
}
