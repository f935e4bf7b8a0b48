//! What worker and server said to each other, as the proxy between them saw it. Plain data and questions about it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

/// A call of the worker protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Call {
    Register,
    Claim,
    Heartbeat,
    Results,
    Leave,
    Signals,
    /// Anything else that is asked of the server.
    Other,
}

impl Call {
    pub(super) fn of(path: &str) -> Self {
        match path.strip_prefix("/v1/worker/").unwrap_or_default() {
            "register" => Self::Register,
            "claim" => Self::Claim,
            "heartbeat" => Self::Heartbeat,
            "results" => Self::Results,
            "leave" => Self::Leave,
            "signals" => Self::Signals,
            _ => Self::Other,
        }
    }
}

/// What became of a request and its answer on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fate {
    /// Not answered yet.
    Open,
    Delivered,
    /// The server never saw it.
    RequestLost,
    /// The server did it, and the worker was not told.
    AnswerLost,
    /// The connection was cut while the server was at it.
    Cut,
    /// The worker hung up.
    HungUp,
    /// Nobody took it: the server was not there.
    Unreachable,
}

/// A request and what came of it. Times are since the case began.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Exchange {
    #[serde(serialize_with = "millis")]
    pub(super) at: Duration,
    #[serde(serialize_with = "maybe_millis")]
    pub(super) ended: Option<Duration>,
    pub(super) call: Call,
    pub(super) path: String,
    pub(super) asked: Value,
    /// What the server answered, whether it arrived or not.
    pub(super) status: Option<u16>,
    pub(super) answer: Value,
    pub(super) fate: Fate,
}

fn millis<S: serde::Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u128(time.as_millis())
}

#[expect(clippy::ref_option, reason = "serde hands the field over so")]
fn maybe_millis<S: serde::Serializer>(time: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_millis()).serialize(to)
}

impl Exchange {
    pub(super) fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    pub(super) fn worker(&self) -> &str {
        self.asked["worker_id"].as_str().unwrap_or_default()
    }

    fn arrived(&self) -> bool {
        self.succeeded() && self.fate == Fate::Delivered
    }
}

/// Everything of one case, in the order in which it was asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Record(pub(super) Vec<Exchange>);

/// A job that a claim gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Given<'a> {
    pub(super) id: &'a str,
    pub(super) fence: i64,
    pub(super) arrived: bool,
}

/// A result that the worker sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent<'a> {
    pub(super) at: Duration,
    pub(super) ended: Option<Duration>,
    pub(super) id: &'a str,
    pub(super) fence: i64,
    pub(super) outcome: &'a str,
    pub(super) kind: &'a str,
    /// What the server said to it, if it saw it.
    pub(super) answer: Option<&'a str>,
    /// Whether the worker heard that.
    pub(super) arrived: bool,
}

/// A sign of life of a job.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beat<'a> {
    pub(super) at: Duration,
    pub(super) ended: Option<Duration>,
    pub(super) id: &'a str,
    pub(super) report: &'a Value,
    /// What the server said, if the worker heard it.
    pub(super) state: Option<&'a str>,
}

impl Record {
    pub(super) fn calls(&self, call: Call) -> impl Iterator<Item = &Exchange> {
        self.0.iter().filter(move |exchange| exchange.call == call)
    }

    /// The identities that were registered, in order, each once.
    pub(super) fn incarnations(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        let registered = self.calls(Call::Register).filter(|exchange| exchange.succeeded());
        registered
            .filter_map(|exchange| exchange.answer["worker_id"].as_str())
            .filter(|worker| seen.insert(*worker))
            .collect()
    }

    /// How many jobs the worker says it runs at once.
    pub(super) fn slots(&self) -> usize {
        let slots = self.calls(Call::Register).find_map(|exchange| exchange.asked["slots"].as_u64());
        usize::try_from(slots.unwrap_or(1)).unwrap_or(1).max(1)
    }

    pub(super) fn given(&self) -> Vec<Given<'_>> {
        let mut given = Vec::new();
        // Results may carry the next claim.
        for exchange in self.0.iter().filter(|exchange| matches!(exchange.call, Call::Claim | Call::Results))
        {
            for job in exchange.answer["jobs"].as_array().into_iter().flatten() {
                given.push(Given { id: text(job, "id"), fence: fence(job), arrived: exchange.arrived() });
            }
        }
        given
    }

    /// Whether the worker was given a job.
    pub(super) fn has(&self, id: &str) -> bool {
        self.given().iter().any(|given| given.id == id && given.arrived)
    }

    /// Whether the worker has said something about a job, and so has certainly taken note of it.
    pub(super) fn works_on(&self, id: &str) -> bool {
        self.beats().iter().any(|beat| beat.id == id) || self.sent().iter().any(|sent| sent.id == id)
    }

    pub(super) fn sent(&self) -> Vec<Sent<'_>> {
        let mut sent = Vec::new();
        for exchange in self.calls(Call::Results) {
            for (index, result) in exchange.asked["results"].as_array().into_iter().flatten().enumerate() {
                sent.push(Sent {
                    at: exchange.at,
                    ended: exchange.ended,
                    id: text(result, "id"),
                    fence: fence(result),
                    outcome: text(result, "outcome"),
                    kind: text(&result["error"], "kind"),
                    answer: exchange.answer["results"][index]["answer"].as_str(),
                    arrived: exchange.arrived(),
                });
            }
        }
        sent
    }

    pub(super) fn beats(&self) -> Vec<Beat<'_>> {
        let mut beats = Vec::new();
        for exchange in self.calls(Call::Heartbeat) {
            for (index, job) in exchange.asked["jobs"].as_array().into_iter().flatten().enumerate() {
                let state = exchange.answer["jobs"][index]["state"].as_str();
                beats.push(Beat {
                    at: exchange.at,
                    ended: exchange.ended,
                    id: text(job, "id"),
                    report: &job["report"],
                    state: state.filter(|_| exchange.arrived()),
                });
            }
        }
        beats
    }

    /// When each renewal was sent that the worker knows was heard; registering is one.
    pub(super) fn renewals(&self) -> Vec<Duration> {
        let renews = |exchange: &&Exchange| match exchange.call {
            Call::Register => true,
            Call::Heartbeat => exchange.asked.get("state").is_some() && exchange.answer["worker"] == "live",
            Call::Claim | Call::Results | Call::Leave | Call::Signals | Call::Other => false,
        };
        self.0
            .iter()
            .filter(renews)
            .filter(|exchange| exchange.arrived())
            .map(|exchange| exchange.at)
            .collect()
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn fence(value: &Value) -> i64 {
    value["fence"].as_i64().unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// An exchange of 10 ms that arrived.
    pub(in super::super) fn exchange(at_ms: u64, call: Call, asked: Value, answer: Value) -> Exchange {
        let at = Duration::from_millis(at_ms);
        let ended = Some(at + Duration::from_millis(10));
        let path = String::new();
        Exchange { at, ended, call, path, asked, status: Some(200), answer, fate: Fate::Delivered }
    }

    #[test]
    fn a_record_tells_who_registered_what_was_given_and_what_was_said_about_it() {
        let register = exchange(0, Call::Register, json!({"slots": 3}), json!({"worker_id": "worker-1"}));
        let claim = exchange(
            10,
            Call::Claim,
            json!({"worker_id": "worker-1"}),
            json!({"jobs": [{"id": "a", "fence": 7}, {"id": "b", "fence": 1}]}),
        );
        let mut lost = exchange(
            30,
            Call::Results,
            json!({"results": [{"id": "a", "fence": 7, "outcome": "succeeded"}]}),
            json!({"results": [{"id": "a", "answer": "applied"}]}),
        );
        lost.fate = Fate::AnswerLost;
        let beat = exchange(
            40,
            Call::Heartbeat,
            json!({"state": "run", "jobs": [{"id": "b", "fence": 1, "report": {"percent": 5}}]}),
            json!({"worker": "live", "jobs": [{"id": "b", "state": "canceled"}]}),
        );
        let record = Record(vec![register.clone(), register, claim, lost, beat]);
        assert_eq!((record.incarnations(), record.slots()), (vec!["worker-1"], 3));
        assert!(record.has("a") && !record.has("c"));
        let sent = record.sent()[0];
        assert_eq!((sent.id, sent.fence, sent.answer, sent.arrived), ("a", 7, Some("applied"), false));
        let beat = record.beats()[0];
        assert_eq!((beat.state, &beat.report["percent"]), (Some("canceled"), &json!(5)));
        assert_eq!(record.renewals().len(), 3);
    }
}
