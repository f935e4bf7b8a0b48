//! A killed process leaves no server behind. In a process of its own, because that is what is killed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use testkit::postgres::psql;

const POLL: Duration = Duration::from_millis(50);
const POLLS: usize = 400;

/// Starts the chore and returns it with the server's URL and the cluster's directory.
fn start() -> Result<(Child, String, String)> {
    let mut chore = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("postgres")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut url = String::new();
    let stdout = chore.stdout.as_mut().context("stdout is a pipe")?;
    BufReader::new(stdout).read_line(&mut url)?;
    let url = url.trim().to_owned();
    let directory = psql(&url, "SHOW unix_socket_directories")?.trim().to_owned();
    Ok((chore, url, directory))
}

#[track_caller]
fn check_gone(url: &str, directory: &str) {
    let gone = (0..POLLS).any(|_| {
        std::thread::sleep(POLL);
        !Path::new(directory).exists()
    });
    assert!(gone, "{directory} is still there");
    assert!(psql(url, "SELECT 1").is_err());
}

#[test]
fn a_killed_process_leaves_no_server_behind() -> Result<()> {
    let (mut chore, url, directory) = start()?;
    chore.kill()?;
    chore.wait()?;
    check_gone(&url, &directory);
    Ok(())
}

#[test]
fn the_server_ends_with_stdin() -> Result<()> {
    let (mut chore, url, directory) = start()?;
    drop(chore.stdin.take());
    assert!(chore.wait()?.success());
    check_gone(&url, &directory);
    Ok(())
}
