//! Running programs as jobs, without writing a handler: `cargo run --example builtin_exec`.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::time::Duration;

use jobforge::builtin::BuiltinConfig;
use jobforge::builtin::exec::ExecConfig;
use jobforge::core::enqueue::JobRequest;
use jobforge::core::payload::Payload;
use jobforge::{Client, Worker};
use serde_json::json;

const SCRIPT: &str = "echo 'counting files'
echo '::progress 50 half way'
echo \"::result {\\\"attempt\\\": $JOB_ATTEMPT}\"";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let client = Client::open(&format!("sqlite:{}", folder.path().join("jobs.db").display())).await?;

    // The operator says which programs may run; nothing in a job can widen that.
    let exec = ExecConfig { enabled: true, allow: vec!["sh".to_owned()] };
    let config = BuiltinConfig { exec, ..BuiltinConfig::default() };
    let worker = Worker::builder(&client).builtins(config)?.start().await?;

    for payload in [
        json!({ "argv": ["sh", "-c", SCRIPT] }),
        json!({ "argv": ["sh", "-c", "echo 'no such customer' >&2; exit 3"] }),
        json!({ "argv": ["rm", "-rf", "/"] }),
    ] {
        println!("{payload}");
        let request = JobRequest {
            job_type: "exec".to_owned(),
            payload: Some(Payload::from_value(&payload)?),
            max_attempts: Some(1),
            ..JobRequest::default()
        };
        let id = client.enqueue_untyped(request).await?.id;
        client.wait(id, Duration::from_secs(10)).await?;
        let detail = client.job_detail(id).await?;
        println!("  {}", detail.job.status);
        if let Some(error) = detail.job.error {
            println!("  {}: {}", error.kind, error.message);
        }
        if let Some(result) = detail.result {
            println!("  result {}", result.as_str());
        }
        for log in detail.logs {
            println!("  printed {:?}", log.text);
        }
    }
    worker.stop_gracefully(Duration::from_secs(5)).await;
    Ok(())
}
