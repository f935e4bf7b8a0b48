//! A host whose clock is wrong.

use super::{DOCTOR, by_way_of, says, until_healthy, until_only_by};
use crate::program::done;
use crate::site::Site;

#[test]
fn process_a_clock_that_differs_from_the_databases_is_found_in_either_direction() {
    let site = Site::on_postgres();
    let _server = site.watchdog();
    let _work = site.work(&[]);
    until_healthy(&site.home);
    for (offset, word) in [("+90s", "ahead of"), ("-90s", "behind")] {
        let doctor = || done(by_way_of(&site.home, &["faketime", "-f", offset], &DOCTOR).output().unwrap());
        let clock = until_only_by(&site.home, &doctor, "host.clock");
        says(&clock, "what", &format!("{word} the database's"));
        assert_eq!(clock["severity"], "warning");
    }
    until_healthy(&site.home);
}
