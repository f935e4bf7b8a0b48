//! The runbooks' dump, and its restore into an empty database.

use std::path::PathBuf;
use std::process::Command;

use testkit::postgres::find_binaries;

use super::fleet::Fleet;

/// Runs the block in a shell, with the fleet's server in place of the host that it names.
fn run(fleet: &Fleet, text: &str, database: &str) -> Result<String, String> {
    let url = fleet.cluster.server().url().to_owned();
    let port = url.rsplit(':').next().and_then(|rest| rest.split('/').next()).unwrap_or_default().to_owned();
    let host =
        text.split("-h ").nth(1).and_then(|rest| rest.split_whitespace().next()).ok_or("it names no host")?;
    let directory = find_binaries().map_err(|error| error.to_string())?.directory;
    let done = Command::new("sh")
        .args(["-c", &text.replace(host, "127.0.0.1")])
        .current_dir(fleet.home.path())
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", directory.display()))
        .env("PGPORT", port)
        .env("PGDATABASE", database)
        .output()
        .map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    // pg_restore ends with 1 after errors that it passed over; the caller says which may be.
    if done.status.success() || text.contains("pg_restore") { Ok(said) } else { Err(said) }
}

pub(super) fn dump(fleet: &mut Fleet, text: &str) -> Result<String, String> {
    run(fleet, text, fleet.database.name())?;
    let file =
        text.split("-f ").nth(1).and_then(|rest| rest.split_whitespace().next()).ok_or("it names no file")?;
    let path = fleet.home.path().join(file);
    let size = path.metadata().map_err(|error| error.to_string())?.len();
    fleet.dump = Some(PathBuf::from(file));
    Ok(format!("{file} has {size} bytes"))
}

/// A dump of tables contains no functions: the triggers that call them come with `db migrate`, and nothing else may be missing.
pub(super) fn restore(fleet: &mut Fleet, text: &str) -> Result<String, String> {
    if fleet.dump.is_none() {
        return Err("no block before it wrote a dump".to_owned());
    }
    let said = run(fleet, text, "postgres")?;
    let other = said.lines().find(|line| line.contains("error: ") && !line.contains("function"));
    if let Some(line) = other.filter(|line| !line.contains("warning: errors ignored")) {
        return Err(line.to_owned());
    }
    let restored = fleet.cluster.server().url().to_owned();
    let ask = |sql: &str| {
        testkit::postgres::psql(&restored, sql)
            .map(|text| text.trim().to_owned())
            .map_err(|error| format!("{error:#}"))
    };
    let count = "SELECT count(*) FROM jobforge_jobs";
    if ask(count)? != fleet.sql(count) {
        return Err(format!("{} jobs came back of {}", ask(count)?, fleet.sql(count)));
    }
    fleet.home.ok(&["db", "migrate", "--database-url", &restored]);
    let checked = fleet.home.run(&["db", "check", "--database-url", &restored]);
    if checked.code != 0 {
        return Err(checked.out);
    }
    let claimed = ask("SELECT count(*) FROM jobforge_claim_jobs('worker-0000d0e5', 5, ARRAY['nobody'])")?;
    if claimed != "5" {
        return Err(format!("the restored queue gives {claimed} of 5 jobs"));
    }
    Ok("after `jobforge db migrate` the restored queue runs on".to_owned())
}
