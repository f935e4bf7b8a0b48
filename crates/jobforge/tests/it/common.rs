//! A database of each engine for a test, a few job types, and waiting on conditions.

use std::any::Any;
use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jobforge::core::job::{Job, JobId};
use jobforge::core::poll::PollPolicy;
use jobforge::core::settings::Settings;
use jobforge::core::settle::RetryPolicy;
use jobforge::live::Live;
use jobforge::remote::{RemoteStore, socket_path};
use jobforge::store::Store;
use jobforge::store::postgres::{PostgresOptions, PostgresStore};
use jobforge::store::rows::JobDetail;
use jobforge::store::sqlite::Synchronous;
use jobforge::store::traits::Admin;
use jobforge::{Client, JobType, OpenOptions, Purpose, Worker, WorkerBuilder, clock, open_store};
use jobforge_server::{SocketOptions, bind_socket};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use testkit::postgres::{PgBouncer, PoolMode, TestDatabase, shared};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// No wait of these tests takes a tenth of this; one that reaches it hangs.
pub(crate) const HANG: Duration = Duration::from_secs(20);
/// Retries at once, for tests that are about the number of attempts.
pub(crate) const AT_ONCE: RetryPolicy = RetryPolicy { base_ms: 0, factor: 1.0, max_ms: 0, jitter: 0.0 };
/// Polls so seldom that whatever happens soon happened because the worker was woken.
pub(crate) const SELDOM: PollPolicy = PollPolicy {
    interval: Duration::from_secs(600),
    max_interval: Duration::from_secs(600),
    multiplier: 1.0,
};

/// Makes a test on each engine, and over the socket of a server, of every named `async fn(Db)`.
macro_rules! on_each_engine {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::common::sqlite().await).await;
            })*
        }
        mod socket {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::common::socket().await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::common::postgres().await).await;
            })*
        }
    };
}

/// As [`on_each_engine`], and through PgBouncer in transaction mode: for what every program does.
macro_rules! on_each_engine_and_pooler {
    ($($test:ident),* $(,)?) => {
        on_each_engine!($($test),*);
        mod pgbouncer {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::common::pgbouncer().await).await;
            })*
        }
    };
}

/// An empty, migrated database.
pub(crate) struct Db {
    /// A client of its owner.
    pub client: Client,
    options: OpenOptions,
    /// Where workers reach a server, if they are not to use the database themselves.
    socket: Option<PathBuf>,
    // Last, so that the store is closed before its database goes.
    _guard: Box<dyn Any + Send>,
}

impl Db {
    /// Opens the database as another process would: beside its owner, on connections of its own.
    pub(crate) async fn visit(&self) -> Client {
        let options = OpenOptions { purpose: Purpose::Visit, create: false, ..self.options.clone() };
        Client::new(open_store(&options).await.expect("a second look at the database"))
    }

    /// Begins to set up a worker.
    pub(crate) fn worker(&self) -> WorkerBuilder {
        match &self.socket {
            Some(socket) => Worker::on(Arc::new(RemoteStore::at(socket))),
            None => Worker::builder(&self.client),
        }
    }

    /// Begins to set up a worker as another process would have it: on connections of its own.
    pub(crate) async fn worker_elsewhere(&self) -> WorkerBuilder {
        match &self.socket {
            Some(_) => self.worker(),
            None => Worker::builder(&self.visit().await),
        }
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        self.client.store()
    }

    pub(crate) fn url(&self) -> &str {
        &self.options.database_url
    }
}

pub(crate) async fn sqlite() -> Db {
    let folder = testkit::fixtures::directory().expect("a temporary directory");
    let mut options = OpenOptions::for_url(&format!("sqlite:{}", folder.path().join("jobs.db").display()));
    options.synchronous = Synchronous::Normal;
    open(options, Box::new(folder)).await
}

/// SQLite owned by a server, to which workers speak over its socket.
pub(crate) async fn socket() -> Db {
    let db = sqlite().await;
    let path = socket_path(&db.options.embedded().expect("a path").expect("a file"));
    let server = SocketServer::begin(&db.client, &path);
    Db { socket: Some(path), _guard: Box::new((server, db._guard)), ..db }
}

/// A server on a socket, which ends when it is stopped or dropped.
pub(crate) struct SocketServer {
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl SocketServer {
    pub(crate) fn begin(client: &Client, path: &Path) -> Self {
        let options = SocketOptions { path: path.to_owned() };
        let live = Live::fixed(Settings::defaults());
        let server = bind_socket(options, client.clone(), live).expect("a socket");
        let stop = CancellationToken::new();
        let until = stop.clone();
        let running = tokio::spawn(async move { server.run(until).await.expect("a server that runs") });
        Self { stop, running }
    }

    /// Stops in good order.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.running.await.expect("it ends");
    }
}

pub(crate) async fn postgres() -> Db {
    let database = postgres_database().await;
    open(OpenOptions::for_url(&database.url()), Box::new(database)).await
}

/// PostgreSQL behind a pooler in transaction mode, with a direct way for what needs a session.
pub(crate) async fn pgbouncer() -> Db {
    let database = postgres_database().await;
    let pooler = PgBouncer::start(database.server(), database.name(), PoolMode::Transaction);
    let pooler = pooler.expect("pgbouncer");
    let options = OpenOptions { direct_url: Some(database.url()), ..OpenOptions::for_url(pooler.url()) };
    open(options, Box::new((pooler, database))).await
}

async fn postgres_database() -> TestDatabase {
    let template = async {
        let server = shared()?;
        server.template(&format!("jf_lib_{}", fingerprint()), migrate).await
    };
    let database = template.await.and_then(|template| TestDatabase::create_from(&template));
    database.expect("a PostgreSQL database")
}

pub(crate) async fn open(options: OpenOptions, guard: Box<dyn Any + Send>) -> Db {
    let store = open_store(&options).await.expect("a database");
    Db { client: Client::new(store), options, socket: None, _guard: guard }
}

/// Brings the schema of a PostgreSQL database up to date.
pub(crate) async fn migrate(url: String) -> testkit::Result<()> {
    PostgresStore::connect(PostgresOptions::new(url)).await?.migrate().await?;
    Ok(())
}

/// Changes with the migrations, because a server that is kept between runs also keeps its templates.
fn fingerprint() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../jobforge-store/migrations/postgres");
    let files = fs::read_dir(folder).expect("the migrations");
    let mut files: Vec<_> = files.map(|entry| entry.expect("a migration").path()).collect();
    files.sort();
    let mut digest = Sha256::new();
    for file in files {
        digest.update(fs::read(file).expect("a migration"));
    }
    digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// A job that says what it is called and gives nothing back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Task {
    pub name: String,
}

impl JobType for Task {
    const TYPE: &'static str = "test.task";
    const MAX_ATTEMPTS: u32 = 3;
    const RETRY: Option<RetryPolicy> = Some(AT_ONCE);
    type Output = ();
}

pub(crate) fn task(name: impl Into<String>) -> Task {
    Task { name: name.into() }
}

/// A job that gives a number back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sum {
    pub of: Vec<u64>,
}

impl JobType for Sum {
    const TYPE: &'static str = "test.sum";
    type Output = u64;
}

/// Enqueues a task and returns its id.
pub(crate) async fn enqueue(client: &Client, name: &str) -> JobId {
    client.enqueue(task(name)).await.expect("an enqueued job").id
}

/// Waits until `look` finds something.
pub(crate) async fn until<T, F, Fut>(what: &str, mut look: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let deadline = clock::monotonic() + HANG;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(clock::monotonic() < deadline, "it never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    until(what, || std::future::ready(condition().then_some(()))).await;
}

/// Waits until the job fits.
pub(crate) async fn job_when(client: &Client, id: JobId, what: &str, fits: impl Fn(&Job) -> bool) -> Job {
    until(what, || async { Some(client.job(id).await.expect("the job")).filter(|job| fits(job)) }).await
}

/// Waits until the job has ended.
pub(crate) async fn ended(client: &Client, id: JobId) -> Job {
    job_when(client, id, "the job ends", |job| job.status.is_terminal()).await
}

/// The job once it has ended, with all that is kept of it.
pub(crate) async fn ended_detail(client: &Client, id: JobId) -> JobDetail {
    ended(client, id).await;
    client.job_detail(id).await.expect("the job")
}

/// The rules that the database breaks; there must be none.
pub(crate) async fn check_consistent(client: &Client) {
    let findings = client.store().check(jobforge::core::time::Now::Database).await.expect("a check");
    assert!(findings.is_empty(), "{findings:#?}");
}

/// Sets a flag when it is dropped: at the end of a handler, however it ends.
pub(crate) struct DropFlag(pub Arc<std::sync::atomic::AtomicBool>);

impl Drop for DropFlag {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}
