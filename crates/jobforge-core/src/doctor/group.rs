//! Jobs that have one ailment.

use std::collections::{BTreeMap, BTreeSet};

use super::MANY;
use super::ailment::Ailment;
use super::shared::{Patient, Shared, Well, credential, shared};
use crate::counted::counted;
use crate::dead::{group_of, pattern};
use crate::job::Job;
use crate::state::Status;

/// Kinds of messages that are shown of one group.
const SHOWN_PATTERNS: usize = 3;
/// Characters of a line that are told word for word.
const SAMPLE: usize = 200;
/// Ids, or groups of dead jobs, that commands name.
pub(super) const NAMED: usize = 3;

/// A job in trouble.
pub(super) struct Case<'a> {
    pub(super) job: &'a Job,
    pub(super) host: Option<&'a str>,
    /// What is wrong now, if it is stuck.
    pub(super) stuck: Option<String>,
    /// What it says, without what differs from job to job.
    pub(super) message: String,
    /// The same, word for word.
    pub(super) sample: String,
}

/// Jobs with one ailment.
#[derive(Default)]
pub(super) struct Group<'a> {
    pub(super) cases: Vec<Case<'a>>,
}

impl<'a> Case<'a> {
    /// A job whose last attempt failed. Of what it said the first line is told, and the last, which is where a program tells why
    /// it ended.
    pub(super) fn fallen(job: &'a Job, host: Option<&'a str>, message: &str) -> Self {
        let mut lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
        let (first, last) = (lines.next().unwrap_or_default(), lines.next_back());
        let both = |told: &dyn Fn(&str) -> String| match last {
            Some(last) => format!("{} {}", told(first), told(last)),
            None => told(first),
        };
        let whole = both(&|line| line.chars().take(SAMPLE).collect());
        Self { job, host, stuck: None, message: both(&pattern), sample: whole }
    }

    /// A job that runs and is stuck, with why.
    pub(super) fn stuck(job: &'a Job, host: Option<&'a str>, why: String) -> Self {
        Self { job, host, message: pattern(&why), sample: why.clone(), stuck: Some(why) }
    }
}

/// What is told together: what one credential, one pool or one worker spoils may be of many types.
pub(super) fn key(ailment: Ailment, job: &Job) -> (Ailment, String) {
    let of = match ailment {
        Ailment::OutOfMemory | Ailment::Pool => String::new(),
        Ailment::WorkerLost if is_poison(job) => "poison".to_owned(),
        Ailment::WorkerLost => String::new(),
        Ailment::Credential => credential(job).unwrap_or_default(),
        Ailment::Service | Ailment::Hung | Ailment::Code => job.job_type.clone(),
    };
    (ailment, of)
}

/// Whether a job is dead because it took its workers down.
pub(super) fn is_poison(job: &Job) -> bool {
    job.status == Status::Dead && job.error.as_ref().is_some_and(|error| error.kind == "poison")
}

impl<'a> Group<'a> {
    pub(super) fn jobs(&self) -> Vec<&'a Job> {
        self.cases.iter().map(|case| case.job).collect()
    }

    pub(super) fn stuck(&self) -> usize {
        self.cases.iter().filter(|case| case.stuck.is_some()).count()
    }

    fn dead(&self) -> Vec<&'a Job> {
        self.jobs().into_iter().filter(|job| job.status == Status::Dead).collect()
    }

    /// One attempt that failed is daily life: its next one may succeed.
    pub(super) fn tells(&self) -> bool {
        self.stuck() > 0 || !self.dead().is_empty() || self.cases.len() >= MANY
    }

    pub(super) fn shared(&self, well: &Well<'_>) -> Shared {
        let patients: Vec<Patient<'_>> =
            self.cases.iter().map(|case| Patient { job: case.job, host: case.host }).collect();
        shared(&patients, well)
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

    /// The message of most of them, as one of them said it.
    pub(super) fn sample(&self) -> &str {
        let of = |message: &str| self.cases.iter().filter(|case| case.message == message).count();
        self.cases.iter().max_by_key(|case| of(&case.message)).map_or("", |case| &case.sample)
    }

    /// How many there are and how they stand, with what ails one, and what ails several.
    pub(super) fn what(&self, one: &str, several: &str) -> String {
        let ails = if self.cases.len() == 1 { one } else { several };
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
    pub(super) fn again(&self) -> Vec<String> {
        let ended = |case: &&Case<'_>| case.stuck.is_some() || case.job.status == Status::Failed;
        let ids: Vec<String> = self.cases.iter().filter(ended).map(|case| case.job.id.to_string()).collect();
        let mut commands: Vec<String> = Vec::new();
        if !ids.is_empty() {
            commands.push(format!("jobforge job retry {}", ids[..ids.len().min(NAMED)].join(" ")));
        }
        if ids.len() > NAMED {
            commands.push(format!("and the same with the other {}", ids.len() - NAMED));
        }
        let dead: BTreeSet<String> = self.dead().into_iter().filter_map(group_of).collect();
        commands
            .extend(dead.into_iter().take(NAMED).map(|group| format!("jobforge dead retry --group {group}")));
        if let (true, Some(case)) = (commands.is_empty(), self.cases.first()) {
            commands.push(format!("jobforge job explain {}", case.job.id));
        }
        commands
    }
}
