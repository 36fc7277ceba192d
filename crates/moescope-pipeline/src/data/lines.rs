//! One JSON object a line.

use std::io::{BufRead, Read as _};

use super::{
    LONGEST_RECORD,
    collector::Collector,
    format::{FileNames, ReadError},
    json,
};

pub(super) fn read(
    mut reader: Box<dyn BufRead>,
    names: &FileNames<'_>,
    collector: &mut Collector<'_>,
    tick: &mut dyn FnMut(u64) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let mut line = Vec::new();
    for number in 1.. {
        if number % 4096 == 0 {
            tick(number)?;
        }
        line.clear();
        let most = LONGEST_RECORD as u64 + 1;
        if reader.by_ref().take(most).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.len() > LONGEST_RECORD {
            collector.bad_record(names.at(number), "the line is longer than 64 MiB");
            skip_line(reader.as_mut())?;
            continue;
        }
        let at = names.at(number);
        match std::str::from_utf8(&line) {
            Err(error) => {
                collector.bad_record(
                    at,
                    format!("the line is not UTF-8 (byte {})", error.valid_up_to() + 1),
                );
            }
            Ok(text) if text.trim().is_empty() => {}
            Ok(text) => match serde_json::from_str(text) {
                Err(error) => {
                    collector.bad_record(at, format!("broken JSON: {}", without_line(&error)));
                }
                Ok(value) => json::take(value, at, names.id(number), collector),
            },
        }
    }
    Ok(())
}

/// serde's message says "at line 1 column 5", and the line is always 1 here.
fn without_line(error: &serde_json::Error) -> String {
    error
        .to_string()
        .replace(" at line 1 column ", " at column ")
}

/// Drops the rest of a line that is too long to be kept.
fn skip_line(reader: &mut dyn BufRead) -> std::io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let (len, is_end) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(place) => (place + 1, true),
            None => (buffer.len(), false),
        };
        reader.consume(len);
        if is_end {
            return Ok(());
        }
    }
}
