//! The same view on the command line, over HTTP and in SQL, to be copied.

/// What a view can be copied as.
#[derive(Debug, Default)]
pub(super) struct Copies {
    pub(super) cli: String,
    pub(super) curl: String,
    pub(super) sql: String,
}

impl Copies {
    /// Each as it is typed; `path` is the call of the API.
    pub(super) fn of(cli: impl Into<String>, path: &str, sql: impl Into<String>) -> Self {
        let curl = format!(
            "curl -sH \"Authorization: Bearer $JOBFORGE_TOKEN\" {}",
            shell(&format!("$JOBFORGE_URL{path}"))
        );
        Self { cli: cli.into(), curl, sql: sql.into() }
    }
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
