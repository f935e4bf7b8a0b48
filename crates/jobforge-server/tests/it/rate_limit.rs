//! Who asks too often is told to wait; others are not.

use std::collections::BTreeMap;

use anyhow::Result;
use jobforge::core::settings::{Layers, Settings, resolve};
use jobforge::live::Live;
use tempfile::TempDir;

use crate::harness::{Site, database, options, serve};

async fn limited(per_second: &str) -> Result<(Site, TempDir)> {
    let flags = BTreeMap::from([("http_requests_per_second".to_owned(), per_second.to_owned())]);
    let layers = Layers { flags, env: &|_| None, file: BTreeMap::new(), stored: BTreeMap::new() };
    let settings: Settings = resolve(&layers).map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    let (client, dir) = database().await?;
    let mut tokens = options("127.0.0.1:0");
    (tokens.auth_token, tokens.admin_token) = (Some("operator-key".to_owned()), Some("admin-key".to_owned()));
    Ok((serve(client, tokens, Live::fixed(settings)).await?, dir))
}

#[tokio::test]
async fn a_token_that_asks_too_often_has_to_wait_while_others_go_on() -> Result<()> {
    // One request a second and two at once: slow enough that a starved machine sees the same.
    let (mut site, _dir) = limited("1").await?;
    site.token = Some("operator-key".to_owned());
    let first = site.get("/v1/jobs").await?;
    assert_eq!((first.status, first.header("ratelimit")), (200, "\"caller\";r=1;t=1"), "{first:?}");
    assert_eq!(first.header("ratelimit-policy"), "\"caller\";q=2;w=2");
    let refused = async || {
        for _ in 0..50 {
            let answer = site.get("/v1/jobs").await?;
            if answer.status != 200 {
                return Ok(answer);
            }
        }
        anyhow::bail!("fifty requests were let through")
    };
    let refused = refused().await?;
    refused.refused(429, "rate_limited");
    assert!(matches!(refused.header("retry-after"), "1" | "2"), "{refused:?}");
    assert_eq!(refused.header("ratelimit").split(';').nth(1), Some("r=0"), "{refused:?}");
    site.token = Some("admin-key".to_owned());
    assert_eq!(site.get("/v1/jobs").await?.status, 200, "another token of the same address");
    site.token = None;
    assert_eq!(site.get("/api/health").await?.status, 200, "an address without a token");
    for _ in 0..10 {
        assert_eq!(site.get("/livez").await?.status, 200, "probes are not counted");
    }
    Ok(())
}

#[tokio::test]
async fn zero_is_no_limit() -> Result<()> {
    let (mut site, _dir) = limited("0").await?;
    site.token = Some("operator-key".to_owned());
    for _ in 0..20 {
        let answer = site.get("/v1/queues").await?;
        assert_eq!((answer.status, answer.header("ratelimit")), (200, ""));
    }
    Ok(())
}
