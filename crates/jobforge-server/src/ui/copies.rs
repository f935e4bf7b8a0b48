//! The same view on the command line, over HTTP and in SQL, to be copied.

use url::form_urlencoded;

/// What a view can be copied as.
#[derive(Debug, Default)]
pub(super) struct Copies {
    pub(super) cli: String,
    pub(super) curl: String,
    pub(super) sql: String,
}

impl Copies {
    /// Of what is no part of the API or the database.
    pub(super) fn only_cli(cli: impl Into<String>) -> Self {
        Self { cli: cli.into(), ..Self::default() }
    }

    /// Each as it is typed; `path` is the call of the API.
    pub(super) fn of(cli: impl Into<String>, path: &str, sql: impl Into<String>) -> Self {
        let curl = format!(
            "curl -sH \"Authorization: Bearer $JOBFORGE_TOKEN\" {}",
            shell(&format!("$JOBFORGE_URL{path}"))
        );
        Self { cli: cli.into(), curl, sql: sql.into() }
    }
}

/// The conditions of a statement, each of which holds.
pub(super) fn condition(all: &[String]) -> String {
    if all.is_empty() { String::new() } else { format!("WHERE {}\n", all.join("\n  AND ")) }
}

/// A call of the API with these parameters.
pub(super) fn call(path: &str, pairs: &[(&str, String)]) -> String {
    if pairs.is_empty() {
        return path.to_owned();
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    format!("{path}?{}", query.finish())
}

/// A name within a path.
pub(super) fn segment(name: &str) -> String {
    // A plus sign is itself in a path.
    form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20")
}

/// A word of a shell's command. Only names of variables are left to the shell.
pub(super) fn shell(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    match text.strip_prefix("$JOBFORGE_URL") {
        Some(rest) if rest.chars().all(|c| plain(c) || "?&~".contains(c)) => format!("\"{text}\""),
        Some(rest) => format!("\"$JOBFORGE_URL\"{}", shell(rest)),
        None => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// A text in SQL.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_is_one_word_whatever_it_holds() {
        assert_eq!(shell("email.send"), "email.send");
        assert_eq!(shell("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(
            shell("$JOBFORGE_URL/v1/jobs?status=dead&type=a"),
            "\"$JOBFORGE_URL/v1/jobs?status=dead&type=a\""
        );
        assert_eq!(shell("$JOBFORGE_URL/v1/$(x)"), "\"$JOBFORGE_URL\"'/v1/$(x)'");
        assert_eq!(quoted("o'neill"), "'o''neill'");
    }
}
