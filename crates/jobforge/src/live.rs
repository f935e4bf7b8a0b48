//! Settings that change while the process runs: what is stored, below what the process has of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jobforge_core::settings::{Layers, SettingError, Settings, resolve};
use jobforge_core::time::Now;
use jobforge_store::WorkerStore;
use jobforge_store::rows::WakeEvent;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Between two looks at what is stored; a change that is announced is seen sooner.
const LOOK_EVERY: Duration = Duration::from_secs(2);
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
        let mut follower = Self { store, own, current, layer: BTreeMap::new(), events };
        if tokio::time::timeout(FIRST_LOOK, follower.look()).await.is_err() {
            tracing::warn!("the stored settings were not read in time; going on without them until they are");
        }
        (follower, live)
    }

    /// Looks every two seconds, and when something is announced, until `stop` fires.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
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
                return;
            }
        };
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

/// Resolves when something is announced that may be about settings.
async fn announced(events: &mut broadcast::Receiver<WakeEvent>) {
    loop {
        match events.recv().await {
            Ok(WakeEvent::Everything) => return,
            Ok(WakeEvent::Work { .. } | WakeEvent::Moved { .. }) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
