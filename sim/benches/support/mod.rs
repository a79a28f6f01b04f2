//! What the benchmarks share: jobs timed in turn, limits of the machine, tables.

#![allow(dead_code)] // each bench uses its part

pub mod floats;
pub mod limit;
pub mod machine;
pub mod network;
pub mod products;
pub mod simulation;

use std::time::{Duration, Instant};

/// Shortest time of each job in `rounds` turns, taken in turn so that noise hits all alike.
///
/// In its turn a job is repeated for [`TURN`], so that a short one finds its own data in the caches, as a long one does
/// for most of its time. A time is of one run.
///
/// A time is the processor's on this thread, so that other programs do not count; jobs must not wait for other threads.
pub fn shortest_times(rounds: usize, jobs: &mut [&mut dyn FnMut()]) -> Vec<Duration> {
    shortest(thread_time, rounds, jobs)
}

/// As [`shortest_times`], by the clock on the wall, for jobs on several threads.
pub fn shortest_wall_times(rounds: usize, jobs: &mut [&mut dyn FnMut()]) -> Vec<Duration> {
    let start = Instant::now();
    shortest(|| start.elapsed(), rounds, jobs)
}

/// How long a job is repeated in its turn; it runs once at least.
const TURN: Duration = Duration::from_millis(30);

fn shortest(
    clock: impl Fn() -> Duration,
    rounds: usize,
    jobs: &mut [&mut dyn FnMut()],
) -> Vec<Duration> {
    let mut best = vec![Duration::MAX; jobs.len()];
    for _ in 0..rounds {
        for (job, best) in jobs.iter_mut().zip(&mut best) {
            let turn = clock();
            let mut end = turn;
            while end - turn < TURN {
                let start = end;
                job();
                end = clock();
                *best = (end - start).min(*best);
            }
        }
    }
    best
}

/// The processor's time on this thread.
#[allow(unsafe_code)]
fn thread_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the call writes one `timespec`, to which the reference is.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(failed, 0, "the clock of a thread is there on every Linux");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// A pool in which rayon has one thread.
pub fn single_thread() -> rayon::ThreadPool {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    pool.expect("one thread can be started")
}

/// A number with three digits that count.
pub fn rounded(value: f64) -> String {
    match value.abs() {
        v if v >= 1e5 => format!("{value:.2e}"),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A table in Markdown; the first column holds names, the others numbers.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells: Vec<&str> = cells.collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let mut text = line(&mut head.iter().copied());
    text += &format!("|---|{}\n", "--:|".repeat(head.len() - 1));
    for row in rows {
        text += &line(&mut row.iter().map(String::as_str));
    }
    text
}
