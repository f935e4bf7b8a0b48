//! `jobforge worker`: looking at workers and telling them to restart.

use jobforge::core::job::WorkerId;
use jobforge::core::time::{Now, since, words};
use jobforge::core::worker::WorkerRow;
use jobforge::store::rows::RestartTold;
use jobforge_api::WorkerView;
use serde_json::json;

use super::Context;
use crate::cli::WorkerCommand;
use crate::failure::{self, Failure};
use crate::output;

pub(crate) async fn run(context: Context, command: WorkerCommand) -> Result<(), Failure> {
    match command {
        WorkerCommand::List { active } => list(&context, active).await,
        WorkerCommand::Restart { worker, .. } => restart(&context, worker.map(WorkerId)).await,
    }
}

async fn list(context: &Context, only_active: bool) -> Result<(), Failure> {
    let client = context.visit().await?;
    let mut workers = client.store().workers(Now::Database).await?;
    workers.retain(|worker| !only_active || worker.state.is_active());
    if context.json {
        let views: Vec<WorkerView> = workers.into_iter().map(WorkerView::from).collect();
        return output::json(&views);
    }
    if workers.is_empty() {
        output::note("no worker is there; start one with `jobforge work`");
        return Ok(());
    }
    let now = client.store().now().await?;
    let rows = workers
        .iter()
        .map(|worker| {
            vec![
                worker.id.to_string(),
                worker.name.clone().unwrap_or_else(|| "-".to_owned()),
                format!("{}:{}", worker.hostname, worker.pid),
                state(worker),
                worker.slots.to_string(),
                worker.queues.join(","),
                words(since(now, worker.started_at)),
                words(since(now, worker.last_heartbeat_at)),
            ]
        })
        .collect();
    output::table(&["worker", "name", "process", "state", "slots", "queues", "began", "heard"], &[4], rows);
    Ok(())
}

fn state(worker: &WorkerRow) -> String {
    let state = worker.state.as_str();
    if worker.state.is_active() && worker.restart_at.is_some() {
        return format!("{state}, restarts");
    }
    state.to_owned()
}

/// Tells one worker, or every active one, to restart.
async fn restart(context: &Context, worker: Option<WorkerId>) -> Result<(), Failure> {
    let client = context.visit().await?;
    let store = client.store();
    let is_one = worker.is_some();
    let workers = match worker {
        Some(worker) => vec![worker],
        None => {
            let rows = store.workers(Now::Database).await?;
            rows.into_iter().filter(|row| row.state.is_active()).map(|row| row.id).collect()
        }
    };
    let answers = store.restart_workers(&workers, client.by(), Now::Database).await?;
    let told: Vec<_> = workers.iter().zip(answers).collect();
    if context.json {
        let view = |(worker, answer): &(&WorkerId, RestartTold)| {
            let restarts = matches!(answer, RestartTold::Told | RestartTold::ToldBefore);
            json!({ "worker": worker, "restarts": restarts, "answer": words_of(*answer) })
        };
        output::json(&told.iter().map(view).collect::<Vec<_>>())?;
    } else {
        for (worker, answer) in &told {
            output::note(&format!("worker {worker} {}", words_of(*answer)));
        }
        if told.is_empty() {
            output::note("no worker is active, so none was told to restart");
        }
    }
    match told.first() {
        Some((worker, RestartTold::Gone)) if is_one => {
            let failure = Failure::new(failure::NOT_FOUND, format!("no worker {worker} is active"));
            Err(failure.hint("list them with `jobforge worker list --active`"))
        }
        Some((worker, RestartTold::NoProcess)) if is_one => Err(Failure::new(
            failure::CONFLICT,
            format!("worker {worker} speaks SQL; it has no process that could be told to restart"),
        )),
        _ => Ok(()),
    }
}

fn words_of(answer: RestartTold) -> &'static str {
    match answer {
        RestartTold::Told => "is told to restart; it takes no more jobs and finishes what it has",
        RestartTold::ToldBefore => "was told to restart before and still finishes what it has",
        RestartTold::NoProcess => "speaks SQL; it has no process that could be told",
        RestartTold::Gone => "is not active",
    }
}
