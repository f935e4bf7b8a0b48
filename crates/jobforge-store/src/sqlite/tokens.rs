//! Bearer tokens.

use std::time::Duration;

use jiff::Timestamp;
use jobforge_core::audit::{By, Deed};
use jobforge_core::time::Now;
use jobforge_core::token::{Scope, TokenRow};
use rusqlite::{Row, params};
use serde_json::{Value, json};

use super::rows::{self, limit, maybe_at, micros, moment};
use super::tx::{Tx, as_of};
use super::{audit, statements};
use crate::error::Result;
use crate::rows::MAX_PAGE;

/// How exactly the last use is noted.
const MINUTE: i64 = Duration::from_secs(60).as_micros() as i64;

pub(super) fn put(tx: &Tx<'_>, token: &TokenRow, by: &By, at: Now) -> Result<()> {
    let now = tx.now(at)?;
    let TokenRow { id, name, scopes, tenant_id, queues, hash, expires_at, .. } = token;
    let until = expires_at.map(micros);
    tx.prepare(&statements::TOKEN_PUT)?.execute(params![
        id,
        name,
        rows::json(scopes),
        tenant_id,
        hash,
        now,
        by.actor,
        until,
        queues.as_ref().map(rows::json),
    ])?;
    let after = json!({ "name": name, "scopes": scopes, "queues": queues, "expires_at": until.map(moment) });
    let deed = Deed { tenant_id: tenant_id.clone(), ..Deed::new("token.create", id.clone()) };
    audit::add(tx, by, &deed.changing(&Value::Null, &after), now)
}

pub(super) fn get(tx: &Tx<'_>, id: &str, at: Now) -> Result<Option<(TokenRow, Timestamp)>> {
    let now = tx.now(at)?;
    Ok(tx.prepare(&statements::TOKEN_GET)?.one([id], token)?.map(|token| (token, as_of(now))))
}

pub(super) fn list(tx: &Tx<'_>) -> Result<Vec<TokenRow>> {
    tx.prepare(&statements::TOKENS)?.all([limit(MAX_PAGE)], token)
}

pub(super) fn revoke(tx: &Tx<'_>, id: &str, by: &By, at: Now) -> Result<bool> {
    let now = tx.now(at)?;
    let revoked = tx
        .prepare(&statements::TOKEN_REVOKE)?
        .one(params![id, now], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?)))?;
    let Some((name, tenant_id)) = revoked else { return Ok(false) };
    let deed = Deed { tenant_id, ..Deed::new("token.revoke", id) };
    audit::add(tx, by, &deed.changing(&json!({ "name": name }), &Value::Null), now)?;
    Ok(true)
}

pub(super) fn used(tx: &Tx<'_>, id: &str, at: Now) -> Result<()> {
    let now = tx.now(at)?;
    tx.prepare(&statements::TOKEN_USED)?.execute(params![id, now - now.rem_euclid(MINUTE)])?;
    Ok(())
}

fn token(row: &Row<'_>) -> rusqlite::Result<TokenRow> {
    // A scope of a newer program opens nothing here.
    let words: Vec<String> = rows::maybe_json(row, 2)?.unwrap_or_default();
    let scopes: Vec<Scope> = words.iter().filter_map(|word| word.parse().ok()).collect();
    Ok(TokenRow {
        id: row.get(0)?,
        name: row.get(1)?,
        scopes,
        tenant_id: row.get(3)?,
        hash: row.get(4)?,
        created_at: rows::at(row, 5)?,
        created_by: row.get(6)?,
        expires_at: maybe_at(row, 7)?,
        revoked_at: maybe_at(row, 8)?,
        last_used_at: maybe_at(row, 9)?,
        queues: rows::maybe_json(row, 10)?,
    })
}
