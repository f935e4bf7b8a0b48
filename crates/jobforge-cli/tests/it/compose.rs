//! The processes of `deploy/compose.core.yaml`, started without containers by what that file says of them: their commands,
//! variables and secrets, with other addresses and paths.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testkit::postgres::{PgBouncer, PoolMode, TestDatabase};

use crate::program::{Home, Running, done, eventually, http};
use crate::runbooks::deploy::composed;
use crate::site::send;

/// What the file has and where it is here.
struct Layout {
    home: Home,
    database: TestDatabase,
    services: Value,
    /// The folder of `deploy/compose`, with its secrets.
    folder: PathBuf,
    server: String,
    pooler: PgBouncer,
}

impl Layout {
    fn new() -> Self {
        let database = TestDatabase::create().unwrap();
        let pooler = PgBouncer::start(database.server(), database.name(), PoolMode::Transaction).unwrap();
        let home = Home::new();
        let folder = home.path().join("compose");
        std::fs::create_dir(&folder).unwrap();
        let init = folder.join("init");
        std::fs::copy(deploy().join("compose/init"), &init).unwrap();
        let made = done(Command::new(&init).output().unwrap());
        assert_eq!(made.code, 0, "{}", made.err);
        let layout = Self {
            services: composed().unwrap()["services"].take(),
            folder,
            server: String::new(),
            pooler,
            database,
            home,
        };
        assert!(layout.secret("database_url").contains("@pgbouncer:6543/"));
        assert!(layout.secret("database_direct_url").contains("@postgres:5432/"));
        let secrets = layout.folder.join("secrets");
        std::fs::write(secrets.join("database_url"), layout.pooler.url()).unwrap();
        std::fs::write(secrets.join("database_direct_url"), layout.database.url()).unwrap();
        layout
    }

    fn secret(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join("secrets").join(name)).unwrap().trim().to_owned()
    }

    /// Where the volume `worker-token` is.
    fn tokens(&self) -> PathBuf {
        self.home.data_dir()
    }

    /// What the file says, in terms of this machine.
    fn here(&self, text: &str) -> String {
        [
            ("/run/secrets", self.folder.join("secrets").display().to_string()),
            ("/run/jobforge", self.tokens().display().to_string()),
            ("/prepare", deploy().join("compose/prepare").display().to_string()),
            ("0.0.0.0:9464", "127.0.0.1:0".to_owned()),
            ("http://server:8080", self.server.clone()),
        ]
        .into_iter()
        .fold(text.to_owned(), |text, (there, here)| text.replace(there, &here))
    }

    /// The command of a service, begun by `entrypoint` unless the service has its own.
    fn command(&self, service: &str, entrypoint: &[&str]) -> Command {
        let service = &self.services[service];
        let words = |key: &str| -> Vec<String> {
            service[key]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(|word| self.here(word))
                .collect()
        };
        let mut line = words("entrypoint");
        if line.is_empty() {
            line = entrypoint.iter().map(|word| (*word).to_owned()).collect();
        }
        line.extend(words("command"));
        let mut command = self.home.other(&line[0]);
        command.args(&line[1..]);
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", Home::programs().display());
        command.env("PATH", path).env("JOBFORGE_LISTEN", "127.0.0.1:0");
        for (name, value) in service["environment"].as_object().unwrap() {
            command.env(name, self.here(value.as_str().unwrap()));
        }
        command
    }

    fn prepare(&self) {
        std::fs::create_dir_all(self.tokens()).unwrap();
        let prepared = done(self.command("migrate", &[]).output().unwrap());
        assert_eq!(prepared.code, 0, "{}", prepared.err);
    }
}

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").canonicalize().unwrap()
}

#[test]
fn process_the_servers_of_the_compose_file_run_behind_a_pooler_with_secrets_from_files() {
    let mut layout = Layout::new();
    layout.prepare();
    let token = std::fs::read_to_string(layout.tokens().join("worker_token")).unwrap();
    layout.prepare();
    assert_eq!(
        std::fs::read_to_string(layout.tokens().join("worker_token")).unwrap(),
        token,
        "once is enough"
    );
    let server = Running::start(layout.command("server", &["jobforge"]), "stop with Ctrl-C");
    layout.server = server.url();
    let daemon = Running::start(layout.command("cleanup-daemon", &["jobforge"]), "Cleanup daemon started");
    assert!(daemon.said().contains("checks at least every "), "{}", daemon.said());
    let asked = |path: &str, token: &str| {
        let header = format!("Authorization: Bearer {}", token.trim());
        http("GET", &format!("{}{path}", layout.server), &[&header], None)
    };
    assert_eq!(asked("/v1/jobs", &layout.secret("auth_token")).status, 200);
    assert_eq!(asked("/v1/settings", &layout.secret("admin_token")).status, 200);
    assert_eq!(asked("/v1/jobs", "nobody's").status, 401);
    let health = asked("/api/health/full", &layout.secret("auth_token")).body;
    assert_eq!(health["watchdog"]["status"], "ok", "{health}");
    assert_eq!(health["missing_roles"], serde_json::json!([]), "{health}");
    let watchdogs = layout.database.psql("SELECT count(*) FROM jobforge_watchdogs").unwrap();
    assert_eq!(watchdogs.trim(), "2", "the server's own and the daemon");
    assert!(!server.said().contains(&layout.secret("admin_token")), "a secret is in the log");
    assert_eq!((daemon.terminate(), server.terminate()), (0, 0));
}

/// Both SDKs, installed as an application would, with the applications of the compose file.
pub(crate) fn sdks() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sdks");
    let installed = done(Command::new(deploy().join("checks/sdks")).arg(&folder).output().unwrap());
    assert_eq!(installed.code, 0, "{}", installed.err);
    folder
}

/// A worker in another language; ends with the test.
pub(crate) struct Foreign(pub(crate) std::process::Child);

impl Foreign {
    fn start(layout: &Layout, service: &str, folder: &Path) -> Self {
        let with_secrets = deploy().join("docker/with-secrets");
        let mut command = layout.command(service, &[with_secrets.to_str().unwrap()]);
        let programs = ["node_modules/.bin", "venv/bin"].map(|bin| folder.join(bin).display().to_string());
        command
            .current_dir(folder)
            .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", programs.join(":")));
        command.env("HOME", folder);
        let log = std::fs::File::create(layout.home.path().join(format!("{service}.log"))).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        Self(command.spawn().unwrap())
    }

    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub(crate) fn terminate(mut self) -> i32 {
        send("-TERM", self.0.id());
        self.0.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn process_five_typescript_and_three_python_workers_of_the_compose_file_share_the_work() {
    let sdks = sdks();
    let mut layout = Layout::new();
    layout.prepare();
    let server = Running::start(layout.command("server", &["jobforge"]), "stop with Ctrl-C");
    layout.server = server.url();
    let daemon = Running::start(layout.command("cleanup-daemon", &["jobforge"]), "Cleanup daemon started");
    let home = Home::on_postgres(&layout.database.url());
    let start = |service: &str, language: &str| Foreign::start(&layout, service, &sdks.join(language));
    let mut typescript: Vec<Foreign> = (0..5).map(|_| start("worker-ts", "typescript")).collect();
    let mut python: Vec<Foreign> = (0..3).map(|_| start("worker-py", "python")).collect();
    let active = || home.json(&["worker", "list", "--active"]).as_array().map_or(0, Vec::len);
    eventually("all eight are there", || active() == 8);
    let all_done = |names: &[&str]| {
        let lines: String = names
            .iter()
            .flat_map(|name| ["typescript", "python"].map(|language| (name, language)))
            .map(|(name, language)| {
                format!("{{\"type\": \"hello.{language}\", \"queue\": \"{language}\", \"payload\": {{\"name\": \"{name}\"}}}}\n")
            })
            .collect();
        std::fs::write(layout.home.path().join("jobs"), lines).unwrap();
        let file = layout.home.path().join("jobs").display().to_string();
        home.ok(&["job", "enqueue", "--from", &file]);
        eventually("every job is done", || {
            layout
                .database
                .psql(
                    "SELECT count(*) FROM jobforge_jobs WHERE status <> 'succeeded' AND type LIKE 'hello.%'",
                )
                .unwrap()
                .trim()
                == "0"
        });
    };
    all_done(&["Ada", "Barbara", "Grace", "Hedy", "Katherine", "Margaret", "Radia", "Shafi"]);
    let results = layout
        .database
        .psql("SELECT count(*) FROM jobforge_job_results WHERE result #>> '{}' LIKE 'hello %'")
        .unwrap();
    assert_eq!(results.trim(), "16");
    typescript.pop().unwrap().kill();
    python.pop().unwrap().kill();
    all_done(&["Adele", "Frances", "Jean", "Joan"]);
    for worker in typescript.into_iter().chain(python) {
        assert_eq!(worker.terminate(), 0);
    }
    assert_eq!((daemon.terminate(), server.terminate()), (0, 0));
}
