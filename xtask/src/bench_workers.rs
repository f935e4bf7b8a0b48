//! `cargo xtask bench-workers`: one JobForge worker in Python and in TypeScript, over HTTP, beside one worker process of
//! other queues in these languages, in turn on one machine.
//!
//! What is measured, and why each queue is set up as it is, is told in `bench/peers/README.md`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use jobforge::process::cpu_time_with_children;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::postgres::{Cluster, ClusterOptions, Server, TestDatabase};

use crate::bench_peers::{
    DRAIN, Figures, SHARED_BUFFERS, aligned, cargo_build, cpu_time, dash, medians, npm_install, number,
    rounded, stdout_of,
};

const SERVER_CPU: &str = "server_cpu_us_per_job";
const DATABASE_CPU: &str = "database_cpu_us_per_job";
const WORKER_CPU: &str = "worker_cpu_us_per_job";

/// The columns of the table.
const COLUMNS: [(&str, &str); 4] = [
    (DRAIN, "drain/s"),
    (WORKER_CPU, "worker us/job"),
    (SERVER_CPU, "server us/job"),
    (DATABASE_CPU, "database us/job"),
];

/// Measure our workers in Python and TypeScript beside those of other queues
#[derive(Args, Debug)]
pub(crate) struct BenchWorkersArgs {
    /// How many jobs to drain in each round; procrastinate gets a tenth
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    jobs: u32,
    /// How often to measure each contestant; the table shows medians
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Measure these contestants only
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Contestant>,
    /// Write every round and the medians to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Contestant {
    #[value(name = "jobforge-typescript")]
    TypeScript,
    #[value(name = "jobforge-typescript-sqlite")]
    TypeScriptOnSqlite,
    GraphileWorker,
    PgBoss,
    /// Needs redis-server
    #[value(name = "bullmq")]
    BullMq,
    #[value(name = "jobforge-python")]
    Python,
    #[value(name = "jobforge-python-sqlite")]
    PythonOnSqlite,
    #[value(name = "pgqueuer")]
    PgQueuer,
    Procrastinate,
}

/// What a worker takes its jobs from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Store {
    Postgres,
    OurServer { sqlite: bool },
    Redis,
}

impl Contestant {
    fn store(self) -> Store {
        match self {
            Self::TypeScript | Self::Python => Store::OurServer { sqlite: false },
            Self::TypeScriptOnSqlite | Self::PythonOnSqlite => Store::OurServer { sqlite: true },
            Self::GraphileWorker | Self::PgBoss | Self::PgQueuer | Self::Procrastinate => Store::Postgres,
            Self::BullMq => Store::Redis,
        }
    }

    fn in_python(self) -> bool {
        matches!(self, Self::Python | Self::PythonOnSqlite | Self::PgQueuer | Self::Procrastinate)
    }

    /// The name by which the driver of its language knows it.
    fn peer(self) -> &'static str {
        match self {
            Self::TypeScript | Self::TypeScriptOnSqlite => "jobforge",
            Self::GraphileWorker => "graphile-worker",
            Self::PgBoss => "pg-boss",
            Self::BullMq => "bullmq",
            Self::Python | Self::PythonOnSqlite => "jobforge_sdk",
            Self::PgQueuer => "pgqueuer_peer",
            Self::Procrastinate => "procrastinate_peer",
        }
    }

    /// How many of the jobs it gets. One that takes a hundred times as long as the others gets a tenth.
    fn share(self, jobs: u32) -> u32 {
        if self == Self::Procrastinate { jobs.div_ceil(10) } else { jobs }
    }

    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Ours that it is held against: in the same language, on PostgreSQL.
    fn rival(self) -> Option<Self> {
        match self.store() {
            Store::OurServer { .. } => None,
            Store::Postgres | Store::Redis => {
                Some(if self.in_python() { Self::Python } else { Self::TypeScript })
            }
        }
    }
}

/// Measures all in turn, each round beginning with another one, and prints the medians.
pub(crate) fn run(args: &BenchWorkersArgs) -> Result<()> {
    let contestants = if args.only.is_empty() { Contestant::value_variants() } else { &args.only };
    let bench = Bench::prepare(contestants)?;
    let mut measured: Vec<(u32, Contestant, Figures)> = Vec::new();
    for round in 1..=args.rounds {
        let first = (round as usize - 1) % contestants.len();
        for each in contestants[first..].iter().chain(&contestants[..first]) {
            let name = each.name();
            eprintln!("Round {round} of {}: {name}", args.rounds);
            let figures = bench
                .measure(*each, args.jobs)
                .with_context(|| format!("failed to measure {name} in round {round}"))?;
            eprintln!("  {figures:.1?}");
            measured.push((round, *each, figures));
        }
    }
    let medians: Vec<(Contestant, Figures)> = contestants
        .iter()
        .map(|each| (*each, medians(measured.iter().filter(|(_, who, _)| who == each).map(|(_, _, f)| f))))
        .collect();
    print!("{}", table(&medians));
    if let Some(path) = &args.json {
        let line = |(round, who, figures): &(u32, Contestant, Figures)| json!({ "round": round, "who": who.name(), "figures": figures });
        let report = json!({ "jobs": args.jobs, "rounds": measured.iter().map(line).collect::<Vec<_>>() });
        fs::write(path, format!("{report:#}\n"))
            .with_context(|| format!("failed to write {}", path.display()))?;
    }
    Ok(())
}

/// Everything that is built and started once.
struct Bench {
    cluster: Cluster,
    jobforge: PathBuf,
    node: PathBuf,
    python: PathBuf,
}

impl Bench {
    fn prepare(contestants: &[Contestant]) -> Result<Self> {
        let root = crate::repository();
        let jobforge = cargo_build(&root, "jobforge-cli", "jobforge")?;
        let node = npm_install(&root.join("bench/peers/node"))?;
        if contestants.iter().any(|each| each.peer() == "jobforge") {
            eprintln!("Building the TypeScript SDK");
            let sdk = root.join("sdks/typescript");
            let install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
            stdout_of(Command::new("npm").args(install).current_dir(&sdk))?;
            stdout_of(Command::new("npm").args(["run", "--silent", "build"]).current_dir(&sdk))?;
        }
        let python = if contestants.iter().any(|each| each.in_python()) {
            python(&root, &jobforge)?
        } else {
            PathBuf::new()
        };
        eprintln!("Starting PostgreSQL");
        let cluster = Cluster::start(&ClusterOptions::for_benchmarks(SHARED_BUFFERS))?;
        Ok(Self { cluster, jobforge, node, python })
    }

    fn measure(&self, contestant: Contestant, jobs: u32) -> Result<Figures> {
        let jobs = contestant.share(jobs);
        let scene = Scene::set(self, contestant.store())?;
        let scenario = |scenario: &str| -> Result<Value> {
            let mut command = self.driver(contestant);
            let count = jobs.to_string();
            command.args([scenario, "--database-url", &scene.url, "--jobs", &count]).envs(scene.server_url());
            let printed = stdout_of(&mut command)?;
            serde_json::from_str(&printed).with_context(|| format!("{scenario} printed {printed:?}"))
        };
        scenario("setup")?;
        scenario("enqueue-bulk")?;
        if let Some(database) = &scene.database {
            database.psql("VACUUM ANALYZE; CHECKPOINT;")?;
        }
        let before = scene.cpu_times(self.cluster.server())?;
        let drained = scenario("drain")?;
        let after = scene.cpu_times(self.cluster.server())?;
        let mut figures = Figures::from([
            (DRAIN, number(&drained, "per_second")?),
            (WORKER_CPU, number(&drained, WORKER_CPU)?),
        ]);
        for (name, before, after) in
            [(SERVER_CPU, before.server, after.server), (DATABASE_CPU, before.database, after.database)]
        {
            if let (Some(before), Some(after)) = (before, after) {
                let used = after.saturating_sub(before);
                figures.insert(name, used.as_secs_f64() * 1e6 / f64::from(jobs));
            }
        }
        Ok(figures)
    }

    fn driver(&self, contestant: Contestant) -> Command {
        let peers = crate::repository().join("bench/peers");
        let (program, script) = if contestant.in_python() {
            (&self.python, peers.join("python/driver.py"))
        } else {
            (&self.node, peers.join("node/driver.mjs"))
        };
        let mut command = Command::new(program);
        command.arg(script).arg(contestant.peer()).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}

/// Installs the Python queues and our SDK beside the build, and returns the Python to run them with.
fn python(root: &Path, jobforge: &Path) -> Result<PathBuf> {
    eprintln!("Installing the Python drivers");
    let folder = jobforge.with_file_name("bench-workers-python");
    let python = folder.join("bin/python");
    if !python.is_file() {
        stdout_of(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    }
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(root.join("bench/peers/python/requirements.txt"))
        .arg(root.join("sdks/python"));
    stdout_of(&mut pip)?;
    // Once more, for its version is that of the one before.
    let mut ours = Command::new(&python);
    ours.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--force-reinstall",
        "--no-deps",
    ])
    .arg(root.join("sdks/python"));
    stdout_of(&mut ours)?;
    Ok(python)
}

/// The CPU time that was used so far.
struct CpuTimes {
    /// By `jobforge serve`.
    server: Option<Duration>,
    /// By PostgreSQL or Redis.
    database: Option<Duration>,
}

/// What one contestant works against, fresh.
struct Scene {
    store: Store,
    database: Option<TestDatabase>,
    /// `jobforge serve` or Redis.
    process: Option<Process>,
    /// Of PostgreSQL or Redis.
    url: String,
    our_url: Option<String>,
    _folder: TempDir,
}

impl Scene {
    fn set(bench: &Bench, store: Store) -> Result<Self> {
        let folder = TempDir::new()?;
        let sqlite = store == Store::OurServer { sqlite: true };
        let database = match store {
            Store::Postgres | Store::OurServer { sqlite: false } => {
                Some(TestDatabase::create_on(bench.cluster.server(), None)?)
            }
            Store::Redis | Store::OurServer { sqlite: true } => None,
        };
        let mut url = database.as_ref().map(TestDatabase::url).unwrap_or_default();
        let (process, our_url) = match store {
            Store::Postgres => (None, None),
            Store::Redis => {
                let (redis, redis_url) = redis(folder.path())?;
                url = redis_url;
                (Some(redis), None)
            }
            Store::OurServer { .. } => {
                let (server, our_url) =
                    serve(&bench.jobforge, folder.path(), (!sqlite).then_some(url.as_str()))?;
                (Some(server), Some(our_url))
            }
        };
        Ok(Self { store, database, process, url, our_url, _folder: folder })
    }

    fn server_url(&self) -> Option<(&str, &str)> {
        self.our_url.as_deref().map(|url| ("JOBFORGE_URL", url))
    }

    fn cpu_times(&self, postgres: &Server) -> Result<CpuTimes> {
        let process = self
            .process
            .as_ref()
            .map(|process| cpu_time_with_children(process.0.id()).context("failed to read CPU time"))
            .transpose()?;
        let postgres = self.database.as_ref().map(|_| cpu_time(postgres)).transpose()?;
        Ok(match self.store {
            Store::Postgres | Store::OurServer { .. } => CpuTimes { server: process, database: postgres },
            Store::Redis => CpuTimes { server: None, database: process },
        })
    }
}

/// Ends with the scene.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts our server with its defaults, on SQLite unless a URL is given; returns where it listens.
fn serve(jobforge: &Path, folder: &Path, database_url: Option<&str>) -> Result<(Process, String)> {
    let ours = |arguments: &[&str]| {
        let mut command = Command::new(jobforge);
        command.args(arguments).env_clear().env("JOBFORGE_DATA_DIR", folder).stdin(Stdio::null());
        if let Some(url) = database_url {
            command.env("DATABASE_URL", url);
        }
        command
    };
    stdout_of(&mut ours(&["db", "migrate"]))?;
    let child = ours(&["serve", "--listen", "127.0.0.1:0"]).stderr(Stdio::piped()).spawn()?;
    let mut server = Process(child);
    let stderr = server.0.stderr.take().context("the server has no standard error")?;
    let mut lines = BufReader::new(stderr).lines();
    let greeting = lines
        .by_ref()
        .map_while(std::result::Result::ok)
        .find(|line| line.contains("stop with Ctrl-C"))
        .context("the server ended before it was up")?;
    // Read on, so that it never waits for a full pipe.
    std::thread::spawn(move || lines.map_while(std::result::Result::ok).for_each(drop));
    let at = greeting.find("http://").with_context(|| format!("{greeting:?} names no address"))?;
    let address = greeting[at..].split([';', '"', ' ']).next().unwrap_or_default().to_owned();
    Ok((server, address))
}

/// Starts a Redis that keeps an append-only file, as BullMQ advises; returns its URL.
fn redis(folder: &Path) -> Result<(Process, String)> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
    let mut command = Command::new("redis-server");
    command.args([
        "--bind",
        "127.0.0.1",
        "--port",
        &port,
        "--appendonly",
        "yes",
        "--maxmemory-policy",
        "noeviction",
    ]);
    command.arg("--dir").arg(folder).stdin(Stdio::null()).stdout(Stdio::null());
    let child =
        command.spawn().context("failed to start redis-server; install it, or leave bullmq out (--only)")?;
    let mut redis = Process(child);
    // It takes connections within milliseconds, or never.
    for _ in 0..500 {
        if std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_ok() {
            return Ok((redis, format!("redis://127.0.0.1:{port}")));
        }
        ensure!(redis.0.try_wait()?.is_none(), "redis-server ended at once");
        std::thread::sleep(Duration::from_millis(20));
    }
    anyhow::bail!("redis-server takes no connections")
}

fn table(medians: &[(Contestant, Figures)]) -> String {
    let drain = |who: Contestant| {
        medians.iter().find(|(each, _)| *each == who).and_then(|(_, figures)| figures.get(DRAIN).copied())
    };
    let headings = ["median"].into_iter().chain(COLUMNS.map(|(_, title)| title)).chain(["ours/peer, drain"]);
    let mut rows: Vec<Vec<String>> = vec![headings.map(str::to_owned).collect()];
    for (who, figures) in medians {
        let ratio = who.rival().and_then(|ours| Some(drain(ours)? / drain(*who)?));
        let mut row = vec![who.name()];
        row.extend(COLUMNS.map(|(name, _)| figures.get(name).map_or_else(dash, |value| rounded(*value))));
        row.push(ratio.map_or_else(dash, |ratio| format!("{ratio:.2}")));
        rows.push(row);
    }
    aligned(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_held_against_ours_in_its_own_language() {
        let drained = |who, rate| (who, Figures::from([(DRAIN, rate)]));
        let text = table(&[
            drained(Contestant::TypeScript, 6_000.0),
            drained(Contestant::BullMq, 2_000.0),
            drained(Contestant::Python, 3_000.0),
            drained(Contestant::PgQueuer, 2_000.0),
        ]);
        let ratios: Vec<&str> =
            text.lines().map(|line| line.split_whitespace().last().unwrap_or("")).collect();
        assert_eq!(ratios, ["drain", "-", "3.00", "-", "1.50"], "{text}");
    }
}
