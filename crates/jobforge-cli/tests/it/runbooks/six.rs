//! The application whose six schedules the specification speaks of: `examples/background-jobs`, with its worker in this
//! process, beside the fleet's own.

use background_jobs::outside::{Manners, Outside};
use background_jobs::{Db, worker};
use jobforge::Worker;
use jobforge::core::schedule::{Definition, interval_variables};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// The configuration file of the example.
pub(super) const SCHEDULES: &str = include_str!("../../../../../examples/background-jobs/jobforge.toml");
/// What brings in what the others work on.
pub(super) const FIRST: &str = "clip_sync";

/// Enough clips for several pages, one of them after a pause.
const CLIPS: usize = 500;
const MANNERS: Manners = Manners { requests_per_second: 3, retry_after_s: 1, fail_first: 0 };

pub(super) struct Six {
    // Ends before what it runs on.
    _worker: Worker,
    _runtime: Runtime,
}

impl Six {
    /// Creates its tables, plays what is outside, and works.
    pub(super) fn start(database_url: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let worker = runtime.block_on(async {
            Db::open(database_url).unwrap().set_up().await.unwrap();
            let outside = Outside::new(MANNERS);
            outside.publish_samples(CLIPS);
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(outside.serve(listener));
            let settings = worker::Settings {
                database_url: database_url.to_owned(),
                clips_url: format!("http://{address}/"),
                allow_private: vec![address.to_string()],
                ..worker::Settings::default()
            };
            worker::builder(&settings).await.unwrap().start().await.unwrap()
        });
        Self { _worker: worker, _runtime: runtime }
    }
}

/// The names of its schedules.
pub(super) fn names() -> Vec<String> {
    let file: toml::Table = SCHEDULES.parse().unwrap();
    let read = |table: &toml::Value| -> Definition {
        serde_json::from_value(serde_json::to_value(table).unwrap()).unwrap()
    };
    file["schedules"].as_array().unwrap().iter().map(|table| read(table).name).collect()
}

/// The variables that their intervals may come from.
pub(super) fn variables() -> Vec<String> {
    names().iter().map(|name| interval_variables(name)[0].0.clone()).collect()
}
