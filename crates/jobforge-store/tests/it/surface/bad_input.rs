//! Bad input over SQL: each call is refused with its SQLSTATE, word and way out, and changes nothing.
//!
//! What PostgreSQL itself refuses before a function of ours is called keeps PostgreSQL's own SQLSTATE.

use anyhow::ensure;
use jobforge_core::job::WorkerId;
use jobforge_core::time::Now;
use jobforge_store::rows::JobFilter;
use testkit::Result;

use super::bad_calls::{RAW, ROWS, Row};
use super::{Scene, scene};

/// A database with a waiting, a running and an ended job, and a function that prints all that is stored.
struct Setting {
    scene: Scene,
    job: String,
    running: String,
    done: String,
}

async fn setting() -> Result<Setting> {
    let scene = scene().await?;
    let done = scene.enqueue("acme", "t")?;
    let running = scene.enqueue("acme", "t")?;
    scene.sql(&format!(
        "SELECT jobforge_claim_jobs('worker-own', 2, p_lease_seconds => 3600);
         SELECT jobforge_complete_job('{done}', 'worker-own', 'succeeded');
         INSERT INTO jobforge_workers (id, hostname, pid, queues, slots, state, lease_ms, granted_ms, started_at, last_heartbeat_at, lease_expires_at)
         VALUES ('worker-product', 'host', 7, '{{default}}', 1, 'live', 3600000, 3600000, now(), now(), now() + interval '1 hour');"
    ))?;
    let job = scene.enqueue("acme", "t")?;
    scene.sql(super::CONTENT)?;
    Ok(Setting { scene, job, running, done })
}

impl Setting {
    /// `before` is all that is stored, now as well as afterwards.
    fn check(&self, row: &Row, statement: &str, before: &str) -> Result<()> {
        let statement = [(":job", &self.job), (":running", &self.running), (":done", &self.done)]
            .iter()
            .fold(statement.to_owned(), |text, (name, id)| text.replace(name, &format!("'{id}'")));
        let told = match self.scene.sql(&format!("\\set VERBOSITY verbose\n{statement}")) {
            Ok(answer) => anyhow::bail!("{}: it was allowed, and answered {answer:?}", row.name),
            Err(error) => format!("{error:#}"),
        };
        ensure!(
            told.contains(&format!("ERROR:  {}: ", row.state)),
            "{}: not {}: {told}",
            row.name,
            row.state
        );
        if row.state.starts_with("JF") {
            ensure!(told.contains(&format!("DETAIL:  code: {}\n", row.says)), "{}: {told}", row.name);
            ensure!(told.contains("HINT:  "), "{}: no way out: {told}", row.name);
        } else {
            ensure!(told.contains(row.says), "{}: does not say {}: {told}", row.name, row.says);
        }
        ensure!(told.len() < 3000, "{}: repeats {} bytes", row.name, told.len());
        ensure!(self.scene.sql("SELECT content()")? == before, "{}: something was changed", row.name);
        Ok(())
    }
}

#[tokio::test]
async fn each_bad_call_is_refused_with_its_word_and_changes_nothing() -> Result<()> {
    let setting = setting().await?;
    let before = setting.scene.sql("SELECT content()")?;
    let calls = ROWS.iter().map(|row| (row, format!("SELECT jobforge_{}", row.call)));
    let all = calls.chain(RAW.iter().map(|row| (row, row.call.to_owned())));
    let faults: Vec<String> = all
        .filter_map(|(row, call)| Some(format!("{:#}", setting.check(row, &call, &before).err()?)))
        .collect();
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

#[tokio::test]
async fn whatever_a_sql_worker_reports_is_kept_in_a_form_that_everybody_can_read() -> Result<()> {
    let scene = scene().await?;
    let deep = "(repeat('[', 3000) || '1' || repeat(']', 3000))::jsonb";
    for (report, status, error) in [
        (format!("'failed', jsonb_build_object('message', 'm', 'retryable', false, 'details', {deep})"), "failed", "m"),
        ("'failed', '{\"message\": \"m\", \"retryable\": false, \"n\": 1e100000}'".to_owned(), "failed", "m"),
        ("'failed', jsonb_build_object('kind', repeat('k', 100000), 'message', repeat('m', 100000), 'retryable', false)".to_owned(), "failed", "mm"),
        ("'failed', '[1, 2]'".to_owned(), "dead", "without a message"),
        ("'failed', '5'".to_owned(), "dead", "without a message"),
        (format!("'succeeded', NULL, {deep}"), "failed", "nested"),
        ("'succeeded', NULL, '{\"n\": 1e100000}'".to_owned(), "failed", "number"),
    ] {
        let id = scene.sql("SELECT jobforge_enqueue_job('acme', 't', p_max_attempts => 1) ->> 'id'")?;
        scene.claim("worker-own")?;
        scene.sql(&format!("SELECT jobforge_complete_job('{id}', 'worker-own', {report})"))?;
        let job = scene.store.job_detail(id.parse()?).await?.expect("the job").job;
        ensure!(job.status.as_str() == status, "{report}: {job:?}");
        let told = job.error.expect("an error");
        ensure!(told.message.contains(error) && told.message.len() <= 4000, "{report}: {told:?}");
        ensure!(told.kind != "unknown" && told.kind.len() <= 100, "{report}: {told:?}");
    }
    Ok(())
}

#[tokio::test]
async fn hostile_text_is_stored_and_given_back_as_it_is() -> Result<()> {
    let scene = scene().await?;
    for text in super::HOSTILE {
        let payload = serde_json::json!({ "text": text, *text: 1 }).to_string();
        // Also from long before there were computers.
        let id = scene.sql(&format!(
            "SELECT jobforge_enqueue_job('acme', 't', $jf${payload}$jf$, p_run_at => '4000-01-01 BC') ->> 'id'"
        ))?;
        let listed =
            scene.sql(&format!("SELECT payload FROM jobforge_list_jobs('acme') WHERE id = '{id}'"))?;
        let (kept, sent): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(&listed)?, serde_json::from_str(&payload)?);
        ensure!(kept == sent, "{kept} instead of {sent}");
    }
    let all = JobFilter { limit: 100, ..JobFilter::default() };
    ensure!(scene.store.jobs(&all).await?.len() == super::HOSTILE.len());
    // Whoever reads workers reads those that came by SQL as well.
    scene.sql("SELECT jobforge_claim_jobs('worker-sql', 100, ARRAY['default', 'a.b'], ARRAY['t'])")?;
    let workers = scene.store.workers(Now::Database).await?;
    ensure!(workers.iter().any(|worker| worker.id == WorkerId("worker-sql".to_owned())));
    Ok(())
}
