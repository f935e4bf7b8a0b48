//! Enqueue, list, cancel and reschedule: what they do, and what they refuse.

use anyhow::ensure;
use jobforge_core::settle::RetryPolicy;
use testkit::Result;

use super::{refused, scene};

#[tokio::test]
async fn a_job_enqueued_by_sql_has_the_defaults_of_any_other_and_an_id_that_sorts_by_time() -> Result<()> {
    let scene = scene().await?;
    let first = scene.enqueue("acme", "mail")?;
    let second = scene.enqueue("acme", "mail")?;
    ensure!(first < second && first.as_bytes()[14] == b'7', "{first} {second}");
    let row = scene.field(&first, "tenant_id, type, payload, status, queue, max_attempts, created_by")?;
    ensure!(row == "acme|mail|{\"n\": 1}|queued|default|5|sql:postgres", "{row}");
    ensure!(scene.sql("SELECT count(*) FROM jobforge_ready")? == "2");
    Ok(())
}

#[tokio::test]
async fn a_key_is_one_job_whoever_enqueues_it_and_another_payload_is_refused() -> Result<()> {
    let scene = scene().await?;
    let put = |payload: &str| {
        scene.sql(&format!(
            "SELECT j ->> 'id', j ->> 'created' FROM jobforge_enqueue_job('acme', 't', '{payload}', 'k') j"
        ))
    };
    let first = put("{\"a\": 1, \"b\": 2}")?;
    let again = put("{\"b\": 2, \"a\": 1}")?;
    ensure!(first.replace("true", "false") == again && first.ends_with("|true"), "{first} {again}");
    refused(put("{\"a\": 2}"), "idempotency_conflict")?;
    // A uuid is one kind of tenant name.
    let uuid = "01890a5d-ac96-774b-bcce-b302099a8057";
    let by_uuid = scene
        .sql(&format!("SELECT jobforge_enqueue_job('{uuid}'::uuid, 't', '{{}}', 'k') ->> 'tenant_id'"))?;
    ensure!(by_uuid == uuid, "{by_uuid}");
    ensure!(scene.sql(&format!("SELECT count(*) FROM jobforge_list_jobs('{uuid}'::uuid)"))? == "1");
    Ok(())
}

#[tokio::test]
async fn what_no_worker_could_run_is_refused_with_the_way_out() -> Result<()> {
    let scene = scene().await?;
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    for (arguments, word) in [
        ("NULL, 't', '{}'", "bad_name"),
        ("'', 't', '{}'", "bad_name"),
        ("'acme', '', '{}'", "bad_name"),
        ("'acme', 'two words', '{}'", "bad_name"),
        ("'acme', NULL, '{}'", "bad_name"),
        ("'acme', 't', NULL", "body_empty"),
        ("'acme', 't', to_jsonb(repeat('x', 1048576))", "payload_too_large"),
        ("'acme', 't', '{\"n\": 1e100000}'", "number_out_of_range"),
        (&format!("'acme', 't', '{deep}'"), "too_deep"),
        ("'acme', 't', '{}', ''", "bad_idempotency_key"),
        ("'acme', 't', '{}', ' k'", "bad_idempotency_key"),
        ("'acme', 't', '{}', repeat('k', 256)", "bad_idempotency_key"),
        ("'acme', 't', '{}', 'k', 'infinity'", "time_out_of_range"),
        ("'acme', 't', '{}', 'k', '10000-01-01'", "time_out_of_range"),
        ("'acme', 't', '{}', 'k', now(), 0", "out_of_range"),
        ("'acme', 't', '{}', 'k', now(), 1000000000", "out_of_range"),
        ("'acme', 't', '{}', 'k', now(), NULL", "out_of_range"),
        ("'acme', 't', '{}', p_queue => ''", "bad_name"),
        ("'acme', 't', '{}', p_priority => 40000", "out_of_range"),
        ("'acme', 't', '{}', p_timeout_ms => 0", "out_of_range"),
        ("'acme', 't', '{}', p_tags => ARRAY['']", "bad_tag"),
        ("'acme', 't', '{}', p_tags => array_fill('t'::text, ARRAY[21])", "bad_tag"),
    ] {
        refused(scene.sql(&format!("SELECT jobforge_enqueue_job({arguments})")), word)?;
    }
    ensure!(scene.sql("SELECT count(*) FROM jobforge_jobs")? == "0");
    let as_deep_as_allowed = format!("{}{}", "[".repeat(64), "]".repeat(64));
    scene.sql(&format!("SELECT jobforge_enqueue_job('acme', 't', '{as_deep_as_allowed}')"))?;
    Ok(())
}

#[tokio::test]
async fn lists_are_filtered_by_words_or_arrays_and_a_misspelt_filter_is_refused() -> Result<()> {
    let scene = scene().await?;
    for _ in 0..3 {
        scene.enqueue("acme", "a")?;
    }
    let dead = scene.enqueue("acme", "b")?;
    scene.sql(&format!("UPDATE jobforge_jobs SET status = 'dead' WHERE id = '{dead}'"))?;
    for (filters, count) in [
        ("{}", "4"),
        ("{\"status\": \"dead\"}", "1"),
        ("{\"status\": [\"dead\", \"queued\"]}", "4"),
        ("{\"type\": \"a\", \"limit\": 2}", "2"),
        ("{\"offset\": 3}", "1"),
    ] {
        let got = scene.sql(&format!("SELECT count(*) FROM jobforge_list_jobs('acme', '{filters}')"))?;
        ensure!(got == count, "{filters}: {got}");
    }
    ensure!(scene.sql("SELECT count(*) FROM jobforge_list_jobs('acme')")? == "4");
    ensure!(
        scene.sql("SELECT id FROM jobforge_list_jobs('acme', '{\"limit\": 1}')")? == dead,
        "newest first"
    );
    for (filters, word) in [
        ("{\"state\": \"dead\"}", "unknown_field"),
        ("{\"status\": \"done\"}", "bad_status"),
        ("{\"limit\": -1}", "out_of_range"),
        ("{\"limit\": 1001}", "out_of_range"),
        ("{\"limit\": \"5\"}", "wrong_type"),
        ("{\"offset\": -1}", "out_of_range"),
        ("[]", "wrong_type"),
    ] {
        refused(scene.sql(&format!("SELECT jobforge_list_jobs('acme', '{filters}')")), word)?;
    }
    refused(scene.sql("SELECT jobforge_list_jobs(NULL::text)"), "bad_name")?;
    Ok(())
}

#[tokio::test]
async fn a_dead_job_that_is_rescheduled_starts_afresh_and_keeps_its_history() -> Result<()> {
    let scene = scene().await?;
    let tenant = "01890a5d-ac96-774b-bcce-b302099a8057";
    let id = scene.sql(&format!(
        "SELECT jobforge_enqueue_job('{tenant}', 't', '{{}}', p_max_attempts => 1) ->> 'id'"
    ))?;
    let (_, lease) = scene.claim("worker-00000001")?;
    scene.sql(&format!("SELECT jobforge_complete_job('{id}', 'worker-00000001', 'failed', '{{\"message\": \"boom\"}}', p_lease => {lease})"))?;
    ensure!(scene.field(&id, "status, attempts, error ->> 'message'")? == "dead|1|boom");
    // Word for word as the runbook has it.
    scene.sql(&format!(
        "SELECT jobforge_reschedule_job(\n  '{id}'::uuid,\n  '{tenant}'::uuid,\n  NOW()\n);"
    ))?;
    let row = scene.field(&id, "status, attempts, error IS NULL, finished_at IS NULL, misses, lease > 1")?;
    ensure!(row == "queued|0|t|t|0|t", "{row}");
    ensure!(scene.sql("SELECT outcome FROM jobforge_job_attempts")? == "dead");
    let (again, _) = scene.claim("worker-00000001")?;
    ensure!(again == id && scene.field(&id, "attempts")? == "1");
    refused(
        scene.sql(&format!("SELECT jobforge_reschedule_job('{id}', '{tenant}', NOW())")),
        "invalid_transition",
    )?;
    refused(scene.sql(&format!("SELECT jobforge_reschedule_job('{id}', 'acme', NOW())")), "job_not_found")?;
    refused(
        scene.sql(&format!("SELECT jobforge_reschedule_job('{id}', '{tenant}', 'infinity')")),
        "time_out_of_range",
    )?;
    Ok(())
}

#[tokio::test]
async fn a_canceled_job_stays_canceled_whatever_its_worker_says() -> Result<()> {
    let scene = scene().await?;
    let id = scene.enqueue("acme", "t")?;
    let (_, lease) = scene.claim("worker-00000001")?;
    let cancel = format!("SELECT jobforge_cancel_job('{id}', 'acme') ->> 'was'");
    ensure!(scene.sql(&cancel)? == "running");
    let complete =
        format!("SELECT jobforge_complete_job('{id}', 'worker-00000001', 'succeeded', p_lease => {lease})");
    refused(scene.sql(&complete), "job_canceled")?;
    refused(scene.sql(&format!("SELECT jobforge_heartbeat_job('{id}', 'worker-00000001')")), "job_canceled")?;
    ensure!(scene.sql(&cancel)? == "canceled", "a second cancel changes nothing");
    ensure!(scene.field(&id, "status, finished_at IS NOT NULL, locked_by IS NULL")? == "canceled|t|t");
    ensure!(scene.sql("SELECT outcome FROM jobforge_job_attempts")? == "canceled");
    let done = scene.enqueue("acme", "t")?;
    scene.sql(&format!("UPDATE jobforge_jobs SET status = 'failed' WHERE id = '{done}'"))?;
    refused(scene.sql(&format!("SELECT jobforge_cancel_job('{done}', 'acme')")), "invalid_transition")?;
    refused(scene.sql("SELECT jobforge_cancel_job(gen_random_uuid(), 'acme')"), "job_not_found")?;
    refused(scene.sql("SELECT jobforge_cancel_job(NULL, 'acme')"), "job_not_found")?;
    Ok(())
}

#[tokio::test]
async fn the_wait_after_a_failure_is_the_one_that_the_core_decides() -> Result<()> {
    let scene = scene().await?;
    let own = RetryPolicy { base_ms: 250, factor: 1.5, max_ms: 60_000, jitter: 0.5 };
    let flat = RetryPolicy { base_ms: 0, factor: 1.0, max_ms: 10, jitter: 1.0 };
    for policy in [RetryPolicy::default(), own, flat] {
        for attempt in [1, 2, 3, 12, 13, 32, 1000, 2_000_000_000] {
            for random in [0.0, 0.5, 1.0] {
                let policy_json = serde_json::to_string(&policy)?;
                let wait = scene.sql(&format!(
                    "SELECT round(extract(epoch FROM jobforge_backoff('{policy_json}', {attempt}, {random})) * 1000)"
                ))?;
                let core = policy.delay(attempt, random).as_millis();
                ensure!(
                    wait.parse::<u128>()?.abs_diff(core) <= 1,
                    "{policy:?} {attempt} {random}: {wait} and {core}"
                );
            }
        }
    }
    Ok(())
}
