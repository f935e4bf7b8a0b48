//! What is asked for with a body, beside a job itself ([`jobforge_core::enqueue::JobRequest`]).

use jiff::Timestamp;
use jobforge_core::enqueue::JobRequest;
use jobforge_core::operation::{BulkAction, BulkFilter};
use jobforge_core::token::Scope;
use jobforge_core::whole;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Jobs that are named or enqueued in one call.
pub const MAX_JOBS: usize = 1000;

/// Many jobs, all or none.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EnqueueMany {
    /// The jobs.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_JOBS)))]
    pub jobs: Vec<JobRequest>,
}

/// An operation on many jobs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = crate::schema::bulk))]
#[serde(deny_unknown_fields)]
pub struct BulkRequest {
    /// What is done with each.
    pub action: BulkAction,
    /// Which jobs.
    pub filter: BulkFilter,
    /// Whether they are only counted.
    #[serde(default)]
    pub dry_run: bool,
    /// Why, for the audit log.
    #[serde(default)]
    pub reason: Option<String>,
    /// Says that an empty filter is meant.
    #[serde(default)]
    pub all: bool,
}

/// When a job shall run: one of the two.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = crate::schema::reschedule))]
#[serde(deny_unknown_fields)]
pub struct RescheduleRequest {
    /// At this moment; what has passed is now.
    #[serde(default)]
    pub run_at: Option<Timestamp>,
    /// After this time.
    #[serde(default, deserialize_with = "whole::maybe")]
    pub delay_ms: Option<u64>,
}

/// Dead jobs that stay dead.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ResolveRequest {
    /// The jobs.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_JOBS)))]
    pub ids: Vec<Uuid>,
    /// Why.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"\S")))]
    pub note: String,
}

/// A token to be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = crate::schema::token))]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// What people call it.
    pub name: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// The only tenant that it sees; not together with the scope `admin`.
    #[serde(default)]
    pub tenant_id: Option<String>,
    /// The only queues that it puts jobs into and takes jobs from; only with the scopes `enqueue` and `worker`.
    #[serde(default)]
    pub queues: Option<Vec<String>>,
    /// Until when it is good: in the future, and not together with `for_ms`.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// How long it is good.
    #[serde(default, deserialize_with = "whole::maybe")]
    pub for_ms: Option<u64>,
}

/// A flag to be switched.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FlagRequest {
    /// On or off.
    pub enabled: bool,
    /// For how long; for good if left out.
    #[serde(default, deserialize_with = "whole::maybe")]
    #[cfg_attr(feature = "schema", schemars(range(min = MIN_FOR_MS, max = MAX_FOR_MS)))]
    pub for_ms: Option<u64>,
}

/// The shortest time that something may be said to last.
pub const MIN_FOR_MS: u64 = 1000;
/// The longest: ten years.
pub const MAX_FOR_MS: u64 = 10 * 366 * 86_400_000;
