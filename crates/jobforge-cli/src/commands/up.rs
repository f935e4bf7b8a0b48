//! `jobforge up`: everything in one process.

use jobforge::OpenOptions;
use jobforge::Purpose;
use tokio_util::sync::CancellationToken;

use super::{Context, asked_to_stop, demo, serve, work};
use crate::cli::UpArgs;
use crate::failure::Failure;
use crate::output;

pub(crate) async fn run(context: Context, args: &UpArgs) -> Result<(), Failure> {
    // The first run should need nothing: here, and only here, PostgreSQL is migrated on the way, too.
    OpenOptions::from_settings(&context.settings, Purpose::Visit, true)
        .open_unverified()
        .await?
        .migrate()
        .await?;
    let store = context.own().await?;
    let stop = CancellationToken::new();
    let (address, mut tasks) = serve::start(&context, &store, &stop).await?;
    let worker = work::start(&context.settings, &store, true).await?;
    greet(&context, store.location(), &address.to_string(), worker.id().as_str());
    let outcome = if args.demo {
        let shown = tokio::select! {
            shown = demo::run(&store) => shown,
            _ = asked_to_stop() => Ok(()),
        };
        match (shown, args.once) {
            (Ok(()), false) => asked_to_stop().await,
            (shown, _) => shown,
        }
    } else {
        asked_to_stop().await
    };
    work::stop(worker, &context.settings).await?;
    stop.cancel();
    while tasks.join_next().await.is_some() {}
    outcome
}

fn greet(context: &Context, location: &str, address: &str, worker: &str) {
    let data = if context.settings.text("database_url").is_empty() {
        String::new()
    } else {
        " --database-url \"$DATABASE_URL\"".to_owned()
    };
    let data = match (data.is_empty(), context.settings.text("data_dir")) {
        (true, "./.jobforge") | (false, _) => data,
        (true, directory) => format!(" --data-dir {directory}"),
    };
    output::note(&format!("{} is up", output::bold("JobForge")));
    output::note(&format!("  database  {location}"));
    output::note(&format!("  server    http://{address}"));
    output::note(&format!("  worker    {worker}, queues {}", context.settings.text("queues")));
    output::note("try, in another terminal:");
    let jobforge = output::program();
    for (why, what) in [
        ("run a program", format!("{jobforge} job enqueue exec '{{\"argv\": [\"date\"]}}' --wait{data}")),
        ("see the jobs", format!("{jobforge} job list{data}")),
        ("ask about one", format!("{jobforge} job explain JOB{data}")),
    ] {
        output::note(&format!("  {why:<13} {}", output::command(&what)));
    }
    output::note("stop with Ctrl-C");
}
