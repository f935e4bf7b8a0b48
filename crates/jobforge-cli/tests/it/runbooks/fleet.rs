//! A server, workers and jobs in every state that a runbook asks about.

use std::path::PathBuf;
use std::process::Command;

use testkit::postgres::{Cluster, ClusterOptions, PgBouncer, PoolMode, TestDatabase};

use super::six::{self, Six};
use crate::program::{Home, Running, eventually};
use crate::site::{pid_in, send};

/// The policy is the one under which runbook 2 promises its words; the lease is one that a test can wait for.
const SETTINGS: &str = "\
worker_lease_ms = 3000
exec_allow = \"*\"
on_lost = \"fail\"
slots = 4
";
/// Our own runbooks speak of the defaults, and of one queue whose jobs must not run twice. Nothing is swept unasked while
/// they look at what is stuck, unless a worker was lost.
const OUR_SETTINGS: &str = "worker_lease_ms = 3000\nexec_allow = \"*\"\non_lost_queues = \"billing=fail\"\nslots = 4\nwatchdog_check_interval_ms = 600000\n";
/// Waiting jobs that nobody takes, so that plans are those of a large table.
const WAITING: u32 = 50_000;
/// What the server's `AUTH_TOKEN` and `ADMIN_TOKEN` are.
pub(super) const OPERATOR: &str = "operator-of-the-fleet";
pub(super) const ADMINISTRATOR: &str = "administrator-of-the-fleet";
pub(super) const TENANT: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

pub(super) struct Fleet {
    // Processes end before their database.
    server: Running,
    worker: Running,
    /// The application whose schedules the specification speaks of.
    six: Option<Six>,
    orphans: Vec<u32>,
    pooler: Option<PgBouncer>,
    pub(super) home: Home,
    pub(super) database: TestDatabase,
    /// The one server of this fleet: its maintenance database is the empty one that a dump is restored into.
    pub(super) cluster: Cluster,
    /// Runs on a worker and has not moved for long; ends well when it runs again.
    pub(super) stuck: String,
    /// Held by a worker of SQL that was not heard for hours.
    pub(super) silent: String,
    pub(super) silent_worker: &'static str,
    /// Used up its attempts.
    pub(super) dead: String,
    /// Failed for good.
    pub(super) failed: String,
    /// Its worker was killed.
    pub(super) orphaned: String,
    pub(super) killed_worker: String,
    /// The dump that an earlier block wrote.
    pub(super) dump: Option<PathBuf>,
}

impl Fleet {
    /// With what the specification's runbooks ask about.
    pub(super) fn start() -> Self {
        let mut fleet = Self::with(&format!("{SETTINGS}\n{}", six::SCHEDULES));
        fleet.six = Some(Six::start(&fleet.database.url()));
        fleet.fill();
        fleet
    }

    /// With nothing in it yet.
    pub(super) fn of_ours() -> Self {
        Self::with(OUR_SETTINGS)
    }

    fn with(settings_of_all: &str) -> Self {
        let settings = vec![("shared_preload_libraries".to_owned(), "pg_stat_statements".to_owned())];
        let cluster = Cluster::start(&ClusterOptions { settings, ..ClusterOptions::default() }).unwrap();
        let database = TestDatabase::create_on(cluster.server(), None).unwrap();
        database.psql("CREATE EXTENSION pg_stat_statements").unwrap();
        let home = Home::on_postgres(&database.url());
        std::fs::write(home.path().join("jobforge.toml"), settings_of_all).unwrap();
        home.ok(&["db", "migrate", "--runbook-views"]);
        let mut serve = serve(&home);
        serve.envs([("AUTH_TOKEN", OPERATOR), ("ADMIN_TOKEN", ADMINISTRATOR)]);
        let server = Running::start(serve, "stop with Ctrl-C");
        let worker = home.start(&["work", "--config", "jobforge.toml"], "takes jobs from");
        Self {
            server,
            worker,
            six: None,
            orphans: Vec::new(),
            pooler: None,
            home,
            database,
            cluster,
            stuck: String::new(),
            silent: String::new(),
            silent_worker: "worker-5117a1e5",
            dead: String::new(),
            failed: String::new(),
            orphaned: String::new(),
            killed_worker: String::new(),
            dump: None,
        }
    }

    fn fill(&mut self) {
        let done = self.exec("default", "true", "true");
        self.stuck = self.exec("default", "sleep 600", "true");
        self.exec("default", "sleep 600", "sleep 600");
        // Due again at once after each failure.
        self.dead = self.sql(&format!(
            "INSERT INTO jobforge_jobs (tenant_id, type, payload, max_attempts, retry)
             VALUES ('{TENANT}', 'exec', '{{\"argv\": [\"false\"]}}', 2, '{{\"base_ms\": 0, \"factor\": 1, \"max_ms\": 0, \"jitter\": 0}}')
             RETURNING id"
        ));
        self.failed = self.enqueue("connector.http.request", "{\"url\": \"http://127.0.0.1:1/\"}", "default");
        self.silent = self.enqueue("media.qc", "{\"file_name\": \"clip.mov\"}", "by-sql");
        let silent_worker = self.silent_worker;
        self.sql(&format!(
            "SELECT FROM jobforge_claim_jobs('{silent_worker}', 1, ARRAY['by-sql'], p_lease_seconds => 86400)"
        ));
        let silent = self.silent.clone();
        self.sql(&format!("UPDATE jobforge_jobs SET heartbeat_at = now() - interval '2 hours', created_at = now() - interval '4 hours', started_at = now() - interval '3 hours' WHERE id = '{silent}'"));
        let error = "{\"message\": \"no route\", \"kind\": \"error\", \"retryable\": true}";
        for (age, status, error) in [(40, "succeeded", "null"), (100, "failed", error), (100, "dead", error)]
        {
            self.sql(&format!(
                "INSERT INTO jobforge_jobs (type, status, attempts, last_worker, error, created_at, started_at, finished_at)
                 SELECT 'old', '{status}', 5, 'worker-0000001d', nullif('{error}'::jsonb, 'null'), at, at, at FROM (SELECT now() - interval '{age} days' AS at) a"
            ));
        }
        self.sql(&format!("INSERT INTO jobforge_jobs (type, queue) SELECT 'waits', 'nobody' FROM generate_series(1, {WAITING})"));
        (self.orphaned, self.killed_worker) = self.kill_a_worker("doomed");
        let killed = self.killed_worker.clone();
        self.until(&self.orphaned.clone(), "failed");
        self.sql(&format!("UPDATE jobforge_workers SET last_heartbeat_at = now() - interval '10 minutes' WHERE id = '{killed}'"));
        self.until(&done, "succeeded");
        self.until(&self.dead.clone(), "dead");
        self.until(&self.failed.clone(), "failed");
        self.until(&self.stuck.clone(), "running");
    }

    /// Starts a worker without supervisor, kills it with SIGKILL while it runs a job, and returns the two.
    pub(super) fn kill_a_worker(&mut self, queue: &str) -> (String, String) {
        let pid_file = self.home.path().join(format!("pid-{queue}"));
        let script = format!("echo $$ > {}; exec sleep 600", pid_file.display());
        let job = self.exec(queue, &script, &script);
        let arguments = ["work", "--config", "jobforge.toml", "--no-supervise", "--queues", queue];
        let worker = self.home.start(&arguments, "takes jobs from");
        self.orphans.push(pid_in(&pid_file));
        let id = self.sql(&format!("SELECT locked_by FROM jobforge_jobs WHERE id = '{job}'"));
        worker.kill();
        (job, id)
    }

    /// Puts what server and worker have said so far where a reader greps.
    pub(super) fn write_logs(&self) {
        for (file, process) in [("server.log", &self.server), ("worker.log", &self.worker)] {
            std::fs::write(self.home.path().join(file), process.said()).unwrap();
        }
    }

    /// Starts a pooler in front of the database, for as long as the fleet lives; returns its URL.
    pub(super) fn pooler(&mut self) -> Result<String, String> {
        let started = PgBouncer::start(self.cluster.server(), self.database.name(), PoolMode::Transaction);
        let pooler = self.pooler.insert(started.map_err(|error| format!("{error:#}"))?);
        Ok(pooler.url().to_owned())
    }

    /// Where the server listens.
    pub(super) fn url(&self) -> String {
        self.server.url()
    }

    /// A job that is stuck by everybody's definition until the next sweep: its heartbeat is late.
    pub(super) fn get_stuck(&self, worker: &str) -> String {
        let queue = format!("stuck-of-{worker}");
        let job = self.enqueue("media.qc", "{\"file_name\": \"late.mov\"}", &queue);
        self.sql(&format!(
            "SELECT FROM jobforge_claim_jobs('{worker}', 1, ARRAY['{queue}'], p_lease_seconds => 86400)"
        ));
        self.sql(&format!(
            "UPDATE jobforge_jobs SET heartbeat_due_at = now() - interval '1 second' WHERE id = '{job}'"
        ));
        job
    }

    /// A program as a job, which runs differently when it runs again.
    pub(super) fn exec(&self, queue: &str, first: &str, then: &str) -> String {
        let mark = self.home.path().join(format!("ran-{}", self.sql("SELECT gen_random_uuid()")));
        let script = format!("if mkdir {}; then {first}; else {then}; fi", mark.display());
        let payload = serde_json::json!({ "argv": ["sh", "-c", script], "grace_ms": 100 });
        self.enqueue("exec", &payload.to_string().replace('\'', "''"), queue)
    }

    pub(super) fn enqueue(&self, job_type: &str, payload: &str, queue: &str) -> String {
        self.sql(&format!(
            "SELECT jobforge_enqueue_job('{TENANT}'::uuid, '{job_type}', '{payload}', p_queue => '{queue}') ->> 'id'"
        ))
    }

    pub(super) fn sql(&self, text: &str) -> String {
        self.database.psql(text).unwrap().trim().to_owned()
    }

    pub(super) fn field(&self, id: &str, expression: &str) -> String {
        self.sql(&format!("SELECT {expression} FROM jobforge_jobs WHERE id = '{id}'"))
    }

    pub(super) fn until(&self, id: &str, status: &str) {
        eventually(&format!("job {id} is {status}"), || self.field(id, "status") == status);
    }

    /// What a reader puts in the place of the runbooks' placeholders.
    pub(super) fn fill_in(&self, text: &str) -> String {
        text.replace("stuck-job-uuid", &self.stuck)
            .replace("tenant-uuid", TENANT)
            .replace("job-uuid", &self.dead)
    }
}

/// A server of the fleet, whose schedules run only when they are told to.
pub(super) fn serve(home: &Home) -> Command {
    let mut serve = home.command(&["serve", "--config", "jobforge.toml", "--listen", "127.0.0.1:0"]);
    serve.envs(six::variables().into_iter().map(|name| (name, "3000d")));
    serve
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for &pid in &self.orphans {
            send("-KILL", pid);
        }
    }
}
