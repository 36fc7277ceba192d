//! Rows of `tokens`.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Float32Array, RecordBatch, StringArray, UInt32Array,
    types::{Float32Type, UInt32Type},
};
use moescope_core::{Phase, Role, TokenRow};
use parquet::errors::ParquetError;

use super::{batch, boolean, booleans, number, numbers, string, strings};
use crate::schema::{self, Table};

const PHASES: [Phase; 2] = [Phase::Prefill, Phase::Decode];
const ROLES: [Role; 4] = [Role::Document, Role::System, Role::User, Role::Assistant];

/// The tokens of one document.
pub(crate) fn to_batch(sample: u32, tokens: &[TokenRow], keeps_text: bool) -> RecordBatch {
    fn column<T, A: FromIterator<T> + arrow_array::Array + 'static>(
        tokens: &[TokenRow],
        value: impl Fn(&TokenRow) -> T,
    ) -> ArrayRef {
        Arc::new(tokens.iter().map(value).collect::<A>())
    }
    let columns = vec![
        Arc::new(UInt32Array::from_value(sample, tokens.len())) as ArrayRef,
        column::<_, UInt32Array>(tokens, |t| Some(t.position)),
        column::<_, UInt32Array>(tokens, |t| t.token_id),
        Arc::new(
            tokens
                .iter()
                .map(|t| t.text.as_deref().filter(|_| keeps_text))
                .collect::<StringArray>(),
        ),
        column::<_, UInt32Array>(tokens, |t| t.byte_start),
        column::<_, UInt32Array>(tokens, |t| t.byte_end),
        column::<_, StringArray>(tokens, |t| t.phase.map(Phase::as_str)),
        column::<_, StringArray>(tokens, |t| t.role.map(Role::as_str)),
        column::<_, BooleanArray>(tokens, |t| t.is_special),
        column::<_, BooleanArray>(tokens, |t| t.is_template),
        column::<_, BooleanArray>(tokens, |t| Some(t.is_routed)),
        column::<_, Float32Array>(tokens, |t| t.surprisal),
        column::<_, UInt32Array>(tokens, |t| t.predicted_id),
    ];
    batch(Table::Tokens, &[], columns)
}

/// The tokens of a batch, whatever documents they belong to.
pub(crate) fn from_batch(batch: &RecordBatch) -> Result<Vec<TokenRow>, ParquetError> {
    let position = numbers::<UInt32Type>(batch, schema::POSITION)?;
    let token_id = numbers::<UInt32Type>(batch, schema::TOKEN_ID)?;
    let byte_start = numbers::<UInt32Type>(batch, schema::BYTE_START)?;
    let byte_end = numbers::<UInt32Type>(batch, schema::BYTE_END)?;
    let predicted_id = numbers::<UInt32Type>(batch, schema::PREDICTED_ID)?;
    let surprisal = numbers::<Float32Type>(batch, schema::SURPRISAL)?;
    let text = strings(batch, schema::TEXT)?;
    let phase = strings(batch, schema::PHASE)?;
    let role = strings(batch, schema::ROLE)?;
    let is_special = booleans(batch, schema::IS_SPECIAL)?;
    let is_template = booleans(batch, schema::IS_TEMPLATE)?;
    let is_routed = booleans(batch, schema::IS_ROUTED)?;
    (0..batch.num_rows())
        .map(|row| {
            Ok(TokenRow {
                position: position.value(row),
                token_id: number(token_id, row),
                text: string(text, row),
                byte_start: number(byte_start, row),
                byte_end: number(byte_end, row),
                phase: string(phase, row).map(|name| phase_of(&name)).transpose()?,
                role: string(role, row).map(|name| role_of(&name)).transpose()?,
                is_special: boolean(is_special, row),
                is_template: boolean(is_template, row),
                is_routed: is_routed.value(row),
                surprisal: number(surprisal, row),
                predicted_id: number(predicted_id, row),
            })
        })
        .collect()
}

pub(crate) fn phase_of(name: &str) -> Result<Phase, ParquetError> {
    PHASES
        .into_iter()
        .find(|phase| phase.as_str() == name)
        .ok_or_else(|| unknown("phase", name))
}

fn role_of(name: &str) -> Result<Role, ParquetError> {
    ROLES
        .into_iter()
        .find(|role| role.as_str() == name)
        .ok_or_else(|| unknown("role", name))
}

fn unknown(kind: &str, name: &str) -> ParquetError {
    let shown: String = name.chars().take(40).collect();
    ParquetError::General(format!("'{shown}' is not a {kind}"))
}
