//! Each alert fires when it must, stays silent when it must, and resolves.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use jobforge_core::alert::kept::SAMPLES_FOR;
use jobforge_core::alert::render;
use jobforge_core::alert::rules::rules;
use jobforge_core::metric::Metric;
use jobforge_core::settings::{Kind, SETTINGS};

use super::alert_cases::cases;
use super::alert_promtool::{played, tests_file};
use super::programs;

fn repository() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn every_alert_fires_stays_silent_and_resolves_as_its_cases_say() {
    let rules = rules();
    let mut wrong = Vec::new();
    for case in cases() {
        for ((minute, told), (_, expected)) in played(&case, &rules).into_iter().zip(&case.fires) {
            let told: Vec<_> = told.into_iter().map(|active| active.labels).collect();
            let expected: Vec<_> = expected
                .iter()
                .map(|labels| labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
                .collect();
            if told != expected {
                wrong.push(format!(
                    "{} ({}) at minute {minute}: {told:?}, not {expected:?}",
                    case.rule, case.story
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_silent() {
    let named = |fires: bool| -> BTreeSet<_> {
        let asked =
            cases().into_iter().filter(|case| case.fires.iter().any(|(_, all)| all.is_empty() != fires));
        asked.map(|case| case.rule).collect()
    };
    let all: BTreeSet<_> = rules().iter().map(|rule| rule.name).collect();
    assert_eq!(named(true), all, "alerts that some case lets fire");
    assert_eq!(named(false), all, "alerts that some case keeps silent");
}

#[test]
fn what_is_made_from_the_table_is_up_to_date() {
    let made = [
        ("monitoring/prometheus/jobforge.rules.yml", render::rules_file()),
        ("monitoring/prometheus/jobforge.rules.test.yml", tests_file()),
        ("docs/alerts.md", render::page()),
    ];
    for (path, text) in made {
        let kept = std::fs::read_to_string(repository().join(path)).unwrap_or_default();
        assert!(kept == text, "{path} is out of date: cargo run --package jobforge-core --example alerts");
    }
}

#[test]
fn promtool_accepts_the_rules_and_agrees_with_the_evaluator_on_every_case() {
    programs::promtool(&["check", "rules", "prometheus/jobforge.rules.yml"]);
    programs::promtool(&["test", "rules", "prometheus/jobforge.rules.test.yml"]);
}

#[test]
fn every_alert_tells_where_to_read_on() {
    let page = render::page();
    for rule in rules() {
        assert!(
            page.contains(&format!("\n### {}\n", rule.name)),
            "docs/alerts.md has no section on {}",
            rule.name
        );
        assert!(!rule.summary.is_empty() && !rule.description.is_empty(), "{} says nothing", rule.name);
    }
}

#[test]
fn every_alert_looks_at_metrics_that_are_told() {
    for selector in rules().iter().flat_map(|rule| rule.expr.selectors()) {
        let name = selector.metric.strip_suffix("_bucket").unwrap_or(selector.metric);
        assert!(Metric::named(name).is_some(), "nobody tells {name}");
    }
}

#[test]
fn samples_are_kept_for_longer_than_any_rule_looks_back_and_are_never_too_far_apart_for_one() {
    for rule in rules() {
        assert!(rule.expr.reach() + Duration::from_secs(15 * 60) <= SAMPLES_FOR, "{}", rule.name);
    }
    let interval = SETTINGS.iter().find(|setting| setting.key == "alert_interval_ms").expect("a setting");
    let Kind::Millis { max, .. } = interval.kind else { panic!("{:?}", interval.kind) };
    // Growth within a window needs two samples; three allow for one that failed.
    let shortest = Duration::from_secs(5 * 60);
    assert!(3 * Duration::from_millis(max) <= shortest, "{max}");
}
