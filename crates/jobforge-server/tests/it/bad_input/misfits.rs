//! Jobs and batches that can be read and are none.

use super::{Row, job, post, with};

/// What can be read and is no job.
pub(super) fn misfits() -> Vec<Row> {
    let long = |count: usize| "x".repeat(count);
    let many = |count: usize| vec![r#"{"type":"a"}"#; count].join(",");
    vec![
        job("a list for a job", "[]", 422, "invalid_job").at(" wrong_type"),
        job("a text for a job", "\"a\"", 422, "invalid_job").at(" wrong_type"),
        job("no type", "{}", 422, "invalid_job").at("/type required"),
        job("a type that is null", r#"{"type":null}"#, 422, "invalid_job").at("/type wrong_type"),
        job("an empty type", r#"{"type":""}"#, 422, "invalid_job").at("/type bad_name"),
        job("a type with spaces", r#"{"type":" a "}"#, 422, "invalid_job").at("/type bad_name"),
        job("a type of 129 bytes", format!(r#"{{"type":"{}"}}"#, long(129)), 422, "invalid_job")
            .at("/type bad_name")
            .says("129 bytes"),
        job("a type with control characters", r#"{"type":"a\n\u001bb"}"#, 422, "invalid_job")
            .at("/type bad_name"),
        job("a type with U+0000", r#"{"type":"a\u0000"}"#, 422, "invalid_job").at("/type bad_name"),
        job("a type with a bidi override", "{\"type\":\"\u{202e}a\"}", 422, "invalid_job")
            .at("/type bad_name"),
        job("a type of an emoji", "{\"type\":\"🦀\"}", 422, "invalid_job")
            .at("/type bad_name")
            .says("a-z A-Z 0-9"),
        job("a look-alike letter", "{\"type\":\"еmail\"}", 422, "invalid_job").at("/type bad_name"),
        with("a text for a number", r#""max_attempts":"5""#, "invalid_job").at("/max_attempts wrong_type"),
        with("a half", r#""max_attempts":2.5"#, "invalid_job").at("/max_attempts wrong_type"),
        with("a yes for a number", r#""priority":true"#, "invalid_job").at("/priority wrong_type"),
        with("a text for a list", r#""tags":"a""#, "invalid_job").at("/tags wrong_type"),
        with("a misspelt field", r#""run_att":"now""#, "invalid_job")
            .at("/run_att unknown_field")
            .says("did you mean \"run_at\""),
        with("a status", r#""status":"succeeded""#, "invalid_job").at("/status read_only_field"),
        with("a fence", r#""fence":7"#, "invalid_job").at("/fence read_only_field"),
        with("an owner", r#""locked_by":"worker-1""#, "invalid_job").at("/locked_by read_only_field"),
        with("attempts that were", r#""attempts":0"#, "invalid_job").at("/attempts read_only_field"),
        with("a negative delay", r#""delay_ms":-1"#, "invalid_job").at("/delay_ms out_of_range"),
        with("a delay of 1e308", r#""delay_ms":1e308"#, "invalid_job").at("/delay_ms wrong_type"),
        with("a delay as text", r#""delay_ms":"5""#, "invalid_job").at("/delay_ms wrong_type"),
        with("a delay of ages", r#""delay_ms":9223372036854775807"#, "invalid_job")
            .at("/delay_ms out_of_range"),
        with("the year 300000", r#""run_at":"300000-01-01T00:00:00Z""#, "invalid_job")
            .at("/run_at time_out_of_range"),
        with("the year 9999", r#""run_at":"9999-01-01T00:00:00Z""#, "invalid_job")
            .at("/run_at time_out_of_range"),
        with("a time without an end", r#""run_at":"infinity""#, "invalid_job")
            .at("/run_at bad_time")
            .says("2027-01-31T08:00:00Z"),
        with("now as a word", r#""run_at":"now""#, "invalid_job").at("/run_at bad_time"),
        with("a time of no zone", r#""run_at":"2027-01-01T00:00:00""#, "invalid_job").at("/run_at bad_time"),
        with("24 o'clock", r#""run_at":"2027-01-01T24:00:00Z""#, "invalid_job").at("/run_at bad_time"),
        with("a leap second", r#""run_at":"2026-12-31T23:59:60Z""#, "invalid_job").at("/run_at bad_time"),
        with("the 30th of February", r#""run_at":"2027-02-30T00:00:00Z""#, "invalid_job")
            .at("/run_at bad_time"),
        with("a time as a number", r#""run_at":1790000000"#, "invalid_job").at("/run_at wrong_type"),
        with("two times", r#""run_at":"2027-01-01T00:00:00Z","delay_ms":1"#, "invalid_job")
            .at("/run_at conflict"),
        with("no attempts", r#""max_attempts":0"#, "invalid_job").at("/max_attempts out_of_range"),
        with("fewer than none", r#""max_attempts":-1"#, "invalid_job").at("/max_attempts out_of_range"),
        with("a billion attempts", r#""max_attempts":1000000000"#, "invalid_job")
            .at("/max_attempts out_of_range")
            .says("1 to 1000"),
        with("attempts beyond any integer", r#""max_attempts":99999999999999999999"#, "invalid_job")
            .at("/max_attempts wrong_type"),
        with("a priority out of range", r#""priority":32768"#, "invalid_job").at("/priority out_of_range"),
        with("a time-out of nothing", r#""timeout_ms":0"#, "invalid_job").at("/timeout_ms out_of_range"),
        with("an empty key", r#""idempotency_key":"""#, "invalid_job")
            .at("/idempotency_key bad_idempotency_key"),
        with("a key of 12 KB", &format!(r#""idempotency_key":"{}""#, long(12_000)), "invalid_job")
            .at("/idempotency_key bad_idempotency_key"),
        with("a key with a space before it", r#""idempotency_key":" k""#, "invalid_job")
            .at("/idempotency_key bad_idempotency_key"),
        with("a key with control characters", r#""idempotency_key":"a\u0085b""#, "invalid_job")
            .at("/idempotency_key bad_idempotency_key"),
        with("a tag with U+0000", r#""tags":["\u0000"]"#, "invalid_job").at("/tags bad_tag"),
        with("21 tags", &format!(r#""tags":[{}"a"]"#, "\"a\",".repeat(20)), "invalid_job")
            .at("/tags out_of_range"),
        with("a trace that is none", r#""traceparent":"00-x""#, "invalid_job")
            .at("/traceparent bad_traceparent"),
        with(
            "a retry that shrinks",
            r#""retry":{"base_ms":1,"factor":0.5,"max_ms":1,"jitter":0}"#,
            "invalid_job",
        )
        .at("/retry out_of_range"),
        with("a name with a tilde and a slash", r#""~/":1"#, "invalid_job").at("/~0~1 unknown_field"),
        post("a batch of none", "/v1/jobs/many", r#"{"jobs":[]}"#, 422, "invalid_job").at("/jobs batch_size"),
        post(
            "a batch of 1,001",
            "/v1/jobs/many",
            format!(r#"{{"jobs":[{}]}}"#, many(1001)),
            422,
            "invalid_job",
        )
        .at("/jobs batch_size"),
        post("a batch that is no list", "/v1/jobs/many", r#"{"jobs":{}}"#, 422, "invalid_request")
            .at("/jobs wrong_type"),
        post("a batch without jobs", "/v1/jobs/many", "{}", 422, "invalid_request").at("/jobs required"),
        post(
            "one bad job of 100",
            "/v1/jobs/many",
            format!(r#"{{"jobs":[{},{{"type":"a b"}},{}]}}"#, many(57), many(42)),
            422,
            "invalid_job",
        )
        .at("/jobs/57/type bad_name"),
        post(
            "a second bad job of many",
            "/v1/jobs/many",
            format!(r#"{{"jobs":[{{"type":"a b"}},{},{{"type":"c d"}}]}}"#, many(5)),
            422,
            "invalid_job",
        )
        .at("/jobs/6/type bad_name"),
        post(
            "a bad payload of many",
            "/v1/jobs/many",
            r#"{"jobs":[{"type":"a"},{"type":"a","payload":{"k":1,"k":2}}]}"#,
            400,
            "duplicate_key",
        )
        .at("/jobs/1/payload/k duplicate_key"),
        post("a list of jobs in no object", "/v1/jobs/many", r#"[{"type":"a"}]"#, 422, "invalid_request")
            .at(" wrong_type"),
    ]
}
