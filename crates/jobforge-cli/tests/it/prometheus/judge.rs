//! JobForge's own judge of alerts, with the rules in the time of the test. It judges what the real processes of the fleet
//! tell of themselves through the database, and the fleet's server lists what fires.

use std::sync::Arc;
use std::time::Duration;

use jobforge::core::metric::{Format, Metric, Scope};
use jobforge::core::settings::Settings;
use jobforge::core::time::Now;
use jobforge::live::{Follower, Live, OwnSettings};
use jobforge::notify::Channels;
use jobforge::services::{AlertJudge, Numbers, Telling, exposition};
use jobforge::store::WorkerStore;
use jobforge::{OpenOptions, open_store};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::table;

/// Between two judgements. The turn lasts thirty of them, so that no server takes it.
const EVERY: Duration = Duration::from_secs(1);

pub(super) struct Judge {
    _runtime: Runtime,
}

impl Judge {
    /// Has the turn before any server of this database, and keeps it.
    pub(super) fn start(database_url: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            let store = open_store(&OpenOptions::for_url(database_url)).await.unwrap();
            let file = [("alert_interval_ms".to_owned(), "10000".to_owned())].into();
            let own = OwnSettings { file, ..OwnSettings::none() };
            let settings: Settings = own.above([].into()).unwrap();
            let (follower, live) =
                Follower::begin(Arc::clone(&store) as Arc<dyn WorkerStore>, own, settings).await;
            tokio::spawn(follower.run(CancellationToken::new()));
            let telling = shared(Arc::new(Numbers::new(Arc::clone(&store), Live::clone(&live))));
            let rules = table().into_iter().flat_map(|group| group.rules).collect();
            let judge = AlertJudge::new(store, Arc::new(Channels::default()), live, telling);
            let mut judge = judge.by(rules, EVERY);
            assert!(judge.run_once(Now::Database).await.unwrap().judges, "nobody else has the turn");
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(EVERY).await;
                    // The database will be away for a while.
                    let _ = judge.run_once(Now::Database).await;
                }
            });
        });
        Self { _runtime: runtime }
    }
}

/// The shared numbers, and none of this process's own: it is no part of the fleet.
fn shared(numbers: Arc<Numbers>) -> Telling {
    Arc::new(move |judges| {
        let numbers = Arc::clone(&numbers);
        Box::pin(async move {
            if !judges || numbers.read().await.is_err() {
                return String::new();
            }
            let is_shared = |line: &&str| {
                let name = line.split(['{', ' ']).next().unwrap_or_default();
                Metric::named(name).is_some_and(|metric| metric.scope == Scope::Shared)
            };
            exposition(Format::Prometheus).lines().filter(is_shared).map(|line| format!("{line}\n")).collect()
        })
    })
}
