//! What a diagnosis goes by, seen on this machine.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use jobforge::core::doctor::{Disk, Host, Process};
use jobforge::core::nearest::nearest;
use jobforge::core::settings::SETTINGS;
use jobforge::core::worker::WorkerRow;
use jobforge::process;
use jobforge::remote::{ShortPath, socket_path};
use nix::sys::statvfs::statvfs;

use crate::commands::Context;

/// Variables that others read: SDKs, images and scripts.
const OF_OTHERS: [&str; 7] = [
    "JOBFORGE_URL",
    "JOBFORGE_TOKEN",
    "JOBFORGE_TOKEN_FILE",
    "JOBFORGE_BIN",
    "JOBFORGE_VERSION",
    "JOBFORGE_IMAGE",
    "JOBFORGE_PORT",
];
/// Secrets of handlers are in variables that begin so.
const SECRETS: &str = "JOBFORGE_SECRET_";
/// Between two looks at a process: who waits for a disk in both really does.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// All but the processes, which belong to workers that the database names.
pub(super) fn look(context: Option<&Context>) -> Host {
    let file = context.and_then(|context| context.embedded().ok().flatten());
    Host {
        name: process::hostname(),
        disk: file.as_deref().and_then(disk),
        unknown_variables: unknown_variables(),
        setting_faults: Vec::new(),
        stale_sockets: file
            .as_deref()
            .map(socket_path)
            .filter(|path| is_stale(path))
            .into_iter()
            .map(|path| path.display().to_string())
            .collect(),
        processes: Vec::new(),
    }
}

fn disk(file: &Path) -> Option<Disk> {
    let seen = statvfs(file.parent()?).ok()?;
    let size = seen.fragment_size();
    Some(Disk {
        path: file.parent()?.display().to_string(),
        free: seen.blocks_available() as u64 * size,
        total: seen.blocks() as u64 * size,
    })
}

/// Whether a socket is there and nobody listens on it.
pub(super) fn is_stale(path: &Path) -> bool {
    let refused = |error: std::io::Error| error.kind() == std::io::ErrorKind::ConnectionRefused;
    path.exists()
        && ShortPath::of(path).is_ok_and(|short| UnixStream::connect(short.as_path()).is_err_and(refused))
}

/// Variables that look like settings of ours, are none, and are near to one.
fn unknown_variables() -> Vec<(String, Option<&'static str>)> {
    let known: Vec<&'static str> =
        SETTINGS.iter().flat_map(|setting| setting.env).map(|env| env.name).collect();
    let ours = |name: &std::ffi::OsStr| name.as_bytes().starts_with(b"JOBFORGE_");
    let names = std::env::vars_os().map(|(name, _)| name).filter(|name| ours(name));
    let names = names.filter_map(|name| name.into_string().ok());
    let strange = names.filter(|name| {
        !known.contains(&name.as_str()) && !OF_OTHERS.contains(&name.as_str()) && !name.starts_with(SECRETS)
    });
    // What resembles nothing is somebody else's.
    let with_near =
        strange.filter_map(|name| Some((name.clone(), Some(nearest(&name, known.iter().copied())?))));
    let mut found: Vec<_> = with_near.collect();
    found.sort();
    found
}

/// What the workers of this machine have started.
pub(super) async fn processes(host: &str, workers: &[WorkerRow]) -> Vec<Process> {
    let here: Vec<u32> = workers
        .iter()
        .filter(|worker| worker.state.is_active() && worker.hostname == host && is_here(worker))
        .map(|worker| worker.pid)
        .collect();
    let look = || {
        here.iter()
            .flat_map(|pid| process::below(*pid).into_iter().map(|below| (*pid, below)))
            .collect::<Vec<_>>()
    };
    let first = look();
    if !first.iter().any(|(_, below)| below.state == 'D') {
        return first.into_iter().map(of_worker).collect();
    }
    tokio::time::sleep(LOOK_AGAIN).await;
    let waited = |pid: u32| first.iter().any(|(_, below)| below.pid == pid && below.state == 'D');
    let again = look().into_iter().map(of_worker);
    // Whoever waits for a disk just now is at work.
    again
        .map(
            |seen| if seen.state == 'D' && !waited(seen.pid) { Process { state: 'S', ..seen } } else { seen },
        )
        .collect()
}

fn of_worker((worker_pid, below): (u32, process::Below)) -> Process {
    let process::Below { pid, name, state, cpu, age } = below;
    let job = process::variable(pid, "JOB_ID").and_then(|id| id.parse().ok());
    Process { worker_pid, job, pid, name, state, cpu, age }
}

/// Marks workers of this machine as stopped that the kernel does not let run, though nobody has reported it.
///
/// Since when is not known; they were heard last when they still ran.
pub(super) fn mark_stopped(host: &str, workers: &mut [WorkerRow]) {
    for worker in workers {
        if worker.stopped_at.is_none()
            && worker.hostname == host
            && is_here(worker)
            && process::is_stopped(worker.pid)
        {
            worker.stopped_at = Some(worker.last_heartbeat_at);
        }
    }
}

/// Whether the process of that number is the worker: numbers are used again, and containers share names.
fn is_here(worker: &WorkerRow) -> bool {
    worker.process.as_ref().is_some_and(|known| process::of(worker.pid).as_ref() == Some(known))
}
