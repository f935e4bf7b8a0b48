//! What only PostgreSQL has: statements that prepare, plans that use their index, and raw SQL that is turned into legal
//! moves.

use std::sync::Arc;
use std::time::Duration;

use jobforge_core::audit::AuditFilter;
use jobforge_core::claim::{ClaimAsk, QueueAsk, TypeBounds};
use jobforge_core::enqueue::{JobRequest, validate};
use jobforge_core::heartbeat::{Beat, BeatReply, Report};
use jobforge_core::job::{ClaimedJob, Job, Lease, NewJob, QueuedBecause, WorkerId};
use jobforge_core::payload::Payload;
use jobforge_core::settle::{AttemptFacts, Outcome, RetryPolicy, Settled, decide};
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use jobforge_core::worker::NewWorker;
use testkit::postgres::{Cluster, ClusterOptions, TestDatabase};

use super::session::Sql;
use super::{
    PostgresOptions, PostgresStore, admin, alerts, audit, claim, dead, death, enqueue, fleet, gauges,
    heartbeat, inspect, list, operate, operations, presence, rescue, schedule_fire, schedules, settings,
    settle, tenants, tokens, watchdog, workers,
};
use crate::traits::{Admin, Audit, Enqueue, Inspect, Upkeep, Watchdog, WorkerSide};

struct Lab {
    store: PostgresStore,
    database: TestDatabase,
    worker: WorkerId,
}

async fn lab() -> Lab {
    lab_in(TestDatabase::create().expect("database")).await
}

async fn lab_in(database: TestDatabase) -> Lab {
    let store = PostgresStore::connect(PostgresOptions::new(database.url())).await.expect("connect");
    store.migrate().await.expect("migrate");
    let worker = WorkerId("worker-00000001".to_owned());
    let new = NewWorker {
        id: worker.clone(),
        name: None,
        hostname: "host-a".to_owned(),
        pid: 1,
        queues: vec!["default".to_owned()],
        types: None,
        slots: 10,
        lease: Duration::from_secs(3600),
        lease_scales: false,
        place: None,
        registered_by: None,
    };
    store.register(&new, Now::Database).await.expect("register");
    Lab { store, database, worker }
}

fn job() -> NewJob {
    validate(JobRequest { job_type: "t".to_owned(), ..JobRequest::default() }, None).expect("valid")
}

impl Lab {
    async fn enqueue_one(&self) -> NewJob {
        let job = job();
        self.store.enqueue(std::slice::from_ref(&job), Now::Database).await.expect("enqueue");
        job
    }

    async fn claim(&self, limit: usize) -> Vec<ClaimedJob> {
        let ask = ClaimAsk {
            worker: self.worker.clone(),
            queues: vec![QueueAsk { queue: "default".to_owned(), limit }],
            types: None,
            tenant: None,
            beat_due_in: Duration::from_secs(120),
            beat_interval: None,
            alone: false,
            bounds: TypeBounds::default(),
        };
        self.store.claim(&ask, Now::Database).await.expect("claim").jobs
    }

    async fn settle(&self, claimed: &ClaimedJob, outcome: Outcome) -> Settled {
        let facts = AttemptFacts {
            id: claimed.id,
            lease: claimed.lease,
            attempt: claimed.attempt,
            max_attempts: claimed.max_attempts,
            retry: None,
        };
        let settlement = decide(&facts, outcome, Report::default(), &RetryPolicy::default(), 0.5);
        self.store.settle(&self.worker, &[settlement], Now::Database).await.expect("settle").remove(0)
    }

    async fn get(&self, id: jobforge_core::job::JobId) -> Job {
        self.store.job(id).await.expect("read").expect("exists")
    }

    fn sql(&self, text: &str) -> String {
        self.database.psql(text).expect(text)
    }
}

fn statements() -> Vec<&'static Sql> {
    [
        admin::statements(),
        super::upkeep::statements(),
        audit::statements(),
        operations::statements(),
        settings::statements(),
        tenants::statements(),
        super::silences::statements(),
        tokens::statements(),
        claim::statements(),
        dead::statements(),
        death::statements(),
        enqueue::statements(),
        gauges::statements(),
        heartbeat::statements(),
        inspect::statements(),
        list::statements(),
    ]
    .into_iter()
    .chain([operate::statements(), rescue::statements(), settle::statements(), watchdog::statements()])
    .chain([workers::statements(), fleet::statements(), presence::statements()])
    .chain([schedules::statements(), schedule_fire::statements(), alerts::statements()])
    .flatten()
    .collect()
}

#[tokio::test]
async fn every_statement_prepares_with_the_types_that_are_sent() {
    let lab = lab().await;
    let client = lab.store.client("test").await.expect("client");
    for sql in statements() {
        let prepared = client
            .prepare_typed(sql.text, sql.types)
            .await
            .unwrap_or_else(|error| panic!("{}: {error:?}", sql.name));
        assert_eq!(prepared.params(), sql.types, "{}", sql.name);
        assert!(sql.text.starts_with("-- "), "{} begins with what it does", sql.name);
    }
}

#[tokio::test]
async fn every_sql_file_is_used() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/sql/postgres");
    let used: Vec<&str> = statements().iter().map(|sql| sql.name).collect();
    for file in std::fs::read_dir(folder).expect("folder") {
        let name = file.expect("entry").file_name().into_string().expect("utf-8").replace(".sql", "");
        assert!(used.contains(&name.as_str()), "{name}.sql is used by nobody");
    }
}

#[tokio::test]
async fn the_runbooks_claim_query_uses_its_index_at_any_size() {
    let lab = lab().await;
    lab.sql("INSERT INTO jobforge_jobs (type, run_at, status, finished_at) SELECT 't', now() - interval '1 day', 'succeeded', now() FROM generate_series(1, 60000)");
    lab.sql("INSERT INTO jobforge_jobs (type, run_at) SELECT 't', now() - i * interval '1 s' FROM generate_series(1, 40000) i");
    lab.sql("VACUUM ANALYZE jobforge_jobs");
    let plan = lab.sql(
        "EXPLAIN ANALYZE SELECT * FROM jobforge_jobs WHERE status='queued' AND run_at <= NOW() ORDER BY run_at ASC LIMIT 10 FOR UPDATE SKIP LOCKED",
    );
    assert!(plan.contains("Index Scan using idx_jobforge_jobs_claim"), "{plan}");
}

#[tokio::test]
async fn a_never_analysed_database_claims_and_settles_without_scanning_the_jobs() {
    let lab = lab().await;
    let jobs: Vec<NewJob> = (0..20_000).map(|_| job()).collect();
    // The connection's statements are prepared while the tables are empty: the worst case.
    assert!(lab.claim(10).await.is_empty());
    // Making the indexes and foreign keys of an empty table has scanned it.
    lab.sql("SELECT pg_stat_reset_single_table_counters('jobforge_jobs'::regclass)");
    lab.store.enqueue(&jobs, Now::Database).await.expect("enqueue");
    for _ in 0..5 {
        let claimed = lab.claim(500).await;
        assert_eq!(claimed.len(), 500);
        for one in &claimed[..3] {
            assert_eq!(lab.settle(one, Outcome::Succeeded { result: None }).await, Settled::Applied);
        }
    }
    // The server counts scans with a delay; ask until it has.
    let mut scans = String::new();
    for _ in 0..50 {
        scans = lab.sql(
            "SELECT seq_tup_read, idx_scan > 0 FROM pg_stat_user_tables WHERE relname = 'jobforge_jobs'",
        );
        if scans.trim().ends_with('t') {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Rows, not scans: an index by blocks is summarised by reading each row once, a stretch of them at a time.
    let rows: i64 = scans.trim().split('|').next().and_then(|n| n.parse().ok()).expect("count");
    assert!(rows < 3 * 20_000, "{scans}: five claims and fifteen settlements read {rows} rows in a scan");
}

#[tokio::test]
async fn a_database_analysed_while_nothing_was_queued_claims_through_the_primary_key() {
    let lab = lab().await;
    lab.sql("INSERT INTO jobforge_jobs (type, status, finished_at) SELECT 't', 'canceled', now() FROM generate_series(1, 20000)");
    lab.sql("ANALYZE jobforge_jobs");
    let jobs: Vec<NewJob> = (0..20_000).map(|_| job()).collect();
    lab.store.enqueue(&jobs, Now::Database).await.expect("enqueue");
    for _ in 0..2 {
        assert_eq!(lab.claim(1000).await.len(), 1000);
    }
    let mut counts = String::new();
    for _ in 0..100 {
        counts = lab.sql(
            "SELECT coalesce(sum(idx_tup_read) FILTER (WHERE indexrelname = 'jobforge_jobs_pkey'), 0) >= 2000, \
             coalesce(sum(idx_tup_read) FILTER (WHERE indexrelname = 'idx_jobforge_jobs_claim'), 0) FROM pg_stat_user_indexes",
        );
        // The claims are counted in whichever index they went through.
        if counts.trim() != "f|0" {
            break;
        }
        lab.store.now().await.expect("a statement, so that the backend reports");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(counts.trim(), "t|0");
}

#[tokio::test]
async fn settling_and_beating_a_batch_reads_each_job_once_however_many_the_worker_holds() {
    let lab = lab().await;
    let jobs: Vec<NewJob> = (0..2000).map(|_| job()).collect();
    lab.store.enqueue(&jobs, Now::Database).await.expect("enqueue");
    let mut claimed = lab.claim(1000).await;
    claimed.extend(lab.claim(1000).await);
    let beats: Vec<Beat> = claimed
        .iter()
        .map(|one| Beat {
            id: one.id,
            lease: one.lease,
            due_in: Duration::from_secs(60),
            interval: None,
            report: Report::default(),
        })
        .collect();
    lab.store.heartbeat(&lab.worker, &beats, Now::Database).await.expect("beat");
    let settlements: Vec<_> = claimed
        .iter()
        .map(|one| {
            let facts =
                AttemptFacts { id: one.id, lease: one.lease, attempt: 1, max_attempts: 5, retry: None };
            let outcome = Outcome::Succeeded { result: (one.id.0.as_u128() % 2 == 0).then(Payload::empty) };
            decide(&facts, outcome, Report::default(), &RetryPolicy::default(), 0.5)
        })
        .collect();
    let answers = lab.store.settle(&lab.worker, &settlements, Now::Database).await.expect("settle");
    assert!(answers.iter().all(|answer| *answer == Settled::Applied));
    // A backend reports its counts when it has been idle for a moment; the claims' own show that it has.
    let mut counts = String::new();
    for _ in 0..100 {
        counts = lab.sql(
            "SELECT coalesce(sum(idx_tup_read) FILTER (WHERE indexrelname = 'jobforge_jobs_pkey'), 0) >= 4000, \
             coalesce(sum(idx_tup_read) FILTER (WHERE indexrelname = 'idx_jobforge_jobs_running'), 0) FROM pg_stat_user_indexes",
        );
        if counts.starts_with('t') {
            break;
        }
        lab.store.now().await.expect("a statement, so that the backend reports");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(counts.trim(), "t|0");
}

#[tokio::test]
async fn the_runbooks_reset_of_a_running_job_fences_its_worker_and_records_the_lost_attempt() {
    let lab = lab().await;
    let job = lab.enqueue_one().await;
    let old = lab.claim(1).await.remove(0);
    lab.sql(&format!("UPDATE jobforge_jobs SET status = 'queued', locked_by = NULL, locked_at = NULL, run_at = NOW() WHERE id = '{}'", job.id));
    let reset = lab.get(job.id).await;
    assert_eq!(
        (reset.status, reset.queued_because, reset.locked_by.is_none()),
        (Status::Queued, QueuedBecause::Operator, true)
    );
    assert!(reset.lease > old.lease);
    let beat = Beat {
        id: old.id,
        lease: old.lease,
        due_in: Duration::from_secs(60),
        interval: None,
        report: Report::default(),
    };
    assert_eq!(
        lab.store.heartbeat(&lab.worker, &[beat], Now::Database).await.expect("beat"),
        [BeatReply::Lost { status: Status::Queued }]
    );
    assert!(matches!(lab.settle(&old, Outcome::Succeeded { result: None }).await, Settled::Fenced { .. }));
    let new = lab.claim(1).await.remove(0);
    assert!(new.lease > reset.lease);
    assert_eq!(lab.settle(&new, Outcome::Succeeded { result: None }).await, Settled::Applied);
    let outcomes: Vec<String> = lab
        .store
        .job_detail(job.id)
        .await
        .expect("read")
        .expect("exists")
        .attempts
        .into_iter()
        .map(|a| a.outcome)
        .collect();
    assert_eq!(outcomes, ["reset", "succeeded"]);
    assert!(lab.store.check(Now::Database).await.expect("check").is_empty());
}

#[tokio::test]
async fn the_runbooks_delete_of_a_running_job_leaves_its_worker_with_nothing() {
    let lab = lab().await;
    let job = lab.enqueue_one().await;
    let claimed = lab.claim(1).await.remove(0);
    lab.sql(&format!("DELETE FROM jobforge_jobs WHERE id = '{}'", job.id));
    assert_eq!(lab.settle(&claimed, Outcome::Succeeded { result: None }).await, Settled::Gone);
    assert!(lab.store.check(Now::Database).await.expect("check").is_empty());
}

#[tokio::test]
async fn the_runbooks_backfill_runs_failed_jobs_again_with_a_fresh_start() {
    let lab = lab().await;
    let job = lab.enqueue_one().await;
    let claimed = lab.claim(1).await.remove(0);
    let error = jobforge_core::job::ErrorInfo {
        message: "no".into(),
        kind: "x".into(),
        retryable: false,
        details: None,
    };
    lab.settle(&claimed, Outcome::Failed { error }).await;
    lab.sql("UPDATE jobforge_jobs SET status = 'queued', run_at = NOW(), locked_by = NULL, locked_at = NULL, attempts = 0 WHERE status = 'failed' AND type = 't' AND created_at > NOW() - INTERVAL '1 day'");
    let again = lab.get(job.id).await;
    assert_eq!(
        (again.status, again.attempts, again.error, again.finished_at),
        (Status::Queued, 0, None, None)
    );
    assert_eq!(lab.claim(1).await.remove(0).attempt, 1);
}

#[tokio::test]
async fn impossible_moves_by_raw_sql_are_refused_with_the_way_out() {
    let lab = lab().await;
    let job = lab.enqueue_one().await;
    for (change, part) in [
        ("status = 'running', locked_by = 'me', locked_at = now()", "only a claim makes a job running"),
        ("status = 'succeeded'", "only its worker makes it succeed"),
        ("status = 'done'", "violates check constraint"),
        ("run_at = 'infinity'", "violates check constraint"),
        ("attempts = -1", "violates check constraint"),
    ] {
        let refused =
            lab.database.psql(&format!("UPDATE jobforge_jobs SET {change} WHERE id = '{}'", job.id));
        let text = format!("{:#}", refused.expect_err(change));
        assert!(text.contains(part), "{change}: {text}");
    }
    lab.claim(1).await;
    let claimed = lab.get(job.id).await;
    assert_eq!(claimed.status, Status::Running);
}

#[tokio::test]
async fn jobs_inserted_by_raw_sql_are_claimed_and_wake_listeners() {
    use crate::traits::Wake;
    let lab = lab().await;
    let mut events = lab.store.subscribe();
    assert_eq!(events.recv().await.expect("ready"), crate::rows::WakeEvent::Everything);
    lab.sql("INSERT INTO jobforge_jobs (type, payload) VALUES ('t', '{\"a\": 1}'), ('t', '{}')");
    assert_eq!(
        events.recv().await.expect("work"),
        crate::rows::WakeEvent::Work { queue: "default".to_owned() }
    );
    assert_eq!(lab.claim(10).await.len(), 2);
}

#[tokio::test]
async fn a_restored_queue_without_its_side_tables_is_mended() {
    let lab = lab().await;
    let job = lab.enqueue_one().await;
    lab.sql("TRUNCATE jobforge_ready, jobforge_scheduled");
    assert!(lab.claim(10).await.is_empty());
    assert_eq!(lab.store.check(Now::Database).await.expect("check")[0].rule, "queued_is_offered");
    assert_eq!(lab.store.reconcile(Now::Database).await.expect("reconcile"), 1);
    assert_eq!(lab.claim(10).await[0].id, job.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_that_an_open_transaction_notes_keeps_nobody_waiting() {
    let lab = lab().await;
    for _ in 0..2 {
        lab.enqueue_one().await;
    }
    let jobs = lab.claim(2).await;
    lab.settle(&jobs[0], Outcome::Succeeded { result: None }).await;
    let name = lab.sql("SELECT name FROM jobforge_successes");
    lab.sql("UPDATE jobforge_successes SET last_at = now() - interval '1 hour'");
    let mut open = lab.store.client("test").await.expect("client");
    let open = open.transaction().await.expect("transaction");
    open.execute("SELECT jobforge_note_successes(ARRAY[$1])", &[&name.trim()]).await.expect("noted");
    let settled = lab.settle(&jobs[1], Outcome::Succeeded { result: None });
    tokio::time::timeout(Duration::from_secs(10), settled).await.expect("it does not wait for the other");
    let newest = "SELECT max(last_at) > now() - interval '1 minute' FROM jobforge_successes";
    assert_eq!(lab.sql(newest), "t\n", "it is noted all the same");
    open.commit().await.expect("commit");
    let told = lab.store.gauges(Now::Database).await.expect("gauges").successes;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(lab.store.tidy(Now::Database).await.expect("tidy"), 1);
    assert_eq!(lab.sql("SELECT count(*) FROM jobforge_successes"), "1\n");
}

#[tokio::test]
async fn queued_jobs_that_raw_sql_deletes_are_offered_no_more() {
    let lab = lab().await;
    lab.enqueue_one().await;
    lab.sql("INSERT INTO jobforge_jobs (type, run_at) VALUES ('later', now() + interval '1 hour')");
    lab.sql("DELETE FROM jobforge_jobs");
    let found = lab.store.check(Now::Database).await.expect("check");
    assert!(found.is_empty(), "nothing is offered that is not there: {found:?}");
    let queues = lab.store.queues(Now::Database).await.expect("queues");
    assert!(queues.iter().all(|queue| queue.ready + queue.scheduled == 0), "nothing waits: {queues:?}");
}

#[tokio::test]
async fn a_stale_offer_claims_nothing() {
    let lab = lab().await;
    let job = lab.enqueue_one().await;
    lab.sql("INSERT INTO jobforge_ready SELECT * FROM jobforge_ready");
    assert_eq!(lab.claim(10).await.len(), 1, "once, although it is offered twice");
    lab.sql(&format!("INSERT INTO jobforge_ready (id, queue, priority, run_at, type) VALUES ('{}', 'default', 0, now(), 't')", job.id));
    assert!(lab.claim(10).await.is_empty(), "running jobs are not claimed");
}

#[tokio::test]
async fn a_bulk_batch_survives_every_character_that_copy_gives_a_meaning() {
    let lab = lab().await;
    let odd = "tab\there\\N back\\slash new\nline \r return \u{1F980} {braces} \"quotes\" $1 '; DROP TABLE";
    let jobs: Vec<NewJob> = (0..600)
        .map(|index| {
            let request = JobRequest {
                job_type: "t".to_owned(),
                payload: Some(
                    Payload::from_value(&serde_json::json!({ "odd": odd, "index": index })).expect("payload"),
                ),
                tags: vec!["with \"quotes\"".to_owned(), "back\\slash, comma".to_owned()],
                ..JobRequest::default()
            };
            validate(request, Some("tab\tauthor".to_owned())).expect("valid")
        })
        .collect();
    lab.store.enqueue(&jobs, Now::Database).await.expect("enqueue");
    let stored = lab.get(jobs[599].id).await;
    assert!(stored.payload.same_as(&jobs[599].payload));
    assert_eq!((stored.tags, stored.created_by), (jobs[599].tags.clone(), jobs[599].created_by.clone()));
    // The answer was lost and the client asks again: nothing is enqueued twice.
    let again = lab.store.enqueue(&jobs, Now::Database).await.expect("again");
    assert!(again.iter().all(|answer| !answer.created));
}

#[tokio::test]
async fn two_programs_that_migrate_at_once_apply_each_step_once() {
    let database = TestDatabase::create().expect("database");
    let open = || PostgresStore::connect(PostgresOptions::new(database.url()));
    let (one, two) = (Arc::new(open().await.expect("one")), Arc::new(open().await.expect("two")));
    assert!(matches!(one.verify_schema().await, Err(crate::StoreError::SchemaTooOld { found: 0, .. })));
    let (a, b) = tokio::join!(one.migrate(), two.migrate());
    assert_eq!(a.expect("one").len() + b.expect("two").len(), admin::MIGRATIONS.len());
    one.verify_schema().await.expect("fits");
}

#[tokio::test]
async fn everything_works_through_a_transaction_pooler() {
    let lab = lab().await;
    let pooler = testkit::postgres::PgBouncer::start(
        lab.database.server(),
        lab.database.name(),
        testkit::postgres::PoolMode::Transaction,
    )
    .expect("pgbouncer");
    let store = PostgresStore::connect(PostgresOptions::new(pooler.url())).await.expect("connect");
    let capabilities = store.capabilities();
    assert!(capabilities.pooled && !capabilities.wake_across_processes, "{capabilities:?}");
    let through = Lab { store, database: lab.database, worker: lab.worker };
    let jobs: Vec<NewJob> = (0..700).map(|_| job()).collect();
    through.store.enqueue(&jobs, Now::Database).await.expect("copy");
    through.enqueue_one().await;
    let claimed = through.claim(800).await;
    assert_eq!(claimed.len(), 701);
    for one in &claimed[..20] {
        assert_eq!(through.settle(one, Outcome::Succeeded { result: None }).await, Settled::Applied);
    }
    assert_eq!(through.store.expire_workers(u32::MAX, Now::Database).await.expect("expire").len(), 0);
    assert_eq!(
        through
            .store
            .jobs(&crate::rows::JobFilter { limit: 10, ..Default::default() })
            .await
            .expect("list")
            .len(),
        10
    );
    through.store.migrate().await.expect("migrate through the pooler");
}

#[tokio::test]
async fn what_is_wrong_with_a_database_is_said_with_the_way_out() {
    let database = TestDatabase::create().expect("database");
    let url = database.url().to_owned();
    let fault = async |url: String| {
        PostgresStore::connect(PostgresOptions::new(url)).await.map(|_| ()).expect_err("refused").chain()
    };
    let missing = fault(url.replace(database.name(), "no_such_database")).await;
    assert!(missing.contains("refused the login") && missing.contains("no_such_database"), "{missing}");
    let nobody = fault("postgres://u:hunter2@127.0.0.1:1/d".to_owned()).await;
    assert!(nobody.contains("127.0.0.1:1/d cannot be reached") && !nobody.contains("hunter2"), "{nobody}");
    let bad = fault("postgres://u:hunter2@h:notaport/d".to_owned()).await;
    assert!(bad.contains("cannot be used") && !bad.contains("hunter2"), "{bad}");
    database
        .psql(&format!("ALTER DATABASE \"{}\" SET default_transaction_read_only = on", database.name()))
        .expect("read only");
    let store = PostgresStore::connect(PostgresOptions::new(url)).await.expect("connect");
    let read_only = store.migrate().await.expect_err("read only").chain();
    assert!(read_only.contains("is read-only"), "{read_only}");
}

/// Waits until the worker holds its connection, or does not.
async fn until_attending(store: &PostgresStore, worker: &WorkerId, there: bool) {
    for _ in 0..1000 {
        let attending = store.attending().await.expect("attending").expect("PostgreSQL can tell");
        if attending.contains(worker) == there {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{worker} was never seen to be there: {there}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_seen_as_long_as_it_holds_its_connection() {
    let lab = lab().await;
    let attendance = lab.store.attend(&lab.worker).expect("a direct connection");
    until_attending(&lab.store, &lab.worker, true).await;
    let terminate = "SELECT pg_terminate_backend(pid) FROM pg_locks
        WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(lab.sql(terminate), "t\n");
    until_attending(&lab.store, &lab.worker, true).await;
    drop(attendance);
    until_attending(&lab.store, &lab.worker, false).await;
    let unnumbered = WorkerId("the one in the corner".to_owned());
    assert!(lab.store.attend(&unnumbered).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_pooler_nobody_is_taken_to_be_there() {
    let lab = lab().await;
    let (server, name) = (lab.database.server(), lab.database.name());
    let mode = testkit::postgres::PoolMode::Transaction;
    let pooler = testkit::postgres::PgBouncer::start(server, name, mode).expect("pgbouncer");
    let known = PostgresStore::connect(PostgresOptions::new(pooler.url())).await.expect("connect");
    assert!(known.attend(&lab.worker).is_none());
    // An operator who takes the pooler for a direct way is found out by asking.
    let mut wrong = PostgresOptions::new(pooler.url());
    wrong.direct_url = Some(pooler.url().to_owned());
    let wrong = PostgresStore::connect(wrong).await.expect("connect");
    let (client, driver) = wrong.direct.open().await.expect("open");
    let _driven = tokio::spawn(driver.run_silent());
    assert!(!presence::is_a_session(&client, &wrong.direct).await.expect("asked"));
    let (client, driver) = lab.store.direct.open().await.expect("open");
    let _driven = tokio::spawn(driver.run_silent());
    assert!(presence::is_a_session(&client, &lab.store.direct).await.expect("asked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_standby_has_taken_over_claims_wait_and_leases_go_on_above_what_may_be_lost() {
    let cluster = Cluster::start(&ClusterOptions::default()).expect("cluster");
    let lab = lab_in(TestDatabase::create_on(cluster.server(), None).expect("database")).await;
    let (held, _) = (lab.enqueue_one().await, lab.enqueue_one().await);
    let before = lab.claim(1).await.remove(0);
    assert_eq!((before.id, before.lease), (held.id, Lease(1)));
    let renew = async || lab.store.renew(&lab.worker, false, None, Now::Database).await.expect("renew");
    let epoch = renew().await.expect("live").epoch;
    cluster.fail_over().expect("failover");
    // Whoever comes first: before anybody has noticed a claim gives nothing.
    let first = async || loop {
        // The connections of before are gone.
        match lab.store.now().await {
            Ok(_) => return lab.claim(1).await,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    assert_eq!(first().await.len(), 0);
    let seen = lab.store.survey(Now::Database).await.expect("survey");
    assert!(seen.claims_from.is_some_and(|from| from > seen.as_of), "{seen:?}");
    assert_eq!(renew().await.expect("it is heard again").epoch, epoch + 1);
    assert_eq!(lab.claim(1).await.len(), 0, "others may not have been heard yet");
    lab.sql("UPDATE jobforge_fleet SET claims_from = now()");
    let after = lab.claim(1).await.remove(0);
    assert_eq!(after.lease, Lease(1 << 32));
    assert_eq!(lab.settle(&after, Outcome::Succeeded { result: None }).await, Settled::Applied);
}

#[tokio::test]
async fn raw_sql_that_moves_a_job_is_told_of_in_the_audit_log() {
    let lab = lab().await;
    let job = lab.enqueue_one().await;
    lab.claim(1).await;
    let reset = "SET status = 'queued', locked_by = NULL, locked_at = NULL, run_at = NOW()";
    lab.database
        .psql(&format!("UPDATE jobforge_jobs {reset} WHERE id = '{}'", job.id))
        .expect("the runbook's SQL");
    let about = AuditFilter { target: Some(job.id.to_string()), ..AuditFilter::default() };
    let entries = lab.store.audit(&about, 10).await.expect("audit");
    assert_eq!(entries.len(), 1, "claims and settlements are nobody's deed: {entries:?}");
    let entry = &entries[0];
    assert_eq!((entry.action.as_str(), entry.tenant_id.as_deref()), ("job.update", Some("default")));
    assert!(entry.by.actor.starts_with("sql:"), "{entry:?}");
    assert_eq!(entry.before.as_deref(), Some(r#"{"status": "running"}"#));
}
