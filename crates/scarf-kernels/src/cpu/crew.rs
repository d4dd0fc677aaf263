//! Threads that stay awake for one another while a network looks at one image.
//!
//! The layers of one image are short, some tens of microseconds each, and there are about a hundred. A thread that falls
//! asleep after each of them, as those of a pool do, comes too late to the next. A crew's helpers are threads of the pool
//! that look out for the next layer without sleeping, until the image is done.

use std::cell::{Cell, UnsafeCell};
use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// How long helpers are waited for. Who comes later stays out: it might have left something undone that the leader will
/// wait for.
const ARRIVAL: Duration = Duration::from_micros(200);

/// Looks in vain before a helper lets other threads of the machine have a turn.
const PATIENCE: u32 = 1 << 12;

/// Whether there is a crew: a helper of one must not wait for another.
static GATHERED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The crew that this thread leads; null where there is none, or it is at a task.
    static LED: Cell<*const Crew> = const { Cell::new(ptr::null()) };
}

/// `work` on a thread of the pool, the others awake beside it: they take part in what it gives to [`share`].
pub(crate) fn together<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| {
        let helpers = rayon::current_num_threads() - 1;
        let Some(_gathered) = (helpers > 0).then(Gathered::new).flatten() else {
            return work();
        };
        let crew = Crew::default();
        rayon::scope(|scope| {
            let (crew, leader) = (&crew, rayon::current_thread_index());
            for _ in 0..helpers {
                scope.spawn(move |_| crew.help(leader));
            }
            crew.close_gate(helpers);
            let _led = Led::new(crew);
            work()
        })
    })
}

/// Does the tasks of numbers `0..count` with the helpers of the crew that this thread leads. False, and nothing is done,
/// where it leads none.
pub(super) fn share(count: usize, task: &(dyn Fn(usize) + Sync)) -> bool {
    let led = LED.replace(ptr::null());
    // SAFETY: where it is not null, `Led` keeps it so no longer than it borrows the crew, on this thread.
    let Some(crew) = (unsafe { led.as_ref() }) else {
        return false;
    };
    crew.share(count, task);
    LED.set(led);
    true
}

/// That there is a crew, and no other.
struct Gathered;

impl Gathered {
    fn new() -> Option<Self> {
        (!GATHERED.swap(true, SeqCst)).then_some(Self)
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        GATHERED.store(false, SeqCst);
    }
}

/// Helpers that do the tasks of one piece of work at a time with their leader.
#[derive(Default)]
struct Crew {
    gate: Mutex<Gate>,
    /// Even between two pieces of work, odd while there is one. Never the same twice.
    turn: AtomicUsize,
    work: UnsafeCell<Option<Work>>,
    /// The number of the next task.
    next: AtomicUsize,
    /// Helpers that may be looking at `work`.
    inside: AtomicUsize,
    /// Whether a helper's task has panicked.
    failed: AtomicBool,
    /// Whether the helpers may go.
    over: AtomicBool,
}

#[derive(Default)]
struct Gate {
    closed: bool,
    helpers: usize,
}

/// Tasks of numbers `0..count`.
#[derive(Clone, Copy)]
struct Work {
    task: *const (dyn Fn(usize) + Sync),
    count: usize,
}

// SAFETY: all fields but `work` are made for it. That one is written by the leader alone, while `turn` is even and
// `inside` is 0; helpers read it only while they are counted in `inside` and have, since they were, seen `turn` odd
// (`Crew::share`, `Crew::help`).
unsafe impl Sync for Crew {}

impl Crew {
    fn close_gate(&self, helpers: usize) {
        let begun = Instant::now();
        loop {
            let mut gate = self.gate.lock().expect("nothing panics inside");
            if gate.helpers == helpers || begun.elapsed() > ARRIVAL {
                gate.closed = true;
                return;
            }
            drop(gate);
            spin_loop();
        }
    }

    /// Whether this thread is one of the helpers.
    fn enter(&self) -> bool {
        let mut gate = self.gate.lock().expect("nothing panics inside");
        gate.helpers += usize::from(!gate.closed);
        !gate.closed
    }

    /// Looks out for work until it is over. The leader, who may come upon this, and who is late go at once.
    fn help(&self, leader: Option<usize>) {
        if rayon::current_thread_index() == leader || !self.enter() {
            return;
        }
        let (mut done, mut looks) = (0, 0u32);
        while !self.over.load(SeqCst) {
            let turn = self.turn.load(SeqCst);
            if turn != done && turn % 2 == 1 {
                self.inside.fetch_add(1, SeqCst);
                if self.turn.load(SeqCst) == turn {
                    // SAFETY: `turn` is odd after this thread has been counted in `inside`, so the leader neither writes
                    // nor lets go of what the task borrows before it no longer is.
                    let (task, count) = unsafe {
                        let work = (*self.work.get()).expect("there is work while the turn is odd");
                        (&*work.task, work.count)
                    };
                    if catch_unwind(AssertUnwindSafe(|| self.tasks(count, task))).is_err() {
                        self.failed.store(true, SeqCst);
                    }
                }
                self.inside.fetch_sub(1, SeqCst);
                (done, looks) = (turn, 0);
            } else {
                looks += 1;
                if looks.is_multiple_of(PATIENCE) { std::thread::yield_now() } else { spin_loop() }
            }
        }
    }

    fn share(&self, count: usize, task: &(dyn Fn(usize) + Sync)) {
        // SAFETY: the two types differ in how long the task lives. It lives until `On` is dropped below, and by then no
        // helper looks at it.
        let task_of_now: *const (dyn Fn(usize) + Sync) =
            unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(task) };
        self.next.store(0, SeqCst);
        // SAFETY: the last `On` left `turn` even and waited until `inside` was 0, and who is counted since leaves again
        // without a look, for it finds `turn` even.
        unsafe { *self.work.get() = Some(Work { task: task_of_now, count }) };
        let on = On::new(self);
        self.tasks(count, task);
        drop(on);
        assert!(!self.failed.load(SeqCst), "a task panicked on another thread");
    }

    fn tasks(&self, count: usize, task: &(dyn Fn(usize) + Sync)) {
        loop {
            match self.next.fetch_add(1, SeqCst) {
                number if number < count => task(number),
                _ => return,
            }
        }
    }
}

/// That there is work. When it is dropped, in a panic, too, no helper is at it any more.
struct On<'a>(&'a Crew);

impl<'a> On<'a> {
    fn new(crew: &'a Crew) -> Self {
        crew.turn.fetch_add(1, SeqCst);
        Self(crew)
    }
}

impl Drop for On<'_> {
    fn drop(&mut self) {
        self.0.turn.fetch_add(1, SeqCst);
        let mut looks = 0u32;
        while self.0.inside.load(SeqCst) > 0 {
            looks += 1;
            // A helper that was put to sleep in a task needs a processor.
            if looks.is_multiple_of(PATIENCE) { std::thread::yield_now() } else { spin_loop() }
        }
    }
}

/// That this thread leads the crew. When it is dropped, in a panic, too, the helpers go.
struct Led<'a>(&'a Crew);

impl<'a> Led<'a> {
    fn new(crew: &'a Crew) -> Self {
        LED.set(crew);
        Self(crew)
    }
}

impl Drop for Led<'_> {
    fn drop(&mut self) {
        LED.set(ptr::null());
        self.0.over.store(true, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_task_is_done_once_by_whoever_there_is() {
        for threads in [1, 2, 3, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let sums: Vec<usize> = pool.install(|| {
                together(|| {
                    let each = |count: usize| {
                        let done: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
                        let task = |number: usize| {
                            done[number].fetch_add(number + 1, SeqCst);
                        };
                        if !share(count, &task) {
                            (0..count).for_each(task);
                        }
                        done.into_iter().map(AtomicUsize::into_inner).sum()
                    };
                    (0..2000).map(|round| each(round % 17)).collect()
                })
            });
            let expected: Vec<usize> = (0..2000).map(|round| (round % 17) * (round % 17 + 1) / 2).collect();
            assert_eq!(sums, expected, "{threads} threads");
        }
    }

    #[test]
    fn a_task_that_panics_ends_the_work_and_not_the_pool() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        for wrong in [0, 5, 99] {
            let panics = pool.install(|| {
                catch_unwind(|| {
                    together(|| {
                        let task = |number: usize| assert_ne!(number, wrong, "as it should");
                        if !share(100, &task) {
                            (0..100).for_each(task);
                        }
                    });
                })
            });
            assert!(panics.is_err(), "{wrong}");
        }
        assert_eq!(pool.install(|| together(|| 7)), 7);
    }

    #[test]
    fn crews_side_by_side_and_one_inside_another() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let counted = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        pool.install(|| {
                            together(|| {
                                let task = |_| {
                                    counted.fetch_add(1, SeqCst);
                                };
                                if !share(10, &task) {
                                    (0..10).for_each(task);
                                }
                                together(|| counted.fetch_add(1, SeqCst));
                            });
                        });
                    }
                });
            }
        });
        assert_eq!(counted.into_inner(), 4 * 50 * 11);
    }
}
