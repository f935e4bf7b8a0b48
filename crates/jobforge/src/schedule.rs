//! Schedules as programs use them: adding, changing, pausing and running them, and how each is in one view.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;
use jobforge_core::job::JobId;
use jobforge_core::nearest::nearest;
use jobforge_core::payload::{Payload, PayloadError};
use jobforge_core::schedule::{
    self, Checked, Declared, Definition, InvalidSchedule, LiveRun, Missed, Overlap, ScheduleView, Source,
};
use jobforge_core::time::Now;
use jobforge_store::StoreError;
use jobforge_store::rows::{CreatedSchedule, MAX_PAGE, RanSchedule, ScheduleFilter};
use serde_json::{Map, Value};

use crate::client::Client;
use crate::job_type::JobType;

/// Why something could not be done with a schedule.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// The definition makes no sense.
    #[error("the schedule was refused: {0}")]
    Invalid(#[from] InvalidSchedule),
    /// A field cannot be read.
    #[error("the schedule cannot be read: {0}")]
    Unreadable(String),
    /// The payload was refused.
    #[error("the schedule was refused: {0}")]
    InvalidPayload(#[from] PayloadError),
    /// There is one of this name.
    #[error("there is a schedule {0} already; change it, or choose another name")]
    NameTaken(String),
    /// The tenant has too many.
    #[error("tenant {0} has {most} schedules, which is as many as a tenant may have; remove some", most = schedule::MAX_PER_TENANT)]
    QuotaFull(String),
    /// There is none of this name.
    #[error("there is no schedule {name:?}{advice}")]
    NotFound {
        /// The name.
        name: String,
        /// What may have been meant, or what there is.
        advice: String,
    },
    /// Somebody else changed it meanwhile.
    #[error("schedule {0} was changed by somebody else meanwhile; look at it again")]
    Changed(String),
    /// A job of it has not ended.
    #[error("schedule {name} is not run: its job {} for {} {}; cancel that job, or insist", run.job_id, run.planned_for, if run.running { "still runs" } else { "still waits" })]
    Busy {
        /// The schedule.
        name: String,
        /// The job.
        run: LiveRun,
    },
    /// It belongs to JobForge.
    #[error("schedule {0} keeps the database from filling up and would come back; pause it instead")]
    BuiltIn(String),
    /// The database failed or refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Client {
    /// Begins to set up a schedule of typed jobs: say when, then `.await` it. What a program says of a schedule replaces
    /// what was there when it says something new; what people change afterwards stays.
    ///
    /// ```no_run
    /// # use jobforge::{Client, JobType};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Serialize, Deserialize)] struct Refresh;
    /// # impl JobType for Refresh { const TYPE: &'static str = "refresh"; type Output = (); }
    /// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// client.schedule("hot_score_refresh", Refresh).every("5m").await?;
    /// # Ok(()) }
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "a job is handed over, also in how the call reads")]
    pub fn schedule<J: JobType>(&self, name: impl Into<String>, job: J) -> ScheduleSetup {
        ScheduleSetup::begin(self.clone(), name, &job)
    }

    /// Schedules that match, by name, at most a page.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn schedules(&self, filter: &ScheduleFilter) -> Result<Vec<ScheduleView>, ScheduleError> {
        let now = self.store().now().await?;
        let found = self.store().schedules(filter).await?;
        Ok(found.into_iter().map(|schedule| ScheduleView::of(schedule, now)).collect())
    }

    /// One schedule.
    ///
    /// # Errors
    /// `NotFound` with the nearest name, or when the database fails.
    pub async fn find_schedule(&self, name: &str) -> Result<ScheduleView, ScheduleError> {
        let Some(found) = self.store().schedule(name).await? else {
            return Err(self.no_schedule(name).await);
        };
        Ok(ScheduleView::of(found, self.store().now().await?))
    }

    /// The next moments of a schedule, at most so many.
    ///
    /// # Errors
    /// As [`Self::find_schedule`].
    pub async fn next_runs(&self, name: &str, count: usize) -> Result<Vec<Timestamp>, ScheduleError> {
        let found = self.find_schedule(name).await?.schedule;
        let now = self.store().now().await?;
        let checked = schedule::check(found.definition, now)?;
        Ok(checked.clock.next_moments(now, count.min(MAX_PAGE)))
    }

    /// Adds a schedule.
    ///
    /// # Errors
    /// `Invalid`, `NameTaken`, `QuotaFull`, or when the database fails.
    pub async fn add_schedule(
        &self,
        definition: Definition,
        source: Source,
    ) -> Result<ScheduleView, ScheduleError> {
        let checked = self.checked(definition).await?;
        let name = checked.definition.name.clone();
        match self.store().create_schedule(&checked, source, self.by(), Now::Database).await? {
            CreatedSchedule::Created => {
                tracing::info!(job_name = %name, "Starting {name} scheduler ({})", checked.clock.words());
                self.find_schedule(&name).await
            }
            CreatedSchedule::NameTaken => Err(ScheduleError::NameTaken(name)),
            CreatedSchedule::QuotaFull => {
                Err(ScheduleError::QuotaFull(checked.definition.tenant().to_owned()))
            }
        }
    }

    /// Changes some fields of a schedule, as a JSON merge patch.
    ///
    /// # Errors
    /// `NotFound`, `Invalid`, `Changed` if somebody else was faster, or when the database fails.
    pub async fn patch_schedule(
        &self,
        name: &str,
        patch: Map<String, Value>,
        expected: Option<u64>,
    ) -> Result<ScheduleView, ScheduleError> {
        let found = self.find_schedule(name).await?.schedule;
        let version = expected.unwrap_or(found.version);
        let definition = schedule::patched(&found.definition, patch).map_err(ScheduleError::Unreadable)?;
        let checked = self.checked(definition).await?;
        if !self.store().change_schedule(&checked, version, self.by(), Now::Database).await? {
            return Err(ScheduleError::Changed(name.to_owned()));
        }
        self.find_schedule(name).await
    }

    /// Makes schedules what a file or a program says, unless it said the same before; answers in the same order.
    ///
    /// # Errors
    /// `Invalid` for the first that makes no sense; then none is touched.
    pub async fn declare_schedules(
        &self,
        definitions: Vec<Definition>,
        source: Source,
    ) -> Result<Vec<Declared>, ScheduleError> {
        let mut all = Vec::with_capacity(definitions.len());
        for definition in definitions {
            all.push(self.checked(definition).await?);
        }
        Ok(self.store().declare_schedules(&all, source, self.by(), Now::Database).await?)
    }

    /// Removes a schedule with its history; its jobs stay.
    ///
    /// # Errors
    /// `NotFound`, `BuiltIn`, or when the database fails.
    pub async fn remove_schedule(&self, name: &str) -> Result<(), ScheduleError> {
        let found = self.find_schedule(name).await?.schedule;
        if found.source == Source::Builtin {
            return Err(ScheduleError::BuiltIn(name.to_owned()));
        }
        self.store().remove_schedule(name, self.by(), Now::Database).await?;
        Ok(())
    }

    /// Pauses a schedule, for good or until a moment; says whether that changed anything.
    ///
    /// # Errors
    /// `NotFound`, or when the database fails.
    pub async fn pause_schedule(&self, name: &str, until: Option<Timestamp>) -> Result<bool, ScheduleError> {
        match self.store().pause_schedule(name, until, self.by(), Now::Database).await? {
            Some(changed) => Ok(changed),
            None => Err(self.no_schedule(name).await),
        }
    }

    /// Lets a schedule run again from its next moment on; says whether it was paused.
    ///
    /// # Errors
    /// `NotFound`, or when the database fails.
    pub async fn resume_schedule(&self, name: &str) -> Result<bool, ScheduleError> {
        match self.store().resume_schedule(name, self.by(), Now::Database).await? {
            Some(changed) => Ok(changed),
            None => Err(self.no_schedule(name).await),
        }
    }

    /// Runs a schedule now, paused or not, and returns the job.
    ///
    /// # Errors
    /// `NotFound`; `Busy` if a job of it has not ended, two may not overlap, and nobody insists; or when the database fails.
    pub async fn run_schedule(&self, name: &str, insists: bool) -> Result<JobId, ScheduleError> {
        match self.store().run_schedule(name, insists, self.by(), Now::Database).await? {
            RanSchedule::Ran(job) => Ok(job),
            RanSchedule::Busy(run) => Err(ScheduleError::Busy { name: name.to_owned(), run }),
            RanSchedule::Missing => Err(self.no_schedule(name).await),
        }
    }

    async fn checked(&self, definition: Definition) -> Result<Checked, ScheduleError> {
        let now = self.store().now().await?;
        Ok(schedule::check(definition, now)?)
    }

    /// Says what may have been meant, or what there is.
    async fn no_schedule(&self, name: &str) -> ScheduleError {
        const NAMED: usize = 20;
        let shown: String = name.chars().take(60).collect();
        let filter = ScheduleFilter { limit: MAX_PAGE, ..ScheduleFilter::default() };
        let names: Vec<String> = match self.store().schedules(&filter).await {
            Ok(known) => known.into_iter().map(|schedule| schedule.definition.name).collect(),
            Err(error) => return error.into(),
        };
        let all = match names.len() {
            0 => "; none is defined".to_owned(),
            count if count <= NAMED => format!("; there are {}", names.join(", ")),
            count => format!("; there are {} and {} more", names[..NAMED].join(", "), count - NAMED),
        };
        let advice = match nearest(&shown, names.iter().map(String::as_str)) {
            Some(meant) => format!("; did you mean {meant:?}?{}", all.replacen("; t", " T", 1)),
            None => all,
        };
        ScheduleError::NotFound { name: shown, advice }
    }
}

/// A schedule about to be set up by a program: by a client when it is awaited, by a worker when that starts.
#[derive(Debug)]
#[must_use = "nothing is scheduled until it is awaited"]
pub struct ScheduleSetup<By = Client> {
    by: By,
    definition: Definition,
    fault: Option<PayloadError>,
}

impl<By> ScheduleSetup<By> {
    /// Of jobs of a type, with what the type says of each.
    pub(crate) fn begin<J: JobType>(by: By, name: impl Into<String>, job: &J) -> Self {
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let mut definition = Definition {
            queue: Some(J::QUEUE.to_owned()),
            max_attempts: Some(i64::from(J::MAX_ATTEMPTS)),
            timeout_ms: J::TIMEOUT.map(ms),
            progress_timeout_ms: J::PROGRESS_TIMEOUT.map(ms),
            retry: J::RETRY,
            ..Definition::new(name, J::TYPE)
        };
        let fault = Payload::from_value(job).map(|payload| definition.payload = Some(payload)).err();
        Self { by, definition, fault }
    }

    /// What it says, unless its payload was refused.
    pub(crate) fn definition(self) -> Result<Definition, PayloadError> {
        match self.fault {
            Some(fault) => Err(fault),
            None => Ok(self.definition),
        }
    }

    /// Every so often: `15m`, `6h`.
    pub fn every(mut self, interval: impl Into<String>) -> Self {
        self.definition.every = Some(interval.into());
        self
    }

    /// By a cron pattern, in UTC unless another zone is named.
    pub fn cron(mut self, pattern: impl Into<String>) -> Self {
        self.definition.cron = Some(pattern.into());
        self
    }

    /// The time zone of the pattern, such as `Europe/Berlin`.
    pub fn time_zone(mut self, zone: impl Into<String>) -> Self {
        self.definition.time_zone = Some(zone.into());
        self
    }

    /// While the job of an earlier moment has not ended.
    pub fn overlap(mut self, policy: Overlap) -> Self {
        self.definition.overlap = policy;
        self
    }

    /// After an outage.
    pub fn missed(mut self, policy: Missed) -> Self {
        self.definition.missed = policy;
        self
    }

    /// Whose the jobs are.
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.definition.tenant_id = Some(tenant.into());
        self
    }

    /// Whatever else a definition has.
    pub fn with(mut self, change: impl FnOnce(&mut Definition)) -> Self {
        change(&mut self.definition);
        self
    }
}

impl IntoFuture for ScheduleSetup {
    type Output = Result<Declared, ScheduleError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let client = self.by.clone();
            let declared = client.declare_schedules(vec![self.definition()?], Source::Code).await?;
            Ok(declared.first().copied().unwrap_or(Declared::Kept))
        })
    }
}
