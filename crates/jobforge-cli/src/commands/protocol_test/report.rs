//! What is told of the cases.

use std::time::Duration;

use serde::Serialize;

use super::cases::Case;
use super::record::{Exchange, Record};
use crate::failure::Failure;
use crate::output;

/// Most exchanges of a failed case that are shown: its first and its last ones.
const SHOWN: usize = 120;
/// Longest body that is shown in full.
const BODY: usize = 400;

/// How a case went.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Verdict {
    pub(super) case: &'static str,
    pub(super) demands: &'static str,
    pub(super) passed: bool,
    /// Why it failed, or what is worth knowing of a pass.
    pub(super) note: String,
    pub(super) took_ms: u128,
    /// What was said, of a case that failed, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exchanges: Option<Vec<Exchange>>,
    /// What the worker printed, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) worker_said: Option<Vec<String>>,
}

impl Verdict {
    pub(super) fn of(case: &Case, played: anyhow::Result<String>, took: Duration) -> Self {
        let (passed, note) = match played {
            Ok(note) => (true, note),
            Err(why) => (false, format!("{why:#}")),
        };
        let (case, demands, took_ms) = (case.name, case.demands, took.as_millis());
        Self { case, demands, passed, note, took_ms, exchanges: None, worker_said: None }
    }

    pub(super) fn with_evidence(mut self, record: Record, said: Vec<String>) -> Self {
        (self.exchanges, self.worker_said) = (Some(record.0), Some(said));
        self
    }
}

/// The cases with what each demands.
pub(super) fn list(cases: &[Case], json: bool) -> Result<(), Failure> {
    if json {
        let cases: Vec<_> = cases
            .iter()
            .map(|case| serde_json::json!({ "case": case.name, "demands": case.demands }))
            .collect();
        return output::json(&serde_json::json!({ "cases": cases }));
    }
    let rows = cases.iter().map(|case| vec![case.name.to_owned(), case.demands.to_owned()]).collect();
    output::table(&["case", "demands"], &[], rows);
    Ok(())
}

pub(super) fn print(verdicts: &[Verdict], seed: u64, took: Duration, json: bool) -> Result<(), Failure> {
    let passed = verdicts.iter().filter(|verdict| verdict.passed).count();
    if json {
        return output::json(&serde_json::json!({
            "passed": passed == verdicts.len(), "seed": seed, "took_ms": took.as_millis(), "cases": verdicts,
        }));
    }
    let row = |verdict: &Verdict| {
        let word = if verdict.passed { "pass" } else { "FAIL" };
        let seconds = format!("{:.1} s", verdict.took_ms as f64 / 1000.0);
        vec![verdict.case.to_owned(), word.to_owned(), seconds, verdict.note.clone()]
    };
    output::table(&["case", "", "time", ""], &[2], verdicts.iter().map(row).collect());
    for verdict in verdicts.iter().filter(|verdict| verdict.exchanges.is_some()) {
        evidence(verdict);
    }
    let (all, seconds) = (verdicts.len(), took.as_secs_f64());
    let sum = match all - passed {
        0 => format!("passed: all {all} cases"),
        failed => format!("failed: {failed} of {all} cases"),
    };
    output::say(&output::bold(&format!("{sum} in {seconds:.0} s")));
    Ok(())
}

fn evidence(verdict: &Verdict) {
    output::say("");
    output::say(&output::bold(&format!("{}: {}", verdict.case, verdict.demands)));
    let exchanges = verdict.exchanges.as_deref().unwrap_or_default();
    let left_out = exchanges.len().saturating_sub(SHOWN);
    for (index, exchange) in exchanges.iter().enumerate() {
        if index < SHOWN / 2 || index >= SHOWN / 2 + left_out {
            output::say(&output::printable(&line(exchange)));
        } else if index == SHOWN / 2 {
            output::say(&format!("  … {left_out} more; --json has all …"));
        }
    }
    for said in verdict.worker_said.iter().flatten() {
        output::say(&output::printable(&format!("  worker said: {said}")));
    }
}

/// `  1.234 s  claim {…} -> 200 {…}`
fn line(exchange: &Exchange) -> String {
    let short = |value: &serde_json::Value| {
        let text = if value.is_null() { String::new() } else { value.to_string() };
        match text.char_indices().nth(BODY) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    };
    let answer = exchange
        .status
        .map_or_else(|| "no answer".to_owned(), |status| format!("{status} {}", short(&exchange.answer)));
    let path = exchange.path.strip_prefix("/v1/worker/").unwrap_or(&exchange.path);
    let fate = match exchange.fate {
        super::record::Fate::Delivered => "",
        super::record::Fate::Open => " (still open)",
        super::record::Fate::RequestLost => " (request lost)",
        super::record::Fate::AnswerLost => " (answer lost)",
        super::record::Fate::Cut => " (cut)",
        super::record::Fate::HungUp => " (the worker hung up)",
        super::record::Fate::Unreachable => " (no server)",
    };
    let at = exchange.at.as_secs_f64();
    format!("{at:8.3} s  {path} {} -> {}{fate}", short(&exchange.asked), answer.trim_end())
}
