//! A worker's view of a store that another process owns: every call goes over that process's Unix socket, in the
//! worker protocol that `docs/worker-protocol.md` describes.
//!
//! Nothing is kept here that the server does not know, but for one thing: which jobs the worker has been told of. After
//! a claim whose answer was lost, the next one tells the server, which then gives again what did not arrive.

mod held;
mod lane;
mod path;
mod signals;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jobforge_api::millis;
use jobforge_api::worker::{
    BeatAnswer, ClaimAnswer, ClaimRequest, DeathAnswer, DeathRequest, HeartbeatAnswer, HeartbeatRequest,
    JobBeat, JobReport, JobResult, LeaseState, LeaveRequest, PurgeAnswer, PurgeRequest, QueueRoomView,
    RegisterAnswer, RegisterRequest, ResultAnswer, ResultsAnswer, ResultsRequest, SampleRequest, WorkerMode,
};
use jobforge_core::claim::{ClaimAsk, Claimed, QueueAsk};
use jobforge_core::death::DeathReport;
use jobforge_core::heartbeat::{Beat, BeatReply};
use jobforge_core::job::WorkerId;
use jobforge_core::retention::Retention;
use jobforge_core::settings::Stored;
use jobforge_core::settle::{Settled, Settlement};
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use jobforge_core::worker::{LeaseWish, NewWorker, Renewal};
use jobforge_store::StoreError;
use jobforge_store::error::Result;
use jobforge_store::rows::{Deaths, WakeEvent};
use jobforge_store::traits::{Purge, Samples, StoredSettings, Wake, WorkerSide};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use held::HeldJobs;
use lane::{Lane, portions};

pub use path::{ShortPath, socket_path};

/// Events kept for a subscriber that is slow; one that falls behind is told that it missed some.
const WAKE_BACKLOG: usize = 1024;
/// What this library calls itself to the server.
const SDK: &str = concat!("jobforge-rust/", env!("CARGO_PKG_VERSION"));

/// What a worker needs of a store, over the socket of the process that owns it.
///
/// Calls fail as those of a database do that cannot be reached, and succeed again when the server is back: connections
/// are made as needed. One connection for each concern, so that none waits for another's answer.
#[derive(Debug)]
pub struct RemoteStore {
    socket: PathBuf,
    claims: Lane,
    renewals: Lane,
    beats: Lane,
    results: Lane,
    others: Lane,
    wake: broadcast::Sender<WakeEvent>,
    supervised: bool,
    known: Mutex<Known>,
}

/// What is known of the worker that speaks through this store.
#[derive(Debug, Default)]
struct Known {
    worker: Option<WorkerId>,
    held: HeldJobs,
    listener: Option<JoinHandle<()>>,
}

impl RemoteStore {
    /// A store behind the socket; connects when it is first needed. It serves one worker.
    pub fn at(socket: impl Into<PathBuf>) -> Self {
        let socket = socket.into();
        let lane = || Lane::new(socket.clone());
        Self {
            claims: lane(),
            renewals: lane(),
            beats: lane(),
            results: lane(),
            others: lane(),
            wake: broadcast::channel(WAKE_BACKLOG).0,
            supervised: false,
            known: Mutex::default(),
            socket,
        }
    }

    /// Tells the server that a supervisor watches this process and will report how it ended.
    #[must_use]
    pub fn supervised(mut self) -> Self {
        self.supervised = true;
        self
    }

    /// Where the server listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Makes sure that a server answers.
    ///
    /// # Errors
    /// `Unreachable` when nobody listens, or what the server refused.
    pub async fn reach(&self) -> Result<()> {
        self.others.get("reach", "/livez").await
    }

    /// Reports how a process of this machine ended, as its parent saw it. May be sent again.
    ///
    /// # Errors
    /// As those of a database; `Failed` when the server cannot see that the process has ended.
    pub async fn report_death(&self, report: &DeathReport) -> Result<DeathAnswer> {
        match DeathRequest::of(report) {
            Some(request) => self.others.post("deaths", &request).await,
            None => Err(self.failed("deaths", "no parent sees a process end in this way")),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a new incarnation, whose signals are listened to from now on.
    fn begin(&self, worker: &WorkerId) {
        let mut known = self.known();
        if known.worker.as_ref() == Some(worker) {
            return;
        }
        if let Some(old) = known.listener.take() {
            old.abort();
        }
        let listener = signals::listen(self.socket.clone(), worker.clone(), self.wake.clone());
        *known = Known {
            worker: Some(worker.clone()),
            held: HeldJobs::default(),
            listener: Some(tokio::spawn(listener)),
        };
    }

    /// Says that an answer makes no sense.
    fn odd(&self, call: &'static str, fault: &str) -> StoreError {
        self.failed(call, &format!("the server's answer does not fit the request: {fault}"))
    }

    fn failed(&self, call: &'static str, fault: &str) -> StoreError {
        StoreError::Failed { location: self.socket.display().to_string(), call, source: fault.into() }
    }
}

impl Drop for RemoteStore {
    fn drop(&mut self) {
        if let Some(listener) = self.known().listener.take() {
            listener.abort();
        }
    }
}

#[async_trait]
impl WorkerSide for RemoteStore {
    async fn register(&self, worker: &NewWorker, _: Now) -> Result<Deaths> {
        let request = RegisterRequest {
            worker_id: Some(worker.id.clone()),
            name: worker.name.clone(),
            host: worker.hostname.clone(),
            pid: worker.pid,
            sdk: Some(SDK.to_owned()),
            queues: worker.queues.clone(),
            types: worker.types.clone(),
            slots: worker.slots,
            lease_ms: Some(millis(worker.lease)),
            supervised: self.supervised,
        };
        let answer: RegisterAnswer = self.others.post("register", &request).await?;
        if answer.worker_id != worker.id {
            return Err(self.odd("register", "it is for another worker"));
        }
        self.begin(&worker.id);
        Ok(Deaths::default())
    }

    async fn claim(&self, ask: &ClaimAsk, _: Now) -> Result<Claimed> {
        let request = ClaimRequest {
            worker_id: ask.worker.clone(),
            queues: ask.queues.iter().map(queue_room).collect(),
            types: ask.types.clone(),
            // The signals tell when there is work, so nothing need be held open.
            wait_ms: 0,
            heartbeat_due_ms: Some(millis(ask.beat_due_in)),
            heartbeat_interval_ms: ask.beat_interval.map(millis),
            alone: ask.alone,
            bounds: ask.bounds.clone(),
            // Until the answer is here, its being lost must be reckoned with: this call may be dropped at any moment.
            held: self.known().held.before_claim(),
        };
        let answer: ClaimAnswer = self.claims.post("claim", &request).await?;
        let mut known = self.known();
        if known.worker.as_ref() == Some(&ask.worker) {
            known.held.claimed(&answer.jobs);
        }
        drop(known);
        Ok(Claimed::from(answer))
    }

    async fn renew(
        &self,
        worker: &WorkerId,
        draining: bool,
        wish: Option<LeaseWish>,
        _: Now,
    ) -> Result<Option<Renewal>> {
        let state = if draining { WorkerMode::Draining } else { WorkerMode::Run };
        let request = HeartbeatRequest {
            worker_id: worker.clone(),
            state: Some(state),
            lease_ms: wish.map(|wish| millis(wish.lease)),
            jobs: Vec::new(),
        };
        let answer: HeartbeatAnswer = self.renewals.post("heartbeat", &request).await?;
        match (answer.worker, answer.lease_ms) {
            (Some(LeaseState::Lost), _) => Ok(None),
            (Some(LeaseState::Live), Some(lease_ms)) => Ok(Some(Renewal {
                lease: Duration::from_millis(lease_ms),
                epoch: answer.epoch.unwrap_or_default(),
                restart: answer.restart,
            })),
            (Some(LeaseState::Live) | None, _) => {
                Err(self.odd("heartbeat", "it says nothing of the lease, or of how long it lasts"))
            }
        }
    }

    async fn heartbeat(&self, worker: &WorkerId, beats: &[Beat], _: Now) -> Result<Vec<BeatReply>> {
        let jobs: Vec<JobBeat> = beats.iter().map(job_beat).collect();
        let request =
            |jobs| HeartbeatRequest { worker_id: worker.clone(), state: None, lease_ms: None, jobs };
        let mut answers: Vec<BeatAnswer> = Vec::with_capacity(beats.len());
        for jobs in portions(jobs) {
            let answer: HeartbeatAnswer = self.beats.post("heartbeat", &request(jobs)).await?;
            answers.extend(answer.jobs);
        }
        if !answers.iter().map(|answer| answer.id).eq(beats.iter().map(|beat| beat.id)) {
            return Err(self.odd("heartbeat", "it is about other jobs"));
        }
        let replies: Vec<BeatReply> = answers.iter().map(BeatAnswer::reply).collect();
        let mut known = self.known();
        for (beat, reply) in beats.iter().zip(&replies) {
            if *reply != BeatReply::Kept {
                known.held.ended(beat.id, beat.lease);
            }
        }
        drop(known);
        Ok(replies)
    }

    async fn settle(&self, worker: &WorkerId, settlements: &[Settlement], _: Now) -> Result<Vec<Settled>> {
        let results: Option<Vec<JobResult>> = settlements.iter().map(JobResult::of).collect();
        let Some(results) = results else {
            return Err(self.odd("results", "no worker ends an attempt in this way"));
        };
        let request = |results| ResultsRequest { worker_id: worker.clone(), results, claim: None };
        let mut answers: Vec<ResultAnswer> = Vec::with_capacity(settlements.len());
        for results in portions(results) {
            let answer: ResultsAnswer = self.results.post("results", &request(results)).await?;
            answers.extend(answer.results);
        }
        if !answers.iter().map(|answer| answer.id).eq(settlements.iter().map(|plan| plan.id)) {
            return Err(self.odd("results", "it is about other jobs"));
        }
        let mut known = self.known();
        for plan in settlements {
            known.held.ended(plan.id, plan.lease);
        }
        drop(known);
        Ok(answers.iter().map(ResultAnswer::settled).collect())
    }

    async fn leave(&self, worker: &WorkerId, reason: &str, _: Now) -> Result<()> {
        let request = LeaveRequest { worker_id: worker.clone(), reason: Some(reason.to_owned()) };
        self.others.tell("leave", &request).await
    }
}

#[async_trait]
impl Purge for RemoteStore {
    async fn purge(&self, retention: &Retention, _: Now) -> Result<Vec<(Status, u64)>> {
        self.purge_as(retention, false).await
    }

    async fn purgeable(&self, retention: &Retention, _: Now) -> Result<Vec<(Status, u64)>> {
        self.purge_as(retention, true).await
    }
}

impl RemoteStore {
    async fn purge_as(&self, retention: &Retention, dry_run: bool) -> Result<Vec<(Status, u64)>> {
        let worker_id = self.known().worker.clone();
        let worker_id = worker_id.ok_or_else(|| self.odd("purge", "no worker has registered"))?;
        let request = PurgeRequest { worker_id, keep: *retention, dry_run };
        let answer: PurgeAnswer = self.others.post("purge", &request).await?;
        Ok(answer.deleted)
    }
}

#[async_trait]
impl StoredSettings for RemoteStore {
    async fn stored_settings(&self, _: Now) -> Result<Stored> {
        self.others.post("settings", &serde_json::json!({})).await
    }
}

#[async_trait]
impl Samples for RemoteStore {
    async fn put_sample(&self, process: &str, series: &str, _: Now) -> Result<()> {
        let request = SampleRequest { process: process.to_owned(), series: series.to_owned() };
        self.others.post("samples", &request).await
    }
}

impl Wake for RemoteStore {
    fn subscribe(&self) -> broadcast::Receiver<WakeEvent> {
        self.wake.subscribe()
    }
}

fn queue_room(asked: &QueueAsk) -> QueueRoomView {
    QueueRoomView { name: asked.queue.clone(), max: asked.limit }
}

fn job_beat(beat: &Beat) -> JobBeat {
    JobBeat {
        id: beat.id,
        fence: beat.lease,
        due_in_ms: Some(millis(beat.due_in)),
        interval_ms: beat.interval.map(millis),
        report: JobReport::of(beat.report.clone()),
    }
}
