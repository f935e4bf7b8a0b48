//! The rules of a consistent database.

use jobforge_core::time::Now;
use rusqlite::params;

use super::rows::limit;
use super::statements::{self, Sql};
use super::tx::Tx;
use crate::error::Result;
use crate::rows::{Finding, MAX_FINDINGS};

struct Rule {
    name: &'static str,
    meaning: &'static str,
    sql: &'static Sql,
    /// Whether its statement takes the time as second parameter.
    timed: bool,
    self_healing: bool,
}

const fn rule(name: &'static str, meaning: &'static str, sql: &'static Sql) -> Rule {
    Rule { name, meaning, sql, timed: false, self_healing: false }
}

static RULES: [Rule; 8] = [
    rule(
        "running_has_owner",
        "a running job has a worker and the time of its claim, and no other job has",
        &statements::CHECK_RUNNING_HAS_OWNER,
    ),
    rule(
        "ended_has_finished_at",
        "an ended job has the time of its end, and no other job has",
        &statements::CHECK_ENDED_HAS_FINISHED_AT,
    ),
    rule(
        "attempts_not_negative",
        "a job has used no negative number of attempts and may use at least one",
        &statements::CHECK_ATTEMPTS_NOT_NEGATIVE,
    ),
    rule(
        "result_matches_job",
        "a job and its stored result name each other",
        &statements::CHECK_RESULT_MATCHES_JOB,
    ),
    rule(
        "attempt_lease_not_above_job",
        "no attempt is recorded under a lease that its job has not given",
        &statements::CHECK_ATTEMPT_LEASE_NOT_ABOVE_JOB,
    ),
    Rule {
        timed: true,
        self_healing: true,
        ..rule(
            "no_job_is_due_early",
            "no queued job is marked as due long before its time",
            &statements::CHECK_NO_JOB_IS_DUE_EARLY,
        )
    },
    rule("child_has_job", "every result, attempt and log belongs to a job", &statements::CHECK_CHILD_HAS_JOB),
    Rule {
        self_healing: true,
        ..rule(
            "running_worker_known",
            "the worker of a running job is known; the watchdog takes the job back if not",
            &statements::CHECK_RUNNING_WORKER_KNOWN,
        )
    },
];

/// Runs every rule, and SQLite's own checks of the file.
pub(super) fn check(tx: &Tx<'_>, at: Now) -> Result<Vec<Finding>> {
    let now = tx.now(at)?;
    let most = limit(MAX_FINDINGS);
    let mut findings = Vec::new();
    for rule in &RULES {
        let mut statement = tx.prepare(rule.sql)?;
        let rows = if rule.timed {
            statement.all(params![most, now], |row| row.get(0))?
        } else {
            statement.all([most], |row| row.get(0))?
        };
        findings.extend(finding(rule.name, rule.meaning, rows, rule.self_healing));
    }
    findings.extend(finding("file_is_sound", "SQLite finds no damage in the file", integrity(tx)?, false));
    findings.extend(finding("references_hold", "every reference leads to a row", references(tx)?, false));
    Ok(findings)
}

fn finding(rule: &str, meaning: &str, rows: Vec<String>, self_healing: bool) -> Option<Finding> {
    if rows.is_empty() {
        return None;
    }
    Some(Finding { rule: rule.to_owned(), meaning: meaning.to_owned(), rows, self_healing })
}

fn integrity(tx: &Tx<'_>) -> Result<Vec<String>> {
    let check = || -> rusqlite::Result<Vec<String>> {
        let mut statement = tx.conn().prepare(&format!("PRAGMA integrity_check({MAX_FINDINGS})"))?;
        statement
            .query_map([], |row| row.get(0))?
            .filter(|line| !matches!(line, Ok(text) if text == "ok"))
            .collect()
    };
    check().map_err(|error| tx.error(&error))
}

fn references(tx: &Tx<'_>) -> Result<Vec<String>> {
    let check = || -> rusqlite::Result<Vec<String>> {
        let mut statement = tx.conn().prepare("PRAGMA foreign_key_check")?;
        let rows = statement.query_map([], |row| {
            let (table, rowid): (String, Option<i64>) = (row.get(0)?, row.get(1)?);
            Ok(format!("{table} row {}", rowid.unwrap_or_default()))
        })?;
        rows.take(MAX_FINDINGS).collect()
    };
    check().map_err(|error| tx.error(&error))
}
