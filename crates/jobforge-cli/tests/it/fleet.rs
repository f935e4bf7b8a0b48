//! A mixed fleet: Rust, Python and TypeScript workers on the same jobs, while workers and the server die.

#![expect(clippy::print_stderr, reason = "what happened, and the seed that makes it happen again")]

mod diary;
mod member;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jobforge::clock;
use serde_json::{Value, json};
use testkit::history::Random;

use self::diary::Diary;
use self::member::{Language, Member, Place};
use crate::program::{eventually, http};
use crate::site::{Site, lives, send};

const SETTINGS: &str = "worker_lease_ms = 4000\nheartbeat_max_misses = 50\nexec_allow = \"*\"\n\
                        shutdown_grace_ms = 10000\nslots = 4\nhttp_requests_per_second = 0\n";
/// Longer than the lease.
const FROZEN: Duration = Duration::from_millis(4500);
const LANGUAGES: [Language; 3] = [Language::Rust, Language::Python, Language::TypeScript];
const WORKERS: usize = 6;
const JOBS_AT_FIRST: usize = 100;
const JOBS_AT_ONCE: usize = 12;
/// How often more jobs are enqueued until a worker that is just up has some.
const REFILLS: usize = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Kill,
    Freeze,
    Terminate,
}

#[test]
fn process_a_fleet_of_three_languages_survives_random_kills_with_nothing_lost_on_sqlite() {
    survives(Site::on_sqlite());
}

#[test]
fn process_a_fleet_of_three_languages_survives_random_kills_with_nothing_lost_on_postgres() {
    let mut site = Site::on_postgres();
    site.start_server();
    survives(site);
}

/// What happens to the fleet: each kind of event to each language, in an order that the seed decides.
fn events(random: &mut Random) -> Vec<(Language, Event)> {
    let kinds = [Event::Kill, Event::Kill, Event::Freeze, Event::Terminate];
    let mut events: Vec<_> =
        LANGUAGES.iter().flat_map(|language| kinds.map(|event| (*language, event))).collect();
    for last in (1..events.len()).rev() {
        events.swap(last, random.below(last as u64 + 1) as usize);
    }
    events
}

/// The fleet with its server and its jobs.
struct Scene {
    site: Site,
    url: String,
    place: Place,
    diary: Diary,
    random: Random,
    enqueued: usize,
    /// Those that run.
    members: Vec<Member>,
    frozen: Vec<(Member, Instant)>,
}

impl Scene {
    fn set(mut site: Site, seed: u64) -> Self {
        let url = site.url(None);
        let token = site.home.ok(&["token", "create", "fleet", "--scope", "worker,read"]);
        // The server did not know these settings.
        std::fs::write(site.home.path().join("jobforge.toml"), SETTINGS).unwrap();
        site.kill_server();
        site.start_server_at(&url);
        let place = Place::prepare(&site, &url, &token);
        let diary = Diary::at(site.home.path().join("diary"));
        let start = |number| Member::start(&site, &place, LANGUAGES[number % LANGUAGES.len()], number);
        let members = (0..WORKERS).map(start).collect();
        let (random, frozen) = (Random::new(seed), Vec::new());
        Self { site, url, place, diary, random, enqueued: 0, members, frozen }
    }

    fn enqueue(&mut self, count: usize) {
        let jobs: String = (0..count).map(|_| self.diary.job(self.random.below(80) as f64 / 100.0)).collect();
        std::fs::write(self.site.home.path().join("jobs.jsonl"), jobs).unwrap();
        self.site.home.ok(&["job", "enqueue", "--from", "jobs.jsonl"]);
        self.enqueued += count;
    }

    /// A worker of this language that has begun something and not ended it, taken out of the fleet.
    fn busy(&mut self, language: Language) -> Member {
        let number = self.random.below((WORKERS / LANGUAGES.len()) as u64) as usize;
        for _ in 0..REFILLS {
            self.thaw();
            let (site, place) = (&self.site, &self.place);
            self.members = std::mem::take(&mut self.members)
                .into_iter()
                .map(|member| member.tend(site, place))
                .collect();
            let of_language: Vec<usize> =
                (0..self.members.len()).filter(|at| self.members[*at].language == language).collect();
            let at = of_language[number % of_language.len()];
            if self.diary.unfinished(self.members[at].pid()) > 0 {
                return self.members.swap_remove(at);
            }
            self.enqueue(JOBS_AT_ONCE);
            std::thread::sleep(Duration::from_millis(100 + self.random.below(300)));
        }
        panic!("no {language:?} worker takes jobs");
    }

    fn happens(&mut self, language: Language, event: Event) {
        let member = self.busy(language);
        let (site, place) = (&self.site, &self.place);
        match event {
            Event::Kill => {
                self.diary.still(member.pid());
                self.members.push(member.kill(site, place));
            }
            Event::Freeze => {
                self.diary.still(member.pid());
                send("-STOP", member.pid());
                self.frozen.push((member, clock::monotonic()));
            }
            Event::Terminate => self.members.push(member.replace(site, place)),
        }
    }

    /// Lets those go on that have lost their lease and whose jobs others have begun.
    fn thaw(&mut self) {
        let over = |(member, since): &(Member, Instant)| {
            clock::monotonic().duration_since(*since) > FROZEN && self.diary.unfinished(member.pid()) == 0
        };
        let (thawed, frozen) = std::mem::take(&mut self.frozen).into_iter().partition(over);
        self.frozen = frozen;
        for (member, _) in thawed {
            // A supervisor may have lost patience with it.
            if lives(member.pid()) {
                send("-CONT", member.pid());
            }
            self.members.push(member);
        }
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let authorization = self.place.authorization();
        let answer = http(method, &format!("{}{path}", self.url), &[&authorization], body);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    /// Every job, once all have ended.
    fn ended(&self) -> Vec<Value> {
        let mut listed = Vec::new();
        eventually("all jobs have ended", || {
            let all = self.site.home.json(&["job", "list", "--limit", "1000"]);
            listed = all["jobs"].as_array().unwrap().clone();
            listed.iter().all(|job| !matches!(job["status"].as_str(), Some("queued" | "running")))
        });
        assert_eq!(listed.len(), self.enqueued, "every job is there once");
        listed
    }

    /// The jobs with their attempts.
    fn shown(&self, listed: &[Value]) -> Vec<Value> {
        let path = |job: &Value| format!("/v1/jobs/{}", job["id"].as_str().unwrap());
        listed.iter().map(|job| self.ask("GET", &path(job), None)).collect()
    }

    /// Says for every attempt whose job was taken from a worker that it has succeeded, in the name of that worker; returns
    /// how many there were. None of them is believed.
    fn late_results_are_refused(&self, jobs: &[Value]) -> usize {
        let mut late: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for job in jobs {
            for attempt in job["attempts_made"].as_array().unwrap() {
                let fence = attempt["lease"].as_i64().unwrap();
                let id = job["id"].as_str().unwrap();
                if attempt["outcome"] == "lost" && self.diary.foreign(id, fence) {
                    let result =
                        json!({ "id": id, "fence": fence, "outcome": "succeeded", "result": "late" });
                    late.entry(attempt["worker"].as_str().unwrap().to_owned()).or_default().push(result);
                }
            }
        }
        let mut refused = 0;
        for (worker, results) in late {
            let body = json!({ "worker_id": worker, "results": results });
            let answers = self.ask("POST", "/v1/worker/results", Some(&body));
            for answer in answers["results"].as_array().unwrap() {
                assert_eq!((&answer["answer"], &answer["status"]), (&"fenced".into(), &"succeeded".into()));
                refused += 1;
            }
        }
        refused
    }
}

fn survives(site: Site) {
    let seed = seed();
    eprintln!("FLEET_SEED={seed}");
    let mut scene = Scene::set(site, seed);
    scene.enqueue(JOBS_AT_FIRST);
    let events = events(&mut scene.random);
    for (number, (language, event)) in events.iter().enumerate() {
        if number == events.len() / 2 {
            scene.site.kill_server();
            let url = scene.url.clone();
            scene.site.start_server_at(&url);
        }
        eprintln!("{event:?} {language:?}");
        scene.happens(*language, *event);
    }
    eventually("all are thawed", || {
        scene.thaw();
        scene.frozen.is_empty()
    });
    let listed = scene.ended();
    let jobs = scene.shown(&listed);
    let tale = scene.diary.check(&jobs);
    let refused = scene.late_results_are_refused(&jobs);
    let count = jobs.len();
    eprintln!("{count} jobs, {tale:?}, {refused} late results refused");
    let languages: Vec<&str> = tale.languages.keys().map(String::as_str).collect();
    assert_eq!(languages, ["python", "rust", "typescript"], "{tale:?}");
    // A frozen handler that blocks goes on when it wakes, whatever others have done meanwhile.
    assert!(tale.late > 0 && tale.overtaken >= tale.late && refused > 0, "{tale:?}, {refused}");
    assert_eq!(scene.ended(), listed, "late words have changed a job");
    let members = std::mem::take(&mut scene.members);
    for member in members {
        let member = member.tend(&scene.site, &scene.place);
        assert_eq!(member.terminate(), 0);
    }
    let check = scene.site.home.run(&["db", "check"]);
    assert_eq!(check.code, 0, "{}{}", check.out, check.err);
}

/// Another one each time, unless it is given.
#[expect(clippy::disallowed_methods, reason = "repeats a run; no setting of the product")]
fn seed() -> u64 {
    std::env::var("FLEET_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(u64::from(std::process::id()))
}
