//! Which handler runs which type.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jobforge_core::claim::TypeBounds;
use jobforge_core::payload::Payload;
use jobforge_core::settle::RetryPolicy;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::JobContext;
use crate::job_error::JobError;
use crate::job_type::JobType;

/// What a handler gives in the end.
pub(crate) type HandlerResult = Result<Option<Payload>, JobError>;

type Run = dyn Fn(JobContext) -> BoxFuture<'static, HandlerResult> + Send + Sync;

/// One type with its handler.
#[derive(Clone)]
pub(crate) struct Registered {
    pub(crate) run: Arc<Run>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) progress_timeout: Option<Duration>,
    pub(crate) retry: RetryPolicy,
    /// How long it may take to stop when asked to, where that differs from the worker's own patience.
    pub(crate) stop_grace: Option<Duration>,
}

/// The application's own values, found by their type.
pub(crate) type States = HashMap<TypeId, Arc<dyn Any + Send + Sync>>;

/// The handlers of a worker.
#[derive(Clone, Default)]
pub(crate) struct Registry {
    by_type: BTreeMap<String, Registered>,
}

impl Registry {
    /// Adds a typed handler; the last one for a type wins.
    pub(crate) fn add<J, F, Fut>(&mut self, handler: F)
    where
        J: JobType,
        F: Fn(J, JobContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<J::Output, JobError>> + Send + 'static,
    {
        self.add_named(J::TYPE, J::TIMEOUT, J::RETRY.unwrap_or_default(), handler);
        if let Some(registered) = self.by_type.get_mut(J::TYPE) {
            registered.progress_timeout = J::PROGRESS_TIMEOUT;
        }
    }

    /// Adds a handler under the name of its type.
    pub(crate) fn add_named<P, O, F, Fut>(
        &mut self,
        job_type: &'static str,
        timeout: Option<Duration>,
        retry: RetryPolicy,
        handler: F,
    ) where
        P: DeserializeOwned + Send,
        O: Serialize + Send,
        F: Fn(P, JobContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, JobError>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let run = move |ctx: JobContext| -> BoxFuture<'static, HandlerResult> {
            let handler = Arc::clone(&handler);
            Box::pin(async move {
                let job: P = ctx.job().payload.decode().map_err(|error| {
                    JobError::fatal(
                        "invalid_payload",
                        format!("the payload does not fit type {job_type}: {error}"),
                    )
                })?;
                output(&handler(job, ctx).await?)
            })
        };
        let registered =
            Registered { run: Arc::new(run), timeout, progress_timeout: None, retry, stop_grace: None };
        self.by_type.insert(job_type.to_owned(), registered);
    }

    /// Gives a registered type its own time to stop.
    pub(crate) fn set_stop_grace(&mut self, job_type: &str, grace: Duration) {
        if let Some(registered) = self.by_type.get_mut(job_type) {
            registered.stop_grace = Some(grace);
        }
    }

    /// The longest time any type may take to stop, `least` at the least.
    pub(crate) fn longest_stop_grace(&self, least: Duration) -> Duration {
        self.by_type.values().filter_map(|registered| registered.stop_grace).fold(least, Duration::max)
    }

    pub(crate) fn get(&self, job_type: &str) -> Option<&Registered> {
        self.by_type.get(job_type)
    }

    /// Adds what the types themselves say to bounds that were set for this worker, which come first.
    pub(crate) fn bounds(&self, mut set: TypeBounds) -> TypeBounds {
        for (job_type, registered) in &self.by_type {
            for (bounds, own) in
                [(&mut set.timeout, registered.timeout), (&mut set.progress, registered.progress_timeout)]
            {
                if let Some(own) = own {
                    let ms = u64::try_from(own.as_millis()).unwrap_or(u64::MAX);
                    bounds.by_type.entry(job_type.clone()).or_insert(ms);
                }
            }
        }
        set
    }

    pub(crate) fn types(&self) -> Vec<String> {
        self.by_type.keys().cloned().collect()
    }
}

/// Turns a handler's output into a stored result; `()` is none.
fn output<T: Serialize>(value: &T) -> HandlerResult {
    let payload = Payload::from_value(value).map_err(|error| {
        JobError::fatal("result_unstorable", format!("the handler's result was refused: {error}"))
    })?;
    Ok((payload.as_str() != "null").then_some(payload))
}
