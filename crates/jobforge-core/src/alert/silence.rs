//! What a silence may be.

use std::time::Duration;

use super::history::Labels;
use super::rules::rules;

/// Stands for every rule.
pub const EVERYTHING: &str = "*";
/// The shortest silence.
pub const SHORTEST: Duration = Duration::from_secs(60);
/// The longest: one that lasts for ever is a rule to be removed.
pub const LONGEST: Duration = Duration::from_secs(30 * 86_400);
/// The longest of everything.
pub const LONGEST_OF_ALL: Duration = Duration::from_secs(86_400);
/// Labels that one may ask for.
pub const MOST_LABELS: usize = 20;
/// The longest name and value of a label, in characters.
pub const LABEL_CHARS: usize = 255;

/// Whether a silence of a rule where labels have these values may last so long.
///
/// # Errors
/// What is wrong with it.
pub fn check(rule: &str, labels: &Labels, lasts: Duration) -> Result<(), String> {
    if rule != EVERYTHING && !rules().iter().any(|known| known.name == rule) {
        return Err(format!("{rule:?} is no rule; `jobforge alert rules` lists them, * is all of them"));
    }
    if !(SHORTEST..=LONGEST).contains(&lasts) {
        return Err("a silence lasts between 1m and 30d".to_owned());
    }
    if rule == EVERYTHING && labels.is_empty() && lasts > LONGEST_OF_ALL {
        return Err("a silence of everything lasts at most 1d; name a rule or a label".to_owned());
    }
    if labels.len() > MOST_LABELS {
        return Err(format!("a silence asks for at most {MOST_LABELS} labels"));
    }
    let is_name = |name: &str| {
        (1..=LABEL_CHARS).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let is_value = |value: &str| value.chars().count() <= LABEL_CHARS && !value.chars().any(char::is_control);
    match labels.iter().find(|(name, value)| !is_name(name) || !is_value(value)) {
        Some((name, _)) => {
            Err(format!("label {name:?} cannot be one, or its value; write name=value, as in queue=mail"))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_names_a_rule_and_ends() {
        let labels = |pairs: &[(&str, &str)]| -> Labels {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let hour = Duration::from_secs(3600);
        let fine = [("QueueBacklog", labels(&[]), hour), ("*", labels(&[("queue", "mail")]), LONGEST)];
        for (rule, labels, lasts) in fine {
            assert_eq!(check(rule, &labels, lasts), Ok(()), "{rule} {labels:?}");
        }
        let long = "x".repeat(LABEL_CHARS + 1);
        let refused = [
            ("Nothing", labels(&[]), hour, "is no rule"),
            ("QueueBacklog", labels(&[]), SHORTEST - Duration::from_millis(1), "between"),
            ("QueueBacklog", labels(&[]), LONGEST + Duration::from_millis(1), "between"),
            ("*", labels(&[]), LONGEST_OF_ALL + Duration::from_millis(1), "at most 1d"),
            ("*", labels(&[("", "x")]), hour, "cannot be one"),
            ("*", labels(&[("queue", "a\nb")]), hour, "cannot be one"),
            ("*", labels(&[("queue", &long)]), hour, "cannot be one"),
        ];
        for (rule, labels, lasts, why) in refused {
            let told = check(rule, &labels, lasts).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
    }
}
