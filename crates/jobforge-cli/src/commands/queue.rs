//! `jobforge queue`: looking at, pausing and resuming queues.

use jobforge::core::enqueue::check_name;
use jobforge::core::time::{Now, since, words};

use super::Context;
use crate::cli::QueueCommand;
use crate::failure::Failure;
use crate::output;

pub(crate) async fn run(context: Context, command: QueueCommand) -> Result<(), Failure> {
    match command {
        QueueCommand::List => list(&context).await,
        QueueCommand::Pause { queue } => pause(&context, &queue, true).await,
        QueueCommand::Resume { queue } => pause(&context, &queue, false).await,
    }
}

async fn list(context: &Context) -> Result<(), Failure> {
    let client = context.visit().await?;
    let queues = client.store().queues(Now::Database).await?;
    if context.json {
        return output::json(&queues);
    }
    if queues.is_empty() {
        output::note("no queue has jobs or workers; enqueue something with `jobforge job enqueue`");
        return Ok(());
    }
    let now = client.store().now().await?;
    let rows = queues
        .iter()
        .map(|queue| {
            vec![
                queue.name.clone(),
                capped(queue.ready),
                capped(queue.scheduled),
                capped(queue.running),
                queue.oldest_ready_at.map_or_else(|| "-".to_owned(), |at| words(since(now, at))),
                queue.paused_at.map_or_else(
                    || "active".to_owned(),
                    |at| format!("paused since {}", words(since(now, at))),
                ),
            ]
        })
        .collect();
    output::table(&["queue", "ready", "scheduled", "running", "oldest waits", "state"], &[1, 2, 3], rows);
    Ok(())
}

/// A count that stops at a cap.
fn capped(count: u64) -> String {
    if count >= jobforge::store::rows::COUNT_CAP { format!("{count}+") } else { count.to_string() }
}

async fn pause(context: &Context, queue: &str, paused: bool) -> Result<(), Failure> {
    check_name(queue).map_err(|fault| Failure::usage(format!("queue {fault}")))?;
    let client = context.visit().await?;
    let changed = client.store().pause_queue(queue, paused, client.by(), Now::Database).await?;
    if context.json {
        return output::json(&serde_json::json!({ "queue": queue, "paused": paused, "changed": changed }));
    }
    match (paused, changed) {
        (true, true) => output::note(&format!(
            "queue {queue} is paused; running jobs go on. Resume it with `jobforge queue resume {queue}`"
        )),
        (false, true) => output::note(&format!("queue {queue} runs again")),
        (true, false) => output::note(&format!("queue {queue} was paused already")),
        (false, false) => output::note(&format!("queue {queue} was not paused")),
    }
    Ok(())
}
