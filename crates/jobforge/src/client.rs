//! Putting jobs in and asking about them.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jobforge_core::audit::{By, Deed};
use jobforge_core::enqueue::{DEFAULT_QUEUE, JobRequest, check_name, validate};
use jobforge_core::job::{Job, JobId, NewJob};
use jobforge_core::metric::table::ENQUEUED;
use jobforge_core::metric::{OTHER, process};
use jobforge_core::payload::Payload;
use jobforge_core::standing::{Rules, Standing, assess};
use jobforge_core::time::Now;
use jobforge_store::postgres::enqueue_in;
use jobforge_store::rows::{Enqueued, JobDetail, JobFilter, JobPage, Move, Moved, WakeEvent};
use jobforge_store::{Store, StoreError};
use tokio::sync::broadcast::error::RecvError;
use tracing::Instrument;

use crate::error::Error;
use crate::job_type::JobType;
use crate::open::{OpenOptions, open_store};
use crate::payloads::Payloads;
use crate::trace;

/// Between two looks of [`Client::wait`] when nothing announces a change.
const WAIT_LOOKS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// A handle on the jobs of one database. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    store: Arc<dyn Store>,
    author: Option<String>,
    by: By,
    pub(crate) payloads: Option<Payloads>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("location", &self.store.location()).finish_non_exhaustive()
    }
}

/// What an enqueue gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The job that now stands for the request.
    pub id: JobId,
    /// Whether it was created now; false when its idempotency key was known.
    pub created: bool,
}

impl From<Enqueued> for Receipt {
    fn from(enqueued: Enqueued) -> Self {
        Self { id: enqueued.id, created: enqueued.created }
    }
}

impl Client {
    /// Opens `postgres://…` or `sqlite:PATH`; an embedded database is created and migrated on the way.
    ///
    /// # Errors
    /// When the database cannot be opened or its schema does not fit.
    pub async fn open(url: &str) -> Result<Self, Error> {
        Ok(Self::new(open_store(&OpenOptions::for_url(url)).await?))
    }

    /// Wraps a store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, author: None, by: By::named("library"), payloads: None }
    }

    /// Names who enqueues, for the history, and who moves jobs, for the audit log.
    #[must_use]
    pub fn author(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.by.actor.clone_from(&name);
        self.author = Some(name);
        self
    }

    /// The same for one person or request, with its reason.
    #[must_use]
    pub fn acting(self, by: By) -> Self {
        Self { author: Some(by.actor.clone()), by, ..self }
    }

    /// By whom jobs are moved.
    pub fn by(&self) -> &By {
        &self.by
    }

    /// The store below.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Begins to enqueue a typed job; `.await` it, or set options first.
    #[expect(clippy::needless_pass_by_value, reason = "a job is handed over, also in how the call reads")]
    pub fn enqueue<J: JobType>(&self, job: J) -> Enqueue {
        let mut request = JobRequest {
            job_type: J::TYPE.to_owned(),
            queue: Some(J::QUEUE.to_owned()),
            max_attempts: Some(i64::from(J::MAX_ATTEMPTS)),
            timeout_ms: J::TIMEOUT.map(millis),
            progress_timeout_ms: J::PROGRESS_TIMEOUT.map(millis),
            retry: J::RETRY,
            ..JobRequest::default()
        };
        let most = self.max_payload_bytes();
        let fault =
            Payload::from_value_within(&job, most).map(|payload| request.payload = Some(payload)).err();
        Enqueue { client: self.clone(), request, fault }
    }

    /// Begins to enqueue a job by the name of its type.
    pub fn enqueue_untyped(&self, request: JobRequest) -> Enqueue {
        Enqueue { client: self.clone(), request, fault: None }
    }

    /// Enqueues all of the jobs or none, in one transaction.
    ///
    /// # Errors
    /// As a single enqueue; the first fault refuses the whole batch.
    pub async fn enqueue_many(&self, jobs: Vec<Enqueue>) -> Result<Vec<Receipt>, Error> {
        let jobs = jobs.into_iter().map(Enqueue::into_job).collect::<Result<Vec<_>, _>>()?;
        self.enqueue_jobs(&jobs).await
    }

    /// Enqueues validated jobs.
    ///
    /// # Errors
    /// When the database fails, a key conflicts, or a large payload cannot be kept.
    pub async fn enqueue_jobs(&self, jobs: &[NewJob]) -> Result<Vec<Receipt>, Error> {
        let jobs = &*self.spilled(jobs).await?;
        let span = trace::send(jobs);
        let jobs = &*trace::carried(&span, jobs);
        let done =
            self.store.enqueue(jobs, Now::Database).instrument(span.clone()).await.inspect_err(|error| {
                trace::not_sent(&span, error);
                if matches!(error, StoreError::IdempotencyConflict { .. } | StoreError::DuplicateId(_)) {
                    jobs.iter().for_each(|job| refused(&job.queue));
                }
            })?;
        if let Some(payloads) = &self.payloads {
            for (job, done) in jobs.iter().zip(&done) {
                if !done.created && done.id != job.id {
                    payloads.forget(job).await;
                }
            }
        }
        Ok(done.into_iter().map(Receipt::from).collect())
    }

    /// One job.
    ///
    /// # Errors
    /// `NotFound`, or when the database fails.
    pub async fn job(&self, id: JobId) -> Result<Job, Error> {
        self.store.job(id).await?.ok_or(Error::NotFound(id))
    }

    /// One job with its attempts, result and log.
    ///
    /// # Errors
    /// `NotFound`, or when the database fails.
    pub async fn job_detail(&self, id: JobId) -> Result<JobDetail, Error> {
        self.store.job_detail(id).await?.ok_or(Error::NotFound(id))
    }

    /// Writes into the audit log that somebody is shown the secrets of a job.
    ///
    /// # Errors
    /// When the database fails; then they are not to be shown.
    pub async fn note_reveal(&self, job: &Job) -> Result<(), Error> {
        let deed = Deed::new("job.reveal", job.id.to_string()).of(&job.tenant_id);
        Ok(self.store.note(&self.by, &[deed], Now::Database).await?)
    }

    /// One page of the jobs that match, newest first, from a bounded search: it may hold fewer than asked for, or none, and
    /// still have a next one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn job_page(&self, filter: &JobFilter) -> Result<JobPage, Error> {
        Ok(self.store.job_page(filter).await?)
    }

    /// Jobs that match, newest first: as many as asked for, however long the search takes.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn jobs(&self, filter: &JobFilter) -> Result<Vec<Job>, Error> {
        Ok(self.store.jobs(filter).await?)
    }

    /// What the job is now, why, and what happens next; the fleet's rules are those of its settings.
    ///
    /// # Errors
    /// `NotFound`, or when the database fails.
    pub async fn explain(&self, id: JobId, rules: &Rules) -> Result<Standing, Error> {
        let facts = self.store.job_facts(id, Now::Database).await?.ok_or(Error::NotFound(id))?;
        Ok(assess(&facts, rules))
    }

    /// Ends a queued or running job; a running one is fenced at once and its handler told.
    ///
    /// # Errors
    /// `NotFound`, `NotAllowed` for a job that has ended, or when the database fails.
    pub async fn cancel(&self, id: JobId) -> Result<(), Error> {
        self.move_one(id, Move::Cancel, "canceled").await
    }

    /// Runs a job again with fresh attempts, whatever its status.
    ///
    /// # Errors
    /// `NotFound`, or when the database fails.
    pub async fn retry(&self, id: JobId) -> Result<(), Error> {
        self.move_one(id, Move::RETRY, "retried").await
    }

    /// Removes a job that is not running.
    ///
    /// # Errors
    /// `NotFound`, `NotAllowed` for a running job, or when the database fails.
    pub async fn delete(&self, id: JobId) -> Result<(), Error> {
        self.move_one(id, Move::Delete, "deleted").await
    }

    /// Runs a job again with fresh attempts, no sooner than after a while.
    ///
    /// # Errors
    /// As [`Self::retry`].
    pub async fn reschedule(&self, id: JobId, delay: Duration) -> Result<(), Error> {
        self.move_one(id, Move::Retry { delay }, "rescheduled").await
    }

    async fn move_one(&self, id: JobId, step: Move, wanted: &'static str) -> Result<(), Error> {
        match self.store.move_jobs(&[id], step, &self.by, Now::Database).await?.first() {
            Some(Moved::Done { .. }) => Ok(()),
            Some(Moved::Refused { status }) => Err(Error::NotAllowed { id, status: *status, wanted }),
            Some(Moved::Missing) | None => Err(Error::NotFound(id)),
        }
    }

    /// Waits until a job has ended, for at most `timeout`.
    ///
    /// # Errors
    /// `NotEnded` after the time, `NotFound`, or when the database fails.
    pub async fn wait(&self, id: JobId, timeout: Duration) -> Result<Job, Error> {
        // Subscribe before the first look, so that an end between the two is not missed.
        let mut events = self.store.subscribe();
        let deadline = crate::clock::monotonic() + timeout;
        let mut pause = WAIT_LOOKS.0;
        loop {
            let job = self.job(id).await?;
            if job.status.is_terminal() {
                return Ok(job);
            }
            let left = deadline.saturating_duration_since(crate::clock::monotonic());
            if left.is_zero() {
                return Err(Error::NotEnded { id, status: job.status, waited: timeout });
            }
            let over = tokio::time::sleep(pause.min(left));
            tokio::pin!(over);
            loop {
                tokio::select! {
                    () = &mut over => break,
                    event = events.recv() => match event {
                        Ok(WakeEvent::Moved { id: moved }) if moved == id => break,
                        // What happens to other jobs says nothing of this one, however much it is.
                        Ok(_) | Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => {
                            over.as_mut().await;
                            break;
                        }
                    },
                }
            }
            pause = (pause * 2).min(WAIT_LOOKS.1);
        }
    }
}

/// A job about to be enqueued. `.await` it to do so.
#[derive(Debug)]
#[must_use = "nothing is enqueued until it is awaited"]
pub struct Enqueue {
    client: Client,
    request: JobRequest,
    fault: Option<jobforge_core::payload::PayloadError>,
}

impl Enqueue {
    /// Who the job belongs to.
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.request.tenant_id = Some(tenant.into());
        self
    }

    /// The queue it waits in, if not its type's own.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.request.queue = Some(queue.into());
        self
    }

    /// Lower runs first; the default is 0.
    pub fn priority(mut self, priority: i16) -> Self {
        self.request.priority = Some(i64::from(priority));
        self
    }

    /// Runs it no sooner than after this time.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.request.delay_ms = Some(millis(delay));
        self
    }

    /// Runs it no sooner than at this moment.
    pub fn run_at(mut self, moment: Timestamp) -> Self {
        self.request.run_at = Some(moment.to_string());
        self
    }

    /// Attempts it gets, if not its type's own number.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.request.max_attempts = Some(i64::from(attempts));
        self
    }

    /// Bound on one attempt, if not its type's own.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.request.timeout_ms = Some(millis(timeout));
        self
    }

    /// Bound on the time between two reports of progress, if not its type's own.
    pub fn progress_timeout(mut self, timeout: Duration) -> Self {
        self.request.progress_timeout_ms = Some(millis(timeout));
        self
    }

    /// Makes at most one job of this tenant and type exist with this key.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.request.idempotency_key = Some(key.into());
        self
    }

    /// Adds a label.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.request.tags.push(tag.into());
        self
    }

    /// Carries a W3C trace context to the handler.
    pub fn traceparent(mut self, trace: impl Into<String>) -> Self {
        self.request.traceparent = Some(trace.into());
        self
    }

    /// Checks the job without enqueuing it.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn into_job(self) -> Result<NewJob, Error> {
        let queue = self.request.queue.clone();
        let job = match self.fault {
            Some(fault) => Err(Error::from(fault)),
            None => validate(self.request, self.client.author).map_err(Error::from),
        };
        job.inspect_err(|_| refused(queue.as_deref().unwrap_or(DEFAULT_QUEUE)))
    }

    /// Enqueues in the caller's own PostgreSQL transaction: the job exists if and only if that commits.
    ///
    /// # Errors
    /// As a normal enqueue; after a database error the transaction is aborted.
    pub async fn in_transaction(
        self,
        transaction: &tokio_postgres::Transaction<'_>,
    ) -> Result<Receipt, Error> {
        let client = self.client.clone();
        let job = self.into_job()?;
        // Before the transaction ends: what comes of one that is rolled back is swept later.
        let spilled = client.spilled(std::slice::from_ref(&job)).await?;
        let span = trace::send(&spilled);
        let done = enqueue_in(transaction, &trace::carried(&span, &spilled))
            .instrument(span.clone())
            .await
            .inspect_err(|error| trace::not_sent(&span, error))?;
        Ok(done.first().map_or(Receipt { id: job.id, created: true }, |enqueued| Receipt::from(*enqueued)))
    }
}

impl IntoFuture for Enqueue {
    type Output = Result<Receipt, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let client = self.client.clone();
            let job = self.into_job()?;
            let done = client.enqueue_jobs(std::slice::from_ref(&job)).await?;
            Ok(done.first().copied().unwrap_or(Receipt { id: job.id, created: true }))
        })
    }
}

/// Counts a job that was not taken. What is no name of a queue is not made a label.
pub(crate) fn refused(queue: &str) {
    let queue = if check_name(queue).is_ok() { queue } else { OTHER };
    process().add(&ENQUEUED, &[queue, "rejected"], 1);
}

/// A duration as a request carries it; one beyond its range is refused there.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
