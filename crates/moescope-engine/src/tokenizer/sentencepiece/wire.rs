//! The wire format of protocol buffers, as much of it as a tokenizer's file needs.
//!
//! Nothing is copied: a field's bytes stay where they are in the file.

use crate::error::EngineError;

/// What one field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field<'b> {
    /// A whole number, a truth value or a member of an enumeration.
    Varint(u64),
    /// Four bytes: a float.
    Fixed32(u32),
    /// Eight bytes; no field of a tokenizer has them.
    Fixed64,
    /// A text, bytes, or a message of its own.
    Bytes(&'b [u8]),
}

impl<'b> Field<'b> {
    pub(super) fn bytes(self) -> Result<&'b [u8], EngineError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(broken("a number stands where a text or a message belongs")),
        }
    }

    pub(super) fn float(self) -> Result<f32, EngineError> {
        match self {
            Self::Fixed32(bits) => Ok(f32::from_bits(bits)),
            _ => Err(broken("something else stands where a float belongs")),
        }
    }

    pub(super) fn integer(self) -> Result<u64, EngineError> {
        match self {
            Self::Varint(value) => Ok(value),
            _ => Err(broken("something else stands where a whole number belongs")),
        }
    }

    pub(super) fn flag(self) -> Result<bool, EngineError> {
        Ok(self.integer()? != 0)
    }
}

/// The fields of a message in their order, as number and content.
#[derive(Clone, Debug)]
pub(super) struct Fields<'b> {
    rest: &'b [u8],
}

impl<'b> Fields<'b> {
    pub(super) fn new(message: &'b [u8]) -> Self {
        Self { rest: message }
    }

    fn varint(&mut self) -> Result<u64, EngineError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self
                .rest
                .split_first()
                .ok_or_else(|| broken("it ends inside a number"))?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(broken("a number has more than 64 bits"))
    }

    fn take(&mut self, len: u64) -> Result<&'b [u8], EngineError> {
        let taken = usize::try_from(len)
            .ok()
            .and_then(|len| self.rest.split_at_checked(len));
        let (taken, rest) = taken.ok_or_else(|| {
            broken(&format!(
                "a field says that it has {len} bytes, and {} are left",
                self.rest.len()
            ))
        })?;
        self.rest = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u64, Field<'b>), EngineError> {
        let tag = self.varint()?;
        let content = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => {
                self.take(8)?;
                Field::Fixed64
            }
            2 => {
                let len = self.varint()?;
                Field::Bytes(self.take(len)?)
            }
            5 => {
                let bits = self.take(4)?.try_into().map_err(|_| broken("no float"))?;
                Field::Fixed32(u32::from_le_bytes(bits))
            }
            other => return Err(broken(&format!("a field has the wire type {other}"))),
        };
        Ok((tag >> 3, content))
    }
}

impl<'b> Iterator for Fields<'b> {
    type Item = Result<(u64, Field<'b>), EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// A file that is no tokenizer.
pub(super) fn broken(what: &str) -> EngineError {
    EngineError::Tokenizer(format!("this is no SentencePiece model: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &[u8], expected: &[(u64, Field<'_>)]) {
        let found: Vec<_> = Fields::new(message).collect::<Result<_, _>>().unwrap();
        assert_eq!(found, expected);
    }

    #[test]
    fn fields_of_every_wire_type_are_read() {
        // Examples of the protocol buffers documentation: field 1 = 150, field 2 = "testing".
        check(&[0x08, 0x96, 0x01], &[(1, Field::Varint(150))]);
        check(b"\x12\x07testing", &[(2, Field::Bytes(b"testing"))]);
        check(
            &[0x15, 0, 0, 0x80, 0x3f, 0x09, 1, 2, 3, 4, 5, 6, 7, 8],
            &[(2, Field::Fixed32(1f32.to_bits())), (1, Field::Fixed64)],
        );
    }

    #[test]
    fn broken_messages_are_refused() {
        let cases: [&[u8]; 6] = [
            &[0x80],
            &[0x08],
            &[
                0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
            ],
            &[0x12, 0x02, 0x41],
            &[0x0b],
            &[0xff; 11],
        ];
        for case in cases {
            assert!(Fields::new(case).any(|field| field.is_err()), "{case:?}");
        }
    }
}
