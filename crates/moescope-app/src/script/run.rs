//! Following a script, a step at a time.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use egui::{
    ColorImage, Context, Event, Modifiers, PointerButton, Pos2, RawInput, ScreenshotCallback,
    ViewportCommand,
};

use super::{
    ScriptConfig, Step,
    labels::{Hearing, Labels},
};
use crate::{
    command::{Command, Commands},
    error::AppError,
    views::VIEWS,
};

/// Frames between a change and the next step: the change is painted in the first and settled in the others.
const SETTLING_FRAMES: u32 = 4;
/// How long a widget may take to appear.
const APPEARANCE: Duration = Duration::from_secs(20);

/// A script that is being followed.
#[derive(Debug)]
pub(crate) struct ScriptRun {
    steps: VecDeque<(usize, Step)>,
    screenshots: Option<PathBuf>,
    labels: Labels,
    is_hearing: bool,
    /// Events for the next frames, one list a frame.
    events: VecDeque<Vec<Event>>,
    /// When the current step began.
    since: Instant,
    settling: u32,
    image: Picture,
    is_waiting_for_image: bool,
}

/// A screenshot, once the window has made it.
type Picture = Arc<Mutex<Option<Arc<ColorImage>>>>;

/// What became of a step.
enum Outcome {
    Done,
    NotYet,
}

impl ScriptRun {
    /// Checks what can be checked before the window is there.
    pub(crate) fn new(config: ScriptConfig) -> Result<Self, AppError> {
        for (line, step) in config.script.steps() {
            let problem = match step {
                Step::Screenshot(_) if config.screenshots.is_none() => {
                    Some("a screenshot needs --screenshots FOLDER".to_owned())
                }
                Step::View(name) | Step::Export(name, _) if view_name(name).is_none() => {
                    let names: Vec<&str> = VIEWS.iter().map(|make| make().about().name).collect();
                    Some(format!(
                        "there is no view '{name}'; the views are {}",
                        names.join(", ")
                    ))
                }
                _ => None,
            };
            if let Some(reason) = problem {
                return Err(AppError::Script {
                    line: *line,
                    reason,
                });
            }
        }
        if let Some(folder) = &config.screenshots {
            std::fs::create_dir_all(folder)
                .map_err(|source| AppError::io("make the folder", folder, source))?;
        }
        Ok(Self {
            steps: config.script.steps().to_vec().into(),
            screenshots: config.screenshots,
            labels: Labels::default(),
            is_hearing: false,
            events: VecDeque::new(),
            since: Instant::now(),
            settling: SETTLING_FRAMES,
            image: Picture::default(),
            is_waiting_for_image: false,
        })
    }

    /// Puts what the script does with mouse and keys into the window's input.
    pub(crate) fn put_events(&mut self, _ctx: &Context, input: &mut RawInput) {
        // A virtual display gives nobody the focus.
        input.focused = true;
        // A pointer that rests somewhere on the display must not disturb.
        input.events.retain(|event| {
            !matches!(
                event,
                Event::PointerMoved(_) | Event::PointerGone | Event::MouseMoved(_)
            )
        });
        if let Some(events) = self.events.pop_front() {
            input.events.extend(events);
        }
    }

    /// Goes on with the script; false when it is over.
    pub(crate) fn advance(
        &mut self,
        ctx: &Context,
        commands: &Commands,
        is_idle: bool,
    ) -> Result<bool, AppError> {
        if !self.is_hearing {
            ctx.add_plugin(Hearing(self.labels.clone()));
            self.is_hearing = true;
        }
        if !self.events.is_empty() {
            return Ok(true);
        }
        if self.settling > 0 {
            self.settling -= 1;
            return Ok(true);
        }
        let Some((line, step)) = self.steps.front().cloned() else {
            return Ok(false);
        };
        match self.follow(&step, line, ctx, commands, is_idle)? {
            Outcome::NotYet => {}
            Outcome::Done => {
                self.steps.pop_front();
                self.since = Instant::now();
                self.settling = SETTLING_FRAMES;
            }
        }
        Ok(true)
    }

    fn follow(
        &mut self,
        step: &Step,
        line: usize,
        ctx: &Context,
        commands: &Commands,
        is_idle: bool,
    ) -> Result<Outcome, AppError> {
        let error = |reason: String| AppError::Script { line, reason };
        match step {
            Step::View(name) => {
                if let Some(name) = view_name(name) {
                    commands.send(Command::OpenView(name));
                }
            }
            Step::Open(path) => commands.send(Command::Open(path.clone())),
            Step::Cell(cell) => commands.send(Command::ChooseCell(Some(*cell))),
            Step::Theme(theme) => commands.send(Command::ChooseTheme(*theme)),
            Step::Type(text) => self.events.push_back(vec![Event::Text(text.clone())]),
            Step::Key(modifiers, key) => {
                for pressed in [true, false] {
                    let held = if pressed { *modifiers } else { Modifiers::NONE };
                    let key = Event::Key {
                        key: *key,
                        physical_key: None,
                        pressed,
                        repeat: false,
                        modifiers: *modifiers,
                    };
                    self.events
                        .push_back(vec![Event::ModifiersChanged(held), key]);
                }
            }
            Step::Click(name) | Step::Hover(name) => match self.labels.place_of(name) {
                Some(place) => self.point_at(place, matches!(step, Step::Click(_))),
                None if self.since.elapsed() < APPEARANCE => return Ok(Outcome::NotYet),
                None => return Err(error(format!("nothing is called '{name}' on the screen"))),
            },
            Step::Wait(time) => {
                if self.since.elapsed() < *time {
                    return Ok(Outcome::NotYet);
                }
            }
            Step::WaitIdle(most) => {
                if !is_idle {
                    return if self.since.elapsed() < *most {
                        Ok(Outcome::NotYet)
                    } else {
                        Err(error(format!(
                            "something still runs after {} s",
                            most.as_secs()
                        )))
                    };
                }
            }
            Step::WaitFor(text, most) => {
                if !self.labels.says(text) {
                    return if self.since.elapsed() < *most {
                        Ok(Outcome::NotYet)
                    } else {
                        Err(error(format!(
                            "nothing says '{text}' after {} s",
                            most.as_secs()
                        )))
                    };
                }
            }
            Step::Expect(text) => {
                if !self.labels.says(text) {
                    return Err(error(format!("nothing says '{text}' on the screen")));
                }
            }
            Step::Screenshot(name) => return self.take_picture(name, ctx),
            Step::Export(view, path) => {
                if let Some(view) = view_name(view) {
                    commands.send(Command::ExportView(view, path.clone()));
                }
            }
            Step::Close => commands.send(Command::Quit),
        }
        Ok(Outcome::Done)
    }

    /// Moves the pointer and clicks, a frame for each.
    fn point_at(&mut self, pos: Pos2, is_click: bool) {
        self.events.push_back(vec![Event::PointerMoved(pos)]);
        self.events.push_back(vec![Event::PointerMoved(pos)]);
        if is_click {
            for pressed in [true, false] {
                self.events.push_back(vec![Event::PointerButton {
                    pos,
                    button: PointerButton::Primary,
                    pressed,
                    modifiers: Modifiers::NONE,
                }]);
            }
        }
    }

    fn take_picture(&mut self, name: &str, ctx: &Context) -> Result<Outcome, AppError> {
        if !self.is_waiting_for_image {
            let image = Arc::clone(&self.image);
            ctx.send_viewport_cmd(ViewportCommand::Screenshot(ScreenshotCallback::new(
                move |taken| {
                    *image.lock().unwrap_or_else(PoisonError::into_inner) = Some(taken);
                },
            )));
            self.is_waiting_for_image = true;
            return Ok(Outcome::NotYet);
        }
        let taken = self
            .image
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let (Some(taken), Some(folder)) = (taken, &self.screenshots) else {
            return Ok(Outcome::NotYet);
        };
        self.is_waiting_for_image = false;
        write_png(&folder.join(format!("{name}.png")), &taken)?;
        Ok(Outcome::Done)
    }
}

fn view_name(name: &str) -> Option<&'static str> {
    VIEWS
        .iter()
        .map(|make| make().about().name)
        .find(|known| *known == name)
}

fn write_png(path: &Path, image: &ColorImage) -> Result<(), AppError> {
    let failed = |source| AppError::io("write the screenshot", path, source);
    let file = std::fs::File::create(path).map_err(failed)?;
    let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
    let mut encoder = png::Encoder::new(
        std::io::BufWriter::new(file),
        side(image.width()),
        side(image.height()),
    );
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let bytes: Vec<u8> = image
        .pixels
        .iter()
        .flat_map(|pixel| [pixel.r(), pixel.g(), pixel.b()])
        .collect();
    let written = encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(&bytes));
    written.map_err(|error| failed(std::io::Error::other(error)))
}
