//! What ails a job, told from what is stored of it.

use serde::Serialize;

use crate::rescue::Cause;

/// What went wrong with a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ailment {
    /// There was not enough memory.
    OutOfMemory,
    /// Somebody refused a token, a password or another credential.
    Credential,
    /// A pool of connections, or a server's number of them, was used up.
    Pool,
    /// Something that it depends on did not answer or was out of order.
    Service,
    /// The handler, or a program that it started, does not go on.
    Hung,
    /// Its worker died or fell silent.
    WorkerLost,
    /// Its own code or its input.
    Code,
}

/// Words of errors; small letters, the first that is found decides.
const MEMORY: [&str; 8] = [
    "out of memory",
    "memory limit exceeded",
    "cannot allocate memory",
    "oomkilled",
    "oom_kill",
    "std::bad_alloc",
    "memoryerror",
    "heap out of memory",
];
const POOL: [&str; 13] = [
    "too many clients",
    "too many connections",
    "remaining connection slots",
    "connection pool",
    "pool exhausted",
    "pool timeout",
    "pool timed out",
    "pool is full",
    "queuepool limit",
    "acquiring a connection",
    "acquire a connection",
    "get a connection from the pool",
    "connection limit",
];
const CREDENTIAL: [&str; 18] = [
    "access denied",
    "unauthorized",
    "unauthorised",
    "forbidden",
    "invalid_grant",
    "invalid_token",
    "invalid token",
    "token expired",
    "expired token",
    "token has expired",
    "token is expired",
    "token was revoked",
    "token has been revoked",
    "credentials have expired",
    "invalid credentials",
    "authentication failed",
    "certificate has expired",
    "invalid api key",
];
const SERVICE: [&str; 10] = [
    "connection refused",
    "connection reset",
    "connection closed",
    "could not resolve",
    "name resolution",
    "no route to host",
    "service unavailable",
    "bad gateway",
    "gateway timeout",
    "broken pipe",
];

impl Ailment {
    /// From the kind and the text of a stored error.
    pub fn of_error(kind: &str, message: &str) -> Self {
        let said = message.to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
        match kind {
            "out_of_memory" => return Self::OutOfMemory,
            "secret_missing" | "secret_unreadable" | "secret_not_for_host" => return Self::Credential,
            // An out-of-memory kill is in the proof of the death that the sentence tells.
            "worker_lost" | "poison" if says(&MEMORY) => return Self::OutOfMemory,
            "worker_lost" | "poison" | "restored" => return Self::WorkerLost,
            "timeout" | "no_progress" | "heartbeat_late" => return Self::Hung,
            "http_network" | "http_timeout" => return Self::Service,
            _ => {}
        }
        if says(&MEMORY) {
            Self::OutOfMemory
        } else if says(&POOL) {
            Self::Pool
        } else if says(&CREDENTIAL) || answered(&said, "401") || answered(&said, "403") {
            Self::Credential
        } else if says(&SERVICE) || ["502", "503", "504"].iter().any(|status| answered(&said, status)) {
            Self::Service
        } else {
            Self::Code
        }
    }

    /// From what is wrong with a job that runs.
    pub fn of_cause(cause: &Cause) -> Self {
        match cause {
            Cause::WorkerEnded { reason } if Self::of_error("", reason) == Self::OutOfMemory => {
                Self::OutOfMemory
            }
            Cause::WorkerUnknown
            | Cause::WorkerEnded { .. }
            | Cause::LeaseExpired { .. }
            | Cause::PresenceLost { .. } => Self::WorkerLost,
            Cause::DeadlinePassed { .. } | Cause::NoProgress { .. } | Cause::HeartbeatLate { .. } => {
                Self::Hung
            }
        }
    }
}

/// Whether a text tells of this status of an HTTP answer.
fn answered(said: &str, status: &str) -> bool {
    ["status ", "status: ", "status code ", "http ", "http/1.1 ", "answered "]
        .iter()
        .any(|before| said.contains(&format!("{before}{status}")))
}
