//! `background-jobs`: six scheduled jobs over a small PostgreSQL application.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use background_jobs::outside::{Manners, Outside};
use background_jobs::{Db, worker};
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;
use tracing_subscriber::EnvFilter;

/// How long running jobs get to finish when the worker is asked to stop.
const STOP_GRACE: Duration = Duration::from_secs(30);

/// Scores, sync, reputation, webhooks and embeddings of a small application, as scheduled jobs
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create the application's tables where they are missing
    Setup(Database),
    /// Work on the six jobs and on deliveries until interrupted
    Work(Work),
    /// Play what is outside: a feed of clips with a rate limit, and a receiver of webhooks that fails at first
    Outside(Play),
}

#[derive(Debug, Args)]
struct Database {
    /// Database of JobForge and the application, such as postgres://jobforge@localhost/jobforge
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
}

#[derive(Debug, Args)]
struct Work {
    #[command(flatten)]
    database: Database,
    /// Where clips come from
    #[arg(long, env = "CLIPS_URL")]
    clips_url: String,
    /// What the source of clips wants to see as a bearer token
    #[arg(long, env = "CLIPS_TOKEN", hide_env_values = true)]
    clips_token: Option<String>,
    /// Private addresses that webhooks may go to, such as 127.0.0.1:9000
    #[arg(long, env = "JOBFORGE_HTTP_ALLOW_PRIVATE", value_delimiter = ',')]
    allow_private: Vec<String>,
    /// Milliseconds of silence after which the worker counts as lost
    #[arg(long, env = "JOBFORGE_WORKER_LEASE_MS", value_parser = clap::value_parser!(u64).range(1000..=600_000))]
    lease_ms: Option<u64>,
}

#[derive(Debug, Args)]
struct Play {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// Clips to tell of
    #[arg(long, default_value_t = 2000)]
    clips: usize,
    /// Requests for clips in a second; more are answered with 429
    #[arg(long, default_value_t = 5)]
    requests_per_second: u32,
    /// Seconds that those are asked to wait
    #[arg(long, default_value_t = 1)]
    retry_after_s: u32,
    /// How often the receiver fails before it takes a webhook
    #[arg(long, default_value_t = 2)]
    fail_first: u32,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        log.with_target(false).compact().init();
    } else {
        log.json().flatten_event(true).init();
    }
    let done = match cli.command {
        Command::Setup(database) => set_up(&database).await,
        Command::Work(args) => work(args).await,
        Command::Outside(args) => play(&args).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody can be told when stderr is closed.
            let _closed = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn set_up(database: &Database) -> anyhow::Result<()> {
    Db::open(&database.database_url)?.set_up().await?;
    info!("the application's tables are there");
    Ok(())
}

async fn work(args: Work) -> anyhow::Result<()> {
    let settings = worker::Settings {
        database_url: args.database.database_url,
        clips_url: args.clips_url,
        clips_token: args.clips_token,
        allow_private: args.allow_private,
        lease: args.lease_ms.map(Duration::from_millis),
    };
    // Listened for before it is said, so that nobody who believes the line kills us.
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for signals")?;
    let worker = worker::builder(&settings).await?.start().await.context("failed to start the worker")?;
    info!(worker.id = %worker.id(), "worker {} takes jobs; stop with Ctrl-C", worker.id());
    tokio::select! {
        result = tokio::signal::ctrl_c() => result.context("failed to listen for signals")?,
        _ = terminate.recv() => {}
    }
    info!("stopping; running jobs may take {} s", STOP_GRACE.as_secs());
    worker.stop_gracefully(STOP_GRACE).await;
    Ok(())
}

async fn play(args: &Play) -> anyhow::Result<()> {
    let manners = Manners {
        requests_per_second: args.requests_per_second,
        retry_after_s: args.retry_after_s,
        fail_first: args.fail_first,
    };
    let outside = Outside::new(manners);
    outside.publish_samples(args.clips);
    let listener = tokio::net::TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("failed to listen on {}", args.listen))?;
    info!("clips at http://{0}/clips, webhooks to http://{0}/hooks/NAME", listener.local_addr()?);
    outside.serve(listener).await.context("failed to serve")
}
