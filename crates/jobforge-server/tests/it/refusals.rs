//! Requests that are refused, in more than a row of `bad_input.rs` can tell.

use anyhow::Result;

use crate::harness::{Site, site};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const MAX_BODY: usize = 2 * 1024 * 1024;

#[tokio::test]
async fn a_job_must_be_sent_as_json() -> Result<()> {
    let site = site().await?;
    let body = br#"{"type":"a"}"#;
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "application/json; charset=latin1",
    ] {
        site.send("POST", "/v1/jobs", &[("Content-Type", kind)], body).await?.refused(415, "content_type");
    }
    site.send("POST", "/v1/jobs", &[], body).await?.refused(415, "content_type");
    site.send("POST", "/v1/jobs", &[JSON, JSON], body).await?.refused(415, "content_type");
    let packed = [JSON, ("Content-Encoding", "gzip")];
    site.send("POST", "/v1/jobs", &packed, body).await?.refused(415, "encoding_not_supported");
    for kind in ["application/json; charset=utf-8", "Application/JSON"] {
        assert_eq!(
            site.send("POST", "/v1/jobs", &[("Content-Type", kind)], body).await?.status,
            201,
            "{kind}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn json_that_is_not_a_job_is_refused_field_by_field() -> Result<()> {
    let site = site().await?;
    let answer = site.enqueue(r#"{"queue":5,"run_att":"now","tags":"x","priority":1.5}"#).await?;
    let said = answer.refused(422, "invalid_job");
    assert!(said.contains("did you mean \"run_at\"?"), "{said}");
    let expected = [
        "/priority wrong_type",
        "/queue wrong_type",
        "/run_att unknown_field",
        "/tags wrong_type",
        "/type required",
    ];
    assert_eq!(answer.faults(), expected);
    for body in ["[]", r#"["a",{}]"#, "\"a\"", "7", "null"] {
        let answer = site.enqueue(body).await?;
        answer.refused(422, "invalid_job");
        assert_eq!(answer.faults(), [" wrong_type"], "{body}");
    }
    Ok(())
}

#[tokio::test]
async fn a_job_out_of_bounds_is_refused_with_every_fault() -> Result<()> {
    let site = site().await?;
    let answer =
        site.enqueue(r#"{"type":"a b","delay_ms":-1,"max_attempts":0,"idempotency_key":""}"#).await?;
    answer.refused(422, "invalid_job");
    let expected = [
        "/type bad_name",
        "/max_attempts out_of_range",
        "/delay_ms out_of_range",
        "/idempotency_key bad_idempotency_key",
    ];
    assert_eq!(answer.faults(), expected);
    Ok(())
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_however_it_comes() -> Result<()> {
    let site = site().await?;
    let padded = |len: usize| format!("{}{}", r#"{"type":"a"}"#, " ".repeat(len - r#"{"type":"a"}"#.len()));
    assert_eq!(site.enqueue(&padded(MAX_BODY)).await?.status, 201);
    site.enqueue(&padded(MAX_BODY + 1)).await?.refused(413, "body_too_large");
    let id = site.job(r#"{"type":"a"}"#).await?;
    let path = format!("/v1/jobs/{id}/cancel");
    site.send("POST", &path, &[], padded(MAX_BODY + 1).as_bytes()).await?.refused(413, "body_too_large");

    let head = |rest: &str| {
        let host = site.address;
        format!(
            "POST /v1/jobs HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n{rest}\r\n\r\n"
        )
    };
    let chunk = format!("{:x}\r\n{}\r\n0\r\n\r\n", MAX_BODY + 1, " ".repeat(MAX_BODY + 1));
    let chunked = head("Transfer-Encoding: chunked") + &chunk;
    site.raw(chunked.as_bytes()).await?.refused(413, "body_too_large");
    site.raw(head("Content-Length: 10000000000").as_bytes()).await?.refused(413, "body_too_large");
    let asks_first = head(&format!("Content-Length: {}\r\nExpect: 100-continue", MAX_BODY + 1));
    site.raw(asks_first.as_bytes()).await?.refused(413, "body_too_large");
    Ok(())
}

#[tokio::test]
async fn what_is_no_job_id_is_told_so() -> Result<()> {
    let site = site().await?;
    let every = |id: &str| {
        let job = format!("/v1/jobs/{id}");
        [
            ("GET", job.clone()),
            ("GET", format!("{job}/explain")),
            ("GET", format!("{job}/logs")),
            ("POST", format!("{job}/cancel")),
            ("POST", format!("{job}/retry")),
            ("DELETE", job),
        ]
    };
    for (method, path) in every("JOB_ID_HERE") {
        let said = site.send(method, &path, &[], b"").await?.refused(400, "bad_id");
        assert!(said.contains("placeholder from the runbook"), "{said}");
    }
    for id in ["17", "%ff", "x%00y", &"9".repeat(5000)] {
        let said = site.get(&format!("/v1/jobs/{id}")).await?.refused(400, "bad_id");
        assert!(said.len() < 300, "{said}");
    }
    for (method, path) in every("01890a5d-ac96-774b-bcce-b302099a8057") {
        site.send(method, &path, &[], b"").await?.refused(404, "job_not_found");
    }
    Ok(())
}

#[tokio::test]
async fn unknown_and_senseless_parameters_are_named() -> Result<()> {
    let site = site().await?;
    let refused = async |site: &Site, query: &str, code: &str| -> Result<String> {
        Ok(site.get(&format!("/v1/jobs?{query}")).await?.refused(400, code))
    };
    let said = refused(&site, "statsu=queued", "unknown_parameter").await?;
    assert!(said.contains("did you mean \"status\"?"), "{said}");
    let said = refused(&site, "wibble-wobble=1", "unknown_parameter").await?;
    assert!(said.contains("tenant_id, status"), "{said}");
    for query in [
        "status=done",
        "status=",
        "status=queued,",
        "limit=0",
        "limit=501",
        "limit=-1",
        "limit=x",
        "before=17",
        "type=",
        "queue=a&queue=b",
        "tag=%00",
        "idempotency_key=a%0Ab",
    ] {
        let said = refused(&site, query, "bad_parameter").await?;
        assert!(said.starts_with(query.split('=').next().unwrap()), "{query}: {said}");
    }
    refused(&site, &format!("tag={}", "x".repeat(256)), "bad_parameter").await?;
    assert!(refused(&site, "before=JOB_ID_HERE", "bad_parameter").await?.contains("placeholder"));
    for path in ["/v1/queues?x=1", "/v1/workers?x=1", "/v1/jobs/17?x=1"] {
        site.get(path).await?.refused(400, "unknown_parameter");
    }
    site.post("/v1/queues/a/pause?for=1h").await?.refused(400, "unknown_parameter");
    Ok(())
}

#[tokio::test]
async fn a_body_where_none_has_a_meaning_is_refused() -> Result<()> {
    let site = site().await?;
    let id = site.job(r#"{"type":"a"}"#).await?;
    let path = format!("/v1/jobs/{id}/retry");
    site.send("POST", &path, &[JSON], br#"{"delay_ms":5}"#).await?.refused(400, "unexpected_body");
    site.send("POST", "/v1/queues/a/pause", &[], b"x").await?.refused(400, "unexpected_body");
    Ok(())
}

#[tokio::test]
async fn other_paths_and_methods_are_problems_too() -> Result<()> {
    let site = site().await?;
    for path in ["/v2/jobs", "/v1/job", "/v1", "/v1/", "//v1/jobs", "/v1/jobs/", "/v1/%6aobs", "/metric"] {
        site.get(path).await?.refused(404, "route_not_found");
    }
    let answer = site.send("PUT", "/v1/jobs", &[], b"").await?;
    answer.refused(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), "GET,HEAD,POST");
    site.post("/livez").await?.refused(405, "method_not_allowed");
    Ok(())
}
