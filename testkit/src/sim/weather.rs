//! What a seed decides before anything happens: the fleet, its settings, what is asked of it and what goes wrong.
//!
//! Each seed switches on some kinds of trouble only. A mix of everything would hide what one kind does alone.

use std::time::Duration;

use jobforge_core::heartbeat::BeatPolicy;
use jobforge_core::job::{JobId, NewJob, RunAt};
use jobforge_core::payload::Payload;
use jobforge_core::rescue::RescuePolicy;
use jobforge_core::settle::RetryPolicy;
use jobforge_core::worker::DEFAULT_WORKER_LEASE;

use super::event::{Cut, Stop, job_id};
use super::link::CallWeather;
use super::work::Task;
use crate::fixtures::{job, s};
use crate::history::Random;

/// The queues.
pub(super) const QUEUES: [&str; 2] = ["default", "quick"];
/// What an operator makes of the workers' lease, the longest last; the handlers' grace fits into the margin of each.
const LEASES: [Duration; 3] = [DEFAULT_WORKER_LEASE, Duration::from_secs(30), Duration::from_secs(60)];
/// By so much the database's clock may be set back in one seed: all that waits for a time waits that much longer.
pub(super) const MOST_SET_BACK: Duration = Duration::from_secs(120);

/// All that a seed decides.
#[derive(Debug)]
pub(super) struct Weather {
    pub(super) workers: Vec<WorkerPlan>,
    pub(super) servers: u32,
    pub(super) rhythm: Rhythm,
    pub(super) calls: CallWeather,
    pub(super) faults: Vec<(Duration, Fault)>,
    pub(super) requests: Vec<(Duration, Request)>,
    /// How long things go wrong.
    pub(super) storm: Duration,
}

/// The settings of all processes.
#[derive(Debug, Clone)]
pub(super) struct Rhythm {
    pub(super) lease: Duration,
    /// The longest that an operator makes of it. Where that is longer, workers follow the stored settings.
    pub(super) longest_lease: Duration,
    pub(super) check_interval: Duration,
    pub(super) beat: BeatPolicy,
    pub(super) policy: RescuePolicy,
}

/// A worker, and whoever replaces it when it ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct WorkerPlan {
    /// Its machine.
    pub(super) host: u32,
    /// Whether a parent sees it end, and it ends itself rather than overrun its lease.
    pub(super) supervised: bool,
    /// Whether it holds the lock of a slot.
    pub(super) has_slot: bool,
    /// Jobs of each queue at once.
    pub(super) slots: usize,
    pub(super) knows_rare: bool,
}

/// Something that goes wrong. `luck` picks the process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    pub(super) luck: u64,
    /// For how long, where it passes.
    pub(super) length: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// A worker process is killed.
    KillWorker,
    /// A machine with a worker is gone.
    LoseHost,
    /// A worker stops without ending.
    StopWorker(Stop),
    /// A worker is cut off.
    CutWorker(Cut),
    /// A worker is told to end in good order.
    EndWorker,
    /// A server is killed.
    KillServer,
    /// A server stops without ending.
    StopServer(Stop),
    /// A server is cut off.
    CutServer(Cut),
    /// The database is down.
    Down,
    /// Its clock steps, by milliseconds.
    ClockStep(i64),
}

/// What clients ask for.
#[derive(Debug, Clone)]
pub(super) enum Request {
    /// To put a job in; asked again until the answer is known, or once only.
    Enqueue(Box<NewJob>, Patience),
    Cancel(JobId),
    Retry(JobId, Duration),
    Delete(JobId),
    Pause(&'static str),
    Resume(&'static str),
    /// To make every worker's lease so long.
    Lease(Duration),
    /// To restart one of the workers, by luck.
    Restart(u64),
}

/// How a client takes an answer that does not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// It asks again.
    Persists,
    /// It leaves it at that.
    GivesUp,
}

impl Weather {
    /// The weather of a seed.
    pub(super) fn of(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let storm = s(60 + random.below(150));
        let workers = 2 + random.below(3) as u32;
        let mut weather = Self {
            workers: (1..=workers).map(|host| worker_plan(host, &mut random)).collect(),
            servers: if random.percent(70) { 2 } else { 1 },
            rhythm: rhythm(&mut random),
            calls: calls(&mut random),
            faults: faults(storm, &mut random),
            requests: requests(storm, &mut random),
            storm,
        };
        weather.operate(&mut random);
        weather
    }

    /// In some seeds an operator changes leases and restarts workers while all that goes on.
    fn operate(&mut self, random: &mut Random) {
        let span = self.storm.as_millis() as u64;
        if random.percent(25) {
            self.rhythm.longest_lease = LEASES[LEASES.len() - 1];
            for _ in 0..1 + random.below(4) {
                let lease = Request::Lease(random.pick(&LEASES));
                self.requests.push((Duration::from_millis(random.below(span)), lease));
            }
        }
        if random.percent(25) {
            for _ in 0..1 + random.below(3) {
                let restart = Request::Restart(random.number());
                self.requests.push((Duration::from_millis(random.below(span)), restart));
            }
        }
    }
}

fn worker_plan(host: u32, random: &mut Random) -> WorkerPlan {
    WorkerPlan {
        host,
        supervised: random.percent(50),
        has_slot: random.percent(40),
        slots: 1 + random.below(3) as usize,
        // Somebody must know it.
        knows_rare: host == 1 || random.percent(40),
    }
}

fn rhythm(random: &mut Random) -> Rhythm {
    let runbook = random.percent(60);
    let beat = if runbook { (30, 60, 120) } else { (5, 10, 30) };
    Rhythm {
        lease: DEFAULT_WORKER_LEASE,
        longest_lease: DEFAULT_WORKER_LEASE,
        check_interval: s(if random.percent(50) { 60 } else { 15 }),
        beat: BeatPolicy {
            enabled: true,
            interval: s(beat.0),
            max_interval: s(beat.1),
            multiplier: 2.0,
            threshold: s(beat.2),
        },
        policy: RescuePolicy { max_misses: 2 + random.below(3) as u32, ..RescuePolicy::default() },
    }
}

fn calls(random: &mut Random) -> CallWeather {
    let lost_wakes = random.pick(&[0, 0, 50, 500]);
    match random.below(10) {
        0..=3 => CallWeather { lost_wakes, ..CallWeather::default() },
        4..=7 => CallWeather { refused: 10, unknown: 10, late: 20, lost: 1, lost_wakes },
        _ => CallWeather { refused: 60, unknown: 60, late: 60, lost: 8, lost_wakes },
    }
}

fn faults(storm: Duration, random: &mut Random) -> Vec<(Duration, Fault)> {
    let every = [
        FaultKind::KillWorker,
        FaultKind::LoseHost,
        FaultKind::StopWorker(Stop::Frozen),
        FaultKind::StopWorker(Stop::Suspended),
        FaultKind::StopWorker(Stop::Stalled),
        FaultKind::CutWorker(Cut::Both),
        FaultKind::CutWorker(Cut::Requests),
        FaultKind::CutWorker(Cut::Answers),
        FaultKind::EndWorker,
        FaultKind::KillServer,
        FaultKind::StopServer(Stop::Frozen),
        FaultKind::StopServer(Stop::Suspended),
        FaultKind::CutServer(Cut::Both),
        FaultKind::CutServer(Cut::Answers),
        FaultKind::Down,
        FaultKind::ClockStep(0),
    ];
    let share = 10 + random.below(35);
    let kinds: Vec<FaultKind> = every.into_iter().filter(|_| random.percent(share)).collect();
    if kinds.is_empty() {
        return Vec::new();
    }
    let mut left_to_set_back = MOST_SET_BACK;
    let count = 1 + random.below(2 + storm.as_secs() / 15);
    let mut faults: Vec<_> = (0..count)
        .map(|_| {
            let at = Duration::from_millis(2000 + random.below(storm.as_millis() as u64 - 2000));
            let kind = match random.pick(&kinds) {
                FaultKind::ClockStep(_) => FaultKind::ClockStep(clock_step(&mut left_to_set_back, random)),
                kind => kind,
            };
            (at, Fault { kind, luck: random.number(), length: a_length(random) })
        })
        .collect();
    faults.sort_by_key(|(at, _)| *at);
    faults
}

fn clock_step(left_to_set_back: &mut Duration, random: &mut Random) -> i64 {
    let most = random.pick(&[3000, 30_000, 700_000]);
    let by = random.below(most);
    if random.percent(50) {
        return by.cast_signed();
    }
    let back = Duration::from_millis(by).min(*left_to_set_back);
    *left_to_set_back -= back;
    -(back.as_millis() as i64)
}

/// Well within a lease, around it, or far beyond.
fn a_length(random: &mut Random) -> Duration {
    Duration::from_millis(match random.below(10) {
        0..=3 => 100 + random.below(5000),
        4..=7 => 4000 + random.below(26_000),
        _ => 20_000 + random.below(100_000),
    })
}

fn requests(storm: Duration, random: &mut Random) -> Vec<(Duration, Request)> {
    let poison = random.percent(25);
    let jobs = 10 + random.below(35);
    let span = storm.as_millis() as u64;
    // Some come at once, the others over time.
    let burst = random.below(jobs);
    let mut times: Vec<u64> =
        (0..jobs).map(|n| if n < burst { random.below(2000) } else { random.below(span) }).collect();
    times.sort_unstable();
    let mut requests: Vec<_> = (1..)
        .zip(&times)
        .map(|(number, at)| {
            let patience = if random.percent(85) { Patience::Persists } else { Patience::GivesUp };
            let request = Request::Enqueue(Box::new(a_job(number, poison, random)), patience);
            (Duration::from_millis(*at), request)
        })
        .collect();
    let operator = random.pick(&[0, 0, 4, 12]);
    for _ in 0..operator {
        let at = random.below(span);
        let known = times.iter().filter(|time| **time < at).count() as u64;
        let target = job_id(1 + random.below(known.max(1)));
        let request = match random.below(12) {
            0..=3 => Request::Cancel(target),
            4..=7 => Request::Retry(target, Duration::from_millis(random.pick(&[0, 0, 3000]))),
            8 | 9 => Request::Delete(target),
            10 => Request::Pause(random.pick(&QUEUES)),
            _ => Request::Resume(random.pick(&QUEUES)),
        };
        requests.push((Duration::from_millis(at), request));
    }
    requests
}

fn a_job(number: u64, poison: bool, random: &mut Random) -> NewJob {
    let (task, timeout) = match poison && random.percent(12) {
        true => (Task::Crash { times: 1 + random.below(4) as u32, ms: random.below(3000) }, None),
        false => a_task(random),
    };
    let reports = matches!(task, Task::Report { .. });
    let must_report = reports || (task == Task::Hang && random.percent(50));
    let rare = random.percent(15);
    let when = match random.below(10) {
        0..=7 => RunAt::Now,
        _ => RunAt::After(Duration::from_millis(random.below(20_000))),
    };
    NewJob {
        id: job_id(number),
        queue: random.pick(&QUEUES).to_owned(),
        priority: random.pick(&[0, 0, 0, 5, -5]),
        payload: Payload::from_value(&task).expect("a task is JSON"),
        when,
        max_attempts: 2 + random.below(4) as u32,
        // One that hangs is bound by the one or by the other.
        timeout: timeout.filter(|_| reports || !must_report),
        progress_timeout: must_report.then(|| s(4 + random.below(20))),
        retry: Some(RetryPolicy { base_ms: 500, factor: 2.0, max_ms: 5000, jitter: 0.2 }),
        ..job(if rare { "sim.rare" } else { "sim.common" })
    }
}

/// A task, with its time-out.
fn a_task(random: &mut Random) -> (Task, Option<Duration>) {
    let generous = |random: &mut Random, ms: u64| {
        random.percent(50).then(|| Duration::from_millis(ms * 2 + 10_000 + random.below(20_000)))
    };
    match random.below(20) {
        0..=4 => {
            let ms = random.below(30);
            (Task::Work { ms, returns: random.percent(40).then_some(ms) }, generous(random, ms))
        }
        5..=7 => {
            let ms = 300 + random.below(8000);
            (Task::Work { ms, returns: None }, generous(random, ms))
        }
        8 | 9 => {
            let ms = 12_000 + random.below(50_000);
            (Task::Work { ms, returns: Some(ms) }, generous(random, ms))
        }
        10 | 11 => (Task::Report { steps: 2 + random.below(30) as u32 }, None),
        12 | 13 => (Task::Fail { times: 1 + random.below(4) as u32, ms: random.below(2000) }, None),
        14 => (Task::Panic { times: 1 + random.below(2) as u32 }, None),
        15 => (Task::Fatal, None),
        16 => (Task::Snooze { times: 1 + random.below(3) as u32, ms: random.below(9000) }, None),
        17 | 18 => (Task::Ignore { ms: 5000 + random.below(40_000) }, None),
        _ => (Task::Hang, Some(Duration::from_millis(1000 + random.below(7000)))),
    }
}
