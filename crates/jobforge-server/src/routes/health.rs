//! Health, as probes ask for it. None of these needs a token, so none tells where the database is.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::State;
use jobforge::store::StoreError;

use crate::api_error::ApiError;
use crate::server::App;

/// How long the database may take to answer a probe.
const PROBE_TIME: Duration = Duration::from_secs(3);

const OK: &str = "ok\n";

/// This process answers. Never asks the database: restarting us would not mend it.
pub(super) async fn live() -> &'static str {
    OK
}

/// The database answers, its schema fits, and the server is not about to stop.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, ApiError> {
    if app.draining.is_cancelled() {
        let detail = "the server is about to stop; ask another";
        return Err(ApiError::unavailable("draining", detail, detail.to_owned()));
    }
    check(&app).await?;
    Ok(OK)
}

/// The server has been ready once; later trouble of the database is the business of [`ready`].
pub(super) async fn startup(State(app): State<Arc<App>>) -> Result<&'static str, ApiError> {
    if !app.started.load(Ordering::Relaxed) {
        check(&app).await?;
    }
    Ok(OK)
}

async fn check(app: &App) -> Result<(), ApiError> {
    match tokio::time::timeout(PROBE_TIME, app.client.store().verify_schema()).await {
        Ok(Ok(())) => {
            app.started.store(true, Ordering::Relaxed);
            Ok(())
        }
        Ok(Err(error)) => Err(not_ready(&error)),
        Err(_) => {
            let cause = format!("the database did not answer within {} s", PROBE_TIME.as_secs());
            Err(ApiError::unavailable("database_slow", &cause, cause.clone()))
        }
    }
}

fn not_ready(error: &StoreError) -> ApiError {
    let (code, detail) = match error {
        StoreError::Unreachable { .. } => ("database_unreachable", "the database cannot be reached"),
        StoreError::Refused { .. } | StoreError::NotAllowed { .. } => {
            ("database_refused", "the database refused the login")
        }
        StoreError::SchemaTooOld { .. } => {
            ("schema_too_old", "the schema is too old; run `jobforge db migrate`")
        }
        StoreError::SchemaTooNew { .. } => {
            ("schema_too_new", "the schema is newer than this program; use a newer jobforge")
        }
        StoreError::MigrationDrift { .. } => ("schema_drift", "the schema differs from this program's"),
        StoreError::ServerTooOld { .. } => {
            ("database_too_old", "the database server is too old for JobForge")
        }
        StoreError::InUse { .. } => ("database_in_use", "another process holds the database"),
        StoreError::ReadOnly { .. } => ("database_read_only", "the database is read-only"),
        StoreError::Full { .. } => ("storage_full", "the database has no space left"),
        StoreError::Corrupt { .. } => ("database_corrupt", "the database file is damaged"),
        StoreError::Interrupted { .. } => ("database_interrupted", "the database broke off"),
        StoreError::BadUrl { .. }
        | StoreError::IdempotencyConflict { .. }
        | StoreError::DuplicateId(_)
        | StoreError::Failed { .. } => ("database_failed", "the database failed; the server's log tells why"),
    };
    ApiError::unavailable(code, detail, error.chain())
}
