//! Clients that say nothing, too much or too slowly, and what the others notice of them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jobforge::clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{PATIENCE, Site, site};

async fn says(site: &Site, text: &[u8]) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(site.address).await?;
    stream.write_all(text).await?;
    Ok(stream)
}

/// Reads until the server closes; how it does so is its own choice.
async fn until_closed(stream: &mut TcpStream) -> Result<String> {
    let mut told = Vec::new();
    match tokio::time::timeout(PATIENCE + Duration::from_secs(20), stream.read_to_end(&mut told)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Ok(Err(error)) => return Err(error.into()),
        Err(_) => anyhow::bail!("the server kept the connection"),
    }
    Ok(String::from_utf8_lossy(&told).into_owned())
}

#[tokio::test]
async fn silent_and_slow_clients_hinder_nobody_and_are_shown_out() -> Result<()> {
    let site = site().await?;
    let host = site.address;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(says(&site, b"").await?);
    }
    for _ in 0..50 {
        silent.push(says(&site, b"POST /v1/jobs HTTP/1.1\r\nHost: ").await?);
    }
    // A body that drips is waited for, but for nobody else.
    let drips = format!(
        "POST /v1/jobs HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{"
    );
    let _slow = says(&site, drips.as_bytes()).await?;
    // One that asked and then stays is no different from one that never did.
    let asked = format!("GET /livez HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let mut kept = says(&site, asked.as_bytes()).await?;
    let begun = clock::monotonic();
    for _ in 0..20 {
        ensure!(site.job(r#"{"type":"a"}"#).await?.len() == 36);
    }
    ensure!(clock::monotonic().duration_since(begun) < Duration::from_secs(10), "others were hindered");
    for stream in &mut silent {
        let told = until_closed(stream).await?;
        ensure!(
            told.is_empty() || told.starts_with("HTTP/1.1 408") || told.starts_with("HTTP/1.1 400"),
            "{told}"
        );
    }
    ensure!(until_closed(&mut kept).await?.starts_with("HTTP/1.1 200"));
    ensure!(site.get("/readyz").await?.status == 200);
    Ok(())
}

#[tokio::test]
async fn heads_and_addresses_without_an_end_are_refused_and_the_server_goes_on() -> Result<()> {
    let site = site().await?;
    let host = site.address;
    let heads = [
        format!("GET /v1/jobs?tag={} HTTP/1.1\r\nHost: {host}\r\n\r\n", "x".repeat(70_000)),
        format!("GET /{} HTTP/1.1\r\nHost: {host}\r\n\r\n", "x/".repeat(50_000)),
        format!("GET /v1/jobs HTTP/1.1\r\nHost: {host}\r\nX-Long: {}\r\n\r\n", "x".repeat(200_000)),
        format!("GET /v1/jobs HTTP/1.1\r\nHost: {host}\r\n{}\r\n", "X-Many: y\r\n".repeat(5_000)),
        format!("GET /v1/jobs HTTP/1.1\r\nHost: {host}\r\nX-Reason: a\0b\r\n\r\n"),
        format!("GET /v1/jobs HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"),
        format!("POST /v1/jobs HTTP/1.1\r\nHost: {host}\r\nContent-Length: 18446744073709551616\r\n\r\n"),
        format!(
            "POST /v1/jobs HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n"
        ),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1} a handshake of TLS".to_owned(),
    ];
    for head in heads {
        let mut stream = TcpStream::connect(host).await?;
        // The server may have closed before it has read all.
        let _ = stream.write_all(head.as_bytes()).await;
        let told = until_closed(&mut stream).await?;
        let shown: String = head.chars().take(60).collect();
        let status = told.split(' ').nth(1).unwrap_or("400").to_owned();
        ensure!(matches!(status.as_str(), "400" | "404" | "413" | "414" | "431"), "{shown:?}: {told}");
    }
    ensure!(site.get("/v1/jobs").await?.json()["jobs"].as_array().context("jobs")?.is_empty());
    Ok(())
}
