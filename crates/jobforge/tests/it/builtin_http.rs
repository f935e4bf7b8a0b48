//! `connector.http.request` against real sockets on the loopback interface.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jobforge::builtin::http::{self, HttpOutput};
use jobforge::builtin::outbound::{HttpConfig, Outbound};
use jobforge::builtin::secrets::SecretsConfig;
use jobforge::builtin::trial::{self, Outcome};
use jobforge::{JobContext, StopReason};
use serde_json::{Value, json};

use crate::builtin_server::{Asked, Server, answer, secrets_folder};

const HANG: Duration = Duration::from_secs(20);
const SECRET: &str = "canary-s3cr3t-value";

/// An outgoing side that may reach `allow` and knows the secret `key`, which `bound` may limit to other hosts.
fn outbound(allow: &[&str], bound: bool) -> Arc<Outbound> {
    let folder = Some(secrets_folder("key", SECRET));
    let hosts = if bound {
        BTreeMap::from([("key".to_owned(), vec!["api.example.com".to_owned()])])
    } else {
        BTreeMap::new()
    };
    let allow_private = allow.iter().map(|&entry| entry.to_owned()).collect();
    let config = HttpConfig { allow_private, allow_ports: Vec::new() };
    Arc::new(Outbound::new(&config, SecretsConfig { folder, hosts }).expect("a readable list"))
}

fn loopback() -> Arc<Outbound> {
    outbound(&["127.0.0.1/32"], false)
}

async fn send_in(payload: Value, ctx: &JobContext, outbound: &Arc<Outbound>) -> Result<HttpOutput, Outcome> {
    let payload = serde_json::from_value(payload).expect("a payload");
    let run = http::run(payload, ctx.clone(), Arc::clone(outbound));
    tokio::time::timeout(HANG, run).await.expect("the request hangs").map_err(trial::outcome)
}

async fn send(payload: Value) -> Result<HttpOutput, Outcome> {
    send_in(payload, &trial::context("connector.http.request"), &loopback()).await
}

async fn fixed(status: &'static str, headers: &'static [&'static str], body: &'static [u8]) -> Server {
    Server::start(move |_| answer(status, headers, body)).await
}

#[track_caller]
fn check_fatal(outcome: Result<HttpOutput, Outcome>, wanted: &str, texts: &[&str]) {
    match outcome {
        Err(Outcome::Fatal { kind, message }) if kind == wanted => {
            assert!(texts.iter().all(|text| message.contains(text)), "{message}");
            assert!(!message.contains(SECRET), "{message}");
        }
        other => panic!("wanted a fatal error of kind {wanted}, got {other:?}"),
    }
}

#[track_caller]
fn check_retry(outcome: Result<HttpOutput, Outcome>, wanted: &str, wait: Option<u64>) {
    match outcome {
        Err(Outcome::Retry { kind, after, .. }) if kind == wanted => {
            assert_eq!(after, wait.map(Duration::from_secs));
        }
        other => panic!("wanted a retry of kind {wanted}, got {other:?}"),
    }
}

#[tokio::test]
async fn a_request_carries_body_key_fence_and_secret() {
    let server = fixed(
        "201 Created",
        &["Content-Type: application/json", "Set-Cookie: a=b", "ETag: \"7\""],
        b"{\"id\":1}",
    )
    .await;
    let ctx = trial::context("connector.http.request");
    let payload = json!({
        "url": server.url("/charges?x=1"), "method": "POST", "body": {"cents": 5},
        "headers": {"Authorization": {"secret_ref": "key", "format": "Bearer {}"}, "X-Mine": "1"},
    });
    let output = send_in(payload, &ctx, &loopback()).await.unwrap();
    assert_eq!(
        (output.status, output.body.as_str(), output.body_base64, output.truncated),
        (201, "{\"id\":1}", false, false)
    );
    let kept: Vec<&str> = output.headers.keys().map(String::as_str).collect();
    assert_eq!(kept, ["content-length", "content-type", "etag"]);

    let asked = server.asked().remove(0);
    assert_eq!((asked.line.as_str(), asked.body.as_str()), ("POST /charges?x=1 HTTP/1.1", "{\"cents\":5}"));
    let id = ctx.id().to_string();
    let wanted = [
        ("idempotency-key", id.as_str()),
        ("x-jobforge-fence", "7"),
        ("content-type", "application/json"),
        ("x-mine", "1"),
        ("authorization", "Bearer canary-s3cr3t-value"),
    ];
    for (name, value) in wanted {
        assert_eq!(asked.header(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn the_status_decides_what_becomes_of_the_job() {
    for status in ["400 Bad Request", "404 Not Found", "501 Not Implemented", "302 Found"] {
        let server = Server::start(move |_| answer(status, &[], b"why")).await;
        check_fatal(send(json!({ "url": server.url("/secret-path") })).await, "http_status", &[&status[..3]]);
    }
    for status in [
        "408 Request Timeout",
        "425 Too Early",
        "429 Too Many",
        "500 Oops",
        "502 Bad",
        "503 Down",
        "504 Slow",
    ] {
        let server = Server::start(move |_| answer(status, &[], b"")).await;
        check_retry(send(json!({ "url": server.url("/") })).await, "http_status", None);
    }
    let server = fixed("404 Not Found", &[], b"gone").await;
    assert_eq!(
        send(json!({ "url": server.url("/"), "ok_statuses": ["2xx", 404] })).await.unwrap().status,
        404
    );
    check_retry(
        send(json!({ "url": server.url("/"), "retry_statuses": ["4xx"] })).await,
        "http_status",
        None,
    );
}

#[tokio::test]
async fn retry_after_sets_the_wait_up_to_an_hour() {
    for (header, seconds) in [("Retry-After: 17", 17), ("Retry-After: 86400", 3600)] {
        let server = Server::start(move |_| answer("503 Down", &[header], b"")).await;
        check_retry(send(json!({ "url": server.url("/") })).await, "http_status", Some(seconds));
    }
}

#[tokio::test]
async fn a_big_body_is_cut() {
    let server = Server::start(|_| answer("200 OK", &[], &vec![b'x'; 3_000_000])).await;
    let output = send(json!({ "url": server.url("/"), "max_response_bytes": 1000 })).await.unwrap();
    assert_eq!((output.body.len(), output.truncated), (1000, true));
    let output = send(json!({ "url": server.url("/") })).await.unwrap();
    assert_eq!((output.body.len(), output.truncated), (1_000_000, true));
}

#[tokio::test]
async fn a_body_without_end_is_cut_too() {
    let endless = |_: &Asked| Some([b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &vec![b'y'; 2_000_000]].concat());
    let server = Server::start(endless).await;
    let output = send(json!({ "url": server.url("/"), "max_response_bytes": 10 })).await.unwrap();
    assert_eq!((output.body.as_str(), output.truncated), ("yyyyyyyyyy", true));
}

#[tokio::test]
async fn a_body_that_is_no_text_is_base64() {
    let server = fixed("200 OK", &[], b"\x89PNG\0").await;
    let output = send(json!({ "url": server.url("/") })).await.unwrap();
    assert_eq!((output.body.as_str(), output.body_base64), ("iVBORwA=", true));
}

#[tokio::test]
async fn a_server_that_is_silent_or_stops_midway_times_out() {
    let silent = Server::start(|_| None).await;
    check_retry(send(json!({ "url": silent.url("/"), "timeout_ms": 100 })).await, "http_timeout", None);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let midway = async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegin").await.unwrap();
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        outcome = send(json!({ "url": url, "timeout_ms": 200 })) => outcome,
        () = midway => unreachable!(),
    };
    check_retry(outcome, "http_timeout", None);
}

#[tokio::test]
async fn a_refused_connection_is_worth_another_attempt_and_names_no_path() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/token/abc", listener.local_addr().unwrap());
    drop(listener);
    let Err(Outcome::Retry { kind, message, .. }) = send(json!({ "url": url })).await else {
        panic!("no retry")
    };
    assert!(kind == "http_network" && message.contains("refused") && !message.contains("abc"), "{message}");
}

#[tokio::test]
async fn a_stop_breaks_the_request_off() {
    let server = Server::start(|_| None).await;
    let ctx = trial::context("connector.http.request");
    let stop = async {
        while server.asked().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        trial::stop(&ctx, StopReason::Canceled);
    };
    let outbound = loopback();
    let (outcome, ()) = tokio::join!(send_in(json!({ "url": server.url("/") }), &ctx, &outbound), stop);
    assert_eq!(outcome, Err(Outcome::Stopped));
}

#[tokio::test]
async fn private_targets_are_blocked_by_address_and_by_name() {
    let server = fixed("200 OK", &[], b"internal").await;
    let port = server.address.port();
    let closed = outbound(&[], false);
    let ctx = trial::context("connector.http.request");
    for host in ["127.0.0.1", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]", "localhost", "LOCALHOST"] {
        let url = format!("http://{host}:{port}/");
        let outcome = send_in(json!({ "url": url }), &ctx, &closed).await;
        check_fatal(outcome, "target_blocked", &["`loopback`", "JOBFORGE_HTTP_ALLOW_PRIVATE"]);
    }
    assert!(server.asked().is_empty(), "a blocked target was contacted");
}

#[tokio::test]
async fn an_allowed_port_of_a_private_host_opens_no_other_port() {
    let (open, shut) = (fixed("200 OK", &[], b"").await, fixed("200 OK", &[], b"").await);
    let outbound = outbound(&[&open.address.to_string()], false);
    let ctx = trial::context("connector.http.request");
    for host in ["127.0.0.1", "localhost"] {
        let url = |server: &Server| format!("http://{host}:{}/", server.address.port());
        assert!(send_in(json!({ "url": url(&open) }), &ctx, &outbound).await.is_ok(), "{host}");
        check_fatal(send_in(json!({ "url": url(&shut) }), &ctx, &outbound).await, "target_blocked", &[]);
    }
    assert!(shut.asked().is_empty());
}

#[tokio::test]
async fn a_redirect_to_a_private_address_is_blocked() {
    for target in
        ["http://169.254.169.254/latest/meta-data/", "http://127.0.0.2/", "http://[::1]/", "//10.0.0.1/"]
    {
        let header: &'static str = Box::leak(format!("Location: {target}").into_boxed_str());
        let server = Server::start(move |_| answer("302 Found", &[header], b"")).await;
        let outcome = send(json!({ "url": server.url("/"), "follow_redirects": true })).await;
        check_fatal(outcome, "target_blocked", &[]);
    }
}

#[tokio::test]
async fn redirects_are_followed_only_when_asked_for_and_three_at_most() {
    let server = Server::start(|asked| match asked.line.split(' ').nth(1)? {
        "/a" => answer("302 Found", &["Location: /b"], b""),
        "/b" => answer("307 Temporary Redirect", &["Location: c"], b""),
        "/c" => answer("200 OK", &[], b"here"),
        _ => answer("301 Moved", &["Location: /loop"], b""),
    })
    .await;
    check_fatal(send(json!({ "url": server.url("/a") })).await, "http_status", &["follow_redirects"]);
    let payload = json!({ "url": server.url("/a"), "method": "POST", "body": "x", "follow_redirects": true });
    assert_eq!(send(payload).await.unwrap().body, "here");
    let lines: Vec<String> = server.asked().into_iter().skip(1).map(|asked| asked.line).collect();
    assert_eq!(lines, ["POST /a HTTP/1.1", "GET /b HTTP/1.1", "GET /c HTTP/1.1"]);
    let outcome = send(json!({ "url": server.url("/loop"), "follow_redirects": true })).await;
    check_fatal(outcome, "too_many_redirects", &["3 times"]);
    assert_eq!(server.asked().len(), 4 + 4);
}

#[tokio::test]
async fn a_redirect_to_another_origin_takes_no_credentials_along() {
    let other = fixed("200 OK", &[], b"").await;
    let header: &'static str = Box::leak(format!("Location: {}", other.url("/there")).into_boxed_str());
    let first = Server::start(move |_| answer("307 Temporary Redirect", &[header], b"")).await;
    let payload = json!({
        "url": first.url("/"), "method": "PUT", "body": {"a": 1}, "follow_redirects": true,
        "headers": {"X-Key": {"secret_ref": "key"}, "Authorization": "Basic abc", "Cookie": "a=b", "X-Api-Token": "t", "Accept": "text/plain"},
    });
    send(payload).await.unwrap();
    assert_eq!(first.asked()[0].header("x-key"), Some(SECRET));
    let asked = other.asked().remove(0);
    for name in ["x-key", "authorization", "cookie", "x-api-token"] {
        assert_eq!(asked.header(name), None, "{name}");
    }
    assert_eq!((asked.body.as_str(), asked.header("accept")), ("{\"a\":1}", Some("text/plain")));
}

#[tokio::test]
async fn an_echoed_secret_is_stored_neither_in_the_output_nor_in_an_error() {
    let echo = |status: &'static str| {
        move |asked: &Asked| {
            let secret = asked.header("x-key")?.to_owned();
            answer(status, &[&format!("Location: /?key={secret}")], format!("you sent {secret}").as_bytes())
        }
    };
    let payload =
        |server: &Server| json!({ "url": server.url("/"), "headers": {"X-Key": {"secret_ref": "key"}} });
    let server = Server::start(echo("200 OK")).await;
    let output = send(payload(&server)).await.unwrap();
    assert_eq!(
        (output.body.as_str(), output.headers["location"].as_str()),
        ("you sent [redacted]", "/?key=[redacted]")
    );

    let server = Server::start(echo("400 Bad Request")).await;
    let ctx = trial::context("connector.http.request");
    let payload = serde_json::from_value(payload(&server)).unwrap();
    let error = http::run(payload, ctx.clone(), loopback()).await.unwrap_err();
    assert!(format!("{error:?}").contains("you sent [redacted]"), "{error:?}");
    assert!(!format!("{error:?}{:?}{:?}", trial::report(&ctx), loopback()).contains(SECRET));
}

#[tokio::test]
async fn a_secret_bound_to_other_hosts_is_not_sent() {
    let server = fixed("200 OK", &[], b"").await;
    let payload = json!({ "url": server.url("/"), "headers": {"X-Key": {"secret_ref": "key"}} });
    let ctx = trial::context("connector.http.request");
    let outcome = send_in(payload, &ctx, &outbound(&["127.0.0.1"], true)).await;
    check_fatal(outcome, "secret_not_for_host", &["JOBFORGE_SECRET_HOSTS"]);
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn after_five_failures_a_host_is_left_alone_and_the_job_waits_without_failing() {
    let server = fixed("500 Oops", &[], b"").await;
    let outbound = loopback();
    let ctx = trial::context("connector.http.request");
    for _ in 0..5 {
        check_retry(send_in(json!({ "url": server.url("/") }), &ctx, &outbound).await, "http_status", None);
    }
    let outcome = send_in(json!({ "url": server.url("/") }), &ctx, &outbound).await;
    assert!(matches!(outcome, Err(Outcome::Snooze(wait)) if wait > Duration::from_secs(20)), "{outcome:?}");
    assert_eq!(server.asked().len(), 5);
    assert!(trial::report(&ctx).log_tail.unwrap().contains("left alone"));
    let other = fixed("200 OK", &[], b"").await;
    send_in(json!({ "url": other.url("/") }), &ctx, &outbound).await.unwrap();
}

#[tokio::test]
async fn each_bad_field_is_refused_by_name() {
    let cases = [
        (json!({}), "`url`"),
        (json!({"url": "not a url"}), "`url`"),
        (json!({"url": "file:///etc/passwd"}), "`url`"),
        (json!({"url": "http://user:pass@example.com/"}), "`url`"),
        (json!({"url": "http://127.0.0.1/", "method": "get"}), "`method`"),
        (json!({"url": "http://127.0.0.1/", "method": "CONNECT"}), "`method`"),
        (json!({"url": "http://127.0.0.1/", "timeout_ms": 0}), "`timeout_ms`"),
        (json!({"url": "http://127.0.0.1/", "timeout_ms": 300_001}), "`timeout_ms`"),
        (json!({"url": "http://127.0.0.1/", "max_response_bytes": 1_048_577}), "`max_response_bytes`"),
        (json!({"url": "http://127.0.0.1/", "ok_statuses": ["ok"]}), "`ok_statuses`"),
        (json!({"url": "http://127.0.0.1/", "retry_statuses": [42]}), "`retry_statuses`"),
        (json!({"url": "http://127.0.0.1/", "headers": {"Host": "x"}}), "`headers.Host`"),
        (json!({"url": "http://127.0.0.1/", "method": "HEAD", "body": "x"}), "`body`"),
    ];
    for (payload, field) in cases {
        check_fatal(send(payload).await, "invalid_payload", &[field]);
    }
}
