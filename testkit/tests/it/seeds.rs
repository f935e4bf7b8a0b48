//! Fixed seeds, so that a failure is the change that is being tested. `cargo xtask sim --minutes 10` runs new ones.

use std::collections::BTreeSet;

use testkit::sim::{Mark, Options, check_seeds, run};

/// Seeds of one test; the tests run side by side.
const PART: u64 = 40;
/// Parts there are.
const PARTS: u64 = 8;

/// Runs the part with this number.
fn check_part(number: u64) {
    assert!(number < PARTS);
    check_seeds(number * PART + 1..=(number + 1) * PART);
}

macro_rules! parts {
    ($($name:ident: $number:literal,)*) => {
        $(
            #[test]
            fn $name() {
                check_part($number);
            }
        )*
    };
}

parts! {
    every_rule_holds_in_the_first_part_of_the_seeds: 0,
    every_rule_holds_in_the_second_part_of_the_seeds: 1,
    every_rule_holds_in_the_third_part_of_the_seeds: 2,
    every_rule_holds_in_the_fourth_part_of_the_seeds: 3,
    every_rule_holds_in_the_fifth_part_of_the_seeds: 4,
    every_rule_holds_in_the_sixth_part_of_the_seeds: 5,
    every_rule_holds_in_the_seventh_part_of_the_seeds: 6,
    every_rule_holds_in_the_eighth_part_of_the_seeds: 7,
}

#[test]
fn the_same_seed_tells_the_same_story_again() {
    for seed in [3, 17, 42, 105, 233] {
        let tell = || run(seed, &Options { narrate: true, broken: None }).expect("it can be run").narration;
        let (first, second) = (tell(), tell());
        for (number, (one, other)) in first.iter().zip(&second).enumerate() {
            assert_eq!(one, other, "line {number} of seed {seed}");
        }
        assert_eq!(first.len(), second.len(), "seed {seed}");
        assert!(first.len() > 50, "seed {seed} has no story: {first:?}");
    }
}

#[test]
fn the_seeds_come_upon_everything_that_they_are_for() {
    let mut missing = BTreeSet::from(Mark::ALL);
    for seed in 1..=PART * PARTS {
        if missing.is_empty() {
            return;
        }
        let report = run(seed, &Options::default()).expect("it can be run");
        missing.retain(|mark| !report.marks.contains_key(mark));
    }
    assert!(missing.is_empty(), "the simulation has become too tame: no seed comes upon {missing:?}");
}
