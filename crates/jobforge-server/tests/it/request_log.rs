//! What a request leaves in the log.

use std::io;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use jobforge::Client;
use serde_json::Value;
use tracing_subscriber::fmt::MakeWriter;

use crate::failing_store::{FailingStore, Fault};
use crate::harness::{fixed, guarded, options, serve};

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no test panics with it").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Kept {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Kept {
    /// Keeps what this thread logs; the tests' runtime has no other.
    fn begin(&self) -> tracing::subscriber::DefaultGuard {
        let log =
            tracing_subscriber::fmt().json().with_max_level(tracing::Level::INFO).with_writer(self.clone());
        tracing::subscriber::set_default(log.finish())
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no test panics with it")).into_owned()
    }

    /// The fields of the line of one request.
    fn line(&self, id: &str) -> Result<Value> {
        let text = self.text();
        let line =
            text.lines().find(|line| line.contains(id)).with_context(|| format!("no {id} in {text}"))?;
        Ok(serde_json::from_str::<Value>(line)?["fields"].take())
    }
}

#[tokio::test]
async fn a_request_is_logged_with_its_id_but_not_with_its_secrets() -> Result<()> {
    let kept = Kept::default();
    let _guard = kept.begin();
    let mut site = guarded().await?;
    site.token = Some("operator-key".to_owned());
    let answer = site.get("/v1/jobs?idempotency_key=private-key").await?;
    let fields = kept.line(answer.header("x-request-id"))?;
    assert_eq!(
        (&fields["method"], &fields["path"], &fields["status"]),
        (&"GET".into(), &"/v1/jobs".into(), &200.into())
    );
    assert!(fields["ms"].is_u64(), "{fields}");
    site.enqueue(r#"{"type":"a","payload":"private-payload"}"#).await?;
    site.get("/livez").await?;
    let text = kept.text();
    assert!(!text.contains("operator-key") && !text.contains("private"), "{text}");
    assert!(!text.contains("livez"), "probes are not worth a line: {text}");
    Ok(())
}

#[tokio::test]
async fn a_failure_is_logged_with_the_cause_that_the_client_does_not_see() -> Result<()> {
    let kept = Kept::default();
    let _guard = kept.begin();
    let site = serve(Client::new(FailingStore::new(Fault::Failed)), options("127.0.0.1:0"), fixed()).await?;
    let answer = site.get("/v1/queues").await?;
    let fields = kept.line(answer.header("x-request-id"))?;
    let cause = "the database at postgres://db.internal/jobs failed during a call: the driver's own words";
    assert_eq!((&fields["error"], &fields["status"]), (&cause.into(), &500.into()));
    Ok(())
}
