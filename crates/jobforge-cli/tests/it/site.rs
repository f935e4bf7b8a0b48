//! An installation with workers that can be killed, and what became of its jobs.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use testkit::postgres::{Cluster, ClusterOptions, TestDatabase, psql};

use crate::program::{Home, Running, eventually};

/// Makes a test on each engine of every named `fn(&Site)`.
macro_rules! on_each_engine {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $test() {
                super::$test(&$crate::site::Site::on_sqlite());
            })*
        }
        mod postgres {
            $(#[test]
            fn $test() {
                super::$test(&$crate::site::Site::on_postgres());
            })*
        }
    };
}

/// A lease that a test can wait for.
const SETTINGS: &str = "worker_lease_ms = 3000\nexec_allow = \"*\"\nshutdown_grace_ms = 10000\nslots = 4\n";

const SERVE: [&str; 5] = ["serve", "--config", "jobforge.toml", "--listen", "127.0.0.1:0"];
const SERVING: &str = "stop with Ctrl-C";

pub(crate) struct Site {
    /// The owner of the file on SQLite. Ends before its data goes.
    server: Option<Running>,
    pub(crate) home: Home,
    _database: Option<TestDatabase>,
    /// Where the whole server is its own.
    pub(crate) cluster: Option<Cluster>,
}

impl Site {
    /// Nothing runs on it yet; workers can.
    pub(crate) fn on_postgres() -> Self {
        let database = TestDatabase::create().unwrap();
        let home = Home::on_postgres(&database.url());
        home.ok(&["db", "migrate"]);
        Self::at(home, Some(database))
    }

    /// On a PostgreSQL that a test may stop, crash and flood. Nothing runs on it yet.
    pub(crate) fn on_own_postgres(options: &ClusterOptions) -> Self {
        let cluster = Cluster::start(options).unwrap();
        let home = Home::on_postgres(cluster.server().url());
        home.ok(&["db", "migrate"]);
        Self { cluster: Some(cluster), ..Self::at(home, None) }
    }

    /// Its server runs.
    pub(crate) fn on_sqlite() -> Self {
        let mut site = Self::at(Home::new(), None);
        site.server = Some(site.serve());
        site
    }

    /// The same, with a server that is told when a file may not grow instead of being killed for it, and a lease that
    /// outlasts what a test does then.
    pub(crate) fn on_sqlite_under_limits() -> Self {
        let mut site = Self::at(Home::new(), None);
        let patient = SETTINGS.replace("worker_lease_ms = 3000", "worker_lease_ms = 15000");
        std::fs::write(site.home.path().join("jobforge.toml"), patient).unwrap();
        site.server = Some(Running::start(site.home.command_after("trap '' XFSZ", &SERVE), SERVING));
        site
    }

    /// The same with a lease that outlasts what a test does with a frozen worker. Its workers must not run yet.
    pub(crate) fn with_a_long_lease(self) -> Self {
        self.with_a_lease(60)
    }

    /// The same with a lease of so many seconds. Its workers must not run yet.
    pub(crate) fn with_a_lease(mut self, seconds: u32) -> Self {
        let settings = SETTINGS.replace("worker_lease_ms = 3000", &format!("worker_lease_ms = {seconds}000"));
        std::fs::write(self.home.path().join("jobforge.toml"), settings).unwrap();
        if self.server.is_some() {
            self.kill_server();
            self.start_server();
        }
        self
    }

    fn at(home: Home, database: Option<TestDatabase>) -> Self {
        std::fs::write(home.path().join("jobforge.toml"), SETTINGS).unwrap();
        Self { server: None, home, _database: database, cluster: None }
    }

    pub(crate) fn serve(&self) -> Running {
        self.home.start(&SERVE, SERVING)
    }

    /// What takes lost jobs back where no server runs already.
    pub(crate) fn watchdog(&self) -> Option<Running> {
        self.server.is_none().then(|| self.serve())
    }

    /// Where its server listens, or the one that was started beside.
    pub(crate) fn url(&self, beside: Option<&Running>) -> String {
        self.server.as_ref().or(beside).unwrap().url()
    }

    pub(crate) fn server_pid(&self) -> u32 {
        self.server.as_ref().unwrap().pid()
    }

    /// Where PostgreSQL is.
    pub(crate) fn database_url(&self) -> String {
        self.home.database_url().unwrap().to_owned()
    }

    /// What a statement prints on PostgreSQL.
    pub(crate) fn sql(&self, text: &str) -> String {
        psql(&self.database_url(), text).unwrap().trim().to_owned()
    }

    pub(crate) fn kill_server(&mut self) {
        self.server.take().unwrap().kill();
    }

    pub(crate) fn start_server(&mut self) {
        self.server = Some(self.serve());
    }

    /// Its server again, where those who knew the one before find it.
    pub(crate) fn start_server_at(&mut self, url: &str) {
        let address = url.trim_start_matches("http://");
        let serve = ["serve", "--config", "jobforge.toml", "--listen", address];
        self.server = Some(self.home.start(&serve, SERVING));
    }

    /// A worker, under a supervisor unless the arguments say otherwise, that takes jobs.
    pub(crate) fn work(&self, more: &[&str]) -> Running {
        let mut arguments = vec!["work", "--config", "jobforge.toml"];
        arguments.extend(more);
        self.home.start(&arguments, "takes jobs from")
    }

    /// A job whose first attempt runs `first` and every other one `then`, both in a shell in the site's directory.
    pub(crate) fn enqueue(&self, first: &str, then: &str) -> String {
        let script =
            format!("cd {}; if mkdir once; then {first}; else {then}; fi", self.home.path().display());
        let payload = serde_json::json!({ "argv": ["sh", "-c", script], "grace_ms": 100 }).to_string();
        self.home.ok(&["job", "enqueue", "exec", &payload])
    }
}

pub(crate) fn outcomes(job: &Value) -> Vec<&str> {
    let attempts = job["attempts_made"].as_array().unwrap();
    attempts.iter().map(|attempt| attempt["outcome"].as_str().unwrap()).collect()
}

/// Why the first attempt was lost, in words.
pub(crate) fn why_lost(job: &Value) -> &str {
    job["attempts_made"][0]["error"]["message"].as_str().unwrap()
}

pub(crate) fn send(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

pub(crate) fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// The number that a job's script wrote there.
pub(crate) fn pid_in(file: &Path) -> u32 {
    let mut pid = None;
    eventually("the program tells its number", || {
        pid = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok());
        pid.is_some()
    });
    pid.unwrap()
}
