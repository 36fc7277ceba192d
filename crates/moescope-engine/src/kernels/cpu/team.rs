//! A few threads that look for the next product before they go to sleep.
//!
//! A step of decoding is dozens of products of some tens to hundreds of microseconds, with a few microseconds of other
//! work between them. Where each is handed to a thread pool, threads fall asleep between two products and are woken for the
//! next. The threads of the team look for [`PATIENCE`] whether there is more to do, and the caller works as well. Nobody
//! waits for a thread that has not begun: where other programs use the processors, the others do its part.

use std::{
    any::Any,
    cell::UnsafeCell,
    hint::spin_loop,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Mutex, OnceLock, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

use rayon::prelude::*;

/// How long a thread looks for work before it sleeps.
const PATIENCE: Duration = Duration::from_micros(50);
/// Looks between two looks at the clock.
const LOOKS: usize = 32;
/// Most threads of a team, the caller included. Waking many one by one would take longer than rayon does.
const MOST: usize = 16;

/// Does tasks `0..count`, in any order and on several threads.
///
/// Neighbouring tasks are mostly done by the same thread, one after the other.
pub(super) fn for_each(count: usize, work: impl Fn(usize) + Sync) {
    for_each_init(count, || (), |(), task| work(task));
}

/// As [`for_each`], with something that each thread makes for its own tasks.
pub(super) fn for_each_init<T>(
    count: usize,
    init: impl Fn() -> T + Sync,
    work: impl Fn(&mut T, usize) + Sync,
) {
    if count <= 1 {
        if count == 1 {
            work(&mut init(), 0);
        }
        return;
    }
    // Within a pool, its own threads are the ones to use.
    if rayon::current_thread_index().is_none()
        && let Some(team) = Team::of_this_process()
    {
        // Another thread may be computing another model with it.
        match team.in_use.try_lock() {
            Ok(_in_use) => return team.run(count, &init, &work),
            Err(TryLockError::Poisoned(poisoned)) => {
                let _in_use = poisoned.into_inner();
                return team.run(count, &init, &work);
            }
            Err(TryLockError::WouldBlock) => {}
        }
    }
    (0..count)
        .into_par_iter()
        .for_each_init(&init, |own, task| work(own, task));
}

/// The threads, which live as long as the process.
struct Team {
    in_use: Mutex<()>,
    desk: &'static Desk,
    helpers: Vec<Thread>,
}

/// Where helpers find their work.
struct Desk {
    /// Written by the caller while it is closed and nobody is at the desk.
    job: UnsafeCell<Job>,
    is_open: AtomicBool,
    /// Helpers who read or do the job.
    present: AtomicUsize,
    /// Grows with every job.
    number: AtomicUsize,
    is_asleep: Vec<AtomicBool>,
}

// SAFETY: the job is only written while nobody reads it, see `Opened`.
unsafe impl Sync for Desk {}

/// What a member of the team calls: its part of a call of `run`.
#[derive(Clone, Copy)]
struct Job {
    take_part: unsafe fn(*const (), member: usize),
    shared: *const (),
}

// SAFETY: what it points to is shared between threads, see `Part`.
unsafe impl Send for Job {}

impl Team {
    /// The team, of as many threads as rayon's own pool; none where that is one, or many.
    fn of_this_process() -> Option<&'static Self> {
        static TEAM: OnceLock<Option<Team>> = OnceLock::new();
        TEAM.get_or_init(|| {
            let members = rayon::current_num_threads();
            (2..=MOST)
                .contains(&members)
                .then(|| Self::of(members - 1))?
        })
        .as_ref()
    }

    /// A team with so many helpers; none where the system gives no threads.
    fn of(helpers: usize) -> Option<Self> {
        let desk: &'static Desk = Box::leak(Box::new(Desk {
            job: UnsafeCell::new(Job {
                take_part: nothing,
                shared: std::ptr::null(),
            }),
            is_open: AtomicBool::new(false),
            present: AtomicUsize::new(0),
            number: AtomicUsize::new(0),
            is_asleep: (0..helpers).map(|_| AtomicBool::new(false)).collect(),
        }));
        let helpers = (0..helpers).map(|helper| {
            let builder = thread::Builder::new().name(format!("kernels {}", helper + 1));
            let handle = builder.spawn(move || desk.help(helper)).ok()?;
            Some(handle.thread().clone())
        });
        Some(Self {
            in_use: Mutex::new(()),
            desk,
            helpers: helpers.collect::<Option<_>>()?,
        })
    }

    /// Does all tasks; the caller holds `in_use`.
    fn run<T, I, W>(&self, count: usize, init: &I, work: &W)
    where
        I: Fn() -> T + Sync,
        W: Fn(&mut T, usize) + Sync,
    {
        let members = self.helpers.len() + 1;
        let share = |member: usize| member * count / members;
        let part = Part {
            shares: std::array::from_fn(|member| Share {
                next: AtomicUsize::new(share(member.min(members))),
                end: share((member + 1).min(members)),
            }),
            members,
            panic: Mutex::new(None),
            init,
            work,
        };
        let job = Job {
            take_part: Part::<T, I, W>::take_part,
            shared: (&raw const part).cast(),
        };
        let opened = Opened::at(self, job);
        // SAFETY: the part is alive.
        unsafe { Part::<T, I, W>::take_part(job.shared, 0) };
        drop(opened);
        let panic = part.panic.into_inner();
        if let Some(payload) = panic.unwrap_or_else(PoisonError::into_inner) {
            resume_unwind(payload);
        }
    }
}

/// A desk with a job; none of the helpers is at it any more when it has been closed.
struct Opened<'a>(&'a Team);

impl<'a> Opened<'a> {
    fn at(team: &'a Team, job: Job) -> Self {
        let desk = team.desk;
        // SAFETY: the desk is closed, and nobody who saw it open is still there: `drop` has waited. Who comes now sees
        // it closed and leaves without looking at the job.
        unsafe { *desk.job.get() = job };
        desk.is_open.store(true, Ordering::SeqCst);
        desk.number.fetch_add(1, Ordering::SeqCst);
        for (is_asleep, helper) in desk.is_asleep.iter().zip(&team.helpers) {
            if is_asleep.load(Ordering::SeqCst) {
                helper.unpark();
            }
        }
        Self(team)
    }
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        let desk = self.0.desk;
        desk.is_open.store(false, Ordering::SeqCst);
        // Who came before it was closed is counted.
        let mut looks = 0usize;
        while desk.present.load(Ordering::SeqCst) > 0 {
            looks += 1;
            if looks.is_multiple_of(LOOKS) {
                // A helper without a processor gets this one.
                thread::yield_now();
            } else {
                spin_loop();
            }
        }
    }
}

impl Desk {
    /// The life of a helper.
    fn help(&self, helper: usize) {
        let mut seen = 0;
        loop {
            seen = self.next_job(helper, seen);
            self.present.fetch_add(1, Ordering::SeqCst);
            if self.is_open.load(Ordering::SeqCst) {
                // SAFETY: it was open after this helper was counted, so neither the job nor what it points to goes before
                // the helper does.
                unsafe {
                    let job = *self.job.get();
                    (job.take_part)(job.shared, helper + 1);
                }
            }
            self.present.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Waits for a job after the last one seen: awake for a while, then asleep.
    fn next_job(&self, helper: usize, seen: usize) -> usize {
        let begun = Instant::now();
        loop {
            for _ in 0..LOOKS {
                let number = self.number.load(Ordering::Acquire);
                if number != seen {
                    return number;
                }
                spin_loop();
            }
            if begun.elapsed() > PATIENCE {
                break;
            }
        }
        // Either the caller sees that this helper sleeps, or the helper sees the job.
        self.is_asleep[helper].store(true, Ordering::SeqCst);
        loop {
            let number = self.number.load(Ordering::SeqCst);
            if number != seen {
                self.is_asleep[helper].store(false, Ordering::SeqCst);
                return number;
            }
            thread::park();
        }
    }
}

/// The job before the first.
unsafe fn nothing(_: *const (), _: usize) {}

/// One call of [`Team::run`], seen by all members.
struct Part<'a, T, I: Fn() -> T + Sync, W: Fn(&mut T, usize) + Sync> {
    shares: [Share; MOST],
    members: usize,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    init: &'a I,
    work: &'a W,
}

/// The tasks that are a member's own, on a line of the cache of their own.
#[repr(align(128))]
struct Share {
    next: AtomicUsize,
    end: usize,
}

impl<T, I: Fn() -> T + Sync, W: Fn(&mut T, usize) + Sync> Part<'_, T, I, W> {
    /// # Safety
    /// `shared` is a part that lives until this returns.
    unsafe fn take_part(shared: *const (), member: usize) {
        // SAFETY: by the contract; it is shared between threads, which all of its fields may be.
        let part = unsafe { &*shared.cast::<Self>() };
        let done = catch_unwind(AssertUnwindSafe(|| part.work_as(member)));
        if let Err(payload) = done {
            let mut panic = part.panic.lock().unwrap_or_else(PoisonError::into_inner);
            if panic.is_none() {
                *panic = Some(payload);
            } else {
                // Dropping it could panic once more, and the first is the one that is told.
                std::mem::forget(payload);
            }
        }
    }

    /// The member's own tasks, then those that others have not come to.
    fn work_as(&self, member: usize) {
        let mut own = None;
        for other in 0..self.members {
            let share = &self.shares[(member + other) % self.members];
            loop {
                let task = share.next.fetch_add(1, Ordering::Relaxed);
                if task >= share.end {
                    break;
                }
                (self.work)(own.get_or_insert_with(self.init), task);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each task is done.
    fn check(count: usize, run: impl Fn(&(dyn Fn(usize) + Sync))) {
        let done: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
        run(&|task| {
            done[task].fetch_add(1, Ordering::Relaxed);
        });
        assert!(done.iter().all(|done| done.load(Ordering::Relaxed) == 1));
    }

    fn team(helpers: usize) -> Team {
        Team::of(helpers).unwrap()
    }

    fn on(team: &Team, count: usize, work: &(dyn Fn(usize) + Sync)) {
        team.run(count, &|| (), &|(), task| work(task));
    }

    #[test]
    fn every_task_is_done_once() {
        for helpers in [1, 3, MOST - 1] {
            let team = team(helpers);
            for count in [0, 1, 2, 3, 5, 64, 1000] {
                for _ in 0..20 {
                    check(count, |work| on(&team, count, work));
                }
            }
        }
    }

    #[test]
    fn helpers_that_have_gone_to_sleep_are_woken() {
        let team = team(1);
        for _ in 0..5 {
            while !team.desk.is_asleep[0].load(Ordering::SeqCst) {
                thread::yield_now();
            }
            // From saying so to sleeping.
            thread::sleep(PATIENCE);
            // Each of the two tasks waits until both have begun, so one thread alone does not come to an end.
            let begun = AtomicUsize::new(0);
            let start = Instant::now();
            on(&team, 2, &|_| {
                begun.fetch_add(1, Ordering::SeqCst);
                while begun.load(Ordering::SeqCst) < 2 {
                    assert!(start.elapsed() < Duration::from_mins(1), "nobody woke");
                    thread::yield_now();
                }
            });
        }
    }

    #[test]
    fn several_callers_and_calls_within_calls_do_not_wait_for_each_other() {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        check(40, |work| for_each(40, work));
                        for_each(3, |_| check(7, |work| for_each(7, work)));
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_team_goes_on() {
        let team = team(2);
        for bad in [0, 17, 99] {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                on(&team, 100, &|task| assert!(task != bad, "task {bad}"));
            }));
            assert!(caught.is_err());
            check(100, |work| on(&team, 100, work));
        }
    }
}
