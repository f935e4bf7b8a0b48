//! The same server on both engines, and everything that it has stored.

use std::any::Any;
use std::fmt::Write as _;

use anyhow::Result;
use jobforge::core::audit::AuditFilter;
use jobforge::core::time::Now;
use jobforge::store::rows::{JobFilter, MAX_PAGE};
use jobforge::{Client, OpenOptions};
use testkit::postgres::TestDatabase;

use crate::harness::{Site, fixed, guarded, serve, with_tokens};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// A server whose API needs a token, and what must live as long.
pub(crate) async fn guarded_on(engine: Engine) -> Result<(Site, Box<dyn Any + Send>)> {
    match engine {
        Engine::Sqlite => Ok((guarded().await?, Box::new(()))),
        Engine::Postgres => {
            let database = TestDatabase::create()?;
            OpenOptions::for_url(&database.url()).open_unverified().await?.migrate().await?;
            let client = Client::open(&database.url()).await?;
            Ok((serve(client, with_tokens(), fixed()).await?, Box::new(database)))
        }
    }
}

/// Makes a test of each function, once on each engine.
macro_rules! on_both_engines {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test] async fn $name() -> anyhow::Result<()> { super::$name(crate::engines::Engine::Sqlite).await })+
        }
        mod postgres {
            $(#[tokio::test] async fn $name() -> anyhow::Result<()> { super::$name(crate::engines::Engine::Postgres).await })+
        }
    };
}
pub(crate) use on_both_engines;

/// All that is stored, so that two looks show whether anything was changed. Failed logins, and what is only noted about a
/// token's use, are left out.
pub(crate) async fn content(site: &Site) -> Result<String> {
    let store = site.client.store();
    let mut text = String::new();
    for job in store.jobs(&JobFilter { limit: MAX_PAGE, ..JobFilter::default() }).await? {
        writeln!(text, "{job:?} {}", job.payload.as_str())?;
    }
    for entry in store.audit(&AuditFilter::default(), MAX_PAGE).await? {
        if !entry.action.starts_with("auth.") {
            writeln!(
                text,
                "{} {} {:?} {:?} {:?}",
                entry.id, entry.action, entry.target, entry.before, entry.after
            )?;
        }
    }
    for token in store.tokens().await? {
        writeln!(text, "{} {} {:?} {:?}", token.id, token.name, token.expires_at, token.revoked_at)?;
    }
    for queue in store.queues(Now::Database).await? {
        writeln!(text, "{} {:?}", queue.name, queue.paused_at)?;
    }
    for operation in store.operations(None, 500).await? {
        writeln!(text, "{operation:?}")?;
    }
    writeln!(text, "{:?}", store.stored_settings(Now::Database).await?.version)?;
    Ok(text)
}
