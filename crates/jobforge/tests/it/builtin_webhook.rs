//! `connector.webhook.deliver` against real sockets on the loopback interface.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jobforge::builtin::outbound::{HttpConfig, Outbound};
use jobforge::builtin::secrets::SecretsConfig;
use jobforge::builtin::trial::{self, Outcome};
use jobforge::builtin::webhook::{self, WebhookOutput};
use jobforge::{JobContext, clock};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::builtin_server::{Asked, Server, answer, secrets_folder};

const KEY: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn outbound() -> Arc<Outbound> {
    secrets_folder("hook", &format!("whsec_{KEY}\n"));
    let folder = Some(secrets_folder("api_key", "sk_live_1234567890abcdef"));
    let config = HttpConfig { allow_private: vec!["127.0.0.1/32".to_owned()], allow_ports: Vec::new() };
    Arc::new(
        Outbound::new(&config, SecretsConfig { folder, ..SecretsConfig::default() })
            .expect("a readable list"),
    )
}

async fn deliver_in(payload: Value, ctx: &JobContext) -> Result<WebhookOutput, Outcome> {
    let payload = serde_json::from_value(payload).expect("a payload");
    webhook::run(payload, ctx.clone(), outbound()).await.map_err(trial::outcome)
}

async fn deliver(payload: Value) -> Result<WebhookOutput, Outcome> {
    deliver_in(payload, &trial::context("connector.webhook.deliver")).await
}

/// Checks a delivery as a receiver does, from the raw request alone.
fn verifies(asked: &Asked) -> bool {
    let header = |name: &str| asked.header(name).unwrap_or_default();
    let mut mac = Hmac::<Sha256>::new_from_slice(&STANDARD.decode(KEY).expect("Base64")).expect("a key");
    mac.update(format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), asked.body).as_bytes());
    header("webhook-signature") == format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[tokio::test]
async fn a_delivery_is_signed_so_that_the_receiver_can_verify_it() {
    let server = Server::start(|_| answer("204 No Content", &[], b"")).await;
    let ctx = trial::context("connector.webhook.deliver");
    let payload = json!({
        "target_url": server.url("/hook"), "event_type": "invoice.paid", "data": {"id": 7}, "secret_ref": "hook",
    });
    let output = deliver_in(payload, &ctx).await.unwrap();
    assert!(output.delivered && output.signed && output.status == 204);
    let asked = server.asked().remove(0);
    assert!(verifies(&asked), "{asked:?}");
    assert_eq!(asked.line, "POST /hook HTTP/1.1");
    assert_eq!(asked.header("webhook-id"), Some(ctx.id().to_string().as_str()));
    assert_eq!(asked.header("x-jobforge-fence"), Some("7"));
    let sent_at: i64 = asked.header("webhook-timestamp").unwrap().parse().unwrap();
    assert!((clock::wall().as_second() - sent_at).abs() < 30);
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    let occurred = ctx.job().created_at.to_string();
    assert_eq!(body, json!({ "type": "invoice.paid", "timestamp": occurred, "data": {"id": 7} }));
}

#[tokio::test]
async fn every_attempt_sends_the_same_id_and_body() {
    let server = Server::start(|_| answer("503 Down", &[], b"")).await;
    let ctx = trial::context("connector.webhook.deliver");
    let payload = json!({ "url": server.url("/"), "event_type": "a", "data": [1, 2], "secret_ref": "hook" });
    for _ in 0..2 {
        assert!(matches!(deliver_in(payload.clone(), &ctx).await, Err(Outcome::Retry { .. })));
    }
    let asked = server.asked();
    assert_eq!(asked[0].header("webhook-id"), asked[1].header("webhook-id"));
    assert_eq!(asked[0].body, asked[1].body);
}

#[tokio::test]
async fn what_is_not_delivered_is_an_error() {
    for (status, wanted) in [
        ("410 Gone", "fatal webhook_gone"),
        ("404 Not Found", "fatal http_status"),
        ("301 Moved", "fatal http_status"),
        ("408 Request Timeout", "retry http_status"),
        ("425 Too Early", "retry http_status"),
        ("429 Too Many Requests", "retry http_status 9s"),
        ("500 Oops", "retry http_status"),
        ("501 Not Implemented", "retry http_status"),
    ] {
        let headers: &[&str] = if wanted.ends_with("9s") { &["Retry-After: 9"] } else { &["Location: /x"] };
        let server = Server::start(move |_| answer(status, headers, b"")).await;
        let outcome = match deliver(json!({ "url": server.url("/"), "event_type": "a" })).await {
            Err(Outcome::Fatal { kind, .. }) => format!("fatal {kind}"),
            Err(Outcome::Retry { kind, after: None, .. }) => format!("retry {kind}"),
            Err(Outcome::Retry { kind, after: Some(wait), .. }) => {
                format!("retry {kind} {}s", wait.as_secs())
            }
            other => format!("{other:?}"),
        };
        assert_eq!(outcome, wanted, "{status}");
    }
    let silent = Server::start(|_| None).await;
    let outcome = deliver(json!({ "url": silent.url("/"), "event_type": "a", "timeout_ms": 100 })).await;
    assert!(matches!(&outcome, Err(Outcome::Retry { kind, .. }) if kind == "http_timeout"), "{outcome:?}");
}

#[tokio::test]
async fn only_signing_secrets_sign() {
    let server = Server::start(|_| answer("200 OK", &[], b"")).await;
    for (name, wanted) in
        [("absent", "secret_missing"), ("api_key", "secret_unusable"), ("../hook", "invalid_payload")]
    {
        let payload = json!({ "url": server.url("/"), "event_type": "a", "secret_ref": name });
        let Err(Outcome::Fatal { kind, message }) = deliver(payload).await else { panic!("{name} was used") };
        assert!(kind == wanted && !message.contains("sk_live"), "{name}: {kind} {message}");
    }
    assert!(server.asked().is_empty(), "something was sent all the same");
}

#[tokio::test]
async fn each_bad_field_is_refused_by_name() {
    let url = "http://127.0.0.1:1/";
    let cases = [
        (json!({"event_type": "a"}), "`url`"),
        (json!({"url": url}), "`event_type`"),
        (json!({"url": url, "event_type": "a b"}), "`event_type`"),
        (json!({"url": url, "event_type": "a", "event_id": "a.b"}), "`event_id`"),
        (json!({"url": url, "event_type": "a", "event_id": "a\r\nX: y"}), "`event_id`"),
        (json!({"url": url, "event_type": "a", "timeout_ms": 60_001}), "`timeout_ms`"),
    ];
    for (payload, field) in cases {
        let outcome = deliver(payload).await;
        let Err(Outcome::Fatal { kind, message }) = &outcome else { panic!("{field}: {outcome:?}") };
        assert!(kind == "invalid_payload" && message.contains(field), "{field}: {message}");
    }
}

#[tokio::test]
async fn a_private_receiver_is_blocked() {
    let outcome = deliver(json!({ "url": "http://169.254.169.254/", "event_type": "a" })).await;
    assert!(matches!(&outcome, Err(Outcome::Fatal { kind, .. }) if kind == "target_blocked"), "{outcome:?}");
    let elapsed = tokio::time::timeout(
        Duration::from_secs(5),
        deliver(json!({ "url": "http://10.0.0.1/", "event_type": "a" })),
    );
    assert!(matches!(elapsed.await, Ok(Err(Outcome::Fatal { .. }))));
}
