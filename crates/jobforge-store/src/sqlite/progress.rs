//! How far attempts said they had come: what is kept of their reports.

use std::borrow::Cow;

use jobforge_core::heartbeat::Report;
use jobforge_core::job::{JobId, Lease};
use jobforge_core::progress::{KEPT_FENCES, MAX_POINTS, ProgressPoint, note, says_where_it_is};
use rusqlite::{Row, params};

use super::rows::{self, clean, moment};
use super::statements;
use super::tx::Tx;
use crate::error::Result;

/// Notes what a report says, if that is anything new. Call it only for whoever holds the lease.
pub(super) fn put_progress(tx: &Tx<'_>, id: JobId, lease: Lease, report: &Report, now: i64) -> Result<()> {
    if !says_where_it_is(report) {
        return Ok(());
    }
    let said = Report {
        progress: report.progress,
        message: clean(&report.message).map(Cow::into_owned),
        phase: clean(&report.phase).map(Cow::into_owned),
        ..Report::default()
    };
    let key = id.to_string();
    let newest = |most: usize| {
        let numbered = |row: &Row<'_>| Ok((row.get::<_, i64>("report_no")?, point(row)?));
        let found =
            tx.prepare(&statements::PROGRESS_NEWEST)?.all(params![key, lease.0, most as i64], numbered);
        found.map(|points| points.into_iter().rev().unzip::<_, _, Vec<i64>, Vec<ProgressPoint>>())
    };
    let (mut numbers, mut points) = newest(1)?;
    // Each report has a number, so all of them are read only where one has to give way.
    if numbers.last().is_some_and(|last| *last >= MAX_POINTS as i64) {
        (numbers, points) = newest(MAX_POINTS)?;
    }
    let Some(noted) = note(&points, &said, moment(now)) else { return Ok(()) };
    let ProgressPoint { percent, phase, message, .. } = &noted.point;
    let number = numbers.last().map_or(1, |last| last + 1);
    tx.prepare(&statements::PROGRESS_PUT)?
        .execute(params![key, lease.0, number, now, percent, phase, message])?;
    if let Some(place) = noted.gives_way {
        tx.prepare(&statements::PROGRESS_DROP)?.execute(params![key, lease.0, numbers[place]])?;
    }
    if numbers.is_empty() {
        tx.prepare(&statements::PROGRESS_FORGET)?.execute(params![key, lease.0 - KEPT_FENCES])?;
    }
    Ok(())
}

/// All that is kept of a job, each point with its fence.
pub(super) fn progress(tx: &Tx<'_>, id: JobId) -> Result<Vec<(Lease, ProgressPoint)>> {
    let fenced = |row: &Row<'_>| Ok((Lease(row.get("lease")?), point(row)?));
    tx.prepare(&statements::PROGRESS)?.all([id.to_string()], fenced)
}

fn point(row: &Row<'_>) -> rusqlite::Result<ProgressPoint> {
    Ok(ProgressPoint {
        at: rows::at(row, "at")?,
        percent: row.get("progress")?,
        phase: row.get("phase")?,
        message: row.get("message")?,
    })
}
