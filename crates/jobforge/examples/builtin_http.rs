//! Calling web services as jobs, without writing a handler: `cargo run --example builtin_http`.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::time::Duration;

use jobforge::builtin::BuiltinConfig;
use jobforge::builtin::outbound::HttpConfig;
use jobforge::core::enqueue::JobRequest;
use jobforge::core::payload::Payload;
use jobforge::{Client, Worker};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A web service in a few lines: it refuses the first request and takes the second.
async fn serve(listener: TcpListener) -> std::io::Result<()> {
    for answer in ["503 Service Unavailable\r\nRetry-After: 1", "201 Created"] {
        let (mut stream, _) = listener.accept().await?;
        let mut request = vec![0; 8192];
        let length = stream.read(&mut request).await?;
        let text = String::from_utf8_lossy(&request[..length]);
        let first = text.lines().next().unwrap_or_default();
        let key =
            text.lines().find(|line| line.to_lowercase().starts_with("idempotency-key")).unwrap_or_default();
        println!("  the service got {first:?} with {key:?}");
        let body = "{\"id\":1}";
        let head = format!("HTTP/1.1 {answer}\r\nContent-Type: application/json\r\nConnection: close");
        stream
            .write_all(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
            .await?;
        stream.shutdown().await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let client = Client::open(&format!("sqlite:{}", folder.path().join("jobs.db").display())).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/orders", listener.local_addr()?);
    tokio::spawn(serve(listener));

    // Private networks are out of reach unless the operator opens them.
    let mut config = BuiltinConfig::default();
    for allow_private in [vec![], vec!["127.0.0.1/32".to_owned()]] {
        println!("private networks that may be reached: {allow_private:?}");
        config.http = HttpConfig { allow_private, ..HttpConfig::default() };
        let worker = Worker::builder(&client).builtins(config.clone())?.start().await?;
        let payload = json!({ "method": "POST", "url": url, "body": { "order": 17 } });
        let request = JobRequest {
            job_type: "connector.http.request".to_owned(),
            payload: Some(Payload::from_value(&payload)?),
            ..JobRequest::default()
        };
        let id = client.enqueue_untyped(request).await?.id;
        let job = client.wait(id, Duration::from_secs(20)).await?;
        let error =
            job.error.map(|error| format!(" ({}: {})", error.kind, error.message)).unwrap_or_default();
        println!("job {} after {} attempt(s){error}", job.status, job.attempts);
        if let Some(result) = client.job_detail(id).await?.result {
            println!("  result {}", result.as_str());
        }
        worker.stop_gracefully(Duration::from_secs(5)).await;
    }
    Ok(())
}
