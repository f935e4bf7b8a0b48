//! Lists go by their index whatever the table holds and whatever is asked: also for what nobody has.

use jobforge_core::job_state::JobState;
use jobforge_core::time::Now;
use testkit::postgres::TestDatabase;

use super::session::Sql;
use super::{PostgresOptions, PostgresStore, audit, dead, inspect, list, tenants};
use crate::rows::{DeadFilter, JobFilter};
use crate::traits::{Admin, DeadLetters, Inspect};

/// Forty thousand jobs of two tenants; one in a hundred dead, one in ten tagged, none of them analysed.
const FILL: &str = "INSERT INTO jobforge_jobs (id, tenant_id, type, queue, status, finished_at, tags, error, dead_group)
  SELECT lpad(to_hex(i), 32, '0')::uuid, CASE WHEN i % 2 = 0 THEN 'big' ELSE 'small' END, 'type-' || i % 3, 'queue-' || i % 4,
         CASE WHEN i % 100 = 0 THEN 'dead' ELSE 'succeeded' END, now() - i * 7919 % 40000 * interval '1 second',
         CASE WHEN i % 10 = 0 THEN ARRAY['red'] END,
         CASE WHEN i % 100 = 0 THEN '{\"kind\": \"io\", \"message\": \"away\"}'::jsonb END,
         CASE WHEN i % 100 = 0 THEN 'group-' || i % 200 END
  FROM generate_series(1, 40000) i";

async fn lab() -> (PostgresStore, TestDatabase) {
    let database = TestDatabase::create().expect("database");
    let store = PostgresStore::connect(PostgresOptions::new(database.url())).await.expect("connect");
    store.migrate().await.expect("migrate");
    (store, database)
}

/// The plan that a connection of the store makes and what it read, as text.
async fn plan(store: &PostgresStore, sql: &Sql, parameters: &str) -> String {
    let client = store.client("test").await.expect("client");
    let types: Vec<&str> = sql.types.iter().map(tokio_postgres::types::Type::name).collect();
    let types: Vec<String> = types
        .iter()
        .map(|name| name.strip_prefix('_').map_or((*name).to_owned(), |name| format!("{name}[]")))
        .collect();
    let types = if types.is_empty() { String::new() } else { format!("({})", types.join(", ")) };
    client.batch_execute(&format!("PREPARE asked{types} AS {}", sql.text)).await.expect(sql.name);
    let asked = format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS) EXECUTE asked({parameters})");
    let rows = client.simple_query(&asked).await.expect(sql.name);
    client.batch_execute("DEALLOCATE asked").await.expect(sql.name);
    let line = |message: &tokio_postgres::SimpleQueryMessage| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    };
    rows.iter().filter_map(line).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn lists_go_by_their_index_whether_many_few_or_none_match() {
    let (store, database) = lab().await;
    testkit::postgres::psql(&database.url(), FILL).expect("jobs");
    for (name, parameters, index) in [
        ("job_ids", "null, 51", "jobforge_jobs_pkey"),
        ("job_ids_kinds", "'big', null, null, null, 51", "idx_jobforge_listed"),
        ("job_ids_kinds", "null, 'type-1', 'queue-2', null, 51", "idx_jobforge_listed"),
        ("job_ids_tag", "'red', null, 51", "idx_jobforge_tagged"),
        ("job_ids_tag", "'nothing', null, 51", "idx_jobforge_tagged"),
        ("job_ids_fallen", "'{dead}', null, 51", "idx_jobforge_jobs_fallen"),
        ("job_ids_fallen", "'{canceled,failed}', null, 51", "idx_jobforge_jobs_fallen"),
        // Beside so few that fell, sorting those of any index of the fallen is as cheap.
        ("job_ids_fallen_tenant", "'{dead}', 'small', null, 51", "idx_jobforge_jobs_fallen"),
        ("tenants_fallen", "'{big,small,nobody}', 51", "idx_jobforge_jobs_fallen_tenant"),
        ("job_ids_key", "'nothing', null, 51", "idx_jobforge_jobs_idempotency"),
        ("job_ids_worker", "'nobody', null, 51", "idx_jobforge_jobs_running"),
        ("job_ids_few", "'{queued,running,dead}', 51", "idx_jobforge_jobs_fallen"),
    ] {
        let mut known = list::statements().into_iter().chain(tenants::statements());
        let sql = known.find(|sql| sql.name == name).expect(name);
        let plan = plan(&store, sql, parameters).await;
        assert!(plan.contains(index), "{name} ({parameters}) does not use {index}:\n{plan}");
        for line in plan.lines().filter(|line| line.contains(" Scan ") && line.contains("rows=")) {
            let read = line.split("rows=").nth(1).and_then(|rest| rest.split(' ').next());
            let rows: f64 = read.and_then(|rows| rows.parse().ok()).unwrap_or(0.0);
            assert!(rows <= 400.0, "{name} ({parameters}) reads {rows} rows for 51:\n{plan}");
        }
    }
    for (parameters, index) in [
        ("null, null, null, null, true, null, 51", "idx_jobforge_jobs_dead_newest"),
        (
            "null, 'small', null, null, true, null, 51",
            "idx_jobforge_jobs_fallen_tenant or idx_jobforge_jobs_dead_newest",
        ),
        ("'group-0', null, null, null, true, null, 51", "idx_jobforge_jobs_dead_listed"),
        ("null, null, 'nothing', null, true, null, 51", "idx_jobforge_jobs_dead_newest"),
        ("null, null, null, 'nothing', true, null, 51", "idx_jobforge_jobs_dead_newest"),
    ] {
        let sql = dead::statements().into_iter().find(|sql| sql.name == "dead_jobs").expect("dead_jobs");
        let client = store.client("test").await.expect("client");
        client.batch_execute("SET plan_cache_mode = force_custom_plan; ANALYZE").await.expect("set");
        drop(client);
        let plan = plan(&store, sql, parameters).await;
        let uses = index.split(" or ").any(|index| plan.contains(index));
        assert!(uses, "dead_jobs ({parameters}) does not use {index}:\n{plan}");
    }
    let dead = store.dead_jobs(&DeadFilter { resolved: true, ..DeadFilter::default() }, None, 1000).await;
    assert_eq!(dead.expect("dead jobs").len(), 400);
}

/// The most rows that a plan read in one place, the rows of all its rounds together.
fn most_read(plan: &str) -> f64 {
    let number = |line: &str, name: &str| {
        let rest = line.split(name).nth(1)?;
        rest.split([' ', ')']).next()?.parse::<f64>().ok()
    };
    let scans = plan.lines().filter(|line| line.contains(" Scan ") && line.contains("jobforge_"));
    scans.filter_map(|line| Some(number(line, "rows=")? * number(line, "loops=")?)).fold(0.0, f64::max)
}

#[tokio::test]
async fn whoever_looks_often_reads_no_more_than_the_counts_that_are_shown() {
    let (store, database) = lab().await;
    let more = "INSERT INTO jobforge_jobs (type, queue, run_at)
                SELECT 'waits', 'queue-' || i % 2, now() + i % 2 * interval '1 hour' FROM generate_series(1, 20000) i;
                INSERT INTO jobforge_audit (at, actor, action) SELECT now(), 'ada', 'job.retry' FROM generate_series(1, 5000)";
    testkit::postgres::psql(&database.url(), &format!("{FILL}; {more}; VACUUM ANALYZE")).expect("rows");
    for (statements, name, parameters, most) in [
        // Two causes with 200 jobs each, of which 20 are counted; their names cost a few rows more.
        (dead::statements(), "dead_groups", "null, null, false, 20, 1000, null, null, 2", 50.0),
        (dead::statements(), "dead_groups", "null, null, false, 20, 1000, 'group-0', null, null", 50.0),
        // Each of two queues has 10,000 jobs, half of all is due.
        (inspect::statements(), "queues", "100", 250.0),
        (inspect::statements(), "status_counts", "null, now() - interval '1 day', 100", 150.0),
        (audit::statements(), "audit_list", "'nobody', null, null, null, null, null, 51, 4901", 150.0),
    ] {
        let sql = statements.into_iter().find(|sql| sql.name == name).expect(name);
        let client = store.client("test").await.expect("client");
        client.batch_execute("SET plan_cache_mode = force_custom_plan").await.expect("set");
        drop(client);
        let plan = plan(&store, sql, parameters).await;
        let read = most_read(&plan);
        assert!(read <= most, "{name} ({parameters}) reads {read} rows:\n{plan}");
        let skipped = plan
            .lines()
            .filter_map(|line| line.split("Rows Removed by Filter: ").nth(1)?.parse::<f64>().ok());
        assert!(
            skipped.fold(0.0, f64::max) <= most,
            "{name} ({parameters}) reads what it does not want:\n{plan}"
        );
    }
}

#[tokio::test]
async fn what_is_ready_or_scheduled_is_found_beside_many_of_the_other() {
    let (store, database) = lab().await;
    let more = "INSERT INTO jobforge_jobs (type, queue, run_at)
                SELECT 'waits', 'q', now() + CASE WHEN i = 1 THEN interval '1 hour' ELSE interval '-1 hour' END
                FROM generate_series(1, 20000) i";
    testkit::postgres::psql(&database.url(), &format!("{FILL}; {more}")).expect("rows");
    // Analysed or not.
    for then in ["SELECT 1", "VACUUM ANALYZE"] {
        testkit::postgres::psql(&database.url(), then).expect(then);
        for (name, index) in
            [("job_ids_ready", "idx_jobforge_ready"), ("job_ids_scheduled", "idx_jobforge_scheduled")]
        {
            let sql = list::statements().into_iter().find(|sql| sql.name == name).expect(name);
            let plan = plan(&store, sql, "51").await;
            assert!(plan.contains(index), "{name}, {then}:\n{plan}");
            assert!(most_read(&plan) <= 60.0, "{name}, {then}:\n{plan}");
        }
    }
    let filter = JobFilter { state: Some(JobState::Scheduled), limit: 10, ..JobFilter::default() };
    let found = store.job_page(&filter).await.expect("jobs");
    assert!(found.jobs.len() == 1 && found.next.is_none() && !found.stopped_early, "{found:?}");
}

#[tokio::test]
async fn a_job_that_raw_sql_moved_or_tagged_is_found_where_it_is_now_and_one_that_it_deleted_nowhere() {
    let (store, database) = lab().await;
    let sql = |text: &str| testkit::postgres::psql(&database.url(), text).expect("SQL");
    sql(
        "INSERT INTO jobforge_jobs (type, queue, tags) SELECT 't', 'old', ARRAY['red'] FROM generate_series(1, 3)",
    );
    let find = async |change: fn(&mut JobFilter)| {
        let mut filter = JobFilter { limit: 10, ..JobFilter::default() };
        change(&mut filter);
        store.jobs(&filter).await.expect("jobs").len()
    };
    sql(
        "UPDATE jobforge_jobs SET queue = 'new', tags = ARRAY['blue'] WHERE id = (SELECT min(id::text)::uuid FROM jobforge_jobs)",
    );
    assert_eq!(find(|f| f.queue = Some("old".to_owned())).await, 2);
    assert_eq!(find(|f| f.queue = Some("new".to_owned())).await, 1);
    assert_eq!(find(|f| f.tag = Some("red".to_owned())).await, 2);
    assert_eq!(find(|f| f.tag = Some("blue".to_owned())).await, 1);
    assert!(store.check(Now::Database).await.expect("check").is_empty());
    sql("DELETE FROM jobforge_jobs");
    assert_eq!(sql("SELECT count(*) FROM jobforge_listed").trim(), "0");
    assert_eq!(sql("SELECT count(*) FROM jobforge_tagged").trim(), "0");
    assert_eq!(find(|f| f.queue = Some("old".to_owned())).await, 0);
}
