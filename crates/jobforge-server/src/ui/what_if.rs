//! What another heartbeat threshold would have done, on the watchdog's page.

use std::time::Duration;

use jobforge::core::time::words;
use jobforge::core::what_if::{Caught, Hit, SilentNow, WhatIf, Which};
use jobforge::what_if::{NoAnswer, ask};

use super::copies::{Copies, shell};
use super::visit::Visit;
use super::words::{When, cut, plural, short};
use crate::api_error::ApiError;

/// Lines of each table.
const SHOWN: usize = 50;

/// The form as it was filled in, and the answer or what is wrong.
pub(super) struct Asked {
    pub(super) threshold: String,
    pub(super) since: String,
    pub(super) fault: String,
    pub(super) answer: Option<Answer>,
}

pub(super) struct Answer {
    pub(super) conclusion: String,
    pub(super) recommended: String,
    pub(super) command: Option<String>,
    pub(super) tables: Vec<Table>,
    pub(super) limits: Vec<String>,
}

/// Attempts of one fate.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: [&'static str; 3],
    pub(super) lines: Vec<Line>,
    pub(super) more: String,
}

pub(super) struct Line {
    pub(super) job: String,
    pub(super) short: String,
    pub(super) job_type: String,
    pub(super) said: String,
    pub(super) when: When,
    pub(super) figures: [String; 3],
}

impl Asked {
    /// Reads the address, and asks if anything stands there.
    pub(super) async fn of(visit: &Visit) -> Result<Self, ApiError> {
        let (threshold, since) = (visit.param("heartbeat_threshold_ms"), visit.param("since"));
        let asks = threshold.is_some() || since.is_some();
        let settings = visit.app.live.now();
        let goes = settings.millis("heartbeat_threshold_ms").as_millis().to_string();
        let mut asked = Self {
            threshold: cut(&threshold.unwrap_or(goes), 60),
            since: cut(since.as_deref().unwrap_or("14d"), 60),
            fault: String::new(),
            answer: None,
        };
        if !asks {
            return Ok(asked);
        }
        let Ok(ms) = asked.threshold.parse() else {
            asked.fault =
                format!("{} is no number of milliseconds; write 45000 for 45 seconds", asked.threshold);
            return Ok(asked);
        };
        let store = visit.app.client.store().as_ref();
        match ask(store, &settings, Some(ms), Some(&asked.since)).await {
            Ok(answer) => asked.answer = Some(Answer::of(&answer)),
            Err(fault @ (NoAnswer::Bad(_) | NoAnswer::Since(_))) => asked.fault = fault.to_string(),
            Err(NoAnswer::Store(error)) => return Err(error.into()),
        }
        Ok(asked)
    }

    /// The same question elsewhere.
    pub(super) fn copies(&self) -> Copies {
        let Self { threshold, since, .. } = self;
        let cli = format!(
            "jobforge watchdog what-if --heartbeat-threshold-ms {} --since {}",
            shell(threshold),
            shell(since)
        );
        // A plus sign would be read as a space.
        let since = since.replace('+', "%2B");
        let path = format!("/v1/watchdog/what-if?heartbeat_threshold_ms={threshold}&since={since}");
        let sql = "SELECT job_id, attempt_no, outcome, heartbeat_at, finished_at, silent_gaps FROM jobforge_job_attempts \
                   WHERE silent_gaps IS NOT NULL ORDER BY finished_at DESC LIMIT 100;";
        Copies::of(cli, &path, sql)
    }
}

impl Answer {
    fn of(answer: &WhatIf) -> Self {
        let now = answer.as_of;
        let caught = |line: &Caught| {
            let sooner = ms(line.sooner_ms.unsigned_abs());
            let said = if line.came_back { "reported back afterwards: it was healthy" } else { "" };
            let sooner = if line.sooner_ms < 0 { format!("{sooner} later") } else { sooner };
            let figures = [ms(line.was_ms), ms(line.would_be_ms), sooner];
            Line::of(&line.of, said, When::of(line.found_at, now), figures)
        };
        let hit = |line: &Hit| {
            let figures = [ms(line.silence_ms), ms(line.allowed_ms), line.outcome.clone()];
            Line::of(&line.of, "", When::of(line.silent_until, now), figures)
        };
        let silent = |line: &SilentNow| {
            let figures = [ms(line.silence_ms), ms(line.allowed_ms), "running".to_owned()];
            Line::of(&line.of, "", When::of(line.silent_from, now), figures)
        };
        let silence = ["Silent for", "Allowed", "Ended as"];
        let tables = [
            Table::of(
                "Healthy, and would have been taken away",
                silence,
                answer.hit.iter().map(hit).collect(),
            ),
            Table::of(
                "Taken for hung",
                ["Found after", "Would be", "Sooner by"],
                answer.caught.iter().map(caught).collect(),
            ),
            Table::of("Silent at the moment", silence, answer.silent_now.iter().map(silent).collect()),
        ];
        let recommended = &answer.recommended;
        Self {
            conclusion: answer.conclusion.clone(),
            recommended: format!("{}: {}", ms(recommended.heartbeat_threshold_ms), recommended.why),
            command: recommended.command.clone(),
            tables: tables.into_iter().filter(|table| !table.lines.is_empty()).collect(),
            limits: answer.limits.clone(),
        }
    }
}

impl Table {
    fn of(name: &'static str, columns: [&'static str; 3], mut lines: Vec<Line>) -> Self {
        let left = lines.len().saturating_sub(SHOWN) as u64;
        lines.truncate(SHOWN);
        let more =
            if left == 0 { String::new() } else { format!("{} more.", plural(left, "attempt", "attempts")) };
        Self { name, columns, lines, more }
    }
}

impl Line {
    fn of(of: &Which, said: &str, when: When, figures: [String; 3]) -> Self {
        let job = of.job.to_string();
        let worker = of.worker.as_ref().map(|worker| format!(" on {worker}")).unwrap_or_default();
        let place = format!("attempt {}{worker}", of.attempt);
        Self {
            short: short(&job),
            job,
            job_type: cut(&of.job_type, 255),
            said: if said.is_empty() { place } else { format!("{place}; {said}") },
            when,
            figures,
        }
    }
}

fn ms(ms: u64) -> String {
    words(Duration::from_millis(ms))
}
