//! Running the program and waiting for what it does.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_jobforge");

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A directory of its own with the program's data in it.
pub(crate) struct Home {
    directory: TempDir,
    database_url: Option<String>,
}

/// What a command gave.
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { directory: TempDir::new().unwrap(), database_url: None }
    }

    pub(crate) fn on_postgres(url: &str) -> Self {
        Self { database_url: Some(url.to_owned()), ..Self::new() }
    }

    /// `None` on SQLite.
    pub(crate) fn database_url(&self) -> Option<&str> {
        self.database_url.as_deref()
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.path().join("data")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments);
        self.at_home(command)
    }

    /// Another program, in the same place.
    pub(crate) fn other(&self, program: &str) -> Command {
        self.at_home(Command::new(program))
    }

    /// The directory that `jobforge` is in.
    pub(crate) fn programs() -> &'static Path {
        Path::new(PROGRAM).parent().unwrap()
    }

    /// The program in the place of a shell that has done something first.
    pub(crate) fn command_after(&self, preparation: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{preparation}; exec \"$0\" \"$@\""), PROGRAM]).args(arguments);
        self.at_home(command)
    }

    fn at_home(&self, mut command: Command) -> Command {
        command.current_dir(self.path()).stdin(Stdio::null());
        // What the developer's shell has set must not decide.
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("JOBFORGE_DATA_DIR", self.data_dir());
        if let Some(url) = &self.database_url {
            command.env("DATABASE_URL", url);
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        done(self.command(arguments).output().unwrap())
    }

    /// Runs a command that must succeed and returns its output without the last newline.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments);
        assert_eq!(done.code, 0, "{arguments:?}: {}", done.err);
        done.out.trim_end().to_owned()
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let mut with_json = arguments.to_vec();
        with_json.push("--json");
        serde_json::from_str(&self.ok(&with_json)).unwrap()
    }

    pub(crate) fn start(&self, arguments: &[&str], ready: &str) -> Running {
        Running::start(self.command(arguments), ready)
    }

    /// `up` on a port of its own.
    pub(crate) fn up(&self) -> Running {
        self.start(&["up", "--listen", "127.0.0.1:0"], "stop with Ctrl-C")
    }

    /// Asks again and again until a job has the status, and returns it.
    pub(crate) fn until(&self, id: &str, status: &str) -> Value {
        let tries = PATIENCE.as_millis() / 50;
        let mut last = Value::Null;
        for _ in 0..tries {
            last = self.json(&["job", "show", id]);
            if last["status"] == status {
                return last;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("job {id} is not {status}: {last:#}");
    }
}

/// Asks again and again until it is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..PATIENCE.as_millis() / 20 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("it did not happen: {what}");
}

/// What an HTTP call gave.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) etag: Option<String>,
    pub(crate) body: Value,
}

/// Asks a server by curl; a body makes it JSON.
pub(crate) fn http(method: &str, url: &str, headers: &[&str], body: Option<&Value>) -> Answer {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "-i", "-X", method, "--max-time", "30", url]);
    for header in headers {
        curl.args(["-H", header]);
    }
    if let Some(body) = body {
        curl.args(["-H", "Content-Type: application/json", "-d", &body.to_string()]);
    }
    let ran = done(curl.output().unwrap());
    let (head, body) = ran.out.split_once("\r\n\r\n").unwrap_or((&ran.out, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let etag =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("etag: ").map(str::to_owned));
    Answer { status, etag, body: serde_json::from_str(body).unwrap_or_else(|_| Value::from(body)) }
}

pub(crate) fn done(output: Output) -> Done {
    Done {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A program that runs until it is told otherwise, or dropped.
pub(crate) struct Running {
    child: Child,
    // Kept, so that the program never writes into a closed pipe.
    lines: mpsc::Receiver<String>,
    said: Arc<Mutex<String>>,
    greeting: String,
}

impl Running {
    /// Starts a server or worker and waits until it says that it is up.
    pub(crate) fn start(mut command: Command, ready: &str) -> Self {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let (told, lines) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let said = Arc::new(Mutex::new(String::new()));
        let keeper = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let mut kept = keeper.lock().unwrap();
                kept.push_str(&line);
                kept.push('\n');
                let _ = told.send(line);
            }
        });
        let mut seen = Vec::new();
        while !seen.last().is_some_and(|line: &String| line.contains(ready)) {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) => seen.push(line),
                Err(_) => panic!("{command:?} did not say {ready:?}:\n{}", seen.join("\n")),
            }
        }
        let greeting = seen.pop().unwrap_or_default();
        Self { child, lines, said, greeting }
    }

    /// The URL that it named when it was up.
    pub(crate) fn url(&self) -> String {
        let at = self.greeting.find("http://").unwrap_or_else(|| panic!("{} names no URL", self.greeting));
        let end = |character: char| character == ';' || character == '"' || character.is_whitespace();
        self.greeting[at..].split(end).next().unwrap_or_default().to_owned()
    }

    /// Its log so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// The URL of the server that `up` named on its way up.
    pub(crate) fn told_url(&self) -> String {
        let said = self.said();
        let url = said.split_once("Listening on ").unwrap().1;
        url.split(['"', ' ', '\n']).next().unwrap_or_default().to_owned()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The worker process that this supervisor has started.
    pub(crate) fn worker_pid(&self) -> u32 {
        let mut worker = None;
        eventually("there is a worker process", || {
            let found = Command::new("pgrep").args(["-P", &self.pid().to_string()]).output().unwrap();
            worker = String::from_utf8(found.stdout).unwrap().trim().parse().ok();
            worker.is_some()
        });
        worker.unwrap()
    }

    /// Waits until a line of its log contains the text.
    pub(crate) fn until_it_says(&self, text: &str) {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return,
                Ok(_) => {}
                Err(_) => panic!("it did not say {text:?}"),
            }
        }
    }

    /// kill -9.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; returns the exit code.
    pub(crate) fn terminate(mut self) -> i32 {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
