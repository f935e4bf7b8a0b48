//! `cargo xtask postgres`: a server to try things on.

use std::io::{Write, stdin, stdout};

use anyhow::{Context, Result};
use testkit::postgres::{Cluster, ClusterOptions};

/// Prints the URL of a throw-away server as the only line on stdout, and keeps the server until stdin ends.
///
/// Ctrl-C and even `kill -9` stop the server too.
pub(crate) fn run() -> Result<()> {
    let cluster = Cluster::start(&ClusterOptions::default())?;
    println!("{}", cluster.server().url());
    stdout().flush().context("failed to print the URL")?;
    eprintln!("Ctrl-D or Ctrl-C stops the server and removes its data");
    std::io::copy(&mut stdin().lock(), &mut std::io::sink())
        .context("failed to wait for the end of stdin")?;
    Ok(())
}
