//! Work on another thread whose result a view waits for.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, TryRecvError, sync_channel},
    },
    thread,
    time::Duration,
};

use moescope_core::{Cancelled, Progress};

/// A repaint is asked for at most this often while work reports progress.
const BETWEEN_REPAINTS: Duration = Duration::from_millis(60);

/// A value that is made on another thread, with the last one to show meanwhile.
#[derive(Debug, Default)]
pub enum Job<T> {
    /// Nothing was asked for.
    #[default]
    Idle,
    /// The work goes on.
    Running(Running<T>),
    /// The value is there.
    Ready(T),
    /// The work ended without a value.
    Failed {
        /// What went wrong, for people.
        error: String,
        /// The last value that there was.
        previous: Option<T>,
    },
}

/// Work that goes on.
#[derive(Debug)]
pub struct Running<T> {
    /// How far it is; also how it is cancelled.
    pub progress: Arc<JobProgress>,
    result: Receiver<Result<T, String>>,
    /// The last value that there was.
    pub previous: Option<T>,
}

impl<T: Send + 'static> Job<T> {
    /// Starts work on a thread of its own and keeps the last value to show meanwhile.
    ///
    /// Work that was going on is cancelled, and its result is not waited for.
    pub fn start(
        &mut self,
        name: &str,
        ctx: &egui::Context,
        work: impl FnOnce(&Arc<JobProgress>) -> Result<T, String> + Send + 'static,
    ) {
        if let Self::Running(running) = self {
            running.progress.cancel();
        }
        let previous = self.take_value();
        let progress = Arc::new(JobProgress::new(name, ctx.clone()));
        let (sender, result) = sync_channel(1);
        let told = Arc::clone(&progress);
        let thread = thread::Builder::new()
            .name(format!("job: {name}"))
            .spawn(move || {
                // A receiver that is gone waits for nothing.
                drop(sender.send(work(&told)));
                told.ctx.request_repaint();
            });
        *self = match thread {
            Ok(_) => Self::Running(Running {
                progress,
                result,
                previous,
            }),
            Err(error) => Self::Failed {
                error: format!("the system gives no thread for this work: {error}"),
                previous,
            },
        };
    }

    /// Takes the result if it has come; true when the state changed.
    pub fn poll(&mut self) -> bool {
        let Self::Running(running) = self else {
            return false;
        };
        let result = match running.result.try_recv() {
            Ok(result) => result,
            Err(TryRecvError::Empty) => return false,
            Err(TryRecvError::Disconnected) => Err(
                "the work stopped without a result, which is an error of moescope; please report it"
                    .to_owned(),
            ),
        };
        let previous = running.previous.take();
        *self = match result {
            Ok(value) => Self::Ready(value),
            Err(error) => Self::Failed { error, previous },
        };
        true
    }
}

impl<T> Job<T> {
    /// The value, or the last one while another is made.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Idle => None,
            Self::Running(running) => running.previous.as_ref(),
            Self::Ready(value) => Some(value),
            Self::Failed { previous, .. } => previous.as_ref(),
        }
    }

    /// How far the work is, if it goes on.
    pub fn progress(&self) -> Option<&Arc<JobProgress>> {
        match self {
            Self::Running(running) => Some(&running.progress),
            _ => None,
        }
    }

    /// What went wrong, if something did.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Failed { error, .. } => Some(error),
            _ => None,
        }
    }

    /// Whether the work goes on, or its result was not taken yet.
    pub fn is_running(&self) -> bool {
        matches!(self, Self::Running(_))
    }

    /// Whether the thread is still at work. A view takes results only while it is painted, so one that is hidden may keep
    /// a job that is running and has nothing left to do.
    pub fn is_working(&self) -> bool {
        // The thread holds its progress until it ends, however it ends.
        self.progress()
            .is_some_and(|progress| Arc::strong_count(progress) > 1)
    }

    fn take_value(&mut self) -> Option<T> {
        match std::mem::replace(self, Self::Idle) {
            Self::Idle => None,
            Self::Running(running) => running.previous,
            Self::Ready(value) => Some(value),
            Self::Failed { previous, .. } => previous,
        }
    }
}

/// How far work is; shared by the thread that works and the views that show it.
#[derive(Debug)]
pub struct JobProgress {
    name: String,
    done: AtomicU64,
    total: AtomicU64,
    message: Mutex<String>,
    is_cancelled: AtomicBool,
    ctx: egui::Context,
}

impl JobProgress {
    fn new(name: &str, ctx: egui::Context) -> Self {
        Self {
            name: name.to_owned(),
            done: AtomicU64::new(0),
            total: AtomicU64::new(0),
            message: Mutex::default(),
            is_cancelled: AtomicBool::new(false),
            ctx,
        }
    }

    /// What is being done.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The share that is done, where it is known.
    pub fn share(&self) -> Option<f32> {
        let total = self.total.load(Ordering::Relaxed);
        let done = self.done.load(Ordering::Relaxed);
        #[expect(
            clippy::cast_precision_loss,
            reason = "a progress bar has some hundred pixels"
        )]
        let share = done as f32 / total as f32;
        (total > 0).then(|| share.min(1.0))
    }

    /// What is being done just now.
    pub fn message(&self) -> String {
        self.message
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Asks the work to stop as soon as its state is consistent.
    pub fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }
}

impl Progress for JobProgress {
    fn report(&self, done: u64, total: u64, message: &str) -> Result<(), Cancelled> {
        if self.is_cancelled() {
            return Err(Cancelled);
        }
        self.done.store(done, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
        let mut told = self.message.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != message {
            message.clone_into(&mut told);
        }
        drop(told);
        self.ctx.request_repaint_after(BETWEEN_REPAINTS);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn wait<T: Send + 'static>(job: &mut Job<T>) {
        while !job.poll() {
            thread::yield_now();
        }
    }

    #[test]
    fn the_last_value_is_shown_until_the_next_is_there() {
        let ctx = egui::Context::default();
        let mut job = Job::Idle;
        job.start("one", &ctx, |_| Ok(1));
        wait(&mut job);
        assert_eq!(job.value(), Some(&1));

        let (go, waits) = channel::<()>();
        job.start("two", &ctx, move |_| {
            waits.recv().ok();
            Ok(2)
        });
        assert!(job.is_running() && job.is_working() && !job.poll());
        assert_eq!(job.value(), Some(&1));
        go.send(()).unwrap();
        // Nobody has taken the result, and yet nothing is left to do.
        while job.is_working() {
            thread::yield_now();
        }
        assert!(job.is_running());
        wait(&mut job);
        assert_eq!(job.value(), Some(&2));

        job.start("three", &ctx, |_| Err("no".to_owned()));
        wait(&mut job);
        assert_eq!((job.error(), job.value()), (Some("no"), Some(&2)));
    }

    #[test]
    fn cancelled_work_hears_it_at_its_next_report() {
        let ctx = egui::Context::default();
        let mut job: Job<()> = Job::Idle;
        job.start("endless", &ctx, |progress| {
            loop {
                progress
                    .report(1, 2, "working")
                    .map_err(|cancelled| cancelled.to_string())?;
                thread::yield_now();
            }
        });
        job.progress().unwrap().cancel();
        wait(&mut job);
        assert_eq!(job.error(), Some("cancelled"));
    }

    #[test]
    fn work_that_panics_becomes_an_error() {
        let ctx = egui::Context::default();
        let mut job: Job<()> = Job::Idle;
        job.start("panics", &ctx, |_| panic!("on purpose, in a test"));
        wait(&mut job);
        assert!(job.error().unwrap().contains("please report"));
    }
}
