//! SQL through psql, and what the words around it promise.

use super::fleet::{Fleet, TENANT};
use super::verdict::Verdict;
use crate::program::eventually;

/// What a statement must have shown or done; it is recognised by words that it contains.
struct Promise {
    words: &'static str,
    keeps: fn(&Fleet, &str) -> Result<(), String>,
}

const PROMISES: [Promise; 20] = [
    Promise { words: "FROM qc_jobs", keeps: |fleet, shown| shows(shown, &[&fleet.silent, "clip.mov"]) },
    Promise {
        words: "seconds_since_heartbeat\nFROM worker_heartbeats",
        keeps: |fleet, shown| {
            shows(shown, &[&fleet.killed_worker])?;
            let ages: Vec<f64> =
                shown.lines().filter_map(|line| line.rsplit('|').next()?.parse().ok()).collect();
            if ages.iter().any(|age| (0.0..60.0).contains(age)) {
                Ok(())
            } else {
                Err(format!("nobody was heard of just now: {shown}"))
            }
        },
    },
    Promise {
        words: "WHERE last_heartbeat_at < NOW() - INTERVAL '2 minutes'",
        keeps: |fleet, shown| {
            shows(shown, &[&fleet.killed_worker])?;
            if shown.lines().count() == 1 {
                Ok(())
            } else {
                Err(format!("a worker that lives is called stale: {shown}"))
            }
        },
    },
    Promise {
        words: "WHERE execution_error = 'Worker died unexpectedly'",
        keeps: |fleet, shown| {
            shows(
                shown,
                &[&format!("{}|{}|failed|Worker died unexpectedly", fleet.orphaned, fleet.killed_worker)],
            )
        },
    },
    Promise {
        words: "DATE_TRUNC('hour', created_at)",
        keeps: |_, shown| shows(shown, &["|queued|", "|running|", "|succeeded|", "|dead|"]),
    },
    Promise {
        words: "AS avg_duration_seconds",
        keeps: |_, shown| match shown
            .lines()
            .find_map(|line| line.strip_prefix("exec|")?.split('|').next()?.parse::<f64>().ok())
        {
            Some(seconds) if seconds > 0.0 => Ok(()),
            _ => Err(format!("no duration of exec: {shown}")),
        },
    },
    Promise {
        words: "AS failure_rate_pct",
        keeps: |_, shown| {
            shows(shown, &["connector.http.request|0|1|0|100.00"])?;
            let row = shown.lines().find_map(|line| line.strip_prefix("exec|")).ok_or("exec is missing")?;
            let numbers: Vec<f64> = row.split('|').filter_map(|cell| cell.parse().ok()).collect();
            match numbers[..] {
                [succeeded, failed, dead, rate]
                    if succeeded >= 1.0
                        && dead >= 1.0
                        && (rate - 100.0 * (failed + dead) / (succeeded + failed + dead)).abs() < 0.01 =>
                {
                    Ok(())
                }
                _ => Err(format!("the rate of exec is not that of its jobs: {row}")),
            }
        },
    },
    Promise {
        words: "AS running_for",
        keeps: |fleet, shown| shows(shown, &[&fleet.silent, fleet.silent_worker]),
    },
    Promise {
        words: "SET status = 'queued',\n    locked_by = NULL,\n    locked_at = NULL,\n    run_at = NOW()\nWHERE id =",
        keeps: |fleet, _| {
            fleet.until(&fleet.stuck, "succeeded");
            let kept = fleet.sql(&format!("SELECT string_agg(outcome, ',' ORDER BY lease) FROM jobforge_job_attempts WHERE job_id = '{}'", fleet.stuck));
            if kept == "reset,succeeded" { Ok(()) } else { Err(format!("its attempts are {kept}")) }
        },
    },
    Promise {
        words: "SELECT id, type, tenant_id, attempts, error, created_at",
        keeps: |fleet, shown| shows(shown, &[&fleet.dead, TENANT]),
    },
    Promise {
        words: "error->>'message' AS error_message",
        keeps: |_, shown| match shown.lines().next().and_then(|line| line.rsplit_once('|')) {
            Some((message, _)) if !message.is_empty() => Ok(()),
            _ => Err(format!("the most frequent reason is empty: {shown}")),
        },
    },
    Promise {
        words: "SELECT jobforge_reschedule_job(",
        keeps: |fleet, _| {
            let attempts =
                format!("SELECT count(*) FROM jobforge_job_attempts WHERE job_id = '{}'", fleet.dead);
            eventually("the dead job has used up its fresh attempts", || fleet.sql(&attempts) == "4");
            let now = fleet.field(&fleet.dead, "status || attempts");
            if now == "dead2" { Ok(()) } else { Err(format!("it is {now}")) }
        },
    },
    Promise { words: "AS active_jobs", keeps: |fleet, shown| shows(shown, &[fleet.silent_worker, "|1|"]) },
    Promise {
        words: "tenant_id,\n  COUNT(*) AS running_jobs",
        keeps: |_, shown| shows(shown, &[&format!("{TENANT}|1|2.00")]),
    },
    Promise { words: "SELECT\n  COUNT(*) AS running_jobs", keeps: |_, shown| shows(shown, &["1|2.00"]) },
    Promise {
        words: "heartbeat_at < NOW() - INTERVAL '5 minutes'\nGROUP BY locked_by",
        keeps: |fleet, shown| shows(shown, &[&format!("{}|1", fleet.silent_worker)]),
    },
    Promise {
        words: "DELETE FROM jobforge_jobs",
        keeps: |fleet, _| {
            let left = fleet.sql("SELECT count(*) FILTER (WHERE type = 'old'), count(*) FILTER (WHERE status = 'succeeded') > 0 FROM jobforge_jobs");
            if left == "0|t" { Ok(()) } else { Err(format!("left are {left}")) }
        },
    },
    Promise {
        words: "AND type = 'connector.http.request'",
        keeps: |fleet, _| {
            fleet.until(&fleet.failed, "failed");
            let now = fleet.field(&fleet.failed, "attempts || ' ' || (lease >= 3)");
            if now == "1 true" { Ok(()) } else { Err(format!("attempts and a grown lease are {now}")) }
        },
    },
    Promise {
        words: "EXPLAIN ANALYZE",
        keeps: |_, shown| shows(shown, &["Index Scan using idx_jobforge_jobs_claim"]),
    },
    Promise { words: "VACUUM ANALYZE", keeps: |_, _| Ok(()) },
];

/// Runs a block, and asks what its words promise.
pub(super) fn run(fleet: &Fleet, text: &str) -> Verdict {
    Verdict::of(shown_by(fleet, text).and_then(|shown| {
        let promise = PROMISES.iter().find(|promise| text.contains(promise.words));
        if let Some(promise) = promise {
            (promise.keeps)(fleet, shown.trim())?;
        }
        let kept = if promise.is_some() { "as promised" } else { "runs" };
        Ok(shown.lines().next().map_or_else(|| kept.to_owned(), |first| format!("{kept}: {first}")))
    }))
}

/// What psql prints, with the reader's own values in place of the placeholders.
pub(super) fn shown_by(fleet: &Fleet, text: &str) -> Result<String, String> {
    let script = format!("\\set heartbeat_interval_seconds 30\n{}", fleet.fill_in(text));
    fleet.database.psql(&script).map_err(|error| format!("{error:#}"))
}

fn shows(shown: &str, parts: &[&str]) -> Result<(), String> {
    match parts.iter().find(|part| !shown.contains(**part)) {
        None => Ok(()),
        Some(part) => Err(format!("{part:?} is missing in: {shown}")),
    }
}
