//! What the workers of a mixed fleet did and what was done to them, in the order in which it was written down.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// What a job does as a program; the handlers in the other languages write the same lines.
const SCRIPT: &str = "echo begun $JOB_ID $JOB_FENCE $PPID rust >> \"$0\"; sleep \"$1\"; \
                      echo done $JOB_ID $JOB_FENCE $PPID rust >> \"$0\"";

pub(super) struct Diary(PathBuf);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    Begun,
    Done,
    Stopped,
}

/// One attempt of one job, by what its handler wrote.
#[derive(Debug)]
struct Run {
    fence: i64,
    /// The lines at which it began and, if it has, ended.
    begun: usize,
    ended: Option<usize>,
    done: bool,
    pid: u32,
    language: String,
}

type Runs = BTreeMap<String, Vec<Run>>;

/// What the diary tells beyond what must hold.
#[derive(Debug, Default)]
pub(super) struct Tale {
    pub(super) languages: BTreeMap<String, usize>,
    /// Runs that were overtaken while their process was dead or frozen.
    pub(super) overtaken: usize,
    /// Work that was finished under a fence when a newer one had begun.
    pub(super) late: usize,
}

impl Diary {
    pub(super) fn at(file: PathBuf) -> Self {
        Self(file)
    }

    /// A job of this length, as a line of `jobforge job enqueue --from`.
    pub(super) fn job(&self, seconds: f64) -> String {
        let file = self.0.display().to_string();
        let payload = serde_json::json!({
            "argv": ["sh", "-c", SCRIPT, file, format!("{seconds:.2}")],
            "grace_ms": 100,
        });
        serde_json::json!({ "type": "exec", "payload": payload, "max_attempts": 50 }).to_string() + "\n"
    }

    /// Writes that this process does nothing from now on, before it is so.
    pub(super) fn still(&self, pid: u32) {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.0).unwrap();
        file.write_all(format!("still - 0 {pid} -\n").as_bytes()).unwrap();
    }

    /// How many runs of this process have not ended, and were not overtaken by one under a newer fence.
    pub(super) fn unfinished(&self, pid: u32) -> usize {
        let (runs, _) = read(&self.0);
        let newest = runs.values().filter_map(|runs| runs.last());
        newest.filter(|run| run.pid == pid && run.ended.is_none()).count()
    }

    /// Whether another language than Rust ran this.
    pub(super) fn foreign(&self, id: &str, fence: i64) -> bool {
        let (runs, _) = read(&self.0);
        runs.get(id).into_iter().flatten().any(|run| run.fence == fence && run.language != "rust")
    }

    /// Holds the diary against the database's account of the same jobs.
    pub(super) fn check(&self, jobs: &[Value]) -> Tale {
        let (runs, still) = read(&self.0);
        let mut tale = Tale::default();
        let known: BTreeSet<&str> = jobs.iter().map(|job| job["id"].as_str().unwrap()).collect();
        assert!(runs.keys().all(|id| known.contains(id.as_str())), "a job ran that nobody enqueued");
        for job in jobs {
            let runs = runs.get(job["id"].as_str().unwrap()).map_or(&[][..], Vec::as_slice);
            check_story(job, runs);
            for pair in runs.windows(2) {
                let [older, newer] = pair else { unreachable!("windows of two") };
                if older.ended.is_none_or(|ended| ended > newer.begun) {
                    // What was claimed before a freeze may begin after it, and a killed worker's programs outlive it a little.
                    let until = newer.begun.max(older.begun);
                    assert!(
                        still.iter().any(|(line, pid)| *pid == older.pid && *line < until),
                        "ran on in a process that was neither killed nor frozen: {older:?}, {newer:?}, {job:#}"
                    );
                    tale.overtaken += 1;
                    tale.late += usize::from(older.done);
                }
            }
            for run in runs {
                *tale.languages.entry(run.language.clone()).or_default() += 1;
            }
        }
        tale
    }
}

/// A job succeeded once, under its last fence and with its work done there; no run is unknown to the database.
fn check_story(job: &Value, runs: &[Run]) {
    let story = || format!("{runs:#?}: {job:#}");
    assert!(runs.windows(2).all(|pair| pair[0].fence < pair[1].fence), "a fence twice: {}", story());
    let attempts = job["attempts_made"].as_array().unwrap();
    let fence = |attempt: &Value| attempt["lease"].as_i64().unwrap();
    let fences: BTreeSet<i64> = attempts.iter().map(fence).collect();
    assert!(runs.iter().all(|run| fences.contains(&run.fence)), "unknown to the database: {}", story());
    let won: Vec<i64> =
        attempts.iter().filter(|attempt| attempt["outcome"] == "succeeded").map(fence).collect();
    assert_eq!(
        (&job["status"], &won[..]),
        (&"succeeded".into(), &[*fences.last().unwrap()][..]),
        "{}",
        story()
    );
    assert!(runs.iter().any(|run| run.done && run.fence == won[0]), "not done: {}", story());
}

/// The runs of each job by their fences, and where it is written that a process was killed or frozen.
fn read(file: &Path) -> (Runs, Vec<(usize, u32)>) {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    // The last line may be on its way.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut runs = Runs::new();
    let mut still = Vec::new();
    for (at, line) in whole.lines().enumerate() {
        let words: Vec<&str> = line.split(' ').collect();
        let [word, id, fence, pid, language] = words[..] else { panic!("the diary says {line:?}") };
        let (fence, pid) = (fence.parse().unwrap(), pid.parse().unwrap());
        let said = match word {
            "still" => {
                still.push((at, pid));
                continue;
            }
            "begun" => Said::Begun,
            "done" => Said::Done,
            "stopped" => Said::Stopped,
            other => panic!("the diary says {other:?}"),
        };
        let of_job = runs.entry(id.to_owned()).or_default();
        if said == Said::Begun {
            let language = language.to_owned();
            of_job.push(Run { fence, begun: at, ended: None, done: false, pid, language });
        } else {
            let run = of_job.iter_mut().find(|run| run.fence == fence && run.pid == pid);
            let run = run.unwrap_or_else(|| panic!("ended without having begun: {line:?}"));
            assert!(run.ended.is_none(), "ended twice: {line:?}");
            (run.ended, run.done) = (Some(at), said == Said::Done);
        }
    }
    runs.values_mut().for_each(|runs| runs.sort_by_key(|run| run.fence));
    (runs, still)
}
