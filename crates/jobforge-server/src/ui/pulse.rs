//! How all is, for the bar on every page: asked of the database seldom, and never waited for twice.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jobforge::clock;
use jobforge::core::overview::Overview;
use jobforge::core::standing::Rules;
use jobforge::overview::Facts;

use super::Ui;

/// An answer so young is as good as a new one…
const FRESH: Duration = Duration::from_secs(2);
/// …and one so young is shown while a new one is asked for, so that no page waits for it.
const GOOD: Duration = Duration::from_secs(5);

/// What the database said, and what is made of it.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) facts: Facts,
    pub(super) overview: Overview,
}

/// What was found lately.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    last: Mutex<Option<(Instant, Arc<Whole>)>>,
    /// Held by who asks, so that nobody else does.
    turn: tokio::sync::Mutex<()>,
}

impl Pulse {
    /// What was found last, however long ago.
    pub(super) fn last(&self) -> Option<(Instant, Arc<Whole>)> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, whole: Whole) -> Arc<Whole> {
        let whole = Arc::new(whole);
        let kept = Some((clock::monotonic(), Arc::clone(&whole)));
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = kept;
        whole
    }
}

/// Begins to ask if what was found last grows old, so that a page that needs it soon need not wait from its end on.
pub(super) fn warm(ui: &Arc<Ui>) {
    let is_fresh = |(at, _)| clock::monotonic().duration_since(at) < FRESH;
    if !ui.pulse.last().is_some_and(is_fresh) && ui.pulse.turn.try_lock().is_ok() {
        let ui = Arc::clone(ui);
        tokio::spawn(async move {
            let _ = ask(&ui).await;
        });
    }
}

/// How all is, or why the database does not say.
pub(super) async fn look(ui: &Arc<Ui>) -> Result<Arc<Whole>, String> {
    if let Some((at, whole)) = ui.pulse.last() {
        let age = clock::monotonic().duration_since(at);
        if age < GOOD {
            warm(ui);
            return Ok(whole);
        }
    }
    ask(ui).await
}

async fn ask(ui: &Ui) -> Result<Arc<Whole>, String> {
    let _turn = ui.pulse.turn.lock().await;
    // Whoever had the turn before may have asked the same.
    if let Some((at, whole)) = ui.pulse.last()
        && clock::monotonic().duration_since(at) < FRESH
    {
        return Ok(whole);
    }
    let (app, settings) = (&ui.app, ui.app.live.now());
    let (store, rules) = (&**app.client.store(), Rules::from_settings(&settings));
    let facts = app.health.facts(store, &rules.rescue).await?;
    let whole = async {
        let dead = store.dead_groups(&facts.dead_news()).await?;
        facts.assess(store, &rules, settings.flag("alerts"), &dead).await
    };
    let overview = whole.await.map_err(|error| error.chain())?;
    Ok(ui.pulse.keep(Whole { facts, overview }))
}
