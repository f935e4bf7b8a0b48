//! What the jobs of a test really did, and whether the database tells the same story.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::program::eventually;
use crate::site::Site;

/// Jobs whose programs write down when they begin and when their work is done, each time with the fence they ran under.
pub(crate) struct Ledger {
    file: PathBuf,
    jobs: usize,
}

/// What became of the jobs, after everything was found to add up.
pub(crate) struct Settled {
    pub(crate) jobs: Vec<Value>,
    /// Effects beyond one a job: the work of attempts that were lost after it was done and before it was reported.
    pub(crate) repeated: usize,
}

#[derive(Default)]
struct Effects {
    begun: Vec<i64>,
    done: Vec<i64>,
}

impl Ledger {
    pub(crate) fn of(site: &Site) -> Self {
        Self { file: site.home.path().join("ledger"), jobs: 0 }
    }

    /// Enqueues jobs that do this in a shell, in one batch.
    pub(crate) fn enqueue(&mut self, site: &Site, count: usize, work: &str) {
        let payload = serde_json::json!({ "argv": ["sh", "-c", self.script(work)], "grace_ms": 100 });
        let line = serde_json::json!({ "type": "exec", "payload": payload }).to_string() + "\n";
        std::fs::write(site.home.path().join("jobs.jsonl"), line.repeat(count)).unwrap();
        site.home.ok(&["job", "enqueue", "--from", "jobs.jsonl"]);
        self.jobs += count;
    }

    /// Enqueues one job that does this, with more arguments of the command; returns its id.
    pub(crate) fn enqueue_one(&mut self, site: &Site, work: &str, more: &[&str]) -> String {
        let payload = serde_json::json!({ "argv": ["sh", "-c", self.script(work)], "grace_ms": 100 });
        let payload = payload.to_string();
        let mut arguments = vec!["job", "enqueue", "exec", &payload];
        arguments.extend(more);
        self.jobs += 1;
        site.home.ok(&arguments)
    }

    /// Nothing is written as done when the work fails.
    fn script(&self, work: &str) -> String {
        let file = self.file.display();
        format!(
            "echo begun $JOB_ID $JOB_FENCE >> {file}; {{ {work}; }} && echo done $JOB_ID $JOB_FENCE >> {file}"
        )
    }

    /// How often a line of this kind was written.
    pub(crate) fn count(&self, kind: &str) -> usize {
        self.lines().iter().filter(|(word, ..)| word == kind).count()
    }

    pub(crate) fn until(&self, kind: &str, count: usize) {
        eventually(&format!("{count} are {kind}"), || self.count(kind) >= count);
    }

    /// Waits until every job has ended, and checks that the ledger and the database tell the same: no job is missing or
    /// there twice, no fence was used twice or out of turn, a job succeeded at most once and only with its work done, and
    /// no program ran that no attempt knows of.
    pub(crate) fn settle(&self, site: &Site) -> Settled {
        let mut listed = Vec::new();
        eventually("all jobs have ended", || {
            let shown = site.home.json(&["job", "list", "--limit", "1000"]);
            listed = shown["jobs"].as_array().unwrap().clone();
            listed.iter().all(|job| !matches!(job["status"].as_str(), Some("queued" | "running")))
        });
        assert_eq!(listed.len(), self.jobs, "every job is there once");
        let mut effects = self.effects();
        let jobs: Vec<Value> =
            listed.iter().map(|job| site.home.json(&["job", "show", job["id"].as_str().unwrap()])).collect();
        let mut repeated = 0;
        for job in &jobs {
            let did = effects.remove(job["id"].as_str().unwrap()).unwrap_or_default();
            check(job, &did);
            repeated += did.done.len().saturating_sub(1);
        }
        assert!(effects.is_empty(), "a job did something that nobody enqueued: {:?}", effects.keys());
        let check = site.home.run(&["db", "check"]);
        assert_eq!(check.code, 0, "{}{}", check.out, check.err);
        Settled { jobs, repeated }
    }

    fn effects(&self) -> BTreeMap<String, Effects> {
        let mut effects: BTreeMap<String, Effects> = BTreeMap::new();
        for (kind, id, fence) in self.lines() {
            let did = effects.entry(id).or_default();
            match kind.as_str() {
                "begun" => did.begun.push(fence),
                "done" => did.done.push(fence),
                other => panic!("the ledger says {other:?}"),
            }
        }
        effects
    }

    fn lines(&self) -> Vec<(String, String, i64)> {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        // The last line may be on its way.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let line = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            let [kind, id, fence] = words[..] else { panic!("the ledger says {line:?}") };
            (kind.to_owned(), id.to_owned(), fence.parse().unwrap())
        };
        whole.lines().map(line).collect()
    }
}

impl Settled {
    /// All jobs succeeded, each at its first attempt, and nothing was done twice.
    pub(crate) fn undisturbed(&self) {
        self.succeeded();
        for job in &self.jobs {
            assert_eq!((&job["attempts"], &job["lease"]), (&1.into(), &1.into()), "{job:#}");
        }
        assert_eq!(self.repeated, 0);
    }

    /// All jobs succeeded, after however many attempts.
    pub(crate) fn succeeded(&self) {
        for job in &self.jobs {
            assert_eq!(job["status"], "succeeded", "{job:#}");
        }
    }

    /// Attempts that ended so.
    pub(crate) fn attempts(&self, outcome: &str) -> usize {
        let attempts = |job: &Value| job["attempts_made"].as_array().unwrap().clone();
        self.jobs.iter().flat_map(attempts).filter(|attempt| attempt["outcome"] == outcome).count()
    }
}

fn check(job: &Value, did: &Effects) {
    let story = || format!("begun under {:?}, done under {:?}: {job:#}", did.begun, did.done);
    let in_turn = |fences: &[i64]| fences.windows(2).all(|pair| pair[0] < pair[1]);
    assert!(in_turn(&did.begun) && in_turn(&did.done), "a fence twice or out of turn: {}", story());
    let attempts = job["attempts_made"].as_array().unwrap();
    let fences: Vec<i64> = attempts.iter().map(|attempt| attempt["lease"].as_i64().unwrap()).collect();
    assert!(in_turn(&fences), "{}", story());
    assert!(did.begun.iter().all(|fence| fences.contains(fence)), "unknown to the database: {}", story());
    assert!(did.done.iter().all(|fence| did.begun.contains(fence)), "{}", story());
    let won: Vec<i64> = attempts
        .iter()
        .filter(|attempt| attempt["outcome"] == "succeeded")
        .map(|attempt| attempt["lease"].as_i64().unwrap())
        .collect();
    if job["status"] == "succeeded" {
        assert_eq!(won.len(), 1, "{}", story());
        assert_eq!(did.done.last(), won.last(), "{}", story());
    } else {
        assert_eq!(won.len(), 0, "{}", story());
    }
}
