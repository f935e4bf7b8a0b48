//! A clip as the source tells it, and what must be true of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest id, title and name, in characters.
const LONGEST: usize = 500;

/// A clip that can be stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clip {
    /// Its id at the source.
    pub id: String,
    /// What it is called.
    pub title: String,
    /// Who made it.
    pub creator: String,
    /// How often it was seen.
    pub views: i64,
    /// Votes for it less those against it.
    pub votes: i32,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Why a clip cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Fields are missing, or hold something else.
    #[error("it does not read as a clip: {0}")]
    Shape(String),
    /// A text is no name.
    #[error("its {field} must have 1 to {LONGEST} characters and no control characters")]
    Text { field: &'static str },
    /// A number that counts something is below zero.
    #[error("its views are {0}, which no count can be")]
    Views(i64),
}

impl Clip {
    /// Reads a clip.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(value: &Value) -> Result<Self, Refused> {
        let clip = Self::deserialize(value).map_err(|error| Refused::Shape(error.to_string()))?;
        let fits = |text: &str| text.chars().count() <= LONGEST && !text.chars().any(char::is_control);
        let text = |field, is_good: bool| if is_good { Ok(()) } else { Err(Refused::Text { field }) };
        text("id", !clip.id.is_empty() && fits(&clip.id))?;
        text("creator", !clip.creator.is_empty() && fits(&clip.creator))?;
        text("title", !clip.title.is_empty() && fits(&clip.title))?;
        if clip.views < 0 { Err(Refused::Views(clip.views)) } else { Ok(clip) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(change: &Value, expected: &str) {
        let mut clip = json!({
            "id": "c1", "title": "t", "creator": "u", "views": 1, "votes": -1, "created_at": "2026-01-01T00:00:00Z"
        });
        for (key, value) in change.as_object().unwrap() {
            clip[key] = value.clone();
        }
        let read = Clip::read(&clip).map_or_else(|refused| refused.to_string(), |clip| clip.id);
        assert!(read.contains(expected), "{clip}: {read}");
    }

    #[test]
    fn what_cannot_be_stored_is_refused_with_the_reason() {
        check(&json!({}), "c1");
        check(&json!({"more": "fields do no harm"}), "c1");
        check(&json!({"title": ""}), "its title must have");
        check(&json!({"title": "a\0b"}), "its title must have");
        check(&json!({"views": -1}), "its views are -1");
        check(&json!({"views": "many"}), "does not read as a clip");
        check(&json!({"votes": 3_000_000_000_u32}), "does not read as a clip");
        check(&json!({"created_at": "yesterday"}), "does not read as a clip");
    }
}
