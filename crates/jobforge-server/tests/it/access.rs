//! Who may ask.

use anyhow::Result;

use crate::harness::{guarded, site};

const TOKEN: &str = "Authorization";

#[tokio::test]
async fn with_a_token_set_the_api_answers_only_to_it() -> Result<()> {
    let site = guarded().await?;
    for path in ["/v1/jobs", "/v1/queues", "/v1/workers", "/v1/jobs/x", "/v1/no-such-route", "/v1"] {
        let answer = site.get(path).await?;
        answer.refused(401, "token_missing");
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"jobforge\"");
    }
    let refused = async |value: &str, code: &str| {
        site.send("GET", "/v1/jobs", &[(TOKEN, value)], b"").await.map(|answer| answer.refused(401, code))
    };
    refused("Bearer wrong", "token_unknown").await?;
    refused("Bearer operator-key2", "token_unknown").await?;
    refused("Bearer ", "auth_header").await?;
    refused("Basic b3BlcmF0b3Ita2V5", "auth_header").await?;
    refused("operator-key", "auth_header").await?;
    let twice = [(TOKEN, "Bearer operator-key"), (TOKEN, "Bearer operator-key")];
    site.send("GET", "/v1/jobs", &twice, b"").await?.refused(401, "auth_header");
    for value in ["Bearer operator-key", "Bearer admin-key", "bearer admin-key"] {
        assert_eq!(site.send("GET", "/v1/jobs", &[(TOKEN, value)], b"").await?.status, 200, "{value}");
    }
    Ok(())
}

#[tokio::test]
async fn a_job_without_a_token_is_refused_before_it_is_read() -> Result<()> {
    let site = guarded().await?;
    site.enqueue("{").await?.refused(401, "token_missing");
    site.post("/v1/queues/default/pause").await?.refused(401, "token_missing");
    assert!(
        site.client
            .jobs(&jobforge::store::rows::JobFilter { limit: 1, ..Default::default() })
            .await?
            .is_empty()
    );
    Ok(())
}

#[tokio::test]
async fn health_and_the_front_page_need_no_token() -> Result<()> {
    let site = guarded().await?;
    for path in ["/", "/livez", "/readyz", "/startupz"] {
        assert_eq!(site.get(path).await?.status, 200, "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn without_a_token_only_loopback_names_are_answered() -> Result<()> {
    let site = site().await?;
    let port = site.address.port();
    for host in [
        format!("localhost:{port}"),
        "LOCALHOST".to_owned(),
        format!("127.0.0.1:{port}"),
        format!("[::1]:{port}"),
    ] {
        assert_eq!(site.send("GET", "/v1/jobs", &[("Host", &host)], b"").await?.status, 200, "{host}");
    }
    for host in ["evil.example", "evil.example:8080", "localhost.evil.example", "192.168.1.9", ""] {
        let detail =
            site.send("GET", "/v1/jobs", &[("Host", host)], b"").await?.refused(403, "host_not_local");
        assert!(detail.contains("AUTH_TOKEN"), "{detail}");
    }
    let twice = [("Host", "localhost"), ("Host", "evil.example")];
    assert!(matches!(site.send("GET", "/v1/jobs", &twice, b"").await?.status, 400 | 403));
    let absolute =
        b"GET http://evil.example/v1/jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    site.raw(absolute).await?.refused(403, "host_not_local");
    let hostless = b"GET /v1/jobs HTTP/1.0\r\n\r\n";
    site.raw(hostless).await?.refused(403, "host_not_local");
    Ok(())
}

#[tokio::test]
async fn with_a_token_any_host_name_is_answered() -> Result<()> {
    let mut site = guarded().await?;
    site.token = Some("operator-key".to_owned());
    let headers = [("Host", "jobs.example.org"), ("Sec-Fetch-Site", "cross-site")];
    assert_eq!(site.send("GET", "/v1/jobs", &headers, b"").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn without_a_token_requests_of_foreign_pages_are_refused() -> Result<()> {
    let site = site().await?;
    for (name, value) in [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
    ] {
        site.send("POST", "/v1/queues/default/pause", &[(name, value)], b"")
            .await?
            .refused(403, "cross_site");
    }
    for (name, value) in
        [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "none"), ("Origin", "http://localhost:1")]
    {
        assert_eq!(site.send("GET", "/v1/jobs", &[(name, value)], b"").await?.status, 200, "{name}: {value}");
    }
    Ok(())
}
