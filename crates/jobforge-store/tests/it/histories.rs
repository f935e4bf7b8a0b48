//! The engines against each other, on random histories. `JOBFORGE_SEED=7` runs one of them alone.

use std::sync::Arc;

use testkit::Result;
use testkit::conformance::Fresh;
use testkit::history::{Trace, generate, run};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const SEEDS: u64 = 60;
const STEPS: usize = 120;
/// Failed histories that are shown whole.
const SHOWN: usize = 3;
/// Histories that run at the same time.
const ABREAST: usize = 4;

async fn trace(fresh: Fresh, seed: u64) -> Result<Trace> {
    run(&fresh.store, &generate(seed, STEPS)).await
}

/// Runs one history on both engines; the text says what is wrong, if anything is.
async fn compare(seed: u64) -> Result<(), String> {
    let sqlite = trace(made("SQLite", crate::sqlite::memory().await)?, seed).await;
    let postgres = trace(made("PostgreSQL", crate::postgres::direct().await)?, seed).await;
    match (sqlite, postgres) {
        (Ok(sqlite), Ok(postgres)) => match sqlite.difference(&postgres) {
            None => Ok(()),
            Some(text) => Err(format!("SQLite (<) and PostgreSQL (>) part:\n{text}")),
        },
        (sqlite, postgres) => {
            let told = |engine: &str, outcome: Result<Trace>| match outcome {
                Ok(_) => format!("{engine} keeps the rules"),
                Err(error) => format!("{engine} breaks a rule: {error:#}"),
            };
            Err(format!("{}\n{}", told("SQLite", sqlite), told("PostgreSQL", postgres)))
        }
    }
}

fn made(engine: &str, fresh: Result<Fresh>) -> Result<Fresh, String> {
    fresh.map_err(|error| format!("failed to make a store of {engine}: {error:#}"))
}

fn seeds() -> Vec<u64> {
    #[expect(clippy::disallowed_methods, reason = "tells a test what to repeat; no setting of the product")]
    let one = std::env::var("JOBFORGE_SEED").ok();
    match one {
        Some(text) => vec![text.parse().expect("JOBFORGE_SEED is a number")],
        None => (1..=SEEDS).collect(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_history_gives_the_same_answers_on_both_engines() {
    let room = Arc::new(Semaphore::new(ABREAST));
    let mut histories = JoinSet::new();
    for seed in seeds() {
        let room = room.clone();
        histories.spawn(async move {
            let _room = room.acquire().await.expect("the semaphore stays open");
            compare(seed).await.map_err(|text| (seed, text))
        });
    }
    let mut failures: Vec<(u64, String)> =
        histories.join_all().await.into_iter().filter_map(Result::err).collect();
    failures.sort();
    let failed: Vec<u64> = failures.iter().map(|(seed, _)| *seed).collect();
    // One difference usually fails many seeds: the first few tell enough.
    let shown: Vec<String> =
        failures.iter().take(SHOWN).map(|(seed, text)| format!("JOBFORGE_SEED={seed}\n{text}")).collect();
    assert!(failures.is_empty(), "the histories of seeds {failed:?} differ\n\n{}", shown.join("\n"));
}
