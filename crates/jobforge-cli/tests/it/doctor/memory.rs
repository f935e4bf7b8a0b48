//! Want of memory: of a program under a limit of its own, of a program and of a whole worker in a control group.

#![expect(clippy::print_stderr, reason = "a machine on which less can be shown says so")]

use serde_json::json;

use super::control_group::ControlGroup;
use super::{discard, enqueue, mend, says, script, until_healthy, until_only};
use crate::program::Running;
use crate::site::{Site, outcomes, pid_in, why_lost};

/// Enough for a supervisor and its worker, and not for a program that eats.
const MIB: u64 = 256;
/// Reads what has no end into memory.
const EATS: &str = "tail /dev/zero";

on_each_engine!(
    process_a_program_over_its_own_memory_limit_is_told_of_as_want_of_memory,
    process_a_program_that_the_kernel_kills_for_want_of_memory_is_told_of_with_its_count,
);

fn process_a_program_over_its_own_memory_limit_is_told_of_as_want_of_memory(site: &Site) {
    let _server = site.watchdog();
    let _work = site.work(&[]);
    let mut payload = script(site, &format!("test -e enough || {EATS}"));
    payload["memory_mb"] = json!(64);
    site.home.ok(&["job", "enqueue", "exec", &payload.to_string(), "--max-attempts", "1"]);
    let found = until_only(&site.home, "jobs.out_of_memory");
    says(&found, "because", "memory_mb 64");
    std::fs::write(site.home.path().join("enough"), "").unwrap();
    mend(&site.home, &found, "jobforge dead retry");
    until_healthy(&site.home);
}

/// `None` where there can be none, which is said: then only a program's own limit shows want of memory.
fn control_group() -> Option<ControlGroup> {
    let made = ControlGroup::of_mib(MIB);
    if let Err(why) = &made {
        eprintln!("No control group can be made here, so a program has a limit instead: {why}");
    }
    made.ok()
}

fn work_in(group: &ControlGroup, site: &Site) -> Running {
    let work = ["work", "--config", "jobforge.toml"];
    Running::start(site.home.command_after(&group.enter(), &work), "takes jobs from")
}

fn process_a_program_that_the_kernel_kills_for_want_of_memory_is_told_of_with_its_count(site: &Site) {
    // Dropped last, when everybody has left it.
    let Some(group) = control_group() else {
        return process_a_program_over_its_own_memory_limit_is_told_of_as_want_of_memory(site);
    };
    let _server = site.watchdog();
    let _work = work_in(&group, site);
    let eats = enqueue(site, EATS, &["--max-attempts", "1"]);
    site.home.until(&eats, "dead");
    let program = until_only(&site.home, "jobs.out_of_memory");
    says(&program, "what", "1 job ran out of memory: 1 dead");
    says(&program, "because", "the kernel killed");
    discard(&site.home);
    until_healthy(&site.home);
}

// On SQLite the server sees the process end, too, and on a slow machine before the supervisor has told why.
#[test]
fn process_a_worker_that_the_kernel_kills_for_want_of_memory_is_told_of_with_its_count() {
    let site = Site::on_postgres();
    let Some(group) = control_group() else {
        return process_a_program_over_its_own_memory_limit_is_told_of_as_want_of_memory(&site);
    };
    let _server = site.watchdog();
    let work = work_in(&group, &site);
    // The kernel takes the worker first, and its program last.
    let worker = work.worker_pid();
    std::fs::write(format!("/proc/{worker}/oom_score_adj"), "1000").unwrap();
    let id = site.enqueue(&format!("echo 0 > /proc/self/oom_score_adj; echo $$ > pid; {EATS}"), "true");
    pid_in(&site.home.path().join("pid"));
    let ended = site.home.until(&id, "succeeded");
    assert_eq!(outcomes(&ended), ["lost", "succeeded"], "{ended:#}");
    assert!(why_lost(&ended).contains("out of memory"), "{}", why_lost(&ended));
    let whole = until_only(&site.home, "jobs.out_of_memory");
    says(&whole, "what", "1 worker was killed for want of memory");
    says(&whole, "because", "the kernel counted a kill");
}
