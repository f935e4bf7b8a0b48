//! `jobforge protocol-test`: runs a worker program in any language against a real server, makes for it what goes wrong
//! between the two, and says whether it keeps to the worker protocol (docs/worker-protocol.md).
//!
//! A case has a server, a proxy and a queue of its own. It acts (`cases/`), then judges by what the proxy wrote down and
//! by how the jobs ended (`judge.rs`, which is pure).

mod cases;
mod judge;
mod proxy;
mod record;
mod report;
mod scene;
mod server;
mod weather;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use jobforge::clock;
use jobforge::process::kill_children;
use nix::sys::prctl::set_child_subreaper;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use uuid::Uuid;

use self::cases::{CASES, Case};
use self::report::Verdict;
use self::scene::{Run, Scene};
use super::asked_to_stop;
use crate::cli::ProtocolTestArgs;
use crate::failure::{self, Failure};
use crate::output;

/// Most rounds of ending what is left of the workers.
const CLEARING: usize = 100;

pub(crate) async fn run(args: ProtocolTestArgs, json: bool) -> Result<(), Failure> {
    let cases = chosen(&args.only)?;
    if args.list {
        return report::list(&cases, json);
    }
    let seed = args.seed.unwrap_or_else(|| Uuid::new_v4().as_u64_pair().1 % 1_000_000);
    let run = Run { command: args.cmd.unwrap_or_default(), patience: args.patience, seed };
    // What a worker leaves behind when it ends becomes ours to end.
    set_child_subreaper(true)
        .map_err(|error| Failure::new(failure::FAILED, format!("cannot adopt orphans: {error}")))?;
    let began = clock::monotonic();
    let verdicts = tokio::select! {
        verdicts = play_all(&cases, &run, usize::try_from(args.parallel).unwrap_or(1), args.verbose) => Some(verdicts),
        _ = asked_to_stop() => None,
    };
    clear_away().await;
    let Some(verdicts) = verdicts else {
        return Err(Failure::new(failure::INTERRUPTED, "the test was stopped"));
    };
    report::print(&verdicts, seed, clock::monotonic().duration_since(began), json)?;
    let all = verdicts.iter().all(|verdict| verdict.passed);
    if all { Ok(()) } else { Err(Failure::new(failure::FAILED, "")) }
}

async fn clear_away() {
    for _ in 0..CLEARING {
        if kill_children(None) == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn chosen(only: &[String]) -> Result<Vec<Case>, Failure> {
    if let Some(unknown) = only.iter().find(|name| CASES.iter().all(|case| case.name != name.as_str())) {
        return Err(Failure::usage(format!("there is no case {unknown:?}")).hint("see them with --list"));
    }
    let wanted = |case: &&Case| only.is_empty() || only.iter().any(|name| name == case.name);
    Ok(CASES.iter().filter(wanted).copied().collect())
}

/// Plays the cases, some at once; answers in their order.
async fn play_all(cases: &[Case], run: &Run, at_once: usize, verbose: bool) -> Vec<Verdict> {
    let bar = output::progress(cases.len() as u64, "playing");
    let turns = Arc::new(Semaphore::new(at_once));
    let mut playing = JoinSet::new();
    for (index, case) in cases.iter().copied().enumerate() {
        let (run, turns, bar) = (run.clone(), Arc::clone(&turns), bar.clone());
        playing.spawn(async move {
            let _turn = turns.acquire().await;
            bar.set_message(case.name);
            let verdict = play(&case, &run, verbose).await;
            bar.inc(1);
            (index, verdict)
        });
    }
    let mut verdicts = Vec::with_capacity(cases.len());
    while let Some(played) = playing.join_next().await {
        match played {
            Ok(verdict) => verdicts.push(verdict),
            // A fault of ours must not look like a pass.
            Err(broken) => std::panic::resume_unwind(broken.into_panic()),
        }
    }
    bar.finish_and_clear();
    verdicts.sort_by_key(|(index, _)| *index);
    verdicts.into_iter().map(|(_, verdict)| verdict).collect()
}

async fn play(case: &Case, run: &Run, verbose: bool) -> Verdict {
    let began = clock::monotonic();
    let took = || -> Duration { clock::monotonic().duration_since(began) };
    let mut scene = match Scene::set(run, case.name).await {
        Ok(scene) => scene,
        Err(why) => return Verdict::of(case, Err(why.context("the test itself cannot begin")), took()),
    };
    let played = (case.play)(&mut scene).await;
    let played = played.and_then(|note| judge::no_mistakes(&scene.record()).map(|()| note));
    let verdict = Verdict::of(case, played, took());
    if verbose && !verdict.passed { verdict.with_evidence(scene.record(), scene.said()) } else { verdict }
}
