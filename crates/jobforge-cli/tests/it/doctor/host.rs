//! A disk that fills.

use super::apart::{beside, serve_on_a_disk};
use super::{DOCTOR, says, until_healthy_by, until_only_by};
use crate::program::Home;

#[test]
fn process_a_disk_that_fills_is_found_before_it_is_full_and_when_it_is() {
    let home = Home::new();
    std::fs::write(home.path().join("jobforge.toml"), "exec_allow = \"*\"\n").unwrap();
    let server = serve_on_a_disk(&home, 300);
    let program = Home::programs().join("jobforge").display().to_string();
    let doctor = || beside(&home, &server, &[&[program.as_str()], &DOCTOR[..]].concat());
    let data = home.data_dir().display().to_string();
    let low = until_only_by(&home, &doctor, "host.disk");
    assert_eq!(low["severity"], "warning", "{low:#}");
    says(&low, "what", "MiB of 300 MiB are free");
    let fill = |mib: &str| {
        let file = format!("of={data}/filler");
        beside(&home, &server, &["dd", "if=/dev/zero", &file, "bs=1M", &format!("count={mib}")])
    };
    assert_eq!(fill("260").code, 0);
    let nearly = until_only_by(&home, &doctor, "host.disk");
    assert_eq!(nearly["severity"], "error", "{nearly:#}");
    assert_ne!(fill("1000").code, 0, "it is not full");
    let full = until_only_by(&home, &doctor, "host.disk");
    says(&full, "what", "0 MiB of 300 MiB are free");
    let grown = beside(&home, &server, &["mount", "-o", "remount,size=2g", &data]);
    assert_eq!(grown.code, 0, "{}", grown.err);
    until_healthy_by(&doctor);
}
