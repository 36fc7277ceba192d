//! The `moescope capture …` line that makes the trace which the Capture view would.

use moescope_engine::{ComputeType, DeviceChoice, WeightType};
use moescope_pipeline::{DataConfig, OnBadRow, command_words::Line};
use moescope_trace::OverlongPolicy;

use super::draw_options;
use crate::{captures::beside, choices::CaptureChoice};

/// `moescope capture MODEL --data … --out … …`
pub(crate) fn capture(
    choice: &CaptureChoice,
    device: DeviceChoice,
) -> Result<String, &'static str> {
    if choice.files.is_empty() && choice.text.trim().is_empty() {
        return Err("choose the texts first");
    }
    if choice.out.as_os_str().is_empty() {
        return Err("choose the trace's folder first");
    }
    let Ok(device) = choice.device_choice(device) else {
        return Err("the device is none; write auto, cpu, gpu or gpu:N");
    };
    let mut line = Line::new("capture");
    line.word(&choice.model);
    line.device(device);
    line.word("--data");
    for file in &choice.files {
        line.path(file);
    }
    if choice.files.is_empty() {
        line.path(&beside(&choice.out));
    }
    line.option("out", &choice.out.to_string_lossy());
    column_options(&mut line, choice);
    text_options(&mut line, choice);
    recording_options(&mut line, choice);
    sampling_options(&mut line, choice);
    for spec in &choice.interventions {
        line.option("intervene", spec);
    }
    if let Some(seed) = choice.untrained_routers {
        line.option("untrained-routers", &seed.to_string());
    }
    if choice.weights != WeightType::default() {
        line.option("weights", choice.weights.name());
    }
    if choice.compute != ComputeType::default() {
        line.option("compute", choice.compute.name());
    }
    line.flags(&[(choice.resumes, "--resume")]);
    Ok(line.into_string())
}

/// Where files have texts and labels, and what becomes of bad records.
pub(super) fn column_options(line: &mut Line, choice: &CaptureChoice) {
    let DataConfig {
        columns,
        keep_columns,
        on_bad_row,
        ..
    } = choice.data();
    for (name, column) in [
        ("text-column", columns.text),
        ("discipline-column", columns.discipline),
        ("id-column", columns.id),
        ("group-column", columns.group),
        ("group-before", columns.group_before),
        ("genre-column", columns.genre),
    ] {
        if let Some(column) = column {
            line.option(name, &column);
        }
    }
    if !keep_columns.is_empty() {
        line.option("keep-columns", &keep_columns.join(","));
    }
    if on_bad_row == OnBadRow::Skip {
        line.option("on-bad-row", "skip");
    }
}

/// How much of the texts is taken, and how they become what the model reads.
fn text_options(line: &mut Line, choice: &CaptureChoice) {
    if choice.limit > 0 {
        line.option("limit", &choice.limit.to_string());
    }
    if choice.max_tokens > 0 {
        line.option("max-tokens", &choice.max_tokens.to_string());
    }
    match choice.overlong {
        OverlongPolicy::Error => {}
        OverlongPolicy::Truncate => line.option("overlong", "truncate"),
        OverlongPolicy::Chunk => line.option("overlong", "chunk"),
        OverlongPolicy::Skip => line.option("overlong", "skip"),
    }
    if choice.is_chat {
        line.word("--chat");
        if !choice.system.trim().is_empty() {
            line.option("system", &choice.system);
        }
        if !choice.chat_date.trim().is_empty() {
            line.option("chat-date", choice.chat_date.trim());
        }
    }
    line.flags(&[(choice.wraps_science_units, "--science-units")]);
}

/// What is recorded, and in how many pieces.
fn recording_options(line: &mut Line, choice: &CaptureChoice) {
    line.flags(&[
        (choice.keeps_logits, "--logits"),
        (choice.is_full_precision, "--full-precision"),
        (!choice.records_surprisal, "--no-surprisal"),
    ]);
    if !choice.layers.trim().is_empty() {
        line.option("layers", choice.layers.trim());
    }
    if choice.batch_tokens > 0 {
        line.option("batch-tokens", &choice.batch_tokens.to_string());
    }
    if choice.shard_decisions > 0 {
        line.option("shard-decisions", &choice.shard_decisions.to_string());
    }
}

/// How many tokens are generated, and how they are drawn.
fn sampling_options(line: &mut Line, choice: &CaptureChoice) {
    if choice.generate == 0 {
        return;
    }
    line.option("generate", &choice.generate.to_string());
    line.option("temperature", &choice.temperature.to_string());
    line.option("seed", &choice.seed.to_string());
    draw_options(line, choice.top_k, choice.top_p);
}

#[cfg(test)]
mod tests {
    use moescope_core::LayerId;

    use super::*;
    use crate::{
        choices::{Cell, ColumnsChoice},
        command_line::ablate,
        lives::LiveChoice,
    };

    #[test]
    fn a_capture_says_only_what_was_chosen() {
        let plain = CaptureChoice {
            files: vec!["law.jsonl".into(), "my physics.csv".into()],
            out: "trace".into(),
            ..CaptureChoice::default()
        };
        let line = |choice: &CaptureChoice| capture(choice, DeviceChoice::Auto).unwrap();
        assert_eq!(
            line(&plain),
            "moescope capture demo --data law.jsonl 'my physics.csv' --out trace"
        );
        // A seed that nothing is drawn with, and instructions of no conversation, are not said.
        let idle = CaptureChoice {
            seed: 5,
            system: "Answer briefly.".into(),
            ..plain.clone()
        };
        assert_eq!(line(&idle), line(&plain));
        let typed = CaptureChoice {
            text: "The court held".into(),
            out: "trace/".into(),
            is_chat: true,
            system: "- briefly".into(),
            device: "cpu".into(),
            ..CaptureChoice::default()
        };
        assert_eq!(
            line(&typed),
            "moescope capture demo --device cpu --data trace.texts.jsonl --out trace/ --chat --system='- briefly'"
        );
        let nowhere = CaptureChoice {
            device: "toaster".into(),
            ..typed
        };
        assert!(capture(&nowhere, DeviceChoice::Auto).is_err());
        assert!(capture(&CaptureChoice::default(), DeviceChoice::Auto).is_err());
    }

    #[test]
    fn an_ablation_reads_the_columns_of_the_capture() {
        let papers = CaptureChoice {
            files: vec!["papers.csv".into()],
            columns: ColumnsChoice {
                text: "abstract".into(),
                ..ColumnsChoice::default()
            },
            ..CaptureChoice::default()
        };
        let cell = Cell {
            layer: LayerId(3),
            expert: 5,
        };
        let line = ablate(&papers, &LiveChoice::default(), DeviceChoice::Auto, cell).unwrap();
        let expected = "--data papers.csv --text-column abstract --expert 3:5";
        assert!(line.contains(expected), "{line}");
    }
}
