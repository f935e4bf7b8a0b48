//! What a queued job waits for.

use super::{Draft, Facts, Kind, Standing, WaitingFor, next};
use crate::counted::counted;
use crate::job::QueuedBecause;
use crate::poison;
use crate::time::{since, words};

pub(super) fn queued(facts: &Facts) -> Standing {
    let job = &facts.job;
    let mut draft = Draft::new(facts);
    draft.saw(
        format!("enqueued {} ago in queue {}", words(since(facts.as_of, job.created_at)), job.queue),
        Some(job.created_at),
    );
    if job.attempts > 0 || !job.crashes.is_empty() {
        draft.last_failure();
    }
    for crash in &job.crashes {
        let beside = match crash.beside {
            0 => "while nothing else ran there".to_owned(),
            1 => "beside 1 other job".to_owned(),
            n => format!("beside {n} other jobs"),
        };
        let worker = crash.worker.as_ref().map_or_else(|| "a worker".to_owned(), ToString::to_string);
        draft.saw(format!("it was running when {worker} died, {beside}: {}", crash.proof), Some(crash.at));
    }
    draft.late_handler();
    draft.can("stop it from running", "cancel");
    if job.run_at > facts.as_of {
        return waiting_for_time(facts, draft);
    }
    let waited = words(since(facts.as_of, job.run_at));
    draft.saw(format!("due since {waited}"), Some(job.run_at));
    if let Some(paused_at) = facts.queue_paused_at {
        draft.saw(
            format!("queue {} was paused {} ago", job.queue, words(since(facts.as_of, paused_at))),
            Some(paused_at),
        );
        draft.first("let the queue run", format!("jobforge queue resume {}", job.queue));
        let step = next(format!("nothing until queue {} is resumed", job.queue), "a person", None);
        return draft.done(
            Kind::Waiting,
            Some(WaitingFor::PausedQueue),
            format!("waits because queue {} is paused", job.queue),
            step,
        );
    }
    if facts.able_workers == 0 {
        let seen = match facts.queue_workers {
            0 => format!("no live worker takes from queue {}", job.queue),
            1 => format!(
                "1 live worker takes from queue {}, and it does not know type {}",
                job.queue, job.job_type
            ),
            n => format!(
                "{n} live workers take from queue {}, and none knows type {}",
                job.queue, job.job_type
            ),
        };
        draft.saw(seen, None);
        draft.first("start a worker for the queue", format!("jobforge work --queues {}", job.queue));
        let step = next("a worker that knows the type claims it as soon as one starts", "a worker", None);
        return draft.done(
            Kind::Waiting,
            Some(WaitingFor::Worker),
            format!("waits for a worker that runs {} from queue {}", job.job_type, job.queue),
            step,
        );
    }
    draft.saw(format!("{} can run it", counted(facts.able_workers, "live worker")), None);
    if poison::runs_alone(&job.crashes) {
        let what =
            "a worker that runs nothing else takes it, so that it can harm nobody and shows what it does";
        let headline = format!("waits since {waited} to run alone, because its workers died");
        return draft.done(Kind::Waiting, Some(WaitingFor::Slot), headline, next(what, "a worker", None));
    }
    let step = next("the next worker with a free slot claims it", "a worker", Some(facts.as_of));
    if job.queued_because == QueuedBecause::Rescue {
        let headline = format!("is recovering: its worker was lost, and it waited {waited} for a free slot");
        return draft.done(Kind::Recovering, None, headline, step);
    }
    draft.done(Kind::Waiting, Some(WaitingFor::Slot), format!("waits for a free slot since {waited}"), step)
}

fn waiting_for_time(facts: &Facts, mut draft: Draft<'_>) -> Standing {
    let job = &facts.job;
    let left = words(since(job.run_at, facts.as_of));
    let attempt = job.attempts + 1;
    draft.first("run it now", format!("jobforge job retry {}", job.id));
    let (kind, waiting, headline) = match job.queued_because {
        QueuedBecause::Retry => (
            Kind::Waiting,
            Some(WaitingFor::Retry),
            format!("waits {left} before attempt {attempt} of {}", job.max_attempts),
        ),
        QueuedBecause::Rescue => (
            Kind::Recovering,
            None,
            format!("is recovering: its worker was lost, and it runs again in {left}"),
        ),
        QueuedBecause::Snooze => {
            (Kind::Waiting, Some(WaitingFor::Time), format!("was snoozed by its handler and waits {left}"))
        }
        QueuedBecause::Enqueued | QueuedBecause::Release | QueuedBecause::Operator => {
            (Kind::Waiting, Some(WaitingFor::Time), format!("waits {left} for its time"))
        }
    };
    let step = next(
        format!("it becomes due for attempt {attempt} of {}", job.max_attempts),
        "a worker",
        Some(job.run_at),
    );
    draft.done(kind, waiting, headline, step)
}
