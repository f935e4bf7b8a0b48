//! Who may make roles, what hosts with web roles see, and queue processes that do not own the tables.

use std::time::Duration;

use anyhow::ensure;
use jobforge_core::claim::{ClaimAsk, QueueAsk, TypeBounds};
use jobforge_core::enqueue::{JobRequest, validate};
use jobforge_core::heartbeat::Report;
use jobforge_core::job::WorkerId;
use jobforge_core::settle::{AttemptFacts, Outcome, RetryPolicy, Settled, decide};
use jobforge_core::time::Now;
use jobforge_core::worker::NewWorker;
use jobforge_store::traits::{Admin, Enqueue, Watchdog, WorkerSide};
use testkit::Result;

use super::{Own, scene};

#[tokio::test]
async fn every_table_is_closed_and_every_function_with_the_owners_rights_sees_fixed_names() -> Result<()> {
    let scene = scene().await?;
    let open = scene.sql(
        "SELECT string_agg(relname, ', ') FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND NOT relrowsecurity",
    )?;
    ensure!(open.is_empty(), "without row security: {open}");
    let loose = scene.sql(
        "SELECT string_agg(oid::regprocedure::text, ', ') FROM pg_proc
         WHERE pronamespace = 'public'::regnamespace AND prosecdef
           AND NOT 'search_path=pg_catalog, public, pg_temp' = ANY (coalesce(proconfig, '{}'))",
    )?;
    ensure!(loose.is_empty(), "loose: {loose}");
    let open = scene.sql(
        "SELECT string_agg(proname, ',' ORDER BY proname) FROM pg_proc
         WHERE pronamespace = 'public'::regnamespace AND proname LIKE 'jobforge%' AND has_function_privilege('public', oid, 'EXECUTE')",
    )?;
    ensure!(open == "jobforge_is_trusted,jobforge_now,jobforge_tenant", "for everybody: {open}");
    Ok(())
}

#[tokio::test]
async fn everything_works_in_a_schema_of_its_own_for_callers_who_look_elsewhere() -> Result<()> {
    let own = Own::start()?;
    own.sql("CREATE SCHEMA forge; ALTER DATABASE postgres SET search_path = forge")?;
    let store = own.store("postgres").await?;
    store.migrate().await?;
    store.sql_surface(true).await?;
    let put = "SET search_path = ''; SET ROLE jobforge_app; SET jobforge.tenant = 'acme';
               SELECT forge.jobforge_enqueue_job('acme', 't', '{}') ->> 'status';
               SELECT count(*) FROM forge.jobforge_claim_jobs('worker-00000001');
               SELECT count(*) FROM forge.qc_jobs WHERE status = 'running';";
    ensure!(own.sql(put)? == "queued\n1\n1");
    ensure!(own.sql("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace")? == "0");
    Ok(())
}

#[tokio::test]
async fn views_are_made_once_and_never_over_somebody_elses_relation() -> Result<()> {
    let (store, database) = crate::postgres::with_database(jobforge_store::postgres::Pooler::Off).await?;
    database.psql("CREATE TABLE qc_jobs (mine int); CREATE VIEW executions AS SELECT 1 AS mine")?;
    let said = store.sql_surface(true).await?.join("\n");
    ensure!(said.contains("left qc_jobs alone") && said.contains("left executions alone"), "{said}");
    ensure!(
        said.contains("created view worker_heartbeats") && said.contains("created view job_dlq"),
        "{said}"
    );
    ensure!(database.psql("SELECT count(mine) FROM qc_jobs")?.trim() == "0");
    ensure!(database.psql("SELECT mine FROM executions")?.trim() == "1");
    database.psql("DROP TABLE qc_jobs; DROP VIEW executions")?;
    let said = store.sql_surface(true).await?.join("\n");
    ensure!(said == "created view qc_jobs\ncreated view executions", "{said}");
    ensure!(store.sql_surface(true).await?.is_empty(), "nothing is left to do");
    // A view of an older version makes room.
    database.psql("COMMENT ON VIEW qc_jobs IS 'JobForge runbook view 0000000000000000'")?;
    ensure!(store.sql_surface(true).await? == ["replaced view qc_jobs"]);
    ensure!(
        database.psql("SET ROLE jobforge_readonly; SELECT count(*) FROM qc_jobs")?.trim() == "0",
        "and has its grants"
    );
    Ok(())
}

#[tokio::test]
async fn a_user_who_may_not_create_roles_migrates_and_is_told_what_is_missing() -> Result<()> {
    let own = Own::start()?;
    own.sql("CREATE ROLE plain LOGIN; GRANT CREATE ON SCHEMA public TO plain")?;
    let store = own.store("plain").await?;
    store.migrate().await?;
    let said = store.sql_surface(true).await?.join("\n");
    for role in ["jobforge_app", "jobforge_readonly", "jobforge_service"] {
        ensure!(
            said.contains(&format!("CREATE ROLE {role} NOLOGIN, then run `jobforge db grant`")),
            "{said}"
        );
    }
    own.sql("CREATE ROLE jobforge_app; CREATE ROLE jobforge_readonly; CREATE ROLE jobforge_service; CREATE ROLE web LOGIN")?;
    own.sql("GRANT jobforge_app TO web")?;
    let said = store.sql_surface(false).await?.join("\n");
    ensure!(!said.contains("CREATE ROLE"), "{said}");
    own.sql("GRANT USAGE ON SCHEMA public TO web")?;
    let put = own.sql_of(
        "web",
        "SET jobforge.tenant = 'acme'; SELECT jobforge_enqueue_job('acme', 't', '{}') ->> 'created_by'",
    )?;
    ensure!(put == "sql:web", "{put}");
    Ok(())
}

#[tokio::test]
async fn a_host_that_gives_web_roles_everything_gives_them_nothing_of_ours() -> Result<()> {
    let own = Own::start()?;
    own.sql(
        "CREATE ROLE anon; CREATE ROLE authenticated; CREATE ROLE service_role BYPASSRLS;
         GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role;
         ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO anon, authenticated, service_role;
         ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO anon, authenticated, service_role;",
    )?;
    let store = own.store("postgres").await?;
    store.migrate().await?;
    // Even between the two steps no row is seen.
    own.sql("INSERT INTO jobforge_jobs (type, tenant_id) VALUES ('t', 'acme')")?;
    ensure!(own.sql("SET ROLE anon; SELECT count(*) FROM jobforge_jobs")? == "0");
    store.sql_surface(true).await?;
    for role in ["anon", "authenticated"] {
        for text in ["SELECT FROM jobforge_jobs", "SELECT FROM qc_jobs", "SELECT jobforge_list_jobs('acme')"]
        {
            let outcome = own.sql(&format!("SET ROLE {role}; SET jobforge.tenant = 'acme'; {text}"));
            ensure!(
                outcome.is_err_and(|error| format!("{error:#}").contains("permission denied")),
                "{role} may {text}"
            );
        }
    }
    let put = "SET ROLE service_role; SELECT jobforge_enqueue_job('acme', 't', '{}') ->> 'created_by'";
    ensure!(own.sql(put)? == "sql:service_role");
    ensure!(own.sql("SET ROLE service_role; SELECT count(*) FROM qc_jobs")? == "2");
    Ok(())
}

#[tokio::test]
async fn a_member_of_the_service_role_runs_the_queue_without_owning_it() -> Result<()> {
    let own = Own::start()?;
    let owner = own.store("postgres").await?;
    owner.migrate().await?;
    owner.sql_surface(false).await?;
    own.sql("CREATE ROLE fleet LOGIN; GRANT jobforge_service TO fleet")?;
    let store = own.store("fleet").await?;
    store.verify_schema().await?;
    // More than are sent by COPY, which row security does not allow.
    let request = || JobRequest { job_type: "t".to_owned(), ..JobRequest::default() };
    let jobs = (0..600).map(|_| Ok(validate(request(), None)?)).collect::<Result<Vec<_>>>()?;
    ensure!(store.enqueue(&jobs, Now::Database).await?.len() == 600);
    let worker = WorkerId("worker-00000001".to_owned());
    let new = NewWorker {
        id: worker.clone(),
        name: None,
        hostname: "host-a".to_owned(),
        pid: 1,
        queues: vec!["default".to_owned()],
        types: None,
        slots: 10,
        lease: Duration::from_secs(60),
        lease_scales: false,
        place: None,
        registered_by: None,
    };
    store.register(&new, Now::Database).await?;
    let ask = ClaimAsk {
        worker: worker.clone(),
        queues: vec![QueueAsk { queue: "default".to_owned(), limit: 1000 }],
        types: None,
        tenant: None,
        beat_due_in: Duration::from_secs(120),
        beat_interval: None,
        alone: false,
        bounds: TypeBounds::default(),
    };
    let claimed = store.claim(&ask, Now::Database).await?.jobs;
    ensure!(claimed.len() == 600, "{} claimed", claimed.len());
    ensure!(store.renew(&worker, false, None, Now::Database).await?.is_some());
    let settlements = claimed.iter().map(|job| {
        let facts = AttemptFacts {
            id: job.id,
            lease: job.lease,
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            retry: None,
        };
        let outcome = Outcome::Succeeded { result: None };
        decide(&facts, outcome, Report::default(), &RetryPolicy::default(), 0.5)
    });
    let settled = store.settle(&worker, &settlements.collect::<Vec<_>>(), Now::Database).await?;
    ensure!(settled.iter().all(|one| *one == Settled::Applied));
    store.survey(Now::Database).await?;
    ensure!(store.suspects(&[], 10, Now::Database).await?.suspects.is_empty());
    // The runbooks' raw SQL is theirs, too.
    let reset = "UPDATE jobforge_jobs SET status = 'queued', run_at = now() WHERE status = 'succeeded'";
    own.sql_of("fleet", reset)?;
    ensure!(own.sql_of("fleet", "SELECT count(*) FROM jobforge_ready")? == "600");
    own.sql_of("fleet", "DELETE FROM jobforge_jobs")?;
    Ok(())
}
