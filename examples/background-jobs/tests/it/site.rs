//! An installation: database, server, and what is outside.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use background_jobs::outside::{Manners, Outside};
use tempfile::TempDir;
use testkit::postgres::TestDatabase;
use tokio::runtime::Runtime;

use crate::process::{Running, eventually, ok};

/// The configuration file as it is shipped.
const CONFIG: &str = include_str!("../../jobforge.toml");
const WORKER: &str = env!("CARGO_BIN_EXE_background-jobs");
const ADMIN_TOKEN: &str = "administrator-of-the-example";

/// The runbook's own line; only the host differs.
const TRIGGER: &str = r#"curl -X POST http://localhost:8080/admin/jobs/trigger \
  -H "Authorization: Bearer $ADMIN_TOKEN" \
  -d '{"job_name": "hot_score_refresh"}'"#;

pub(crate) const SCHEDULES: [&str; 6] = [
    "hot_score_refresh",
    "trending_score_refresh",
    "clip_sync",
    "reputation_tasks",
    "webhook_retry",
    "embedding_generation",
];

pub(crate) struct Site {
    // Ends before its database does.
    server: Running,
    pub(crate) outside: Outside,
    /// Where it listens.
    address: String,
    runtime: Runtime,
    directory: TempDir,
    database: TestDatabase,
}

/// A session that holds locks.
pub(crate) struct Held {
    _session: tokio_postgres::Client,
}

/// How a job has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) status: String,
    pub(crate) processed: i64,
    pub(crate) failed: i64,
    pub(crate) skipped: i64,
}

impl Site {
    /// Schedules that only ever run when they are told to, and an outside that is quick and well-behaved.
    pub(crate) fn new() -> Self {
        Self::with(CONFIG, &[], Manners { requests_per_second: 1000, retry_after_s: 1, fail_first: 0 })
    }

    /// With pages of ten clips, from a source with manners of its own.
    pub(crate) fn with_small_pages(manners: Manners) -> Self {
        let small = "type = \"clip_sync\"\npayload = { page = 10 }\n";
        Self::with(&CONFIG.replace("type = \"clip_sync\"\n", small), &[], manners)
    }

    pub(crate) fn with(config: &str, intervals: &[(&str, &str)], manners: Manners) -> Self {
        let (directory, database) = (TempDir::new().unwrap(), TestDatabase::create().unwrap());
        std::fs::write(directory.path().join("jobforge.toml"), config).unwrap();
        ok(at(directory.path(), &database, &jobforge()).args(["db", "migrate"]));
        ok(at(directory.path(), &database, Path::new(WORKER)).arg("setup"));
        let mut serve = at(directory.path(), &database, &jobforge());
        serve.args(["serve", "--config", "jobforge.toml", "--listen", "127.0.0.1:0"]);
        serve.env("ADMIN_TOKEN", ADMIN_TOKEN);
        for name in SCHEDULES {
            serve.env(format!("{}_INTERVAL", name.to_uppercase()), "3000d");
        }
        serve.envs(intervals.iter().copied());
        let server = Running::start(serve, "stop with Ctrl-C");
        SCHEDULES.iter().for_each(|name| server.until_it_says(&format!("Starting {name} scheduler")));
        let outside = Outside::new(manners);
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        runtime.spawn(outside.clone().serve(listener));
        Self { server, outside, address, runtime, directory, database }
    }

    /// A worker process.
    pub(crate) fn work(&self) -> Running {
        let mut work = at(self.directory.path(), &self.database, Path::new(WORKER));
        work.arg("work").env("CLIPS_URL", format!("http://{}/", self.address));
        work.env("JOBFORGE_HTTP_ALLOW_PRIVATE", &self.address).env("JOBFORGE_WORKER_LEASE_MS", "2000");
        Running::start(work, "takes jobs")
    }

    /// A receiver of webhooks.
    pub(crate) fn hook(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// What the server has logged.
    pub(crate) fn server_log(&self) -> String {
        self.server.said()
    }

    /// Holds what a statement locks until the transaction is dropped.
    pub(crate) fn hold(&self, statement: &str) -> Held {
        let held = self.runtime.block_on(async {
            let (client, driver) =
                tokio_postgres::connect(&self.database.url(), tokio_postgres::NoTls).await.unwrap();
            tokio::spawn(driver);
            client.batch_execute(&format!("BEGIN; {statement}")).await.unwrap();
            client
        });
        Held { _session: held }
    }

    /// What a statement prints.
    #[track_caller]
    pub(crate) fn sql(&self, text: &str) -> String {
        self.database.psql(text).unwrap().trim().to_owned()
    }

    #[track_caller]
    pub(crate) fn number(&self, text: &str) -> f64 {
        self.sql(text).parse().unwrap()
    }

    /// Triggers a schedule by the line of the runbook; returns the job.
    #[track_caller]
    pub(crate) fn trigger(&self, name: &str) -> String {
        let said = self.server.said();
        let url = said.split("http://").nth(1).and_then(|rest| rest.split([';', '"', ' ']).next()).unwrap();
        let line = TRIGGER.replace("localhost:8080", url).replace("hot_score_refresh", name);
        let line = line.replace("curl", "curl --silent --show-error --fail-with-body");
        let answer = ok(Command::new("sh").args(["-c", &line]).env("ADMIN_TOKEN", ADMIN_TOKEN));
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((&answer["triggered"], &answer["job_name"]), (&true.into(), &name.into()), "{answer}");
        answer["job_id"].as_str().unwrap().to_owned()
    }

    /// Triggers a schedule and waits for the end of its job.
    #[track_caller]
    pub(crate) fn run(&self, name: &str) -> Ended {
        self.ended(&self.trigger(name))
    }

    /// Waits for the end of a job.
    #[track_caller]
    pub(crate) fn ended(&self, job: &str) -> Ended {
        eventually(&format!("job {job} ends"), || {
            let status = self.job(job, "status");
            status != "queued" && status != "running"
        });
        let counts = self.job(job, "items_processed || ' ' || items_failed || ' ' || items_skipped");
        let counts: Vec<i64> = counts.split(' ').map(|count| count.parse().unwrap()).collect();
        let status = self.job(job, "status");
        if status != "succeeded" {
            eprintln!("job {job} is {status}: {}", self.job(job, "error"));
        }
        Ended { status, processed: counts[0], failed: counts[1], skipped: counts[2] }
    }

    /// An expression over a job.
    #[track_caller]
    pub(crate) fn job(&self, id: &str, expression: &str) -> String {
        self.sql(&format!("SELECT {expression} FROM jobforge_jobs WHERE id = '{id}'"))
    }

    /// Types a command of `jobforge`.
    #[track_caller]
    pub(crate) fn jobforge(&self, arguments: &[&str]) -> String {
        ok(at(self.directory.path(), &self.database, &jobforge()).args(arguments))
    }
}

/// A job that has succeeded.
pub(crate) fn succeeded(processed: i64, failed: i64, skipped: i64) -> Ended {
    Ended { status: "succeeded".to_owned(), processed, failed, skipped }
}

/// The program beside ours: whoever tests the whole workspace has built it.
fn jobforge() -> PathBuf {
    let program = Path::new(WORKER).with_file_name("jobforge");
    assert!(
        program.exists(),
        "{} is missing; run `cargo build --package jobforge-cli` first",
        program.display()
    );
    program
}

fn at(directory: &Path, database: &TestDatabase, program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory).stdin(Stdio::null());
    // What the developer's shell has set must not decide.
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command.env("DATABASE_URL", database.url()).env("JOBFORGE_DATA_DIR", directory.join("data"));
    command
}
