//! Records separated by commas or tabs, after a header.

use std::io::BufRead;

use csv::{ByteRecord, ReaderBuilder};

use super::{
    LONGEST_RECORD,
    collector::Collector,
    format::{FileNames, ReadError},
    row::{Field, Row},
};

pub(super) fn read(
    reader: Box<dyn BufRead>,
    delimiter: u8,
    names: &FileNames<'_>,
    collector: &mut Collector<'_>,
    tick: &mut dyn FnMut(u64) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .from_reader(reader);
    let header = match reader.byte_headers() {
        Ok(header) => header.clone(),
        Err(error) => return Err(io_error(error)),
    };
    let mut columns: Vec<String> = Vec::with_capacity(header.len());
    for name in &header {
        let name = String::from_utf8_lossy(name).trim().to_owned();
        if columns.contains(&name) {
            collector.bad_file(
                names.shown,
                format!("the header has the column '{name}' twice"),
            );
            return Ok(());
        }
        columns.push(name);
    }
    let mut record = ByteRecord::new();
    for number in 1.. {
        if number % 4096 == 0 {
            tick(number)?;
        }
        if !reader.read_byte_record(&mut record).map_err(io_error)? {
            break;
        }
        let line = record.position().map_or(0, csv::Position::line);
        let at = names.at(line);
        match fields(&record, &columns) {
            Ok(fields) => collector.row(Row {
                at,
                fallback_id: names.id(line),
                fields,
            }),
            Err(what) => collector.bad_record(at, what),
        }
    }
    Ok(())
}

fn fields(record: &ByteRecord, columns: &[String]) -> Result<Vec<(String, Field)>, String> {
    if record.as_slice().len() > LONGEST_RECORD {
        return Err("the record is longer than 64 MiB; is a quotation mark missing?".to_owned());
    }
    if record.len() != columns.len() {
        return Err(format!(
            "the record has {} fields, the header {}",
            record.len(),
            columns.len()
        ));
    }
    columns
        .iter()
        .zip(record)
        .map(|(name, bytes)| {
            let text = std::str::from_utf8(bytes)
                .map_err(|_| format!("the column '{name}' is not UTF-8"))?;
            Ok((name.clone(), Field::Text(text.to_owned())))
        })
        .collect()
}

fn io_error(error: csv::Error) -> ReadError {
    let text = error.to_string();
    ReadError::Io(match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        _ => std::io::Error::other(text),
    })
}
