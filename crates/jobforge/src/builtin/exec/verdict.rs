//! How a program's end is told: success, or an error that says what is known and no more.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::sys::signal::Signal;
use serde_json::json;

use super::limits::{CPU_HARD_MARGIN_S, Limits};
use crate::job_error::JobError;

/// How many of the last lines of standard error an error message quotes.
const QUOTED_LINES: usize = 5;
/// A shell reports the death of its own child by signal n as exit code 128 + n.
const SHELL_SIGNAL_BASE: i32 = 128;

/// What runtimes print when memory is refused to them, in lower case.
const NO_MEMORY: [&str; 7] = [
    "cannot allocate memory",
    "memory allocation of",
    "memory exhausted",
    "memoryerror",
    "out of memory",
    "outofmemoryerror",
    "std::bad_alloc",
];

/// All that is known of an end.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub program: &'a str,
    pub status: ExitStatus,
    pub stderr: &'a str,
    pub limits: Limits,
    pub ok_exit_codes: &'a [i32],
    pub retry_exit_codes: Option<&'a [i32]>,
    /// How often the kernel killed for want of memory in the worker's control group while the program ran.
    pub kernel_kills: u64,
}

/// The ways to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Code(i32),
    Signal(i32),
}

/// Returns the exit code of a success.
///
/// # Errors
/// `cpu_limit` (fatal), `out_of_memory`, `signal` (both retryable) or `exit_code` (as the payload says).
pub(super) fn judge(facts: &Facts<'_>) -> Result<i32, JobError> {
    let end = match (facts.status.code(), facts.status.signal()) {
        (Some(code), _) => End::Code(code),
        (None, signal) => End::Signal(signal.unwrap_or_default()),
    };
    if let End::Code(code) = end
        && facts.ok_exit_codes.contains(&code)
    {
        return Ok(code);
    }
    Err(failure(facts, end))
}

fn failure(facts: &Facts<'_>, end: End) -> JobError {
    let program = facts.program;
    let said = quote(facts.stderr);
    if let Some(seconds) = facts.limits.cpu_seconds.filter(|_| died_by(end, Signal::SIGXCPU)) {
        let text = format!("{program:?} used more than its {seconds} s of CPU time (cpu_seconds){said}");
        return JobError::fatal("cpu_limit", text);
    }
    if let Some(evidence) = no_memory(facts, end) {
        return JobError::retry("out_of_memory", format!("{program:?} {}: {evidence}{said}", ended(end)));
    }
    match end {
        End::Signal(number) => {
            let hint = if number == Signal::SIGKILL as i32 && facts.limits.cpu_seconds.is_some() {
                format!(
                    " (not by this worker; the kernel does it {CPU_HARD_MARGIN_S} s beyond cpu_seconds to a program \
                     that ignores SIGXCPU)"
                )
            } else {
                String::new()
            };
            JobError::retry("signal", format!("{program:?} {}{hint}{said}", ended(end)))
                .with_details(json!({ "signal": number }))
        }
        End::Code(code) => {
            let text = format!("{program:?} {}{said}", ended(end));
            let retryable = facts.retry_exit_codes.is_none_or(|codes| codes.contains(&code));
            let error = if retryable {
                JobError::retry("exit_code", text)
            } else {
                JobError::fatal("exit_code", text)
            };
            error.with_details(json!({ "exit_code": code }))
        }
    }
}

fn died_by(end: End, signal: Signal) -> bool {
    match end {
        End::Signal(number) => number == signal as i32,
        End::Code(code) => code == SHELL_SIGNAL_BASE + signal as i32,
    }
}

/// Looks for evidence that memory ran out; a SIGKILL alone is none, anyone can send it.
fn no_memory(facts: &Facts<'_>, end: End) -> Option<String> {
    if died_by(end, Signal::SIGKILL) && facts.kernel_kills > 0 {
        return Some(format!(
            "the kernel killed {} process(es) for want of memory in this worker's control group while it ran; that this \
             was one of them is likely, not proven",
            facts.kernel_kills
        ));
    }
    let limit = facts.limits.memory_mb?;
    let said = facts.stderr.to_lowercase();
    let words = NO_MEMORY.into_iter().find(|words| said.contains(words))?;
    Some(format!("it ran with memory_mb {limit} and its last words contain {words:?}"))
}

fn ended(end: End) -> String {
    match end {
        End::Code(code) => format!("ended with exit code {code}"),
        End::Signal(number) => match Signal::try_from(number) {
            Ok(signal) => format!("was killed by signal {signal}"),
            Err(_) => format!("was killed by signal {number}"),
        },
    }
}

fn quote(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    match lines.len() {
        0 => "; it wrote nothing to standard error".to_owned(),
        count => format!("; its last words:\n{}", lines[count.saturating_sub(QUOTED_LINES)..].join("\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KILLED: i32 = 9;
    const OUT_OF_CPU: i32 = 24;

    fn facts(raw: i32, stderr: &str) -> Facts<'_> {
        Facts {
            program: "p",
            status: ExitStatus::from_raw(raw),
            stderr,
            limits: Limits::default(),
            ok_exit_codes: &[0],
            retry_exit_codes: None,
            kernel_kills: 0,
        }
    }

    fn exited(code: i32, stderr: &str) -> Facts<'_> {
        facts(code << 8, stderr)
    }

    fn check(facts: &Facts<'_>, wanted: &[&str]) {
        let error = format!("{:?}", judge(facts).expect_err("succeeded"));
        for text in wanted {
            assert!(error.contains(text), "{text} is not in {error}");
        }
    }

    #[test]
    fn an_exit_code_is_judged_by_the_payloads_lists() {
        assert_eq!(judge(&exited(0, "")).unwrap(), 0);
        assert_eq!(judge(&Facts { ok_exit_codes: &[0, 3], ..exited(3, "") }).unwrap(), 3);
        check(&exited(3, "a\nb"), &["Retry", "exit_code", "exit code 3", "last words", "b"]);
        check(&Facts { retry_exit_codes: Some(&[75]), ..exited(3, "") }, &["Fatal", "exit_code"]);
        check(&Facts { retry_exit_codes: Some(&[75]), ..exited(75, "") }, &["Retry", "exit_code"]);
        check(&Facts { ok_exit_codes: &[1], ..exited(0, "") }, &["exit code 0"]);
    }

    #[test]
    fn a_kill_is_called_out_of_memory_only_with_evidence() {
        check(&facts(KILLED, ""), &["Retry", "\"signal\"", "SIGKILL"]);
        check(&Facts { kernel_kills: 1, ..facts(KILLED, "") }, &["out_of_memory", "likely, not proven"]);
        check(&Facts { kernel_kills: 1, ..exited(137, "") }, &["out_of_memory"]);
        check(&Facts { kernel_kills: 1, ..exited(1, "") }, &["exit_code"]);
        let limits = Limits { memory_mb: Some(64), cpu_seconds: None };
        check(&Facts { limits, ..exited(1, "Traceback:\nMemoryError") }, &["out_of_memory", "memory_mb 64"]);
        check(&exited(1, "MemoryError"), &["exit_code"]);
        check(&Facts { limits, ..exited(1, "other") }, &["exit_code"]);
    }

    #[test]
    fn too_much_cpu_time_is_final() {
        let limits = Limits { memory_mb: None, cpu_seconds: Some(2) };
        check(&Facts { limits, ..facts(OUT_OF_CPU, "") }, &["Fatal", "cpu_limit", "2 s"]);
        check(&Facts { limits, ..exited(152, "") }, &["Fatal", "cpu_limit"]);
        check(&facts(OUT_OF_CPU, ""), &["\"signal\"", "SIGXCPU"]);
        check(&Facts { limits, ..facts(KILLED, "") }, &["\"signal\"", "ignores SIGXCPU"]);
    }
}
