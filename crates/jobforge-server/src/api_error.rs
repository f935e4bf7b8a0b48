//! A refusal: the status, the problem that the client reads, and the cause that only the log gets.

use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jobforge::core::enqueue::InvalidJob;
use jobforge::core::job::BadJobId;
use jobforge::core::json::Fault;
use jobforge::core::payload::PayloadError;
use jobforge::store::StoreError;
use jobforge::{Error, PayloadFault, ScheduleError};
use jobforge_api::{FieldProblem, Problem};

use crate::request_log::Cause;

/// Seconds after which a call that met a database in trouble may be repeated.
const RETRY_AFTER_S: &str = "2";

/// Single faults that one refusal lists.
const MOST_ERRORS: usize = 20;

/// Why a request is refused or failed. Boxed, because it travels through every `Result`.
#[derive(Debug)]
pub(crate) struct ApiError(Box<Refusal>);

#[derive(Debug)]
struct Refusal {
    problem: Problem,
    header: Option<(HeaderName, HeaderValue)>,
    cause: Option<String>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &str, title: &str, detail: impl Into<String>) -> Self {
        let problem = Problem::new(status.as_u16(), code, title, detail);
        Self(Box::new(Refusal { problem, header: None, cause: None }))
    }

    pub(crate) fn bad_request(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, "the request cannot be read", detail)
    }

    /// A job that was read and is refused, with all that is wrong with it.
    pub(crate) fn invalid_job(errors: Vec<FieldProblem>) -> Self {
        let said: Vec<String> =
            errors.iter().map(|error| format!("{}: {}", error.pointer, error.detail)).collect();
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_job", "the job was refused", said.join("; "))
            .errors(errors)
    }

    /// A request that was read and makes no sense.
    pub(crate) fn invalid_request(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid_request",
            "the request does not fit this call",
            detail,
        )
    }

    pub(crate) fn conflict(code: &str, title: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, title, detail)
    }

    pub(crate) fn unauthorized(code: &str, detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, "a token is needed", detail)
            .header(WWW_AUTHENTICATE, "Bearer realm=\"jobforge\"")
    }

    pub(crate) fn forbidden(code: &str, detail: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, "the request is not local", detail)
    }

    /// A failure of ours, or of what we depend on.
    pub(crate) fn failed(status: StatusCode, code: &str, title: &str, detail: &str, cause: String) -> Self {
        let mut failure = Self::new(status, code, title, detail);
        failure.0.cause = Some(cause);
        failure
    }

    pub(crate) fn internal(cause: String) -> Self {
        let detail =
            "this is not the request's fault; the server's log tells why under the id in x-request-id";
        Self::failed(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed", detail, cause)
    }

    pub(crate) fn unavailable(code: &str, detail: &str, cause: String) -> Self {
        let title = "the database is not available";
        Self::failed(StatusCode::SERVICE_UNAVAILABLE, code, title, detail, cause)
            .header(RETRY_AFTER, RETRY_AFTER_S)
    }

    /// Where large payloads are kept is not available, or busy.
    pub(crate) fn no_payloads(code: &str, detail: &str, cause: String) -> Self {
        let title = "large payloads are not available";
        Self::failed(StatusCode::SERVICE_UNAVAILABLE, code, title, detail, cause)
            .header(RETRY_AFTER, RETRY_AFTER_S)
    }

    fn header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.0.header = Some((name, HeaderValue::from_static(value)));
        self
    }

    /// Too much at once; the same may succeed after a while.
    pub(crate) fn too_many(code: &str, detail: &str, wait: Duration) -> Self {
        let mut refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, code, "too many requests", detail);
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        refusal.0.header = Some((RETRY_AFTER, HeaderValue::from(seconds.max(1))));
        refusal
    }

    /// The same, as a fault of what lies below a place of the request.
    pub(crate) fn under(mut self, place: &str) -> Self {
        for error in &mut self.0.problem.errors {
            error.pointer.insert_str(0, place);
        }
        self.0.problem.detail.insert_str(0, &format!("{place}: "));
        self
    }

    /// The first of several refusals, with the single faults of all of them, up to [`MOST_ERRORS`].
    pub(crate) fn first_with_all(refusals: Vec<Self>) -> Option<Self> {
        let mut refusals = refusals.into_iter();
        let mut first = refusals.next()?;
        let mut rest: Vec<FieldProblem> = refusals.flat_map(|refusal| refusal.0.problem.errors).collect();
        first.0.problem.errors.append(&mut rest);
        first.0.problem.errors.truncate(MOST_ERRORS);
        Some(first)
    }

    /// The same, with the id of what is there already.
    pub(crate) fn existing(mut self, id: &str) -> Self {
        self.0.problem.existing = Some(id.to_owned());
        self
    }

    /// The stable word.
    pub(crate) fn code(&self) -> &str {
        &self.0.problem.code
    }

    /// Whether the database did not answer, or is in trouble.
    pub(crate) fn is_of_database(&self) -> bool {
        self.code().starts_with("database_")
    }

    /// Whether it is about who asks.
    pub(crate) fn is_unauthorized(&self) -> bool {
        self.0.problem.status == StatusCode::UNAUTHORIZED.as_u16()
    }

    pub(crate) fn errors(mut self, errors: Vec<FieldProblem>) -> Self {
        self.0.problem.errors = errors;
        self
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidJob(invalid) => invalid.into(),
            Error::InvalidPayload(fault) => fault.into(),
            Error::Payloads(fault) => fault.into(),
            Error::Store(error) => error.into(),
            Error::NotFound(id) => Self::new(
                StatusCode::NOT_FOUND,
                "job_not_found",
                "there is no such job",
                format!("there is no job {id}; GET /v1/jobs lists what there is"),
            ),
            Error::NotAllowed { id, status, wanted } => Self::new(
                StatusCode::CONFLICT,
                "invalid_transition",
                "the job's status does not allow this",
                format!("job {id} is {status} and cannot be {wanted}"),
            ),
            error @ (Error::NotEnded { .. } | Error::BadWorker(_)) => Self::internal(error.to_string()),
        }
    }
}

impl From<ScheduleError> for ApiError {
    fn from(error: ScheduleError) -> Self {
        let told = error.to_string();
        match error {
            ScheduleError::Invalid(invalid) => {
                // One fault alone is told by its own word, so that a program can act on it.
                let code = match &invalid.errors[..] {
                    [only] => only.code,
                    _ => "invalid_schedule",
                };
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, "the schedule was refused", told)
                    .errors(invalid.errors.into_iter().map(FieldProblem::from).collect())
            }
            ScheduleError::Unreadable(_) => Self::invalid_request(told),
            ScheduleError::InvalidPayload(fault) => fault.into(),
            ScheduleError::NameTaken(_) => {
                Self::conflict("schedule_exists", "there is a schedule of this name", told)
            }
            ScheduleError::QuotaFull(_) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "schedule_quota",
                "there are too many schedules",
                told,
            ),
            ScheduleError::NotFound { .. } => {
                Self::new(StatusCode::NOT_FOUND, "schedule_not_found", "there is no such schedule", told)
            }
            ScheduleError::Changed(_) => {
                Self::conflict("schedule_changed", "the schedule was changed meanwhile", told)
            }
            ScheduleError::Busy { .. } => {
                Self::conflict("schedule_busy", "a job of the schedule has not ended", told)
            }
            ScheduleError::BuiltIn(_) => {
                Self::conflict("schedule_built_in", "the schedule belongs to JobForge", told)
            }
            ScheduleError::Store(error) => error.into(),
        }
    }
}

impl From<InvalidJob> for ApiError {
    fn from(invalid: InvalidJob) -> Self {
        Self::invalid_job(invalid.errors.into_iter().map(FieldProblem::from).collect())
    }
}

impl From<Fault> for ApiError {
    fn from(Fault { code, reason, pointer }: Fault) -> Self {
        let place = pointer.as_ref().map(|pointer| format!(" at {pointer:?}")).unwrap_or_default();
        let words = match code {
            "json_syntax" | "json_trailing" | "bad_unicode_escape" => "is not valid JSON",
            _ => "cannot be taken",
        };
        let fault = FieldProblem::new(pointer.unwrap_or_default(), code, reason.clone());
        Self::bad_request(code, format!("the body {words}: {reason}{place}")).errors(vec![fault])
    }
}

impl From<PayloadError> for ApiError {
    fn from(fault: PayloadError) -> Self {
        let (status, pointer) = match &fault {
            PayloadError::Unstorable { pointer, .. } => {
                (StatusCode::BAD_REQUEST, format!("/payload{pointer}"))
            }
            PayloadError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "/payload".to_owned()),
            PayloadError::Empty | PayloadError::Syntax { .. } => {
                (StatusCode::BAD_REQUEST, "/payload".to_owned())
            }
        };
        let detail = fault.to_string();
        Self::new(status, fault.code(), "the payload was refused", detail.clone())
            .errors(vec![FieldProblem::new(pointer, fault.code(), detail)])
    }
}

impl From<PayloadFault> for ApiError {
    fn from(fault: PayloadFault) -> Self {
        let (code, chain) = (fault.code(), fault.chain());
        match fault {
            PayloadFault::Unavailable { doing, .. } => {
                let detail = format!(
                    "failed to {doing} a large payload where they are kept; nothing was changed, so try again"
                );
                Self::no_payloads(code, &detail, chain)
            }
            // Told to the sweep alone.
            PayloadFault::Foreign { .. } => Self::internal(chain),
            PayloadFault::NoStore { .. } | PayloadFault::Unusable { .. } => {
                let detail = "the payload is kept elsewhere, and this server has no payload_store";
                Self::no_payloads(code, detail, chain)
            }
            PayloadFault::Missing { job, .. } => {
                let detail = format!("the payload of job {job} is not where payloads are kept");
                Self::failed(StatusCode::NOT_FOUND, code, "the payload cannot be had", &detail, chain)
            }
            PayloadFault::Damaged { job, .. } => {
                let detail = format!("the payload of job {job} is not the one that was stored");
                Self::failed(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    code,
                    "the payload cannot be had",
                    &detail,
                    chain,
                )
            }
        }
    }
}

impl From<BadJobId> for ApiError {
    fn from(bad: BadJobId) -> Self {
        Self::bad_request("bad_id", bad.to_string())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let chain = error.chain();
        match error {
            StoreError::IdempotencyConflict { .. } => Self::new(
                StatusCode::CONFLICT,
                "idempotency_conflict",
                "the idempotency key belongs to another job",
                error.to_string(),
            ),
            StoreError::DuplicateId(_) => {
                Self::new(StatusCode::CONFLICT, "duplicate_id", "the job id is taken", error.to_string())
            }
            StoreError::Full { .. } => Self::failed(
                StatusCode::INSUFFICIENT_STORAGE,
                "storage_full",
                "the database has no space left",
                "nothing was changed; free disk space, or delete old jobs with a system.cleanup.old_jobs job",
                chain,
            ),
            StoreError::Unreachable { .. } => {
                let detail = "the database cannot be reached; nothing was changed, so try again";
                Self::unavailable("database_unreachable", detail, chain)
            }
            StoreError::ReadOnly { .. } => {
                let detail = "the database is read-only just now; nothing was changed, so try again";
                Self::unavailable("database_read_only", detail, chain)
            }
            // The server chose the job's id and forgets it with the request, so only a key makes a repeat safe.
            StoreError::Interrupted { .. } => {
                let detail = "the database broke off and it is not known whether the call took effect; it is safe to \
                              repeat it, but a job without an idempotency_key may then be enqueued twice";
                Self::unavailable("database_interrupted", detail, chain)
            }
            StoreError::Refused { .. }
            | StoreError::NotAllowed { .. }
            | StoreError::BadUrl { .. }
            | StoreError::SchemaTooOld { .. }
            | StoreError::SchemaTooNew { .. }
            | StoreError::MigrationDrift { .. }
            | StoreError::ServerTooOld { .. }
            | StoreError::InUse { .. }
            | StoreError::Corrupt { .. }
            | StoreError::Failed { .. } => Self::internal(chain),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Refusal { problem, header, cause } = *self.0;
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (status, [(CONTENT_TYPE, "application/problem+json")], body).into_response();
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, value);
        }
        if let Some(cause) = cause {
            response.extensions_mut().insert(Cause(cause));
        }
        response
    }
}

impl From<ApiError> for Response {
    fn from(error: ApiError) -> Self {
        error.into_response()
    }
}
