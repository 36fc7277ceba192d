//! One record of a file, before it is a sample.

/// One record: its place and its fields in the order of the file.
#[derive(Debug)]
pub(super) struct Row {
    /// `FILE:LINE`.
    pub(super) at: String,
    /// The file's own name and the line, from which an id is made where none is given.
    pub(super) fallback_id: String,
    pub(super) fields: Vec<(String, Field)>,
}

/// What a field holds.
#[derive(Debug)]
pub(super) enum Field {
    Text(String),
    /// A number or a switch, as written: a label, but no text.
    Plain(String, &'static str),
    /// A list or an object, as JSON.
    Nested(String, &'static str),
    Missing,
}

impl Row {
    /// Takes a field out; `None` where the record has no such column.
    pub(super) fn take(&mut self, column: &str) -> Option<Field> {
        let place = self.fields.iter().position(|(name, _)| name == column)?;
        Some(std::mem::replace(&mut self.fields[place].1, Field::Missing))
    }

    /// A field as a label; `None` where there is no such column or it is empty.
    pub(super) fn label(&self, column: &str) -> Option<String> {
        let (_, field) = self.fields.iter().find(|(name, _)| name == column)?;
        field.label()
    }
}

impl Field {
    /// The field as a label; `None` where there is none or it is empty.
    fn label(&self) -> Option<String> {
        match self {
            Self::Text(text) | Self::Plain(text, _) | Self::Nested(text, _) => {
                let trimmed = text.trim();
                (!trimmed.is_empty()).then(|| trimmed.to_owned())
            }
            Self::Missing => None,
        }
    }
}
