//! The runbook's dump of four tables, restored into an empty database, is a working queue after the next migration.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use jobforge_core::rescue::RescuePolicy;
use jobforge_core::time::Now;
use jobforge_store::postgres::{PostgresOptions, PostgresStore};
use jobforge_store::restored::take_back;
use jobforge_store::traits::Admin;
use testkit::Result;
use testkit::postgres::{TestDatabase, find_binaries};

use super::{Scene, scene};

const TABLES: [&str; 4] =
    ["jobforge_jobs", "jobforge_job_results", "jobforge_job_attempts", "jobforge_connector_configs"];

/// Jobs in every state, some with results and attempts.
async fn filled() -> Result<Scene> {
    let scene = scene().await?;
    for _ in 0..4 {
        scene.enqueue("acme", "t")?;
    }
    scene.sql("SELECT jobforge_enqueue_job('acme', 'later', '{}', 'key-1', now() + interval '1 hour')")?;
    for status in [
        "'succeeded', p_result => '{\"rows\": 7}'",
        "'failed', '{\"message\": \"no\", \"retryable\": false}'",
    ] {
        let (id, lease) = scene.claim("worker-00000001")?;
        scene.sql(&format!(
            "SELECT jobforge_complete_job('{id}', 'worker-00000001', {status}, p_lease => {lease})"
        ))?;
    }
    scene.claim("worker-00000001")?;
    scene
        .sql("INSERT INTO jobforge_connector_configs (tenant_id, connector_type) VALUES ('acme', 'http')")?;
    Ok(scene)
}

fn dump(scene: &Scene, tables: &[&str], file: &Path) -> Result<()> {
    let mut dump = Command::new(find_binaries()?.program("pg_dump"));
    dump.args(["-d", &scene.database.url(), "-F", "c", "-f"]).arg(file);
    tables.iter().for_each(|table| {
        dump.args(["-t", table]);
    });
    ensure!(dump.status()?.success());
    Ok(())
}

/// Restores, and returns what the tool complained of: triggers and policies whose functions no dump of tables contains.
fn restore(file: &Path, database: &TestDatabase) -> Result<String> {
    let done = Command::new(find_binaries()?.program("pg_restore"))
        .args(["-d", &database.url()])
        .arg(file)
        .output()
        .context("failed to run pg_restore")?;
    Ok(String::from_utf8(done.stderr)?)
}

async fn works(database: &TestDatabase) -> Result<()> {
    let store = PostgresStore::connect(PostgresOptions::new(database.url())).await?;
    store.migrate().await?;
    store.verify_schema().await?;
    let taken_back = take_back(&store, &RescuePolicy::default(), Now::Database).await?;
    ensure!(taken_back.len() == 1 && taken_back[0].error.kind == "restored", "{taken_back:?}");
    let findings = store.check(Now::Database).await?;
    ensure!(findings.is_empty(), "{findings:?}");
    let counts = "SELECT string_agg(status || ' ' || n, ', ' ORDER BY status)
                  FROM (SELECT status, count(*) AS n FROM jobforge_jobs GROUP BY 1) c";
    let counts = database.psql(counts)?;
    ensure!(counts.trim() == "failed 1, queued 3, succeeded 1", "{counts}");
    let kept = database.psql("SELECT (SELECT result ->> 'rows' FROM jobforge_job_results), (SELECT count(*) FROM jobforge_connector_configs)")?;
    ensure!(kept.trim() == "7|1", "{kept}");
    // What ran when the dump was made runs again, at no cost; what has a key keeps it; what waits, waits.
    let claimed =
        database.psql("SELECT count(*), max(attempts) FROM jobforge_claim_jobs('worker-00000002', 10)")?;
    ensure!(claimed.trim() == "2|1", "{claimed}");
    let fences = database
        .psql("SELECT min(lease) >= (1::bigint << 32) FROM jobforge_jobs WHERE status = 'running'")?;
    ensure!(fences.trim() == "t", "no fence is below those of before");
    let again = database.psql("SELECT jobforge_enqueue_job('acme', 'later', '{}', 'key-1') -> 'created'")?;
    ensure!(again.trim() == "false", "{again}");
    Ok(())
}

#[tokio::test]
async fn the_runbooks_dump_restored_into_an_empty_database_is_a_working_queue() -> Result<()> {
    let scene = filled().await?;
    let file = tempfile::NamedTempFile::new()?;
    dump(&scene, &TABLES, file.path())?;
    let empty = TestDatabase::create()?;
    let said = restore(file.path(), &empty)?;
    for line in said.lines().filter(|line| line.contains("error: could not execute query")) {
        ensure!(line.contains("function"), "{said}");
    }
    works(&empty).await
}

#[tokio::test]
async fn jobs_that_come_in_without_a_search_path_as_from_pg_restore_can_be_claimed() -> Result<()> {
    let scene = scene().await?;
    scene.sql(
        "SET search_path = '';
         INSERT INTO public.jobforge_jobs (type, tenant_id) VALUES ('t', 'acme'), ('t', 'acme');
         UPDATE public.jobforge_jobs SET priority = 1;",
    )?;
    ensure!(scene.sql("SELECT count(*) FROM jobforge_claim_jobs('worker-00000001', 10)")? == "2");
    scene.sql("SET search_path = ''; UPDATE public.jobforge_jobs SET status = 'queued'")?;
    ensure!(scene.sql("SELECT count(*) FROM jobforge_ready")? == "2");
    Ok(())
}

#[tokio::test]
async fn a_dump_of_every_table_without_the_functions_is_mended_as_well() -> Result<()> {
    let scene = filled().await?;
    let file = tempfile::NamedTempFile::new()?;
    dump(&scene, &["jobforge_*"], file.path())?;
    let empty = TestDatabase::create()?;
    restore(file.path(), &empty)?;
    works(&empty).await?;
    ensure!(empty.psql("SELECT count(*) FROM jobforge_workers")?.trim() == "2");
    Ok(())
}
