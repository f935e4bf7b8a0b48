//! The page for a person who opens the address in a browser or with curl.

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

/// What this is and what it answers.
const PAGE: &str = "\
This is JobForge, a durable background-job platform.

Put jobs in
  POST   /v1/jobs                  enqueue a job: {\"type\": \"email.send\", \"payload\": {}}

Ask about them
  GET    /v1/jobs                  list, newest first; ?tenant_id= status= type= queue= tag=
                                   idempotency_key= worker= before= limit=
  GET    /v1/jobs/{id}             one job with its attempts and result
  GET    /v1/jobs/{id}/explain     what it is now, why, and what happens next
  GET    /v1/jobs/{id}/logs        what its handler printed

Move them
  POST   /v1/jobs/{id}/cancel      end a queued or running job
  POST   /v1/jobs/{id}/retry       run it again with fresh attempts
  DELETE /v1/jobs/{id}             remove a job that is not running

Queues and workers
  GET    /v1/queues                queues and what is in them
  POST   /v1/queues/{name}/pause   let nothing more of it start
  POST   /v1/queues/{name}/resume  let it run again
  GET    /v1/workers               workers and their leases

Health, without a token
  GET    /livez                    this process answers
  GET    /readyz                   the database answers and its schema fits
  GET    /startupz                 /readyz was fine once since the start

Where a token is set, /v1 needs the header `Authorization: Bearer TOKEN`.
Errors are application/problem+json; the header x-request-id finds a request in the server's log.
";

pub(super) async fn page() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], PAGE)
}
