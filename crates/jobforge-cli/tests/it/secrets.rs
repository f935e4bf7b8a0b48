//! What the commands show of payloads and results that hold secrets.

use crate::program::Home;

const PLANTED: &str = "hunter22-planted";

#[test]
fn no_command_shows_a_secret_unless_it_is_asked_to_and_that_is_written_down() {
    let home = Home::new();
    let up = home.up();
    let done = home.ok(&["job", "enqueue", "exec", r#"{"argv":["true"]}"#]);
    let dead = home.ok(&["job", "enqueue", "exec", r#"{"argv":["false"]}"#, "--max-attempts", "1"]);
    home.until(&done, "succeeded");
    home.until(&dead, "dead");
    assert_eq!(up.terminate(), 0);
    let payload = format!(r#"{{"n":12345678901234567890.5,"db":{{"Password":"{PLANTED}"}},"iban":"DE02"}}"#);
    let waits = home.ok(&["job", "enqueue", "t", &payload]);
    home.ok(&["job", "cancel", &waits]);
    home.ok(&["schedule", "add", "nightly", "t", &payload, "--cron", "0 3 * * *"]);
    let connection = rusqlite::Connection::open(home.data_dir().join("jobforge.db")).unwrap();
    let sql = format!("UPDATE jobforge_job_results SET result = '{{\"token\":\"{PLANTED}\"}}'");
    assert_eq!(connection.execute(&sql, []).unwrap(), 1);
    let sql =
        format!("UPDATE jobforge_jobs SET payload = '{{\"api_key\":\"{PLANTED}\"}}' WHERE id = '{dead}'");
    assert_eq!(connection.execute(&sql, []).unwrap(), 1);
    drop(connection);

    for (arguments, hides) in [
        (vec!["job", "show", &waits], true),
        (vec!["job", "show", &waits, "--json"], true),
        (vec!["job", "show", &done], true),
        (vec!["job", "show", &dead, "--json"], true),
        (vec!["job", "watch", &done], true),
        (vec!["job", "watch", &waits, "--json"], true),
        (vec!["job", "wait", &waits, "--json"], true),
        (vec!["job", "list", "--json"], true),
        (vec!["job", "list"], false),
        (vec!["job", "explain", &waits, "--json"], false),
        (vec!["dead", "list", "--json"], true),
        (vec!["dead", "show", &dead], false),
        (vec!["dead", "show", &dead, "--json"], true),
        (vec!["schedule", "list", "--json"], true),
        (vec!["schedule", "show", "nightly"], true),
        (vec!["schedule", "show", "nightly", "--json"], true),
        (vec!["schedule", "change", "nightly", "--every", "1h", "--json"], true),
        (vec!["audit", "list", "--json"], true),
        (vec!["audit", "list"], true),
        (vec!["top", "--once", "--json"], true),
        (vec!["top", "--once"], false),
    ] {
        let shown = home.run(&arguments);
        assert!(!shown.out.contains(PLANTED) && !shown.err.contains(PLANTED), "{arguments:?}: {}", shown.out);
        assert_eq!(shown.out.contains("[redacted]"), hides, "{arguments:?}: {} {}", shown.out, shown.err);
    }
    let shown = home.run(&["job", "show", &waits]);
    assert!(shown.err.contains("1 value is hidden") && shown.err.contains("--reveal"), "{}", shown.err);
    assert!(shown.out.contains("12345678901234567890.5") && shown.out.contains("DE02"), "{}", shown.out);
    // Scripts wait for the result.
    assert_eq!(home.ok(&["job", "wait", &done]), format!(r#"{{"token":"{PLANTED}"}}"#));

    home.ok(&["config", "set", "redact_keys=iban, tax_number"]);
    let shown = home.run(&["job", "show", &waits]);
    assert!(!shown.out.contains("DE02") && shown.err.contains("2 values are hidden"), "{}", shown.err);
    let refused = home.run(&["config", "set", "redact_keys=iban,***"]);
    assert!(refused.code == 2 && refused.err.contains("with a letter or a digit"), "{}", refused.err);

    let revealed = home.run(&["job", "show", &waits, "--reveal", "--reason", "which one?"]);
    assert!(revealed.out.contains(PLANTED) && revealed.out.contains("DE02"), "{}", revealed.out);
    assert!(!revealed.err.contains("hidden"), "{}", revealed.err);
    let told = home.json(&["audit", "list", "--action", "job.reveal"]);
    assert_eq!(told.as_array().unwrap().len(), 1, "{told}");
    assert_eq!((&told[0]["target"], &told[0]["reason"]), (&waits.into(), &"which one?".into()));
    assert!(home.ok(&["audit", "export"]).contains(PLANTED), "its hashes are over the whole");
    home.ok(&["audit", "verify"]);
}
