//! Chores of the JobForge repository: `cargo xtask <chore>`.

#![expect(clippy::print_stdout, reason = "a chore talks to the person who started it")]
#![expect(clippy::print_stderr, reason = "a chore talks to the person who started it")]

mod api;
mod bench_peers;
mod bench_workers;
mod book;
mod ci;
mod deps;
mod openapi;
mod postgres;
mod python;
mod recording;
mod reference;
mod sdks;
mod sim;
mod stages;
mod test;
mod tidy;
mod ui;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};

/// Chores of the JobForge repository
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Check and test everything: the one command before a change is handed in
    Test(test::Options),
    /// Measure other queues and ours on the same server, interleaved
    BenchPeers(bench_peers::BenchPeersArgs),
    /// Measure our workers in Python and TypeScript beside those of other queues, interleaved
    BenchWorkers(bench_workers::BenchWorkersArgs),
    /// Do what `test` does, and check licences and advisories of our dependencies
    Ci,
    /// Install the programs that the tests need
    Deps,
    /// Check the house rules that need no compiler
    Tidy,
    /// Ask a real server everything that docs/openapi.json describes
    Api,
    /// Check and test the SDKs in other languages against the server of this build
    Sdks,
    /// Look at the dashboard of this build with a real browser
    Ui,
    /// Make the site of the documentation and check that everything in it leads somewhere
    Book,
    /// Record a terminal in which the program of this build runs, for the README
    Recording,
    /// Write the pages that are made from the program: settings, metrics, alerts, commands, API, errors, SQL
    Reference(reference::Options),
    /// List what breaks callers of the API since a revision
    Openapi(openapi::Options),
    /// Simulate workers, watchdogs and all that goes wrong between them
    Sim(sim::Options),
    /// Run a throw-away PostgreSQL and print its URL, until stdin ends or Ctrl-C
    Postgres,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().chore {
        Chore::Test(options) => test::run(&options),
        Chore::BenchPeers(args) => bench_peers::run(&args),
        Chore::BenchWorkers(args) => bench_workers::run(&args),
        Chore::Ci => ci::run(),
        Chore::Deps => deps::install(),
        Chore::Tidy => tidy::check(&repository()),
        Chore::Api => test::api(),
        Chore::Sdks => sdks::check().map(drop),
        Chore::Ui => test::ui(),
        Chore::Book => book::run(),
        Chore::Recording => recording::run(),
        Chore::Reference(options) => reference::run(&options),
        Chore::Openapi(options) => openapi::run(&options),
        Chore::Sim(options) => sim::run(&options),
        Chore::Postgres => postgres::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the root of the repository that this program was built from.
fn repository() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// Returns the path of a name in the directory of this program, which is that of the build.
fn beside_this_program(name: &str) -> Result<PathBuf> {
    Ok(std::env::current_exe().context("failed to find this program")?.with_file_name(name))
}

/// Builds the program and returns where it is, unless JOBFORGE_BIN names one.
fn this_build() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("JOBFORGE_BIN") {
        return Ok(PathBuf::from(named));
    }
    // As the tests build it, so that nothing is compiled twice.
    run(&mut command("cargo", &["test", "--quiet", "--workspace", "--no-run"]))?;
    beside_this_program("jobforge")
}

/// Returns a command that runs in the repository's root and never waits for a keyboard.
fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(repository()).stdin(Stdio::null());
    command
}

/// Runs a command to its end with its output shown. Fails with what to type to see the failure again.
fn run(command: &mut Command) -> Result<()> {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let line = words.join(" ");
    println!("$ {line}");
    let status = command.status().with_context(|| format!("failed to run {line}"))?;
    ensure!(status.success(), "`{line}` ended with {status}");
    Ok(())
}

/// Returns whether a command ends well. Shows nothing.
fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let status = command(program, arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
