//! `/ui/queues`: what waits, what runs, and whether anybody serves it.

use askama::Template;
use axum::response::Response;
use jobforge::core::overview::COUNTED_TO;
use jobforge::core::time::{Now, since, words};
use jobforge::store::rows::QueueInfo;

use super::copies::Copies;
use super::page::{Shell, html};
use super::visit::Visit;
use super::words::{Badge, Share, at_least, capped};
use crate::api_error::ApiError;

/// Queues that are listed, the worst first.
const MOST: usize = 500;

#[derive(Template)]
#[template(path = "queues.html")]
struct QueuesPage {
    shell: Shell,
    lines: Vec<Line>,
    more: usize,
}

struct Line {
    name: String,
    badge: Badge,
    why: String,
    ready: String,
    scheduled: String,
    running: String,
    workers: usize,
    slots: u32,
    paused: bool,
    /// How much of its workers' slots is in use, in percent.
    used: Share,
}

/// `GET /ui/queues`
pub(super) async fn page(visit: Visit) -> Result<Response, ApiError> {
    let store = visit.app.client.store();
    let (queues, workers, as_of) = tokio::try_join!(
        store.queues_to(COUNTED_TO, Now::Database),
        store.workers(Now::Database),
        store.now()
    )?;
    let alive: Vec<_> =
        workers.iter().filter(|w| w.state.is_active() && w.lease_expires_at > as_of).collect();
    // These are counted over all queues in one go.
    let more = |number: fn(&QueueInfo) -> u64| queues.iter().map(number).sum::<u64>() >= COUNTED_TO;
    let (more_scheduled, more_running) = (more(|queue| queue.scheduled), more(|queue| queue.running));
    let mut lines: Vec<(u8, Line)> = queues
        .into_iter()
        .map(|queue| {
            let serving: Vec<_> = alive.iter().filter(|worker| worker.queues.contains(&queue.name)).collect();
            let slots: u32 = serving.iter().map(|worker| worker.slots).sum();
            let waits = queue.oldest_ready_at.map(|at| words(since(as_of, at))).unwrap_or_default();
            let of = |rank, word, tone, why: String| (rank, Badge { word, tone }, why);
            let (rank, badge, why) = if let Some(at) = queue.paused_at {
                of(
                    1,
                    "paused",
                    "scheduled",
                    format!("paused for {}; nothing of it starts", words(since(as_of, at))),
                )
            } else if queue.ready > 0 && serving.is_empty() {
                of(0, "no worker", "dead", "jobs wait and no live worker serves it".to_owned())
            } else if queue.ready > 0 {
                of(2, "busy", "queued", format!("the oldest waits for {waits}"))
            } else {
                of(3, "clear", "running", "nothing waits".to_owned())
            };
            let line = Line {
                badge,
                why,
                ready: capped(queue.ready, COUNTED_TO),
                scheduled: at_least(queue.scheduled, queue.scheduled > 0 && more_scheduled),
                running: at_least(queue.running, queue.running > 0 && more_running),

                workers: serving.len(),
                used: Share(if slots == 0 {
                    0
                } else {
                    (queue.running * 100 / u64::from(slots)).min(100) as u8
                }),
                slots,
                paused: queue.paused_at.is_some(),
                name: queue.name,
            };
            (rank, line)
        })
        .collect();
    lines.sort_by(|(a, one), (b, other)| (a, &one.name).cmp(&(b, &other.name)));
    let sql =
        "SELECT queue, count(*) FROM jobforge_jobs\nWHERE status = 'queued' GROUP BY queue ORDER BY 2 DESC;";
    let copies = Copies::of("jobforge queue list", "/v1/queues", sql);
    html(&QueuesPage {
        shell: visit.shell("/ui/queues", "Queues", as_of, copies).await,
        more: lines.len().saturating_sub(MOST),
        lines: lines.into_iter().take(MOST).map(|(_, line)| line).collect(),
    })
}
