//! What an `exec` job asks for, and its check before anything is started.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::limits::Limits;
use crate::builtin::invalid_payload;
use crate::job_error::JobError;

const GRACE_MS_DEFAULT: u64 = 5_000;
pub(super) const GRACE_MS_MAX: u64 = 60_000;
/// Below this not even the dynamic loader fits.
const MEMORY_MB_MIN: u64 = 8;
const MEMORY_MB_MAX: u64 = 1 << 20;
const CPU_SECONDS_MAX: u64 = 7 * 24 * 3600;

/// Names that the child is given by us; a payload may not claim them.
const OUR_NAMES: [&str; 5] = ["JOB_ID", "JOB_TYPE", "JOB_ATTEMPT", "JOB_FENCE", "JOB_TENANT"];

/// Variables by which a program is made to load or run other code. With a list of allowed programs they would undo it.
const CODE_LOADING: [&str; 22] = [
    "BASH_ENV",
    "CLASSPATH",
    "ENV",
    "GCONV_PATH",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "IFS",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "NODE_OPTIONS",
    "NODE_PATH",
    "PATH",
    "PERL5LIB",
    "PERL5OPT",
    "PS4",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "RUBYLIB",
    "RUBYOPT",
    "SHELLOPTS",
    "ZDOTDIR",
];

/// The payload of an `exec` job.
///
/// The program is started directly, never through a shell: `argv` is what it receives, byte for byte.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExecPayload {
    /// The program: an absolute path, or a bare name that is looked up in the worker's `PATH`.
    pub program: Option<String>,
    /// Its arguments, when `program` is given.
    pub args: Vec<String>,
    /// Program and arguments in one list, instead of `program` and `args`.
    pub argv: Vec<String>,
    /// Variables added to the child's otherwise nearly empty environment.
    pub env: BTreeMap<String, String>,
    /// The working directory; absolute. Without it, the worker's own.
    pub directory: Option<String>,
    /// Written to standard input, then closed: a string as it is, any other value as JSON.
    pub stdin: Option<Value>,
    /// Address space of each process, in MiB.
    pub memory_mb: Option<u64>,
    /// CPU time of each process, in seconds.
    pub cpu_seconds: Option<u64>,
    /// Time between the request to stop (SIGTERM) and the end (SIGKILL); 5000 unless said.
    pub grace_ms: Option<u64>,
    /// Exit codes that count as success; `[0]` unless said.
    pub ok_exit_codes: Option<Vec<i32>>,
    /// Exit codes that are worth another attempt; every other failure is then final. All, unless said.
    pub retry_exit_codes: Option<Vec<i32>>,
}

/// A payload that was found in order.
#[derive(Debug)]
pub(super) struct Plan {
    pub program: String,
    pub args: Vec<String>,
    pub env: BTreeMap<String, String>,
    pub directory: Option<PathBuf>,
    pub stdin: Option<Vec<u8>>,
    pub limits: Limits,
    pub grace: Duration,
    pub ok_exit_codes: Vec<i32>,
    pub retry_exit_codes: Option<Vec<i32>>,
}

impl ExecPayload {
    /// Checks every field; `any_program` says that the operator allows every program anyway.
    pub(super) fn check(self, any_program: bool) -> Result<Plan, JobError> {
        let limits = Limits {
            memory_mb: within("memory_mb", self.memory_mb, MEMORY_MB_MIN, MEMORY_MB_MAX)?,
            cpu_seconds: within("cpu_seconds", self.cpu_seconds, 1, CPU_SECONDS_MAX)?,
        };
        let grace_ms = within("grace_ms", self.grace_ms, 0, GRACE_MS_MAX)?.unwrap_or(GRACE_MS_DEFAULT);
        let ok_exit_codes = exit_codes("ok_exit_codes", self.ok_exit_codes)?.unwrap_or_else(|| vec![0]);
        let retry_exit_codes = exit_codes("retry_exit_codes", self.retry_exit_codes)?;
        check_env(&self.env, any_program)?;
        let directory = check_directory(self.directory)?;
        let (program, args) = command_line(self.program, self.args, self.argv)?;
        let stdin = self.stdin.map(|value| match value {
            Value::String(text) => text.into_bytes(),
            other => other.to_string().into_bytes(),
        });
        let grace = Duration::from_millis(grace_ms);
        Ok(Plan {
            program,
            args,
            env: self.env,
            directory,
            stdin,
            limits,
            grace,
            ok_exit_codes,
            retry_exit_codes,
        })
    }
}

fn command_line(
    program: Option<String>,
    args: Vec<String>,
    argv: Vec<String>,
) -> Result<(String, Vec<String>), JobError> {
    let (field, program, args) = match program {
        Some(_) if !argv.is_empty() => {
            return Err(invalid_payload("argv", "give either `program` with `args`, or `argv`, not both"));
        }
        Some(program) => ("program", program, args),
        None if !args.is_empty() => {
            return Err(invalid_payload("args", "needs `program`; or put program and arguments into `argv`"));
        }
        None => {
            let mut argv = argv.into_iter();
            let Some(program) = argv.next() else {
                return Err(invalid_payload("program", "is missing; name an absolute path or a bare name"));
            };
            ("argv", program, argv.collect())
        }
    };
    if program.is_empty() {
        return Err(invalid_payload(field, "the program's name is empty"));
    }
    if program.contains('/') && !program.starts_with('/') {
        return Err(invalid_payload(
            field,
            "the program must be an absolute path or a bare name without `/`",
        ));
    }
    if program.contains('\0') || args.iter().any(|arg| arg.contains('\0')) {
        return Err(invalid_payload(field, "contains the character U+0000, which no program can be given"));
    }
    Ok((program, args))
}

fn check_env(env: &BTreeMap<String, String>, any_program: bool) -> Result<(), JobError> {
    for (name, value) in env {
        let field = format!("env.{name}");
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(invalid_payload(
                &field,
                "names are not empty and without `=`; no U+0000 in name or value",
            ));
        }
        if OUR_NAMES.contains(&name.as_str()) {
            return Err(invalid_payload(&field, "is set by the worker"));
        }
        let loads_code =
            name.starts_with("LD_") || name.starts_with("DYLD_") || CODE_LOADING.contains(&name.as_str());
        if loads_code && !any_program {
            let text = "makes programs load other code, so it is taken only where JOBFORGE_EXEC_ALLOW is `*`";
            return Err(invalid_payload(&field, text));
        }
    }
    Ok(())
}

fn check_directory(directory: Option<String>) -> Result<Option<PathBuf>, JobError> {
    let Some(directory) = directory else { return Ok(None) };
    if !directory.starts_with('/') || directory.contains('\0') {
        return Err(invalid_payload("directory", "must be an absolute path"));
    }
    Ok(Some(PathBuf::from(directory)))
}

fn within(field: &str, value: Option<u64>, min: u64, max: u64) -> Result<Option<u64>, JobError> {
    match value {
        Some(value) if !(min..=max).contains(&value) => {
            Err(invalid_payload(field, format_args!("{value} is outside {min} to {max}")))
        }
        value => Ok(value),
    }
}

fn exit_codes(field: &str, codes: Option<Vec<i32>>) -> Result<Option<Vec<i32>>, JobError> {
    if let Some(code) = codes.iter().flatten().find(|code| !(0..=255).contains(*code)) {
        return Err(invalid_payload(field, format_args!("{code} is outside 0 to 255")));
    }
    Ok(codes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(payload: Value, any_program: bool) -> Result<Plan, String> {
        let payload: ExecPayload = serde_json::from_value(payload).map_err(|error| error.to_string())?;
        payload.check(any_program).map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn both_ways_to_name_a_program_say_the_same() {
        let a = check(json!({"program": "echo", "args": ["a b", ""]}), false).unwrap();
        let b = check(json!({"argv": ["echo", "a b", ""]}), false).unwrap();
        assert_eq!((a.program, a.args), (b.program, b.args));
    }

    #[test]
    fn a_json_value_for_stdin_is_written_as_json_and_a_string_as_it_is() {
        let plan = check(json!({"argv": ["cat"], "stdin": {"a": [1, 2]}}), false).unwrap();
        assert_eq!(plan.stdin.unwrap(), br#"{"a":[1,2]}"#);
        let plan = check(json!({"argv": ["cat"], "stdin": "a\n"}), false).unwrap();
        assert_eq!(plan.stdin.unwrap(), b"a\n");
    }

    #[test]
    fn each_bad_field_is_refused_by_name() {
        let cases = [
            (json!({}), "`program`"),
            (json!({"argv": [""]}), "`argv`"),
            (json!({"program": "bin/x"}), "`program`"),
            (json!({"program": "../sh"}), "`program`"),
            (json!({"program": "a\u{0}b"}), "`program`"),
            (json!({"program": "sh", "argv": ["sh"]}), "`argv`"),
            (json!({"args": ["x"]}), "`args`"),
            (json!({"argv": ["sh"], "memory_mb": 0}), "`memory_mb`"),
            (json!({"argv": ["sh"], "cpu_seconds": 0}), "`cpu_seconds`"),
            (json!({"argv": ["sh"], "grace_ms": 60_001}), "`grace_ms`"),
            (json!({"argv": ["sh"], "ok_exit_codes": [256]}), "`ok_exit_codes`"),
            (json!({"argv": ["sh"], "retry_exit_codes": [-1]}), "`retry_exit_codes`"),
            (json!({"argv": ["sh"], "directory": "tmp"}), "`directory`"),
            (json!({"argv": ["sh"], "env": {"A=B": ""}}), "`env.A=B`"),
            (json!({"argv": ["sh"], "env": {"JOB_ID": "1"}}), "`env.JOB_ID`"),
            (json!({"argv": ["sh"], "env": {"LD_PRELOAD": "/tmp/x.so"}}), "`env.LD_PRELOAD`"),
            (json!({"argv": ["sh"], "env": {"PATH": "/tmp"}}), "`env.PATH`"),
            (json!({"command": "rm -rf /"}), "`command`"),
        ];
        for (payload, field) in cases {
            let error = check(payload.clone(), false).expect_err("accepted");
            assert!(error.contains(field), "{payload}: {error}");
        }
    }

    #[test]
    fn code_loading_variables_are_taken_where_every_program_is() {
        check(json!({"argv": ["sh"], "env": {"LD_PRELOAD": "", "PYTHONPATH": "/x"}}), true).unwrap();
    }
}
