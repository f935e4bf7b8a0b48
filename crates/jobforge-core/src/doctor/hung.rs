//! Jobs and programs that do not go on, and why.

use std::collections::BTreeMap;
use std::time::Duration;

use super::facts::{Database, Host, Process};
use super::group::NAMED;
use super::jobs::hostname;
use super::shared::{Patient, Shared, Well, shared, step};
use super::{Finding, MANY, Severity};
use crate::counted::counted;
use crate::job::Job;
use crate::time::{since, words};

/// Jobs that said where they are, and stand there for so long together, are told of even without a limit of their own.
const STILL: Duration = Duration::from_secs(600);
/// Who has used so much of a processor since it began computes.
const BUSY: f64 = 0.5;

/// Why jobs do not go on: what the kernel says of their programs, else what they share.
pub(super) fn why_hung(jobs: &[&Job], common: &Shared, database: &Database, host: &Host) -> (String, String) {
    if let Some(child) = program(jobs, database, host) {
        return (hung_child(child), format!("the kernel says so of process {} ({})", child.pid, child.name));
    }
    let early = common
        .step
        .as_deref()
        .is_some_and(|step| ["init", "start", "connect", "0 to 9 %"].iter().any(|word| step.contains(word)));
    if early && common.host.is_none() {
        return (
            "what they wait for when they begin: the database, its pool or another connection".to_owned(),
            format!(
                "they stop where they begin, at {}, without an error",
                common.step.as_deref().unwrap_or_default()
            ),
        );
    }
    if let Some(told) = whose(common) {
        return told;
    }
    match &common.credential {
        Some(credential) => leads_to(credential, common),
        None => at_a_step(common),
    }
}

fn at_a_step(common: &Shared) -> (String, String) {
    match &common.step {
        Some(step) => (
            format!(
                "what they do at {step}: a program that they call there hangs, or a service does not answer"
            ),
            "they all stop at the same place, while their workers live".to_owned(),
        ),
        None => (
            "the handler, or a program that it started, hangs".to_owned(),
            "their workers live and are heard, and they share neither place, host, tenant nor credential"
                .to_owned(),
        ),
    }
}

/// Whose fault it is by what jobs in trouble share and jobs that go well do not.
pub(super) fn whose(common: &Shared) -> Option<(String, String)> {
    if let Some(host) = &common.host {
        let cause = format!("host {host}: its disk, its network or what runs beside them");
        return Some((cause, format!("jobs on other hosts go on{}", at(common))));
    }
    if let (Some(credential), true) = (&common.credential, common.others_do_without) {
        return Some(leads_to(credential, common));
    }
    common.tenant.as_ref().map(|tenant| {
        let cause = format!("tenant {tenant}: its data, its quota or its connections");
        (cause, format!("jobs of other tenants go on{}", at(common)))
    })
}

fn leads_to(credential: &str, common: &Shared) -> (String, String) {
    let others = if common.others_do_without { ", and jobs without it go on" } else { "" };
    (
        format!(
            "what the credential {credential} leads to: it has expired, or that service throttles or hangs"
        ),
        format!("all of them use it{others}{}", at(common)),
    )
}

fn at(common: &Shared) -> String {
    common.step.as_ref().map_or_else(String::new, |step| format!("; they stop at {step}"))
}

/// The program of one of these jobs that tells most, where it can be seen: who is stopped, then who computes, then the
/// youngest, for the others wait for it.
fn program<'a>(jobs: &[&Job], database: &Database, host: &'a Host) -> Option<&'a Process> {
    let theirs = |process: &&Process| {
        let holder = database.workers.iter().find(|w| w.pid == process.worker_pid && w.hostname == host.name);
        jobs.iter().any(|job| match process.job {
            Some(id) => id == job.id,
            None => holder.is_some_and(|worker| job.locked_by.as_ref() == Some(&worker.id)),
        })
    };
    let order =
        |process: &&Process| (cannot_go_on(process), computes(process), std::cmp::Reverse(process.age));
    host.processes.iter().filter(theirs).max_by_key(order)
}

fn cannot_go_on(process: &Process) -> bool {
    matches!(process.state, 'T' | 't' | 'D')
}

fn computes(process: &Process) -> bool {
    process.cpu.as_secs_f64() > BUSY * process.age.as_secs_f64().max(0.001)
}

/// What the state of a program says about why it does not end.
fn hung_child(child: &Process) -> String {
    let which = format!("{} (process {})", child.name, child.pid);
    match child.state {
        'T' | 't' => format!("{which} is stopped, by SIGSTOP or by a debugger"),
        'D' => format!("{which} waits in the kernel for a disk or a network file system"),
        _ if computes(child) => format!("{which} computes without coming to an end"),
        _ => format!("{which} waits for something that does not come, such as input or an answer"),
    }
}

/// Programs of jobs that cannot go on, whatever their jobs say: nobody will wake them.
pub(super) fn stopped_children(database: &Database, host: &Host) -> Option<Finding> {
    let stopped: Vec<&Process> = host.processes.iter().filter(|child| cannot_go_on(child)).collect();
    let first = stopped.first()?;
    let held = |child: &Process| {
        let worker = database.living().find(|w| w.pid == child.worker_pid && w.hostname == host.name);
        let of = child.job.map_or_else(String::new, |job| format!(" of job {job}"));
        worker.map_or_else(String::new, |worker| format!("{of} under {}", worker.id))
    };
    let line =
        |child: &&Process| format!("{}{}, for {} at most", hung_child(child), held(child), words(child.age));
    let what = format!("{} of running jobs cannot go on", counted(stopped.len(), "program"));
    let finding = Finding::new("jobs.hung_child", Severity::Error, what)
        .seen(stopped.iter().map(line))
        .comes_from(hung_child(first), "the kernel says so")
        .read_more("stuck-jobs#a-handler-hangs");
    let mut finding = match first.state {
        'D' => finding.mended_by(["look at the disks and network file systems of this host: dmesg | tail"]),
        _ => finding.mended_by([format!("kill -CONT {}", first.pid).as_str()]),
    };
    if let Some(job) = first.job {
        finding.mend.push("or take the job from its worker:".to_owned());
        finding.mend.push(format!("jobforge job retry {job}"));
    }
    Some(finding)
}

/// Jobs that have no limit, said where they are, and have stood there together for long.
pub(super) fn standing_still(database: &Database, host: &Host, well: &Well<'_>) -> Vec<Finding> {
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
        let on = |job: &Job| job.locked_by.as_ref().and_then(|id| hostname(database, id.as_str()));
        let patients: Vec<Patient<'_>> = jobs.iter().map(|job| Patient { job, host: on(job) }).collect();
        let common = shared(&patients, well);
        let (cause, because) = why_hung(&jobs, &common, database, host);
        let longest = jobs.iter().filter_map(|job| job.progress.at).min();
        let longest = longest.map_or(Duration::ZERO, |at| since(database.as_of, at));
        let ids: Vec<String> = jobs.iter().take(NAMED).map(|job| job.id.to_string()).collect();
        let what = format!("{} running jobs of type {job_type} stand still at {step}", jobs.len());
        let finding = Finding::new("jobs.standing_still", Severity::Warning, what)
            .seen(common.said)
            .seen([format!("the first of them has reported nothing for {}", words(longest))])
            .comes_from(cause, because)
            .mended_by([
                format!("jobforge job retry {}", ids.join(" ")).as_str(),
                "and give the type a limit, beside those that other types have:",
                format!("jobforge config set progress_timeouts_ms={job_type}=300000").as_str(),
            ])
            .read_more("stuck-jobs#jobs-stop-at-the-same-percent");
        Some(finding)
    };
    places.into_iter().filter_map(told).collect()
}
