//! The whole line on the embedded model and prompt sets: capture, validate, measure, draw, say what was found.

mod kept_trace;
mod prompt_sets;

use std::{
    fs,
    path::{Path, PathBuf},
};

use moescope_analytics::{MeasureRequest, TraceData, long_table};
use moescope_core::{AxisKind, Measurement, Progress};
use moescope_engine::{ComputeDevice, DeviceChoice, LoadOptions, WeightType};
use moescope_figures::{FigureOptions, Format};
use moescope_trace::validate;

pub use kept_trace::kept_trace;
pub use prompt_sets::{HELD_OUT_TOLD, held_out_for};

use prompt_sets::PROMPT_SETS;

use crate::{
    capture::{CaptureConfig, CaptureOutcome, CapturePlan},
    data::DataConfig,
    error::PipelineError,
    figure::{FigureJob, write_figure},
    findings::{Finding, Findings, findings},
    model::{DEMO, ModelFiles, ModelFolder, check_memory},
};

/// What a demo run left behind.
#[derive(Clone, Debug)]
pub struct DemoOutcome {
    /// The dataset.
    pub trace: PathBuf,
    /// The figures, SVG first, then PDF.
    pub figures: Vec<PathBuf>,
    /// Every measured number, as one table.
    pub measurements: PathBuf,
    /// What was found.
    pub findings: Vec<Finding>,
    /// Samples, tokens and decisions in the trace.
    pub counts: [u64; 3],
    /// The device, and why it was chosen.
    pub device: String,
}

/// Runs the demo into a new folder.
///
/// # Errors
/// When the folder holds something, any step fails, the trace is found invalid, or `progress` cancels.
pub fn run(
    out: &Path,
    choice: DeviceChoice,
    progress: &dyn Progress,
) -> Result<DemoOutcome, PipelineError> {
    let prompts = write_prompts(out)?;
    let device = ComputeDevice::open(choice)?;
    let told = format!("{} ({}; {})", device.kind, device.name, device.reason);
    let captured = capture(prompts, out.join("trace"), device, progress)?;

    let report = validate(&captured.path, progress)?;
    if !report.is_valid() {
        return Err(PipelineError::Settings(format!(
            "the captured trace is invalid, which is an error of moescope; please report it: {report:?}"
        )));
    }

    let data = TraceData::open(&captured.path)?;
    let request = MeasureRequest::default();
    let found = findings(&data, &request, progress)?;
    let measurements = out.join("measurements.csv");
    let mut csv = Vec::new();
    long_table(&found.measurements).write_csv(&mut csv)?;
    fs::write(&measurements, csv)
        .map_err(|source| PipelineError::io("write the table", &measurements, source))?;
    let figures = draw(&data, &request, &found, &out.join("figures"), progress)?;

    let counts = &captured.manifest.counts;
    Ok(DemoOutcome {
        trace: captured.path,
        figures,
        measurements,
        findings: found.findings,
        counts: [counts.samples, counts.tokens, counts.decisions],
        device: told,
    })
}

/// Runs the prompt sets through the embedded model.
fn capture(
    prompts: Vec<PathBuf>,
    out: PathBuf,
    device: ComputeDevice,
    progress: &dyn Progress,
) -> Result<CaptureOutcome, PipelineError> {
    let files = ModelFiles::open(ModelFolder::find(DEMO, None)?)?;
    let config = CaptureConfig {
        data: DataConfig {
            files: prompts,
            ..DataConfig::default()
        },
        out,
        ..CaptureConfig::default()
    };
    let plan = CapturePlan::new(config, &files, device.kind, progress)?;
    // A model of 21 MB is never too slow for its memory, but the memory may be taken.
    check_memory(
        &files.checkpoint,
        &device,
        WeightType::Stored,
        &plan.pass_size(),
    )?;
    let loaded = files.load(device, LoadOptions::default(), progress)?;
    plan.run(&loaded, progress)
}

/// Puts the prompt sets where the user can read and change them.
fn write_prompts(out: &Path) -> Result<Vec<PathBuf>, PipelineError> {
    if fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(PipelineError::Settings(format!(
            "the demo writes into a new folder, and this one holds something; choose another with --out: {}",
            out.display()
        )));
    }
    let folder = out.join("prompts");
    fs::create_dir_all(&folder)
        .map_err(|source| PipelineError::io("make the folder", &folder, source))?;
    PROMPT_SETS
        .iter()
        .map(|file| {
            let path = folder.join(file.name);
            fs::write(&path, file.text)
                .map_err(|source| PipelineError::io("write the prompts", &path, source))?;
            Ok(path)
        })
        .collect()
}

/// Four figures: what differs, which experts, which documents are alike, at which layers.
fn draw(
    data: &TraceData,
    request: &MeasureRequest,
    found: &Findings,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<Vec<PathBuf>, PipelineError> {
    fs::create_dir_all(folder)
        .map_err(|source| PipelineError::io("make the folder", folder, source))?;
    let layer = found.of("mutual_information").and_then(strongest_layer);
    let plain = FigureOptions::default();
    let jobs = [
        (
            "protein_minus_law",
            "layer_expert_heatmap",
            FigureOptions {
                title: Some("Which experts proteins use more than law does".to_owned()),
                group: Some("protein".to_owned()),
                group_b: Some("law".to_owned()),
                ..plain.clone()
            },
        ),
        (
            "disciplines_by_expert",
            "group_expert_heatmap",
            FigureOptions {
                layer,
                ..plain.clone()
            },
        ),
        (
            "fingerprint_map",
            "fingerprint_map",
            FigureOptions {
                variant: Some("t-SNE".to_owned()),
                centroids: true,
                ..plain.clone()
            },
        ),
        (
            "dependence_by_layer",
            "layer_series",
            FigureOptions {
                width_mm: 140.0,
                ..plain
            },
        ),
    ];
    let mut written = Vec::new();
    for (done, (name, kind, options)) in jobs.into_iter().enumerate() {
        progress.report(done as u64, 4, &format!("drawing {name}"))?;
        let job = FigureJob {
            kind: kind.to_owned(),
            metric: None,
            request: request.clone(),
            options,
        };
        let (svg, measurement) = job.draw(data, progress)?;
        for format in [Format::Svg, Format::Pdf] {
            let path = folder.join(format!("{name}.{}", format.extension()));
            write_figure(&svg, format, &path, &measurement, &job.options)?;
            written.push(path);
        }
    }
    progress.report(4, 4, "drawn")?;
    Ok(written)
}

/// The layer where the label tells most about the expert.
fn strongest_layer(mi: &Measurement) -> Option<u16> {
    let (_, layers) = mi.axis(AxisKind::Layer)?;
    let variants = mi.axis(AxisKind::Variant).map_or(1, |(_, axis)| axis.len());
    let best = (0..layers.len())
        .max_by(|a, b| mi.values[a * variants].total_cmp(&mi.values[b * variants]))?;
    layers.labels[best].parse().ok()
}
