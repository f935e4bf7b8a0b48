//! What a job's program reports: kept point by point, attempt by attempt, and shown.

use serde_json::Value;

use crate::program::eventually;
use crate::site::Site;

#[test]
fn process_what_a_program_reports_is_shown_of_each_attempt_on_sqlite() {
    is_kept_and_shown(&Site::on_sqlite().with_a_long_lease());
}

#[test]
fn process_what_a_program_reports_is_shown_of_each_attempt_on_postgres() {
    is_kept_and_shown(&Site::on_postgres().with_a_long_lease());
}

fn is_kept_and_shown(site: &Site) {
    let home = &site.home;
    let work = site.work(&[]);
    let first = "echo ::phase fetch; echo ::progress 10 page 1; until [ -e go ]; do sleep 0.05; done; \
                 echo ::phase encode; echo ::progress 60 frame 12; exit 1";
    let id = site.enqueue(first, "echo ::progress 100 all of it");
    let points =
        |attempt: usize| home.json(&["job", "show", &id])["attempts_made"][attempt]["progress"].clone();
    eventually("it reports", || points(0)[0]["percent"] == 10);
    std::fs::write(home.path().join("go"), "").unwrap();
    home.until(&id, "succeeded");
    let point = |value: &Value| {
        (value["phase"].as_str().map(str::to_owned), value["percent"].as_u64(), value["message"].clone())
    };
    let told = points(0);
    let last = told.as_array().unwrap().last().unwrap();
    assert_eq!(point(&told[0]), (Some("fetch".to_owned()), Some(10), "page 1".into()), "{told}");
    assert_eq!(point(last), (Some("encode".to_owned()), Some(60), "frame 12".into()), "{told}");
    assert_eq!(point(&points(1)[0]), (None, Some(100), "all of it".into()), "the second begins anew");
    let shown = home.ok(&["job", "show", &id]);
    for line in ["REPORTED", "10 %  fetch   page 1", "60 %  encode  frame 12", "100 %          all of it"] {
        assert!(shown.contains(line), "{line} is not in {shown}");
    }
    assert_eq!(home.run(&["db", "check"]).code, 0);
    assert_eq!(work.terminate(), 0);
}
