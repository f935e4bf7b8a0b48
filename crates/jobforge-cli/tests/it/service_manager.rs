//! What the processes tell the service manager that started them.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use testkit::postgres::{Cluster, ClusterOptions};

use crate::program::{Home, Running, done, http};
use crate::site::{Site, lives, send};

/// Much longer than a sign of life takes when all is well.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whoever started a process, and hears what it says.
struct Manager {
    socket: UnixDatagram,
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, _folder: folder, path }
    }

    /// Starts a process that must give signs of life every two seconds.
    fn start(&self, mut command: Command, ready: &str) -> Running {
        command.env("NOTIFY_SOCKET", &self.path).env("WATCHDOG_USEC", "2000000");
        Running::start(command, ready)
    }

    fn hears(&self) -> Option<String> {
        let mut text = [0; 4096];
        let length = self.socket.recv(&mut text).ok()?;
        Some(String::from_utf8(text[..length].to_vec()).unwrap())
    }

    /// Reads until a message has the text, and returns that message.
    fn until(&self, text: &str) -> String {
        let mut heard = Vec::new();
        while let Some(message) = self.hears() {
            if message.contains(text) {
                return message;
            }
            heard.push(message);
        }
        panic!("{text:?} was not said, only {heard:?}");
    }

    /// What was said and not read yet.
    fn waiting(&self) -> Vec<String> {
        self.socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let all = std::iter::from_fn(|| self.hears()).collect();
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        all
    }
}

#[test]
fn process_a_server_says_when_it_is_ready_lives_and_stops() {
    let home = Home::new();
    for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["up", "--listen", "127.0.0.1:0"]] {
        let manager = Manager::new();
        let server = manager.start(home.command(arguments), "stop with Ctrl-C");
        let ready = manager.until("READY=1");
        assert!(ready.contains("STATUS=") && ready.contains("jobforge.db"), "{ready}");
        for _ in 0..3 {
            assert_eq!(manager.until("WATCHDOG"), "WATCHDOG=1");
        }
        assert_eq!(server.terminate(), 0);
        assert_eq!(manager.until("STOPPING"), "STOPPING=1\nSTATUS=stopping");
    }
}

/// A process whose database hangs is not alive, however well it answers otherwise.
#[test]
fn process_signs_of_life_end_while_the_database_hangs_and_come_back_with_it() {
    let site = Site::on_own_postgres(&ClusterOptions::default());
    let manager = Manager::new();
    let daemon = manager.start(site.home.command(&["cleanup-daemon"]), "Cleanup daemon started");
    manager.until("READY=1\nSTATUS=Cleanup daemon started");
    manager.until("WATCHDOG=1");
    let frozen = processes_of(site.cluster.as_ref().unwrap());
    frozen.iter().for_each(|pid| send("-STOP", *pid));
    let said = manager.until("no signs of life");
    assert!(said.contains("database"), "{said}");
    manager.waiting();
    // A second and a half is three signs.
    std::thread::sleep(Duration::from_millis(1500));
    let meanwhile = manager.waiting();
    frozen.iter().for_each(|pid| send("-CONT", *pid));
    assert!(!meanwhile.iter().any(|message| message == "WATCHDOG=1"), "{meanwhile:?}");
    manager.until("WATCHDOG=1");
    assert_eq!(daemon.terminate(), 0);
}

/// The server's sessions and their parent, who would make more.
fn processes_of(cluster: &Cluster) -> Vec<u32> {
    let sessions =
        cluster.psql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()").unwrap();
    let all: Vec<u32> =
        sessions.lines().filter_map(|pid| pid.parse().ok()).filter(|pid| lives(*pid)).collect();
    let parent = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<u32>().ok()
    };
    let parent = all.first().and_then(parent).unwrap();
    [parent].into_iter().chain(all).collect()
}

/// The watchdog is itself watched: the database answers, but no pass completes.
#[test]
fn process_signs_of_life_end_while_the_watchdog_completes_no_pass() {
    let site = Site::on_postgres();
    let manager = Manager::new();
    let daemon = manager.start(site.home.command(&["cleanup-daemon"]), "Cleanup daemon started");
    manager.until("WATCHDOG=1");
    site.sql("ALTER TABLE jobforge_workers RENAME TO jobforge_workers_away");
    let said = manager.until("no signs of life");
    assert!(said.contains("the watchdog completed no pass"), "{said}");
    site.sql("ALTER TABLE jobforge_workers_away RENAME TO jobforge_workers");
    manager.until("WATCHDOG=1");
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn process_a_worker_is_ready_when_it_takes_jobs_and_gives_no_sign_while_it_is_frozen() {
    for site in [Site::on_sqlite(), Site::on_postgres()] {
        for supervised in [true, false] {
            let manager = Manager::new();
            let arguments: &[&str] = if supervised { &["work"] } else { &["work", "--no-supervise"] };
            let worker = manager.start(site.home.command(arguments), "takes jobs from");
            let ready = manager.until("READY=1");
            assert!(ready.contains("takes jobs"), "{ready}");
            manager.until("WATCHDOG=1");
            if supervised {
                let pid = worker.worker_pid();
                send("-STOP", pid);
                worker.until_it_says("is stopped, by SIGSTOP");
                manager.waiting();
                std::thread::sleep(Duration::from_millis(1500));
                let meanwhile = manager.waiting();
                send("-CONT", pid);
                assert!(meanwhile.is_empty(), "{meanwhile:?}");
                manager.until("WATCHDOG=1");
            }
            assert_eq!(worker.terminate(), 0);
            manager.until("STOPPING=1");
        }
    }
}

/// Secrets that the service manager hands over are found by their names; a file that is named comes to the same.
#[test]
fn process_the_url_of_the_database_and_tokens_are_taken_from_credentials_and_files() {
    let site = Site::on_postgres();
    let url = site.home.database_url().unwrap().to_owned();
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join("jobforge_database_url"), format!("{url}\n")).unwrap();
    std::fs::write(folder.path().join("admin_token"), "an-admin-token-of-a-test-0123456789\n").unwrap();
    let serve = |name: &str, value: &Path| {
        let mut command = site.home.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env_remove("DATABASE_URL").env(name, value);
        Running::start(command, "stop with Ctrl-C")
    };
    let server = serve("CREDENTIALS_DIRECTORY", folder.path());
    let health = |headers: &[&str]| http("GET", &format!("{}/v1/jobs", server.url()), headers, None).status;
    assert_eq!(health(&[]), 401, "the token counts");
    assert_eq!(health(&["Authorization: Bearer an-admin-token-of-a-test-0123456789"]), 200);
    let database = url.rsplit('/').next().unwrap().split('?').next().unwrap();
    assert!(server.said().contains(database), "{}", server.said());
    let listen = server.url().replace("http://", "");
    assert_eq!(site.home.ok(&["health", "--listen", &listen]), "ready");
    drop(server);
    let file = folder.path().join("jobforge_database_url");
    let server = serve("DATABASE_URL_FILE", &file);
    assert!(!server.said().contains(&url), "a secret is in the log");
    drop(server);
    let mut both = site.home.command(&["db", "status"]);
    both.env("DATABASE_URL_FILE", &file);
    let refused = done(both.output().unwrap());
    assert_eq!(refused.code, 78, "{}", refused.err);
    assert!(refused.err.contains("database_url and database_url_file are both set"), "{}", refused.err);
    // A flag is stronger, for the worker of a supervisor as well.
    let mut work = site.home.command(&["work", "--database-url", &url]);
    work.env_remove("DATABASE_URL").env("DATABASE_URL_FILE", "/nowhere");
    assert_eq!(Running::start(work, "takes jobs from").terminate(), 0);
    let away = site.home.run(&["health", "--listen", &listen]);
    assert_eq!(away.code, 6, "{}", away.err);
}
