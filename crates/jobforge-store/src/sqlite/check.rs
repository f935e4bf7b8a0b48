//! The rules of a consistent database.

use jobforge_core::time::Now;
use rusqlite::params;

use super::rows::limit;
use super::statements;
use super::tx::Tx;
use crate::error::Result;
use crate::rows::{Finding, MAX_FINDINGS};

/// Runs every rule, and SQLite's own checks of the file.
pub(super) fn check(tx: &Tx<'_>, at: Now) -> Result<Vec<Finding>> {
    let now = tx.now(at)?;
    let broken = tx.prepare(&statements::CHECK)?.all(params![limit(MAX_FINDINGS), now], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })?;
    let mut findings: Vec<Finding> = Vec::new();
    for (rule, meaning, self_healing, row) in broken {
        match findings.last_mut().filter(|last| last.rule == rule) {
            Some(last) => last.rows.push(row),
            None => findings.push(Finding { rule, meaning, rows: vec![row], self_healing }),
        }
    }
    findings.extend(finding("file_is_sound", "SQLite finds no damage in the file", integrity(tx)?));
    findings.extend(finding("references_hold", "every reference leads to a row", references(tx)?));
    Ok(findings)
}

fn finding(rule: &str, meaning: &str, rows: Vec<String>) -> Option<Finding> {
    if rows.is_empty() {
        return None;
    }
    Some(Finding { rule: rule.to_owned(), meaning: meaning.to_owned(), rows, self_healing: false })
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
