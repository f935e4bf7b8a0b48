//! Ids of nothing, and moves that make no sense.

use super::{Row, get, post};

/// Jobs that are not there, and moves that make no sense; `:job` is a queued job, `:canceled` one that was canceled.
pub(super) fn moves() -> Vec<Row> {
    let unknown = "01890A5D-AC96-774B-BCCE-B302099A8057";
    vec![
        get("the runbook's placeholder", "/v1/jobs/JOB_ID_HERE", 400, "bad_id")
            .says("placeholder from the runbook"),
        get("a placeholder in braces", "/v1/jobs/stuck-job-uuid", 400, "bad_id").says("placeholder"),
        get("an id of 10 KB", format!("/v1/jobs/{}", "9".repeat(10_000)), 400, "bad_id"),
        get("an id that is no text", "/v1/jobs/%ff", 400, "bad_id"),
        get("an id with U+0000", "/v1/jobs/x%00y/explain", 400, "bad_id"),
        get("an unknown id in capitals", format!("/v1/jobs/{unknown}"), 404, "job_not_found"),
        get("an unknown id in braces", format!("/v1/jobs/%7B{unknown}%7D/timeline"), 404, "job_not_found"),
        get("a path out of the way", "/v1/jobs/..%2f..%2fetc%2fpasswd", 400, "bad_id"),
        post("an end of nothing", &format!("/v1/jobs/{unknown}/cancel"), "", 404, "job_not_found"),
        post(
            "a time that is none",
            "/v1/jobs/:job/reschedule",
            r#"{"run_at":"infinity"}"#,
            422,
            "invalid_request",
        )
        .at("/run_at bad_value"),
        post("a negative wait", "/v1/jobs/:job/reschedule", r#"{"delay_ms":-1}"#, 422, "invalid_request")
            .at("/delay_ms out_of_range"),
        post(
            "a wait of ages",
            "/v1/jobs/:job/reschedule",
            r#"{"delay_ms":18446744073709551615}"#,
            422,
            "invalid_request",
        )
        .says("ten years"),
        post(
            "two times",
            "/v1/jobs/:job/reschedule",
            r#"{"run_at":"2027-01-01T00:00:00Z","delay_ms":1}"#,
            422,
            "invalid_request",
        ),
        post("no time", "/v1/jobs/:job/reschedule", "{}", 422, "invalid_request"),
        post(
            "an action that is none",
            "/v1/jobs/bulk",
            r#"{"action":"purge","filter":{"type":"a"}}"#,
            422,
            "invalid_request",
        )
        .at("/action bad_value"),
        post(
            "everything without a word",
            "/v1/jobs/bulk",
            r#"{"action":"delete","filter":{}}"#,
            422,
            "invalid_request",
        )
        .says("\"all\": true"),
        post(
            "a filter that is misspelt",
            "/v1/jobs/bulk",
            r#"{"action":"cancel","filter":{"typ":"a"}}"#,
            422,
            "invalid_request",
        )
        .at("/filter/typ unknown_field")
        .says("did you mean \"type\""),
        post(
            "a status that is none",
            "/v1/jobs/bulk",
            r#"{"action":"cancel","filter":{"statuses":["done"]}}"#,
            422,
            "invalid_request",
        )
        .at("/filter/statuses/0 bad_value"),
        get("an operation that is no id", "/v1/operations/17", 400, "bad_id"),
        get("an unknown operation", format!("/v1/operations/{unknown}"), 404, "operation_not_found"),
        post("a note that is missing", "/v1/dead/resolve", r#"{"ids":[":job"]}"#, 422, "invalid_request")
            .at("/note required"),
        post(
            "a note that is blank",
            "/v1/dead/resolve",
            r#"{"ids":[":job"],"note":" "}"#,
            422,
            "invalid_request",
        ),
        post(
            "a note with U+0000",
            "/v1/dead/resolve",
            r#"{"ids":[":job"],"note":"\u0000"}"#,
            400,
            "nul_character",
        )
        .at("/note nul_character"),
        post("ids that are none", "/v1/dead/resolve", r#"{"ids":["x"],"note":"n"}"#, 422, "invalid_request")
            .at("/ids/0 bad_value"),
        post(
            "a watchdog with a space",
            "/api/qc/debug",
            r#"{"action":"trigger_watchdog "}"#,
            422,
            "unknown_action",
        )
        .says("did you mean \"trigger_watchdog\""),
        post("no action", "/api/qc/debug", "{}", 422, "unknown_action").says("action is missing"),
        post("an action that is a number", "/api/qc/debug", r#"{"action":5}"#, 422, "invalid_request")
            .at("/action wrong_type"),
        post("no job to retry", "/api/qc/debug", r#"{"action":"retry_specific"}"#, 422, "invalid_request")
            .says("jobId"),
        post(
            "a job id that is a number",
            "/api/qc/debug",
            r#"{"action":"retry_specific","jobId":7}"#,
            422,
            "invalid_request",
        ),
        post(
            "a field that is misspelt",
            "/api/qc/debug",
            r#"{"action":"retry_specific","jobID":"x"}"#,
            422,
            "invalid_request",
        )
        .at("/jobID unknown_field"),
        post(
            "a job for the watchdog",
            "/api/qc/debug",
            r#"{"action":"trigger_watchdog","jobId":":job"}"#,
            422,
            "invalid_request",
        ),
        post("nothing to run again", "/api/qc/reprocess", "{}", 422, "invalid_request"),
        post(
            "a letter that is not dead",
            "/api/admin/dlq",
            r#"{"action":"retry","id":":job"}"#,
            409,
            "invalid_transition",
        ),
        post(
            "a note that is a number",
            "/api/admin/dlq",
            r#"{"action":"resolve","id":":job","notes":5}"#,
            422,
            "invalid_request",
        )
        .says("notes"),
        post(
            "a purge of today",
            "/api/admin/dlq",
            r#"{"action":"purge","olderThanDays":0}"#,
            422,
            "invalid_request",
        )
        .says("1 to 3650"),
        post(
            "a purge of tomorrow",
            "/api/admin/dlq",
            r#"{"action":"purge","olderThanDays":-5}"#,
            422,
            "invalid_request",
        ),
        post(
            "a purge of all",
            "/api/admin/dlq",
            r#"{"action":"purge","olderThanDays":"all"}"#,
            422,
            "invalid_request",
        ),
        post(
            "a purge of 1e12 days",
            "/api/admin/dlq",
            r#"{"action":"purge","olderThanDays":1e12}"#,
            422,
            "invalid_request",
        ),
        post("a queue that is no name", "/v1/queues/a%00b/pause", "", 400, "bad_name"),
        post("a queue that is a path", "/v1/queues/..%2fx/pause", "", 400, "bad_name"),
    ]
}
