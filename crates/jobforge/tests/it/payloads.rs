//! Payloads that are too large for the database: kept elsewhere, brought to handlers, and swept when their jobs are gone.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use jobforge::core::job::{Job, NewJob};
use jobforge::core::state::Status;
use jobforge::core::stored_payload::StoredPayload;
use jobforge::payloads::ORPHAN_AGE;
use jobforge::store::StoreError;
use jobforge::store::rows::JobFilter;
use jobforge::{Client, Error, JobContext, JobError, PayloadFault, Payloads};
use tempfile::TempDir;

use crate::common::{Db, SELDOM, Task, ended, task};

/// A directory for payloads, and what knows of it.
struct Kept {
    folder: TempDir,
    payloads: Payloads,
    client: Client,
}

impl Kept {
    fn beside(db: &Db) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let payloads = Payloads::at(folder.path().join("payloads").to_str().unwrap()).unwrap();
        Self { client: db.client.clone().payloads(payloads.clone()), payloads, folder }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("payloads")
    }

    /// Every file of a folder, by its path.
    fn files(&self) -> Vec<PathBuf> {
        let inside = fs::read_dir(self.root()).unwrap().map(|inside| inside.unwrap().path());
        let folders = inside.filter(|path| path.is_dir());
        let mut files: Vec<_> = folders
            .flat_map(|folder| fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()))
            .collect();
        files.sort();
        files
    }

    /// Makes every file older than the sweep spares.
    fn age(&self) {
        for file in self.files() {
            #[expect(clippy::disallowed_methods, reason = "files are stamped by this clock")]
            let long_ago = SystemTime::now() - ORPHAN_AGE - Duration::from_secs(60);
            File::options().append(true).open(file).unwrap().set_modified(long_ago).unwrap();
        }
    }
}

/// A task of 300 KB.
fn large(letter: &str) -> Task {
    task(letter.repeat(300 * 1024))
}

async fn jobs(db: &Db) -> Vec<Job> {
    db.client.jobs(&JobFilter { limit: 100, ..JobFilter::default() }).await.unwrap()
}

async fn a_large_payload_is_kept_elsewhere_and_every_attempt_gets_it_whole(db: Db) {
    let kept = Kept::beside(&db);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let handler = {
        let seen = Arc::clone(&seen);
        move |job: Task, ctx: JobContext| {
            let of_context = ctx.job().payload.decode::<Task>().unwrap().name == job.name;
            seen.lock().unwrap().push((job.name.len(), of_context));
            async move {
                if ctx.attempt() == 1 {
                    Err(JobError::retry("first", "once more").after(Duration::ZERO))
                } else {
                    Ok(())
                }
            }
        }
    };
    let _worker = db.worker().payloads(kept.payloads.clone()).register(handler).start().await.unwrap();
    let id = kept.client.enqueue(large("x")).await.unwrap().id;
    let job = ended(&db.client, id).await;
    assert_eq!((job.status, job.attempts), (Status::Succeeded, 2));
    assert_eq!(*seen.lock().unwrap(), [(300 * 1024, true), (300 * 1024, true)]);
    let stored = StoredPayload::of(&job.payload).expect("the row holds a reference");
    assert_eq!(stored.bytes, 300 * 1024 + r#"{"name":""}"#.len() as u64);
    assert_eq!(kept.files().len(), 1);
    assert_eq!(
        kept.client.payload_of(&job).await.unwrap().decode::<Task>().unwrap().name,
        "x".repeat(300 * 1024)
    );
    // What is small stays where it was.
    let small = kept.client.enqueue(task("small")).await.unwrap().id;
    assert_eq!(db.client.job(small).await.unwrap().payload.decode::<Task>().unwrap().name, "small");
    assert_eq!(kept.files().len(), 1);
}

async fn an_attempt_without_its_payload_fails_with_what_to_do_and_a_later_one_succeeds(db: Db) {
    let kept = Kept::beside(&db);
    let receipt = kept.client.enqueue(large("x")).max_attempts(1).await.unwrap();
    let [file] = &kept.files()[..] else { panic!("one file") };
    let whole = fs::read(file).unwrap();
    let retried = async |damage: &dyn Fn()| {
        damage();
        if db.client.job(receipt.id).await.unwrap().status.is_terminal() {
            db.client.retry(receipt.id).await.unwrap();
        }
        let job = ended(&db.client, receipt.id).await;
        (job.status, job.error.map(|error| (error.kind, error.message)))
    };
    let handler = |_: Task, _: JobContext| async { Ok(()) };
    // Before there is a worker, which would be quicker.
    fs::remove_file(file).unwrap();
    let worker = db.worker().payloads(kept.payloads.clone()).register(handler).start().await.unwrap();
    for (kind, damage) in [
        ("payload_missing", &(|| ()) as &dyn Fn()),
        ("payload_damaged", &|| fs::write(file, &whole[1..]).unwrap()),
        ("payload_damaged", &|| fs::write(file, [&whole[..], b" "].concat()).unwrap()),
        ("payload_store_unavailable", &|| fs::rename(kept.root(), kept.folder.path().join("away")).unwrap()),
    ] {
        let (status, error) = retried(damage).await;
        let (told, message) = error.expect("a reason");
        assert_eq!((status, told.as_str()), (Status::Dead, kind), "{message}");
        assert!(message.contains("payload_store"), "{message}");
    }
    fs::rename(kept.folder.path().join("away"), kept.root()).unwrap();
    let mended = retried(&|| fs::write(file, &whole).unwrap()).await;
    assert_eq!(mended, (Status::Succeeded, None));
    worker.stop_gracefully(Duration::from_secs(5)).await;
    let _ignorant = db.worker().payloads(None).register(handler).start().await.unwrap();
    let (status, error) = retried(&|| ()).await;
    assert_eq!((status, error.expect("a reason").0.as_str()), (Status::Dead, "payload_store_unset"));
}

async fn without_a_place_for_it_nothing_large_is_enqueued(db: Db) {
    let kept = Kept::beside(&db);
    let too_large = task("x".repeat(kept.client.max_payload_bytes()));
    assert!(matches!(kept.client.enqueue(too_large).await, Err(Error::InvalidPayload(_))));
    assert_eq!(db.client.max_payload_bytes(), 1024 * 1024);
    let advice = db.client.enqueue(task("x".repeat(1024 * 1024))).await.unwrap_err().to_string();
    assert!(advice.contains("data_ref") && advice.contains("payload_store"), "{advice}");
    fs::remove_dir(kept.root()).unwrap();
    let batch = vec![kept.client.enqueue(task("small")), kept.client.enqueue(large("x"))];
    let error = kept.client.enqueue_many(batch).await.unwrap_err();
    assert!(matches!(&error, Error::Payloads(PayloadFault::Unavailable { .. })), "{error}");
    assert!(jobs(&db).await.is_empty(), "all of a batch or nothing");
    assert!(
        !kept.root().exists(),
        "a directory that is gone is not made again: it may be a disk that is not mounted"
    );
}

async fn a_key_knows_a_large_payload_again_and_leaves_nothing_behind(db: Db) {
    let kept = Kept::beside(&db);
    let first = kept.client.enqueue(large("x")).idempotency_key("k").await.unwrap();
    let again = kept.client.enqueue(large("x")).idempotency_key("k").await.unwrap();
    assert_eq!((again.id, again.created), (first.id, false));
    assert_eq!(kept.files().len(), 1, "what was stored for nothing is removed");
    let other = kept.client.enqueue(large("y")).idempotency_key("k").await.unwrap_err();
    assert!(matches!(other, Error::Store(StoreError::IdempotencyConflict { .. })), "{other}");
    // A job that is sent again, because its answer was lost, keeps its payload.
    let job: NewJob = kept.client.enqueue(large("z")).into_job().unwrap();
    for created in [true, false] {
        let receipts = kept.client.enqueue_jobs(std::slice::from_ref(&job)).await.unwrap();
        assert_eq!((receipts[0].id, receipts[0].created), (job.id, created));
    }
    let row = db.client.job(job.id).await.unwrap();
    assert!(kept.client.payload_of(&row).await.is_ok());
}

async fn the_sweep_removes_what_is_old_and_has_no_job_and_nothing_else(db: Db) {
    let kept = Kept::beside(&db);
    let stays = kept.client.enqueue(large("a")).await.unwrap().id;
    let goes = kept.client.enqueue(large("b")).await.unwrap().id;
    let jobs = kept.client.enqueue(large("c")).into_job().unwrap();
    // As a crash between the two leaves it.
    kept.client.spilled(std::slice::from_ref(&jobs)).await.unwrap();
    let folder = kept.files()[0].parent().unwrap().to_owned();
    fs::write(folder.join("0123456789abcdef.new"), "half of it").unwrap();
    fs::write(folder.join("README"), "somebody else's").unwrap();
    db.client.delete(goes).await.unwrap();
    let young = kept.payloads.sweep(&**db.store(), None).await.unwrap();
    assert_eq!((young.seen, young.removed, young.behind), (5, 0, None));
    kept.age();
    assert_eq!(kept.payloads.sweep(&**db.store(), None).await.unwrap().removed, 3);
    let left: Vec<String> =
        kept.files().iter().map(|file| file.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    let (ours, others): (Vec<_>, Vec<_>) =
        left.iter().partition(|name| name.starts_with(&stays.0.simple().to_string()));
    assert_eq!((ours.len(), others), (1, vec![&"README".to_owned()]));
    assert!(kept.client.payload_of(&db.client.job(stays).await.unwrap()).await.is_ok());
}

async fn a_database_removes_nothing_where_another_was_first(db: Db) {
    let kept = Kept::beside(&db);
    kept.client.enqueue(large("a")).await.unwrap();
    kept.payloads.sweep(&**db.store(), None).await.unwrap();
    kept.age();
    let other = crate::common::sqlite().await;
    let refused = kept.payloads.sweep(&**other.store(), None).await.unwrap_err().to_string();
    assert!(refused.contains("give each database a place of its own"), "{refused}");
    assert_eq!((kept.files().len(), kept.payloads.sweep(&**db.store(), None).await.unwrap().removed), (1, 0));
}

on_each_engine!(
    a_database_removes_nothing_where_another_was_first,
    a_large_payload_is_kept_elsewhere_and_every_attempt_gets_it_whole,
    an_attempt_without_its_payload_fails_with_what_to_do_and_a_later_one_succeeds,
    without_a_place_for_it_nothing_large_is_enqueued,
    a_key_knows_a_large_payload_again_and_leaves_nothing_behind,
    the_sweep_removes_what_is_old_and_has_no_job_and_nothing_else,
);

#[tokio::test]
async fn a_large_job_of_the_callers_own_transaction_is_handled_once_it_is_committed() {
    let db = crate::common::postgres().await;
    let kept = Kept::beside(&db);
    let handler = |_: Task, _: JobContext| async { Ok(()) };
    let _worker =
        db.worker().payloads(kept.payloads.clone()).register(handler).poll(SELDOM).start().await.unwrap();
    let (mut own, connection) = tokio_postgres::connect(db.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let transaction = own.transaction().await.unwrap();
    let id = kept.client.enqueue(large("x")).in_transaction(&transaction).await.unwrap().id;
    assert_eq!(kept.files().len(), 1);
    transaction.commit().await.unwrap();
    assert_eq!(ended(&db.client, id).await.status, Status::Succeeded);
}

#[test]
fn places_that_make_no_sense_are_refused_with_what_to_write() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for (place, told) in [
        ("ftp://host/x".to_owned(), "file:///directory or s3://bucket/prefix"),
        ("file://relative".to_owned(), "file:///directory"),
        (file.display().to_string(), "not a directory"),
        (folder.path().join("no/such/parent").display().to_string(), "no parent directory"),
        #[cfg(not(feature = "s3"))]
        ("s3://bucket".to_owned(), "--features s3"),
    ] {
        let fault = Payloads::at(&place).unwrap_err().to_string();
        assert!(fault.contains(told) && fault.contains("payload_store"), "{place}: {fault}");
    }
}
