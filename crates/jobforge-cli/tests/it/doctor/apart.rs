//! Hosts and disks of a test's own, by namespaces: what is done there is seen nowhere else and ends with the process.

use std::process::Command;

use nix::unistd::geteuid;

use super::by_way_of;
use crate::program::{Done, Home, Running, done};
use crate::site::Site;

/// Who is not root needs a namespace of users, too, in which to be root.
fn namespaces(of: &'static str) -> Vec<&'static str> {
    let mut words = vec!["unshare", of];
    if !geteuid().is_root() {
        words.push("--map-root-user");
    }
    words
}

/// The program apart, after something was done there.
fn apart(home: &Home, of: &'static str, preparation: &str, arguments: &[&str]) -> Command {
    let script = format!("set -e; {preparation}; exec \"$0\" \"$@\"");
    let mut words = namespaces(of);
    words.extend(["sh", "-c", &script]);
    by_way_of(home, &words, arguments)
}

/// A supervised worker that has another host's name.
pub(super) fn work_on(site: &Site, host: &str, more: &[&str]) -> Running {
    let mut arguments = vec!["work", "--config", "jobforge.toml"];
    arguments.extend(more);
    let rename = format!("echo {host} > /proc/sys/kernel/hostname");
    Running::start(apart(&site.home, "--uts", &rename, &arguments), "takes jobs from")
}

/// A server whose data directory is on a disk of its own, of so many MiB.
pub(super) fn serve_on_a_disk(home: &Home, mib: u32) -> Running {
    let data = home.data_dir().display().to_string();
    let mount = format!("mkdir -p {data}; mount -t tmpfs -o size={mib}m none {data}");
    let serve = ["serve", "--config", "jobforge.toml", "--listen", "127.0.0.1:0"];
    Running::start(apart(home, "--mount", &mount, &serve), "stop with Ctrl-C")
}

/// Runs a program where that server is.
pub(super) fn beside(home: &Home, server: &Running, words: &[&str]) -> Done {
    let mut command = home.other("nsenter");
    command.args(["--mount", "--target", &server.pid().to_string()]);
    if !geteuid().is_root() {
        command.args(["--user", "--preserve-credentials"]);
    }
    done(command.args(words).output().unwrap())
}
