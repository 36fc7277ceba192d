//! An array of numbers or short texts from a file, as it lies there, with every access checked.

use half::{bf16, f16};

/// What one element of an [`Array`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementType {
    /// One byte, 0 or 1.
    Bool,
    /// Unsigned, 8 bits.
    U8,
    /// Signed, 8 bits.
    I8,
    /// Unsigned, 16 bits.
    U16,
    /// Signed, 16 bits.
    I16,
    /// Unsigned, 32 bits.
    U32,
    /// Signed, 32 bits.
    I32,
    /// Unsigned, 64 bits.
    U64,
    /// Signed, 64 bits.
    I64,
    /// Half precision.
    F16,
    /// Brain float.
    BF16,
    /// Single precision.
    F32,
    /// Double precision.
    F64,
    /// A text of at most this many Unicode characters, each in 32 bits, padded with zeros.
    Text(usize),
}

impl ElementType {
    /// Bytes of one element; `None` where a text is absurdly long.
    pub(crate) fn size(self) -> Option<usize> {
        Some(match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 | Self::BF16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
            Self::Text(chars) => chars.checked_mul(4)?,
        })
    }

    fn is_integer(self) -> bool {
        !matches!(
            self,
            Self::F16 | Self::BF16 | Self::F32 | Self::F64 | Self::Text(_)
        )
    }

    fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::BF16 | Self::F32 | Self::F64)
    }
}

/// How the elements of an array follow one another in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The first axis runs fastest, as in Fortran.
    pub(crate) is_fortran: bool,
    /// The most significant byte comes first.
    pub(crate) is_big_endian: bool,
}

/// An array in C order whose bytes are exactly what its shape says.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    element: ElementType,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Array {
    /// Checks that `bytes` are an array of this shape, and puts them into C order and little-endian.
    pub(crate) fn new(
        element: ElementType,
        shape: Vec<usize>,
        layout: Layout,
        mut bytes: Vec<u8>,
    ) -> Result<Self, String> {
        let size = element.size().filter(|size| *size > 0);
        let wanted = shape
            .iter()
            .try_fold(1usize, |product, axis| product.checked_mul(*axis))
            .zip(size)
            .and_then(|(len, size)| len.checked_mul(size));
        if wanted != Some(bytes.len()) {
            return Err(format!(
                "its shape {shape:?} of {element:?} does not fit its {} bytes",
                bytes.len()
            ));
        }
        let size = size.unwrap_or(1);
        if layout.is_big_endian {
            let unit = if matches!(element, ElementType::Text(_)) {
                4
            } else {
                size
            };
            bytes.chunks_exact_mut(unit).for_each(<[u8]>::reverse);
        }
        if layout.is_fortran && shape.len() > 1 && !bytes.is_empty() {
            bytes = from_fortran(&shape, size, &bytes);
        }
        Ok(Self {
            element,
            shape,
            bytes,
        })
    }

    /// The length of each axis.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The type of the elements.
    #[must_use]
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Refuses an array of anything but integers.
    pub(crate) fn check_integers(&self) -> Result<(), String> {
        if self.element.is_integer() {
            Ok(())
        } else {
            Err(format!("is of {:?}, expected integers", self.element))
        }
    }

    /// Refuses an array of anything but floats.
    pub(crate) fn check_floats(&self) -> Result<(), String> {
        if self.element.is_float() {
            Ok(())
        } else {
            Err(format!(
                "is of {:?}, expected floating-point numbers",
                self.element
            ))
        }
    }

    /// Element `index` in C order as an integer; `None` beyond the end, in an array of other things, or above `i64`.
    #[must_use]
    pub fn integer(&self, index: usize) -> Option<i64> {
        Some(match self.element {
            ElementType::Bool | ElementType::U8 => self.one::<1>(index)?[0].into(),
            ElementType::I8 => i8::from_le_bytes(self.one(index)?).into(),
            ElementType::U16 => u16::from_le_bytes(self.one(index)?).into(),
            ElementType::I16 => i16::from_le_bytes(self.one(index)?).into(),
            ElementType::U32 => u32::from_le_bytes(self.one(index)?).into(),
            ElementType::I32 => i32::from_le_bytes(self.one(index)?).into(),
            ElementType::U64 => u64::from_le_bytes(self.one(index)?).try_into().ok()?,
            ElementType::I64 => i64::from_le_bytes(self.one(index)?),
            _ => return None,
        })
    }

    /// Element `index` in C order as a number; `None` beyond the end, or in an array of other things.
    #[must_use]
    pub fn float(&self, index: usize) -> Option<f32> {
        Some(match self.element {
            ElementType::F16 => f16::from_le_bytes(self.one(index)?).to_f32(),
            ElementType::BF16 => bf16::from_le_bytes(self.one(index)?).to_f32(),
            ElementType::F32 => f32::from_le_bytes(self.one(index)?),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "traces hold single precision"
            )]
            ElementType::F64 => f64::from_le_bytes(self.one(index)?) as f32,
            _ => return None,
        })
    }

    /// Every element as a text; `None` in an array of other things, or where one is not Unicode.
    #[must_use]
    pub fn texts(&self) -> Option<Vec<String>> {
        let ElementType::Text(chars) = self.element else {
            return None;
        };
        self.bytes
            .chunks_exact(chars.checked_mul(4)?)
            .map(|text| {
                text.chunks_exact(4)
                    .map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]]))
                    .take_while(|c| *c != 0)
                    .map(char::from_u32)
                    .collect()
            })
            .collect()
    }

    fn one<const N: usize>(&self, index: usize) -> Option<[u8; N]> {
        let start = index.checked_mul(N)?;
        self.bytes
            .get(start..start.checked_add(N)?)?
            .try_into()
            .ok()
    }
}

/// Puts elements whose first axis runs fastest into C order.
fn from_fortran(shape: &[usize], size: usize, bytes: &[u8]) -> Vec<u8> {
    // The step of each axis in the source, in elements.
    let steps: Vec<usize> = shape
        .iter()
        .scan(1, |step, axis| {
            let own = *step;
            *step *= axis;
            Some(own)
        })
        .collect();
    let mut place = vec![0usize; shape.len()];
    let mut ordered = Vec::with_capacity(bytes.len());
    while ordered.len() < bytes.len() {
        let index: usize = place.iter().zip(&steps).map(|(at, step)| at * step).sum();
        ordered.extend_from_slice(&bytes[index * size..(index + 1) * size]);
        for axis in (0..shape.len()).rev() {
            place[axis] += 1;
            if place[axis] < shape[axis] {
                break;
            }
            place[axis] = 0;
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fortran_order_and_big_endian_become_the_usual() {
        // [[0, 1, 2], [3, 4, 5]] column by column, most significant byte first.
        let bytes: Vec<u8> = [0u16, 3, 1, 4, 2, 5]
            .into_iter()
            .flat_map(u16::to_be_bytes)
            .collect();
        let layout = Layout {
            is_fortran: true,
            is_big_endian: true,
        };
        let array = Array::new(ElementType::U16, vec![2, 3], layout, bytes).unwrap();
        let found: Vec<i64> = (0..6).map(|i| array.integer(i).unwrap()).collect();
        assert_eq!(found, [0, 1, 2, 3, 4, 5]);
        assert_eq!(array.integer(6), None);
    }

    #[test]
    fn a_shape_that_overflows_is_refused() {
        let huge = vec![usize::MAX, 3];
        let error = Array::new(ElementType::F32, huge, Layout::default(), vec![0; 12]).unwrap_err();
        assert!(error.contains("does not fit its 12 bytes"), "{error}");
        assert!(
            Array::new(
                ElementType::Text(usize::MAX),
                vec![1],
                Layout::default(),
                vec![]
            )
            .is_err()
        );
    }

    #[test]
    fn kinds_of_numbers_are_not_mixed_up() {
        let floats = Array::new(
            ElementType::BF16,
            vec![1],
            Layout::default(),
            vec![0x80, 0x3f],
        )
        .unwrap();
        assert_eq!(floats.float(0), Some(1.0));
        assert_eq!(floats.integer(0), None);
        assert!(floats.check_integers().is_err());
        let large =
            Array::new(ElementType::U64, vec![1], Layout::default(), vec![0xff; 8]).unwrap();
        assert_eq!(large.integer(0), None);
    }
}
