//! Claims about whole traces.

mod damage;
mod merging;
mod planted;
mod python;
mod resume;
mod round_trip;
mod running;

use std::path::Path;

use moescope_core::NoProgress;

use crate::{Document, RoutingTrace, ValidationReport, ViolationKind, validate};

/// Every document of a trace, in order.
fn documents(path: &Path, samples: u32) -> Vec<Document> {
    let trace = RoutingTrace::open(path).unwrap();
    (0..samples)
        .map(|sample| trace.document(&format!("doc-{sample}")).unwrap())
        .collect()
}

fn report(path: &Path) -> ValidationReport {
    validate(path, &NoProgress).unwrap()
}

/// The kinds of violations that a trace has, sorted.
fn kinds(path: &Path) -> Vec<ViolationKind> {
    let mut kinds: Vec<_> = report(path).violations.iter().map(|v| v.kind).collect();
    kinds.sort();
    kinds
}
