//! Applies the steps of a history to a store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use jobforge_core::claim::{ClaimAsk, QueueAsk};
use jobforge_core::heartbeat::Beat;
use jobforge_core::job::{ClaimedJob, Job, JobId, Lease, NewJob, WorkerId};
use jobforge_core::rescue::{OnLost, Rescue, RescuePolicy, plan};
use jobforge_core::retention::Retention;
use jobforge_core::settle::Settlement;
use jobforge_core::standing::Rules;
use jobforge_core::standing::assess;
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use jobforge_core::worker::NewWorker;
use jobforge_store::rows::{Enqueued, JobFilter, MAX_PAGE, Move};
use jobforge_store::{Store, StoreError};
use uuid::Uuid;

use super::random::{QUEUES, Random, TYPES, a_job, a_report, an_outcome};
use super::rows::{changes, obey};
use super::{Step, Trace, Verb};
use crate::fixtures::{asking, by, claim_as, json, new_worker, reported, start, sweep, unknown_job};

/// The worker that never gets a job.
const LOOKOUT: &str = "worker-0000eeee";
/// Workers that register before anything else happens.
const FIRST_WORKERS: u64 = 3;

/// What a history knows of the store it runs on.
pub(super) struct Runner {
    store: Arc<dyn Store>,
    pub(super) trace: Trace,
    now: Timestamp,
    /// Every job that was ever asked for, in order; a job's number is its place here.
    asked: Vec<NewJob>,
    workers: Vec<WorkerId>,
    /// Every claim that was ever given.
    claims: Vec<(WorkerId, ClaimedJob)>,
    /// The last settlements that were sent.
    sent: Option<(WorkerId, Vec<Settlement>)>,
    /// A plan that waits to be applied.
    rescues: Vec<Rescue>,
    rows: BTreeMap<JobId, Job>,
}

impl Runner {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            trace: Trace::default(),
            now: start(),
            asked: Vec::new(),
            workers: Vec::new(),
            claims: Vec::new(),
            sent: None,
            rescues: Vec::new(),
            rows: BTreeMap::new(),
        }
    }

    fn at(&self) -> Now {
        Now::Fixed(self.now)
    }

    /// Registers the first workers, and one that only looks out for what becomes due.
    pub(super) async fn begin(&mut self) -> Result<()> {
        let lookout = NewWorker {
            queues: Vec::new(),
            lease: Duration::from_secs(1_000_000_000),
            ..new_worker(LOOKOUT)
        };
        self.store.register(&lookout, self.at()).await?;
        for luck in 0..FIRST_WORKERS {
            self.register(&mut Random::new(luck)).await?;
        }
        Ok(())
    }

    pub(super) async fn step(&mut self, number: usize, step: &Step) -> Result<()> {
        let random = &mut Random::new(step.luck);
        let answer = match step.verb {
            Verb::Enqueue => self.enqueue(random).await?,
            Verb::Repeat => self.repeat(random).await?,
            Verb::Register => self.register(random).await?,
            Verb::Renew => self.renew(random).await?,
            Verb::Leave => self.leave(random).await?,
            Verb::Claim => self.claim(random).await?,
            Verb::Heartbeat => self.heartbeat(random).await?,
            Verb::Settle => self.settle(random).await?,
            Verb::Resend => self.resend().await?,
            Verb::Pass => self.pass(random.pick(&[10, 250, 1000, 1000, 3000, 7000, 15_000, 40_000])),
            Verb::PassDays => self.pass(86_400_000 * (1 + random.below(3))),
            Verb::Sweep => {
                format!("{}; {}; {}", self.expire().await?, self.scan(random).await?, self.apply().await?)
            }
            Verb::Scan => self.scan(random).await?,
            Verb::Apply => self.apply().await?,
            Verb::Expire => self.expire().await?,
            Verb::Cancel => self.operate(random, Move::Cancel).await?,
            Verb::Retry => {
                let delay = Duration::from_millis(random.pick(&[0, 0, 500, 5000]));
                self.operate(random, Move::Retry { delay }).await?
            }
            Verb::Delete => self.operate(random, Move::Delete).await?,
            Verb::Pause => {
                let (queue, paused) = (random.pick(&QUEUES), random.percent(30));
                format!(
                    "pause {queue} {paused}: {}",
                    self.store.pause_queue(queue, paused, &by(), self.at()).await?
                )
            }
            Verb::Purge => self.purge().await?,
            Verb::Reconcile => {
                // How much there was to mend is the engine's own affair; that nothing changes by it is not.
                self.store.reconcile(self.at()).await?;
                "reconcile".to_owned()
            }
            Verb::Look => self.look().await?,
        };
        let seconds = self.now.duration_since(start()).as_secs_f64();
        self.trace.lines.push(format!("step {number} at {seconds:.3} s: {answer}"));
        self.compare_rows(step.verb).await
    }

    fn pass(&mut self, milliseconds: u64) -> String {
        self.now = jobforge_core::time::add(self.now, Duration::from_millis(milliseconds));
        format!("{milliseconds} ms pass")
    }

    /// A name for a job that is the same on every engine.
    fn name(&self, id: JobId) -> String {
        match self.asked.iter().position(|job| job.id == id) {
            Some(number) => format!("j{number}"),
            None => "j?".to_owned(),
        }
    }

    fn names(&self, ids: &[JobId]) -> String {
        ids.iter().map(|id| self.name(*id)).collect::<Vec<_>>().join(" ")
    }

    /// Ids that sort by creation, as version 7 ids do, and are the same on every engine.
    fn new_id(&self) -> JobId {
        let ms = u128::from(self.now.as_millisecond().unsigned_abs());
        JobId(Uuid::from_u128((ms << 80) | (0x7 << 76) | (0b10 << 62) | (self.asked.len() as u128)))
    }

    async fn enqueue(&mut self, random: &mut Random) -> Result<String> {
        let mut batch = Vec::new();
        for _ in 0..=random.below(4) {
            let job = a_job(random, self.new_id(), self.now);
            self.asked.push(job.clone());
            batch.push(job);
        }
        self.send(batch).await
    }

    /// Asks again for jobs that were asked for before, now and then with another payload under the same id.
    async fn repeat(&mut self, random: &mut Random) -> Result<String> {
        let Some(index) = random.recent(self.asked.len()) else { return Ok("repeat nothing".to_owned()) };
        let mut again = self.asked[index].clone();
        if random.percent(30) {
            again.payload = json("[\"other\"]");
        }
        self.send(vec![again]).await
    }

    async fn send(&mut self, batch: Vec<NewJob>) -> Result<String> {
        let ids: Vec<JobId> = batch.iter().map(|job| job.id).collect();
        let told = match self.store.enqueue(&batch, self.at()).await {
            Ok(answers) => {
                let told = |answer: &Enqueued| {
                    format!(
                        "{} {}",
                        self.name(answer.id),
                        if answer.created { "created" } else { "existing" }
                    )
                };
                answers.iter().map(told).collect::<Vec<_>>().join(", ")
            }
            Err(StoreError::IdempotencyConflict { key, job_type, existing }) => {
                format!("conflict of {job_type} {key} with {}", self.name(existing))
            }
            Err(StoreError::DuplicateId(id)) => format!("duplicate id {}", self.name(id)),
            Err(error) => return Err(error.into()),
        };
        Ok(format!("enqueue {}: {told}", self.names(&ids)))
    }

    async fn register(&mut self, random: &mut Random) -> Result<String> {
        let id = WorkerId(format!("worker-{:08x}", self.workers.len()));
        let mut queues: Vec<String> = QUEUES.iter().map(|&queue| queue.to_owned()).collect();
        queues.truncate(1 + random.below(3) as usize);
        let worker = NewWorker {
            queues,
            types: random.percent(30).then(|| vec![random.pick(&TYPES).to_owned()]),
            lease: Duration::from_secs(random.pick(&[10, 30, 600, 600])),
            ..new_worker(id.as_str())
        };
        self.store.register(&worker, self.at()).await?;
        self.workers.push(id.clone());
        Ok(format!("register {id} for {:?}", worker.lease))
    }

    fn a_worker(&self, random: &mut Random) -> WorkerId {
        match random.recent(self.workers.len()) {
            Some(index) if random.percent(97) => self.workers[index].clone(),
            _ => WorkerId("worker-0badbad0".to_owned()),
        }
    }

    async fn renew(&mut self, random: &mut Random) -> Result<String> {
        let (worker, draining) = (self.a_worker(random), random.percent(10));
        let kept = self.store.renew(&worker, draining, None, self.at()).await?.is_some();
        Ok(format!("renew {worker} draining {draining}: {kept}"))
    }

    async fn leave(&mut self, random: &mut Random) -> Result<String> {
        let worker = self.a_worker(random);
        self.store.leave(&worker, "asked to", self.at()).await?;
        Ok(format!("leave {worker}"))
    }

    async fn claim(&mut self, random: &mut Random) -> Result<String> {
        let worker = self.a_worker(random);
        // An engine may take notice of jobs that have just become due in one claim and give them in the next.
        // A claim that can give nothing lets both engines notice first.
        let lookout = asking(&WorkerId(LOOKOUT.to_owned()), "no-such-queue", 1);
        let next_due = claim_as(&self.store, &lookout, self.at()).await?.next_due;
        let mut queues = Vec::new();
        for queue in QUEUES {
            if random.percent(80) {
                queues.push(QueueAsk { queue: queue.to_owned(), limit: random.below(5) as usize });
            }
        }
        let ask = ClaimAsk {
            types: random
                .percent(20)
                .then(|| vec![random.pick(&TYPES).to_owned(), random.pick(&TYPES).to_owned()]),
            tenant: None,
            beat_due_in: Duration::from_secs(random.pick(&[3, 30, 120])),
            beat_interval: None,
            queues,
            alone: random.percent(10),
            ..asking(&worker, "", 0)
        };
        let claimed = self.store.claim(&ask, self.at()).await?;
        let asked: Vec<String> =
            ask.queues.iter().map(|ask| format!("{} {}", ask.queue, ask.limit)).collect();
        let mut given: Vec<String> = Vec::new();
        let mut jobs = claimed.jobs;
        // The order across queues is not promised, the order within each is.
        jobs.sort_by(|a, b| a.queue.cmp(&b.queue));
        for job in jobs {
            given.push(format!("{} attempt {} lease {}", self.name(job.id), job.attempt, job.lease));
            self.claims.push((worker.clone(), job));
        }
        let due = next_due.map_or_else(|| "never".to_owned(), |at| at.to_string());
        Ok(format!(
            "claim {worker} [{}] {:?}: {}; next due {due}",
            asked.join(", "),
            ask.types,
            given.join(", ")
        ))
    }

    /// Some claims of one worker: mostly such that still hold, but also old ones, now and then under a wrong lease or name.
    fn held(&self, random: &mut Random) -> Option<(WorkerId, Vec<ClaimedJob>)> {
        let holds = |job: &ClaimedJob| {
            self.rows.get(&job.id).is_some_and(|row| row.status == Status::Running && row.lease == job.lease)
        };
        let only_held = random.percent(75);
        let mut claims: Vec<_> = self.claims.iter().filter(|(_, job)| !only_held || holds(job)).collect();
        if claims.is_empty() {
            claims.extend(&self.claims);
        }
        let first = random.recent(claims.len())?;
        let (owner, _) = claims[first];
        let of_owner = claims[first..].iter().filter(|(worker, _)| worker == owner);
        let mut jobs = Vec::new();
        for (_, job) in of_owner.take(1 + random.below(4) as usize) {
            // What the answers of one batch say about one job under two leases is not promised in full.
            if jobs.iter().any(|other: &ClaimedJob| other.id == job.id) {
                continue;
            }
            let mut job = job.clone();
            if random.percent(5) {
                job.lease = Lease(job.lease.0 + random.pick(&[-1, 1]));
            }
            jobs.push(job);
        }
        let worker = if random.percent(5) { self.a_worker(random) } else { owner.clone() };
        Some((worker, jobs))
    }

    async fn heartbeat(&mut self, random: &mut Random) -> Result<String> {
        let Some((worker, jobs)) = self.held(random) else { return Ok("heartbeat of nothing".to_owned()) };
        let due_in = Duration::from_secs(random.pick(&[3, 30, 120]));
        let beat = |job: &ClaimedJob| Beat {
            id: job.id,
            lease: job.lease,
            due_in,
            interval: Some(due_in / 4),
            report: a_report(random),
        };
        let beats: Vec<Beat> = jobs.iter().map(beat).collect();
        let answers = self.store.heartbeat(&worker, &beats, self.at()).await?;
        ensure!(answers.len() == beats.len(), "{} answers to {} beats", answers.len(), beats.len());
        let told =
            |(beat, answer): (&Beat, _)| format!("{} lease {} {answer:?}", self.name(beat.id), beat.lease);
        let told: Vec<String> = beats.iter().zip(answers).map(told).collect();
        Ok(format!("heartbeat {worker}: {}", told.join(", ")))
    }

    async fn settle(&mut self, random: &mut Random) -> Result<String> {
        let Some((worker, jobs)) = self.held(random) else { return Ok("settle nothing".to_owned()) };
        let mut settlements = Vec::new();
        for job in &jobs {
            let outcome = an_outcome(random);
            settlements.push(reported(job, outcome, a_report(random)));
        }
        if random.percent(10) {
            settlements.push(settlements[0].clone());
        }
        self.end(worker, settlements).await
    }

    /// Sends the last settlements again, as after a lost answer.
    async fn resend(&mut self) -> Result<String> {
        match self.sent.clone() {
            Some((worker, settlements)) => self.end(worker, settlements).await,
            None => Ok("resend nothing".to_owned()),
        }
    }

    async fn end(&mut self, worker: WorkerId, settlements: Vec<Settlement>) -> Result<String> {
        let answers = self.store.settle(&worker, &settlements, self.at()).await?;
        ensure!(answers.len() == settlements.len(), "{} answers to {}", answers.len(), settlements.len());
        let told = |(end, answer): (&Settlement, _)| {
            format!("{} lease {} to {} {answer:?}", self.name(end.id), end.lease, end.to)
        };
        let told: Vec<String> = settlements.iter().zip(&answers).map(told).collect();
        let line = format!("settle {worker}: {}", told.join(", "));
        self.sent = Some((worker, settlements));
        Ok(line)
    }

    async fn expire(&mut self) -> Result<String> {
        let mut lost = self.store.expire_workers(u32::MAX, self.at()).await?;
        lost.sort();
        Ok(format!("expire: {lost:?}"))
    }

    async fn scan(&mut self, random: &mut Random) -> Result<String> {
        let policy = RescuePolicy {
            heartbeats: random.percent(90),
            max_misses: 2,
            on_lost: random
                .pick(&[OnLost::Requeue, OnLost::Requeue, OnLost::Fail, OnLost::DeadLetter])
                .into(),
            fast: Vec::new(),
        };
        let page = self.store.suspects(&[], MAX_PAGE, self.at()).await?;
        ensure!(page.as_of == self.now, "the page is of {}", page.as_of);
        self.rescues = plan(&page, &policy);
        self.rescues.sort_by_key(|rescue| rescue.id);
        let told =
            |rescue: &Rescue| format!("{} to {}: {}", self.name(rescue.id), rescue.to, rescue.error.message);
        Ok(format!("scan: {}", self.rescues.iter().map(told).collect::<Vec<_>>().join("; ")))
    }

    /// Applies the last plan, which may be old by now, or applied before.
    async fn apply(&mut self) -> Result<String> {
        let mut report = self.store.apply_rescues(&self.rescues, self.at()).await?;
        report.moved.sort();
        report.lost_races.sort();
        Ok(format!(
            "rescue: moved {}; too late for {}",
            self.names(&report.moved),
            self.names(&report.lost_races)
        ))
    }

    async fn operate(&mut self, random: &mut Random, step: Move) -> Result<String> {
        let mut ids = Vec::new();
        for _ in 0..=random.below(3) {
            let id = match random.recent(self.asked.len()) {
                Some(index) if random.percent(95) => self.asked[index].id,
                _ => unknown_job(),
            };
            // What the second answer of two about one job says is not promised.
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        let answers = self.store.move_jobs(&ids, step, &by(), self.at()).await?;
        Ok(format!("{step:?} {}: {answers:?}", self.names(&ids)))
    }

    async fn purge(&mut self) -> Result<String> {
        let retention = Retention { succeeded_days: 1, failed_days: 2, dead_days: 2, canceled_days: 1 };
        let mut gone = self.store.purge(&retention, self.at()).await?;
        gone.retain(|(_, count)| *count > 0);
        gone.sort();
        Ok(format!("purge: {gone:?}"))
    }

    /// Everything that can be seen without naming a job.
    async fn look(&mut self) -> Result<String> {
        let mut queues = self.store.queues(self.at()).await?;
        queues.sort_by(|a, b| a.name.cmp(&b.name));
        let mut workers = self.store.workers(self.at()).await?;
        workers.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(format!("look: {queues:?} {workers:?}"))
    }

    /// Writes the rows that the step changed, after asking whether it may have.
    async fn compare_rows(&mut self, verb: Verb) -> Result<()> {
        let listed = self.store.jobs(&JobFilter { limit: MAX_PAGE, ..JobFilter::default() }).await?;
        ensure!(listed.windows(2).all(|pair| pair[0].id > pair[1].id), "the list is not newest first");
        let mut before: BTreeMap<JobId, Job> = listed.into_iter().map(|job| (job.id, job)).collect();
        std::mem::swap(&mut before, &mut self.rows);
        for (id, job) in &self.rows {
            let old = before.remove(id);
            let changes = changes(old.as_ref(), job);
            if changes.is_empty() {
                continue;
            }
            let line = format!("  {}: {changes}", self.name(*id));
            obey(old.as_ref(), job, verb).with_context(|| line.clone())?;
            self.trace.lines.push(line);
        }
        for id in before.keys() {
            self.trace.lines.push(format!("  {} is no more", self.name(*id)));
            ensure!(matches!(verb, Verb::Delete | Verb::Purge), "{} vanished by {verb:?}", self.name(*id));
        }
        Ok(())
    }

    /// Writes all that is kept of each job, and asks the store whether it is consistent.
    pub(super) async fn finish(&mut self) -> Result<()> {
        self.trace.lines.push("at the end:".to_owned());
        for (id, job) in self.rows.clone() {
            let name = self.name(id);
            let detail = self.store.job_detail(id).await?.with_context(|| format!("{name} has no detail"))?;
            let differs = changes(Some(&job), &detail.job);
            ensure!(differs.is_empty(), "{name} differs between list and detail: {differs}");
            let result = detail.result.map(|result| result.decode::<serde_json::Value>()).transpose()?;
            self.trace.lines.push(format!("{name} result {result:?} logs {:?}", detail.logs));
            for attempt in detail.attempts {
                self.trace.lines.push(format!("{name} {attempt:?}"));
            }
            let facts =
                self.store.job_facts(id, self.at()).await?.with_context(|| format!("{name} has no facts"))?;
            let standing = assess(&facts, &Rules::default());
            ensure!(!standing.headline.is_empty() && !standing.evidence.is_empty(), "{name} has no standing");
            self.trace.lines.push(format!("{name} {standing:?}"));
        }
        let look = self.look().await?;
        self.trace.lines.push(look);
        // A lease that nobody looked after is no inconsistency.
        sweep(&self.store, &RescuePolicy::default(), self.at()).await?;
        let findings = self.store.check(self.at()).await?;
        ensure!(findings.is_empty(), "inconsistent: {findings:#?}");
        Ok(())
    }
}
