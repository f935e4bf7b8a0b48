//! Who did what: written beside the deed, sealed afterwards.

use jobforge_core::audit::{AuditFilter, By, Deed, Entry, SEAL_STEP, seal};
use jobforge_core::time::Now;
use rusqlite::{Row, params};

use super::rows::{self, limit, micros};
use super::statements;
use super::tx::Tx;
use crate::error::Result;
use crate::rows::MAX_PAGE;

/// Writes one entry, in the transaction of the deed.
pub(super) fn add(tx: &Tx<'_>, by: &By, deed: &Deed, now: i64) -> Result<()> {
    tx.prepare(&statements::AUDIT_ADD)?.execute(params![
        now,
        by.actor,
        by.reason,
        by.request_id,
        by.address,
        deed.action,
        deed.target,
        deed.tenant_id,
        deed.before,
        deed.after
    ])?;
    Ok(())
}

pub(super) fn note(tx: &Tx<'_>, by: &By, deeds: &[Deed], at: Now) -> Result<()> {
    let now = tx.now(at)?;
    deeds.iter().try_for_each(|deed| add(tx, by, deed, now))
}

/// Whether anything waits to be sealed.
pub(super) fn is_unsealed(tx: &Tx<'_>) -> Result<bool> {
    Ok(!tx.prepare(&statements::AUDIT_UNSEALED)?.all([1], entry)?.is_empty())
}

pub(super) fn seal_some(tx: &Tx<'_>) -> Result<u64> {
    let entries = tx.prepare(&statements::AUDIT_UNSEALED)?.all([limit(SEAL_STEP)], entry)?;
    let head = tx
        .prepare(&statements::AUDIT_HEAD)?
        .one([], |row| Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, String>(1)?)))?;
    let mut put = tx.prepare(&statements::AUDIT_SEAL)?;
    for (entry, (place, hash)) in entries.iter().zip(seal(head, &entries)) {
        put.execute(params![entry.id, place.cast_signed(), hash])?;
    }
    Ok(entries.len() as u64)
}

pub(super) fn list(tx: &Tx<'_>, filter: &AuditFilter, most: usize) -> Result<Vec<Entry>> {
    let AuditFilter { actor, action, target, tenant_id, since, before, down_to } = filter;
    let (since, most) = (since.map(micros), limit(most.min(MAX_PAGE)));
    let list = if target.is_some() { &statements::AUDIT_LIST_TARGET } else { &statements::AUDIT_LIST };
    tx.prepare(list)?.all(params![actor, action, target, tenant_id, since, before, most, down_to], entry)
}

pub(super) fn chain(tx: &Tx<'_>, behind: u64, most: usize) -> Result<Vec<Entry>> {
    tx.prepare(&statements::AUDIT_CHAIN)?.all(params![behind.cast_signed(), limit(most.min(MAX_PAGE))], entry)
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        id: row.get(0)?,
        at: rows::at(row, 1)?,
        by: By { actor: row.get(2)?, reason: row.get(3)?, request_id: row.get(4)?, address: row.get(5)? },
        action: row.get(6)?,
        target: row.get(7)?,
        tenant_id: row.get(8)?,
        before: row.get(9)?,
        after: row.get(10)?,
        place: row.get::<_, Option<i64>>(11)?.map(i64::cast_unsigned),
        hash: row.get(12)?,
    })
}
