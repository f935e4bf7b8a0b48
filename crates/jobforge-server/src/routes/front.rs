//! The page for a person who opens the address in a browser or with curl.

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

/// What this is and what it answers.
const PAGE: &str = "\
This is JobForge, a durable background-job platform. Its dashboard is at /ui

Put jobs in
  POST   /v1/jobs                  enqueue a job: {\"type\": \"email.send\", \"payload\": {}}
  POST   /v1/jobs/many             many jobs, all or none: {\"jobs\": [...]}
  GET    /v1/limits                how large payloads may be

Ask about them
  GET    /v1/jobs                  list, newest first; ?tenant_id= status= type= queue= tag=
                                   idempotency_key= worker= before= limit=
  GET    /v1/jobs/{id}             one job with its attempts and result
  GET    /v1/jobs/{id}/explain     what it is now, why, and what happens next
  GET    /v1/jobs/{id}/timeline    what happened to it, in order
  GET    /v1/jobs/{id}/logs        what its handler printed
  GET    /v1/jobs/{id}/payload     its payload as it was enqueued, wherever that is kept
  GET    /v1/events                jobs and workers as they change (server-sent events)

Move them
  POST   /v1/jobs/{id}/cancel      end a queued or running job
  POST   /v1/jobs/{id}/retry       run it again with fresh attempts
  POST   /v1/jobs/{id}/reschedule  run it again later: {\"delay_ms\": 60000}
  DELETE /v1/jobs/{id}             remove a job that is not running
  POST   /v1/jobs/bulk             many jobs in the background: {\"action\", \"filter\", \"dry_run\"}
  GET    /v1/operations            how far that is

Queues, workers, dead letters
  GET    /v1/queues                queues and what is in them
  POST   /v1/queues/{name}/pause   let nothing more of it start; /resume lets it run again
  GET    /v1/tenants               which tenant has how much under way, and whose jobs fall
  GET    /v1/workers               workers; POST /v1/workers/{id}/restart has one begin anew
  GET    /v1/watchdog/runs         what watchdogs did; POST /v1/watchdog/run sweeps now
  GET    /v1/watchdog/what-if      what another heartbeat threshold would have done
  GET    /v1/dead/groups           what jobs died of; /v1/dead/jobs lists them

Run them, in a program of yours (docs/worker-protocol.md)
  POST   /v1/worker/register       then /claim, /heartbeat, /results and /leave; GET /v1/worker/signals

Schedules
  GET    /v1/schedules             schedules and how they are; POST adds one. One of them is below its
                                   name: PATCH, DELETE, /run, /pause, /resume, /history, /next

Administration
  GET    /v1/settings              settings; PATCH changes what is stored
  GET    /v1/alerts                what fires; /rules, /silences, POST /test tries a channel
  GET    /v1/flags                 flags; PUT /v1/flags/{name} switches one
  GET    /v1/audit                 who did what; /v1/audit/verify reads the whole chain
  GET    /v1/tokens                tokens; POST makes one, DELETE /v1/tokens/{id} takes one back
  GET    /metrics                  numbers for Prometheus
  GET    /v1/openapi.json          all of it, for programs

As runbooks call it
  GET    /api/health, /api/health/full, /api/config
  GET    /api/qc/debug             POST: trigger_watchdog, retry_specific, cancel_stuck, ...
  POST   /api/qc/reprocess         PATCH /api/admin/config, GET|POST /api/admin/dlq,
                                   POST /admin/jobs/trigger

Health, without a token
  GET    /livez                    this process answers
  GET    /readyz                   the database answers, its schema fits, and no stop is near
  GET    /startupz                 /readyz was fine once since the start

Where there is a token, all but health and /api/config need the header
`Authorization: Bearer TOKEN`.
Errors are application/problem+json; the header x-request-id finds a request in the server's log.
";

pub(super) async fn page() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], PAGE)
}
