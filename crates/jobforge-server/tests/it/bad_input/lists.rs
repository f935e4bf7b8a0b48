//! Lists, settings, flags and tokens.

use super::{Row, get, post, send};

/// Lists, and what is administered.
pub(super) fn lists_and_settings() -> Vec<Row> {
    vec![
        get("less than nothing", "/v1/jobs?limit=-1", 400, "bad_parameter").says("limit"),
        get("a billion", "/v1/jobs?limit=1000000000", 400, "bad_parameter").says("1 to 500"),
        get("more than any integer", "/v1/audit?limit=99999999999999999999", 400, "bad_parameter"),
        get("SQL for an order", "/v1/jobs?sort=id;drop", 400, "unknown_parameter"),
        get("a cursor that is none", "/v1/jobs?before=17", 400, "bad_parameter"),
        get("a cursor of the audit log that is none", "/v1/audit?before=x", 400, "bad_parameter"),
        get("a parameter twice", "/v1/jobs?queue=a&queue=b", 400, "bad_parameter"),
        get("a parameter with U+0000", "/v1/audit?target=%00", 400, "bad_parameter"),
        get("a parameter that is no text", "/v1/jobs?tag=%ff", 400, "bad_query"),
        get("an escape that is cut off", "/v1/jobs?tag=%f", 400, "bad_query"),
        get("a parameter of 256 bytes", format!("/v1/jobs?tag={}", "x".repeat(256)), 400, "bad_parameter"),
        get("a status that is none", "/v1/jobs?status=done", 400, "bad_parameter"),
        get("a yes that is none", "/v1/dead/jobs?resolved=perhaps", 400, "bad_parameter"),
        get("a time that is none", "/v1/audit?since=yesterday", 400, "bad_parameter"),
        get("an offset without an end", "/api/admin/dlq?offset=1000000", 400, "bad_parameter"),
        get("a token in the address", "/v1/jobs?token=admin-key", 400, "token_in_url"),
        get("a path that is none", "/v1/jobs/", 404, "route_not_found"),
        get("two slashes", "//v1/jobs", 404, "route_not_found"),
        get("a path with a dot", "/v1/./jobs", 404, "route_not_found"),
        get("a path with an escaped slash", "/v1%2fjobs", 404, "route_not_found"),
        send("a method that is none", "BREW", "/v1/jobs", "", 405, "method_not_allowed"),
        send("an unknown setting", "PATCH", "/v1/settings", r#"{"slotz":3}"#, 422, "unknown_setting"),
        send(
            "a word for a number",
            "PATCH",
            "/v1/settings",
            r#"{"heartbeat_threshold_ms":"many"}"#,
            422,
            "bad_setting",
        ),
        send(
            "a number below its range",
            "PATCH",
            "/v1/settings",
            r#"{"heartbeat_threshold_ms":-1}"#,
            422,
            "bad_setting",
        ),
        send(
            "an object for a setting",
            "PATCH",
            "/v1/settings",
            r#"{"heartbeat_threshold_ms":{}}"#,
            422,
            "invalid_request",
        )
        .at("/heartbeat_threshold_ms wrong_type"),
        send(
            "one good setting and one bad",
            "PATCH",
            "/v1/settings",
            r#"{"heartbeat_threshold_ms":300000,"heartbeat_max_misses":-4}"#,
            422,
            "bad_setting",
        ),
        send(
            "a threshold below the interval",
            "PATCH",
            "/api/admin/config",
            r#"{"heartbeat_threshold_ms":30000,"heartbeat_interval_ms":29000}"#,
            422,
            "settings_disagree",
        ),
        send(
            "a setting twice",
            "PATCH",
            "/api/admin/config",
            r#"{"heartbeat_threshold_ms":300000,"heartbeat_threshold_ms":400000}"#,
            400,
            "duplicate_key",
        ),
        send("settings in a list", "PATCH", "/api/admin/config", "[]", 422, "invalid_request")
            .at(" wrong_type"),
        send(
            "an ETag that is none",
            "PATCH",
            "/v1/settings",
            r#"{"heartbeat_threshold_ms":300000}"#,
            400,
            "bad_if_match",
        )
        .with("If-Match", "yes"),
        post("a setting with U+0000", "/v1/settings/a%00b/revert", "", 422, "unknown_setting"),
        send(
            "a flag that is neither on nor off",
            "PUT",
            "/v1/flags/JOB_HEARTBEAT",
            r#"{"enabled":"yes"}"#,
            422,
            "invalid_request",
        )
        .at("/enabled wrong_type"),
        send("an unknown flag", "PUT", "/v1/flags/SHINE", r#"{"enabled":true}"#, 404, "flag_not_found"),
        post(
            "a token that nobody could name",
            "/v1/tokens",
            r#"{"name":"","scopes":["read"]}"#,
            422,
            "invalid_request",
        ),
        post(
            "a token that may do nothing",
            "/v1/tokens",
            r#"{"name":"a","scopes":[]}"#,
            422,
            "invalid_request",
        ),
        post(
            "a scope that is none",
            "/v1/tokens",
            r#"{"name":"a","scopes":["root"]}"#,
            422,
            "invalid_request",
        )
        .at("/scopes/0 bad_value"),
        post(
            "a token of yesterday",
            "/v1/tokens",
            r#"{"name":"a","scopes":["read"],"expires_at":"2020-01-01T00:00:00Z"}"#,
            422,
            "invalid_request",
        ),
        post(
            "a token with two ends",
            "/v1/tokens",
            r#"{"name":"a","scopes":["read"],"expires_at":"2099-01-01T00:00:00Z","for_ms":1}"#,
            422,
            "invalid_request",
        ),
        post(
            "a token with a field too many",
            "/v1/tokens",
            r#"{"name":"a","scopes":["read"],"hash":"x"}"#,
            422,
            "invalid_request",
        )
        .at("/hash unknown_field"),
        send("a token that is not there", "DELETE", "/v1/tokens/a%00b", "", 404, "token_not_found"),
    ]
}
