//! Starting, refusing to start, and stopping.

use std::time::Duration;

use anyhow::{Context, Result};
use jobforge::core::settings::Settings;
use jobforge::live::Live;
use jobforge_server::{ServerError, ServerOptions, bind};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::{Answer, PATIENCE, database, fixed, options, serve, site};

async fn refused(options: ServerOptions) -> Result<ServerError> {
    let (client, _dir) = database().await?;
    bind(options, client, Live::fixed(Settings::defaults())).await.err().context("it must not start")
}

#[tokio::test]
async fn without_a_token_it_listens_on_loopback_only() -> Result<()> {
    for listen in ["0.0.0.0:8080", "[::]:8080", "192.0.2.7:8080", "[::ffff:192.0.2.7]:8080"] {
        let said = refused(options(listen)).await?.to_string();
        assert!(
            said.starts_with(listen)
                && said.contains("set AUTH_TOKEN or ADMIN_TOKEN, or listen on 127.0.0.1:8080"),
            "{said}"
        );
    }
    let blank = ServerOptions { auth_token: Some("  ".to_owned()), ..options("0.0.0.0:8080") };
    assert!(matches!(refused(blank).await?, ServerError::Exposed { .. }));
    let (client, _dir) = database().await?;
    let guarded = ServerOptions { admin_token: Some("key".to_owned()), ..options("0.0.0.0:0") };
    assert!(bind(guarded, client, Live::fixed(Settings::defaults())).await.is_ok());
    Ok(())
}

#[tokio::test]
async fn an_address_that_is_in_use_or_foreign_is_named() -> Result<()> {
    let site = site().await?;
    let address = site.address.to_string();
    let said = refused(options(&address)).await?.to_string();
    assert_eq!(said, format!("{address} is in use; choose another with --listen"));
    let foreign = ServerOptions { auth_token: Some("key".to_owned()), ..options("192.0.2.7:8080") };
    let said = refused(foreign).await?.to_string();
    assert!(said.starts_with("192.0.2.7:8080 is not an address of this machine"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_token_that_no_header_can_carry_is_refused() -> Result<()> {
    let bad = ServerOptions { admin_token: Some("two words".to_owned()), ..options("127.0.0.1:0") };
    let error = refused(bad.clone()).await?;
    assert!(error.to_string().starts_with("ADMIN_TOKEN contains a space"), "{error}");
    assert!(!format!("{bad:?}{error:?}").contains("two words"), "secrets are not shown");
    Ok(())
}

#[tokio::test]
async fn a_request_under_way_is_answered_before_the_server_stops() -> Result<()> {
    let site = site().await?;
    let mut late = TcpStream::connect(site.address).await?;
    let body = br#"{"type":"a"}"#;
    let head = format!(
        "POST /v1/jobs HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        site.address,
        body.len()
    );
    late.write_all(head.as_bytes()).await?;
    // Once another request is answered, the server has taken the first one's connection too.
    assert_eq!(site.get("/livez").await?.status, 200);
    let idle = TcpStream::connect(site.address).await?;
    assert_eq!(site.get("/livez").await?.status, 200);

    site.stop.cancel();
    while TcpStream::connect(site.address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    late.write_all(body).await?;
    assert_eq!(Answer::read(&mut late).await?.status, 201);
    tokio::time::timeout(PATIENCE, site.running).await.context("it did not stop")???;
    drop(idle);
    Ok(())
}

#[tokio::test]
async fn a_client_that_stalls_does_not_hold_the_stop_for_ever() -> Result<()> {
    let (client, _dir) = database().await?;
    let site = serve(client, options("127.0.0.1:0"), fixed()).await?;
    let mut stalled = TcpStream::connect(site.address).await?;
    stalled.write_all(b"GET /liv").await?;
    assert_eq!(site.get("/livez").await?.status, 200);
    site.stop.cancel();
    tokio::time::timeout(PATIENCE, site.running).await.context("it did not stop")???;
    Ok(())
}
