//! Staying alive in the database's eyes: one renewal for the worker, batched heartbeats for its jobs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jobforge_core::heartbeat::{Beat, BeatReply};
use jobforge_core::time::Now;
use jobforge_core::worker::RENEWALS_PER_LEASE;

use super::pool::Pool;
use crate::clock;
use crate::context::StopReason;

/// How often reports of handlers are looked for; progress is seen by others after at most this time.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Most beats in one call.
const BATCH: usize = 1000;
/// The share of its lease that a worker keeps as a margin: it stops its jobs that much before others may start them.
const MARGIN_SHARE: u32 = 5;
/// Renewals that failed are tried again this often per lease.
const TRIES_PER_LEASE: u32 = 20;
/// Between two log lines of a worker in which nothing changes.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Sends heartbeats of running jobs until the worker closes.
pub(crate) async fn beat_loop(pool: Arc<Pool>) {
    let mut tick = tokio::time::interval(REPORT_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = pool.closing.cancelled() => return,
        }
        let beats = due_beats(&pool, clock::monotonic());
        for batch in beats.chunks(BATCH) {
            send(&pool, batch).await;
        }
    }
}

/// Collects the jobs whose heartbeat is due or whose handler has reported something.
fn due_beats(pool: &Pool, now: Instant) -> Vec<Beat> {
    let policy = pool.config.beat;
    let all = pool.take_beat_all();
    let mut beats = Vec::new();
    pool.each_held(|id, held| {
        let due = policy.enabled && now >= held.next_beat;
        let news = held.ctx.has_news();
        if !due && !news && !all {
            return;
        }
        if due {
            held.beat_interval = policy.next_interval(held.beat_interval);
        }
        // Whatever is sent counts as a sign of life, so the next one is due an interval from now.
        held.next_beat = now + held.beat_interval;
        let due_in = policy.due_in(held.beat_interval);
        beats.push(Beat { id, lease: held.lease, due_in, report: held.ctx.take_report() });
    });
    beats
}

async fn send(pool: &Pool, beats: &[Beat]) {
    let worker = pool.id();
    let replies = match pool.store.heartbeat(&worker, beats, Now::Database).await {
        Ok(replies) => replies,
        Err(error) => {
            tracing::warn!(worker.id = %worker, error = error.chain(), "Heartbeat of {} jobs failed; trying again", beats.len());
            // Not only after another interval: by then they would be late.
            pool.beat_all_soon();
            return;
        }
    };
    for (beat, reply) in beats.iter().zip(replies) {
        let reason = match reply {
            BeatReply::Kept => {
                pool.heard(beat.id, beat.lease);
                continue;
            }
            BeatReply::Canceled => StopReason::Canceled,
            BeatReply::Lost { .. } | BeatReply::Gone => StopReason::LeaseLost,
        };
        pool.ask_to_stop(beat.id, beat.lease, reason);
    }
}

/// Renews the worker's lease until it closes; starts anew when the lease was lost.
///
/// The deadline counts from when the last acknowledged renewal was *sent*: the database's lease began no earlier, so
/// the worker stops its jobs before anyone else may start them.
pub(crate) async fn renew_loop(pool: Arc<Pool>) {
    let lease = pool.config.lease;
    let mut acknowledged = clock::monotonic();
    let mut failing = false;
    let mut told = clock::monotonic();
    let mut told_held = 0;
    loop {
        // A worker that holds nothing has nothing to lose: it may renew three times less often, and needs no margin.
        let calm = pool.held() == 0 && !pool.draining.is_cancelled();
        let (pause, deadline) = match calm {
            true => (lease / RENEWALS_PER_LEASE * (RENEWALS_PER_LEASE - 1), acknowledged + lease),
            false => (lease / RENEWALS_PER_LEASE, acknowledged + (lease - lease / MARGIN_SHARE)),
        };
        tokio::select! {
            () = tokio::time::sleep(if failing { lease / TRIES_PER_LEASE } else { pause }) => {}
            () = woken(&pool, calm) => {}
            () = pool.closing.cancelled() => return,
        }
        let sent = clock::monotonic();
        let (worker, draining) = (pool.id(), pool.draining.is_cancelled());
        let renewed = pool.store.renew(&worker, draining, Now::Database);
        let answer = tokio::time::timeout(deadline.saturating_duration_since(sent), renewed).await;
        failing = !matches!(answer, Ok(Ok(true)));
        let lost = match answer {
            Ok(Ok(true)) => {
                acknowledged = sent;
                false
            }
            Ok(Ok(false)) => true,
            Ok(Err(error)) => {
                tracing::warn!(worker.id = %worker, error = error.chain(), "Heartbeat of worker {worker} failed; trying again");
                clock::monotonic() >= deadline
            }
            // The deadline has come without an answer.
            Err(_) => true,
        };
        if lost {
            acknowledged = begin_anew(&pool).await;
            failing = false;
            continue;
        }
        let held = pool.held();
        if clock::monotonic().duration_since(told) >= TELL_EVERY || (held == 0) != (told_held == 0) {
            tracing::info!(worker.id = %pool.id(), held, "Heartbeat: worker {} holds {held} jobs", pool.id());
            (told, told_held) = (clock::monotonic(), held);
        }
    }
}

/// Resolves when a calm worker has been given a job, so that its slow rhythm ends at once.
async fn woken(pool: &Pool, calm: bool) {
    if !calm {
        std::future::pending::<()>().await;
    }
    loop {
        tokio::time::sleep(REPORT_EVERY).await;
        if pool.held() > 0 {
            return;
        }
    }
}

/// Stops everything and registers as a new incarnation, as soon as the database lets it; returns when that was sent.
async fn begin_anew(pool: &Pool) -> Instant {
    let old = pool.id();
    tracing::error!(worker.id = %old, "Heartbeat: worker {old} has lost its lease; it stops its jobs and starts anew");
    loop {
        let sent = clock::monotonic();
        let Err(error) = pool.begin_anew().await else { return sent };
        tracing::warn!(error = %error, "failed to register again; trying again");
        tokio::select! {
            () = tokio::time::sleep(REPORT_EVERY) => {}
            () = pool.closing.cancelled() => return sent,
        }
    }
}
