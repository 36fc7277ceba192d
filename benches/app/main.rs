//! Processor time of the app's frames with 64 layers × 512 experts on the screen: state, layout and tessellation; of a
//! trace, and of a conversation of 32,000 tokens that goes on.
//!
//! No window is opened and nothing is rasterised, so the number is the same with and without a GPU.
//! `docs/BENCHMARKS.md` says how to run it; `--check` fails when the 95th percentile is not below 4 ms.

mod live;

use std::{env, process::ExitCode, time::Duration};

use cpu_time::ThreadTime;
use egui::{Context, Event, Pos2, RawInput, Rect, pos2, vec2};
use moescope_analytics::{ExpertsOrder, MeasureRequest, MemoryDocument, Profile, TraceData};
use moescope_app::{App, AppConfig, Command, SettingsPlace, ThemeChoice, TraceAbout};
use moescope_core::{Discipline, Gating, LayerId, ModelSpec, Phase, Sample};

const LAYERS: u16 = 64;
const EXPERTS: u16 = 512;
const DOCUMENTS: u32 = 60;
const FRAMES: u16 = 600;
const SCREEN: [f32; 2] = [2560.0, 1440.0];
const MOST: Duration = Duration::from_millis(4);

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let is_check = env::args().any(|argument| argument == "--check");
    let measured = measure().and_then(|of_trace| {
        let [of_reply, of_last] = live::measure()?;
        Ok([of_trace, of_reply, of_last])
    });
    match measured {
        Ok(p95) if is_check && p95.iter().any(|p95| *p95 >= MOST) => {
            eprintln!("a 95th percentile is not below {MOST:?}");
            ExitCode::FAILURE
        }
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<Duration, Failure> {
    let ctx = Context::default();
    let config = AppConfig {
        theme: Some(ThemeChoice::Dark),
        settings: SettingsPlace::None,
        starts_empty: true,
        ..AppConfig::default()
    };
    let mut app = App::new(&ctx, config)?;
    app.insert_trace("synthetic".into(), TraceAbout::default(), trace()?);
    let request = MeasureRequest {
        resamples: 20,
        permutations: 20,
        ..MeasureRequest::default()
    };
    app.commands()
        .send(Command::ChooseRequest(Box::new(request)));
    let mut clock = 0.0;
    let mut idle = 0;
    while idle < 10 {
        frame(&ctx, &mut app, &mut clock, Vec::new());
        idle = if app.is_idle() { idle + 1 } else { 0 };
        std::thread::sleep(Duration::from_millis(2));
    }
    let mut times: Vec<Duration> = (0..FRAMES)
        .map(|number| frame(&ctx, &mut app, &mut clock, vec![pointer(number)]))
        .collect();
    Ok(report("a trace", &mut times))
}

/// Tells the times of frames; gives the 95th percentile.
fn report(what: &str, times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!(
        "{what}: {LAYERS} layers × {EXPERTS} experts, {FRAMES} frames at {} × {}: median {:.2?}, 95th percentile {:.2?}, longest {:.2?}",
        SCREEN[0],
        SCREEN[1],
        at(50),
        at(95),
        at(100)
    );
    at(95)
}

/// The pointer wanders over the whole window, so that every frame has another cell under it.
fn pointer(number: u16) -> Event {
    let share = f32::from(number) / f32::from(FRAMES);
    let across = (share * 7.0).fract();
    Event::PointerMoved(pos2(
        SCREEN[0] * (0.15 + 0.5 * across),
        SCREEN[1] * (0.15 + 0.7 * share),
    ))
}

/// One frame: state, layout, tessellation.
fn frame(ctx: &Context, app: &mut App, clock: &mut f64, events: Vec<Event>) -> Duration {
    *clock += 1.0 / 60.0;
    let input = RawInput {
        screen_rect: Some(Rect::from_min_size(Pos2::ZERO, vec2(SCREEN[0], SCREEN[1]))),
        time: Some(*clock),
        events,
        ..RawInput::default()
    };
    // The window's own thread: how long it had to wait for a processor is not the app's.
    let start = ThreadTime::now();
    let mut output = ctx.run_ui(input, |ui| {
        app.logic(ui.ctx());
        app.ui(ui);
    });
    let shapes = std::mem::take(&mut output.shapes);
    let primitives = ctx.tessellate(shapes, output.pixels_per_point);
    let elapsed = start.elapsed();
    std::hint::black_box(primitives.len());
    output.drop_without_applying_deltas();
    elapsed
}

fn model() -> ModelSpec {
    ModelSpec {
        family: "synthetic".into(),
        num_layers: LAYERS,
        moe_layers: (0..LAYERS).map(LayerId).collect(),
        num_experts: EXPERTS,
        top_k: 8,
        num_shared_experts: 0,
        has_shared_expert_gate: false,
        hidden_size: None,
        vocab_size: None,
        gating: Gating::softmax_top_k(),
    }
}

/// Sums of documents whose discipline prefers some experts; a simple generator makes them the same every time.
fn trace() -> Result<TraceData, Failure> {
    let model = model();
    let disciplines = ["math", "law", "chemistry"];
    let mut state = 1_u64;
    let mut draw = move |below: u32| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((state >> 33) % u64::from(below)).unwrap_or(0)
    };
    let mut documents = Vec::new();
    for number in 0..DOCUMENTS {
        let place = (number % 3) as usize;
        let profiles = (0..LAYERS)
            .map(|layer| {
                let mut counts = vec![0; usize::from(EXPERTS)];
                let n_tokens = 512;
                // Eight experts a token, those of the document's third of the experts more often.
                for _ in 0..n_tokens * 8 {
                    let favoured = draw(171) + 171 * u32::try_from(place).unwrap_or(0);
                    let expert = if draw(3) == 0 { favoured } else { draw(512) };
                    counts[expert.min(511) as usize] += 1;
                }
                Profile {
                    layer: LayerId(layer),
                    moe_layer: layer,
                    phase: Phase::Prefill,
                    n_tokens,
                    counts,
                    weight_sum: None,
                    prob_sum: None,
                    logit_sum: None,
                    last_prob: None,
                }
            })
            .collect();
        documents.push(MemoryDocument {
            sample: Sample {
                id: format!("document-{number}"),
                discipline: Some(Discipline::new(disciplines[place])?),
                ..Sample::default()
            },
            profiles,
            ..MemoryDocument::default()
        });
    }
    Ok(TraceData::in_memory(
        model,
        ExpertsOrder::ByWeight,
        documents,
    )?)
}
