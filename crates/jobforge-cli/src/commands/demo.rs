//! `jobforge up --demo`: a few jobs of different kinds, followed to their ends.

use std::sync::Arc;
use std::time::Duration;

use jobforge::Client;
use jobforge::core::counted::counted;
use jobforge::core::enqueue::JobRequest;
use jobforge::core::job::JobId;
use jobforge::core::payload::Payload;
use jobforge::core::settle::RetryPolicy;
use jobforge::core::standing::Rules;
use jobforge::core::state::Status;
use jobforge::core::time::{since, words};
use jobforge::store::Store;
use serde_json::json;

use crate::commands::job_follow::print_standing;
use crate::failure::{self, Failure};
use crate::output;

/// The demo is over after this time at the latest.
const AT_MOST: Duration = Duration::from_secs(60);
/// Between two looks at the jobs.
const LOOK_EVERY: Duration = Duration::from_millis(200);

struct Shown {
    id: JobId,
    what: &'static str,
    told: String,
}

pub(crate) async fn run(store: &Arc<dyn Store>) -> Result<(), Failure> {
    let client = Client::new(Arc::clone(store)).author("demo");
    output::note("");
    output::note(&output::bold("a few jobs to look at"));
    let mut shown = Vec::new();
    for (what, request) in jobs()? {
        let receipt = client.enqueue_untyped(request).await?;
        shown.push(Shown { id: receipt.id, what, told: String::new() });
    }
    let began = jobforge::clock::monotonic();
    loop {
        let mut open = 0;
        for one in &mut shown {
            open += usize::from(!look(&client, one).await?);
        }
        if open == 0 {
            break;
        }
        if jobforge::clock::monotonic().duration_since(began) > AT_MOST {
            return Err(Failure::new(
                failure::TIMED_OUT,
                format!(
                    "{} of the demo {} not ended",
                    counted(open, "job"),
                    if open == 1 { "has" } else { "have" }
                ),
            ));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    close(&client, &shown).await
}

/// Prints what is new about a job; says whether it has ended.
async fn look(client: &Client, one: &mut Shown) -> Result<bool, Failure> {
    let job = client.job(one.id).await?;
    let now = client.store().now().await?;
    let text = match job.status {
        Status::Queued if job.attempts > 0 => {
            let error = job.error.as_ref().map(|error| error.message.clone()).unwrap_or_default();
            format!(
                "failed ({}), tries again in {}",
                first_line(&error),
                words(Duration::from_secs(since(job.run_at, now).as_secs() + 1))
            )
        }
        Status::Queued if job.run_at > now => "waits for its time".to_owned(),
        Status::Queued => "waits for a slot".to_owned(),
        Status::Running => {
            let percent = job.progress.percent.map(|percent| format!(" {percent} %")).unwrap_or_default();
            let message = job.progress.message.map(|message| format!(" {message}")).unwrap_or_default();
            format!("runs{percent}{message}")
        }
        Status::Succeeded => format!("succeeded at attempt {}", job.attempts),
        Status::Failed | Status::Dead | Status::Canceled => {
            let error = job
                .error
                .as_ref()
                .map(|error| format!(": {}", first_line(&error.message)))
                .unwrap_or_default();
            format!("is {}{error}", job.status)
        }
    };
    // A countdown would print the same news again and again.
    let news = text.split(", tries again").next().unwrap_or_default().to_owned();
    if news != one.told {
        output::note(&format!("  {:<34} {}", one.what, output::printable(&text)));
        one.told = news;
    }
    Ok(job.status.is_terminal())
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(70).collect()
}

async fn close(client: &Client, shown: &[Shown]) -> Result<(), Failure> {
    output::note("");
    let Some(failed) = shown.iter().find(|one| one.what == FAILS) else { return Ok(()) };
    output::note(&output::bold("and what the one that failed says of itself (jobforge job explain)"));
    print_standing(failed.id, &client.explain(failed.id, &Rules::default()).await?);
    output::note("");
    let jobforge = output::program();
    output::note("look further, in another terminal:");
    output::note(&format!("  {}", output::command(&format!("{jobforge} job list"))));
    output::note(&format!("  {}", output::command(&format!("{jobforge} job show {}", shown[1].id))));
    Ok(())
}

const FAILS: &str = "a program that does not exist";

fn jobs() -> Result<Vec<(&'static str, JobRequest)>, Failure> {
    let shell = |script: &str| json!({ "argv": ["sh", "-c", script] });
    let steps = "for i in 25 50 75 100; do echo \"::progress $i step $i\"; echo \"did step $i\"; sleep 0.6; done; echo '::result {\"steps\": 4}'";
    let flaky = "if [ \"$JOB_ATTEMPT\" = 1 ]; then echo 'the first try always fails' >&2; exit 1; fi; echo 'the second works'";
    let quick = RetryPolicy { base_ms: 1500, ..RetryPolicy::default() };
    [
        ("a program with progress", "exec", shell(steps), JobRequest::default()),
        (
            "a program that fails once",
            "exec",
            shell(flaky),
            JobRequest { retry: Some(quick), ..JobRequest::default() },
        ),
        (
            "a job for two seconds from now",
            "exec",
            shell("date"),
            JobRequest { delay_ms: Some(2000), ..JobRequest::default() },
        ),
        (
            "the nightly cleanup",
            "system.cleanup.old_jobs",
            json!({ "days_to_keep": 30 }),
            JobRequest::default(),
        ),
        (FAILS, "exec", json!({ "argv": ["no-such-program"] }), JobRequest::default()),
    ]
    .into_iter()
    .map(|(what, job_type, payload, request)| {
        let payload = Payload::from_value(&payload)
            .map_err(|error| Failure::new(failure::FAILED, error.to_string()))?;
        Ok((
            what,
            JobRequest {
                job_type: job_type.to_owned(),
                payload: Some(payload),
                tags: vec!["demo".to_owned()],
                ..request
            },
        ))
    })
    .collect()
}
