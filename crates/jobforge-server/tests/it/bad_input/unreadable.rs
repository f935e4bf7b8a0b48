//! Bodies from which nothing can be read.

use super::{Row, job, payload, post, send};

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

/// What no job can be read from.
pub(super) fn unreadable() -> Vec<Row> {
    vec![
        job("no body", "", 400, "body_empty"),
        job("a blank body", " \n\t", 400, "body_empty"),
        job("half a document", "{\"type\": \"a\",\n \"queue\" }", 400, "json_syntax")
            .says("line 2 column 10 (byte 23)"),
        job("two documents", r#"{"type":"a"} {}"#, 400, "json_trailing").says("byte 13"),
        job("words behind the document", r#"{"type":"a"}x"#, 400, "json_trailing"),
        payload("NaN", "NaN", 400, "json_syntax"),
        payload("Infinity", "-Infinity", 400, "json_syntax"),
        job("single quotes", "{'type':'a'}", 400, "json_syntax"),
        job("a comment", "{\"type\":\"a\" /* b */}", 400, "json_syntax"),
        job("a trailing comma", r#"{"type":"a",}"#, 400, "json_syntax"),
        job("a byte order mark", "\u{feff}{}", 400, "json_bom").says("remove it"),
        job("UTF-16", b"\xff\xfe{\0}\0".to_vec(), 400, "not_utf8").says("byte 0"),
        job("a stray byte", b"{\"type\":\"\xff\"}".to_vec(), 400, "not_utf8").says("byte 9"),
        job("an overlong slash", b"{\"type\":\"\xc0\xaf\"}".to_vec(), 400, "not_utf8"),
        job("a surrogate in UTF-8", b"{\"type\":\"\xed\xa0\x80\"}".to_vec(), 400, "not_utf8"),
        payload("U+0000 in a string", r#"{"a":["x\u0000"]}"#, 400, "nul_character")
            .at("/payload/a/0 nul_character"),
        payload("U+0000 in a key", r#"{"a\u0000":1}"#, 400, "nul_character")
            .at("/payload/a\\u0000 nul_character"),
        payload("a lone surrogate", r#""\ud800""#, 400, "bad_unicode_escape")
            .at("/payload bad_unicode_escape"),
        payload("reversed surrogates", r#""\udc00\ud800""#, 400, "bad_unicode_escape"),
        job("a lone surrogate in a type", r#"{"type":"\ud800"}"#, 400, "bad_unicode_escape"),
        job("a field twice", r#"{"type":"a","type":"b"}"#, 400, "duplicate_key").at("/type duplicate_key"),
        job("two payloads", r#"{"type":"a","payload":1,"payload":2}"#, 400, "duplicate_key")
            .at("/payload duplicate_key"),
        job("a part twice", r#"{"type":"a","retry":{"jitter":0,"jitter":1}}"#, 400, "duplicate_key")
            .at("/retry/jitter duplicate_key"),
        payload("a key twice", r#"{"a":[{"k":1,"k":2}]}"#, 400, "duplicate_key")
            .at("/payload/a/0/k duplicate_key"),
        payload("a payload 65 deep", &nested(65), 400, "too_deep").at("/payload too_deep").says("64"),
        payload("a payload 10,000 deep", &nested(10_000), 400, "too_deep"),
        payload("a payload 500,000 deep", &nested(500_000), 400, "too_deep"),
        payload("a million open brackets", &"[".repeat(1_000_000), 400, "too_deep"),
        payload("a million open objects", &"{\"a\":".repeat(300_000), 400, "too_deep"),
        post(
            "a million brackets that are no object",
            "/api/qc/debug",
            "[".repeat(1_000_000),
            400,
            "too_deep",
        ),
        payload("a number of 100,000 digits", "1e100000", 400, "number_out_of_range")
            .at("/payload number_out_of_range"),
        payload("a number beyond a double", "[1e400]", 400, "number_out_of_range"),
        payload("a number below a double", "1e-400", 400, "number_out_of_range"),
        payload("65 digits", &"9".repeat(65), 400, "number_out_of_range"),
        payload(
            "numbers that are long when written out",
            &format!("[{}1]", "1e300,".repeat(20_000)),
            413,
            "payload_too_large",
        ),
        payload(
            "a payload of more than 1 MiB",
            &format!("\"{}\"", "x".repeat(1024 * 1024)),
            413,
            "payload_too_large",
        )
        .says("data_ref"),
        post(
            "an action that is there twice",
            "/api/qc/debug",
            r#"{"action":"retry_specific","jobId":"a","jobId":"b"}"#,
            400,
            "duplicate_key",
        )
        .at("/jobId duplicate_key"),
        post(
            "U+0000 in a name",
            "/v1/tokens",
            r#"{"name":"a\u0000","scopes":["read"]}"#,
            400,
            "nul_character",
        )
        .at("/name nul_character"),
        post(
            "U+0000 in a filter",
            "/v1/jobs/bulk",
            r#"{"action":"cancel","filter":{"type":"a\u0000"}}"#,
            400,
            "nul_character",
        )
        .at("/filter/type nul_character"),
        post(
            "U+0000 in a reason",
            "/v1/jobs/bulk",
            r#"{"action":"cancel","filter":{"type":"a"},"reason":"\u0000"}"#,
            400,
            "nul_character",
        ),
        send(
            "U+0000 in a setting",
            "PATCH",
            "/v1/settings",
            r#"{"health_probes":"\u0000"}"#,
            400,
            "nul_character",
        ),
        // What says that it is something else.
        job("a form", r#"{"type":"a"}"#, 415, "content_type")
            .with("Content-Type", "application/x-www-form-urlencoded"),
        Row {
            headers: vec![("Content-Type", "text/plain")],
            ..job("a text", r#"{"type":"a"}"#, 415, "content_type")
        },
        Row {
            headers: vec![],
            ..job("a body that says nothing of itself", r#"{"type":"a"}"#, 415, "content_type")
        },
        job("a packed job", b"\x1f\x8b\x08\0".to_vec(), 415, "encoding_not_supported")
            .with("Content-Encoding", "gzip"),
        post("a packed action", "/api/qc/debug", "{}", 415, "encoding_not_supported")
            .with("Content-Encoding", "gzip"),
        post("a packed nothing", "/v1/queues/a/pause", "{}", 415, "encoding_not_supported")
            .with("Content-Encoding", "br, gzip"),
        post("a body where none has a meaning", "/v1/queues/a/pause", "x", 400, "unexpected_body"),
    ]
}
