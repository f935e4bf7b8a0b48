//! Staying alive in the database's eyes: one renewal for the worker, batched heartbeats for its jobs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jobforge_core::counted::counted;
use jobforge_core::heartbeat::{Beat, BeatReply, Report};
use jobforge_core::time::Now;
use jobforge_core::worker::{LeaseWish, MARGIN_SHARE, RENEWALS_PER_LEASE, Reliance};
use jobforge_store::traits::WorkerSide;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::pool::Pool;
use super::restart;
use crate::clock;
use crate::context::StopReason;

/// How often reports of handlers are looked for; progress is seen by others after at most this time.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Most beats in one call.
const BATCH: usize = 1000;
/// Renewals that failed are tried again this often per lease.
const TRIES_PER_LEASE: u32 = 20;
/// How long handlers may take to stop whose jobs others may have already.
const TAKEN_GRACE: Duration = Duration::from_millis(500);
/// Between two renewals, however often one is wanted.
const SOONEST: Duration = Duration::from_millis(500);
/// Between two log lines of a worker in which nothing changes.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Sends heartbeats of running jobs until the worker closes.
pub(crate) async fn beat_loop(pool: Arc<Pool>) {
    let mut tick = tokio::time::interval(REPORT_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = pool.closing.cancelled() => return,
            _ = tick.tick() => {}
        }
        let beats = due_beats(&pool, clock::monotonic());
        for batch in beats.chunks(BATCH) {
            send(&pool, batch).await;
        }
    }
}

/// Collects the jobs whose heartbeat is due or whose handler has reported something.
fn due_beats(pool: &Pool, now: Instant) -> Vec<Beat> {
    let policy = pool.beat();
    let all = pool.take_beat_all();
    // After the grace a handler is dropped, if that is possible; what is still there then does not listen.
    let patience = pool.config.stop_grace + REPORT_EVERY;
    let mut beats = Vec::new();
    pool.each_held(|id, held| {
        let due = policy.enabled && now >= held.next_beat;
        let news = held.ctx.has_news();
        let ignores_stop =
            !held.told_ignoring && held.ctx.goes_on_for(now).is_some_and(|time| time > patience);
        if !due && !news && !all && !ignores_stop {
            return;
        }
        if due {
            held.beat_interval = policy.next_interval(held.beat_interval);
        }
        // Whatever is sent counts as a sign of life, so the next one is due an interval from now.
        held.next_beat = now + held.beat_interval;
        let due_in = policy.due_in(held.beat_interval);
        if ignores_stop {
            held.told_ignoring = true;
            tracing::warn!(job.id = %id, "the handler of job {id} is ignoring cancel: it goes on although its job was taken from it");
        }
        let report = Report { ignores_stop, ..held.ctx.take_report() };
        let interval = policy.enabled.then_some(held.beat_interval);
        beats.push(Beat { id, lease: held.lease, due_in, interval, report });
    });
    beats
}

async fn send(pool: &Pool, beats: &[Beat]) {
    let worker = pool.id();
    // A call that hangs must not keep the next one from being in time.
    let call = pool.store.heartbeat(&worker, beats, Now::Database);
    let replies = match tokio::time::timeout(pool.lease(), call).await {
        Ok(Ok(replies)) => replies,
        Err(_) => {
            tracing::warn!(worker.id = %worker, "Heartbeat of {} jobs was not answered; trying again", beats.len());
            return pool.beat_all_soon();
        }
        Ok(Err(error)) => {
            tracing::warn!(worker.id = %worker, error = error.chain(), "Heartbeat of {} jobs failed; trying again", beats.len());
            // Not only after another interval: by then they would be late.
            pool.beat_all_soon();
            return;
        }
    };
    for (beat, reply) in beats.iter().zip(replies) {
        match verdict(&reply) {
            None => pool.heard(beat.id, beat.lease),
            Some(reason) => pool.ask_to_stop(beat.id, beat.lease, reason),
        }
    }
}

/// Why the handler of a job must stop, if the answer to its heartbeat says so.
pub(super) fn verdict(reply: &BeatReply) -> Option<StopReason> {
    match reply {
        BeatReply::Kept => None,
        BeatReply::Canceled => Some(StopReason::Canceled),
        BeatReply::Lost { .. } | BeatReply::Gone => Some(StopReason::LeaseLost),
    }
}

/// Renews on a thread and a connection of its own, so that no handler can silence the worker. Ends when the worker closes.
pub(crate) fn renew_apart(pool: Arc<Pool>) -> std::io::Result<JoinHandle<()>> {
    if let Some(machine) = &pool.config.machine {
        return Ok(machine.renewals.spawn(renew_loop(Arc::clone(&pool))));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (over, ended) = oneshot::channel();
    std::thread::Builder::new().name("renewals".to_owned()).spawn(move || {
        runtime.block_on(renew_loop(pool));
        // Nobody may be waiting any more.
        let _ = over.send(());
    })?;
    Ok(tokio::spawn(async move {
        let _ = ended.await;
    }))
}

/// Renews the worker's lease until it closes; starts anew when the lease was lost.
///
/// The deadline counts from when the last acknowledged renewal was *sent*, on a clock that also runs in suspend: the
/// database's lease began no earlier, so the worker stops its jobs before anyone else may start them.
pub(crate) async fn renew_loop(pool: Arc<Pool>) {
    let lane = pool.store.lane();
    let store: &dyn WorkerSide = lane.as_deref().unwrap_or(&*pool.store);
    let mut attendance = store.attend(&pool.id());
    let mut reliance = Reliance::on(pool.config.lease.lease);
    // The wish that the database knows of.
    let mut known = pool.config.lease;
    let mut restart: Option<JoinHandle<()>> = None;
    let mut epoch = None;
    let mut failing = false;
    // The first renewal comes at once: it opens the connection that later ones need, while there is one to be had.
    let mut first = true;
    let mut sent = pool.boot();
    let mut told = clock::monotonic();
    let mut told_held = 0;
    loop {
        let wish = pool.lease_wish();
        // A shorter lease that could not be asked for yet must not wait for the rhythm of the long one.
        let lease = if wish == known { reliance.lease() } else { reliance.lease().min(wish.lease) };
        // A worker that holds nothing has nothing to lose: it may renew half as often.
        let calm = pool.held() == 0 && !pool.drains();
        let pause = match (failing, calm) {
            _ if first => Duration::ZERO,
            (true, _) => lease / TRIES_PER_LEASE,
            (false, true) => lease / RENEWALS_PER_LEASE * 2,
            (false, false) => lease / RENEWALS_PER_LEASE,
        };
        first = false;
        // From sending to sending: slow answers must not make renewals rarer.
        let pause = pause.saturating_sub(pool.boot().saturating_sub(sent));
        let deadline = pool.acts_until();
        tokio::select! {
            biased;
            () = pool.closing.cancelled() => return drop(attendance),
            () = restart::drained(&mut restart) => {
                restart = None;
                restart::leave(&pool, store).await;
                let Some(lease) = register_anew(&pool, store).await else { return drop(attendance) };
                drop(attendance);
                attendance = store.attend(&pool.id());
                (reliance, known, failing, sent) = (Reliance::on(lease.lease), lease, false, pool.boot());
                continue;
            }
            // An answer from before a suspend may be past its deadline already.
            () = passed(&pool, deadline.min(pool.boot() + pause)) => {}
            () = woken(&pool, calm) => {}
            () = wanted(&pool, sent) => {}
        }
        sent = pool.boot();
        let (worker, draining, wish) = (pool.id(), pool.drains(), pool.lease_wish());
        let renewed = store.renew(&worker, draining, Some(wish), Now::Database);
        // Past its deadline a worker does not ask any more: were it answered, others would wait for a lease that nobody keeps.
        let answer = tokio::select! {
            biased;
            () = passed(&pool, deadline) => None,
            answer = renewed => Some(answer),
        };
        failing = !matches!(answer, Some(Ok(Some(_))));
        let lost = match answer {
            Some(Ok(Some(renewal))) => {
                reliance.given(renewal.lease, sent);
                known = wish;
                pool.renewed(sent, reliance.lease());
                if renewal.restart && pool.begin_restart() {
                    restart = restart::begin(&pool);
                    // Others are to see at once that it drains.
                    pool.renew_soon.notify_one();
                }
                // What was claimed last may be unknown to a database that has taken over: it is asked for every job.
                if epoch.replace(renewal.epoch) != Some(renewal.epoch) {
                    pool.beat_all_soon();
                }
                false
            }
            Some(Ok(None)) => true,
            Some(Err(error)) => {
                tracing::warn!(worker.id = %worker, error = error.chain(), "Heartbeat of worker {worker} failed; trying again");
                pool.boot() >= deadline
            }
            // The deadline has come without an answer.
            None => true,
        };
        if lost {
            give_up(&pool, deadline + lease / MARGIN_SHARE).await;
            // Another incarnation was not told to restart.
            if let Some(restart) = restart.take() {
                restart.abort();
            }
            let Some(lease) = register_anew(&pool, store).await else { return drop(attendance) };
            drop(attendance);
            attendance = store.attend(&pool.id());
            (reliance, known, failing) = (Reliance::on(lease.lease), lease, false);
            continue;
        }
        let held = pool.held();
        if clock::monotonic().duration_since(told) >= TELL_EVERY || (held == 0) != (told_held == 0) {
            tracing::info!(worker.id = %pool.id(), held, "Heartbeat: worker {} holds {}", pool.id(), counted(held, "job"));
            (told, told_held) = (clock::monotonic(), held);
        }
    }
}

/// Resolves at a moment of the clock that runs in suspend. No timer goes by that clock, so it is looked at every second:
/// a worker that was suspended past its deadline stops its jobs so soon after it wakes.
async fn passed(pool: &Pool, moment: Duration) {
    loop {
        let left = moment.saturating_sub(pool.boot());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(REPORT_EVERY)).await;
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

/// Resolves when the next renewal shall come now, though not sooner than a moment after the last.
async fn wanted(pool: &Pool, sent: Duration) {
    pool.renew_soon.notified().await;
    passed(pool, sent + SOONEST).await;
}

/// Stops everything that an incarnation holds which has lost its lease.
///
/// Where there is a last resort, handlers that have not stopped when others may have their jobs make it come to that.
async fn give_up(pool: &Pool, lease_ends: Duration) {
    let old = pool.id();
    tracing::error!(worker.id = %old, "Heartbeat: worker {old} has lost its lease; it stops its jobs and starts anew");
    pool.give_up();
    if let Some(last_resort) = &pool.config.last_resort {
        let until = lease_ends.max(pool.boot() + TAKEN_GRACE);
        let stopped = tokio::select! {
            biased;
            () = pool.idle() => true,
            () = passed(pool, until) => false,
        };
        if !stopped {
            let held = pool.held();
            tracing::error!(worker.id = %old, held, "{held} handlers of worker {old} have not stopped in time; this process ends itself");
            last_resort();
        }
    }
}

/// Registers as a new incarnation, as soon as the database lets it; returns its lease, `None` if the worker closes.
async fn register_anew(pool: &Pool, store: &dyn WorkerSide) -> Option<LeaseWish> {
    loop {
        match pool.begin_anew(store).await {
            Ok(lease) => return Some(lease),
            Err(error) => tracing::warn!(error = %error, "failed to register again; trying again"),
        }
        tokio::select! {
            biased;
            () = pool.closing.cancelled() => return None,
            () = tokio::time::sleep(REPORT_EVERY) => {}
        }
    }
}
