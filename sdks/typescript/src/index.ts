export { JobForge, PAYLOAD_LIMIT_BYTES, type EnqueueManyOptions, type JobForgeOptions } from "./client.js";
export { Task, type EnqueueOptions, type Handler, type JobOptions, type TaskOptions } from "./task.js";
export { JobRef, type WaitOptions } from "./job-ref.js";
export type { Context, JobInfo } from "./context.js";
export type { WorkOptions } from "./worker/options.js";
export type { Logger } from "./log.js";
export { Dead, Failed, Retry, Snooze, type OutcomeOptions } from "./outcome.js";
export { JobCanceled, LeaseLost, Shutdown, StopReason, Timeout, type JobSignal } from "./stop.js";
export {
  ApiError,
  ConnectionError,
  InvalidPayload,
  JobEnded,
  JobForgeError,
  PayloadTooLarge,
  WaitTimeout,
} from "./errors.js";
export type { CallOptions } from "./api.js";
export type { StandardSchema } from "./schema.js";
export type {
  Items,
  Job,
  JobDetail,
  JobErrorInfo,
  JobFilter,
  JobPage,
  JobRequest,
  RetryPolicy,
  Status,
} from "./wire.js";
export { version } from "./version.js";
