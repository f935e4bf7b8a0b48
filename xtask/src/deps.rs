//! The programs that the tests need beside the Rust toolchain.

use std::path::Path;

use anyhow::{Context, Result, bail};
use nix::unistd::geteuid;
use testkit::postgres::find_binaries;

use crate::{command, run, succeeds};

/// One program, and the Debian package that brings it.
struct Need {
    program: &'static str,
    package: &'static str,
    is_there: fn(&Need) -> bool,
}

const NEEDS: [Need; 15] = [
    Need { program: "the PostgreSQL server", package: "postgresql", is_there: |_| find_binaries().is_ok() },
    Need { program: "psql", package: "postgresql-client", is_there: in_path },
    Need { program: "pgbouncer", package: "pgbouncer", is_there: in_path },
    Need { program: "ffmpeg", package: "ffmpeg", is_there: in_path },
    Need { program: "jq", package: "jq", is_there: in_path },
    Need { program: "promtool", package: "prometheus", is_there: in_path },
    Need { program: "prometheus", package: "prometheus", is_there: in_path },
    Need { program: "amtool", package: "prometheus-alertmanager", is_there: in_path },
    // The terminal that `jobforge top` is looked at in.
    Need { program: "tmux", package: "tmux", is_there: in_path },
    Need { program: "curl", package: "curl", is_there: in_path },
    // A host whose clock is wrong.
    Need { program: "faketime", package: "faketime", is_there: in_path },
    // Its units are checked and enabled offline.
    Need { program: "systemd-analyze", package: "systemd", is_there: in_path },
    // Looks at the dashboard.
    Need { program: "chromium", package: "chromium", is_there: in_path },
    // For the schemas that `deploy/check` installs.
    Need { program: "npm", package: "npm", is_there: in_path },
    // For schemathesis and the tools of `deploy/check`, which are installed from Python's package index.
    Need { program: "python3 with venv", package: "python3-venv", is_there: |_| makes_venvs() },
];

/// Debian installs servers here, and leaves the folder out of an ordinary user's PATH.
const SYSTEM_DIRECTORY: &str = "/usr/sbin";

/// Installs packages, of which Debian would start the services: a database, a Prometheus. The tests start their own, and
/// a machine that has a policy about that keeps it.
const INSTALL: &str = r#"
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  trap 'rm -f $policy' EXIT
  printf '#!/bin/sh\nexit 101\n' > $policy && chmod 755 $policy
fi
apt-get install -y --no-install-recommends "$@"
"#;

/// Exits with 0 on a version that the TypeScript SDK is for. Debian 12 has an older one.
const NODE_IS_NEW_ENOUGH: &str = "const [major, minor] = process.versions.node.split('.').map(Number);
process.exit(major > 20 || (major === 20 && minor >= 9) ? 0 : 1)";

/// Installs what is missing.
///
/// Fails with the commands to type where that takes a password, a package manager other than Debian's, or a newer Node.js
/// than Debian's.
pub(crate) fn install() -> Result<()> {
    install_packages()?;
    if succeeds("node", &["--eval", NODE_IS_NEW_ENOUGH]) {
        return Ok(());
    }
    bail!(
        "failed to find Node.js 20.9 or later, which the SDK for TypeScript is for\n\
         hint: npm install --global n && n 20, or install it from https://nodejs.org"
    )
}

fn install_packages() -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        println!("everything is there: {}", NEEDS.map(|need| need.program).join(", "));
        return Ok(());
    }
    let programs: Vec<_> = missing.iter().map(|need| need.program).collect();
    let packages: Vec<_> = missing.iter().map(|need| need.package).collect();
    println!("missing: {}", programs.join(", "));
    if !succeeds("apt-get", &["--version"]) {
        bail!(
            "failed to find apt-get\nhint: install {} with this system's package manager",
            programs.join(", ")
        );
    }
    let sudo: &[&str] = match (geteuid().is_root(), succeeds("sudo", &["-n", "true"])) {
        (true, _) => &[],
        (false, true) => &["sudo", "-n"],
        (false, false) => bail!(
            "failed to install packages without a password\n\
             hint: sudo apt-get update && sudo apt-get install -y {}",
            packages.join(" ")
        ),
    };
    as_root(sudo, &["apt-get", "update"])?;
    as_root(sudo, &[&["sh", "-c", INSTALL, "sh"], &packages[..]].concat())?;
    match self::missing().first() {
        Some(need) => bail!("failed to find {} although package {} is installed", need.program, need.package),
        None => Ok(()),
    }
}

fn missing() -> Vec<&'static Need> {
    const { &NEEDS }.iter().filter(|need| !(need.is_there)(need)).collect()
}

/// `env` because sudo drops the variable that keeps apt-get from asking questions.
fn as_root(sudo: &[&str], line: &[&str]) -> Result<()> {
    let words = [sudo, &["env", "DEBIAN_FRONTEND=noninteractive"], line].concat();
    let (program, arguments) = words.split_first().context("an empty command")?;
    run(&mut command(program, arguments))
}

fn makes_venvs() -> bool {
    succeeds("python3", &["-c", "import ensurepip, venv"])
}

fn in_path(need: &Need) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([Path::new(SYSTEM_DIRECTORY).to_path_buf()])
        .any(|directory| directory.join(need.program).is_file())
}
