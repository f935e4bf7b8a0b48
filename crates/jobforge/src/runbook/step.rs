//! What a marked block says to do.
//!
//! The word behind the language of a fence marks a block: `jobforge:read` looks, `jobforge:mend` changes something,
//! `jobforge:shell` is for a shell. A block without one is for people.

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It looks.
    Read,
    /// It changes something.
    Mend,
    /// It is run by a shell, which may do anything.
    Shell,
}

impl Kind {
    /// Its mark.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Mend => "mend",
            Self::Shell => "shell",
        }
    }
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it does.
    pub kind: Kind,
    /// As it is written.
    pub command: String,
}

/// The steps of a block; none if it is not marked.
///
/// # Errors
/// When its mark is none.
pub fn steps(info: &str, text: &str) -> Result<Vec<Step>, String> {
    let mut words = info.split_whitespace();
    let language = words.next().unwrap_or_default();
    let Some(mark) = words.find_map(|word| word.strip_prefix("jobforge:")) else { return Ok(Vec::new()) };
    let kind = match mark {
        "read" => Kind::Read,
        "mend" => Kind::Mend,
        "shell" => Kind::Shell,
        other => return Err(format!("jobforge:{other} is no mark; use jobforge:read, :mend or :shell")),
    };
    if kind == Kind::Shell {
        return Ok(vec![Step { kind, command: text.trim_end().to_owned() }]);
    }
    let commands = if language == "console" { typed(text) } else { lines(text) };
    Ok(commands.into_iter().map(|command| Step { kind, command }).collect())
}

/// Lines of a script, without comments.
fn lines(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let of_use = |line: &&str| !line.is_empty() && !line.starts_with('#');
    joined.lines().map(str::trim).filter(of_use).map(str::to_owned).collect()
}

/// What is typed after `$ `; the rest is what it prints.
fn typed(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    joined.lines().filter_map(|line| line.strip_prefix("$ ")).map(|line| line.trim().to_owned()).collect()
}

/// Why a command is not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotRun {
    /// It is no plain `jobforge` command.
    NotOurs,
    /// It needs a value that nobody gave.
    Lacks(String),
}

/// The arguments of a plain `jobforge` command, with `$NAME` replaced by what was given for it.
///
/// Words may be quoted as in a shell. Nothing else of a shell is understood: what pipes, redirects or expands is for people.
///
/// # Errors
/// When it is not run, and why.
pub fn arguments(command: &str, given: &[(String, String)]) -> Result<Vec<String>, NotRun> {
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut rest = command.chars().peekable();
    while let Some(c) = rest.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '$') => {
                let mut name = String::new();
                while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                }
                let value = given.iter().find(|(known, _)| *known == name).map(|(_, value)| value);
                match (name.is_empty(), value) {
                    (true, _) => return Err(NotRun::NotOurs),
                    (false, None) => return Err(NotRun::Lacks(name)),
                    (false, Some(value)) => word.get_or_insert_default().push_str(value),
                }
            }
            (None, '|' | ';' | '&' | '<' | '>' | '(' | ')' | '`' | '*' | '?' | '~' | '\\')
            | (Some('"'), '`' | '\\') => return Err(NotRun::NotOurs),
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    match (quote, words.split_first()) {
        (None, Some((program, arguments))) if program == "jobforge" => Ok(arguments.to_vec()),
        _ => Err(NotRun::NotOurs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_block_is_commands_and_an_unmarked_one_is_for_people() {
        let of = |info: &str, text: &str| {
            steps(info, text).map(|all| all.into_iter().map(|s| (s.kind, s.command)).collect::<Vec<_>>())
        };
        let read = |command: &str| (Kind::Read, command.to_owned());
        assert_eq!(of("console", "$ jobforge queue list\n"), Ok(vec![]));
        assert_eq!(
            of("console jobforge:read", "$ jobforge queue list\nQUEUE\n$ jobforge \\\n  dead list\n"),
            Ok(vec![read("jobforge queue list"), read("jobforge    dead list")])
        );
        assert_eq!(
            of("sh jobforge:read", "# why\njobforge queue list\n"),
            Ok(vec![read("jobforge queue list")])
        );
        let script = (Kind::Shell, "a | b\nc".to_owned());
        assert_eq!(of("sh jobforge:shell", "a | b\nc\n"), Ok(vec![script]));
        assert!(of("sh jobforge:reed", "x").is_err_and(|why| why.contains("jobforge:read")));
    }

    #[test]
    fn only_a_plain_command_of_ours_has_arguments() {
        let given = [("JOB".to_owned(), "1 2".to_owned())];
        let of = |command: &str| arguments(command, &given);
        assert_eq!(
            of("jobforge job retry \"$JOB\" --reason 'it $is so'"),
            Ok(["job", "retry", "1 2", "--reason", "it $is so"].map(str::to_owned).to_vec())
        );
        assert_eq!(of("jobforge dead retry --group $GROUP"), Err(NotRun::Lacks("GROUP".to_owned())));
        for foreign in [
            "curl -s x",
            "jobforge queue list | head -1",
            "jobforge job show $(cat id)",
            "jobforge a; rm -rf x",
            "jobforge a > file",
            "jobforge 'a",
            "X=1 jobforge a",
            "",
        ] {
            assert_eq!(of(foreign), Err(NotRun::NotOurs), "{foreign}");
        }
    }
}
