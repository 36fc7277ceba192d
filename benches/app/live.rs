//! A conversation of 32,000 tokens that goes on: a token a frame.

use std::time::Duration;

use egui::Context;
use moescope_app::{
    App, AppConfig, Command, LiveChoice, PictureChoice, SettingsPlace, ThemeChoice, TraceAbout,
};
use moescope_core::{DecisionBatch, LayerId, Phase};
use moescope_engine::SamplingConfig;
use moescope_pipeline::session::{
    BranchId, BranchInfo, BranchState, LiveColumns, LiveToken, SessionEvent, Transcript,
};

use super::{EXPERTS, FRAMES, Failure, LAYERS, frame, model, pointer, report, trace};

const TOKENS: u32 = 32_000;
const TOP_K: u32 = 8;

/// The 95th percentiles of frames in which a token comes: with the picture of the reply, and with one of many single tokens.
pub(super) fn measure() -> Result<[Duration; 2], Failure> {
    let last = LiveChoice {
        picture: PictureChoice::Last,
        last: 4096,
        ..LiveChoice::default()
    };
    Ok([
        measure_with(LiveChoice::default(), "32,000 tokens and one a frame")?,
        measure_with(last, "the same with the picture of the last 4,096")?,
    ])
}

fn measure_with(choice: LiveChoice, what: &str) -> Result<Duration, Failure> {
    let ctx = Context::default();
    let config = AppConfig {
        theme: Some(ThemeChoice::Dark),
        settings: SettingsPlace::None,
        starts_empty: true,
        ..AppConfig::default()
    };
    let mut app = App::new(&ctx, config)?;
    // Its labels are what the reply is held against.
    app.insert_trace("labels".into(), TraceAbout::default(), trace()?);
    app.follow_generation(Transcript::new(&model()));
    let branch = BranchId(0);
    app.tell_generation(SessionEvent::Opened {
        info: BranchInfo {
            id: branch,
            parent: None,
            prompt: "A long conversation".into(),
            is_chat: false,
            system: None,
            is_plain: true,
            messages: Vec::new(),
            sampling: SamplingConfig::default(),
            interventions: Vec::new(),
        },
        copied: 0,
        reply: String::new(),
    });
    app.tell_generation(tokens(branch, 0, TOKENS));
    app.commands().send(Command::ChooseLive(Box::new(choice)));
    app.commands().send(Command::OpenView("live"));
    let mut clock = 0.0;
    let mut idle = 0;
    while idle < 10 {
        frame(&ctx, &mut app, &mut clock, Vec::new());
        idle = if app.is_idle() { idle + 1 } else { 0 };
        std::thread::sleep(Duration::from_millis(2));
    }
    app.tell_generation(SessionEvent::State {
        branch,
        state: BranchState::Running,
    });
    let mut times: Vec<Duration> = (0..FRAMES)
        .map(|number| {
            app.tell_generation(tokens(branch, TOKENS + u32::from(number), 1));
            frame(&ctx, &mut app, &mut clock, vec![pointer(number)])
        })
        .collect();
    Ok(report(what, &mut times))
}

/// Some tokens, whose experts follow from their numbers.
fn tokens(branch: BranchId, first: u32, number: u32) -> SessionEvent {
    const WORDS: [&str; 6] = [" the", " enzyme", " lowers", ",", " energy", " of"];
    let experts = u32::from(EXPERTS);
    let mut decisions = DecisionBatch::ids_only(usize::from(EXPERTS), 8);
    let (mut weights, mut runner_up) = (Vec::new(), Vec::new());
    for position in first..first + number {
        for layer in 0..LAYERS {
            decisions.position.push(position);
            decisions.layer.push(LayerId(layer));
            decisions.moe_layer.push(layer);
            let start = position.wrapping_mul(2_654_435_761) / 7 + u32::from(layer) * 31;
            let ranks = (0..TOP_K).map(|rank| (start + rank * 61) % experts);
            let narrow = |expert| u16::try_from(expert).unwrap_or(0);
            decisions.selected_experts.extend(ranks.map(narrow));
            weights.extend([0.3, 0.2, 0.15, 0.1, 0.1, 0.05, 0.05, 0.05]);
            runner_up.push(narrow((start + 7) % experts));
        }
    }
    let rows = decisions.position.len();
    decisions.routing_weights = Some(weights);
    decisions.entropy = Some(vec![3.0; rows]);
    decisions.margin = Some(vec![0.01; rows]);
    decisions.runner_up = Some(runner_up);
    let tokens = (first..first + number).map(|place| LiveToken {
        id: place % 6,
        text: WORDS[(place % 6) as usize].into(),
        phase: if place < TOKENS / 2 {
            Phase::Prefill
        } else {
            Phase::Decode
        },
        is_content: true,
        surprisal: Some(2.5),
        next: Vec::new(),
    });
    let spec = model();
    let mut columns = LiveColumns::new(spec.moe_layers, usize::from(EXPERTS), 8);
    columns.extend(tokens.collect(), &decisions, 0);
    SessionEvent::Tokens {
        branch,
        columns,
        text: String::new(),
        secs: 0.02,
    }
}
