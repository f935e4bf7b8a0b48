//! What all simulated processes share: the time, the one database, the links to it and what is under way on them.
//!
//! The database is the real SQLite engine in memory. It is asked with the simulation's clock in place of its own, and each
//! call to it runs to its end while simulated time stands still.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use anyhow::Result as Fallible;
use jiff::{SignedDuration, Timestamp};
use jobforge_core::time::{Now, add};
use jobforge_store::rows::{Deaths, WakeEvent};
use jobforge_store::sqlite::SqliteStore;
use jobforge_store::traits::{Admin, Wake as _};
use jobforge_store::{Result, Store, StoreError};
use tokio::sync::{broadcast, oneshot};

use super::broken::Broken;
use super::event::{Cut, Event, ProcessId, What};
use super::link::{CallWeather, Fate, Link};
use crate::fixtures::start;
use crate::history::Random;

/// The world, for everybody in it.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<World>>);

impl Shared {
    pub(super) fn new(world: World) -> Self {
        Self(Arc::new(Mutex::new(world)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// Everything that is not inside a process.
pub(super) struct World {
    /// How long it has been going on.
    pub(super) now: Duration,
    pub(super) random: Random,
    pub(super) calls: CallWeather,
    pub(super) broken: Option<Broken>,
    pub(super) links: BTreeMap<ProcessId, Link>,
    store: Arc<dyn Store>,
    /// What the database's clock has stepped by.
    stepped: SignedDuration,
    down: bool,
    wakes: broadcast::Receiver<WakeEvent>,
    under_way: BinaryHeap<Reverse<Letter>>,
    letters: u64,
    /// Calls in the present step of the simulation.
    calls_in_step: u32,
    events: Vec<Event>,
}

/// A request on its way to the database, or an answer on its way back. The sender's fate does not concern it.
struct Letter {
    due: Duration,
    number: u64,
    open: Box<dyn FnOnce(&mut World) + Send>,
}

/// What becomes of a call: an answer now, later or never.
pub(super) enum Reply<T> {
    Now(Result<T>),
    Later(oneshot::Receiver<Result<T>>),
    Never,
}

/// Many more calls than all processes together have reason for in one step.
const FLOOD: u32 = 2000;

impl World {
    /// A world with an empty database.
    pub(super) fn new(random: Random, calls: CallWeather, broken: Option<Broken>) -> Fallible<Self> {
        let store = SqliteStore::open_in_memory()?;
        wait(store.migrate())?;
        let wakes = store.subscribe();
        Ok(Self {
            now: Duration::ZERO,
            random,
            calls,
            broken,
            links: BTreeMap::new(),
            store: Arc::new(store),
            stepped: SignedDuration::ZERO,
            down: false,
            wakes,
            under_way: BinaryHeap::new(),
            letters: 0,
            calls_in_step: 0,
            events: Vec::new(),
        })
    }

    /// The database's clock.
    pub(super) fn clock(&self) -> Timestamp {
        add(start(), self.now) + self.stepped
    }

    /// The database's clock, for a call.
    pub(super) fn at(&self) -> Now {
        Now::Fixed(self.clock())
    }

    /// The same, unless the caller names a moment.
    pub(super) fn at_or(&self, asked: Now) -> Now {
        asked.fixed().map_or_else(|| self.at(), Now::Fixed)
    }

    /// The database itself, for the checkers and for those who serve a call.
    pub(super) fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// Notes what happened.
    pub(super) fn tell(&mut self, what: What) {
        self.events.push(Event { at: self.now, what });
    }

    /// Notes which workers were proven dead, and what became of their jobs.
    pub(super) fn tell_deaths(&mut self, deaths: &Deaths) {
        for worker in &deaths.workers {
            self.tell(What::Died { worker: worker.clone() });
        }
        for line in &deaths.moved {
            let (job, lease, to) = (line.id, line.lease, line.to);
            self.tell(What::Rescued { job, lease, to, cause: line.error.kind.clone() });
        }
    }

    /// What happened since this was asked last.
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Sends a call from a process to the database, over a link that may do anything to it.
    pub(super) fn send<T: Send + 'static>(
        &mut self,
        process: ProcessId,
        call: &'static str,
        work: impl FnOnce(&mut Self) -> Result<T> + Send + 'static,
    ) -> Reply<T> {
        // Whoever asks again and again without a pause would hold up the simulation for ever.
        self.calls_in_step += 1;
        if self.calls_in_step > FLOOD {
            return Reply::Never;
        }
        if self.calls_in_step == FLOOD {
            self.tell(What::Flooded { process, call });
        }
        let fate = self.fate(process);
        if let Some(until) = fate.slow_until(self.now) {
            self.tell(What::Slow { process, call, until });
        }
        let Fate { there, back, error_after } = fate;
        match (there, back) {
            (Some(Duration::ZERO), Some(Duration::ZERO)) => return Reply::Now(self.serve(call, work)),
            (None, _) if error_after.is_zero() => return Reply::Now(Err(unreachable(call))),
            _ => {}
        }
        let (sender, receiver) = oneshot::channel();
        let Some(there) = there else {
            self.post(error_after, move |_| drop(sender.send(Err(unreachable(call)))));
            return Reply::Later(receiver);
        };
        self.post(there, move |world| {
            let answer = world.serve(call, work);
            let back_after = back.unwrap_or(error_after);
            world.post(back_after, move |world| {
                let heard = back.is_some() && !world.down && world.hears(process);
                // Whoever asked may have given up, or be dead.
                let _ = sender.send(if heard { answer } else { Err(interrupted(call)) });
            });
        });
        Reply::Later(receiver)
    }

    /// Does what a call asks for, if the database is there.
    fn serve<T>(&mut self, call: &'static str, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.down {
            return Err(unreachable(call));
        }
        work(self)
    }

    fn post(&mut self, after: Duration, open: impl FnOnce(&mut Self) + Send + 'static) {
        self.letters += 1;
        let letter = Letter { due: self.now + after, number: self.letters, open: Box::new(open) };
        self.under_way.push(Reverse(letter));
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, by: Duration) {
        self.now += by;
        self.calls_in_step = 0;
    }

    /// Delivers what has arrived by now.
    pub(super) fn deliver(&mut self) {
        while self.under_way.peek().is_some_and(|Reverse(letter)| letter.due <= self.now) {
            if let Some(Reverse(letter)) = self.under_way.pop() {
                (letter.open)(self);
            }
        }
    }

    /// Passes on what the database announced during the last call.
    pub(super) fn announce(&mut self) {
        // The writer announces after it has answered: when it has answered once more, it has announced.
        let _ = wait(self.store.now());
        while let Ok(event) = self.wakes.try_recv() {
            let hushed = self.broken == Some(Broken::ClockWithoutSuspend);
            let (lost, random) = (if hushed { 1000 } else { self.calls.lost_wakes }, &mut self.random);
            for link in self.links.values_mut() {
                if link.cut.is_some_and(|cut| cut != Cut::Requests) {
                    link.missed = true;
                } else if random.below(1000) >= lost {
                    // Nobody may listen.
                    let _ = link.mail.send(event.clone());
                }
            }
        }
    }

    /// Whether answers reach a process.
    fn hears(&self, process: ProcessId) -> bool {
        let link = self.links.get(&process);
        link.is_some_and(|link| link.cut.is_none_or(|cut| cut == Cut::Requests))
    }

    /// Draws what becomes of one call.
    fn fate(&mut self, process: ProcessId) -> Fate {
        match self.links.get(&process) {
            Some(link) => Fate::draw(link, &self.calls, &mut self.random),
            None => Fate::NOT_SENT,
        }
    }

    /// Takes the database down, or brings it back. Whoever listened then looks at everything.
    pub(super) fn set_down(&mut self, down: bool) {
        if self.down == down {
            return;
        }
        self.down = down;
        self.tell(if down { What::Down } else { What::Up });
        if !down {
            for link in self.links.values_mut() {
                let _ = link.mail.send(WakeEvent::Everything);
            }
        }
    }

    /// Cuts the link of a process, or mends it.
    pub(super) fn set_cut(&mut self, process: ProcessId, cut: Option<Cut>) {
        let Some(link) = self.links.get_mut(&process) else { return };
        if link.cut == cut {
            return;
        }
        link.cut = cut;
        if cut.is_none() && std::mem::take(&mut link.missed) {
            let _ = link.mail.send(WakeEvent::Everything);
        }
        self.tell(match cut {
            Some(what) => What::Cut { process, what },
            None => What::Healed { process },
        });
    }

    /// Moves the database's clock.
    pub(super) fn step_clock(&mut self, by_ms: i64) {
        self.stepped += SignedDuration::from_millis(by_ms);
        self.tell(What::ClockStepped { by_ms });
    }
}

impl PartialEq for Letter {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Letter {}

impl PartialOrd for Letter {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Letter {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

fn unreachable(call: &'static str) -> StoreError {
    StoreError::Unreachable {
        location: "simulation".to_owned(),
        source: format!("{call} was refused").into(),
    }
}

fn interrupted(call: &'static str) -> StoreError {
    StoreError::Interrupted {
        location: "simulation".to_owned(),
        call,
        source: "the answer did not come".into(),
    }
}

struct Bell(Thread);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a call of the real store to its end, on this thread. Simulated time stands still meanwhile.
pub(super) fn wait<T>(call: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Bell(thread::current())));
    let mut context = Context::from_waker(&waker);
    // Inside a task that has done much at once tokio would have it wait for the task's next turn, which never comes.
    let mut call = pin!(tokio::task::unconstrained(call));
    loop {
        if let Poll::Ready(answer) = call.as_mut().poll(&mut context) {
            return answer;
        }
        thread::park();
    }
}
