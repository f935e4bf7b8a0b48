//! Bearer tokens.

use async_trait::async_trait;
use jiff::Timestamp;
use jobforge_core::audit::By;
use jobforge_core::time::Now;
use jobforge_core::token::{Scope, TokenRow};
use tokio_postgres::Row;

use super::PostgresStore;
use super::rows::Json;
use super::session::{Params, Sql, sql};
use crate::error::Result;
use crate::rows::MAX_PAGE;
use crate::traits::Tokens;

static PUT: Sql = sql!("token_put", TEXT, TEXT, TEXT_ARRAY, TEXT, TEXT, TIMESTAMPTZ, JSONB, TEXT_ARRAY);
static GET: Sql = sql!("token_get", TEXT);
static LIST: Sql = sql!("tokens", INT8);
static REVOKE: Sql = sql!("token_revoke", TEXT, JSONB);
static USED: Sql = sql!("token_used", TEXT);

#[async_trait]
impl Tokens for PostgresStore {
    async fn put_token(&self, token: &TokenRow, by: &By, at: Now) -> Result<()> {
        let TokenRow { id, name, scopes, tenant_id, queues, hash, expires_at, .. } = token;
        let scopes: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
        let params: Params<'_> = &[id, name, &scopes, tenant_id, hash, expires_at, &Json::of(by), queues];
        self.query(at, &PUT, params).await?;
        Ok(())
    }

    async fn token(&self, id: &str, at: Now) -> Result<Option<(TokenRow, Timestamp)>> {
        let rows = self.query(at, &GET, &[&id]).await?;
        let read = |row: &Row| Ok((token(row)?, row.try_get("as_of")?));
        rows.first().map(read).transpose().map_err(|error| self.fault("token", error))
    }

    async fn tokens(&self) -> Result<Vec<TokenRow>> {
        let most = i64::try_from(MAX_PAGE).unwrap_or(i64::MAX);
        let rows = self.query(Now::Database, &LIST, &[&most]).await?;
        let read = rows.iter().map(token).collect::<std::result::Result<_, _>>();
        read.map_err(|error| self.fault("tokens", error))
    }

    async fn revoke_token(&self, id: &str, by: &By, at: Now) -> Result<bool> {
        Ok(!self.query(at, &REVOKE, &[&id, &Json::of(by)]).await?.is_empty())
    }

    async fn token_used(&self, id: &str, at: Now) -> Result<()> {
        self.query(at, &USED, &[&id]).await?;
        Ok(())
    }
}

fn token(row: &Row) -> std::result::Result<TokenRow, tokio_postgres::Error> {
    // A scope of a newer program opens nothing here.
    let scopes = row.try_get::<_, Vec<String>>(2)?;
    let scopes: Vec<Scope> = scopes.iter().filter_map(|word| word.parse().ok()).collect();
    Ok(TokenRow {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        scopes,
        tenant_id: row.try_get(3)?,
        hash: row.try_get(4)?,
        created_at: row.try_get(5)?,
        created_by: row.try_get(6)?,
        expires_at: row.try_get(7)?,
        revoked_at: row.try_get(8)?,
        last_used_at: row.try_get(9)?,
        queues: row.try_get(10)?,
    })
}

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static Sql> {
    vec![&PUT, &GET, &LIST, &REVOKE, &USED]
}
