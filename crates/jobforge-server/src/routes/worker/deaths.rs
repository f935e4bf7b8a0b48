//! Hearing how a worker process ended, from the process that saw it.
//!
//! That it has ended is not taken on trust: the server looks for itself. How it ended can only be told.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jobforge::process;
use jobforge_api::worker::{DeathAnswer, DeathRequest, ProcessEnd, TakenBack};

use super::{check_text, read};
use crate::api_error::ApiError;
use crate::routes::json;
use crate::workers::{Peer, Workers, find};

/// `POST /v1/worker/deaths`
pub(super) async fn deaths(
    State(workers): State<Arc<Workers>>,
    peer: Peer,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let request: DeathRequest = read(&headers, body).await?;
    if let ProcessEnd::Signaled { name, .. } = &request.end {
        check_text("end.name", Some(name))?;
    }
    if !peer.may_speak_of_others() {
        return Err(stranger());
    }
    let machine = process::own().ok_or_else(out_of_sight)?.machine_id;
    let report = request.report(machine);
    let pid = report.process.pid;
    match find(&report.process) {
        None => return Err(out_of_sight()),
        Some(seen) if !seen.has_ended() => return Err(lives(pid)),
        Some(_) => {}
    }
    let deaths = workers.presence.certify(&report).await?;
    tracing::info!(pid, "process {pid} has ended, as its supervisor saw: {}", report.death.proof);
    let jobs = deaths.moved.iter().map(|line| TakenBack { id: line.id, status: line.to }).collect();
    json(StatusCode::OK, &DeathAnswer { workers: deaths.workers, jobs })
}

fn stranger() -> ApiError {
    let title = "this user may not speak of other processes";
    let detail = "run the supervisor as the server's user";
    ApiError::new(StatusCode::FORBIDDEN, "not_permitted", title, detail)
}

fn out_of_sight() -> ApiError {
    ApiError::invalid_request(
        "process is of another start of the machine or another pid namespace, so the server cannot see that it has ended",
    )
}

fn lives(pid: u32) -> ApiError {
    let detail = format!("process {pid} has not ended; report it when it has");
    ApiError::conflict("process_lives", "the process lives", detail)
}
