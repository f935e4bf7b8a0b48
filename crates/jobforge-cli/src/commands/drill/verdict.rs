//! What a drill has shown.

use std::time::Duration;

use jiff::Timestamp;
use jobforge::Client;
use jobforge::core::job::JobId;
use jobforge::core::state::Status;
use jobforge::core::time::since;
use serde::Serialize;

use super::Fault;
use super::canary::Start;
use crate::failure::Failure;
use crate::output;

/// What was done and what the jobs wrote down.
pub(super) struct Scene {
    pub(super) struck_at: Timestamp,
    pub(super) within: Duration,
    pub(super) starts: Vec<Start>,
    /// Whether a program of the old attempt beside one of the new is a fault: the programs of a frozen worker run on, for
    /// whoever could end them is frozen as well.
    pub(super) overlaps_count: bool,
}

/// Times are the database's, from the blow on, of the slowest job.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    passed: bool,
    within_ms: u128,
    pub(super) detected_ms: Option<u128>,
    pub(super) running_again_ms: Option<u128>,
    jobs: usize,
    /// Jobs that did not succeed in time.
    pub(super) lost: usize,
    /// Jobs that were started more often than once before and once after the blow, or ended twice.
    pub(super) run_twice: usize,
    /// Second attempts that began while the program of the first one lived.
    pub(super) overlapping: usize,
    outcomes: Vec<Vec<String>>,
}

impl Measured {
    pub(super) async fn of(client: &Client, ids: &[JobId], scene: &Scene) -> Result<Self, Failure> {
        let (mut detected, mut again) = (Some(Duration::ZERO), Some(Duration::ZERO));
        let (mut lost, mut run_twice) = (0, 0);
        let mut outcomes = Vec::new();
        for id in ids {
            let detail = client.job_detail(*id).await?;
            let after = |moment: Option<Timestamp>| moment.map(|moment| since(moment, scene.struck_at));
            let slowest =
                |slowest: Option<Duration>, this: Option<Duration>| slowest.zip(this).map(|(a, b)| a.max(b));
            detected = slowest(detected, after(detail.attempts.first().and_then(|first| first.finished_at)));
            again = slowest(again, after(detail.attempts.get(1).and_then(|second| second.started_at)));
            let told: Vec<String> = detail.attempts.iter().map(|attempt| attempt.outcome.clone()).collect();
            let successes = told.iter().filter(|outcome| *outcome == "succeeded").count();
            let starts = scene.starts.iter().filter(|start| start.job == id.to_string()).count();
            lost += usize::from(detail.job.status != Status::Succeeded);
            run_twice += usize::from(successes > 1 || starts > 2);
            outcomes.push(told);
        }
        let overlapping = scene.starts.iter().filter(|start| start.beside).count();
        let in_time = again.is_some_and(|again| again <= scene.within);
        let alone = overlapping == 0 || !scene.overlaps_count;
        Ok(Self {
            passed: lost == 0 && run_twice == 0 && in_time && alone,
            within_ms: scene.within.as_millis(),
            detected_ms: detected.map(|time| time.as_millis()),
            running_again_ms: again.map(|time| time.as_millis()),
            jobs: ids.len(),
            lost,
            run_twice,
            overlapping,
            outcomes,
        })
    }

    pub(super) fn passed(&self) -> bool {
        self.passed
    }

    pub(super) fn print(&self, fault: Fault, json: bool) -> Result<(), Failure> {
        if json {
            return output::json(&serde_json::json!({ "drill": fault.name(), "result": self }));
        }
        let time = |ms: Option<u128>| ms.map_or_else(|| "never".to_owned(), |ms| format!("{ms} ms"));
        let rows = [
            ("detected after", time(self.detected_ms)),
            ("running again after", time(self.running_again_ms)),
            ("allowed", time(Some(self.within_ms))),
            ("jobs", self.jobs.to_string()),
            ("lost", self.lost.to_string()),
            ("run twice", self.run_twice.to_string()),
            ("beside their old program", self.overlapping.to_string()),
        ];
        output::table(
            &["drill", fault.name()],
            &[1],
            rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect(),
        );
        output::say(&output::bold(if self.passed { "passed" } else { "failed" }));
        Ok(())
    }
}
