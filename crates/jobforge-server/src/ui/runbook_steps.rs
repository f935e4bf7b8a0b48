//! What JobForge knows itself of a runbook's steps: the answer to one that looks, and where one that mends is done here.

use jobforge::core::enqueue::check_name;
use jobforge::core::job::JobId;
use jobforge::core::overview::COUNTED_TO;
use jobforge::core::settings::{Kind as Setting, flag_key};
use jobforge::core::state::Status;
use jobforge::core::time::{since, words};
use jobforge::store::rows::{DeadFilter, JobFilter, Latest};
use url::form_urlencoded;

use super::pulse::Whole;
use super::visit::Visit;
use super::words::{badge, brief, capped, cut, plural, short};
use super::{act, bar};
use crate::api_error::ApiError;
use crate::routes::visible;

/// Lines of one answer.
const LINES: usize = 6;
/// The causes of death among which the most frequent are told.
const LATEST: Latest = Latest { causes: 200, cap: 500, since: None };

/// What a step that looks would tell now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) lines: Vec<String>,
    /// Where all of it is.
    pub(super) path: String,
}

impl Answer {
    fn of(path: &str, lines: impl IntoIterator<Item = String>) -> Self {
        Self { lines: lines.into_iter().map(|line| cut(&line, 300)).collect(), path: path.to_owned() }
    }

    /// The first lines, and how many more there are.
    fn some(path: &str, nothing: &str, all: Vec<String>) -> Self {
        let more = all.len().saturating_sub(LINES);
        let rest = (more > 0).then(|| format!("and {more} more"));
        let none = all.is_empty().then(|| nothing.to_owned());
        Self::of(path, all.into_iter().take(LINES).chain(rest).chain(none))
    }
}

/// The value behind a flag of a command.
fn flag<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    let place = words.iter().position(|word| *word == name)?;
    words.get(place + 1).copied()
}

/// The answer to a command, if it is one that is known here.
pub(super) async fn answer(visit: &Visit, whole: &Whole, words: &[&str]) -> Result<Option<Answer>, ApiError> {
    let (store, now) = (visit.app.client.store(), whole.facts.as_of);
    let facts = &whole.facts;
    Ok(Some(match words {
        ["doctor" | "health", ..] => {
            let told =
                bar::all(&whole.overview).sentences.into_iter().map(|sentence| sentence.what).collect();
            Answer::some("/ui", "Nothing needs anybody.", told)
        }
        ["queue", "list", ..] => {
            let line = |queue: &jobforge::store::rows::QueueInfo| {
                let waits =
                    queue.oldest_ready_at.map(|at| format!(", the oldest waits {}", brief(since(now, at))));
                let paused = if queue.paused_at.is_some() { ", paused" } else { "" };
                let (ready, running) = (capped(queue.ready, COUNTED_TO), capped(queue.running, COUNTED_TO));
                format!(
                    "{}: {ready} ready, {running} running{}{paused}",
                    queue.name,
                    waits.unwrap_or_default()
                )
            };
            let mut queues: Vec<_> = facts.queues.iter().collect();
            queues.sort_by_key(|queue| queue.oldest_ready_at.unwrap_or(jiff::Timestamp::MAX));
            Answer::some(
                "/ui/queues",
                "No queue has jobs or workers.",
                queues.into_iter().map(line).collect(),
            )
        }
        ["worker", "list", ..] => {
            let line = |worker: &jobforge::core::worker::WorkerRow| {
                format!("{}: heard {} ago", worker.id, brief(since(now, worker.last_heartbeat_at)))
            };
            Answer::some("/ui/workers", "No worker is live.", facts.live_workers().map(line).collect())
        }
        ["watchdog", "status", ..] => {
            let line = |dog: &jobforge::core::watchdog::WatchdogRow| {
                format!("{}: last sign {} ago", dog.id, brief(since(now, dog.last_sign_at)))
            };
            let is = if facts.is_watched() { "A watchdog is running." } else { "No watchdog is running." };
            let dogs = facts.watchdogs.iter().take(LINES).map(line);
            Answer::of("/ui/watchdog", std::iter::once(is.to_owned()).chain(dogs))
        }
        ["watchdog", "history", ..] => {
            let line = |run: &jobforge::core::watchdog::Run| {
                let ago = brief(since(now, run.started_at));
                format!(
                    "{ago} ago: {} suspects, {} requeued, {} ended",
                    run.suspects, run.requeued, run.ended
                )
            };
            let runs = store.watchdog_runs(3).await?;
            Answer::some("/ui/watchdog", "No sweep is recorded.", runs.iter().map(line).collect())
        }
        ["schedule", "list", ..] => {
            let schedules = &facts.schedules;
            let all =
                format!("{}, {} paused", plural(schedules.total, "schedule", "schedules"), schedules.paused);
            let ill = schedules
                .ill
                .iter()
                .take(LINES)
                .map(|view| format!("{}: {}", view.name, view.state.as_str()));
            Answer::of("/ui/schedules", std::iter::once(all).chain(ill))
        }
        ["dead", "groups", ..] => {
            let groups =
                store.dead_groups(&DeadFilter { latest: Some(LATEST), ..DeadFilter::default() }).await?;
            let line = |group: &jobforge::core::dead::DeadGroup| {
                let of = if group.pattern.is_empty() { &group.kind } else { &group.pattern };
                format!(
                    "{} of {}: {of} (group {})",
                    capped(group.count, LATEST.cap),
                    group.job_type,
                    group.group
                )
            };
            Answer::some("/ui/dead", "No job is dead.", groups.iter().map(line).collect())
        }
        ["alert", "list", rest @ ..] if !rest.contains(&"--resolved") => {
            let line = |alert: &jobforge_api::alerts::AlertView| {
                format!("{}: {}, {}", alert.rule, alert.state, alert.summary)
            };
            Answer::some("/ui/alerts", "No alert holds.", facts.alerts.iter().map(line).collect())
        }
        ["db", "status", ..] => {
            let engine = store.capabilities().engine;
            Answer::of("/ui", [format!("{engine} answered within {}", self::words(facts.took))])
        }
        ["config", "get", key, ..] => {
            let settings = visit.app.live.now();
            let Some(found) = settings.get(key) else { return Ok(None) };
            Answer::of("/ui/settings", [format!("{key} is {} ({})", found.shown(), found.source)])
        }
        ["flag", "list", ..] => {
            let settings = visit.app.live.now();
            let flags = settings.iter().filter(|found| found.setting.kind == Setting::Flag);
            let on = |value: &str| if value == "true" { "on" } else { "off" };
            let told = flags.map(|found| format!("{} is {}", found.setting.key, on(&found.value)));
            Answer::of("/ui/settings", told)
        }
        ["job", "list", rest @ ..] => {
            let statuses = flag(rest, "--status").unwrap_or_default().split(',');
            let named = |name| flag(rest, name).map(str::to_owned);
            let filter = JobFilter {
                statuses: statuses.filter_map(|word| word.parse::<Status>().ok()).collect(),
                job_type: named("--type"),
                queue: named("--queue"),
                tenant_id: named("--tenant"),
                state: flag(rest, "--state").and_then(|word| word.parse().ok()),
                rescue: visit.app.live.now().rescue_policy(),
                limit: LINES,
                ..JobFilter::default()
            };
            let page = store.job_page(&filter).await?;
            let line = |job: &jobforge::core::job::Job| {
                format!("{} {}: {}", job.job_type, short(&job.id.to_string()), badge(job, now, false).word)
            };
            let path = super::jobs::address(&super::jobs::pairs(&filter));
            Answer::some(&path, "No job matches.", page.jobs.iter().map(line).collect())
        }
        ["job", "explain" | "show" | "logs" | "wait", id, ..] | ["dead", "show", id, ..] => {
            let Ok(id) = id.parse::<JobId>() else { return Ok(None) };
            let job = match visible(&visit.app, &visit.caller, id).await {
                Ok(job) => job,
                Err(fault) if fault.is_of_database() => return Err(fault),
                Err(_) => return Ok(Some(Answer::of("/ui/jobs", ["There is no such job.".to_owned()]))),
            };
            let trouble = facts.stuck.iter().find(|stuck| stuck.job.id == id);
            let said = format!("{}: {}", job.job_type, badge(&job, now, trouble.is_some()).word);
            let why = trouble.map(|stuck| stuck.reason.clone());
            let why = why.or_else(|| job.error.as_ref().map(|error| error.message.clone()));
            Answer::of(&format!("/ui/jobs/{id}"), std::iter::once(said).chain(why))
        }
        _ => return Ok(None),
    }))
}

/// The deed of the dashboard that a command is, with its target.
fn deed(words: &[&str]) -> Option<(&'static str, String)> {
    let named = |deed: &'static str, name: &str| check_name(name).ok().map(|()| (deed, name.to_owned()));
    match words {
        [.., "--dry-run"] => None,
        ["job", step @ ("retry" | "cancel" | "delete"), id] => {
            let id = id.parse::<JobId>().ok()?.to_string();
            Some((
                match *step {
                    "retry" => "job-retry",
                    "cancel" => "job-cancel",
                    _ => "job-delete",
                },
                id,
            ))
        }
        ["watchdog", "run"] => Some(("watchdog-run", "now".to_owned())),
        ["queue", "pause", name] => named("queue-pause", name),
        ["queue", "resume", name] => named("queue-resume", name),
        ["worker", "restart", name] => named("worker-restart", name),
        ["schedule", "run", name] => named("schedule-run", name),
        ["schedule", "pause", name, ..] => named("schedule-pause", name),
        ["schedule", "resume", name] => named("schedule-resume", name),
        ["flag", "set", name, "on", ..] => flag_key(name).map(|_| ("flag-on", (*name).to_owned())),
        ["flag", "set", name, "off", ..] => flag_key(name).map(|_| ("flag-off", (*name).to_owned())),
        ["alert", "silence", rule, ..] => named("alert-silence", rule),
        ["dead", step @ ("retry" | "discard"), rest @ ..] => {
            let name = if *step == "retry" { "dead-retry" } else { "dead-discard" };
            named(name, flag(rest, "--group")?)
        }
        _ => None,
    }
}

/// Where a command is done in the dashboard by somebody who may, and what its button says.
pub(super) fn page_of_deed(visit: &Visit, words: &[&str], back: &str) -> Option<(String, &'static str)> {
    let (name, target) = deed(words)?;
    let known = act::find(name).filter(|known| known.may(&visit.caller))?;
    let part = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let mut path = format!("/ui/act/{name}/{}?back={}", part(&target), part(back));
    if let Some(hours) = flag(words, "--for").and_then(|text| text.strip_suffix('h')) {
        path.push_str(&format!("&hours={}", part(hours)));
    }
    if let Some(why) = flag(words, "--reason").or(flag(words, "--note")) {
        path.push_str(&format!("&reason={}", part(why)));
    }
    Some((path, known.verb))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(command: &str, expected: Option<(&'static str, &str)>) {
        let words: Vec<&str> = command.split_whitespace().collect();
        let expected = expected.map(|(name, target)| (name, target.to_owned()));
        assert_eq!(deed(&words), expected, "{command}");
    }

    #[test]
    fn a_command_that_mends_is_a_deed_of_the_dashboard_only_if_it_does_just_that() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        check(&format!("job retry {id}"), Some(("job-retry", id)));
        check("job retry ../x", None);
        check("watchdog run", Some(("watchdog-run", "now")));
        check("watchdog run --dry-run", None);
        check("queue pause mail", Some(("queue-pause", "mail")));
        check("queue pause mail --now", None);
        check("dead retry --group 0123 --per-second 20 --yes", Some(("dead-retry", "0123")));
        check("dead retry --group 0123 --dry-run", None);
        check("flag set JOB_HEARTBEAT on", Some(("flag-on", "JOB_HEARTBEAT")));
        check("flag set NOTHING on", None);
        check("db tidy", None);
    }
}
