//! NumPy's `.npy` (NEP 1): a magic, a header that is a Python dictionary, and the elements.

use super::array::{Array, ElementType, Layout};

const MAGIC: &[u8] = b"\x93NUMPY";
/// Headers of plain arrays have about a hundred bytes.
const LONGEST_HEADER: usize = 64 << 10;
/// NumPy's own limit is 64 axes; no routing has more than four.
const MOST_AXES: usize = 8;

/// Reads an array from the bytes of a `.npy` file.
///
/// # Errors
/// When the bytes are not such a file, hold Python objects or records, or are fewer or more than the header says.
pub fn parse_npy(bytes: &[u8]) -> Result<Array, String> {
    let rest = bytes
        .strip_prefix(MAGIC)
        .ok_or("this is no .npy file: it does not begin with \\x93NUMPY")?;
    let (version, rest) = rest.split_first_chunk::<2>().ok_or(CUT)?;
    let (len, rest) = match version[0] {
        1 => {
            let (len, rest) = rest.split_first_chunk::<2>().ok_or(CUT)?;
            (usize::from(u16::from_le_bytes(*len)), rest)
        }
        2 | 3 => {
            let (len, rest) = rest.split_first_chunk::<4>().ok_or(CUT)?;
            (
                usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX),
                rest,
            )
        }
        other => return Err(format!("its .npy version is {other}, known are 1 to 3")),
    };
    if len > LONGEST_HEADER {
        return Err(format!(
            "its header claims {len} bytes, more than {LONGEST_HEADER}"
        ));
    }
    let (header, data) = rest.split_at_checked(len).ok_or(CUT)?;
    let header = std::str::from_utf8(header).map_err(|_| "its header is not text")?;
    let header = Header::parse(header)?;
    Array::new(header.element, header.shape, header.layout, data.to_vec())
}

const CUT: &str = "the .npy file ends within its header";

struct Header {
    element: ElementType,
    layout: Layout,
    shape: Vec<usize>,
}

impl Header {
    /// Reads the dictionary with its three keys; nothing else of Python's syntax is known.
    fn parse(text: &str) -> Result<Self, String> {
        let broken = || {
            let shown: String = text.trim().chars().take(120).collect();
            format!("its .npy header is not understood: {shown}")
        };
        let mut rest = text.trim().strip_prefix('{').ok_or_else(broken)?;
        let (mut descr, mut is_fortran, mut shape) = (None, None, None);
        loop {
            rest = rest.trim_start();
            if let Some(end) = rest.strip_prefix('}') {
                if !end.trim().is_empty() {
                    return Err(broken());
                }
                break;
            }
            let (key, after) = quoted(rest).ok_or_else(broken)?;
            let value = after
                .trim_start()
                .strip_prefix(':')
                .ok_or_else(broken)?
                .trim_start();
            rest = match key {
                "descr" if value.starts_with('[') => {
                    return Err(
                        "it holds records of several fields; save each array on its own".to_owned(),
                    );
                }
                "descr" => {
                    let (name, after) = quoted(value).ok_or_else(broken)?;
                    descr = Some(name);
                    after
                }
                "fortran_order" => {
                    let (flag, after) = boolean(value).ok_or_else(broken)?;
                    is_fortran = Some(flag);
                    after
                }
                "shape" => {
                    let (axes, after) = tuple(value).ok_or_else(broken)?;
                    shape = Some(axes);
                    after
                }
                _ => return Err(broken()),
            }
            .trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        let (element, is_big_endian) = element(descr.ok_or_else(broken)?)?;
        Ok(Self {
            element,
            layout: Layout {
                is_fortran: is_fortran.ok_or_else(broken)?,
                is_big_endian,
            },
            shape: shape.ok_or_else(broken)?,
        })
    }
}

fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| *c == '\'' || *c == '"')?;
    text[1..].split_once(quote)
}

fn boolean(text: &str) -> Option<(bool, &str)> {
    text.strip_prefix("True")
        .map(|rest| (true, rest))
        .or_else(|| text.strip_prefix("False").map(|rest| (false, rest)))
}

fn tuple(text: &str) -> Option<(Vec<usize>, &str)> {
    let (inside, rest) = text.strip_prefix('(')?.split_once(')')?;
    let axes: Vec<usize> = inside
        .split(',')
        .map(str::trim)
        .filter(|axis| !axis.is_empty())
        .map(|axis| axis.parse().ok())
        .collect::<Option<_>>()?;
    (axes.len() <= MOST_AXES).then_some((axes, rest))
}

/// The element that a type string such as `<f4` names, and whether its bytes are swapped.
fn element(descr: &str) -> Result<(ElementType, bool), String> {
    let unknown = || {
        format!(
            "its elements are of type '{}'; known are booleans, integers, floats, bfloat16 and texts",
            descr.chars().take(20).collect::<String>()
        )
    };
    let order = descr.chars().next().ok_or_else(unknown)?;
    let is_big_endian = match order {
        '<' | '|' | '=' => false,
        '>' => true,
        _ => return Err(unknown()),
    };
    let element = match &descr[1..] {
        "b1" => ElementType::Bool,
        "u1" => ElementType::U8,
        "i1" => ElementType::I8,
        "u2" => ElementType::U16,
        "i2" => ElementType::I16,
        "u4" => ElementType::U32,
        "i4" => ElementType::I32,
        "u8" => ElementType::U64,
        "i8" => ElementType::I64,
        "f2" => ElementType::F16,
        // NumPy has no bfloat16; the package ml_dtypes, which frameworks bring, saves one as two bytes without a type.
        "V2" => ElementType::BF16,
        "f4" => ElementType::F32,
        "f8" => ElementType::F64,
        "O" => {
            return Err(
                "it holds pickled Python objects, which are never loaded; save arrays of numbers"
                    .to_owned(),
            );
        }
        other => match other.strip_prefix('U').map(str::parse) {
            Some(Ok(chars @ 1..)) => ElementType::Text(chars),
            _ => return Err(unknown()),
        },
    };
    Ok((element, is_big_endian))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = [MAGIC, &[version, 0]].concat();
        if version == 1 {
            bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
        } else {
            bytes.extend(u32::try_from(header.len()).unwrap().to_le_bytes());
        }
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[track_caller]
    fn refused(bytes: &[u8], word: &str) {
        let error = parse_npy(bytes).unwrap_err();
        assert!(error.contains(word), "{error}");
    }

    #[test]
    fn every_version_is_read() {
        let header = "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 1), }  \n";
        for version in 1..=3 {
            let array = parse_npy(&file(version, header, &[7, 0, 255, 255])).unwrap();
            assert_eq!(array.shape(), [2, 1]);
            assert_eq!((array.integer(0), array.integer(1)), (Some(7), Some(-1)));
        }
    }

    #[test]
    fn what_is_not_a_plain_array_is_refused() {
        let plain = |descr: &str, shape: &str| {
            format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}")
        };
        refused(b"PK\x03\x04", "no .npy file");
        refused(&file(1, &plain("'|O'", "(1,)"), &[0; 8]), "pickled");
        refused(
            &file(1, &plain("[('a', '<i4')]", "(1,)"), &[0; 4]),
            "records",
        );
        refused(&file(1, &plain("'<c8'", "(1,)"), &[0; 8]), "'<c8'");
        refused(&file(1, &plain("'<f4'", "(3,)"), &[0; 8]), "does not fit");
        refused(
            &file(1, &plain("'<f4'", "(99999999999, 99999999999)"), &[]),
            "does not fit",
        );
        // Texts of no characters would take no byte, however many there are.
        refused(&file(1, &plain("'<U0'", "(99999999999,)"), &[]), "'<U0'");
        refused(&file(1, &plain("'<f4'", "(-1,)"), &[]), "not understood");
        refused(&file(1, "{'shape': (1,)}", &[0]), "not understood");
        refused(&file(1, "{'descr': é", &[0]), "not understood");
        refused(&file(4, "", &[]), "version is 4");
        let mut long = file(2, "", &[]);
        long[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        refused(&long, "header claims");
        let cut = file(1, &plain("'<f4'", "(1,)"), &[]);
        refused(&cut[..20], "ends within");
    }
}
