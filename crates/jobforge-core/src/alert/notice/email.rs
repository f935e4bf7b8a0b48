//! A mail in plain text.

use super::super::render::runbook_url;
use super::{Notice, Place, Says, description, fingerprint};
use crate::alert::history::Labels;

/// The longest subject.
const SUBJECT_CHARS: usize = 200;

/// A mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Its subject, one line.
    pub subject: String,
    /// Its text.
    pub text: String,
    /// By which mail programs keep what belongs together: the same for all mails about a rule.
    pub thread: String,
}

/// The mail to send.
pub fn mail(notice: &Notice, place: &Place) -> Mail {
    let subject = format!("[{}] {}", place.name(), notice.headline());
    let mut text = String::new();
    for sentence in notice.sentences() {
        text.push_str(&format!("- {sentence}\n"));
    }
    if let Some(rest) = notice.rest() {
        text.push_str(&format!("{rest}\n"));
    }
    let meaning = description(&notice.rule);
    if notice.says == Says::Firing && !meaning.is_empty() {
        text.push_str(&format!("\n{meaning}\n"));
    }
    if let Some(detour) = notice.detour() {
        text.push_str(&format!("\n{detour}\n"));
    }
    if !meaning.is_empty() {
        text.push_str(&format!("\nRunbook: {}\n", runbook_url(&notice.rule)));
    }
    if !place.url.is_empty() {
        text.push_str(&format!("JobForge: {}\n", place.url));
    }
    text.push_str(&format!("\n{} ({}), as of {}\n", place.name(), notice.fleet, super::minute(notice.at)));
    Mail {
        subject: super::clip(&subject.replace(['\r', '\n'], " "), SUBJECT_CHARS),
        text,
        thread: format!("{}.{}", fingerprint(&notice.rule, &Labels::new()), notice.fleet),
    }
}
