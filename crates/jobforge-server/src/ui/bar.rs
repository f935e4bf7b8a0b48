//! The verdict on top of every page: what is broken, what is being done about it, what a person must do. It is that of
//! [`jobforge::core::overview`]; here it gets links.

use std::sync::Arc;

use jiff::Timestamp;
use jobforge::core::overview::{About, Level, Overview, Trouble};
use url::form_urlencoded;

use super::words::{When, cut};
use super::{Ui, pulse};

/// Troubles that the bar shows; the overview shows all.
const SHOWN: usize = 3;
/// The longest sentence.
const MAX_SENTENCE: usize = 400;

/// One thing that is wrong.
#[derive(Debug, Clone)]
pub(super) struct Sentence {
    pub(super) tone: &'static str,
    /// Whether a person must act.
    pub(super) acts: bool,
    /// What is broken.
    pub(super) what: String,
    /// What happens next by itself, by whom and when.
    pub(super) next: String,
    pub(super) next_by: String,
    pub(super) next_at: Option<When>,
    /// What a person types first.
    pub(super) command: String,
    pub(super) path: String,
    pub(super) link: &'static str,
    pub(super) runbook: String,
}

/// The verdict.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) word: &'static str,
    pub(super) tone: &'static str,
    pub(super) sentences: Vec<Sentence>,
    /// How many more there are.
    pub(super) more: usize,
}

/// The verdict of now.
pub(super) async fn of(ui: &Arc<Ui>) -> Bar {
    match pulse::look(ui).await {
        Ok(whole) => {
            let mut bar = all(&whole.overview);
            bar.more += bar.sentences.len().saturating_sub(SHOWN);
            bar.sentences.truncate(SHOWN);
            bar
        }
        Err(_) => silent(),
    }
}

/// The whole of it.
pub(super) fn all(overview: &Overview) -> Bar {
    Bar {
        word: overview.level.words(),
        tone: tone(overview.level),
        sentences: overview.troubles.iter().map(|trouble| sentence(trouble, overview.as_of)).collect(),
        more: overview.more,
    }
}

fn tone(level: Level) -> &'static str {
    match level {
        Level::Well => "fine",
        Level::Mending => "attention",
        Level::Act => "action",
    }
}

fn sentence(trouble: &Trouble, now: Timestamp) -> Sentence {
    let (path, link) = page(&trouble.about);
    Sentence {
        tone: tone(trouble.level),
        acts: trouble.level == Level::Act,
        what: cut(&capitalised(&trouble.what), MAX_SENTENCE),
        next: cut(&trouble.next.what, MAX_SENTENCE),
        next_by: trouble.next.by.clone(),
        next_at: trouble.next.at.map(|at| When::of(at, now)),
        command: trouble.command.clone(),
        path,
        link,
        runbook: match &trouble.about {
            About::Alert(rule) => format!("/ui/runbooks/{rule}"),
            _ => trouble.runbook_url.clone().unwrap_or_default(),
        },
    }
}

/// Where more is told.
fn page(about: &About) -> (String, &'static str) {
    let part = |name: &str| form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>();
    match about {
        About::Role(_) => ("/ui/watchdog".to_owned(), "Watchdog"),
        About::Job(id) => (format!("/ui/jobs/{id}"), "Job"),
        About::Jobs(job_type) => (format!("/ui/jobs?state=stuck&type={}", part(job_type)), "Jobs"),
        About::Worker(id) => (format!("/ui/workers/{}", part(id.as_str())), "Worker"),
        About::Queue(name) => (format!("/ui/jobs?queue={}&status=queued", part(name)), "Its jobs"),
        About::Schedule(name) => (format!("/ui/schedules/{}", part(name)), "Schedule"),
        About::DeadGroup(group) => (format!("/ui/dead/{}", part(group)), "Cause"),
        About::Alert(_) => ("/ui/alerts".to_owned(), "Alerts"),
    }
}

fn silent() -> Bar {
    let sentence = Sentence {
        tone: tone(Level::Act),
        acts: true,
        what: "The database does not answer.".to_owned(),
        next: "workers stop what they run before their leases end; nothing is lost".to_owned(),
        next_by: "workers".to_owned(),
        next_at: None,
        command: "jobforge health".to_owned(),
        path: "/ui".to_owned(),
        link: "Try again",
        runbook: String::new(),
    };
    Bar { word: Level::Act.words(), tone: tone(Level::Act), sentences: vec![sentence], more: 0 }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trouble_leads_to_a_page_whatever_it_is_called() {
        let named = |about| page(&about).0;
        assert_eq!(named(About::Queue("a b&c".to_owned())), "/ui/jobs?queue=a+b%26c&status=queued");
        assert_eq!(named(About::Jobs("a b".to_owned())), "/ui/jobs?state=stuck&type=a+b");
        assert_eq!(named(About::Schedule("../x".to_owned())), "/ui/schedules/..%2Fx");
        assert_eq!(named(About::Role("watchdog")), "/ui/watchdog");
    }
}
