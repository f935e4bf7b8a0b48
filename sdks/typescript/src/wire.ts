/** What goes over the wire, as `docs/openapi.json` and `docs/worker-protocol.md` describe it. */

export type Status = "queued" | "running" | "succeeded" | "failed" | "dead" | "canceled";

export interface Problem {
  code: string;
  detail: string;
  title: string;
  status: number;
  errors?: { code: string; detail: string; pointer: string }[];
  existing?: string | null;
}

export interface RetryPolicy {
  base_ms?: number;
  factor?: number;
  jitter?: number;
  max_ms?: number;
}

/** A job to enqueue, in the words of the HTTP API. */
export interface JobRequest {
  /** Which handler runs it. May be left out where the client has a default type. */
  type?: string;
  /** Who it belongs to. */
  tenant_id?: string;
  /** The handler's input: any JSON. */
  payload?: unknown;
  /** At most one job per tenant, type and key, for as long as the job exists. */
  idempotency_key?: string;
  queue?: string;
  /** Lower runs first; 0 if left out. */
  priority?: number;
  /** When it may run, RFC 3339 with offset. */
  run_at?: string;
  /** How long it must wait; not together with `run_at`. */
  delay_ms?: number;
  max_attempts?: number;
  /** Bound on one attempt. */
  timeout_ms?: number;
  /** Bound on the time between two reports of progress. */
  progress_timeout_ms?: number;
  retry?: RetryPolicy;
  tags?: string[];
  /** W3C trace context. */
  traceparent?: string;
}

/** What a server takes. */
export interface Limits {
  /** The largest payload. */
  payload_bytes: number;
  /** Whether it keeps large payloads outside of its database. */
  payload_store: boolean;
}

export interface Receipt {
  id: string;
  created: boolean;
}

export interface JobErrorInfo {
  message: string;
  kind: string;
  retryable: boolean;
  details?: unknown;
}

/** A job, as the HTTP API tells it. */
export interface Job {
  id: string;
  type: string;
  tenant_id: string;
  queue: string;
  status: Status;
  payload: unknown;
  priority: number;
  attempts: number;
  max_attempts: number;
  run_at: string;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  heartbeat_at: string | null;
  locked_by: string | null;
  lease: number;
  error: JobErrorInfo | null;
  progress: { percent: number | null; message: string | null; phase: string | null; at: string | null };
  items: Items;
  tags: string[];
  idempotency_key: string | null;
  timeout_ms: number | null;
  progress_timeout_ms: number | null;
}

/** A job with its history. */
export interface JobDetail extends Job {
  result: unknown;
  attempts_made: {
    attempt: number;
    lease: number;
    outcome: string;
    worker: string | null;
    error: JobErrorInfo | null;
    started_at: string | null;
    finished_at: string | null;
  }[];
}

export interface JobPage {
  jobs: Job[];
  /** Give it as `before` to get the next page; absent on the last one. */
  next?: string | null;
}

export interface JobFilter {
  tenant_id?: string;
  status?: Status | Status[];
  type?: string;
  queue?: string;
  tag?: string;
  idempotency_key?: string;
  worker?: string;
  before?: string;
  limit?: number;
}

/** Items that an attempt has counted so far. */
export interface Items {
  processed: number;
  failed: number;
  skipped: number;
}

export interface Registration {
  worker_id: string;
  lease_ms: number;
  renew_ms: number;
  heartbeat: {
    enabled: boolean;
    interval_ms: number;
    max_interval_ms: number;
    multiplier: number;
    stale_after_ms: number;
  };
  poll: { wait_ms: number; interval_ms: number; max_interval_ms: number; multiplier: number };
  limits: { claim: number; heartbeat: number; results: number; body_bytes: number };
}

export interface ClaimedJob {
  id: string;
  fence: number;
  type: string;
  tenant_id: string;
  queue: string;
  priority: number;
  payload: unknown;
  /** Present where the payload is to be asked for, and what it is known by. */
  payload_stored?: { bytes: number; sha256: string };
  attempt: number;
  max_attempts: number;
  timeout_ms?: number;
  progress_timeout_ms?: number;
  checkpoint?: unknown;
  tags: string[];
  traceparent?: string;
  alone?: boolean;
  enqueued_at: string;
  started_at: string;
}

export interface ClaimAnswer {
  jobs: ClaimedJob[];
  more: boolean;
  next_due_ms?: number;
  alone_waits?: boolean;
}

/** What a handler says of its work; fields that are left out are unchanged. */
export interface Report {
  percent?: number;
  message?: string;
  phase?: string;
  items?: Items;
  checkpoint?: unknown;
  log?: string;
  ignores_stop?: boolean;
}

export interface HeartbeatAnswer {
  worker?: "live" | "lost";
  lease_ms?: number;
  epoch?: number;
  restart?: boolean;
  jobs: { id: string; state: "kept" | "canceled" | "lost" | "gone"; status?: Status }[];
}

export interface JobResult {
  id: string;
  fence: number;
  outcome: "succeeded" | "retry" | "failed" | "dead" | "snoozed" | "released";
  result?: unknown;
  error?: { message: string; kind?: string; retryable?: boolean; details?: unknown };
  retry_in_ms?: number;
  report?: Report;
}

export interface ResultsAnswer {
  results: { id: string; answer: "applied" | "replayed" | "fenced" | "gone"; status?: Status; fence?: number }[];
}
