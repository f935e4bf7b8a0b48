//! The judge of alerts: reads what all processes told, says what fires, and enqueues the messages about it. Any number of
//! servers may run; one has the turn, and two at once would send nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use jobforge_core::alert::exposition;
use jobforge_core::alert::history::History;
use jobforge_core::alert::kept::{
    AlertRow, MOST_ALERTS, SAMPLE_BYTES, SAMPLES_FOR, SAMPLES_STEP, STANDS_IN_FOR, SampleRow, TURN_ROUNDS,
};
use jobforge_core::alert::notice::{NOTIFY, NOTIFY_TENANT, Notice, Says, notices};
use jobforge_core::alert::route::{Message, Silence, Told, plan};
use jobforge_core::alert::rules::{Rule, Severity, rules};
use jobforge_core::alert::state::{Active, Judged, judge};
use jobforge_core::metric::{process, table};
use jobforge_core::time::{Now, since, sub};
use jobforge_store::rows::DeadFilter;
use jobforge_store::{Store, StoreError, WorkerStore};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::live::Live;
use crate::notify::{ChannelKind, Channels, Configured, stand_in};

/// A process that has told nothing for so many rounds is gone, and its series with it.
const SILENT_ROUNDS: u32 = 3;
/// Nothing is judged before so long after the first sample: what is not there yet is not missing.
const WARM_UP: Duration = Duration::from_secs(60);
/// Samples of so long ago are looked at again, for they may have been under way at the last look.
const OVERLAP: Duration = Duration::from_secs(60);
/// Messages that died lately and are looked at for who stands in.
const MOST_DIED: usize = 100;
/// Pages of samples that one round reads at most: all of a fleet that is not too large for this.
const MOST_PAGES: usize = 1000;

/// Gives the metrics of this process as they are scraped; with `true`, those of the whole fleet as well.
pub type Telling = Arc<dyn Fn(bool) -> BoxFuture<'static, String> + Send + Sync>;

/// The metrics that rules look at.
fn wanted(rules: &[Rule]) -> BTreeSet<&'static str> {
    rules.iter().flat_map(|rule| rule.expr.selectors()).map(|selector| selector.metric).collect()
}

/// The lines of a scrape that rules look at. Buckets come last: where there are too many, rules about durations go blind,
/// and none that takes what is missing for trouble.
fn lines(scrape: &str, wanted: &BTreeSet<&'static str>) -> String {
    let mut kept = String::new();
    let name = |line: &str| line.find(['{', ' ']).map_or(line, |end| &line[..end]).to_owned();
    let told = scrape.lines().filter(|line| !line.starts_with('#')).map(|line| (name(line), line));
    let (buckets, others): (Vec<_>, Vec<_>) = told
        .filter(|(name, _)| wanted.contains(name.as_str()))
        .partition(|(name, _)| name.ends_with("_bucket"));
    for (_, line) in others.into_iter().chain(buckets) {
        if kept.len() + line.len() + 1 > SAMPLE_BYTES {
            tracing::warn!("more than {SAMPLE_BYTES} bytes of metrics; alerts do not see the rest");
            break;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}

fn leads(leads: bool) {
    process().set(&table::LEADER, &["alerts"], f64::from(u8::from(leads)));
}

/// A name for this process that no other has.
fn own_name() -> String {
    let id = Uuid::new_v4().simple().to_string();
    format!("{}:{}:{}", crate::process::hostname(), std::process::id(), &id[..4])
}

/// Keeps what a process of workers counts, so that servers can judge it.
pub struct Sampler {
    store: Arc<dyn WorkerStore>,
    live: Live,
    telling: Telling,
    name: String,
    wanted: BTreeSet<&'static str>,
}

impl std::fmt::Debug for Sampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sampler").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Sampler {
    /// Keeps samples of this process.
    pub fn new(store: Arc<dyn WorkerStore>, live: Live, telling: Telling) -> Self {
        Self { store, live, telling, name: own_name(), wanted: wanted(&rules()) }
    }

    /// Keeps one.
    ///
    /// # Errors
    /// When the database fails, or the server that speaks for it.
    pub async fn run_once(&self) -> Result<(), StoreError> {
        let series = lines(&(self.telling)(false).await, &self.wanted);
        self.store.put_sample(&self.name, &series, Now::Database).await
    }

    /// Keeps one in each interval until `stop` fires, as long as alerts are judged.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let settings = self.live.now();
            if settings.flag("alerts")
                && let Err(error) = self.run_once().await
            {
                tracing::debug!(
                    error = error.chain(),
                    "could not keep a sample of the metrics; trying again"
                );
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(settings.millis("alert_interval_ms")) => {}
            }
        }
    }
}

/// Judges the alerts.
pub struct AlertJudge {
    store: Arc<dyn Store>,
    channels: Arc<Channels>,
    live: Live,
    telling: Telling,
    name: String,
    rules: Vec<Rule>,
    wanted: BTreeSet<&'static str>,
    history: History,
    warm_up: Duration,
    /// The last moment at which each process told.
    heard: BTreeMap<String, Timestamp>,
    /// The first sample that was seen.
    begun: Option<Timestamp>,
    /// Wakes whoever sends messages.
    sent: Arc<Notify>,
}

impl std::fmt::Debug for AlertJudge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AlertJudge").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What one round came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Round {
    /// Whether this server has the turn.
    pub judges: bool,
    /// What began to fire.
    pub fired: Vec<Active>,
    /// What ceased to.
    pub resolved: Vec<Active>,
    /// Messages that were enqueued, without those that another judge had enqueued already.
    pub messages: usize,
}

impl AlertJudge {
    /// Judges the alerts of this store, and tells these channels.
    pub fn new(store: Arc<dyn Store>, channels: Arc<Channels>, live: Live, telling: Telling) -> Self {
        let rules = rules();
        Self {
            store,
            channels,
            live,
            telling,
            name: own_name(),
            wanted: wanted(&rules),
            rules,
            history: History::default(),
            warm_up: WARM_UP,
            heard: BTreeMap::new(),
            begun: None,
            sent: Arc::default(),
        }
    }

    /// Judges by these rules, from so long after the first sample on.
    #[must_use]
    pub fn by(mut self, rules: Vec<Rule>, warm_up: Duration) -> Self {
        self.wanted = wanted(&rules);
        (self.rules, self.warm_up) = (rules, warm_up);
        self
    }

    /// Is woken when messages were enqueued.
    pub fn sent(&self) -> Arc<Notify> {
        Arc::clone(&self.sent)
    }

    /// Judges in each interval until `stop` fires, as long as alerts are judged.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let settings = self.live.now();
            if !settings.flag("alerts") {
                leads(false);
            } else if let Err(error) = self.run_once(Now::Database).await {
                tracing::warn!(error = error.chain(), "could not judge the alerts; trying again");
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(settings.millis("alert_interval_ms")) => {}
            }
        }
        leads(false);
        // So that the next judges at once.
        if let Err(error) = self.store.take_alert_turn(&self.name, Duration::ZERO, Now::Database).await {
            tracing::debug!(error = error.chain(), "could not give up the turn; it will run out");
        }
    }

    /// Keeps a sample of this process and, if it is this server's turn, judges all that all processes told.
    ///
    /// # Errors
    /// When the database fails; the next round goes on.
    pub async fn run_once(&mut self, at: Now) -> Result<Round, StoreError> {
        let interval = self.live.now().millis("alert_interval_ms");
        let turn = self.store.take_alert_turn(&self.name, interval * TURN_ROUNDS, at).await;
        leads(turn.as_ref().is_ok_and(|judges| *judges));
        let judges = turn?;
        // What is the fleet's as a whole is read by the judge alone.
        let series = lines(&(self.telling)(judges).await, &self.wanted);
        self.store.put_sample(&self.name, &series, at).await?;
        if !judges {
            return Ok(Round::default());
        }
        let now = self.now(at).await?;
        self.read(now, interval * SILENT_ROUNDS).await?;
        if self.begun.is_none_or(|begun| since(now, begun) < self.warm_up) {
            return Ok(Round { judges, ..Round::default() });
        }
        let before: Vec<Active> =
            self.store.alerts(false, MOST_ALERTS).await?.into_iter().map(|row| row.alert).collect();
        let Judged { mut active, fired, resolved } = judge(&self.rules, &mut self.history, now, &before);
        if active.len() > MOST_ALERTS {
            tracing::warn!("{} alerts hold at once; only {MOST_ALERTS} are kept", active.len());
            active.truncate(MOST_ALERTS);
        }
        if !self.store.keep_alerts(&self.name, &active, at).await? {
            // Somebody else has the turn by now, and tells.
            return Ok(Round::default());
        }
        say(&fired, &resolved);
        let messages = self.tell(&active, now, at).await?;
        while self.store.forget_samples(at).await? == SAMPLES_STEP as u64 {}
        self.stand_in(now).await?;
        Ok(Round { judges, fired, resolved, messages })
    }

    async fn now(&self, at: Now) -> Result<Timestamp, StoreError> {
        match at.fixed() {
            Some(moment) => Ok(moment),
            None => self.store.now().await,
        }
    }

    /// Takes in what processes told since the last look, and ends the series of those that fell silent.
    async fn read(&mut self, now: Timestamp, silent: Duration) -> Result<(), StoreError> {
        let mut newest = self.heard.values().max().copied();
        if newest.is_some_and(|newest| newest > now + OVERLAP) {
            tracing::warn!(
                "the database's clock was set back; alerts are judged by what is told from now on"
            );
            self.history = History::default();
            self.heard.clear();
            newest = Some(now);
        }
        let from = newest.map_or_else(|| sub(now, SAMPLES_FOR), |newest| sub(newest, OVERLAP));
        let mut place = (from, String::new());
        for _ in 0..MOST_PAGES {
            let page = self.store.samples((place.0, &place.1)).await?;
            let is_last = page.len() < SAMPLES_STEP;
            if let Some(last) = page.last() {
                place = (last.at, last.process.clone());
            }
            // What was told before the clock was set back lies ahead.
            page.into_iter().filter(|row| row.at <= now + OVERLAP).for_each(|row| self.take(row));
            if is_last {
                break;
            }
        }
        let gone: Vec<(String, Timestamp)> = self
            .heard
            .iter()
            .filter(|(_, at)| since(now, **at) > silent)
            .map(|(process, at)| (process.clone(), *at))
            .collect();
        for (process, _) in gone {
            self.history.take(&process, now, []);
            self.heard.remove(&process);
        }
        self.history.forget(sub(now, SAMPLES_FOR));
        Ok(())
    }

    fn take(&mut self, row: SampleRow) {
        let SampleRow { process, at, series } = row;
        if self.heard.get(&process).is_some_and(|last| at <= *last) {
            return;
        }
        let mut samples = exposition::samples(&series, &self.wanted);
        for sample in &mut samples {
            sample.labels.insert("instance".to_owned(), process.clone());
        }
        self.history.take(&process, at, samples);
        self.begun = Some(self.begun.map_or(at, |begun| begun.min(at)));
        self.heard.insert(process, at);
    }

    /// Enqueues what channels are to be told now, then notes that they were: who dies in between enqueues the same jobs
    /// again under the same keys, which changes nothing.
    async fn tell(&self, active: &[Active], now: Timestamp, at: Now) -> Result<usize, StoreError> {
        if self.channels.is_empty() {
            return Ok(0);
        }
        let firing: Vec<Active> = active.iter().filter(|alert| alert.fired_at.is_some()).cloned().collect();
        let told = self.store.told().await?;
        let silences: Vec<Silence> =
            self.store.silences(at).await?.into_iter().map(|row| row.silence).collect();
        let over = self.store.alerts(true, MOST_ALERTS).await?;
        let fleet = self.store.alert_bench().await?.fleet;
        let mut messages = 0;
        for one in self.channels.all() {
            let channel = std::slice::from_ref(&one.channel);
            for message in plan(&firing, &told, channel, &silences, one.quiet.as_ref(), now) {
                messages += self.send(one, &message, &told, &over, &fleet, now, at).await?;
                let told: Vec<Told> =
                    message.alerts.iter().filter_map(|alert| heard(&message, alert, now)).collect();
                if message.resolved {
                    self.store.untell(&told).await?;
                } else {
                    self.store.tell(&told).await?;
                }
            }
        }
        self.forget_told(&firing, &told, now).await?;
        if messages > 0 {
            self.sent.notify_one();
        }
        Ok(messages)
    }

    #[expect(clippy::too_many_arguments, reason = "all of them are what one plan is made from")]
    async fn send(
        &self,
        to: &Configured,
        message: &Message,
        told: &[Told],
        over: &[AlertRow],
        fleet: &str,
        now: Timestamp,
        at: Now,
    ) -> Result<usize, StoreError> {
        let per_alert = to.target.kind() == ChannelKind::Pagerduty;
        let mut sent = 0;
        for keyed in notices(message, told, over, fleet, per_alert, now) {
            let job = match self.channels.job(&keyed.notice, Some(keyed.key)) {
                Ok(job) => job,
                Err(error) => {
                    tracing::error!(%error, "a message to {} cannot be enqueued", message.channel);
                    continue;
                }
            };
            match self.store.enqueue(&[job], at).await {
                Ok(receipts) => sent += receipts.iter().filter(|receipt| receipt.created).count(),
                // Another judge wrote it a moment before, with the numbers of that moment.
                Err(StoreError::IdempotencyConflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    /// Channels that are configured no more are told nothing more.
    async fn forget_told(&self, firing: &[Active], told: &[Told], now: Timestamp) -> Result<(), StoreError> {
        let is_stale = |told: &&Told| {
            let fires = firing.iter().any(|alert| {
                alert.rule == told.rule
                    && alert.labels == told.labels
                    && alert.fired_at == Some(told.fired_at)
            });
            !fires && !self.channels.has(&told.channel) && since(now, told.at) > SAMPLES_FOR
        };
        let stale: Vec<Told> = told.iter().filter(is_stale).cloned().collect();
        if stale.is_empty() { Ok(()) } else { self.store.untell(&stale).await }
    }

    /// Tells the channels behind those whose messages died, also where whoever sent them died with them.
    async fn stand_in(&self, now: Timestamp) -> Result<(), StoreError> {
        if self.channels.all().all(|channel| channel.fallback.is_none()) {
            return Ok(());
        }
        let filter = DeadFilter {
            tenant_id: Some(NOTIFY_TENANT.to_owned()),
            job_type: Some(NOTIFY.to_owned()),
            ..DeadFilter::default()
        };
        for job in self.store.dead_jobs(&filter, None, MOST_DIED).await? {
            if job.finished_at.is_some_and(|ended| since(now, ended) <= STANDS_IN_FOR)
                && let Ok(notice) = job.payload.decode::<Notice>()
                && notice.says != Says::Test
            {
                stand_in(&self.store, &self.channels, &notice, job.id).await?;
            }
        }
        Ok(())
    }
}

fn heard(message: &Message, alert: &Active, now: Timestamp) -> Option<Told> {
    Some(Told {
        channel: message.channel.clone(),
        rule: alert.rule.clone(),
        labels: alert.labels.clone(),
        fired_at: alert.fired_at?,
        at: now,
    })
}

/// The log tells as well, for whoever has no channel.
fn say(fired: &[Active], resolved: &[Active]) {
    for alert in fired {
        let (rule, summary) = (&alert.rule, &alert.summary);
        match alert.severity {
            Severity::Info => tracing::info!(alert = %rule, "Alert {rule}: {summary}"),
            Severity::Warning | Severity::Critical => {
                tracing::warn!(alert = %rule, "Alert {rule}: {summary}");
            }
        }
    }
    for alert in resolved {
        tracing::info!(alert = %alert.rule, "Alert {} is over: {}", alert.rule, alert.summary);
    }
}
