import type { Problem, Status } from "./wire.js";

/** Anything that this library itself throws. */
export class JobForgeError extends Error {
  override name = this.constructor.name;
}

/** The server refused a call. `code` is a stable word, listed in the documentation of the HTTP API. */
export class ApiError extends JobForgeError {
  readonly status: number;
  readonly code: string;
  /** Finds the request in the server's log and in the audit log. */
  readonly requestId: string | undefined;
  /** What was wrong, what is allowed and what to do. */
  readonly detail: string;
  /** The single faults, where there are several. */
  readonly errors: readonly { code: string; detail: string; pointer: string }[];
  /** What is there already, where the request conflicts with it. */
  readonly existing: string | undefined;
  /** How long the server asked to wait before the call is repeated. */
  readonly retryAfterMs: number | undefined;

  constructor(call: string, status: number, problem: Partial<Problem>, requestId?: string, retryAfterMs?: number) {
    const code = problem.code ?? "unknown";
    const detail = problem.detail ?? problem.title ?? `the server answered ${status}`;
    super(`${call}: ${detail} (${status} ${code}${requestId ? `, request ${requestId}` : ""})`);
    this.status = status;
    this.code = code;
    this.detail = detail;
    this.requestId = requestId;
    this.errors = problem.errors ?? [];
    this.existing = problem.existing ?? undefined;
    this.retryAfterMs = retryAfterMs;
  }
}

/** No answer came: nobody listens, the connection broke, or it took too long. */
export class ConnectionError extends JobForgeError {
  /** Whether the server may have received the request. */
  readonly sent: boolean;

  constructor(message: string, sent: boolean, cause?: unknown) {
    super(message, { cause });
    this.sent = sent;
  }
}

/** The payload is too large to be kept in the queue; nothing was sent. */
export class PayloadTooLarge extends JobForgeError {
  readonly bytes: number;

  constructor(type: string | undefined, bytes: number, limit: number) {
    super(
      `the payload${type ? ` of ${type}` : ""} has ${bytes} bytes; at most ${limit} are sent. ` +
        "Put the data elsewhere, such as object storage, and enqueue a reference to it: " +
        '{ data_ref: "s3://bucket/key" }; or let the server keep large payloads (its setting payload_store)',
    );
    this.bytes = bytes;
  }
}

/** The payload does not fit the schema of its task. */
export class InvalidPayload extends JobForgeError {
  readonly issues: readonly { message: string; path: string }[];

  constructor(type: string, issues: readonly { message: string; path: string }[]) {
    const list = issues.map((issue) => (issue.path ? `${issue.path}: ${issue.message}` : issue.message));
    super(`the payload does not fit ${type}: ${list.join("; ")}`);
    this.issues = issues;
  }
}

/** The job that was waited for ended without a result. */
export class JobEnded extends JobForgeError {
  readonly jobId: string;
  readonly status: Status;
  /** A stable word for what went wrong, if the job failed. */
  readonly kind: string | undefined;

  constructor(jobId: string, status: Status, error: { message: string; kind: string } | null) {
    super(`job ${jobId} is ${status}${error ? `: ${error.message}` : ""}`);
    this.jobId = jobId;
    this.status = status;
    this.kind = error?.kind;
  }
}

/** The job that was waited for has not ended in time; it goes on. */
export class WaitTimeout extends JobForgeError {}
