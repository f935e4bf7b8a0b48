//! The page of settings.

use std::fmt::Write as _;

use jobforge::core::settings::{Effect, GROUPS, Kind, SETTINGS, Setting, Unit};

use super::head;

const ABOUT: &str = "\
What may be set, from the table that the program goes by. `jobforge help-settings` tells the same with each present value and \
where that came from. A flag is stronger than the environment, the environment than the file of `--config FILE` (TOML, with \
these names as keys), the file than what is stored by `jobforge config set`, that than the default. How settings change while \
everything runs is in [operations.md](../operations.md#changing-settings-while-everything-runs).

**Live** settings may be stored and reach every process within seconds; **restart** ones count for processes that start \
afterwards; **local** ones cannot be stored.
";

pub(super) fn page() -> String {
    let mut text = head("Settings", "the table in crates/jobforge-core/src/settings/registry.rs");
    text.push_str(ABOUT);
    for setting in SETTINGS {
        if let Some((title, _)) = GROUPS.iter().find(|(_, first)| *first == setting.key) {
            let _ = write!(text, "\n## {title}\n");
        }
        one(&mut text, setting);
    }
    text
}

fn one(text: &mut String, setting: &Setting) {
    let default = match setting.default {
        "" => "unset".to_owned(),
        default => format!("`{default}`"),
    };
    let effect = match setting.effect {
        Effect::Live => "live",
        Effect::Restart => "restart",
        Effect::Local => "local",
    };
    let _ = write!(text, "\n### {}\n\n{}\n\n", setting.key, setting.doc);
    let names: Vec<String> =
        setting.env.iter().map(|name| format!("`{}`{}", name.name, unit(name.unit, setting.kind))).collect();
    let environment = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let _ = writeln!(
        text,
        "- Default: {default}\n- Value: {}\n- Environment: {environment}\n- Effect: {effect}",
        value(setting.kind)
    );
}

fn unit(unit: Unit, kind: Kind) -> &'static str {
    match (unit, kind) {
        (Unit::Seconds, _) => " (seconds)",
        (Unit::Minutes, _) => " (minutes)",
        (Unit::Milliseconds, _) | (Unit::Plain, Kind::Millis { .. }) => " (milliseconds)",
        (Unit::Plain, _) => "",
    }
}

fn value(kind: Kind) -> String {
    match kind {
        Kind::Millis { min, max } => format!("milliseconds, {min} to {max}"),
        Kind::Integer { min, max } => format!("a whole number, {min} to {max}"),
        Kind::Decimal { min, max } => format!("a number, {min} to {max}"),
        Kind::Flag => "`true` or `false`".to_owned(),
        Kind::Word(words) => format!("one of {}", quoted(words)),
        Kind::Text => "text".to_owned(),
        Kind::List => "words separated by commas".to_owned(),
        Kind::Words(words) => format!("`name=word` separated by commas, each word one of {}", quoted(words)),
        Kind::MillisByName { min, max } => {
            format!("`name=number` separated by commas, each number {min} to {max}")
        }
        Kind::Secret => "text that is never shown".to_owned(),
    }
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_setting_begins_a_group_and_every_group_is_found() {
        assert_eq!(GROUPS[0].1, SETTINGS[0].key);
        for (title, first) in GROUPS {
            assert!(SETTINGS.iter().any(|setting| setting.key == *first), "{title}: there is no {first}");
        }
    }
}
