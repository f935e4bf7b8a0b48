//! The search box of the dashboard, which `jobforge job list` reads as well: words such as `status:dead type:mail.send`; a
//! bare word is a type, or a job's id.
//!
//! A value with spaces stands in quotation marks, in which a backslash takes what follows as it is:
//! `error:"connection \"x\" refused"`.

use crate::job::JobId;
use crate::job_state::JobState;
use crate::payload_match::PayloadMatch;
use crate::state::Status;

/// The words, with the parameters of `GET /v1/jobs` that they stand for.
pub const WORDS: [(&str, &str); 11] = [
    ("status", "status"),
    ("state", "state"),
    ("type", "type"),
    ("tenant", "tenant_id"),
    ("queue", "queue"),
    ("tag", "tag"),
    ("key", "idempotency_key"),
    ("worker", "worker"),
    ("error", "error"),
    ("payload", "payload"),
    ("id", "id"),
];

/// What comes before a place in the payload: `payload.order.id:1234`.
const PAYLOAD_PLACE: &str = "payload.";

/// What a search is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// One job.
    Job(JobId),
    /// The jobs that have all of these, by the parameters of `GET /v1/jobs`.
    List(Vec<(&'static str, String)>),
}

/// Reads a search, or says what cannot be read of it.
///
/// # Errors
/// When a word is none of these, has no value, or is given twice.
pub fn read(search: &str) -> Result<Asked, String> {
    let mut pairs = Vec::new();
    for Word { name, value, is_quoted } in words(search)? {
        let (name, value) = match name {
            Some(name) if name.starts_with(PAYLOAD_PLACE) => {
                ("payload", format!("{}:{value}", &name[PAYLOAD_PLACE.len()..]))
            }
            Some(name) => {
                let known = WORDS.iter().find(|(word, parameter)| *word == name || *parameter == name);
                let names: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
                let unknown = || format!("{:?} is none of {}", cut(name), names.join(", "));
                (known.ok_or_else(unknown)?.1, value)
            }
            None if value.parse::<JobId>().is_ok() => ("id", value),
            None => ("type", value),
        };
        let is_blank =
            name == "payload" && !is_quoted && value.split_once(':').is_some_and(|(_, text)| text.is_empty());
        if value.is_empty() || is_blank {
            return Err(format!("{name}: says nothing behind the colon"));
        }
        if name == "id" {
            return value
                .parse()
                .map(Asked::Job)
                .map_err(|_| format!("{:?} is not the id of a job", cut(&value)));
        }
        if name == "status"
            && let Some(wrong) = value.split(',').find(|word| word.parse::<Status>().is_err())
        {
            let known: Vec<&str> = Status::ALL.iter().map(|status| status.as_str()).collect();
            return Err(format!("{:?} is no status; use {}", cut(wrong), known.join(", ")));
        }
        if name == "state" && value.parse::<JobState>().is_err() {
            return Err(format!("{:?} is no state; use {}", cut(&value), JobState::WORDS.join(", ")));
        }
        if name == "payload" {
            value.parse::<PayloadMatch>().map_err(|fault| format!("payload {fault}"))?;
        }
        if pairs.iter().any(|(known, _)| *known == name) {
            return Err(format!("{name} is given twice; give it once"));
        }
        pairs.push((name, value));
    }
    Ok(Asked::List(pairs))
}

/// The search that is read as these parameters of `GET /v1/jobs`.
pub fn written(pairs: &[(&'static str, String)]) -> String {
    let word = |(name, value): &(&'static str, String)| {
        let place = value
            .split_once(':')
            .filter(|(path, _)| *name == "payload" && !path.contains(char::is_whitespace));
        match place {
            Some((path, text)) => format!("{PAYLOAD_PLACE}{path}:{}", quoted(text)),
            None => {
                let word =
                    WORDS.iter().find(|(_, parameter)| parameter == name).map_or(*name, |(word, _)| word);
                format!("{word}:{}", quoted(value))
            }
        }
    };
    pairs.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// One word of a search.
struct Word<'s> {
    name: Option<&'s str>,
    value: String,
    is_quoted: bool,
}

/// Takes a search apart.
fn words(search: &str) -> Result<Vec<Word<'_>>, String> {
    let (mut words, mut rest) = (Vec::new(), search.trim_start());
    while !rest.is_empty() {
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (name, value) = match rest[..end].find(':') {
            Some(colon) => (Some(&rest[..colon]), &rest[colon + 1..]),
            None => (None, rest),
        };
        let (value, behind, is_quoted) = match value.strip_prefix('"').filter(|_| name.is_some()) {
            Some(inside) => {
                let (value, behind) = unquoted(inside)?;
                (value, behind, true)
            }
            None => (rest[rest.len() - value.len()..end].to_owned(), &rest[end..], false),
        };
        words.push(Word { name, value, is_quoted });
        rest = behind.trim_start();
    }
    Ok(words)
}

/// What stands before the closing quotation mark, and what behind it.
fn unquoted(inside: &str) -> Result<(String, &str), String> {
    let (mut value, mut chars) = (String::new(), inside.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' if inside[at + 1..].starts_with(|c: char| !c.is_whitespace()) => {
                return Err(format!(
                    "{:?} goes on behind its quotation mark; put a space there",
                    cut(&value)
                ));
            }
            '"' => return Ok((value, &inside[at + 1..])),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    Err(format!("{:?} has no quotation mark at its end", cut(inside)))
}

/// A value as it is typed.
fn quoted(value: &str) -> String {
    if !value.is_empty() && !value.starts_with('"') && !value.contains(char::is_whitespace) {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The beginning of what somebody typed, in one line.
fn cut(text: &str) -> String {
    const MOST: usize = 40;
    let mut cut: String = text.chars().take(MOST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(MOST).is_some() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_box_reads_the_words_of_the_api_and_of_people() {
        let list = |pairs: &[(&'static str, &str)]| {
            Ok(Asked::List(pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()))
        };
        assert_eq!(read("status:dead type:mail"), list(&[("status", "dead"), ("type", "mail")]));
        assert_eq!(read("state:stuck mail"), list(&[("state", "stuck"), ("type", "mail")]));
        assert_eq!(read("mail tenant:a:b"), list(&[("type", "mail"), ("tenant_id", "a:b")]));
        assert_eq!(read("tenant_id:acme"), list(&[("tenant_id", "acme")]));
        assert_eq!(read("  "), list(&[]));
        let id = "0198f3a1-0000-7000-8000-000000000001";
        assert_eq!(read(id), Ok(Asked::Job(id.parse().expect("an id"))));
        assert_eq!(read(&format!("id:{id}")), read(id));
        assert_eq!(
            read(r#"error:timeout payload.order.id:1234"#),
            list(&[("error", "timeout"), ("payload", "order.id:1234")])
        );
        assert_eq!(read("payload:order.id:1234"), list(&[("payload", "order.id:1234")]));
        assert_eq!(
            read(r#"error:"it said: \"no\" \\"  payload.name:"Ann Smith""#),
            list(&[("error", r#"it said: "no" \"#), ("payload", "name:Ann Smith")])
        );
        assert_eq!(read(r#"payload.note:"""#), list(&[("payload", "note:")]));
        assert_eq!(read(r#"tag:a"b"#), list(&[("tag", r#"a"b"#)]));
        for (wrong, told) in [
            ("payload.:1", "names no place"),
            ("payload:x", "names no place"),
            ("payload.a..b:1", "empty name"),
            ("payload.a:", "says nothing"),
            ("payload.a:1 payload.b:2", "given twice"),
            ("error:", "says nothing"),
            (r#"error:"x"#, "no quotation mark"),
            (r#"error:"x"y"#, "goes on behind"),
            ("colour:red", "is none of status"),
            ("status:asleep", "is no status"),
            ("state:dead", "is no state"),
            ("type:", "says nothing"),
            ("id:7", "is not the id"),
            ("a b", "given twice"),
        ] {
            assert!(read(wrong).is_err_and(|fault| fault.contains(told)), "{wrong}");
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        for value in ["x", "a b", "\"", "\"a", r"a\", r#"a \" b"#, "a\u{a0}b", "a:b", "%_", " "] {
            let mut pairs = vec![
                ("type", value.to_owned()),
                ("tenant_id", value.to_owned()),
                ("error", value.to_owned()),
                ("payload", format!("a.b:{value}")),
            ];
            assert_eq!(read(&written(&pairs)), Ok(Asked::List(pairs.clone())), "{}", written(&pairs));
            pairs[3].1 = format!("first name.b:{value}");
            assert_eq!(read(&written(&pairs)), Ok(Asked::List(pairs.clone())), "{}", written(&pairs));
        }
        let empty = vec![("payload", "a:".to_owned())];
        assert_eq!(read(&written(&empty)), Ok(Asked::List(empty)));
    }
}
