//! Schedules on PostgreSQL while another session holds one of them, as a person does who left a transaction open.

use std::time::Duration;

use anyhow::Context;
use jobforge_core::job::JobId;
use jobforge_core::schedule::{Definition, Source, check};
use jobforge_store::postgres::Pooler;
use jobforge_store::rows::Move;
use testkit::Result;
use testkit::fixtures::{at, by, moment};
use tokio_postgres::NoTls;

use crate::postgres::with_database;

/// What waits for a lock waits for ever.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_session_that_holds_one_schedule_stops_no_other() -> Result<()> {
    let (store, database) = with_database(Pooler::Off).await?;
    for name in ["free", "held"] {
        let definition = Definition { every: Some("1m".to_owned()), ..Definition::new(name, "refresh") };
        store.create_schedule(&check(definition, moment(0))?, Source::Api, &by(), at(0)).await?;
    }
    let fired = store.fire_schedules(Duration::ZERO, 10, at(61)).await?;
    let jobs: Vec<JobId> = fired.lines.iter().filter_map(|line| line.job_id).collect();
    assert_eq!(jobs.len(), 2);
    store.move_jobs(&jobs, Move::Cancel, &by(), at(62)).await?;

    let (mut person, connection) = tokio_postgres::connect(&database.url(), NoTls).await?;
    tokio::spawn(connection);
    let held = person.transaction().await?;
    held.execute("SELECT FROM jobforge_schedules WHERE name = 'held' FOR UPDATE", &[]).await?;

    let ended = tokio::time::timeout(PATIENCE, store.end_schedule_runs(at(63))).await;
    assert_eq!(ended.context("ends wait for the person")??, 1);
    let fired = tokio::time::timeout(PATIENCE, store.fire_schedules(Duration::ZERO, 10, at(121))).await;
    let fired = fired.context("moments wait for the person")??;
    let names: Vec<&str> = fired.lines.iter().map(|line| line.schedule.as_str()).collect();
    assert_eq!(names, ["free"]);

    held.rollback().await?;
    assert_eq!(store.end_schedule_runs(at(122)).await?, 1, "what was passed over is not forgotten");
    Ok(())
}
