//! A worker that speaks nothing but SQL.

use anyhow::ensure;
use jobforge_core::job::WorkerId;
use jobforge_core::time::Now;
use testkit::Result;

use super::{Scene, refused, scene};

const WORKER: &str = "worker-0000a001";

fn complete(scene: &Scene, id: &str, lease: &str, rest: &str) -> Result<String> {
    scene.sql(&format!("SELECT j ->> 'status', j ->> 'replayed' FROM jobforge_complete_job('{id}', '{WORKER}', {rest}, p_lease => {lease}) j"))
}

#[tokio::test]
async fn it_becomes_known_by_its_first_claim_reports_progress_and_its_result() -> Result<()> {
    let scene = scene().await?;
    let id = scene.enqueue("acme", "t")?;
    let (claimed, lease) = scene.claim(WORKER)?;
    ensure!(claimed == id && lease == "1");
    ensure!(scene.sql("SELECT worker_id, status FROM worker_heartbeats")? == format!("{WORKER}|live"));
    let left = scene.sql(&format!(
        "SELECT jobforge_heartbeat_job('{id}', '{WORKER}', {lease}, 40, 'half way', 'copying') > now() + interval '55 s'"
    ))?;
    ensure!(left == "t");
    let seen = scene.sql("SELECT status, progress, phase FROM qc_jobs")?;
    ensure!(seen == "running|40|copying", "{seen}");
    for (percent, phase) in [("40", "'copying'"), ("NULL", "NULL"), ("250", "'checking'")] {
        scene.sql(&format!(
            "SELECT jobforge_heartbeat_job('{id}', '{WORKER}', NULL, {percent}, NULL, {phase})"
        ))?;
    }
    let points = scene.sql("SELECT string_agg(concat_ws(' ', lease, progress, phase, message), ', ' ORDER BY report_no) FROM jobforge_job_progress")?;
    ensure!(points == "1 40 copying half way, 1 100 checking half way", "{points}");
    ensure!(
        complete(&scene, &id, &lease, "'succeeded', NULL, '{\"rows\": 7}', 's3://bucket/key'")?
            == "succeeded|false"
    );
    let result = scene.sql("SELECT r.result ->> 'rows', r.artifact_ref, j.result_id = r.id FROM jobforge_job_results r JOIN jobforge_jobs j ON j.id = r.job_id")?;
    ensure!(result == "7|s3://bucket/key|t", "{result}");
    ensure!(complete(&scene, &id, &lease, "'succeeded'")? == "succeeded|true", "sent again");
    Ok(())
}

#[tokio::test]
async fn an_artifact_alone_is_a_result_and_a_failure_is_tried_again_until_it_is_dead() -> Result<()> {
    let scene = scene().await?;
    let id = scene.sql("SELECT jobforge_enqueue_job('acme', 't', '{}', p_max_attempts => 2) ->> 'id'")?;
    let (_, lease) = scene.claim(WORKER)?;
    ensure!(
        complete(&scene, &id, &lease, "'failed', '{\"error\": \"no route\", \"type\": \"OSError\"}'")?
            == "queued|false"
    );
    let row = scene.field(
        &id,
        "error ->> 'message', error ->> 'kind', error ->> 'retryable', run_at - updated_at BETWEEN interval '0.8 s' AND interval '1.2 s'",
    )?;
    ensure!(row == "no route|OSError|true|t", "{row}");
    scene.sql("UPDATE jobforge_jobs SET run_at = now()")?;
    let (_, lease) = scene.claim(WORKER)?;
    ensure!(complete(&scene, &id, &lease, "'failed'")? == "dead|false");
    ensure!(
        scene.sql("SELECT failure_reason, attempt_count FROM job_dlq")?
            == "the worker failed without a message|2"
    );
    ensure!(
        scene.sql("SELECT string_agg(outcome, ',' ORDER BY lease) FROM jobforge_job_attempts")?
            == "retry,dead"
    );

    let id = scene.enqueue("acme", "t")?;
    let (_, lease) = scene.claim(WORKER)?;
    let for_good = "'failed', '{\"message\": \"no such file\", \"retryable\": false}'";
    ensure!(complete(&scene, &id, &lease, for_good)? == "failed|false");

    let id = scene.enqueue("acme", "t")?;
    let (_, lease) = scene.claim(WORKER)?;
    complete(&scene, &id, &lease, "'succeeded', p_artifact_ref => 'file:x'")?;
    ensure!(
        scene.sql(&format!("SELECT artifact_ref FROM jobforge_job_results WHERE job_id = '{id}'"))?
            == "file:x"
    );

    let id = scene.enqueue("acme", "t")?;
    let (_, lease) = scene.claim(WORKER)?;
    ensure!(
        complete(&scene, &id, &lease, "'succeeded', NULL, to_jsonb(repeat('x', 1048576))")? == "failed|false"
    );
    ensure!(scene.field(&id, "error ->> 'kind'")? == "result_too_large");
    Ok(())
}

#[tokio::test]
async fn a_worker_whose_job_was_reset_by_the_runbook_can_neither_beat_nor_complete() -> Result<()> {
    let scene = scene().await?;
    let id = scene.enqueue("acme", "t")?;
    let (_, old) = scene.claim(WORKER)?;
    scene.sql(&format!(
        "UPDATE jobforge_jobs\nSET status = 'queued',\n    locked_by = NULL,\n    locked_at = NULL,\n    run_at = NOW()\nWHERE id = '{id}';"
    ))?;
    refused(scene.sql(&format!("SELECT jobforge_heartbeat_job('{id}', '{WORKER}')")), "claim_lost")?;
    refused(complete(&scene, &id, &old, "'succeeded'"), "claim_lost")?;
    // Another process under the same id has it now. The lease tells the two apart.
    let (_, new) = scene.claim(WORKER)?;
    ensure!(new > old);
    refused(scene.sql(&format!("SELECT jobforge_heartbeat_job('{id}', '{WORKER}', {old})")), "claim_lost")?;
    refused(complete(&scene, &id, &old, "'succeeded'"), "claim_lost")?;
    ensure!(complete(&scene, &id, &new, "'succeeded'")? == "succeeded|false");
    scene.sql(&format!("DELETE FROM jobforge_jobs WHERE id = '{id}'"))?;
    refused(complete(&scene, &id, &new, "'succeeded'"), "job_not_found")?;
    Ok(())
}

#[tokio::test]
async fn a_silent_worker_loses_its_jobs_and_comes_back_only_when_they_are_taken_back() -> Result<()> {
    let scene = scene().await?;
    let id = scene.enqueue("acme", "t")?;
    let (_, lease) = scene.claim(WORKER)?;
    scene.sql("UPDATE jobforge_workers SET lease_expires_at = now() - interval '1 s'")?;
    refused(scene.sql(&format!("SELECT jobforge_heartbeat_job('{id}', '{WORKER}', {lease})")), "lease_lost")?;
    refused(scene.sql(&format!("SELECT jobforge_claim_jobs('{WORKER}')")), "lease_lost")?;
    // As the watchdog does.
    let lost = scene.store.expire_workers(10, Now::Database).await?;
    ensure!(lost == [WorkerId(WORKER.to_owned())], "{lost:?}");
    scene.sql("UPDATE jobforge_jobs SET status = 'queued', run_at = now() WHERE status = 'running'")?;
    ensure!(scene.claim(WORKER)?.0 == id, "the worker is alive again");
    ensure!(scene.sql("SELECT state, ended_at IS NULL FROM jobforge_workers")? == "live|t");
    Ok(())
}

#[tokio::test]
async fn a_worker_that_says_goodbye_gives_its_jobs_back_without_using_an_attempt() -> Result<()> {
    let scene = scene().await?;
    let id = scene.enqueue("acme", "t")?;
    scene.claim(WORKER)?;
    ensure!(scene.sql(&format!("SELECT jobforge_leave_worker('{WORKER}')"))? == "1");
    ensure!(scene.field(&id, "status, attempts, queued_because")? == "queued|0|release");
    ensure!(scene.sql("SELECT state FROM jobforge_workers")? == "gone");
    ensure!(scene.sql("SELECT count(*) FROM worker_heartbeats")? == "0", "it is not stale for ever");
    scene.claim(WORKER)?;
    Ok(())
}

#[tokio::test]
async fn claims_give_the_most_urgent_of_the_wanted_queues_and_types_that_are_due_and_not_paused() -> Result<()>
{
    let scene = scene().await?;
    scene.sql(
        "SELECT jobforge_enqueue_job('acme', 'a', '{}', p_priority => 5);
         SELECT jobforge_enqueue_job('acme', 'b', '{}');
         SELECT jobforge_enqueue_job('acme', 'c', '{}', p_priority => -5);
         SELECT jobforge_enqueue_job('acme', 'd', '{}', p_queue => 'mail');
         SELECT jobforge_enqueue_job('acme', 'e', '{}', p_queue => 'shut');
         SELECT jobforge_enqueue_job('acme', 'f', '{}', p_run_at => now() + interval '1 hour');
         INSERT INTO jobforge_queues VALUES ('shut', now());",
    )?;
    let claim = |arguments: &str| {
        scene.sql(&format!("SELECT string_agg(type, '') FROM jobforge_claim_jobs('{WORKER}', {arguments})"))
    };
    ensure!(claim("10, p_types => ARRAY['b', 'd']")? == "b");
    ensure!(claim("1")? == "c");
    ensure!(claim("10, ARRAY['shut', 'mail', 'default']")? == "da");
    ensure!(claim("10, ARRAY['shut', 'mail', 'default']")?.is_empty());
    scene.sql("UPDATE jobforge_scheduled SET run_at = now(); UPDATE jobforge_jobs SET run_at = now() WHERE type = 'f'")?;
    ensure!(claim("10")? == "f");
    Ok(())
}

#[tokio::test]
async fn a_job_that_must_run_alone_comes_alone() -> Result<()> {
    let scene = scene().await?;
    for _ in 0..2 {
        scene.enqueue("acme", "plain")?;
    }
    let alone = scene.enqueue("acme", "killer")?;
    scene.sql(&format!(
        "UPDATE jobforge_jobs SET alone = true, revision = revision + 1 WHERE id = '{alone}'"
    ))?;
    let claim =
        || scene.sql(&format!("SELECT string_agg(type, ',') FROM jobforge_claim_jobs('{WORKER}', 10)"));
    ensure!(claim()? == "plain,plain");
    ensure!(claim()?.is_empty(), "it has other jobs");
    scene.sql("UPDATE jobforge_jobs SET status = 'canceled' WHERE type = 'plain'")?;
    ensure!(claim()? == "killer");
    scene.enqueue("acme", "plain")?;
    ensure!(claim()?.is_empty(), "the job runs alone");
    Ok(())
}

#[tokio::test]
async fn what_a_worker_may_not_ask_is_refused() -> Result<()> {
    let scene = scene().await?;
    for (call, word) in [
        ("claim_jobs(NULL)".to_owned(), "bad_name"),
        ("claim_jobs('')".to_owned(), "bad_name"),
        (format!("claim_jobs('{WORKER}', 0)"), "out_of_range"),
        (format!("claim_jobs('{WORKER}', 100000)"), "out_of_range"),
        (format!("claim_jobs('{WORKER}', NULL)"), "out_of_range"),
        (format!("claim_jobs('{WORKER}', 1, ARRAY[]::text[])"), "out_of_range"),
        (format!("claim_jobs('{WORKER}', 1, p_lease_seconds => 0)"), "out_of_range"),
        (format!("heartbeat_job(gen_random_uuid(), '{WORKER}')"), "worker_unknown"),
        (format!("complete_job(gen_random_uuid(), '{WORKER}', 'succeeded')"), "worker_unknown"),
        (format!("complete_job(gen_random_uuid(), '{WORKER}', 'done')"), "bad_status"),
        (format!("complete_job(gen_random_uuid(), '{WORKER}', NULL)"), "bad_status"),
        (
            format!("complete_job(gen_random_uuid(), '{WORKER}', 'failed', '{{}}', '{{}}')"),
            "result_and_error",
        ),
        (format!("complete_job(gen_random_uuid(), '{WORKER}', 'succeeded', '{{}}')"), "result_and_error"),
        (format!("leave_worker('{WORKER}')"), "worker_unknown"),
    ] {
        refused(scene.sql(&format!("SELECT jobforge_{call}")), word)?;
    }
    // A process's id is not for SQL: it would keep a dead process alive.
    scene.sql(
        "INSERT INTO jobforge_workers (id, hostname, pid, queues, slots, state, lease_ms, granted_ms, started_at, last_heartbeat_at, lease_expires_at)
         VALUES ('worker-0000b001', 'h', 4711, '{default}', 1, 'live', 20000, 20000, now(), now(), now() + interval '20 s')",
    )?;
    refused(scene.sql("SELECT jobforge_claim_jobs('worker-0000b001')"), "worker_id_taken")?;
    Ok(())
}

#[tokio::test]
async fn many_workers_at_once_get_each_job_once() -> Result<()> {
    let scene = scene().await?;
    scene.sql("SELECT jobforge_enqueue_job('acme', 't', '{}') FROM generate_series(1, 200)")?;
    let url = scene.database.url();
    let claimers: Vec<_> = (0..4)
        .map(|n| {
            let url = url.clone();
            std::thread::spawn(move || {
                testkit::postgres::psql(
                    &url,
                    &format!("SELECT id FROM jobforge_claim_jobs('worker-{n:08}', 7);\n").repeat(12),
                )
            })
        })
        .collect();
    let mut ids = Vec::new();
    for claimer in claimers {
        let text = claimer.join().map_err(|_| anyhow::anyhow!("a claimer broke"))??;
        ids.extend(text.lines().map(str::to_owned));
    }
    ids.sort();
    let all = ids.len();
    ids.dedup();
    ensure!((all, ids.len()) == (200, 200), "{all} given, {} jobs", ids.len());
    Ok(())
}
