//! The traits of administrators, each call handed to its verb.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jobforge_core::audit::{AuditFilter, By, Deed, Entry};
use jobforge_core::operation::{NewOperation, Operation, Progress};
use jobforge_core::settings::{Change, Stored};
use jobforge_core::time::Now;
use jobforge_core::token::TokenRow;
use uuid::Uuid;

use super::tx::Tx;
use super::{SqliteStore, audit, operations, settings, tokens};
use crate::error::Result;
use crate::traits::{Audit, ChangeSettings, Operations, StoredSettings, Tokens};

#[async_trait]
impl Audit for SqliteStore {
    async fn note(&self, by: &By, deeds: &[Deed], at: Now) -> Result<()> {
        let (by, deeds) = (by.clone(), deeds.to_vec());
        self.write("note", deeds.len(), move |tx| audit::note(tx, &by, &deeds, at)).await
    }

    async fn seal_audit(&self) -> Result<u64> {
        // Looked for beside the writer: mostly there is nothing to write.
        if !self.read("seal_audit", audit::is_unsealed).await? {
            return Ok(0);
        }
        self.write("seal_audit", 1, audit::seal_some).await
    }

    async fn audit(&self, filter: &AuditFilter, limit: usize) -> Result<Vec<Entry>> {
        let filter = filter.clone();
        self.read("audit", move |tx| audit::list(tx, &filter, limit)).await
    }

    async fn audit_chain(&self, behind: u64, limit: usize) -> Result<Vec<Entry>> {
        self.read("audit_chain", move |tx| audit::chain(tx, behind, limit)).await
    }
}

#[async_trait]
impl Tokens for SqliteStore {
    async fn put_token(&self, token: &TokenRow, by: &By, at: Now) -> Result<()> {
        let (token, by) = (token.clone(), by.clone());
        self.write("put_token", 1, move |tx| tokens::put(tx, &token, &by, at)).await
    }

    async fn token(&self, id: &str, at: Now) -> Result<Option<(TokenRow, Timestamp)>> {
        let id = id.to_owned();
        self.read("token", move |tx| tokens::get(tx, &id, at)).await
    }

    async fn tokens(&self) -> Result<Vec<TokenRow>> {
        self.read("tokens", tokens::list).await
    }

    async fn revoke_token(&self, id: &str, by: &By, at: Now) -> Result<bool> {
        let (id, by) = (id.to_owned(), by.clone());
        self.write("revoke_token", 1, move |tx| tokens::revoke(tx, &id, &by, at)).await
    }

    async fn token_used(&self, id: &str, at: Now) -> Result<()> {
        let id = id.to_owned();
        self.write("token_used", 1, move |tx| tokens::used(tx, &id, at)).await
    }
}

#[async_trait]
impl StoredSettings for SqliteStore {
    async fn stored_settings(&self, at: Now) -> Result<Stored> {
        self.read("stored_settings", move |tx| settings::stored(tx, at)).await
    }
}

#[async_trait]
impl ChangeSettings for SqliteStore {
    async fn change_settings(
        &self,
        expected: u64,
        changes: &[Change],
        by: &By,
        at: Now,
    ) -> Result<Option<u64>> {
        let (changes, by) = (changes.to_vec(), by.clone());
        let change = move |tx: &Tx<'_>| settings::change(tx, expected, &changes, &by, at);
        self.write("change_settings", 1, change).await
    }
}

#[async_trait]
impl Operations for SqliteStore {
    async fn put_operation(&self, operation: &NewOperation, by: &By, at: Now) -> Result<()> {
        let (operation, by) = (operation.clone(), by.clone());
        self.write("put_operation", 1, move |tx| operations::put(tx, &operation, &by, at)).await
    }

    async fn operation(&self, id: Uuid) -> Result<Option<Operation>> {
        self.read("operation", move |tx| operations::get(tx, id)).await
    }

    async fn operations(&self, tenant_id: Option<&str>, limit: usize) -> Result<Vec<Operation>> {
        let tenant_id = tenant_id.map(str::to_owned);
        self.read("operations", move |tx| operations::list(tx, tenant_id.as_deref(), limit)).await
    }

    async fn take_operation(&self, runner: &str, turn: Duration, at: Now) -> Result<Option<Operation>> {
        // Looked for beside the writer: mostly there is none.
        if self.read("take_operation", move |tx| operations::next(tx, at)).await?.is_none() {
            return Ok(None);
        }
        let runner = runner.to_owned();
        self.write("take_operation", 1, move |tx| operations::take(tx, &runner, turn, at)).await
    }

    async fn step_operation(
        &self,
        id: Uuid,
        runner: &str,
        progress: &Progress,
        turn: Duration,
        at: Now,
    ) -> Result<bool> {
        let (runner, progress) = (runner.to_owned(), progress.clone());
        let step = move |tx: &Tx<'_>| operations::step(tx, id, &runner, &progress, turn, at);
        self.write("step_operation", 1, step).await
    }

    async fn cancel_operation(&self, id: Uuid, by: &By, at: Now) -> Result<bool> {
        let by = by.clone();
        self.write("cancel_operation", 1, move |tx| operations::cancel(tx, id, &by, at)).await
    }
}
