//! Verdicts: what must hold of a record, and of how jobs ended. No clock, no network.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use jiff::Timestamp;
use jobforge::core::state::Status;
use jobforge::store::rows::JobDetail;
use serde_json::Value;

use super::record::{Beat, Call, Record, Sent};

/// What a worker may still say of a job when it has been told to stop, before that counts as going on.
const STOPPING: Duration = Duration::from_secs(2);

/// How a job ended.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) id: String,
    pub(super) job_type: String,
    pub(super) status: Status,
    pub(super) attempts: u32,
    pub(super) outcomes: Vec<String>,
    pub(super) result: Value,
    pub(super) error_kind: String,
    pub(super) error_message: String,
}

impl End {
    pub(super) fn of(detail: JobDetail) -> Result<Self> {
        let error = detail.job.error.as_ref();
        Ok(Self {
            id: detail.job.id.to_string(),
            job_type: detail.job.job_type.clone(),
            status: detail.job.status,
            attempts: detail.job.attempts,
            outcomes: detail.attempts.into_iter().map(|attempt| attempt.outcome).collect(),
            result: detail.result.map_or(Ok(Value::Null), |result| result.decode())?,
            error_kind: error.map(|error| error.kind.clone()).unwrap_or_default(),
            error_message: error.map(|error| error.message.clone()).unwrap_or_default(),
        })
    }

    pub(super) fn succeeded(&self) -> Result<()> {
        let Self { job_type, status, error_kind, error_message, .. } = self;
        ensure!(*status == Status::Succeeded, "a job {job_type} is {status} ({error_kind}: {error_message})");
        let successes = self.outcomes.iter().filter(|outcome| *outcome == "succeeded").count();
        ensure!(successes == 1, "a job {job_type} succeeded {successes} times: {:?}", self.outcomes);
        Ok(())
    }

    /// It succeeded without having been taken from its worker or failed before.
    pub(super) fn succeeded_at_once(&self) -> Result<()> {
        self.succeeded()?;
        self.used(1)
    }

    pub(super) fn used(&self, attempts: u32) -> Result<()> {
        let Self { job_type, outcomes, .. } = self;
        ensure!(
            self.attempts == attempts,
            "a job {job_type} took {} attempts instead of {attempts}: {}",
            self.attempts,
            outcomes.join(", ")
        );
        Ok(())
    }

    pub(super) fn gave(&self, result: &Value) -> Result<()> {
        ensure!(self.result == *result, "a job {} gave {} instead of {result}", self.job_type, self.result);
        Ok(())
    }
}

/// The server refused nothing as a mistake of the worker's.
pub(super) fn no_mistakes(record: &Record) -> Result<()> {
    for exchange in &record.0 {
        let code = exchange.answer["code"].as_str().unwrap_or_default();
        // A later claim that ends an earlier one is in order, and so is to be told to come again later.
        let in_order = |status: u16| matches!(status, 408 | 429) || code == "claim_superseded";
        let mistake = exchange.status.filter(|status| (400..500).contains(status) && !in_order(*status));
        if let Some(status) = mistake {
            let detail = exchange.answer["detail"].as_str().unwrap_or_default();
            bail!("{} was refused with {status} {code}: {detail}", exchange.path);
        }
    }
    Ok(())
}

/// Everything was said under one identity: no lease was lost and nothing was registered without need.
pub(super) fn one_incarnation(record: &Record) -> Result<()> {
    let incarnations = record.incarnations();
    ensure!(
        incarnations.len() == 1,
        "the worker registered under {} identities without having been told to: {}",
        incarnations.len(),
        incarnations.join(", ")
    );
    Ok(())
}

/// No result was sent again after the worker had heard an answer to it.
pub(super) fn answered_results_are_forgotten(record: &Record) -> Result<()> {
    let sent = record.sent();
    for first in sent.iter().filter(|sent| sent.arrived) {
        let (Some(answer), Some(heard)) = (first.answer, first.ended) else { continue };
        let again =
            |later: &&Sent<'_>| (later.id, later.fence) == (first.id, first.fence) && later.at > heard;
        let count = sent.iter().filter(again).count();
        ensure!(
            count == 0,
            "a result that had been answered {answer:?} was sent {count} more times; whatever is answered must be forgotten"
        );
    }
    Ok(())
}

/// The result of a job was sent until it was answered, each time the same.
pub(super) fn repeated_until_answered(record: &Record, id: &str) -> Result<()> {
    let sent: Vec<Sent<'_>> = record.sent().into_iter().filter(|sent| sent.id == id).collect();
    let Some(first) = sent.first() else { bail!("no result was sent") };
    for later in &sent {
        ensure!(
            (later.fence, later.outcome) == (first.fence, first.outcome),
            "the result was sent as {:?} under fence {} and then as {:?} under fence {}",
            first.outcome,
            first.fence,
            later.outcome,
            later.fence
        );
    }
    ensure!(sent.iter().any(|sent| sent.arrived), "the result was not sent again after its answer was lost");
    Ok(())
}

/// The worker has said nothing more about a job that it had to stop, under this fence, since some time after that.
pub(super) fn silent_about(record: &Record, id: &str, told: Duration) -> Result<()> {
    let still =
        |beat: &Beat<'_>| beat.id == id && beat.at > told + STOPPING && beat.report["ignores_stop"] != true;
    let beats = record.beats().into_iter().filter(still).count();
    ensure!(beats == 0, "{beats} heartbeats said that it went on with a job that it had to stop");
    let reports = |sent: &&Sent<'_>| sent.id == id && sent.at > told && sent.outcome != "released";
    if let Some(sent) = record.sent().iter().find(reports) {
        bail!("it reported {:?} of a job that it had to stop", sent.outcome);
    }
    Ok(())
}

/// When the worker first heard that a job is not its own any more.
pub(super) fn told_to_stop(record: &Record, id: &str) -> Option<Duration> {
    let told = |beat: &&Beat<'_>| beat.id == id && matches!(beat.state, Some("canceled" | "lost" | "gone"));
    record.beats().iter().find(told).and_then(|beat| beat.ended)
}

/// The lease was renewed before it ran out, always.
pub(super) fn renewed_in_time(record: &Record, lease: Duration) -> Result<()> {
    let renewals = record.renewals();
    let gaps = renewals.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
    let longest = gaps.max().unwrap_or_default();
    ensure!(
        longest < lease,
        "{} ms passed between two renewals of a lease of {} ms",
        longest.as_millis(),
        lease.as_millis()
    );
    Ok(())
}

/// The last registered identity took its leave.
pub(super) fn left(record: &Record) -> Result<()> {
    let Some(last) = record.incarnations().pop() else { bail!("it never registered") };
    let left = record.calls(Call::Leave).any(|exchange| exchange.succeeded() && exchange.worker() == last);
    ensure!(left, "it ended without leave: the server would wait for its lease");
    Ok(())
}

/// Nothing in the requests tells the time of the worker's own clock; what handlers say is their own affair.
pub(super) fn no_moments(record: &Record) -> Result<()> {
    for exchange in &record.0 {
        if let Some((field, moment)) = moment_in(&exchange.asked, "") {
            bail!("{} carried a moment of the worker's own clock: {field} = {moment:?}", exchange.path);
        }
    }
    Ok(())
}

fn moment_in(value: &Value, field: &str) -> Option<(String, String)> {
    match value {
        Value::String(text) => is_moment(text).then(|| (field.to_owned(), text.clone())),
        Value::Array(items) => items.iter().find_map(|item| moment_in(item, field)),
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "result" | "report" | "error" | "reason"))
            .find_map(|(name, inner)| moment_in(inner, name)),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Whether a text is a moment as RFC 3339 writes it.
pub(super) fn is_moment(text: &str) -> bool {
    text.contains('T') && text.parse::<Timestamp>().is_ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::record::Fate;
    use super::super::record::tests::exchange;
    use super::*;

    fn results(at_ms: u64, fence: i64, outcome: &str, answer: &str) -> super::super::record::Exchange {
        let asked = json!({"worker_id": "w", "results": [{"id": "a", "fence": fence, "outcome": outcome}]});
        exchange(at_ms, Call::Results, asked, json!({"results": [{"id": "a", "answer": answer}]}))
    }

    fn beat(at_ms: u64, state: &str) -> super::super::record::Exchange {
        let asked = json!({"worker_id": "w", "state": "run", "jobs": [{"id": "a", "fence": 1}]});
        exchange(
            at_ms,
            Call::Heartbeat,
            asked,
            json!({"worker": "live", "jobs": [{"id": "a", "state": state}]}),
        )
    }

    fn fault(verdict: Result<()>) -> String {
        verdict.expect_err("a fault").to_string()
    }

    #[test]
    fn a_result_that_is_sent_after_its_answer_was_heard_is_a_fault() {
        let once = Record(vec![results(0, 1, "succeeded", "fenced")]);
        answered_results_are_forgotten(&once).expect("sent once");
        let twice =
            Record(vec![results(0, 1, "succeeded", "fenced"), results(100, 1, "succeeded", "fenced")]);
        assert!(fault(answered_results_are_forgotten(&twice)).contains("1 more times"));
        let mut unheard = results(0, 1, "succeeded", "applied");
        unheard.fate = Fate::AnswerLost;
        let again = Record(vec![unheard.clone(), results(100, 1, "succeeded", "replayed")]);
        answered_results_are_forgotten(&again).expect("the answer was lost");
        repeated_until_answered(&again, "a").expect("it was sent again");
        assert!(
            fault(repeated_until_answered(&Record(vec![unheard.clone()]), "a")).contains("not sent again")
        );
        let other = Record(vec![unheard, results(100, 1, "retry", "replayed")]);
        assert!(fault(repeated_until_answered(&other, "a")).contains("\"retry\""));
    }

    #[test]
    fn a_job_that_had_to_stop_is_mentioned_no_more_after_a_while() {
        let record = Record(vec![beat(0, "kept"), beat(500, "canceled"), beat(1000, "canceled")]);
        let told = told_to_stop(&record, "a").expect("it was told");
        assert_eq!(told, Duration::from_millis(510));
        silent_about(&record, "a", told).expect("a moment to stop in");
        let on = Record(vec![beat(500, "canceled"), beat(4000, "canceled")]);
        assert!(fault(silent_about(&on, "a", told)).contains("1 heartbeats"));
        let reported = Record(vec![beat(500, "canceled"), results(700, 1, "failed", "fenced")]);
        assert!(fault(silent_about(&reported, "a", told)).contains("\"failed\""));
    }

    #[test]
    fn a_lease_that_was_renewed_too_late_shows() {
        let record = Record(vec![beat(0, "kept"), beat(1000, "kept"), beat(6000, "kept")]);
        assert!(fault(renewed_in_time(&record, Duration::from_secs(4))).contains("5000 ms"));
        renewed_in_time(&record, Duration::from_secs(6)).expect("in time");
    }

    #[test]
    fn moments_in_requests_are_found_but_not_in_what_handlers_say() {
        let moment = "2027-01-15T10:30:00Z";
        let said = json!({"results": [{"id": "a", "result": {"at": moment}}], "queues": [{"name": "T"}]});
        no_moments(&Record(vec![exchange(0, Call::Results, said, Value::Null)])).expect("a handler's own");
        let told = json!({"jobs": [{"id": "a", "seen": moment}]});
        let record = Record(vec![exchange(0, Call::Heartbeat, told, Value::Null)]);
        assert!(fault(no_moments(&record)).contains("seen"));
    }

    #[test]
    fn refusals_are_mistakes_but_for_a_superseded_claim() {
        let mut superseded = exchange(0, Call::Claim, Value::Null, json!({"code": "claim_superseded"}));
        superseded.status = Some(409);
        no_mistakes(&Record(vec![superseded])).expect("in order");
        let mut refused =
            exchange(0, Call::Claim, Value::Null, json!({"code": "invalid_request", "detail": "no"}));
        refused.status = Some(422);
        assert!(fault(no_mistakes(&Record(vec![refused]))).contains("422 invalid_request: no"));
    }
}
