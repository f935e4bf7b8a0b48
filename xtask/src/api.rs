//! Asks a real server on each engine everything that `docs/openapi.json` describes, and more than it allows.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, sleep};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::postgres::TestDatabase;

use crate::stages::{Outcome, Run};
use crate::{beside_this_program, python, repository, this_build};

/// Cases of each operation, beside the ones that try each limit.
const CASES: &str = "10";
/// How long a server may take to listen, in looks a tenth of a second apart.
const LOOKS: u32 = 600;
const LOOK_EVERY: Duration = Duration::from_millis(100);
const ADMIN_TOKEN: &str = "admin-key-of-a-test";

/// Of the stage of the tests: what lands is asked the same as what landed before.
pub(crate) const SEED: &str = "1";

/// Of the command by itself: other cases each time, or those of SCHEMATHESIS_SEED again.
pub(crate) fn any_seed() -> String {
    match std::env::var_os("SCHEMATHESIS_SEED") {
        Some(seed) => seed.to_string_lossy().into_owned(),
        None => (RandomState::new().hash_one("seed") % 1_000_000).to_string(),
    }
}

/// The stage: fails when an answer differs from what is described, or when the server fails.
pub(crate) fn check(run: &mut Run, seed: &str) -> Result<Outcome> {
    let program = python::program("schemathesis", "bin/schemathesis")?;
    let jobforge = this_build()?;
    let Some(cluster) = &run.cluster else {
        bail!("failed to find a PostgreSQL: its stage comes before this one")
    };
    let database = TestDatabase::create_on(cluster.server(), None)?;
    let url = database.url();
    println!("SCHEMATHESIS_SEED={seed}, SQLite and PostgreSQL at the same time");
    // Who asks uses one core, and what was asked little of another.
    thread::scope(|scope| {
        let sqlite = scope.spawn(|| ask("SQLite", &program, &jobforge, None, seed));
        let postgres = scope.spawn(|| ask("PostgreSQL", &program, &jobforge, Some(&url), seed));
        [sqlite, postgres].map(|asked| asked.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
    .into_iter()
    .collect::<Result<()>>()?;
    Ok(Outcome::Passed)
}

fn ask(engine: &str, program: &Path, jobforge: &Path, url: Option<&str>, seed: &str) -> Result<()> {
    let home = beside_this_program(&format!("api-{}", engine.to_lowercase()))?;
    if home.exists() {
        fs::remove_dir_all(&home).with_context(|| format!("failed to empty {}", home.display()))?;
    }
    fs::create_dir_all(&home).with_context(|| format!("failed to make {}", home.display()))?;
    let server = Server::start(jobforge, &home, url)?;
    server.seed(jobforge)?;
    let mut asked = Command::new(program);
    asked
        .current_dir(repository())
        .args(["--config-file", "xtask/schemathesis/schemathesis.toml", "run", "docs/openapi.json"])
        .args(["--url", &server.address, "--seed", seed, "--max-examples", CASES])
        .args([
            "--phases",
            "examples,coverage,fuzzing,stateful",
            "--continue-on-failure",
            "--warnings",
            "off",
        ])
        .args(["--header", &format!("Authorization: Bearer {ADMIN_TOKEN}")]);
    let told = asked.output().with_context(|| format!("failed to run {}", program.display()))?;
    // In one piece, so that those of two engines do not mix.
    println!("{engine}\n{}{}", String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    ensure!(
        told.status.success(),
        "{engine}: answers differ from docs/openapi.json; the server's log is {}",
        server.log.display()
    );
    Ok(())
}

/// A server, ended when it is dropped.
struct Server {
    process: Child,
    address: String,
    home: PathBuf,
    url: Option<String>,
    log: PathBuf,
}

impl Server {
    fn start(jobforge: &Path, home: &Path, url: Option<&str>) -> Result<Self> {
        let log = home.join("server.log");
        let written = File::create(&log).with_context(|| format!("failed to write {}", log.display()))?;
        let mut up = Command::new(jobforge);
        up.args(["up", "--listen", "127.0.0.1:0"])
            .current_dir(home)
            .env("ADMIN_TOKEN", ADMIN_TOKEN)
            .env("AUTH_TOKEN", "operator-key-of-a-test")
            // What the cases store of it shall not hold them back.
            .env("JOBFORGE_HTTP_REQUESTS_PER_SECOND", "0")
            .stdin(Stdio::null())
            .stdout(written.try_clone()?)
            .stderr(written);
        on(url, &mut up);
        let process = up.spawn().with_context(|| format!("failed to start {}", jobforge.display()))?;
        let mut server =
            Self { process, address: String::new(), home: home.to_owned(), url: url.map(str::to_owned), log };
        for _ in 0..LOOKS {
            let told = fs::read_to_string(&server.log).unwrap_or_default();
            let line = told.lines().find(|line| line.trim_start().starts_with("server "));
            if let Some(address) = line.and_then(|line| line.split_whitespace().last()) {
                server.address = address.to_owned();
                return Ok(server);
            }
            ensure!(server.process.try_wait()?.is_none(), "the server ended:\n{told}");
            sleep(LOOK_EVERY);
        }
        bail!("the server did not listen; its log is {}", server.log.display())
    }

    /// Jobs that succeeded, died and wait, so that there is something to tell of.
    fn seed(&self, jobforge: &Path) -> Result<()> {
        for arguments in [
            &["exec", r#"{"argv": ["true"]}"#, "--wait"][..],
            &["exec", r#"{"argv": ["false"]}"#, "--max-attempts", "1"],
            &["exec", r#"{"argv": ["true"]}"#, "--delay", "1d"],
        ] {
            let mut enqueue = Command::new(jobforge);
            enqueue.args(["job", "enqueue"]).args(arguments).current_dir(&self.home).stdin(Stdio::null());
            let told = on(self.url.as_deref(), &mut enqueue).output()?;
            ensure!(told.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&told.stderr));
        }
        Ok(())
    }
}

/// On this database, or on the embedded one.
fn on<'a>(url: Option<&str>, command: &'a mut Command) -> &'a mut Command {
    match url {
        Some(url) => command.env("DATABASE_URL", url),
        None => command.env_remove("DATABASE_URL"),
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.process.id().cast_signed());
        if kill(pid, Signal::SIGTERM).is_ok() {
            let _ = self.process.wait();
        }
    }
}
