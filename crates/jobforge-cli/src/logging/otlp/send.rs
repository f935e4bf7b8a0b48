//! Sending batches of spans over HTTP, from the exporter's own thread, and telling how it goes.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jobforge::clock::monotonic;
use jobforge::store::error::chain;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::SpanData;
use tokio::runtime::{Builder, Runtime};

use super::variable;

/// Between two lines of the log about a collector that takes nothing.
const BETWEEN_COMPLAINTS: Duration = Duration::from_secs(60);
/// For one request, as the standard has it.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// More than any answer of a collector has.
const MAX_ANSWER: usize = 256 * 1024;

/// An exporter by the standard variables.
pub(super) fn exporter() -> Result<Told, String> {
    for name in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
        match variable(name) {
            Some(protocol) if protocol != "http/protobuf" => {
                return Err(format!("{name} is {protocol:?}, and only http/protobuf is spoken here"));
            }
            Some(_) => break,
            None => {}
        }
    }
    let cause = Arc::<Mutex<Option<String>>>::default();
    let sender = Sender { cause: Arc::clone(&cause), timeout: timeout(), line: OnceLock::new() };
    let inner = SpanExporter::builder()
        .with_http()
        .with_http_client(sender)
        .build()
        .map_err(|fault| fault.to_string())?;
    Ok(Told { inner, cause, trouble: Mutex::default() })
}

fn timeout() -> Duration {
    let told =
        variable("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT").or_else(|| variable("OTEL_EXPORTER_OTLP_TIMEOUT"));
    told.and_then(|ms| ms.parse().ok()).map_or(DEFAULT_TIMEOUT, Duration::from_millis)
}

/// An exporter that says in the log once in a while that its spans do not arrive, and when they do again.
#[derive(Debug)]
pub(super) struct Told {
    inner: SpanExporter,
    cause: Arc<Mutex<Option<String>>>,
    trouble: Mutex<Option<Trouble>>,
}

/// A collector that takes nothing.
#[derive(Debug)]
struct Trouble {
    told: Instant,
    lost: usize,
}

impl Told {
    fn failed(&self, spans: usize, fault: &str) {
        let mut trouble = lock(&self.trouble);
        let now = monotonic();
        let lost = trouble.as_ref().map_or(0, |before| before.lost) + spans;
        let told = match trouble.as_ref() {
            Some(before) if now.duration_since(before.told) < BETWEEN_COMPLAINTS => before.told,
            _ => {
                let cause = lock(&self.cause).take().unwrap_or_else(|| fault.to_owned());
                tracing::warn!(
                    "traces do not reach the collector, {lost} spans are lost so far: {cause}; jobs go on"
                );
                now
            }
        };
        *trouble = Some(Trouble { told, lost });
    }
}

impl opentelemetry_sdk::trace::SpanExporter for Told {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        match self.inner.export(batch).await {
            Ok(()) => {
                if let Some(Trouble { lost, .. }) = lock(&self.trouble).take() {
                    tracing::info!("traces reach the collector again; {lost} spans are lost");
                }
            }
            // Said here, so that the exporter's own thread does not say it for every batch.
            Err(fault) => self.failed(spans, &fault.to_string()),
        }
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &opentelemetry_sdk::Resource) {
        self.inner.set_resource(resource);
    }
}

/// Sends from the thread that calls, on a runtime of its own: jobs share nothing with it, and it needs nothing of theirs.
#[derive(Debug)]
struct Sender {
    cause: Arc<Mutex<Option<String>>>,
    timeout: Duration,
    line: OnceLock<(Runtime, reqwest::Client)>,
}

impl Sender {
    fn line(&self) -> Result<&(Runtime, reqwest::Client), HttpError> {
        if let Some(line) = self.line.get() {
            return Ok(line);
        }
        // Whoever has chosen already has chosen as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(self.timeout)
            .user_agent(concat!("jobforge/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(self.line.get_or_init(|| (runtime, client)))
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (runtime, client) = self.line()?;
        let request = reqwest::Request::try_from(request).map_err(reqwest::Error::without_url)?;
        runtime.block_on(async {
            // The URL may hold a password.
            let mut answer = client.execute(request).await.map_err(reqwest::Error::without_url)?;
            let mut body = Vec::new();
            while let Some(piece) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
                if body.len() + piece.len() > MAX_ANSWER {
                    return Err(format!("the answer is longer than {MAX_ANSWER} bytes").into());
                }
                body.extend_from_slice(&piece);
            }
            let mut told = Response::new(Bytes::from(body));
            *told.status_mut() = answer.status();
            std::mem::swap(told.headers_mut(), answer.headers_mut());
            Ok(told)
        })
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.send(request);
        // The exporter keeps to itself why nothing was sent.
        *lock(&self.cause) = answer.as_ref().err().map(|fault| chain(fault.as_ref()));
        answer
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
