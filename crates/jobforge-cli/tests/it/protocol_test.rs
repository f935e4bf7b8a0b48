//! `jobforge protocol-test`: a good worker passes it, and bad ones fail just where they are bad.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::{Home, done};

/// Tests share the machine with many others.
const PATIENCE: &str = "3";

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/shell-worker")
}

/// Plays cases with a worker script and returns those that failed, with why.
fn play(home: &Home, script: &Path, only: &[&str]) -> (i32, Vec<(String, String)>, String) {
    let worker = format!("exec bash {}", script.display());
    let only = only.join(",");
    let mut arguments =
        vec!["protocol-test", "--cmd", &worker, "--json", "--verbose", "--patience", PATIENCE];
    if !only.is_empty() {
        arguments.extend(["--only", &only]);
    }
    let ran = done(home.command(&arguments).output().unwrap());
    let told: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}{}", ran.out, ran.err));
    let text = |case: &Value, key: &str| case[key].as_str().unwrap().to_owned();
    let failed = told["cases"].as_array().unwrap().iter().filter(|case| case["passed"] == false);
    let failed = failed.map(|case| (text(case, "case"), text(case, "note"))).collect();
    (ran.code, failed, ran.out)
}

/// The example's worker with something changed for the worse.
fn spoilt(home: &Home, good: &str, bad: &str) -> PathBuf {
    let script = std::fs::read_to_string(example().join("worker.sh")).unwrap();
    assert!(script.contains(good), "worker.sh does not say {good:?} any more");
    let path = home.path().join("worker.sh");
    std::fs::write(&path, script.replace(good, bad)).unwrap();
    std::os::unix::fs::symlink(example().join("handlers"), home.path().join("handlers")).unwrap();
    path
}

/// The worker fails this case of all that are played, and no other.
fn fails_only(good: &str, bad: &str, case: &str, beside: &[&str]) -> String {
    let home = Home::new();
    let script = spoilt(&home, good, bad);
    let mut only = vec![case];
    only.extend(beside);
    let (code, failed, out) = play(&home, &script, &only);
    let names: Vec<&str> = failed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((code, names.as_slice()), (1, [case].as_slice()), "{failed:?}\n{out}");
    failed[0].1.clone()
}

#[test]
fn process_the_shell_worker_passes_every_case_of_the_protocol_test() {
    let home = Home::new();
    let (code, failed, out) = play(&home, &example().join("worker.sh"), &[]);
    assert!(code == 0 && failed.is_empty(), "{failed:?}\n{out}");
}

#[test]
fn process_a_worker_that_sends_no_heartbeats_fails_the_case_of_heartbeats() {
    let why = fails_only(
        "  beat & beater",
        "  sleep 1000 & beater",
        "heartbeat",
        &["echo", "outcomes", "duplicate-result"],
    );
    assert!(why.contains("attempts instead of 1") || why.contains("has not ended"), "{why}");
}

#[test]
fn process_a_worker_that_repeats_fenced_results_for_ever_fails_the_case_of_late_results() {
    let again = r#"  grep -q fenced "$at/answer" && cp "$at/result" "$dir/fenced" &&
    { while sleep 0.2; do ask results 15000 "$dir/again" <"$dir/fenced"; done & }
  rm -rf "$at""#;
    let why = fails_only(r#"  rm -rf "$at""#, again, "late-result", &["echo", "duplicate-result", "cancel"]);
    assert!(why.contains("that had been answered \"fenced\" was sent"), "{why}");
}

#[test]
fn process_a_worker_that_ignores_cancel_fails_the_case_of_cancels() {
    let why = fails_only(r#"[ "$state" = kept ] ||"#, "false &&", "cancel", &["echo", "drain", "timeout"]);
    assert!(why.contains("its slots stayed taken by canceled jobs"), "{why}");
}

#[test]
fn process_a_worker_that_sends_a_result_only_once_fails_where_its_answer_gets_lost() {
    let why = fails_only(
        "done ;;\n  esac\n  rm",
        "break; done ;;\n  esac\n  rm",
        "duplicate-result",
        &["echo", "outcomes", "cancel"],
    );
    assert!(why.contains("sent a third time"), "{why}");
}

#[test]
fn process_a_worker_that_dies_of_sigterm_fails_the_case_of_draining() {
    let why = fails_only("' TERM INT", "' INT", "drain", &["echo", "snooze"]);
    assert!(why.contains("instead of exit code 0"), "{why}");
}

#[test]
fn the_cases_are_listed_and_an_unknown_one_is_refused() {
    let home = Home::new();
    let listed = home.ok(&["protocol-test", "--list"]);
    assert!(listed.lines().any(|line| line.starts_with("lost-claim ")), "{listed}");
    let told = home.json(&["protocol-test", "--list"]);
    let documented = std::fs::read_to_string(example().join("../../docs/protocol-test.md")).unwrap();
    for case in told["cases"].as_array().unwrap() {
        let row = format!("| `{}` | {} |", case["case"].as_str().unwrap(), case["demands"].as_str().unwrap());
        assert!(documented.contains(&row), "docs/protocol-test.md lacks {row}");
    }
    let refused = home.run(&["protocol-test", "--cmd", "true", "--only", "lost-clam"]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("there is no case \"lost-clam\""), "{}", refused.err);
}

#[test]
fn process_a_command_that_ends_at_once_fails_with_what_it_said() {
    let home = Home::new();
    let ran = home.run(&["protocol-test", "--cmd", "echo no such worker; exit 3", "--only", "echo"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    for part in ["FAIL", "exit status: 3", "it said: no such worker", "failed: 1 of 1 cases"] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
}
