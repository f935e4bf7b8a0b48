//! Where one case happens: a server, the way to it, a queue, and the worker.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use jobforge::Client;
use jobforge::clock;
use jobforge::core::enqueue::JobRequest;
use jobforge::core::job::{Job, JobId};
use jobforge::core::payload::Payload;
use jobforge::core::settle::RetryPolicy;
use jobforge::core::state::Status;
use jobforge::core::time::Now;
use jobforge::core::token::{NewToken, Scope};
use jobforge::store::rows::Move;
use serde_json::Value;
use uuid::Uuid;

use super::super::own_directory::OwnDirectory;
use super::judge::End;
use super::proxy::Proxy;
use super::record::Record;
use super::server::{Said, Server, visit};
use super::weather::Weather;
use super::worker::{Told, Worker};

/// How long anything may take that a good worker does at once: programs begin, jobs end.
pub(super) const SOON: Duration = Duration::from_secs(20);
/// The lease that workers get: short enough to wait for its end, and yet bearable where much else runs.
const LEASE: Duration = Duration::from_secs(4);
/// How long the last words of a worker that has ended are waited for.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(25);
/// The queue of every case; its server has no other.
const QUEUE: &str = "protocol-test";
/// How long jobs may go on after SIGTERM where a case does not say.
const GRACE: Duration = Duration::from_secs(10);

/// What all cases of a run share.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) command: String,
    pub(super) patience: u32,
    pub(super) seed: u64,
}

pub(super) struct Scene {
    run: Run,
    /// A worker that ends by itself is started again, as by its supervisor.
    supervised: bool,
    grace: Duration,
    token: String,
    said: Said,
    // In the order in which they must go: worker, way, server, database.
    worker: Option<Worker>,
    proxy: Proxy,
    client: Client,
    server: Option<Server>,
    home: OwnDirectory,
}

impl Scene {
    pub(super) async fn set(run: &Run, case: &str) -> Result<Self> {
        let home = OwnDirectory::new(&format!("protocol-test-{case}-{}", Uuid::new_v4().simple()));
        let home = home.context("cannot make a directory for the server's database")?;
        let server = Server::start(home.path(), LEASE * run.patience).await?;
        let client = visit(home.path()).await?;
        // Good for what a worker needs and nothing else.
        let token = NewToken {
            name: "protocol-test".to_owned(),
            scopes: vec![Scope::Worker],
            tenant_id: None,
            queues: Some(vec![QUEUE.to_owned()]),
            expires_at: None,
        };
        let (token, _) = client.create_token(token).await.context("cannot make a token for the worker")?;
        Ok(Self {
            run: run.clone(),
            supervised: false,
            grace: GRACE,
            token: token.secret().to_owned(),
            said: Said::default(),
            worker: None,
            proxy: Proxy::start(server.address()).await?,
            client,
            server: Some(server),
            home,
        })
    }

    pub(super) fn seed(&self) -> u64 {
        self.run.seed
    }

    pub(super) fn lease(&self) -> Duration {
        LEASE * self.run.patience
    }

    pub(super) fn record(&self) -> Record {
        self.proxy.record()
    }

    pub(super) fn said(&self) -> Vec<String> {
        self.said.all()
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.proxy.elapsed()
    }

    pub(super) fn weather(&self, weather: Weather) {
        self.proxy.weather(weather);
    }

    pub(super) fn open_gate(&self) {
        self.proxy.open_gate();
    }

    // The worker.

    pub(super) fn start_worker(&mut self) -> Result<()> {
        let url = self.proxy.url();
        let told = Told { url: &url, token: &self.token, queue: QUEUE, grace: self.grace };
        self.worker = Some(Worker::start(&self.run.command, &told, &self.said)?);
        Ok(())
    }

    /// Starts a worker that gets this much time for its jobs after SIGTERM.
    pub(super) fn start_worker_with_grace(&mut self, grace: Duration) -> Result<()> {
        self.grace = grace;
        self.start_worker()
    }

    /// From now on a worker that ends by itself is started again.
    pub(super) fn supervise(&mut self) {
        self.supervised = true;
    }

    pub(super) fn worker(&self) -> Result<&Worker> {
        self.worker.as_ref().context("no worker was started")
    }

    /// SIGTERM, and the exit code that follows.
    pub(super) async fn stop_worker(&mut self, limit: Duration) -> Result<()> {
        let limit = limit * self.run.patience;
        let worker = self.worker.as_mut().context("no worker was started")?;
        worker.terminate()?;
        let ended = worker.wait(limit).await?;
        self.worker = None;
        ensure!(
            ended.success(),
            "after SIGTERM it ended with {ended} instead of exit code 0; if the command is more than one program, write exec before the last"
        );
        Ok(())
    }

    /// A worker that has ended by itself has failed, unless it is to be started again.
    async fn look_after_worker(&mut self) -> Result<()> {
        let Some(ended) = self.worker.as_mut().and_then(Worker::ended) else { return Ok(()) };
        self.worker = None;
        if self.supervised {
            return self.start_worker();
        }
        // What it said last may still be in the pipe.
        tokio::time::sleep(LAST_WORDS).await;
        let last = self.said.last().map(|line| format!("; it said: {line}")).unwrap_or_default();
        bail!("the worker ended by itself with {ended}{last}")
    }

    // The server.

    pub(super) async fn kill_server(&mut self) -> Result<()> {
        self.proxy.lead_to(None);
        let server = self.server.take().context("there is no server")?;
        server.kill().await
    }

    pub(super) async fn start_server(&mut self) -> Result<()> {
        let server = Server::start(self.home.path(), self.lease()).await?;
        self.proxy.lead_to(Some(server.address()));
        self.server = Some(server);
        Ok(())
    }

    // Jobs.

    pub(super) async fn enqueue(&self, job_type: &str, payload: Value) -> Result<JobId> {
        self.enqueue_with(JobRequest::default(), job_type, payload).await
    }

    pub(super) async fn enqueue_many(
        &self,
        count: usize,
        job_type: &str,
        payload: Value,
    ) -> Result<Vec<JobId>> {
        let mut ids = Vec::with_capacity(count);
        for _ in 0..count {
            ids.push(self.enqueue(job_type, payload.clone()).await?);
        }
        Ok(ids)
    }

    /// A job that says more about itself; its retries come at once.
    pub(super) async fn enqueue_with(
        &self,
        request: JobRequest,
        job_type: &str,
        payload: Value,
    ) -> Result<JobId> {
        let request = JobRequest {
            job_type: job_type.to_owned(),
            queue: Some(QUEUE.to_owned()),
            payload: Some(Payload::from_value(&payload)?),
            retry: Some(RetryPolicy { base_ms: 50, max_ms: 100, ..RetryPolicy::default() }),
            ..request
        };
        Ok(self.client.enqueue_untyped(request).await?.id)
    }

    pub(super) async fn cancel(&self, ids: &[JobId]) -> Result<()> {
        self.client.store().move_jobs(ids, Move::Cancel, self.client.by(), Now::Database).await?;
        Ok(())
    }

    /// Tells every worker to restart, as an operator does.
    pub(super) async fn restart_workers(&self) -> Result<()> {
        let store = self.client.store();
        let workers = store.workers(Now::Database).await?;
        let active: Vec<_> =
            workers.into_iter().filter(|worker| worker.state.is_active()).map(|worker| worker.id).collect();
        store.restart_workers(&active, self.client.by(), Now::Database).await?;
        Ok(())
    }

    pub(super) async fn job(&self, id: JobId) -> Result<Job> {
        Ok(self.client.job(id).await?)
    }

    // Waiting.

    /// Waits until the record shows it.
    pub(super) async fn until(
        &mut self,
        limit: Duration,
        what: &str,
        is_so: impl Fn(&Record) -> bool,
    ) -> Result<Record> {
        let limit = limit * self.run.patience;
        let began = clock::monotonic();
        loop {
            let record = self.record();
            if is_so(&record) {
                return Ok(record);
            }
            self.look_after_worker().await?;
            ensure!(
                clock::monotonic().duration_since(began) < limit,
                "it did not happen within {} s that {what}",
                limit.as_secs()
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until the worker was given all of the jobs.
    pub(super) async fn until_given(&mut self, ids: &[JobId]) -> Result<Record> {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let what = match ids.len() {
            1 => "the worker claims its job",
            _ => "the worker claims as many jobs as it has slots",
        };
        self.until(SOON, what, |record| ids.iter().all(|id| record.has(id))).await
    }

    /// Waits until the worker has taken note of a job that it was given.
    pub(super) async fn until_under_way(&mut self, id: JobId) -> Result<Record> {
        let id = id.to_string();
        self.until(SOON, "the worker says something of its job", |record| record.works_on(&id)).await
    }

    /// Waits until the server does not count a job as running any more.
    pub(super) async fn until_taken_back(&mut self, id: JobId) -> Result<()> {
        let limit = SOON * self.run.patience;
        let began = clock::monotonic();
        while self.job(id).await?.status == Status::Running {
            ensure!(
                clock::monotonic().duration_since(began) < limit,
                "the server did not take the job back within {} s, although its worker was silent",
                limit.as_secs()
            );
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Watches the worker for a while in which nothing in particular must happen.
    pub(super) async fn watch(&mut self, time: Duration) -> Result<Record> {
        let until = clock::monotonic() + time;
        while clock::monotonic() < until {
            self.look_after_worker().await?;
            tokio::time::sleep(LOOK).await;
        }
        Ok(self.record())
    }

    /// Waits until all of the jobs have ended, and tells how.
    pub(super) async fn ends(&mut self, ids: &[JobId], limit: Duration) -> Result<Vec<End>> {
        let limit = limit * self.run.patience;
        let began = clock::monotonic();
        let mut ends = Vec::with_capacity(ids.len());
        for id in ids {
            loop {
                let detail = self.client.job_detail(*id).await?;
                if detail.job.status.is_terminal() {
                    ends.push(End::of(detail)?);
                    break;
                }
                self.look_after_worker().await?;
                let Job { job_type, status, attempts, .. } = &detail.job;
                ensure!(
                    clock::monotonic().duration_since(began) < limit,
                    "after {} s a job of {} ({job_type}) has not ended; it is {status} at attempt {attempts}",
                    limit.as_secs(),
                    ids.len()
                );
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(ends)
    }

    pub(super) async fn end(&mut self, id: JobId, limit: Duration) -> Result<End> {
        self.ends(&[id], limit).await?.pop().context("a job that has ended")
    }
}
