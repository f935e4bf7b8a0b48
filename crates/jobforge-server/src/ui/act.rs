//! Everything that can be changed here, as a table: what it needs, what it does, and how the same is done elsewhere.
//!
//! `GET /ui/act/DEED/TARGET` asks once and shows the exact effect; `POST` does it and comes back with a receipt. Each deed
//! asks the same call as its route of the API, by the same caller, so rights and the audit log are the same.

use std::time::Duration;

use askama::Template;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::StatusCode;
use axum::response::Response;
use jobforge::DeadStep;
use jobforge::core::alert::history::Labels;
use jobforge::core::dead::Pace;
use jobforge::core::enqueue::check_name;
use jobforge::core::job::JobId;
use jobforge::core::settings::flag_key;
use jobforge::core::time::{Now, add};
use jobforge::core::token::Scope;
use jobforge::store::rows::DeadFilter;
use uuid::Uuid;

use super::copies::{Copies, shell};
use super::form::Form;
use super::jobs::Line;
use super::page::{Shell, html, local_path};
use super::session::see_other;
use super::visit::Visit;
use super::words::cut;
use super::{allow, job, receipt};
use crate::api_error::ApiError;
use crate::caller::Caller;
use crate::routes::Need::{self, All, Own};
use crate::routes::{self, visible};

/// Dead jobs that one click moves.
const MOST_DEAD: u64 = 10_000;
/// How long an alert is silent unless somebody says otherwise, as the command takes it.
const SILENT_FOR: &str = "2h";
/// The longest time that a form takes, in hours: 30 days.
const MOST_HOURS: u64 = 720;
/// The longest reason that a form takes, in characters.
const MOST_REASON: usize = 500;

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    RetryJob,
    CancelJob,
    DeleteJob,
    RevealJob,
    RestartWorker,
    PauseQueue,
    ResumeQueue,
    RunSchedule,
    PauseSchedule,
    ResumeSchedule,
    Sweep,
    StopOperation,
    FlagOn,
    FlagOff,
    RetryDead,
    DiscardDead,
    Silence,
    EndSilence,
    TryChannel,
}

/// One line of the table.
#[derive(Debug)]
pub(super) struct Deed {
    /// As in the address.
    pub(super) name: &'static str,
    kind: Kind,
    need: Need,
    /// The button, and the question with a mark behind it.
    pub(super) verb: &'static str,
    /// What a receipt says, with the target behind it.
    pub(super) past: &'static str,
    effect: &'static str,
    /// Whether it can take something away that does not come back.
    danger: bool,
    /// Whether it can be for a while.
    hours: bool,
    /// Whether a reason must be given.
    reason_needed: bool,
    here: &'static str,
}

const fn deed(
    name: &'static str,
    kind: Kind,
    need: Need,
    here: &'static str,
    verb: &'static str,
    past: &'static str,
    effect: &'static str,
) -> Deed {
    Deed { name, kind, need, verb, past, effect, danger: false, hours: false, reason_needed: false, here }
}

impl Deed {
    /// Whether somebody may.
    pub(super) fn may(&self, caller: &Caller) -> bool {
        allow(caller, self.need).is_ok()
    }

    const fn danger(self) -> Self {
        Self { danger: true, ..self }
    }

    const fn hours(self) -> Self {
        Self { hours: true, ..self }
    }

    const fn reason_needed(self) -> Self {
        Self { reason_needed: true, ..self }
    }
}

use Kind::{
    CancelJob, DeleteJob, DiscardDead, EndSilence, FlagOff, FlagOn, PauseQueue, PauseSchedule, RestartWorker,
    ResumeQueue, ResumeSchedule, RetryDead, RetryJob, RevealJob, RunSchedule, Silence, StopOperation, Sweep,
    TryChannel,
};
use Scope::{Admin, Operate};

/// All of it.
pub(super) const DEEDS: [Deed; 19] = [
    deed("job-retry", RetryJob, Own(Operate), "/ui/jobs", "Run the job again", "the job will run again:",
        "It runs again from the beginning with fresh attempts, as soon as a worker has a free slot. If it runs now, it is taken from its worker first, and what that one still reports is refused."),
    deed("job-cancel", CancelJob, Own(Operate), "/ui/jobs", "Cancel the job", "the job was canceled:",
        "It ends as canceled at once. If it runs, its handler is told to stop, and what it still reports is refused. It can be run again later.").danger(),
    deed("job-delete", DeleteJob, Own(Operate), "/ui/jobs", "Delete the job", "the job was deleted:",
        "The job is removed with its result, its attempts and its log. This cannot be undone.").danger(),
    deed("job-reveal", RevealJob, Own(Admin), "/ui/jobs", "Show the secrets of the job", "its secrets were shown:",
        "Its page is shown once with every value of its payload, its result and its errors, also those whose keys name secrets. Nothing is changed; the audit log keeps who looked."),
    deed("worker-restart", RestartWorker, All(Operate), "/ui/workers", "Restart the worker", "the worker was told to restart:",
        "It takes no more jobs, finishes what it has within its grace time, and begins anew. What it cannot finish goes back to the queue at no cost of attempts."),
    deed("queue-pause", PauseQueue, All(Operate), "/ui/queues", "Pause the queue", "the queue is paused:",
        "No more of its jobs start. What runs goes on, and jobs can still be put in.").danger(),
    deed("queue-resume", ResumeQueue, All(Operate), "/ui/queues", "Resume the queue", "the queue runs again:",
        "Its jobs start again, the most urgent first."),
    deed("schedule-run", RunSchedule, All(Operate), "/ui/schedules", "Run the schedule now", "a run was made of",
        "Its job is put into its queue now, beside its usual moments. Refused while a job of it has not ended, if two may not overlap."),
    deed("schedule-pause", PauseSchedule, All(Operate), "/ui/schedules", "Pause the schedule", "the schedule is paused:",
        "It makes no more jobs until it is resumed, or until the time is over. Moments that pass are not caught up on.").hours().danger(),
    deed("schedule-resume", ResumeSchedule, All(Operate), "/ui/schedules", "Resume the schedule", "the schedule runs again:",
        "It makes jobs again from its next moment on."),
    deed("watchdog-run", Sweep, All(Operate), "/ui/watchdog", "Sweep now", "the watchdog swept:",
        "The watchdog looks once at every running job that may be in trouble and takes back what is, by the same rules as always. Healthy jobs are not touched."),
    deed("operation-stop", StopOperation, Own(Operate), "/ui/jobs", "Stop the operation", "the operation was stopped:",
        "It goes no further. What it did stays done.").danger(),
    deed("flag-on", FlagOn, All(Admin), "/ui/settings", "Switch the flag on", "the flag is on:",
        "It counts on every process within seconds.").hours(),
    deed("flag-off", FlagOff, All(Admin), "/ui/settings", "Switch the flag off", "the flag is off:",
        "It counts on every process within seconds. Read below what the flag does before you switch it off.").hours().danger(),
    deed("dead-retry", RetryDead, Own(Operate), "/ui/dead", "Retry all of this cause", "they will run again:",
        "Every dead job of this cause runs again with fresh attempts, up to 10,000 with one click. Mend the cause first, or they will die of it again."),
    deed("dead-discard", DiscardDead, Own(Operate), "/ui/dead", "Leave them dead", "they stay dead:",
        "The jobs stay in the database as dead, with your reason, and are no longer listed. They can still be found and run again.").danger().reason_needed(),
    deed("alert-silence", Silence, All(Operate), "/ui/alerts", "Silence the alert", "the alert is silent:",
        "Nobody is told of this rule for a while: two hours, unless you say otherwise. It is still judged and shown.").hours(),
    deed("silence-end", EndSilence, All(Operate), "/ui/alerts", "End the silence", "the silence is over:",
        "People are told of the alert again."),
    deed("channel-test", TryChannel, All(Operate), "/ui/alerts", "Send a test to the channel", "a test is sent to",
        "A message that says that it is a test goes to whoever is behind the channel. A server that has the channel sends it within seconds; the page shows what became of it."),
];

/// A line by its name.
pub(super) fn find(name: &str) -> Option<&'static Deed> {
    static ALL: [Deed; 19] = DEEDS;
    ALL.iter().find(|deed| deed.name == name)
}

/// The command that does the same, as the form stands: for how long, and why.
fn command(kind: Kind, target: &str, hours: Option<u64>, reason: Option<&str>) -> String {
    let mut text = bare_command(kind, target);
    let lasts = hours.map(|hours| format!("{hours}h"));
    if let Some(lasts) = lasts.as_deref().or((kind == Silence).then_some(SILENT_FOR)) {
        text.push_str(&format!(" --for {lasts}"));
    }
    if let Some(reason) = reason.or((kind == DiscardDead).then_some("why")) {
        text.push_str(&format!(" {} {}", why_flag(kind), shell(reason)));
    }
    text
}

/// The flag that takes the reason.
fn why_flag(kind: Kind) -> &'static str {
    if kind == DiscardDead { "--note" } else { "--reason" }
}

fn bare_command(kind: Kind, target: &str) -> String {
    let word = shell(target);
    match kind {
        RetryJob => format!("jobforge job retry {word}"),
        CancelJob => format!("jobforge job cancel {word}"),
        DeleteJob => format!("jobforge job delete {word}"),
        RevealJob => format!("jobforge job show {word} --reveal"),
        RestartWorker => format!("jobforge worker restart {word}"),
        PauseQueue => format!("jobforge queue pause {word}"),
        ResumeQueue => format!("jobforge queue resume {word}"),
        RunSchedule => format!("jobforge schedule run {word}"),
        PauseSchedule => format!("jobforge schedule pause {word}"),
        ResumeSchedule => format!("jobforge schedule resume {word}"),
        Sweep => "jobforge watchdog run".to_owned(),
        StopOperation => format!("jobforge operation cancel {word}"),
        FlagOn => format!("jobforge flag set {word} on"),
        FlagOff => format!("jobforge flag set {word} off"),
        RetryDead => format!("jobforge dead retry --group {word}"),
        DiscardDead => format!("jobforge dead discard --group {word}"),
        Silence => format!("jobforge alert silence {word}"),
        EndSilence => format!("jobforge alert unsilence {word}"),
        TryChannel => format!("jobforge alert test {word}"),
    }
}

type Segments = Result<Path<(String, String)>, PathRejection>;

fn asked(visit: &Visit, segments: Segments) -> Result<(&'static Deed, String), ApiError> {
    let unknown = || {
        let detail = "there is no such deed; the pages have a button for each that there is";
        ApiError::new(StatusCode::NOT_FOUND, "page_not_found", "there is no such page", detail)
    };
    let Path((name, target)) = segments.map_err(|_| unknown())?;
    let deed = find(&name).ok_or_else(unknown)?;
    allow(&visit.caller, deed.need)?;
    Ok((deed, target))
}

#[derive(Template)]
#[template(path = "act.html")]
struct AskPage {
    shell: Shell,
    deed: &'static Deed,
    target: String,
    path: String,
    /// What the form holds at first, from the address.
    hours: String,
    reason: String,
    cli: String,
    /// The same command before it says for how long and why, which a script adds as they are typed.
    bare: String,
    usual_time: &'static str,
    why_flag: &'static str,
    back: String,
    lines: Vec<Line>,
    more: String,
}

/// `GET /ui/act/{deed}/{target}`
pub(super) async fn ask(visit: Visit, segments: Segments) -> Result<Response, ApiError> {
    let (deed, target) = asked(&visit, segments)?;
    let store = visit.app.client.store();
    let as_of = store.now().await?;
    let (mut lines, mut more) = (Vec::new(), String::new());
    match deed.kind {
        RetryJob | CancelJob | DeleteJob | RevealJob => {
            let job = visible(&visit.app, &visit.caller, target.parse::<JobId>()?).await?;
            lines.push(Line::of(&job, as_of, None));
        }
        RetryDead | DiscardDead => {
            let dead = store.dead_jobs(&group(&visit, &target)?, None, 3).await?;
            lines.extend(dead.iter().map(|job| Line::of(job, as_of, None)));
        }
        FlagOn | FlagOff => {
            let settings = visit.app.live.now();
            let setting = flag_key(&target).and_then(|key| settings.get(key)).map(|found| found.setting);
            more = setting.map(|setting| setting.doc.to_owned()).unwrap_or_default();
        }
        _ => {}
    }
    let back = visit.param("back");
    let back = local_path(back.as_deref().or(Some(deed.here))).to_owned();
    let given = visit.param("hours").filter(|_| deed.hours);
    let hours =
        given.and_then(|text| text.parse::<u64>().ok()).filter(|hours| (1..=MOST_HOURS).contains(hours));
    let reason = visit.param("reason").map(|reason| cut(&reason, MOST_REASON));
    html(&AskPage {
        shell: visit.shell(deed.here, deed.verb, as_of, Copies::default()).await,
        cli: command(deed.kind, &target, hours, reason.as_deref()),
        bare: bare_command(deed.kind, &target),
        usual_time: if deed.kind == Silence { SILENT_FOR } else { "" },
        why_flag: why_flag(deed.kind),
        hours: hours.map(|hours| hours.to_string()).unwrap_or_default(),
        reason: reason.unwrap_or_default(),
        path: visit.uri.path().to_owned(),
        target: cut(&target, 200),
        deed,
        back,
        lines,
        more,
    })
}

fn group(visit: &Visit, target: &str) -> Result<DeadFilter, ApiError> {
    let tenant_id = visit.caller.tenant(None)?;
    Ok(DeadFilter { group: Some(target.to_owned()), tenant_id, ..DeadFilter::default() })
}

/// `POST /ui/act/{deed}/{target}`
pub(super) async fn perform(visit: Visit, segments: Segments, form: Form) -> Result<Response, ApiError> {
    let (deed, target) = asked(&visit, segments)?;
    let reason = form.get("reason");
    if deed.reason_needed && reason.is_none() {
        return Err(ApiError::invalid_request("say why; it is kept with the jobs and in the audit log"));
    }
    let moved = act(&visit, deed.kind, &target, hours(&form)?, reason).await?;
    if deed.kind == RevealJob {
        // The answer is the page itself: an address that shows secrets could be passed on.
        return job::show(&visit, target.parse::<JobId>()?, None).await;
    }
    // What is gone has no page to come back to.
    let back = if deed.kind == DeleteJob { "/ui/jobs" } else { local_path(form.get("back")) };
    Ok(see_other(&receipt::with(back, deed.name, &target, moved)))
}

fn hours(form: &Form) -> Result<Option<u64>, ApiError> {
    let Some(text) = form.get("hours") else { return Ok(None) };
    let hours = text.parse::<u64>().ok().filter(|hours| (1..=MOST_HOURS).contains(hours));
    let told = format!("for how long must be a number of hours from 1 to {MOST_HOURS}, or left out");
    hours.map(Some).ok_or_else(|| ApiError::invalid_request(told))
}

/// Does it; says how many, where it is about many.
async fn act(
    visit: &Visit,
    kind: Kind,
    target: &str,
    hours: Option<u64>,
    reason: Option<&str>,
) -> Result<Option<u64>, ApiError> {
    let caller = visit.caller.clone().with_reason(reason);
    let (app, by) = (&visit.app, caller.by());
    let (client, store) = (app.acting(by), app.client.store());
    let lasts = hours.map(|hours| Duration::from_secs(hours * 3600));
    match kind {
        RetryJob | CancelJob | DeleteJob => {
            let id = visible(app, &caller, target.parse::<JobId>()?).await?.id;
            match kind {
                RetryJob => client.retry(id).await?,
                CancelJob => client.cancel(id).await?,
                _ => client.delete(id).await?,
            }
        }
        RevealJob => {
            let job = visible(app, &caller, target.parse::<JobId>()?).await?;
            client.note_reveal(&job).await?;
        }
        RestartWorker => {
            routes::restart_worker(app, &caller, target.to_owned()).await?;
        }
        PauseQueue | ResumeQueue => {
            check_name(target)
                .map_err(|fault| ApiError::bad_request("bad_name", format!("queue: {fault}")))?;
            store.pause_queue(target, kind == PauseQueue, by, Now::Database).await?;
        }
        RunSchedule => {
            client.run_schedule(target, false).await?;
        }
        PauseSchedule => {
            let until = match lasts {
                Some(lasts) => Some(add(store.now().await?, lasts)),
                None => None,
            };
            client.pause_schedule(target, until).await?;
        }
        ResumeSchedule => {
            client.resume_schedule(target).await?;
        }
        Sweep => {
            routes::sweep(app, &caller).await?;
        }
        StopOperation => {
            let id = target
                .parse::<Uuid>()
                .map_err(|_| ApiError::bad_request("bad_id", "the operation's id is not a UUID"))?;
            routes::operation(app, &caller, Ok(Path(id))).await?;
            if !store.cancel_operation(id, by, Now::Database).await? {
                let told = "it has ended already";
                return Err(ApiError::conflict("operation_ended", "the operation has ended", told));
            }
        }
        FlagOn | FlagOff => {
            let key = flag_key(target).ok_or_else(|| {
                let detail = "there is no such flag; the settings list those that there are";
                ApiError::new(StatusCode::NOT_FOUND, "flag_not_found", "there is no such flag", detail)
            })?;
            let for_ms = lasts.map(|lasts| lasts.as_millis() as u64);
            routes::switch_flag(app, &caller, key, kind == FlagOn, for_ms).await?;
        }
        RetryDead | DiscardDead => {
            let step = match kind {
                RetryDead => DeadStep::Retry,
                _ => DeadStep::Discard { note: reason.unwrap_or_default().to_owned() },
            };
            let filter = group(visit, target)?;
            let tally =
                client.move_all_dead(&filter, &step, Pace::FULL, |tally| tally.done < MOST_DEAD).await?;
            return Ok(Some(tally.done));
        }
        Silence => {
            let lasts = lasts.unwrap_or(Duration::from_secs(2 * 3600));
            client.silence(target, &Labels::new(), lasts).await?;
        }
        EndSilence => {
            let id = target
                .parse::<Uuid>()
                .map_err(|_| ApiError::bad_request("bad_id", "the silence's id is not a UUID"))?;
            client.unsilence(id).await?;
        }
        TryChannel => {
            client.test_channel(target).await?;
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_says_for_how_long_and_why_as_the_form_does() {
        let check = |kind, hours, reason, told| assert_eq!(command(kind, "x", hours, reason), told);
        check(
            FlagOff,
            Some(3),
            Some("it's late"),
            r"jobforge flag set x off --for 3h --reason 'it'\''s late'",
        );
        check(PauseSchedule, Some(1), None, "jobforge schedule pause x --for 1h");
        check(PauseSchedule, None, None, "jobforge schedule pause x");
        check(Silence, None, Some("known"), "jobforge alert silence x --for 2h --reason known");
        check(Silence, Some(5), None, "jobforge alert silence x --for 5h");
        check(DiscardDead, None, None, "jobforge dead discard --group x --note why");
        check(DiscardDead, None, Some("gone"), "jobforge dead discard --group x --note gone");
    }

    #[test]
    fn every_deed_has_a_name_of_its_own_and_changes_nothing_for_a_viewer() {
        for (place, deed) in DEEDS.iter().enumerate() {
            assert!(DEEDS.iter().skip(place + 1).all(|other| other.name != deed.name), "{}", deed.name);
            let viewer = crate::caller::Caller::new("viewer", Scope::Read);
            assert!(allow(&viewer, deed.need).is_err(), "{}", deed.name);
        }
    }
}
