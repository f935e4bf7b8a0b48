//! What is told of jobs with one ailment.

use super::ailment::Ailment;
use super::facts::{Database, Host};
use super::group::Group;
use super::hung::{whose, why_hung};
use super::shared::Well;
use super::{Finding, Severity};
use crate::counted::counted;

pub(super) fn finding(
    ailment: Ailment,
    of: &str,
    group: &Group<'_>,
    well: &Well<'_>,
    database: &Database,
    host: &Host,
) -> Finding {
    let common = group.shared(well);
    let severity = match ailment {
        _ if group.stuck() > 0 => Severity::Error,
        Ailment::OutOfMemory | Ailment::Credential | Ailment::Pool => Severity::Error,
        Ailment::Service | Ailment::Hung | Ailment::WorkerLost | Ailment::Code => Severity::Warning,
    };
    let said = group.messages();
    let words = group.sample();
    let new = |name, one: &str, several: &str| Finding::new(name, severity, group.what(one, several));
    let told = match ailment {
        Ailment::Credential => {
            let which =
                if of.is_empty() { "a credential".to_owned() } else { format!("the credential {of}") };
            new("jobs.credential", "was refused by what it logs in to", "were refused by what they log in to")
                .comes_from(format!("{which} has expired, was revoked or lacks rights"), they_say(words))
                .mended_by([
                    "renew the credential where it is issued, then replace its file in secrets_dir, or reconnect the account",
                    "and let them run again:",
                ])
                .read_more("stuck-jobs#jobs-stop-at-the-same-percent")
        }
        Ailment::Pool => new("jobs.pool", "got no connection", "got no connection")
            .comes_from(
                "a pool of connections, or the number that a server takes, is used up",
                they_say(words),
            )
            .mended_by([
                "look who holds the connections of the server that they name:",
                "SELECT usename, state, count(*) FROM pg_stat_activity GROUP BY 1, 2",
                "run fewer of them at once: lower JOBFORGE_SLOTS of their workers; then let them run again:",
            ])
            .read_more("background-jobs#the-database-is-slow"),
        Ailment::Service => new(
            "jobs.service",
            &format!("of type {of} got no answer from what it calls"),
            &format!("of type {of} got no answer from what they call"),
        )
        .comes_from("a service that they depend on is down or cannot be reached", they_say(words))
        .mended_by(["mend that service; jobs that are to be tried again need nothing else, the others:"])
        .read_more("stuck-jobs#jobs-stop-at-the-same-percent"),
        Ailment::Hung => {
            let (cause, because) = why_hung(&group.jobs(), &common, database, host);
            new("jobs.hung", &format!("of type {of} did not go on"), &format!("of type {of} did not go on"))
                .comes_from(cause, because)
                .mended_by(["mend that, then let them run again:"])
                .read_more("stuck-jobs#a-handler-hangs")
        }
        Ailment::WorkerLost if of == "poison" => {
            let killed: usize = group.cases.iter().map(|case| case.job.crashes.len()).sum();
            new("jobs.poison", "takes its worker down", "take their workers down")
                .seen([format!("{} died of it", counted(killed, "worker"))])
                .comes_from(
                    match killed {
                        0 | 1 => "the job itself, or whoever killed its worker while nothing else ran there",
                        _ => "the job itself: its worker died each time it ran, with nothing beside it",
                    },
                    they_say(words),
                )
                .mended_by(["mend the handler or the payload before it runs again:"])
                .read_more("workers#a-worker-died")
        }
        Ailment::WorkerLost => {
            new("jobs.lost_with_workers", "was lost with its worker", "were lost with their workers")
                .comes_from(
                    "workers died or were not heard, more often than a job may lose its lease",
                    they_say(words),
                )
                .mended_by(["see that workers stay, then let them run again:"])
                .read_more("workers#a-worker-died")
        }
        Ailment::Code | Ailment::OutOfMemory => {
            let nobody = "what they say tells of no credential, connection, memory or time limit, and others \
                          share what they share";
            let own = || ("their own code, or their input".to_owned(), nobody.to_owned());
            let (cause, because) = whose(&common).unwrap_or_else(own);
            new("jobs.failing", &format!("of type {of} failed"), &format!("of type {of} fail alike"))
                .comes_from(cause, because)
                .mended_by(["mend what the message names, then let them run again:"])
                .read_more("background-jobs#jobs-are-dead")
        }
    };
    let again = group.again();
    let mut told =
        told.seen(common.said).seen(said).seen(group.cases.iter().filter_map(|case| case.stuck.clone()));
    told.mend.extend(again);
    told
}

fn they_say(words: &str) -> String {
    format!("they say so: {words}")
}
