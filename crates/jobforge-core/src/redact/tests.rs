//! What is hidden, and what is not.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn redactor() -> Redactor {
    Redactor::new(&[])
}

fn check(text: &str, shown: &str, hidden: usize) {
    let found = redactor().json(text);
    assert_eq!((found.text.as_str(), found.hidden), (shown, hidden), "{text}");
    assert_eq!(redactor().json(shown).hidden, 0, "what is hidden is not counted again: {shown}");
}

#[test]
fn keys_that_name_a_secret_are_known_however_they_are_written() {
    for key in [
        "password",
        "PASSWORD",
        "Password",
        "PassWord",
        "pass_word",
        "db_password",
        "dbPassword",
        "DBPassword",
        "dbpassword",
        "password2",
        "passwords",
        "password_hash",
        "password_prod",
        "new-password",
        "user.password",
        "passwd",
        "pwd",
        "PGPASSWORD",
        "passphrase",
        "sshPassphrase",
        "secret",
        "clientSecret",
        "client_secret",
        "CLIENT-SECRET",
        "clientsecret",
        "app.secrets",
        "token",
        "accessToken",
        "access_token",
        "ACCESS_TOKEN",
        "accesstoken",
        "oauth2Token",
        "oauth2token",
        "token_github",
        "x-csrf-token",
        "tokens",
        "access_tokens",
        "api_key",
        "apiKey",
        "apikey",
        "API-Key",
        "APIKey",
        "X-Api-Key",
        "x_apikey",
        "api_keys",
        "apiKeyLive",
        "stripe.api.key",
        "openai_api_key_2",
        "access_key",
        "aws_secret_access_key",
        "secretAccessKey",
        "private_key",
        "privateKey",
        "PRIVATEKEY",
        "private_key_pem",
        "signature_key",
        "signingKey",
        "encryption-key",
        "AccountKey",
        "authorization",
        "Authorization",
        "proxy-authorization",
        "authorization_code",
        "cookie",
        "Cookie",
        "Set-Cookie",
        "cookies",
        "sessionCookie",
        "credential",
        "credentials",
        "GOOGLE_CREDENTIALS_JSON",
        "awsCredentials",
        "jwt",
        "id_jwt",
        "connectionString",
        "pass\\u0077ord",
    ] {
        check(&format!(r#"{{"{key}":"x"}}"#), &format!(r#"{{"{key}":"[redacted]"}}"#), 1);
    }
}

#[test]
fn keys_that_only_tell_about_a_secret_or_have_another_meaning_are_shown() {
    for key in [
        "secret_ref",
        "secretRef",
        "secret_refs",
        "secret_key_ref",
        "secret_name",
        "secretName",
        "credential_id",
        "credentialsId",
        "access_key_id",
        "api_key_id",
        "api-key-name",
        "token_count",
        "tokenCount",
        "token_type",
        "token_url",
        "tokenEndpoint",
        "tokens_used",
        "token_limit",
        "token_budget",
        "secrets_dir",
        "password_file",
        "password_policy",
        "cookie_name",
        "authorization_url",
        "token_expires_at",
        "credential_type",
        "private_key_path",
        "secret_arn",
        "prompt_tokens_details",
        "tokenizer",
        "tokenized",
        "tokenise",
        "secretary",
        "passwordless",
        "passage",
        "passenger",
        "compass",
        "password_reset_url",
        "authority",
        "author",
        "authorized",
        "authorize",
        "key",
        "keys",
        "public_key",
        "idempotency_key",
        "primary_key",
        "sort_key",
        "keyboard",
        "monkey",
        "access",
        "api",
        "private",
        "accessibility_keyword",
        "cookiecutter",
        "pwdir",
        "ascii",
        "name",
        "",
        "-",
        "bypass",
        "credence",
        "signature",
    ] {
        let text = format!(r#"{{"{key}":"x"}}"#);
        check(&text, &text, 0);
    }
}

#[test]
fn counts_of_tokens_are_shown_and_tokens_are_not() {
    let counts = r#"{"max_tokens":4096,"tokens":12,"total_tokens":3,"prompt_tokens": -1,"tokens_used":7}"#;
    check(counts, counts, 0);
    check(r#"{"tokens":["a","b"],"token":123456}"#, r#"{"tokens":"[redacted]","token":"[redacted]"}"#, 2);
}

#[test]
fn a_secret_is_hidden_whole_at_any_depth_and_null_and_booleans_are_shown() {
    check(
        r#"{"a":[{"b":{"password":{"x":["}",{"y":"\"]"}]},"c":1}}],"secret":["a","b"],"token":""}"#,
        r#"{"a":[{"b":{"password":"[redacted]","c":1}}],"secret":"[redacted]","token":"[redacted]"}"#,
        3,
    );
    let shown = r#"{"password":null,"token":true,"cookie":false,"secret":"[redacted]"}"#;
    check(shown, shown, 0);
    check(r#"{"credentials":{"user":"ada"},"pin":1}"#, r#"{"credentials":"[redacted]","pin":1}"#, 1);
    check(r#"{"password":-1.5e3}"#, r#"{"password":"[redacted]"}"#, 1);
    let reference =
        r#"{"Authorization":{"secret_ref":"billing-key","format":"Bearer {}"},"token":{"secret_ref":"a"}}"#;
    check(reference, reference, 0);
    check(
        r#"{"token":{"secret_ref":"a","value":"x"},"cookie":{}}"#,
        r#"{"token":"[redacted]","cookie":"[redacted]"}"#,
        2,
    );
    let string = r#""password""#;
    check(string, string, 0);
}

#[test]
fn all_else_stays_to_the_byte() {
    check(
        "{ \"z\" : 12345678901234567890123 ,\n\t\"password\" :\r\n 1.50e1 , \"a\":[ -0.0, 1e300 ], \"é\": \"\\u00e9\\/ \" }",
        "{ \"z\" : 12345678901234567890123 ,\n\t\"password\" :\r\n \"[redacted]\" , \"a\":[ -0.0, 1e300 ], \"é\": \"\\u00e9\\/ \" }",
        1,
    );
}

#[test]
fn who_and_passwords_in_addresses_are_hidden() {
    for (text, shown, hidden) in [
        ("postgres://user:pass@host/db", "postgres://[redacted]@host/db", 1),
        ("https://ghp_x@github.com/a", "https://[redacted]@github.com/a", 1),
        ("a redis://:p%40ss@h:6379/0, b", "a redis://[redacted]@h:6379/0, b", 1),
        ("postgres://u:p@ss@h1:1,h2:2/d", "postgres://[redacted]@h1:1,h2:2/d", 1),
        ("postgres://u:p/w?s#1@host/db", "postgres://[redacted]@host/db", 1),
        ("mongodb+srv://u:p@h http://x:y@z/", "mongodb+srv://[redacted]@h http://[redacted]@z/", 2),
        (
            "https://h/p?api_key=abc&x=1#access_token=d",
            "https://h/p?api_key=[redacted]&x=1#access_token=[redacted]",
            2,
        ),
        (
            "jdbc:postgresql://h/db?user=a&password=b;x",
            "jdbc:postgresql://h/db?user=a&password=[redacted];x",
            1,
        ),
        ("https://a/?to=https://b&token=x", "https://a/?to=https://b&token=[redacted]", 1),
    ] {
        check(&json!({ "at": [text] }).to_string(), &json!({ "at": [shown] }).to_string(), hidden);
    }
    for harmless in [
        "https://example.com/@ada",
        "http://h:8080/a@b",
        "http://[::1]:80/a@b",
        "https://h/?q=a@b",
        "mail ada@example.org",
        "a://b",
        "://@",
        "http://",
        "https://h/?token=",
        "https://h/?token_type=bearer",
        "//u:p@h",
        "http://@h",
    ] {
        let text = json!({ "at": harmless }).to_string();
        check(&text, &text, 0);
    }
    check(r#"["postgres:\/\/u:\u0070@h\/d"]"#, r#"["postgres://[redacted]@h/d"]"#, 1);
}

#[test]
fn json_that_is_kept_as_a_string_is_looked_into() {
    let body = json!({ "body": json!({ "access_token": "x", "n": 1 }).to_string() }).to_string();
    let shown = json!({ "body": r#"{"access_token":"[redacted]","n":1}"# }).to_string();
    check(&body, &shown, 1);
    let deeper = json!([json!([body]).to_string()]).to_string();
    check(&deeper, &json!([json!([shown]).to_string()]).to_string(), 1);
    let none = json!({ "body": "{\"password\" is not JSON}" }).to_string();
    check(&none, &none, 0);
}

#[test]
fn names_of_ones_own_are_hidden_besides() {
    let own = ["iban".to_owned(), "Tax-Number".to_owned(), "customer_id".to_owned(), "***".to_owned()];
    let redactor = Redactor::new(&own);
    for key in
        ["iban", "IBAN", "userIban", "tax_number", "taxNumber", "taxnumber", "customerId", "old_customer_id"]
    {
        assert!(redactor.is_secret(key), "{key}");
    }
    assert!(redactor.is_secret("password"), "the built-in ones stay");
    for key in ["urban", "caribans", "number", "tax", "customer", "id", "iban_ref", "customer_id_type", "***"]
    {
        assert!(!redactor.is_secret(key), "{key}");
    }
}

#[test]
fn the_documentation_names_every_word() {
    let page = include_str!("../../../../docs/security.md");
    let (_, section) = page.split_once("## Payloads and secrets").expect("the section");
    let listed = section.lines().find(|line| line.starts_with("password, ")).expect("the words");
    assert_eq!(listed.trim_end_matches('.').split(", ").collect::<Vec<_>>(), SECRET_KEYS);
}

#[test]
fn text_that_is_no_json_does_no_harm() {
    for text in [
        "",
        "\"",
        "{\"password\":",
        "{\"password\":\"",
        "{\"token\": {\"a",
        "\\",
        "\"\\",
        "{\"password\" : }",
        "é\"é",
    ] {
        redactor().json(text);
    }
    assert_eq!(redactor().json("{\"password\":\"abc").text, "{\"password\":\"[redacted]\"");
}

#[test]
fn a_large_payload_takes_no_longer_for_its_size() {
    // Seconds; what takes the square of it, the runner ends.
    let hostile = [
        "a://".repeat(250_000),
        "://x@".repeat(200_000),
        "?token=".repeat(140_000),
        "\\".repeat(500_000),
        "{\"".repeat(300_000),
        "a@".repeat(500_000),
    ];
    let many: Vec<Value> =
        (0..20_000).map(|n| json!({ format!("key{n}"): { "password": n, "name": "x" } })).collect();
    for text in hostile {
        redactor().json(&json!({ "x": text }).to_string());
    }
    assert_eq!(redactor().json(&Value::from(many).to_string()).hidden, 20_000);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z\"\\\\:{}\\[\\], é/@]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let key =
            prop_oneof!["[a-z\"\\\\: é]{0,5}", Just("password".to_owned()), Just("token_id".to_owned())];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// The same, done on values.
fn hide(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.iter_mut().for_each(|(key, value)| match value {
            Value::Null | Value::Bool(_) => {}
            _ if key == "password" => *value = REDACTED.into(),
            _ => hide(value),
        }),
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

proptest! {
    #[test]
    fn what_is_shown_is_the_json_with_its_secrets_replaced(value in any_json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let shown = redactor().json(&text.expect("text"));
        let mut expected = value;
        hide(&mut expected);
        prop_assert_eq!(serde_json::from_str::<Value>(&shown.text).expect("JSON"), expected);
    }
}
