//! Settings that change while the process runs: what is stored, below what the process has of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jobforge_core::settings::{Layers, SettingError, Settings, Stored, resolve};
use jobforge_core::time::{Now, since};
use jobforge_store::WorkerStore;
use jobforge_store::rows::WakeEvent;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Between two looks at what is stored, where nobody announces changes…
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// …and where somebody does: an idle worker must not cost a statement every two seconds.
const LOOK_SELDOM: Duration = Duration::from_secs(60);
/// After the moment at which a setting stops counting.
const END_SLACK: Duration = Duration::from_millis(100);
/// How long the first look may take; a database that does not answer must not hold up the start.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// Looks up an environment variable.
type Environment = dyn Fn(&str) -> Option<String> + Send + Sync;

/// What a process has of its own: flags, environment and file. They are stronger than what is stored.
#[derive(Clone)]
pub struct OwnSettings {
    /// Values of command-line flags, by key.
    pub flags: BTreeMap<String, String>,
    /// Looks up an environment variable.
    pub env: Arc<Environment>,
    /// Values of the configuration file, by key.
    pub file: BTreeMap<String, String>,
}

impl fmt::Debug for OwnSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnSettings").finish_non_exhaustive()
    }
}

impl OwnSettings {
    /// A process that has nothing of its own.
    pub fn none() -> Self {
        Self { flags: BTreeMap::new(), env: Arc::new(|_| None), file: BTreeMap::new() }
    }

    /// What counts above this that is stored.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn above(&self, stored: BTreeMap<String, String>) -> Result<Settings, Vec<SettingError>> {
        let (flags, file) = (self.flags.clone(), self.file.clone());
        resolve(&Layers { flags, env: &*self.env, file, stored })
    }
}

/// The settings of this process as they are now. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Live {
    current: watch::Receiver<Arc<Settings>>,
    own: Arc<OwnSettings>,
}

impl Live {
    /// Settings that never change, for programs and tests that take nothing from the database.
    pub fn fixed(settings: Settings) -> Self {
        // A receiver whose sender is gone keeps the last value.
        Self { current: watch::channel(Arc::new(settings)).1, own: Arc::new(OwnSettings::none()) }
    }

    /// The settings now.
    pub fn now(&self) -> Arc<Settings> {
        Arc::clone(&self.current.borrow())
    }

    /// What the process has of its own.
    pub fn own(&self) -> &OwnSettings {
        &self.own
    }

    /// Waits for the next change; for ever where there is none.
    pub async fn changed(&mut self) {
        if self.current.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Keeps the settings of this process as they are stored.
pub struct Follower {
    store: Arc<dyn WorkerStore>,
    own: Arc<OwnSettings>,
    current: watch::Sender<Arc<Settings>>,
    layer: BTreeMap<String, String>,
    events: broadcast::Receiver<WakeEvent>,
    /// How long the next look may wait.
    rest: Duration,
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("layer", &self.layer).finish_non_exhaustive()
    }
}

impl Follower {
    /// Looks for the first time. `settings` is what the process resolved without the database, and what it goes by as
    /// long as the stored settings cannot be read or do not go together with its own.
    pub async fn begin(store: Arc<dyn WorkerStore>, own: OwnSettings, settings: Settings) -> (Self, Live) {
        let events = store.subscribe();
        let (current, receiver) = watch::channel(Arc::new(settings));
        let own = Arc::new(own);
        let live = Live { current: receiver, own: Arc::clone(&own) };
        let mut follower = Self { store, own, current, layer: BTreeMap::new(), events, rest: LOOK_EVERY };
        if tokio::time::timeout(FIRST_LOOK, follower.look()).await.is_err() {
            tracing::warn!("the stored settings were not read in time; going on without them until they are");
        }
        (follower, live)
    }

    /// Looks when something is announced or stops counting, and every now and then, until `stop` fires.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.rest) => {}
                () = announced(&mut self.events) => {}
            }
            self.look().await;
        }
    }

    async fn look(&mut self) {
        let stored = match self.store.stored_settings(Now::Database).await {
            Ok(stored) => stored,
            // Whoever needs the database tells that it is away; what was stored last goes on counting.
            Err(error) => {
                tracing::debug!(error = error.chain(), "could not read the stored settings; trying again");
                self.rest = LOOK_EVERY;
                return;
            }
        };
        self.rest = rest(&stored, self.store.hears_all());
        let layer = stored.layer();
        if layer == self.layer {
            return;
        }
        self.layer.clone_from(&layer);
        match self.own.above(layer) {
            Ok(settings) => self.adopt(settings),
            Err(faults) => {
                let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
                let told = told.join("; ");
                tracing::warn!(
                    "the stored settings do not go together with this process's own, which stay as they were: {told}"
                );
            }
        }
    }

    fn adopt(&self, settings: Settings) {
        let before = Arc::clone(&self.current.borrow());
        for resolved in settings.iter() {
            let (key, value) = (resolved.setting.key, resolved.shown());
            let old = before.get(key).map_or("", |old| old.shown());
            if old != value {
                let source = &resolved.source;
                tracing::info!(
                    setting = key,
                    value,
                    "Setting {key} is now {value:?} ({source}), was {old:?}"
                );
            }
        }
        self.current.send_replace(Arc::new(settings));
    }
}

/// How long what is stored counts as it is, as far as that can be told.
fn rest(stored: &Stored, announced: bool) -> Duration {
    let longest = if announced { LOOK_SELDOM } else { LOOK_EVERY };
    let ends = stored.settings.iter().filter_map(|setting| setting.expires_at);
    let next = ends.filter(|end| *end > stored.as_of).min().map(|end| since(end, stored.as_of) + END_SLACK);
    next.map_or(longest, |next| next.min(longest))
}

/// Resolves when something is announced that may be about settings.
async fn announced(events: &mut broadcast::Receiver<WakeEvent>) {
    loop {
        match events.recv().await {
            // What was passed over may have been about settings.
            Ok(WakeEvent::Everything) | Err(RecvError::Lagged(_)) => return,
            Ok(WakeEvent::Work { .. } | WakeEvent::Moved { .. } | WakeEvent::Renew { .. }) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use jobforge_core::settings::StoredSetting;

    fn stored(ends: &[i64]) -> Stored {
        let at = |second| Timestamp::from_second(second).expect("in range");
        let setting = |end: &i64| StoredSetting {
            key: "job_heartbeat".to_owned(),
            value: "false".to_owned(),
            version: 1,
            updated_at: at(0),
            updated_by: "tester".to_owned(),
            reason: None,
            expires_at: Some(at(*end)),
        };
        Stored { version: 1, as_of: at(100), settings: ends.iter().map(setting).collect() }
    }

    #[test]
    fn what_stops_counting_is_looked_at_then_and_the_rest_as_seldom_as_announcements_allow() {
        assert_eq!((rest(&stored(&[]), true), rest(&stored(&[]), false)), (LOOK_SELDOM, LOOK_EVERY));
        assert_eq!(rest(&stored(&[90, 7000, 110]), true), Duration::from_secs(10) + END_SLACK);
        assert_eq!(rest(&stored(&[110]), false), LOOK_EVERY);
    }
}
