//! What arrives at a collector.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jobforge::clock;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value as AnyValue};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use prost::Message;
use serde_json::json;

use super::{TRUE, up};
use crate::program::{Home, eventually, http};

/// How long a process may try to send its last spans, and as much again for a busy machine.
const LAST_BATCHES: Duration = Duration::from_secs(6);

/// A span, and what is known of the process that sent it.
type Sent = (HashMap<String, String>, Span);

/// A receiver of OTLP over HTTP.
struct Collector {
    url: String,
    spans: Arc<Mutex<Vec<Sent>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let spans = Arc::<Mutex<Vec<_>>>::default();
        let kept = Arc::clone(&spans);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || {
                    let mut stream = BufReader::new(stream);
                    while let Some(request) = export(&mut stream) {
                        for resource in request.resource_spans {
                            let of = attributes(&resource.resource.unwrap_or_default().attributes);
                            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
                            kept.lock().unwrap().extend(spans.map(|span| (of.clone(), span)));
                        }
                    }
                });
            }
        });
        Self { url, spans }
    }

    /// The span, once it has arrived, and who sent it.
    fn span(&self, name: &str, trace: &str) -> Sent {
        let mut found = None;
        eventually(&format!("{name} of trace {trace} arrives"), || {
            let spans = self.spans.lock().unwrap();
            found = spans.iter().find(|(_, span)| span.name == name && hex(&span.trace_id) == trace).cloned();
            found.is_some()
        });
        found.unwrap()
    }
}

/// Reads one call and answers it; `None` at the end of the connection.
fn export(stream: &mut BufReader<TcpStream>) -> Option<ExportTraceServiceRequest> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        head.push(line);
    }
    assert!(head[0].starts_with("post /v1/traces "), "{head:?}");
    assert!(head.contains(&"content-type: application/x-protobuf".to_owned()), "{head:?}");
    assert!(head.contains(&"x-key: secret-4711".to_owned()), "{head:?}");
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
    stream.get_mut().write_all(answer).ok()?;
    Some(ExportTraceServiceRequest::decode(&*body).unwrap())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attributes(of: &[KeyValue]) -> HashMap<String, String> {
    let text = |value: &AnyValue| match value {
        AnyValue::StringValue(text) => text.clone(),
        AnyValue::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    of.iter()
        .filter_map(|pair| Some((pair.key.clone(), text(pair.value.as_ref()?.value.as_ref()?))))
        .collect()
}

#[test]
fn a_run_is_in_the_trace_of_who_enqueued_it_below_the_enqueue_below_the_request() {
    let (collector, home) = (Collector::start(), Home::new());
    let up = up(&home, &collector.url);
    let (trace, caller) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let header = format!("traceparent: 00-{trace}-{caller}-01");
    let job = json!({ "type": "exec", "payload": { "argv": ["true"] } });
    let put = http("POST", &format!("{}/v1/jobs", up.told_url()), &[&header], Some(&job));
    assert_eq!(put.status, 201, "{:?}", put.body);
    let id = put.body["id"].as_str().unwrap();
    home.until(id, "succeeded");

    let (server, request) = collector.span("POST /v1/jobs", trace);
    assert_eq!((request.kind(), hex(&request.parent_span_id).as_str()), (SpanKind::Server, caller));
    let (_, send) = collector.span("send default", trace);
    assert_eq!((send.kind(), &send.parent_span_id), (SpanKind::Producer, &request.span_id));
    let (worker, run) = collector.span("process default", trace);
    assert_eq!((run.kind(), &run.parent_span_id), (SpanKind::Consumer, &send.span_id));

    let told = attributes(&run.attributes);
    for (name, value) in [
        ("messaging.system", "jobforge"),
        ("messaging.operation.type", "process"),
        ("messaging.destination.name", "default"),
        ("messaging.message.id", id),
        ("jobforge.job.type", "exec"),
        ("jobforge.job.attempt", "1"),
        ("jobforge.job.outcome", "succeeded"),
    ] {
        assert_eq!(told.get(name).map(String::as_str), Some(value), "{told:?}");
    }
    assert_eq!(attributes(&request.attributes)["http.response.status_code"], "201");
    assert_eq!((server["service.name"].as_str(), worker["service.name"].as_str()), ("forge", "forge"));
    assert_eq!(worker["deployment.environment.name"], "test");
    assert_ne!(server["process.pid"], worker["process.pid"]);
    assert_eq!(up.terminate(), 0);
}

#[test]
fn a_trace_that_a_job_names_is_kept_and_its_run_and_its_failure_are_directly_below() {
    let (collector, home) = (Collector::start(), Home::new());
    let up = up(&home, &collector.url);
    let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let named = format!("00-{trace}-{parent}-01");
    let job = json!({
        "type": "exec", "payload": { "argv": ["false"] }, "max_attempts": 1, "traceparent": named,
    });
    let put = http("POST", &format!("{}/v1/jobs", up.told_url()), &[], Some(&job));
    let ended = home.until(put.body["id"].as_str().unwrap(), "dead");
    assert_eq!(ended["traceparent"], named.as_str());
    let (_, send) = collector.span("send default", trace);
    let (_, run) = collector.span("process default", trace);
    assert_eq!((hex(&send.parent_span_id).as_str(), hex(&run.parent_span_id).as_str()), (parent, parent));
    assert_eq!(run.status.unwrap().code(), StatusCode::Error);
    assert!(attributes(&run.attributes).contains_key("error.type"));
    assert_eq!(up.terminate(), 0);
}

#[test]
fn what_ends_just_before_the_program_stops_is_sent_all_the_same() {
    let (collector, home) = (Collector::start(), Home::new());
    let mut command = home.command(&super::UP);
    super::traced(&mut command, &collector.url).env("OTEL_BSP_SCHEDULE_DELAY", "3600000");
    let up = crate::program::Running::start(command, "stop with Ctrl-C");
    let trace = "c0ffee7651916cd43dd8448eb211c803";
    let job = json!({
        "type": "exec", "payload": { "argv": ["true"] }, "traceparent": format!("00-{trace}-b7ad6b7169203331-01"),
    });
    let put = http("POST", &format!("{}/v1/jobs", up.told_url()), &[], Some(&job));
    home.until(put.body["id"].as_str().unwrap(), "succeeded");
    assert!(collector.spans.lock().unwrap().is_empty());
    assert_eq!(up.terminate(), 0);
    collector.span("process default", trace);
    collector.span("send default", trace);
}

#[test]
fn jobs_run_and_the_program_stops_in_time_while_the_collector_is_away_and_the_log_says_so_once() {
    let home = Home::new();
    // Takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for collector in ["http://127.0.0.1:9".to_owned(), format!("http://{}", silent.local_addr().unwrap())] {
        let up = up(&home, &collector);
        for _ in 0..3 {
            let id = home.ok(&["job", "enqueue", "exec", TRUE]);
            home.until(&id, "succeeded");
        }
        if collector.ends_with(":9") {
            up.until_it_says("traces do not reach the collector");
        }
        assert!(up.said().matches("traces do not reach the collector").count() <= 2, "{}", up.said());
        assert!(!up.said().contains("secret-4711"), "{}", up.said());
        let asked = clock::monotonic();
        assert_eq!(up.terminate(), 0);
        assert!(asked.elapsed() < LAST_BATCHES * 2, "{:?}", asked.elapsed());
    }
}
