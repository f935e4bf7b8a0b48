use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;
use tokio_postgres::NoTls;

use super::{Cluster, ClusterOptions, Durability, PgBouncer, PoolMode, TestDatabase, psql, shared};

#[test]
fn a_database_is_reached_over_tcp_and_over_the_socket() -> Result<()> {
    let database = TestDatabase::create()?;
    assert_eq!(
        psql(&database.url(), "SELECT current_database(), inet_server_addr()")?,
        format!("{}|127.0.0.1\n", database.name())
    );
    assert_eq!(
        psql(&database.socket_url()?, "SELECT current_database(), inet_server_addr()")?,
        format!("{}|\n", database.name())
    );
    Ok(())
}

#[tokio::test]
async fn a_database_goes_with_its_handle_although_a_client_is_connected() -> Result<()> {
    let database = TestDatabase::create()?;
    let (client, connection) = tokio_postgres::connect(&database.socket_url()?, NoTls).await?;
    let connection = tokio::spawn(connection);
    client.execute("CREATE TABLE t ()", &[]).await?;
    let name = database.name().to_owned();
    drop(database);
    assert!(connection.await?.is_err(), "the server has ended the connection");
    assert!(!shared()?.has_database(&name)?);
    Ok(())
}

#[tokio::test]
async fn a_template_is_prepared_once_and_copied_by_every_test() -> Result<()> {
    static PREPARED: AtomicU32 = AtomicU32::new(0);
    let prepare = |url: String| async move {
        PREPARED.fetch_add(1, Ordering::Relaxed);
        psql(&url, "CREATE TABLE t AS SELECT 7 AS n")?;
        Ok(())
    };
    let cluster = Cluster::start(&ClusterOptions::default())?;
    for _ in 0..2 {
        let template = cluster.server().template("seven", prepare).await?;
        let copy = TestDatabase::create_on(cluster.server(), Some(&template))?;
        assert_eq!(copy.psql("SELECT n FROM t")?, "7\n");
    }
    assert_eq!(PREPARED.load(Ordering::Relaxed), 1);
    Ok(())
}

#[tokio::test]
async fn a_template_that_another_process_finished_first_is_used() -> Result<()> {
    let cluster = Cluster::start(&ClusterOptions::default())?;
    let template = cluster
        .server()
        .template("raced", async |draft| {
            cluster.psql("CREATE DATABASE raced")?;
            psql(&draft, "CREATE TABLE loser ()")?;
            Ok(())
        })
        .await?;
    let copy = TestDatabase::create_on(cluster.server(), Some(&template))?;
    assert_eq!(copy.psql("SELECT to_regclass('loser') IS NULL")?, "t\n");
    assert_eq!(cluster.psql("SELECT count(*) FROM pg_database WHERE datname LIKE 'raced_%'")?, "0\n");
    Ok(())
}

#[tokio::test]
async fn a_template_that_could_not_be_prepared_does_not_stay() -> Result<()> {
    let cluster = Cluster::start(&ClusterOptions::default())?;
    let error = cluster.server().template("broken", async |_| anyhow::bail!("no room")).await.unwrap_err();
    assert_eq!(format!("{error:#}"), "failed to prepare template broken: no room");
    assert_eq!(cluster.psql("SELECT count(*) FROM pg_database WHERE datname LIKE 'broken%'")?, "0\n");
    Ok(())
}

#[test]
fn what_was_committed_survives_a_crash_of_the_server() -> Result<()> {
    let cluster =
        Cluster::start(&ClusterOptions { durability: Durability::ServerCrash, ..ClusterOptions::default() })?;
    cluster.psql("CREATE TABLE t (n int)")?;
    cluster.psql("INSERT INTO t SELECT generate_series(1, 1000)")?;
    cluster.restart_immediate()?;
    assert_eq!(cluster.psql("SELECT count(*) FROM t")?, "1000\n");
    assert!(cluster.log_tail().contains("automatic recovery in progress"));
    Ok(())
}

#[test]
fn a_stopped_server_is_gone_until_it_is_started_again() -> Result<()> {
    let cluster = Cluster::start(&ClusterOptions::default())?;
    cluster.stop()?;
    assert!(cluster.psql("SELECT 1").is_err());
    cluster.start_again()?;
    assert_eq!(cluster.psql("SELECT 1")?, "1\n");
    Ok(())
}

#[test]
fn a_dropped_cluster_leaves_nothing_behind() -> Result<()> {
    let cluster = Cluster::start(&ClusterOptions::default())?;
    let (server, directory) = (cluster.server().clone(), cluster.psql("SHOW data_directory")?);
    drop(cluster);
    assert!(server.psql("SELECT 1").is_err());
    assert!(!std::path::Path::new(directory.trim()).parent().unwrap().exists());
    Ok(())
}

#[test]
fn settings_for_benchmarks_promise_what_production_promises() -> Result<()> {
    let cluster = Cluster::start(&ClusterOptions::for_benchmarks("64MB"))?;
    let settings = "SELECT name, current_setting(name) FROM pg_settings WHERE name IN
        ('fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers', 'max_wal_size') ORDER BY name";
    assert_eq!(
        cluster.psql(settings)?,
        "fsync|on\nfull_page_writes|on\nmax_wal_size|8GB\nshared_buffers|64MB\nsynchronous_commit|on\n"
    );
    Ok(())
}

#[test]
fn a_server_that_cannot_start_shows_its_log() {
    let settings = vec![("shared_preload_libraries".to_owned(), "no_such_library".to_owned())];
    let error = Cluster::start(&ClusterOptions { settings, ..ClusterOptions::default() }).unwrap_err();
    assert!(format!("{error:#}").contains("no_such_library"), "{error:#}");
}

#[tokio::test]
async fn a_transaction_pooler_shares_one_session_among_clients() -> Result<()> {
    let database = TestDatabase::create()?;
    let pooler = PgBouncer::start(database.server(), database.name(), PoolMode::Transaction)?;
    let (one, connection) = tokio_postgres::connect(pooler.url(), NoTls).await?;
    tokio::spawn(connection);
    let (other, connection) = tokio_postgres::connect(pooler.url(), NoTls).await?;
    tokio::spawn(connection);
    one.batch_execute("SET statement_timeout = 4321").await?;
    let rows = other.query_typed("SELECT current_setting('statement_timeout')", &[]).await?;
    assert_eq!(rows[0].get::<_, String>(0), "4321ms");
    Ok(())
}

#[test]
fn a_dropped_pooler_no_longer_answers() -> Result<()> {
    let database = TestDatabase::create()?;
    let pooler = PgBouncer::start(database.server(), database.name(), PoolMode::Session)?;
    let url = pooler.url().to_owned();
    assert_eq!(psql(&url, "SELECT 1")?, "1\n");
    drop(pooler);
    assert!(psql(&url, "SELECT 1").is_err());
    Ok(())
}

#[test]
fn a_pooler_of_a_database_that_does_not_exist_does_not_start() -> Result<()> {
    let error = PgBouncer::start(shared()?, "jf_no_such_database", PoolMode::Transaction).unwrap_err();
    assert!(format!("{error:#}").contains("\"jf_no_such_database\" does not exist"), "{error:#}");
    Ok(())
}
