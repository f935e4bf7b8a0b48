//! Through client, database and worker.

use std::time::Duration;

use jobforge::core::state::Status;
use jobforge::{Client, Worker};
use media_qc::report::Verdict;
use media_qc::{MediaQc, Settings, worker};

use crate::media::{Studio, source};
use crate::stop::{child_is_gone, child_is_there, stand_in};

const PATIENCE: Duration = Duration::from_secs(60);

async fn start(studio: &Studio, settings: Settings) -> (Client, Worker) {
    let url = format!("sqlite://{}", studio.dir().join("jobforge.db").display());
    let client = Client::open(&url).await.unwrap();
    let worker = worker::builder(&client, settings, 2).register(worker::handle).start().await.unwrap();
    (client, worker)
}

#[tokio::test]
async fn a_job_stores_its_report() {
    let studio = Studio::new();
    let film = source(&studio.film("good.mp4", 3, &["-c:a", "aac"]));
    let (client, worker) = start(&studio, Settings::default()).await;
    let receipt = client.enqueue(MediaQc::new(film)).await.unwrap();
    let job = client.wait(receipt.id, PATIENCE).await.unwrap();
    assert_eq!((job.status, job.error), (Status::Succeeded, None));
    assert_eq!(job.progress.percent, Some(100));
    assert_eq!(job.progress.phase.as_deref(), Some("done"));
    let report = worker::stored_report(&client, receipt.id).await.unwrap().unwrap();
    assert_eq!(report.verdict, Verdict::Pass);
    worker.stop_gracefully(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn a_broken_file_fails_at_its_first_attempt() {
    let studio = Studio::new();
    let empty = source(&studio.bytes("empty.mp4", b""));
    let (client, worker) = start(&studio, Settings::default()).await;
    let receipt = client.enqueue(MediaQc::new(empty)).await.unwrap();
    let job = client.wait(receipt.id, PATIENCE).await.unwrap();
    assert_eq!(job.status, Status::Failed);
    let error = job.error.unwrap();
    assert_eq!((error.kind.as_str(), error.retryable), ("empty_file", false));
    assert_eq!(job.attempts, 1);
    worker.stop_gracefully(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn a_canceled_job_lets_go_of_its_ffmpeg() {
    let studio = Studio::new();
    let film = source(&studio.film("good.mp4", 2, &["-c:a", "aac"]));
    let script = "printf 'out_time_us=1000000\\nprogress=continue\\n'; wait";
    let settings = Settings { ffmpeg: stand_in(&studio, script), ..Settings::default() };
    let (client, worker) = start(&studio, settings).await;
    let receipt = client.enqueue(MediaQc::new(film)).await.unwrap();
    child_is_there(&studio).await;
    client.cancel(receipt.id).await.unwrap();
    let job = client.wait(receipt.id, PATIENCE).await.unwrap();
    assert_eq!(job.status, Status::Canceled);
    child_is_gone(&studio).await;
    worker.stop_gracefully(Duration::from_secs(10)).await;
}
