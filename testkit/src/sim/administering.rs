//! What is administered in the simulated database: by its own processes little more than the sealing of the audit log.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jobforge_core::audit::{AuditFilter, By, Deed, Entry};
use jobforge_core::operation::{NewOperation, Operation, Progress};
use jobforge_core::settings::{Change, Stored};
use jobforge_core::time::Now;
use jobforge_core::token::TokenRow;
use jobforge_store::Result;
use jobforge_store::traits::{Audit, ChangeSettings, Operations, StoredSettings, Tokens};
use uuid::Uuid;

use super::store::SimStore;
use super::world::wait;

#[async_trait]
impl Audit for SimStore {
    async fn note(&self, by: &By, deeds: &[Deed], _: Now) -> Result<()> {
        let (by, deeds) = (by.clone(), deeds.to_vec());
        self.call("note", move |world| wait(world.store().note(&by, &deeds, world.at()))).await
    }

    async fn seal_audit(&self) -> Result<u64> {
        self.call("seal_audit", move |world| wait(world.store().seal_audit())).await
    }

    async fn audit(&self, filter: &AuditFilter, limit: usize) -> Result<Vec<Entry>> {
        let filter = filter.clone();
        self.call("audit", move |world| wait(world.store().audit(&filter, limit))).await
    }

    async fn audit_chain(&self, behind: u64, limit: usize) -> Result<Vec<Entry>> {
        self.call("audit_chain", move |world| wait(world.store().audit_chain(behind, limit))).await
    }
}

#[async_trait]
impl Tokens for SimStore {
    async fn put_token(&self, token: &TokenRow, by: &By, _: Now) -> Result<()> {
        let (token, by) = (token.clone(), by.clone());
        self.call("put_token", move |world| wait(world.store().put_token(&token, &by, world.at()))).await
    }

    async fn token(&self, id: &str, _: Now) -> Result<Option<(TokenRow, Timestamp)>> {
        let id = id.to_owned();
        self.call("token", move |world| wait(world.store().token(&id, world.at()))).await
    }

    async fn tokens(&self) -> Result<Vec<TokenRow>> {
        self.call("tokens", move |world| wait(world.store().tokens())).await
    }

    async fn revoke_token(&self, id: &str, by: &By, _: Now) -> Result<bool> {
        let (id, by) = (id.to_owned(), by.clone());
        self.call("revoke_token", move |world| wait(world.store().revoke_token(&id, &by, world.at()))).await
    }

    async fn token_used(&self, id: &str, _: Now) -> Result<()> {
        let id = id.to_owned();
        self.call("token_used", move |world| wait(world.store().token_used(&id, world.at()))).await
    }
}

#[async_trait]
impl StoredSettings for SimStore {
    async fn stored_settings(&self, _: Now) -> Result<Stored> {
        self.call("stored_settings", move |world| wait(world.store().stored_settings(world.at()))).await
    }
}

#[async_trait]
impl ChangeSettings for SimStore {
    async fn change_settings(
        &self,
        expected: u64,
        changes: &[Change],
        by: &By,
        _: Now,
    ) -> Result<Option<u64>> {
        let (changes, by) = (changes.to_vec(), by.clone());
        self.call("change_settings", move |world| {
            wait(world.store().change_settings(expected, &changes, &by, world.at()))
        })
        .await
    }
}

#[async_trait]
impl Operations for SimStore {
    async fn put_operation(&self, operation: &NewOperation, by: &By, _: Now) -> Result<()> {
        let (operation, by) = (operation.clone(), by.clone());
        self.call("put_operation", move |world| {
            wait(world.store().put_operation(&operation, &by, world.at()))
        })
        .await
    }

    async fn operation(&self, id: Uuid) -> Result<Option<Operation>> {
        self.call("operation", move |world| wait(world.store().operation(id))).await
    }

    async fn operations(&self, tenant_id: Option<&str>, limit: usize) -> Result<Vec<Operation>> {
        let tenant = tenant_id.map(str::to_owned);
        self.call("operations", move |world| wait(world.store().operations(tenant.as_deref(), limit))).await
    }

    async fn take_operation(&self, runner: &str, turn: Duration, _: Now) -> Result<Option<Operation>> {
        let runner = runner.to_owned();
        self.call("take_operation", move |world| {
            wait(world.store().take_operation(&runner, turn, world.at()))
        })
        .await
    }

    async fn step_operation(
        &self,
        id: Uuid,
        runner: &str,
        progress: &Progress,
        turn: Duration,
        _: Now,
    ) -> Result<bool> {
        let (runner, progress) = (runner.to_owned(), progress.clone());
        self.call("step_operation", move |world| {
            wait(world.store().step_operation(id, &runner, &progress, turn, world.at()))
        })
        .await
    }

    async fn cancel_operation(&self, id: Uuid, by: &By, _: Now) -> Result<bool> {
        let by = by.clone();
        self.call("cancel_operation", move |world| wait(world.store().cancel_operation(id, &by, world.at())))
            .await
    }
}
