//! Slack's incoming webhooks: a sentence for notifications, and blocks for the channel.
//!
//! <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>,
//! <https://docs.slack.dev/reference/block-kit/blocks>. What was sent cannot be changed, so an end is a message of its own.

use serde_json::{Value, json};

use super::super::render::runbook_url;
use super::super::rules::Severity;
use super::{Notice, Place, Says, clip, description};

/// The longest header.
const HEADER_CHARS: usize = 150;
/// The longest text of a section.
const SECTION_CHARS: usize = 3000;
/// Room for what follows the alerts in their section.
const TAIL_CHARS: usize = 60;

/// The body to post.
pub fn body(notice: &Notice, place: &Place) -> Value {
    let headline = format!("{} {}", emoji(notice), notice.headline());
    let mut blocks = vec![
        json!({ "type": "header", "text": { "type": "plain_text", "text": clip(&headline, HEADER_CHARS), "emoji": true } }),
        section(&alerts(notice)),
    ];
    let meaning = description(&notice.rule);
    if notice.says == Says::Firing && !meaning.is_empty() {
        blocks.push(section(&escaped(meaning)));
    }
    if let Some(detour) = notice.detour() {
        blocks.push(section(&escaped(&detour)));
    }
    let context =
        format!("{} · {} · as of {}", escaped(place.name()), notice.fleet, super::minute(notice.at));
    blocks.push(json!({ "type": "context", "elements": [{ "type": "mrkdwn", "text": clip(&context, SECTION_CHARS) }] }));
    let buttons = buttons(notice, place);
    if !buttons.is_empty() {
        blocks.push(json!({ "type": "actions", "elements": buttons }));
    }
    let first = notice.sentences().next().unwrap_or_default();
    json!({ "text": clip(&escaped(&format!("{headline}: {first}")), SECTION_CHARS), "blocks": blocks })
}

fn emoji(notice: &Notice) -> &'static str {
    match (notice.says, notice.severity()) {
        (Says::Resolved, _) => "✅",
        (Says::Test, _) => "🧪",
        (Says::Firing, Severity::Critical) => "🔴",
        (Says::Firing, Severity::Warning) => "🟡",
        (Says::Firing, Severity::Info) => "🔵",
    }
}

/// The alerts that fit, and how many do not.
fn alerts(notice: &Notice) -> String {
    let mut text = String::new();
    let mut left = notice.alerts.len() + notice.more;
    for sentence in notice.sentences() {
        let line = format!("• {}\n", clip(&escaped(&sentence), SECTION_CHARS / 2));
        if text.chars().count() + line.chars().count() > SECTION_CHARS - TAIL_CHARS {
            break;
        }
        text.push_str(&line);
        left -= 1;
    }
    if left > 0 {
        text.push_str(&format!("and {left} more"));
    }
    text
}

fn buttons(notice: &Notice, place: &Place) -> Vec<Value> {
    let button = |text: &str, url: &str| json!({ "type": "button", "text": { "type": "plain_text", "text": text }, "url": url });
    let mut buttons = Vec::new();
    if !description(&notice.rule).is_empty() {
        buttons.push(button("Runbook", &runbook_url(&notice.rule)));
    }
    if !place.url.is_empty() {
        buttons.push(button("Open JobForge", &place.url));
    }
    buttons
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": clip(text, SECTION_CHARS) } })
}

/// The three characters that Slack reads as markup of its own.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
