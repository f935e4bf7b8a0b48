//! Processes of this machine, held on to.
//!
//! The kernel says which process opened a connection, and a pidfd on that process becomes readable when it has ended.
//! That is proof: unlike its number, a pidfd never comes to mean another process. Should the number have been reused
//! before the pidfd was opened, then the process that was meant had ended already, and saying so is no lie.

use std::convert::Infallible;
use std::os::fd::OwnedFd;

use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::serve::IncomingStream;
use jobforge::core::death::ProcessId;
use jobforge::process;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, geteuid, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixListener;

/// The process at the other end of a connection: of the socket, for nobody knows whose the other end of a network is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Peer {
    /// Its number, if the kernel can name it in our own process namespace.
    pub(crate) pid: Option<u32>,
    /// Its user.
    uid: Option<u32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        let peer = stream.io().peer_cred().ok();
        let pid = peer.and_then(|peer| peer.pid()).and_then(|pid| u32::try_from(pid).ok());
        Self { pid: pid.filter(|pid| *pid > 0), uid: peer.map(|peer| peer.uid()) }
    }
}

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<ConnectInfo<Self>>().map(|info| info.0).unwrap_or_default())
    }
}

impl Peer {
    /// Takes hold of the process, if it is there to be seen.
    pub(crate) fn see(self) -> Option<Seen> {
        find(&process::of(self.pid?)?).filter(|seen| !seen.has_ended())
    }

    /// Whether it may speak of other processes: it runs as the server's own user, or as root.
    pub(crate) fn may_speak_of_others(self) -> bool {
        self.uid.is_some_and(|uid| uid == 0 || uid == geteuid().as_raw())
    }
}

/// A process that was found, living or not.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Which it is.
    pub(crate) process: ProcessId,
    /// Readable when it has ended; none if it had ended before it was looked for.
    end: Option<AsyncFd<OwnedFd>>,
}

impl Seen {
    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.end.as_ref().is_none_or(is_readable)
    }

    /// Waits for its end; false if that cannot be waited for.
    pub(crate) async fn ended(&self) -> bool {
        match &self.end {
            Some(end) => end.readable().await.is_ok(),
            None => true,
        }
    }
}

/// Looks for a process; `None` if nothing can be said of it from here, as of one in another container.
pub(crate) fn find(process: &ProcessId) -> Option<Seen> {
    let own = process::own()?;
    let place =
        |process: &ProcessId| (process.machine_id.clone(), process.boot_id.clone(), process.pid_namespace);
    if place(&own) != place(process) {
        return None;
    }
    let found = |end| Some(Seen { process: process.clone(), end });
    let end = match pidfd(process.pid) {
        Ok(end) => end,
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => return found(None),
        Err(_) => return None,
    };
    match process::of(process.pid) {
        Some(now) if now == *process => found(Some(end)),
        // Its number has been given to another.
        Some(_) => found(None),
        // It ended just now, unless this system does not show us other processes.
        None => is_readable(&end).then_some(Seen { process: process.clone(), end: None }),
    }
}

fn is_readable(end: &AsyncFd<OwnedFd>) -> bool {
    let mut look = [PollFd::new(end, PollFlags::IN)];
    poll(&mut look, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}

#[expect(
    deprecated,
    reason = "its successor is not safe; here the descriptor is owned by what waits for it, so nobody can close it"
)]
fn pidfd(pid: u32) -> std::io::Result<AsyncFd<OwnedFd>> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(std::io::ErrorKind::InvalidInput)?;
    AsyncFd::with_interest(pidfd_open(pid, PidfdFlags::empty())?, Interest::READABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_is_found_living_and_then_ended_and_never_taken_for_another() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        let process = process::of(child.id()).expect("it runs");
        let seen = find(&process).expect("it is of this machine");
        assert!(!seen.has_ended());
        let reused = ProcessId { started: process.started - 1, ..process.clone() };
        assert!(find(&reused).expect("the number is known").has_ended(), "another process has its number");
        for elsewhere in [
            ProcessId { boot_id: "another".to_owned(), ..process.clone() },
            ProcessId { machine_id: "another".to_owned(), ..process.clone() },
            ProcessId { pid_namespace: process.pid_namespace + 1, ..process.clone() },
        ] {
            assert!(find(&elsewhere).is_none(), "{elsewhere:?}");
        }
        child.kill().expect("kill");
        assert!(seen.ended().await && seen.has_ended());
        assert!(find(&process).expect("it is not reaped yet").has_ended());
        child.wait().expect("wait");
        assert!(find(&process).expect("its number is free").has_ended());
    }
}
