//! Jobs that are stuck, that fail alike, and that are dead: what ails them, and what they share.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ailment::Ailment;
use super::facts::{Database, Host, Process};
use super::shared::{Fleet, Patient, Shared, shared, step};
use super::{Area, Finding, LATELY, MANY, Severity};
use crate::counted::counted;
use crate::dead::pattern;
use crate::job::{Job, JobId};
use crate::rescue::{DEADLINE_GRACE, cause, describe};
use crate::state::Status;
use crate::time::{since, words};
use crate::worker::WorkerRow;

/// Jobs that said where they are, and stand there for so long together, are told of even without a limit of their own.
const STILL: Duration = Duration::from_secs(600);
/// Kinds of messages that are shown of one group.
const SHOWN_PATTERNS: usize = 3;
/// Ids that a command names.
const NAMED: usize = 3;

/// What is known of the jobs in trouble.
#[derive(Debug)]
pub(super) struct Jobs {
    pub(super) area: Area,
    /// Running jobs whose worker is lost, in words; told of with the worker, or with who should take them back.
    pub(super) orphans: Vec<String>,
}

/// A job in trouble.
pub(super) struct Case<'a> {
    job: &'a Job,
    host: Option<&'a str>,
    /// What is wrong now, if it is stuck.
    stuck: Option<String>,
    message: String,
}

/// Jobs with one ailment.
#[derive(Default)]
pub(super) struct Group<'a> {
    pub(super) cases: Vec<Case<'a>>,
}

pub(super) fn examine(database: &Database, host: &Host) -> Jobs {
    let mut orphans = Vec::new();
    let mut groups: BTreeMap<(Ailment, String), Group<'_>> = BTreeMap::new();
    let mut stuck_count = 0;
    for suspect in &database.suspects {
        let worker = suspect.worker.as_ref();
        let Some(cause) = cause(&suspect.job, worker, database.as_of, &database.policy) else { continue };
        let why = describe(&cause, suspect, database.as_of);
        let ailment = Ailment::of_cause(&cause);
        let lasts = cause.since(worker).map(|at| since(database.as_of, at));
        if ailment == Ailment::WorkerLost {
            orphans.push(format!("job {} of type {}: {why}", suspect.job.id, suspect.job.job_type));
        } else if lasts.is_none_or(|lasts| lasts > DEADLINE_GRACE) {
            // Before that its own worker sees to it.
            stuck_count += 1;
            let hostname = worker.map(|worker| worker.hostname.as_str());
            let case =
                Case { job: &suspect.job, host: hostname, stuck: Some(why.clone()), message: pattern(&why) };
            groups.entry(key(ailment, &suspect.job)).or_default().cases.push(case);
        }
    }
    for job in fallen(database) {
        let Some(error) = &job.error else { continue };
        let ailment = Ailment::of_error(&error.kind, &error.message);
        let hostname = job.last_worker.as_ref().and_then(|id| hostname(database, id.as_str()));
        let case = Case { job, host: hostname, stuck: None, message: telling(&error.message) };
        groups.entry(key(ailment, job)).or_default().cases.push(case);
    }
    let fleet = fleet(database);
    let mut findings = Vec::new();
    findings.extend(super::memory::out_of_memory(
        database,
        groups.remove(&(Ailment::OutOfMemory, String::new())),
    ));
    for ((ailment, of), group) in &groups {
        if group.tells() {
            findings.push(finding(*ailment, of, group, &fleet, database, host));
        }
    }
    findings.extend(stopped_children(database, host));
    findings.extend(standing_still(database, &fleet));
    let dead: u64 = database.dead.iter().map(|group| group.count).sum();
    let summary = format!(
        "{} running, {stuck_count} stuck, {} dead",
        database.queues.iter().map(|queue| queue.running).sum::<u64>(),
        dead
    );
    Jobs { area: Area::new("jobs", summary, findings), orphans }
}

/// What a message says: its first line, and its last, which is where a program tells why it ended.
fn telling(message: &str) -> String {
    let mut lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = pattern(lines.next().unwrap_or_default());
    match lines.next_back() {
        Some(last) => format!("{first} {}", pattern(last)),
        None => first,
    }
}

/// What is told together: what one credential, one pool or one worker spoils may be of many types.
fn key(ailment: Ailment, job: &Job) -> (Ailment, String) {
    let of = match ailment {
        Ailment::OutOfMemory | Ailment::Pool | Ailment::WorkerLost => String::new(),
        Ailment::Credential => super::shared::credential(job).unwrap_or_default(),
        Ailment::Service | Ailment::Hung | Ailment::Code => job.job_type.clone(),
    };
    (ailment, of)
}

/// Jobs whose last attempt failed lately; the dead until somebody has looked at them.
fn fallen(database: &Database) -> impl Iterator<Item = &Job> {
    database.fallen.iter().filter(|job| match job.status {
        Status::Dead => job.resolved.is_none(),
        Status::Failed | Status::Queued => since(database.as_of, job.updated_at) <= LATELY,
        Status::Running | Status::Succeeded | Status::Canceled => false,
    })
}

impl Group<'_> {
    fn stuck(&self) -> usize {
        self.cases.iter().filter(|case| case.stuck.is_some()).count()
    }

    fn dead(&self) -> Vec<&Job> {
        self.cases.iter().map(|case| case.job).filter(|job| job.status == Status::Dead).collect()
    }

    /// One attempt that failed is daily life: its next one may succeed.
    fn tells(&self) -> bool {
        self.stuck() > 0 || !self.dead().is_empty() || self.cases.len() >= MANY
    }

    fn ids(&self) -> Vec<JobId> {
        self.cases.iter().map(|case| case.job.id).collect()
    }

    pub(super) fn shared(&self, fleet: &Fleet) -> Shared {
        let patients: Vec<Patient<'_>> =
            self.cases.iter().map(|case| Patient { job: case.job, host: case.host }).collect();
        shared(&patients, fleet)
    }

    /// What they said, the most frequent first.
    pub(super) fn messages(&self) -> Vec<String> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for case in &self.cases {
            *counts.entry(&case.message).or_default() += 1;
        }
        let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let line = |(message, count): (&str, usize)| format!("{}: {message}", counted(count, "job"));
        counts.into_iter().take(SHOWN_PATTERNS).map(line).collect()
    }

    pub(super) fn what(&self, ails: &str) -> String {
        let mut parts = Vec::new();
        let mut count = |status: Status, word: &str| {
            let number =
                self.cases.iter().filter(|case| case.stuck.is_none() && case.job.status == status).count();
            if number > 0 {
                parts.push(format!("{number} {word}"));
            }
        };
        count(Status::Dead, "dead");
        count(Status::Failed, "failed");
        count(Status::Queued, "to be tried again");
        if self.stuck() > 0 {
            parts.insert(0, format!("{} stuck", self.stuck()));
        }
        format!("{} {ails}: {}", counted(self.cases.len(), "job"), parts.join(", "))
    }

    /// Commands that let them run again, after the cause is mended.
    pub(super) fn again(&self, database: &Database) -> Vec<String> {
        let mut commands: Vec<String> = Vec::new();
        let stuck: Vec<String> = self
            .cases
            .iter()
            .filter(|case| case.stuck.is_some())
            .take(NAMED)
            .map(|case| case.job.id.to_string())
            .collect();
        if !stuck.is_empty() {
            commands.push(format!("jobforge job retry {}", stuck.join(" ")));
        }
        let named: Vec<&str> = self.dead().iter().filter_map(|job| job.dead_group.as_deref()).collect();
        let groups = database.dead.iter().filter(|group| named.contains(&group.group.as_str()));
        commands
            .extend(groups.take(NAMED).map(|group| format!("jobforge dead retry --group {}", group.group)));
        if let (true, Some(id)) = (commands.is_empty(), self.ids().first()) {
            commands.push(format!("jobforge job explain {id}"));
        }
        commands
    }
}

fn finding(
    ailment: Ailment,
    of: &str,
    group: &Group<'_>,
    fleet: &Fleet,
    database: &Database,
    host: &Host,
) -> Finding {
    let common = group.shared(fleet);
    let severity = match ailment {
        _ if group.stuck() > 0 => Severity::Error,
        Ailment::OutOfMemory | Ailment::Credential | Ailment::Pool => Severity::Error,
        Ailment::Service | Ailment::Hung | Ailment::WorkerLost | Ailment::Code => Severity::Warning,
    };
    let said = group.messages();
    let words = said.first().cloned().unwrap_or_default();
    let new = |name, ails: &str| Finding::new(name, severity, group.what(ails));
    let told = match ailment {
        Ailment::Credential => {
            let which = if of.is_empty() { "a credential".to_owned() } else { format!("the credential {of}") };
            new("jobs.credential", "were refused by what they log in to")
                .comes_from(format!("{which} has expired, was revoked or lacks rights"), format!("they say so: {words}"))
                .mended_by(["renew the credential where it is issued, then replace its file in secrets_dir, or reconnect the account"])
                .read_more("stuck-jobs#jobs-stop-at-the-same-percent")
        }
        Ailment::Pool => new("jobs.pool", "got no connection")
            .comes_from(
                "a pool of connections, or the number that a server takes, is used up",
                format!("they say so: {words}"),
            )
            .mended_by([
                "run fewer of them at once: jobforge config set is live for limits; slots are JOBFORGE_SLOTS of the workers",
                "look who holds connections: SELECT usename, state, count(*) FROM pg_stat_activity GROUP BY 1, 2",
            ])
            .read_more("background-jobs#the-database-is-slow"),
        Ailment::Service => new("jobs.service", &format!("of type {of} got no answer from what they call"))
            .comes_from("a service that they depend on is down or cannot be reached", format!("they say so: {words}"))
            .mended_by(["mend that service; jobs that are to be tried again need nothing else"])
            .read_more("stuck-jobs#jobs-stop-at-the-same-percent"),
        Ailment::Hung => {
            let (cause, because) = why_hung(group, &common, database, host);
            new("jobs.hung", &format!("of type {of} did not go on"))
                .comes_from(cause, because)
                .read_more("stuck-jobs#a-handler-hangs")
        }
        Ailment::WorkerLost if group.cases.iter().any(is_poison) => new("jobs.poison", "take their worker down")
            .comes_from("the job itself: its worker died each time it ran, with nothing beside it", words)
            .mended_by(["mend the handler or the payload before it runs again"])
            .read_more("workers#a-worker-died"),
        Ailment::WorkerLost => new("jobs.lost_with_workers", "lost their worker")
            .comes_from("workers died or were not heard, more often than a job may lose its lease", words)
            .read_more("workers#a-worker-died"),
        Ailment::Code | Ailment::OutOfMemory => {
            let because = "no sign of a credential, a connection, memory or a time limit in what they say; \
                           whatever they share is below";
            new("jobs.failing", &format!("of type {of} fail alike"))
                .comes_from("their own code, or their input", because)
                .mended_by(["mend what the message names"])
                .read_more("background-jobs#jobs-are-dead")
        }
    };
    let again = group.again(database);
    let mut told =
        told.seen(common.said).seen(said).seen(group.cases.iter().filter_map(|case| case.stuck.clone()));
    told.mend.extend(again);
    told
}

fn is_poison(case: &Case<'_>) -> bool {
    case.job.error.as_ref().is_some_and(|error| error.kind == "poison")
}

/// Why jobs do not go on: what the kernel says of their programs, else what they share.
fn why_hung(group: &Group<'_>, common: &Shared, database: &Database, host: &Host) -> (String, String) {
    let holds = |worker: &WorkerRow| {
        worker.hostname == host.name
            && group.cases.iter().any(|case| case.job.locked_by.as_ref() == Some(&worker.id))
    };
    let pids: Vec<u32> = database.workers.iter().filter(|w| holds(w)).map(|w| w.pid).collect();
    let child = host.processes.iter().filter(|p| pids.contains(&p.worker_pid)).max_by_key(|p| p.age);
    if let Some(child) = child {
        return (hung_child(child), format!("the kernel says so of process {} ({})", child.pid, child.name));
    }
    let early = common
        .step
        .as_deref()
        .is_some_and(|step| ["init", "start", "connect", "0 to 9 %"].iter().any(|word| step.contains(word)));
    match common {
        _ if early => (
            "what they wait for when they begin: the database, its pool or another connection".to_owned(),
            format!("they stop where they begin, {}, without an error", step_of(common)),
        ),
        Shared { host: Some(host), .. } => (
            format!("host {host}: its disk, its network or what runs beside them"),
            "jobs on other hosts go on".to_owned(),
        ),
        Shared { credential: Some(credential), .. } => (
            format!(
                "what the credential {credential} leads to: it has expired, or that service throttles or hangs"
            ),
            format!("all of them use it, and say nothing else{}", at(common)),
        ),
        Shared { tenant: Some(tenant), .. } => (
            format!("tenant {tenant}: its data, its quota or its connections"),
            format!("jobs of other tenants go on{}", at(common)),
        ),
        Shared { step: Some(step), .. } => (
            format!(
                "what they do at {step}: a program that they call there hangs, or a service does not answer"
            ),
            "they all stop at the same place, while their workers live".to_owned(),
        ),
        Shared { .. } => (
            "the handler, or a program that it started, hangs".to_owned(),
            "their workers live and are heard, and they share neither place, host, tenant nor credential"
                .to_owned(),
        ),
    }
}

fn step_of(common: &Shared) -> &str {
    common.step.as_deref().unwrap_or("at no place that they told")
}

fn at(common: &Shared) -> String {
    common.step.as_ref().map_or_else(String::new, |step| format!("; they stop at {step}"))
}

/// What the state of a program says about why it does not end.
fn hung_child(child: &Process) -> String {
    let busy = child.cpu.as_secs_f64() / child.age.as_secs_f64().max(0.001);
    let which = format!("{} (process {})", child.name, child.pid);
    match child.state {
        'T' | 't' => format!("{which} is stopped, by SIGSTOP or by a debugger"),
        'D' => format!("{which} waits in the kernel for a disk or a network file system"),
        _ if busy > 0.5 => format!("{which} computes without coming to an end"),
        _ => format!("{which} waits for something that does not come, such as input or an answer"),
    }
}

/// Programs of jobs that cannot go on, whatever their jobs say: nobody will wake them.
fn stopped_children(database: &Database, host: &Host) -> Option<Finding> {
    let stopped: Vec<&Process> =
        host.processes.iter().filter(|child| matches!(child.state, 'T' | 't' | 'D')).collect();
    let first = stopped.first()?;
    let held = |child: &Process| {
        let worker = database.living().find(|w| w.pid == child.worker_pid && w.hostname == host.name);
        worker.map_or_else(String::new, |worker| format!(" under {}", worker.id))
    };
    let line =
        |child: &&Process| format!("{}{}, for {} at most", hung_child(child), held(child), words(child.age));
    let wake = format!("kill -CONT {}", first.pid);
    let what = format!("{} of running jobs cannot go on", counted(stopped.len(), "program"));
    let finding = Finding::new("jobs.hung_child", Severity::Error, what)
        .seen(stopped.iter().map(line))
        .comes_from(hung_child(first), "the kernel says so")
        .read_more("stuck-jobs#a-handler-hangs");
    Some(match first.state {
        'D' => finding.mended_by(["look at the disks and network file systems of this host: dmesg | tail"]),
        _ => finding.mended_by([wake.as_str(), "or take the job from its worker: jobforge job retry JOB"]),
    })
}

/// Jobs that have no limit, said where they are, and have stood there together for long.
fn standing_still(database: &Database, fleet: &Fleet) -> Vec<Finding> {
    let mut places: BTreeMap<(String, String), Vec<&Job>> = BTreeMap::new();
    for job in &database.running {
        let still = job.progress.at.is_some_and(|at| since(database.as_of, at) > STILL);
        if let (true, Some(step), None) = (still, step(job), job.progress_limit) {
            places.entry((job.job_type.clone(), step)).or_default().push(job);
        }
    }
    let told = |((job_type, step), jobs): ((String, String), Vec<&Job>)| {
        if jobs.len() < MANY {
            return None;
        }
        let host = |job: &&Job| job.locked_by.as_ref().and_then(|id| hostname(database, id.as_str()));
        let patients: Vec<Patient<'_>> = jobs.iter().map(|job| Patient { job, host: host(job) }).collect();
        let common = shared(&patients, fleet);
        let longest = jobs.iter().filter_map(|job| job.progress.at).min();
        let longest = longest.map_or(Duration::ZERO, |at| since(database.as_of, at));
        let ids: Vec<String> = jobs.iter().take(NAMED).map(|job| job.id.to_string()).collect();
        let what = format!("{} running jobs of type {job_type} stand still at {step}", jobs.len());
        let finding = Finding::new("jobs.standing_still", Severity::Warning, what)
            .seen(common.said)
            .seen([format!("the first of them has reported nothing for {}", words(longest))])
            .comes_from(
                format!("what they do at {step} hangs"),
                "they said how far they were, and all stopped saying so at the same place",
            )
            .mended_by([
                format!("jobforge job retry {}", ids.join(" ")).as_str(),
                format!("give the type a limit: jobforge config set progress_timeouts_ms={job_type}=300000")
                    .as_str(),
            ])
            .read_more("stuck-jobs#jobs-stop-at-the-same-percent");
        Some(finding)
    };
    places.into_iter().filter_map(told).collect()
}

fn hostname<'a>(database: &'a Database, worker: &str) -> Option<&'a str> {
    database.workers.iter().find(|w| w.id.as_str() == worker).map(|w| w.hostname.as_str())
}

/// Where and for whom jobs run as they should: whoever is there and in no trouble.
pub(super) fn fleet(database: &Database) -> Fleet {
    let hosts = database.living().map(|worker| worker.hostname.clone()).collect();
    let tenants = database.running.iter().map(|job| job.tenant_id.clone()).collect();
    Fleet { hosts, tenants }
}
