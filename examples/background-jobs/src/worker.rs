//! The worker: all six handlers, and the job type that delivers webhooks.

use std::time::Duration;

use anyhow::Context;
use jobforge::builtin::BuiltinConfig;
use jobforge::builtin::outbound::HttpConfig;
use jobforge::{Client, Worker, WorkerBuilder};

use crate::db::Db;
use crate::sync::Source;
use crate::{embeddings, reputation, scores, sync, webhooks};

/// Where scheduled jobs wait: a slot for each, so that a long one holds no other back.
pub const QUEUE: &str = "background";
const SLOTS: usize = 6;

/// Where deliveries wait.
pub const WEBHOOK_QUEUE: &str = "webhooks";
const WEBHOOK_SLOTS: usize = 8;

/// What the operator decides.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The database of JobForge and the application.
    pub database_url: String,
    /// Where clips come from.
    pub clips_url: String,
    /// What the source wants to see.
    pub clips_token: Option<String>,
    /// Private addresses that webhooks may go to, such as `127.0.0.1:9000`.
    pub allow_private: Vec<String>,
    /// How long the worker may be silent before its jobs are taken back, if not the usual time.
    pub lease: Option<Duration>,
}

/// Sets up the worker.
///
/// # Errors
/// When a setting cannot be used, or the database not be opened.
pub async fn builder(settings: &Settings) -> anyhow::Result<WorkerBuilder> {
    let client = Client::open(&settings.database_url).await.context("failed to open the database")?;
    let client = client.author("webhook_retry");
    let http = HttpConfig { allow_private: settings.allow_private.clone(), ..HttpConfig::default() };
    let builder = Worker::builder(&client)
        .name("background-jobs")
        .queue(QUEUE, SLOTS)
        .queue(WEBHOOK_QUEUE, WEBHOOK_SLOTS)
        .state(Db::open(&settings.database_url)?)
        .state(Source::new(&settings.clips_url, settings.clips_token.clone())?)
        .state(client)
        .builtins(BuiltinConfig { http, ..BuiltinConfig::default() })?
        .register(scores::hot_score_refresh)
        .register(scores::trending_score_refresh)
        .register(sync::clip_sync)
        .register(reputation::reputation_tasks)
        .register(webhooks::webhook_retry)
        .register(embeddings::embedding_generation);
    Ok(match settings.lease {
        Some(lease) => builder.lease(lease),
        None => builder,
    })
}
