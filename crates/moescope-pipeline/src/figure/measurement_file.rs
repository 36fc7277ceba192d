//! Measurements as a file, so that a figure can be drawn again of which no trace tells.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use moescope_core::Measurement;
use serde::{Deserialize, Serialize};

use crate::{error::PipelineError, sizes};

/// A larger file is neither written nor read: a stranger's could ask for a multiple of it in memory.
const LARGEST: u64 = 64 << 20;
/// A measurement of more values is not drawn.
const MOST_VALUES: usize = 4 << 20;
/// A longer label is no name.
const LONGEST_LABEL: usize = 4096;
/// No quantity is larger, and the scale of a figure could not be computed with numbers at the end of their type.
const LARGEST_NUMBER: f64 = 1e100;
/// The form that this program writes and reads.
const VERSION: u32 = 1;
/// What would help where a file is something else.
const HELP: &str = "`moescope measure TRACE METRIC --format measurements --out FILE.json` writes such a file, and so \
                    does the app beside a figure";

/// Its beginning alone, so that a later form is told from a damaged file.
#[derive(Deserialize)]
struct Head {
    moescope_measurements: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    #[serde(rename = "moescope_measurements")]
    _version: u32,
    measurements: Vec<Measurement>,
}

#[derive(Serialize)]
struct Written<'a> {
    moescope_measurements: u32,
    measurements: &'a [Measurement],
}

/// Measurements as [`read_measurements`] reads them: one JSON object with all of their tables, intervals, nulls and
/// protocols. What is not defined is `null`. Whatever is written can be read.
///
/// # Errors
/// When there is no measurement, when one does not fit together or could be shown by no figure, when a number is infinite,
/// for which JSON has no word, or when the text is larger than what is read.
pub fn measurements_to_json(measurements: &[Measurement]) -> Result<String, PipelineError> {
    if measurements.is_empty() {
        return Err(PipelineError::Settings(
            "cannot write a file of measurements: there is none".to_owned(),
        ));
    }
    for measurement in measurements {
        measurement.check()?;
        let refuse = |reason: &str| {
            Err(PipelineError::Settings(format!(
                "cannot write '{}' as JSON: {reason}; write CSV",
                measurement.title
            )))
        };
        if has_no_word(measurement) {
            return refuse(
                "one of its numbers is infinite, or undefined where JSON would say absent",
            );
        }
        if let Err(reason) = check(measurement) {
            return refuse(&reason);
        }
    }
    let written = Written {
        moescope_measurements: VERSION,
        measurements,
    };
    let mut json = serde_json::to_string(&written).map_err(|error| {
        PipelineError::Settings(format!("cannot write the measurements as JSON: {error}"))
    })?;
    json.push('\n');
    if json.len() as u64 > LARGEST {
        return Err(PipelineError::Settings(format!(
            "the measurements take {} as JSON, and {} are the most; choose fewer layers or labels, or write CSV",
            sizes::bytes(json.len() as u64),
            sizes::bytes(LARGEST)
        )));
    }
    Ok(json)
}

/// Reads the measurements of a file, which need not be one of ours.
///
/// # Errors
/// When the file cannot be read or is too large, is no file of measurements or one of another version, or holds a
/// measurement whose parts do not fit together or that no figure could show.
pub fn read_measurements(path: &Path) -> Result<Vec<Measurement>, PipelineError> {
    let text =
        bounded(path).map_err(|source| PipelineError::io("read the measurements", path, source))?;
    parse(&text).map_err(|reason| PipelineError::Settings(format!("{reason}: {}", path.display())))
}

fn bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(LARGEST + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        let most = sizes::bytes(LARGEST);
        return Err(io::Error::other(format!("it has more than {most}")));
    }
    Ok(text)
}

/// What a text holds, or what is wrong with it.
fn parse(text: &str) -> Result<Vec<Measurement>, String> {
    let head: Head = serde_json::from_str(text)
        .map_err(|error| format!("this is no file of measurements ({error}); {HELP}"))?;
    let version = head.moescope_measurements;
    if version != VERSION {
        return Err(format!(
            "the measurements have form {version}, and this program reads form {VERSION}; draw them with the program \
             that wrote them"
        ));
    }
    let content: Content = serde_json::from_str(text)
        .map_err(|error| format!("cannot read the measurements: {error}; {HELP}"))?;
    if content.measurements.is_empty() {
        return Err(format!("the file holds no measurement; {HELP}"));
    }
    for measurement in &content.measurements {
        check(measurement)?;
    }
    Ok(content.measurements)
}

/// Refuses what no figure could show.
fn check(measurement: &Measurement) -> Result<(), String> {
    measurement.check().map_err(|error| error.to_string())?;
    let refuse = |reason: String| {
        Err(format!(
            "measurement '{}' cannot be drawn: {reason}",
            measurement.metric
        ))
    };
    if measurement.values.len() > MOST_VALUES {
        return refuse(format!(
            "it has {} values, and figures show up to {MOST_VALUES}",
            measurement.values.len()
        ));
    }
    let mut kinds = HashSet::new();
    for axis in &measurement.axes {
        if axis.is_empty() {
            return refuse(format!("its axis {:?} has no label", axis.kind));
        }
        if !kinds.insert(axis.kind) {
            return refuse(format!("it has two axes {:?}", axis.kind));
        }
        let labels = axis.labels.iter().chain(axis.classes.iter().flatten());
        if let Some(longest) = labels.map(String::len).max().filter(|n| *n > LONGEST_LABEL) {
            return refuse(format!(
                "its axis {:?} has a label of {longest} bytes, and {LONGEST_LABEL} are the most",
                axis.kind
            ));
        }
    }
    if let Some(number) = numbers(measurement).find(|number| number.abs() > LARGEST_NUMBER) {
        return refuse(format!(
            "it has the number {number:e}, and {LARGEST_NUMBER:e} is the largest"
        ));
    }
    Ok(())
}

/// The place of the measurement that is called so, or that has this number, counted from 1.
///
/// # Errors
/// When there is none, or several are called so; all of them are listed.
pub(super) fn place_of_table(
    measurements: &[Measurement],
    table: &str,
) -> Result<usize, PipelineError> {
    let titled = measurements.iter().enumerate();
    let mut titled = titled.filter(|(_, measurement)| measurement.title == table);
    let number = || table.parse::<usize>().ok()?.checked_sub(1);
    match (titled.next(), titled.next()) {
        (Some((place, _)), None) => return Ok(place),
        (None, _) => {
            if let Some(place) = number().filter(|place| *place < measurements.len()) {
                return Ok(place);
            }
        }
        (Some(_), Some(_)) => {}
    }
    let all: Vec<String> = (1..)
        .zip(measurements)
        .map(|(number, measurement)| format!("{number} {}", measurement.title))
        .collect();
    Err(PipelineError::Settings(format!(
        "no one measurement is called '{table}'; name one by its number: {}",
        all.join(", ")
    )))
}

/// Whether a number is infinite, or one that may be absent is NaN, which would be read as absent.
fn has_no_word(measurement: &Measurement) -> bool {
    numbers(measurement).any(f64::is_infinite) || optional_numbers(measurement).any(f64::is_nan)
}

/// Every number of a measurement.
fn numbers(measurement: &Measurement) -> impl Iterator<Item = f64> + '_ {
    let intervals = measurement.intervals.iter().flatten().flatten();
    let ends = intervals.flat_map(|interval| [interval.low, interval.high]);
    let nulls = measurement.nulls.iter().flatten().flatten();
    let comparisons = nulls.flat_map(|null| [null.null_mean, null.p]);
    let values = measurement.values.iter().copied();
    let optional = optional_numbers(measurement);
    values.chain(ends).chain(comparisons).chain(optional)
}

/// Those that may be absent.
fn optional_numbers(measurement: &Measurement) -> impl Iterator<Item = f64> + '_ {
    let nulls = measurement.nulls.iter().flatten().flatten();
    let corrected = nulls.filter_map(|null| null.p_corrected);
    let own = [measurement.reference, measurement.protocol.level];
    own.into_iter().flatten().chain(corrected)
}

#[cfg(test)]
mod tests {
    use moescope_core::{Axis, AxisKind, Interval, Protocol};

    use super::*;

    fn measurement(title: &str) -> Measurement {
        let labels = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Measurement {
            metric: "assignment_share".into(),
            title: title.into(),
            unit: "share of assignments".into(),
            axes: vec![
                Axis::new(AxisKind::Layer, labels(&["0", "3"])),
                Axis::new(AxisKind::Expert, labels(&["0", "1"])),
            ],
            // No short decimal number is any of these.
            values: vec![0.1 + 0.2, 1.0 / 3.0, 5e-324, f64::NAN],
            intervals: Some(vec![
                Some(Interval {
                    low: 0.1,
                    high: 2.0 / 3.0,
                }),
                None,
                None,
                None,
            ]),
            nulls: None,
            reference: Some(0.5),
            protocol: Protocol {
                notes: vec!["a \"note\"\nin two lines".into()],
                ..Protocol::default()
            },
        }
    }

    /// No figure could show it.
    fn without_labels() -> Measurement {
        Measurement {
            axes: vec![Axis::new(AxisKind::Layer, Vec::new())],
            values: Vec::new(),
            intervals: None,
            ..measurement("empty")
        }
    }

    /// What a program without our checks would write.
    fn unchecked(measurements: &[Measurement]) -> String {
        let written = Written {
            moescope_measurements: VERSION,
            measurements,
        };
        serde_json::to_string(&written).unwrap()
    }

    fn refused(json: &str, wanted: &str) {
        let error = parse(json).unwrap_err();
        assert!(error.contains(wanted), "{error}");
    }

    #[test]
    fn every_bit_of_a_measurement_is_read_back() {
        let written = [measurement("a"), measurement("b")];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("two.json");
        let json = measurements_to_json(&written).unwrap();
        std::fs::write(&path, &json).unwrap();
        let read = read_measurements(&path).unwrap();
        assert_eq!(read.len(), 2);
        let bits = |all: &[f64]| -> Vec<u64> { all.iter().map(|n| n.to_bits()).collect() };
        assert_eq!(bits(&read[0].values[..3]), bits(&written[0].values[..3]));
        assert!(read[0].values[3].is_nan());
        assert_eq!(read[1].intervals, written[1].intervals);
        assert_eq!(read[1].protocol, written[1].protocol);
        assert_eq!(measurements_to_json(&read).unwrap(), json);
    }

    #[test]
    fn files_of_strangers_are_refused_with_a_reason() {
        let json = measurements_to_json(&[measurement("a")]).unwrap();
        let changed = |from: &str, to: &str| {
            assert!(json.contains(from), "{json}");
            json.replace(from, to)
        };
        refused("[1, 2]", "no file of measurements");
        refused("{\"metric\": \"x\", \"value\": 1}", "--format measurements");
        refused(
            &changed("_measurements\":1", "_measurements\":2"),
            "form 2, and this program reads form 1",
        );
        refused(&changed("5e-324,", ""), "promise 4 values, found 3");
        refused(&changed("\"unit\"", "\"units\""), "unit");
        refused(&changed("\"expert\"", "\"layer\""), "two axes Layer");
        refused(&changed("\"expert\"", "\"colour\""), "colour");
        refused(&unchecked(&[without_labels()]), "axis Layer has no label");
        refused(&unchecked(&[]), "holds no measurement");
        refused(&changed("5e-324", "-1e300"), "1e100 is the largest");
        let long = "x".repeat(LONGEST_LABEL + 1);
        refused(&changed("\"3\"", &format!("\"{long}\"")), "4097 bytes");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bytes.json");
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        let error = read_measurements(&path).unwrap_err().to_string();
        assert!(error.contains("cannot read the measurements"), "{error}");
        assert!(error.ends_with("bytes.json"), "{error}");
    }

    #[test]
    fn what_json_has_no_word_for_is_not_written() {
        let infinite = Measurement {
            values: vec![f64::INFINITY; 4],
            ..measurement("a")
        };
        let error = measurements_to_json(&[infinite]).unwrap_err().to_string();
        assert!(error.contains("infinite"), "{error}");
    }

    #[test]
    fn what_the_reader_refuses_is_not_written() {
        let doubled = Measurement {
            axes: vec![
                Axis::new(AxisKind::Layer, vec!["0".into(), "3".into()]),
                Axis::new(AxisKind::Layer, vec!["0".into(), "1".into()]),
            ],
            ..measurement("doubled")
        };
        let long = Measurement {
            axes: vec![
                Axis::new(AxisKind::Layer, vec!["0".into(), "3".into()]),
                Axis::new(
                    AxisKind::Expert,
                    vec!["0".into(), "x".repeat(LONGEST_LABEL + 1)],
                ),
            ],
            ..measurement("long")
        };
        let large = Measurement {
            values: vec![0.0, 1e101, 0.0, 0.0],
            ..measurement("large")
        };
        let cases = [
            (without_labels(), "axis Layer has no label"),
            (doubled, "two axes Layer"),
            (long, "4097 bytes"),
            (large, "1e100 is the largest"),
        ];
        for (bad, reason) in cases {
            let several = [measurement("good"), bad];
            refused(&unchecked(&several), reason);
            let error = measurements_to_json(&several).unwrap_err().to_string();
            let named = format!("'{}'", several[1].title);
            assert!(error.contains(&named) && error.contains(reason), "{error}");
        }
        let error = measurements_to_json(&[]).unwrap_err().to_string();
        assert!(error.contains("there is none"), "{error}");
    }

    #[test]
    fn one_of_several_is_named_by_its_title_or_its_number() {
        let several = [measurement("share"), measurement("2"), measurement("share")];
        let place = |table: &str| place_of_table(&several, table);
        assert_eq!(place("2").unwrap(), 1, "a title goes before a number");
        assert_eq!(place("3").unwrap(), 2);
        for unknown in ["share", "0", "4", "load"] {
            let error = place(unknown).unwrap_err().to_string();
            assert!(error.contains("1 share, 2 2, 3 share"), "{error}");
        }
    }
}
