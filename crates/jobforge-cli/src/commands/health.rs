//! `jobforge health`: whether the process of this machine is ready, for the health checks of containers that have no curl.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use jobforge::core::role::Role;

use super::{Context, serve};
use crate::failure::{self, Failure};
use crate::output;

/// How long it may take to connect, and then to answer.
const PATIENCE: Duration = Duration::from_secs(4);
/// As much of an answer as is read.
const ANSWER: u64 = 64 * 1024;

/// Asks `/readyz` of the HTTP server, or of a process without one whether it tells its metrics.
pub(crate) fn run(context: &Context, metrics: bool) -> Result<(), Failure> {
    let settings = &context.settings;
    let (key, path) = match !metrics && serve::roles(settings)?.contains(&Role::Api) {
        true => ("listen", "/readyz"),
        false => ("metrics_listen", "/metrics"),
    };
    let text = settings.text(key);
    let address: SocketAddr = text.parse().map_err(|_| {
        Failure::new(failure::CONFIG, format!("{key} is {text:?}, which is no address to ask"))
            .hint("set it as the process that is meant has it")
    })?;
    let address = reachable(address);
    let fail = |error: std::io::Error| {
        Failure::new(failure::UNREACHABLE, format!("{address}{path} does not answer: {error}"))
    };
    let (head, body) = ask(address, path).map_err(fail)?;
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    if status == "200" {
        output::say("ready");
        return Ok(());
    }
    Err(Failure::new(failure::FOUND, format!("{address}{path} answers {status}: {}", body.trim())))
}

/// Who listens on all addresses is asked on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip().is_unspecified() {
        true => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
        false => address,
    }
}

fn ask(address: SocketAddr, path: &str) -> std::io::Result<(String, String)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut answer = Vec::new();
    stream.take(ANSWER).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    Ok((head.to_owned(), body.to_owned()))
}
