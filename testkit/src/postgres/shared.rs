//! The one server of a test run.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};
use nix::unistd::getppid;

use super::cluster::{Cluster, ClusterOptions};
use super::host::short_temporary_directory;
use super::server::Server;

/// Names the server to use instead of starting one. `cargo xtask test` sets it.
pub const SHARED_SERVER_VARIABLE: &str = "JOBFORGE_TEST_DATABASE_URL";

/// nextest gives every run an id, and every test a process.
const NEXTEST_RUN_VARIABLE: &str = "NEXTEST_RUN_ID";

/// Returns the server that this test run shares, starting it if need be.
///
/// That is the server named in [`SHARED_SERVER_VARIABLE`]; under `cargo nextest run`, one that the first test starts
/// and the end of the run stops; under plain `cargo test`, one for each test process.
///
/// Tests create databases on it and leave everything else as it is: whoever changes or stops a server starts a
/// [`Cluster`] of their own.
pub fn shared() -> Result<&'static Server> {
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
    SERVER
        .get_or_init(|| find_or_start().map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|text| anyhow!("{text}"))
}

fn find_or_start() -> Result<Server> {
    if let Some(url) = environment(SHARED_SERVER_VARIABLE) {
        return Ok(Server::from_url(url));
    }
    match environment(NEXTEST_RUN_VARIABLE) {
        Some(run) => find_or_start_for_run(&run),
        None => {
            // Statics are never dropped. The end of the process lets go of the guardian, which stops the server.
            static CLUSTER: OnceLock<Cluster> = OnceLock::new();
            let cluster = Cluster::start(&ClusterOptions::default())?;
            Ok(CLUSTER.get_or_init(|| cluster).server().clone())
        }
    }
}

/// The first test of a run starts the server and writes its URL into a file; the others read it there.
///
/// The lock makes them wait for each other. The server is asked for a sign of life, because its life depends on our
/// parent's: that is nextest, unless a wrapper such as a debugger stands between.
fn find_or_start_for_run(run: &str) -> Result<Server> {
    let path = short_temporary_directory().join(format!("jf-pg-run-{run}"));
    let failed = || format!("failed to share a server through {}", path.display());
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .with_context(failed)?;
    file.lock().with_context(failed)?;
    let mut url = String::new();
    file.read_to_string(&mut url).with_context(failed)?;
    let found = Server::from_url(url);
    if !found.url().is_empty() && found.psql("SELECT 1").is_ok() {
        return Ok(found);
    }
    let runner = getppid();
    let cluster = Cluster::start(&ClusterOptions::default())?;
    // An orphan has a parent that never ends, and its server would not end either.
    ensure!(getppid() == runner, "the test runner is gone");
    file.rewind().and_then(|()| file.set_len(0)).with_context(failed)?;
    file.write_all(cluster.server().url().as_bytes()).with_context(failed)?;
    cluster.hand_over(runner, &path)
}

#[expect(clippy::disallowed_methods, reason = "tells tests where their server is; no setting of the product")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
