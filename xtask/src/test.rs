//! `cargo xtask test`: everything that has to be right before a change is handed in.

use std::num::NonZero;
use std::thread::available_parallelism;

use anyhow::Result;
use testkit::postgres::{Cluster, ClusterOptions, SHARED_SERVER_VARIABLE};

use crate::stages::{self, Outcome, Run, Stage};
use crate::{
    api, book, command, deps, openapi, python, repository, run as run_command, sdks, succeeds, tidy, ui,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Leave out the documentation, its examples, the features `otlp` and `s3`, the SDKs, the browser, deploy/, and asking
    /// servers all that is described
    #[arg(long)]
    fast: bool,
}

/// Cheap and often wrong comes first.
pub(crate) const STAGES: [Stage; 15] = [
    Stage { name: "tidy", run: |_| passed(tidy::check(&repository())) },
    Stage { name: "format", run: |_| cargo(&["fmt", "--all", "--check"]) },
    Stage { name: "api changes", run: |_| openapi::check() },
    Stage { name: "deps", run: |_| passed(deps::install()) },
    Stage { name: "clippy", run: |_| clippy() },
    POSTGRES,
    Stage { name: "tests", run: tests },
    Stage { name: "api", run: |run| api::check(run, api::SEED) },
    Stage { name: "sdks", run: |_| sdks::check() },
    UI,
    Stage { name: "features", run: |_| features() },
    Stage { name: "deploy", run: |_| passed(run_command(&mut command("deploy/check", &[]))) },
    Stage { name: "book", run: book::check },
    Stage { name: "docs", run: |_| docs() },
    Stage { name: "doc tests", run: doc_tests },
];

const UI: Stage = Stage { name: "ui", run: |run| ui::check(run) };

pub(crate) const POSTGRES: Stage = Stage { name: "postgres", run: start_postgres };

const NOT_FAST: [&str; 8] = ["api", "sdks", "ui", "features", "deploy", "book", "docs", "doc tests"];

pub(crate) fn run(options: &Options) -> Result<()> {
    let wanted = |stage: &&Stage| !(options.fast && NOT_FAST.contains(&stage.name));
    let stages: Vec<Stage> = STAGES.iter().filter(wanted).copied().collect();
    stages::run(&stages)?;
    if options.fast {
        println!("left out by --fast: {}", NOT_FAST.join(", "));
    }
    Ok(())
}

/// Asks a server everything that is described.
pub(crate) fn api() -> Result<()> {
    stages::run(&[POSTGRES, Stage { name: "api", run: |run| api::check(run, &api::any_seed()) }])
}

/// Looks at the dashboard with a browser.
pub(crate) fn ui() -> Result<()> {
    stages::run(&[POSTGRES, UI])
}

/// Starts the one server that every test of the run creates its databases on.
fn start_postgres(run: &mut Run) -> Result<Outcome> {
    let cluster = Cluster::start(&ClusterOptions::default())?;
    println!("{} at {}", cluster.psql("SELECT version()")?.trim(), cluster.server().url());
    run.cluster = Some(cluster);
    Ok(Outcome::Passed)
}

fn tests(run: &mut Run) -> Result<Outcome> {
    if succeeds("cargo", &["nextest", "--version"]) {
        return cargo_with_postgres(run, &["nextest", "run", "--workspace", "--profile", "ci"]);
    }
    println!("cargo-nextest is not installed: testing with cargo test");
    // Most tests wait for processes most of the time: one more than there are cores keeps these busy.
    let threads = available_parallelism().map_or(1, NonZero::get) + 1;
    let threads = format!("--test-threads={threads}");
    let test = ["test", "--workspace", "--all-targets", "--no-fail-fast", "--", &threads];
    cargo_with_postgres(run, &test)
}

/// Looks through all code, that of every feature included.
fn clippy() -> Result<Outcome> {
    let features = ["--features", "jobforge-cli/otlp,jobforge-cli/s3"];
    let lints = ["--", "--deny", "warnings"];
    let mut clippy = command("cargo", &["clippy", "--workspace", "--all-targets"]);
    passed(run_command(clippy.args(features).args(lints)))
}

/// The program as it is with every feature that it has.
fn features() -> Result<Outcome> {
    let build = ["--package", "jobforge-cli", "--features", "otlp,s3"];
    let moto = python::program("moto", "bin/moto_server")?;
    let tests = ["--test", "it", "--", "otlp", "s3::"];
    passed(run_command(command("cargo", &["test"]).args(build).args(tests).env("MOTO_SERVER", moto)))
}

fn doc_tests(run: &mut Run) -> Result<Outcome> {
    cargo_with_postgres(run, &["test", "--workspace", "--doc"])
}

fn docs() -> Result<Outcome> {
    let mut doc = command("cargo", &["doc", "--workspace", "--no-deps"]);
    passed(run_command(doc.env("RUSTDOCFLAGS", "--deny warnings --allow rustdoc::private_intra_doc_links")))
}

fn cargo_with_postgres(run: &Run, arguments: &[&str]) -> Result<Outcome> {
    let mut cargo = command("cargo", arguments);
    if let Some(cluster) = &run.cluster {
        cargo.env(SHARED_SERVER_VARIABLE, cluster.server().url());
    }
    passed(run_command(&mut cargo))
}

fn cargo(arguments: &[&str]) -> Result<Outcome> {
    passed(run_command(&mut command("cargo", arguments)))
}

fn passed(result: Result<()>) -> Result<Outcome> {
    result.map(|()| Outcome::Passed)
}
