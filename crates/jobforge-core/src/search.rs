//! The search box of the dashboard, which `jobforge job list` reads as well: words such as `status:dead type:mail.send`; a
//! bare word is a type, or a job's id.

use crate::job::JobId;
use crate::job_state::JobState;
use crate::state::Status;

/// The words, with the parameters of `GET /v1/jobs` that they stand for.
pub const WORDS: [(&str, &str); 9] = [
    ("status", "status"),
    ("state", "state"),
    ("type", "type"),
    ("tenant", "tenant_id"),
    ("queue", "queue"),
    ("tag", "tag"),
    ("key", "idempotency_key"),
    ("worker", "worker"),
    ("id", "id"),
];

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
    for word in search.split_whitespace() {
        let (name, value) = match word.split_once(':') {
            Some((name, value)) => {
                let known = WORDS.iter().find(|(word, parameter)| *word == name || *parameter == name);
                let names: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
                let unknown = || format!("{:?} is none of {}", cut(name), names.join(", "));
                (known.ok_or_else(unknown)?.1, value)
            }
            None if word.parse::<JobId>().is_ok() => ("id", word),
            None => ("type", word),
        };
        if value.is_empty() {
            return Err(format!("{name}: says nothing behind the colon"));
        }
        if name == "id" {
            return value
                .parse()
                .map(Asked::Job)
                .map_err(|_| format!("{:?} is not the id of a job", cut(value)));
        }
        if name == "status"
            && let Some(wrong) = value.split(',').find(|word| word.parse::<Status>().is_err())
        {
            let known: Vec<&str> = Status::ALL.iter().map(|status| status.as_str()).collect();
            return Err(format!("{:?} is no status; use {}", cut(wrong), known.join(", ")));
        }
        if name == "state" && value.parse::<JobState>().is_err() {
            return Err(format!("{:?} is no state; use {}", cut(value), JobState::WORDS.join(", ")));
        }
        if pairs.iter().any(|(known, _)| *known == name) {
            return Err(format!("{name} is given twice; give it once"));
        }
        pairs.push((name, value.to_owned()));
    }
    Ok(Asked::List(pairs))
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
        for (wrong, told) in [
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
}
