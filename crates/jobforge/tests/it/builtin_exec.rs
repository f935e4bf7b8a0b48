//! `exec` with real programs, `sh` for the most part.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jobforge::builtin::exec::{self, ExecConfig, ExecOutput};
use jobforge::builtin::trial::{self, Outcome};
use jobforge::{JobContext, StopReason, clock};
use serde_json::{Value, json};

/// Nothing here should take a tenth of this; a test that reaches it hangs.
///
/// Whatever a test starts ends by itself soon after (`sleep 30`), also where the code under test fails to kill it.
const HANG: Duration = Duration::from_secs(20);

fn any_program() -> Arc<ExecConfig> {
    Arc::new(ExecConfig { enabled: true, allow: vec!["*".to_owned()] })
}

async fn run_with(payload: Value, ctx: &JobContext) -> Result<ExecOutput, Outcome> {
    let payload = serde_json::from_value(payload).expect("a payload");
    let run = exec::run(payload, ctx.clone(), any_program());
    tokio::time::timeout(HANG, run).await.expect("exec hangs").map_err(trial::outcome)
}

async fn run(payload: Value) -> Result<ExecOutput, Outcome> {
    run_with(payload, &trial::context("exec")).await
}

async fn sh(script: &str) -> Result<ExecOutput, Outcome> {
    run(json!({ "argv": ["sh", "-c", script] })).await
}

/// Checks that the script fails retryably with `kind` and that the message contains all of `texts`.
fn check_retry(outcome: Result<ExecOutput, Outcome>, wanted: &str, texts: &[&str]) {
    match outcome {
        Err(Outcome::Retry { kind, message, after: None }) if kind == wanted => {
            for text in texts {
                assert!(message.contains(text), "{text:?} is not in {message:?}");
            }
        }
        other => panic!("wanted a retry of kind {wanted}, got {other:?}"),
    }
}

fn check_fatal(outcome: Result<ExecOutput, Outcome>, wanted: &str) {
    match outcome {
        Err(Outcome::Fatal { kind, .. }) if kind == wanted => {}
        other => panic!("wanted a fatal error of kind {wanted}, got {other:?}"),
    }
}

/// Waits until `condition` holds.
async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = clock::monotonic() + HANG;
    while !condition() {
        assert!(clock::monotonic() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Reads a pid that a script wrote to `file`, with a line feed behind it.
fn pid_in(file: &Path) -> Option<i32> {
    let text = fs::read_to_string(file).ok()?;
    text.strip_suffix('\n')?.parse().ok()
}

/// Whether a process runs; one that is dead but not yet reaped by its new parent does not.
fn runs(pid: i32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let state = stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
    !matches!(state, Some('Z' | 'X') | None)
}

#[tokio::test]
async fn a_program_gets_its_arguments_and_input_byte_for_byte() {
    let payload = json!({ "argv": ["sh", "-c", "printf '<%s>' \"$@\"; cat", "sh", "a b", "$HOME", "*", ""], "stdin": {"n": 1} });
    let output = run(payload).await.unwrap();
    assert_eq!((output.exit_code, output.stdout_tail.as_str()), (0, "<a b><$HOME><*><>{\"n\":1}\n"));
    assert!(!output.stdout_truncated && output.result.is_none());
}

#[tokio::test]
async fn the_environment_is_empty_but_for_what_is_documented() {
    let ctx = trial::context("shell.env");
    let output = run_with(json!({ "argv": ["env"], "env": { "MINE": "1" } }), &ctx).await.unwrap();
    let mut names: Vec<&str> = output.stdout_tail.lines().filter_map(|line| line.split('=').next()).collect();
    names.retain(|name| !["PATH", "HOME", "LANG", "TMPDIR"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["JOB_ATTEMPT", "JOB_FENCE", "JOB_ID", "JOB_TENANT", "JOB_TYPE", "MINE"]);
    for line in [format!("JOB_ID={}", ctx.id()), "JOB_FENCE=7".to_owned(), "JOB_TYPE=shell.env".to_owned()] {
        assert!(output.stdout_tail.lines().any(|other| other == line), "{line}");
    }
}

#[tokio::test]
async fn the_directory_is_where_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = fs::canonicalize(folder.path()).unwrap();
    let output = run(json!({ "argv": ["pwd"], "directory": path })).await.unwrap();
    assert_eq!(output.stdout_tail.trim_end(), path.to_str().unwrap());
    check_fatal(run(json!({ "argv": ["pwd"], "directory": path.join("absent") })).await, "directory_missing");
}

#[tokio::test]
async fn report_lines_become_progress_and_other_lines_become_the_log() {
    let ctx = trial::context("exec");
    let script = "echo plain; echo '::phase resizing'; echo '::progress 42 half way'; echo oops >&2; \
                  echo '::items processed=3 failed=1'; echo '::items processed=1'; echo '::result {\"rows\":12}'; \
                  echo '{\"jobforge\":{\"progress\":57,\"message\":\"more\"}}'";
    let output = run_with(json!({ "argv": ["sh", "-c", script] }), &ctx).await.unwrap();
    assert_eq!(output.result, Some(json!({ "rows": 12 })));
    assert_eq!(output.stdout_tail, "plain\n");
    let report = trial::report(&ctx);
    assert_eq!((report.progress, report.message.as_deref()), (Some(57), Some("more")));
    assert_eq!(report.phase.as_deref(), Some("resizing"));
    let items = report.items.unwrap();
    assert_eq!((items.processed, items.failed, items.skipped), (4, 1, 0));
    let log = report.log_tail.unwrap();
    let mut lines: Vec<&str> = log.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["err| oops", "out| plain"]);
}

#[tokio::test]
async fn progress_is_seen_while_the_program_still_runs() {
    let ctx = trial::context("exec");
    let running = tokio::spawn({
        let ctx = ctx.clone();
        async move {
            run_with(json!({ "argv": ["sh", "-c", "echo '::progress 10 begun'; sleep 30"] }), &ctx).await
        }
    });
    eventually("progress", || trial::report(&ctx).progress == Some(10)).await;
    trial::stop(&ctx, StopReason::Canceled);
    assert_eq!(running.await.unwrap(), Err(Outcome::Stopped));
}

#[tokio::test]
async fn bytes_that_are_no_text_are_made_storable() {
    let output = sh(r"printf 'a\377b\000c\r\n'").await.unwrap();
    assert_eq!(output.stdout_tail, "a\u{FFFD}b\u{FFFD}c\n");
}

#[tokio::test]
async fn of_much_output_the_tail_is_kept() {
    let output = sh("i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done").await.unwrap();
    assert!(output.stdout_truncated && output.stdout_tail.len() <= 16 * 1024);
    assert!(output.stdout_tail.ends_with("line 4998\nline 4999\n"));
}

#[tokio::test]
async fn a_line_without_end_does_not_fill_the_memory() {
    let output = sh("head -c 50000000 /dev/zero | tr '\\0' x; echo; echo after").await.unwrap();
    assert!(output.stdout_truncated && output.stdout_tail.ends_with("xxx\nafter\n"));
}

#[tokio::test]
async fn a_program_may_leave_its_input_unread() {
    let output = run(json!({ "argv": ["sh", "-c", "exec <&-; echo done"], "stdin": "x".repeat(500_000) }))
        .await
        .unwrap();
    assert_eq!(output.stdout_tail, "done\n");
}

#[tokio::test]
async fn an_exit_code_fails_with_the_last_words() {
    check_retry(
        sh("echo first >&2; echo 'disk full' >&2; exit 3").await,
        "exit_code",
        &["exit code 3", "disk full"],
    );
    let payload = json!({ "argv": ["sh", "-c", "exit 3"], "ok_exit_codes": [0, 3] });
    assert_eq!(run(payload).await.unwrap().exit_code, 3);
    check_fatal(run(json!({ "argv": ["sh", "-c", "exit 3"], "retry_exit_codes": [75] })).await, "exit_code");
    check_retry(
        run(json!({ "argv": ["sh", "-c", "exit 75"], "retry_exit_codes": [75] })).await,
        "exit_code",
        &[],
    );
}

#[tokio::test]
async fn a_signal_is_named() {
    check_retry(sh("kill -SEGV $$").await, "signal", &["SIGSEGV"]);
    check_retry(sh("kill -KILL $$").await, "signal", &["SIGKILL"]);
}

#[tokio::test]
async fn the_memory_limit_is_set_before_the_program_runs() {
    let payload = json!({ "argv": ["sh", "-c", "ulimit -v; ulimit -t"], "memory_mb": 512, "cpu_seconds": 3 });
    assert_eq!(run(payload).await.unwrap().stdout_tail, "524288\n3\n");
}

#[tokio::test]
async fn a_program_over_its_memory_limit_is_called_out_of_memory() {
    let script = "head -c 300000000 /dev/zero | tail -c 200000000 >/dev/null";
    let payload = json!({ "argv": ["sh", "-c", script], "memory_mb": 64 });
    check_retry(run(payload).await, "out_of_memory", &["memory_mb 64", "last words"]);
}

#[tokio::test]
async fn a_program_over_its_cpu_limit_fails_for_good() {
    check_fatal(
        run(json!({ "argv": ["sh", "-c", "while :; do :; done"], "cpu_seconds": 1 })).await,
        "cpu_limit",
    );
}

#[tokio::test]
async fn an_unusable_result_fails_the_job() {
    check_fatal(sh("echo '::result {broken'").await, "bad_result");
    check_retry(sh("echo '::result {broken'; exit 1").await, "exit_code", &[]);
}

#[tokio::test]
async fn programs_that_cannot_start_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str, mode: u32| {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        json!({ "program": file })
    };
    check_fatal(run(json!({ "program": "no-such-program-here" })).await, "program_not_found");
    check_fatal(run(json!({ "program": "/no/such/file" })).await, "program_not_found");
    check_fatal(run(write("plain", "echo", 0o644)).await, "program_not_executable");
    check_fatal(run(write("garbage", "\u{1}\u{2}", 0o755)).await, "program_not_executable");
    check_fatal(run(write("script", "#!/no/such/interpreter\n", 0o755)).await, "program_not_found");
}

#[tokio::test]
async fn only_listed_programs_run() {
    let config = Arc::new(ExecConfig { enabled: true, allow: vec!["true".to_owned()] });
    let attempt = async |program: &str| {
        let payload = serde_json::from_value(json!({ "program": program })).unwrap();
        exec::run(payload, trial::context("exec"), Arc::clone(&config)).await.map_err(trial::outcome)
    };
    assert!(attempt("true").await.is_ok());
    for program in ["sh", "/bin/sh", "/usr/bin/../bin/sh", "/bin/true/../sh"] {
        let Err(Outcome::Fatal { kind, message }) = attempt(program).await else {
            panic!("{program} was run")
        };
        assert!(
            kind == "program_not_allowed" && message.contains("JOBFORGE_EXEC_ALLOW"),
            "{kind}: {message}"
        );
    }
}

#[tokio::test]
async fn on_stop_a_program_may_tidy_up() {
    let folder = tempfile::tempdir().unwrap();
    let (ready, tidied) = (folder.path().join("ready"), folder.path().join("tidied"));
    let script = format!(
        "trap 'sleep 0.1; touch {}; exit 0' TERM; touch {}; sleep 30 & wait",
        tidied.display(),
        ready.display()
    );
    let ctx = trial::context("exec");
    let stop = async {
        eventually("ready", || ready.exists()).await;
        trial::stop(&ctx, StopReason::Canceled);
    };
    let (outcome, ()) = tokio::join!(run_with(json!({ "argv": ["sh", "-c", script] }), &ctx), stop);
    assert_eq!(outcome, Err(Outcome::Stopped));
    assert!(tidied.exists());
}

#[tokio::test]
async fn on_stop_the_whole_group_dies_though_it_ignores_the_request() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let script = format!("trap '' TERM; sh -c 'echo $$ > {}; exec sleep 30' & wait", file.display());
    let ctx = trial::context("exec");
    let stop = async {
        eventually("the grandchild", || pid_in(&file).is_some()).await;
        trial::stop(&ctx, StopReason::TimedOut);
    };
    let payload = json!({ "argv": ["sh", "-c", script], "grace_ms": 100 });
    let (outcome, ()) = tokio::join!(run_with(payload, &ctx), stop);
    assert_eq!(outcome, Err(Outcome::Stopped));
    let pid = pid_in(&file).unwrap();
    eventually("the grandchild is dead", || !runs(pid)).await;
}

#[tokio::test]
async fn what_a_program_leaves_behind_is_killed_and_its_output_does_not_hang() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let script = format!(
        "sh -c 'echo $$ > {0}; exec sleep 30' & while [ ! -s {0} ]; do :; done; echo done",
        file.display()
    );
    let output = sh(&script).await.unwrap();
    assert_eq!(output.stdout_tail, "done\n");
    assert!(output.duration_ms < 5_000, "{} ms", output.duration_ms);
    let pid = pid_in(&file).unwrap();
    eventually("the grandchild is dead", || !runs(pid)).await;
}

#[tokio::test]
async fn a_process_that_left_the_group_holds_the_output_open_for_a_second_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let script = format!(
        "setsid sh -c 'echo $$ > {0}; exec sleep 30' & while [ ! -s {0} ]; do :; done; echo done",
        file.display()
    );
    let output = sh(&script).await.unwrap();
    let pid = pid_in(&file).unwrap();
    let escaped = runs(pid);
    let _ = std::process::Command::new("kill").arg(pid.to_string()).status();
    assert_eq!(output.stdout_tail, "done\n");
    assert!(escaped && output.duration_ms < 5_000, "{escaped}, {} ms", output.duration_ms);
}

#[tokio::test]
async fn a_handler_that_is_dropped_leaves_nothing_running() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let script = format!("sh -c 'echo $$ > {}; exec sleep 30' & wait", file.display());
    let running = tokio::spawn(async move { sh(&script).await });
    eventually("the grandchild", || pid_in(&file).is_some()).await;
    running.abort();
    let pid = pid_in(&file).unwrap();
    eventually("the grandchild is dead", || !runs(pid)).await;
}

#[tokio::test]
async fn a_job_that_was_stopped_before_it_began_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("started");
    let ctx = trial::context("exec");
    trial::stop(&ctx, StopReason::Shutdown);
    assert_eq!(run_with(json!({ "argv": ["touch", file] }), &ctx).await, Err(Outcome::Stopped));
    assert!(!file.exists());
}
