//! Alerts: what processes told, what holds, who was told, what is silenced.

use std::time::Duration;

use jiff::Timestamp;
use jobforge_core::alert::history::Labels;
use jobforge_core::alert::kept::{
    AlertRow, Bench, LONGEST_TURN, MOST_ALERTS, RESOLVED_FOR, SAMPLES_FOR, SAMPLES_STEP, SampleRow,
    SilenceRow,
};
use jobforge_core::alert::route::{Silence, Told};
use jobforge_core::alert::rules::Severity;
use jobforge_core::alert::state::Active;
use jobforge_core::audit::{By, Deed};
use jobforge_core::time::Now;
use rusqlite::{Row, params};
use serde_json::{Value, json};
use uuid::Uuid;

use super::rows::{self, Json, Word, earlier, later, limit, maybe_at, micros, moment};
use super::tx::Tx;
use super::{audit, statements};
use crate::error::Result;
use crate::rows::{MAX_PAGE, labels_text, number};

pub(super) fn put_sample(tx: &Tx<'_>, process: &str, series: &str, at: Now) -> Result<()> {
    let now = tx.now(at)?;
    tx.prepare(&statements::ALERT_SAMPLE_PUT)?.execute(params![now, process, series])?;
    Ok(())
}

pub(super) fn samples(tx: &Tx<'_>, after: Timestamp, process: &str) -> Result<Vec<SampleRow>> {
    tx.prepare(&statements::ALERT_SAMPLES)?.all(params![micros(after), process, limit(SAMPLES_STEP)], |row| {
        Ok(SampleRow { process: row.get(0)?, at: rows::at(row, 1)?, series: row.get(2)? })
    })
}

pub(super) fn forget_samples(tx: &Tx<'_>, at: Now) -> Result<u64> {
    let before = earlier(tx.now(at)?, SAMPLES_FOR);
    let forgotten =
        tx.prepare(&statements::ALERT_SAMPLES_FORGET)?.execute(params![before, limit(SAMPLES_STEP)])?;
    Ok(forgotten as u64)
}

pub(super) fn take_turn(tx: &Tx<'_>, judge: &str, turn: Duration, at: Now) -> Result<bool> {
    let now = tx.now(at)?;
    let taken = tx.prepare(&statements::ALERT_TURN)?.execute(params![
        judge,
        later(now, turn),
        now,
        later(now, LONGEST_TURN)
    ])?;
    Ok(taken == 1)
}

pub(super) fn bench(tx: &Tx<'_>) -> Result<Bench> {
    let found = tx.prepare(&statements::ALERT_BENCH)?.one([], |row| {
        let (fleet, judge) = (row.get(0)?, row.get(1)?);
        Ok(Bench { fleet, judge, judged_at: maybe_at(row, 2)?, turn_until: maybe_at(row, 3)? })
    })?;
    Ok(found.unwrap_or(Bench { fleet: String::new(), judge: None, judged_at: None, turn_until: None }))
}

pub(super) fn list(tx: &Tx<'_>, resolved: bool, most: usize) -> Result<Vec<AlertRow>> {
    let sql = if resolved { &statements::ALERTS_RESOLVED } else { &statements::ALERTS_ACTIVE };
    tx.prepare(sql)?.all([limit(most.min(MOST_ALERTS))], alert)
}

pub(super) fn keep(tx: &Tx<'_>, judge: &str, active: &[Active], at: Now) -> Result<bool> {
    let now = tx.now(at)?;
    if tx.prepare(&statements::ALERT_JUDGED)?.execute(params![judge, now])? == 0 {
        return Ok(false);
    }
    for row in list(tx, false, MOST_ALERTS)? {
        let was = row.alert;
        if active.iter().any(|is| is.rule == was.rule && is.labels == was.labels) {
            continue;
        }
        let labels = labels_text(&was.labels);
        if was.fired_at.is_some() {
            tx.prepare(&statements::ALERT_RESOLVE)?.execute(params![was.rule, labels, now])?;
        } else {
            tx.prepare(&statements::ALERT_DROP)?.execute(params![was.rule, labels])?;
        }
    }
    let mut put = tx.prepare(&statements::ALERT_PUT)?;
    for alert in active {
        put.execute(params![
            alert.rule,
            labels_text(&alert.labels),
            alert.severity.word(),
            micros(alert.since),
            alert.fired_at.map(micros),
            number(alert.value),
            alert.summary
        ])?;
    }
    tx.prepare(&statements::ALERTS_FORGET)?.execute([earlier(now, RESOLVED_FOR)])?;
    Ok(true)
}

pub(super) fn told(tx: &Tx<'_>) -> Result<Vec<Told>> {
    tx.prepare(&statements::ALERTS_TOLD)?.all([limit(MOST_ALERTS)], |row| {
        Ok(Told {
            channel: row.get(0)?,
            rule: row.get(1)?,
            labels: row.get::<_, Json<_>>(2)?.0,
            fired_at: rows::at(row, 3)?,
            at: rows::at(row, 4)?,
        })
    })
}

pub(super) fn tell(tx: &Tx<'_>, told: &[Told]) -> Result<()> {
    let mut put = tx.prepare(&statements::ALERT_TELL)?;
    for Told { channel, rule, labels, fired_at, at } in told {
        put.execute(params![channel, rule, labels_text(labels), micros(*fired_at), micros(*at)])?;
    }
    Ok(())
}

pub(super) fn untell(tx: &Tx<'_>, told: &[Told]) -> Result<()> {
    let mut drop = tx.prepare(&statements::ALERT_UNTELL)?;
    for Told { channel, rule, labels, fired_at, .. } in told {
        drop.execute(params![channel, rule, labels_text(labels), micros(*fired_at)])?;
    }
    Ok(())
}

pub(super) fn silences(tx: &Tx<'_>, at: Now) -> Result<Vec<SilenceRow>> {
    let now = tx.now(at)?;
    tx.prepare(&statements::SILENCES)?.all(params![now, limit(MAX_PAGE)], |row| {
        Ok(SilenceRow {
            id: row.get::<_, Word<Uuid>>(0)?.0,
            silence: Silence {
                rule: row.get(1)?,
                labels: row.get::<_, Json<_>>(2)?.0,
                until: rows::at(row, 3)?,
            },
            created_at: rows::at(row, 4)?,
            created_by: row.get(5)?,
            reason: row.get(6)?,
        })
    })
}

pub(super) fn put_silence(
    tx: &Tx<'_>,
    id: Uuid,
    silenced: (&str, &Labels),
    lasts: Duration,
    by: &By,
    at: Now,
) -> Result<Option<SilenceRow>> {
    let now = tx.now(at)?;
    let (rule, labels) = silenced;
    let until = later(now, lasts);
    tx.prepare(&statements::SILENCES_FORGET)?.execute([earlier(now, RESOLVED_FOR)])?;
    tx.prepare(&statements::SILENCE_PUT)?.execute(params![
        id.to_string(),
        rule,
        labels_text(labels),
        until,
        now,
        by.actor,
        by.reason
    ])?;
    let after = json!({ "rule": rule, "labels": labels, "until": moment(until) });
    audit::add(tx, by, &Deed::new("alert.silence", id.to_string()).changing(&Value::Null, &after), now)?;
    Ok(Some(SilenceRow {
        id,
        silence: Silence { rule: rule.to_owned(), labels: labels.clone(), until: moment(until) },
        created_at: moment(now),
        created_by: by.actor.clone(),
        reason: by.reason.clone(),
    }))
}

pub(super) fn end_silence(tx: &Tx<'_>, id: Uuid, by: &By, at: Now) -> Result<bool> {
    let now = tx.now(at)?;
    let ended = tx.prepare(&statements::SILENCE_END)?.one(params![id.to_string(), now], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, Json<Labels>>(1)?.0))
    })?;
    let Some((rule, labels)) = ended else { return Ok(false) };
    let before = json!({ "rule": rule, "labels": labels });
    audit::add(tx, by, &Deed::new("alert.unsilence", id.to_string()).changing(&before, &Value::Null), now)?;
    Ok(true)
}

fn alert(row: &Row<'_>) -> rusqlite::Result<AlertRow> {
    let severity: String = row.get(2)?;
    Ok(AlertRow {
        alert: Active {
            rule: row.get(0)?,
            labels: row.get::<_, Json<_>>(1)?.0,
            severity: Severity::from_word(&severity).unwrap_or(Severity::Critical),
            since: rows::at(row, 3)?,
            fired_at: maybe_at(row, 4)?,
            value: row.get(6)?,
            summary: row.get(7)?,
        },
        resolved_at: maybe_at(row, 5)?,
    })
}
