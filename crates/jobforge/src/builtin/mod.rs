//! Handlers that come with the worker: `exec`, `connector.http.request`, `connector.webhook.deliver` and
//! `system.cleanup.old_jobs`.
//!
//! Each is an ordinary handler: `run(payload, ctx, …)`. What the operator allows is plain data in [`BuiltinConfig`];
//! nothing in a payload can widen it.

pub mod breaker;
pub mod cleanup;
pub mod exec;
pub mod guard;
pub mod http;
pub mod outbound;
pub mod secrets;
pub mod webhook;

#[doc(hidden)]
pub mod trial;

use std::fmt::Display;
use std::sync::Arc;

use jobforge_core::retention::Retention;
use jobforge_core::settle::RetryPolicy;
use jobforge_store::WorkerStore;

use self::exec::ExecConfig;
use self::outbound::{HttpConfig, Outbound};
use self::secrets::SecretsConfig;
use crate::error::Error;
use crate::job_error::JobError;
use crate::worker::Registry;

/// What the operator allows the built-in handlers. The default runs no program and reaches public hosts only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuiltinConfig {
    /// Programs for `exec`.
    pub exec: ExecConfig,
    /// Targets for the connectors.
    pub http: HttpConfig,
    /// Secrets for the connectors.
    pub secrets: SecretsConfig,
    /// How long clean-up jobs keep what their payload does not name.
    pub retention: Retention,
}

/// Adds every built-in handler. `exec` is left out unless the operator switched it on, so that jobs of that type wait,
/// with the reason, for a worker that may run them.
pub(crate) fn register(
    registry: &mut Registry,
    config: BuiltinConfig,
    store: &Arc<dyn WorkerStore>,
) -> Result<(), Error> {
    let retry = RetryPolicy::default();
    if config.exec.enabled {
        let exec = Arc::new(config.exec);
        registry
            .add_named("exec", None, retry, move |payload, ctx| exec::run(payload, ctx, Arc::clone(&exec)));
        // A program ends by TERM within the time its payload gives it, and by KILL after that.
        registry.set_stop_grace("exec", exec::LONGEST_STOP);
    }
    let outbound =
        Outbound::new(&config.http, config.secrets).map_err(|error| Error::BadWorker(error.to_string()))?;
    let outbound = Arc::new(outbound);
    let by_http = Arc::clone(&outbound);
    let http = move |payload, ctx| http::run(payload, ctx, Arc::clone(&by_http));
    registry.add_named("connector.http.request", None, retry, http);
    let webhook = move |payload, ctx| webhook::run(payload, ctx, Arc::clone(&outbound));
    registry.add_named("connector.webhook.deliver", None, retry, webhook);
    register_system(registry, store, config.retention);
    Ok(())
}

/// Adds the handlers of what JobForge does for itself.
pub(crate) fn register_system(registry: &mut Registry, store: &Arc<dyn WorkerStore>, retention: Retention) {
    let store = Arc::clone(store);
    registry.add(move |payload, ctx| cleanup::run(payload, ctx, Arc::clone(&store), retention));
}

/// The error for a payload that no attempt can make work.
pub(crate) fn invalid_payload(field: &str, problem: impl Display) -> JobError {
    JobError::fatal("invalid_payload", format!("payload field `{field}`: {problem}"))
}
