//! `media-qc`: a media quality-control worker on JobForge.

mod check;
mod screen;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use jobforge::Client;
use media_qc::{Checks, Settings, worker};
use tracing::info;
use tracing_subscriber::EnvFilter;

/// How long running jobs get to finish when the worker is asked to stop.
const STOP_GRACE: Duration = Duration::from_secs(30);

/// The exit code when the command itself could not be carried out, as clap's own for bad arguments.
const NOT_DONE: u8 = 2;

/// Check video and audio files for black, silence, freezes, loudness and damage
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Work on media.qc jobs until interrupted
    Work(Work),
    /// Check files now and print what was found; exit code 1 when one does not pass
    Check(Check),
}

#[derive(Debug, Args)]
struct Work {
    /// Database to take jobs from, such as sqlite:///var/lib/jobforge.db or postgres://…
    #[arg(long, env = "JOBFORGE_DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// Files to work on at a time
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    slots: u16,
    /// Let jobs read only files below this directory
    #[arg(long)]
    media_root: Option<PathBuf>,
    /// Let URLs point at private and loopback addresses
    #[arg(long)]
    allow_private_hosts: bool,
    #[command(flatten)]
    limits: Limits,
}

#[derive(Debug, Args)]
struct Check {
    /// Files or http(s) URLs
    #[arg(required = true, value_name = "FILE_OR_URL")]
    sources: Vec<String>,
    /// Database to go through [default: a temporary one]
    #[arg(long)]
    database_url: Option<String>,
    /// Files to work on at a time
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    slots: u16,
    /// Limits as JSON, such as '{"max_black_s": 1, "loudness_target_lufs": -23}'
    #[arg(long, value_name = "JSON")]
    checks: Option<String>,
    /// Attempts per file when the network or the machine is in the way
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    attempts: u32,
    /// Seconds to wait for each file, all attempts included
    #[arg(long, default_value_t = 3600)]
    wait_s: u64,
    /// Print one JSON object per file
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    limits: Limits,
}

#[derive(Debug, Args)]
struct Limits {
    /// Largest download in MiB
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    max_download_mib: u64,
    /// Seconds without progress after which ffmpeg counts as hung
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    stall_timeout_s: u64,
    /// Directory for downloads while they are examined
    #[arg(long)]
    temp_dir: Option<PathBuf>,
}

impl Limits {
    fn settings(self) -> Settings {
        Settings {
            download_limit_bytes: self.max_download_mib * 1024 * 1024,
            stall_timeout: Duration::from_secs(self.stall_timeout_s),
            temp_dir: self.temp_dir,
            ..Settings::default()
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Work(args) => {
            speak("info");
            work(args).await.map(|()| true)
        }
        Command::Check(args) => {
            speak("warn");
            check(args).await
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Nobody can be told when stderr is closed.
            let _closed = writeln!(anstream::stderr(), "error: {error:#}");
            ExitCode::from(NOT_DONE)
        }
    }
}

fn speak(level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}

async fn work(args: Work) -> anyhow::Result<()> {
    let settings = Settings {
        media_root: args.media_root,
        private_hosts: args.allow_private_hosts,
        ..args.limits.settings()
    };
    let client = Client::open(&args.database_url).await.context("failed to open the database")?;
    let worker =
        worker::builder(&client, settings, usize::from(args.slots)).register(worker::handle).start().await?;
    info!(queue = worker::QUEUE, slots = args.slots, "Waiting for media.qc jobs; stop with ctrl-c");
    interrupted().await?;
    info!(grace_s = STOP_GRACE.as_secs(), "Stopping; running jobs may finish first");
    worker.stop_gracefully(STOP_GRACE).await;
    Ok(())
}

async fn check(args: Check) -> anyhow::Result<bool> {
    let checks = match &args.checks {
        Some(json) => serde_json::from_str(json).context("--checks is not understood")?,
        None => Checks::default(),
    };
    // Whoever runs this command could fetch the same addresses and read the same files without it.
    let settings = Settings { private_hosts: true, ..args.limits.settings() };
    let request = check::Request {
        sources: args.sources,
        checks,
        database_url: args.database_url,
        slots: usize::from(args.slots),
        attempts: args.attempts,
        wait: Duration::from_secs(args.wait_s),
        json: args.json,
    };
    check::run(request, settings).await
}

async fn interrupted() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for signals")?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result.context("failed to listen for signals")?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
