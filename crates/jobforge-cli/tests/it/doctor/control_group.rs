//! A control group of a test's own, in which memory ends soon.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jobforge::clock;

/// Where a kernel shows its control groups.
const ROOT: &str = "/sys/fs/cgroup";
/// How long processes may take to leave it.
const EMPTY_WITHIN: Duration = Duration::from_secs(20);

pub(super) struct ControlGroup {
    path: PathBuf,
}

impl ControlGroup {
    /// Makes one below, or beside, the one that this test is in. The error says why there can be none, as in a container that
    /// may not.
    pub(super) fn of_mib(mib: u64) -> Result<Self, String> {
        let groups = fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
        let mut parent = Err(format!("no group has the controller of memory: {groups}"));
        for line in groups.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
            let path = path.trim_start_matches('/');
            if controllers.split(',').any(|name| name == "memory") {
                parent = Ok((1, Path::new(ROOT).join("memory").join(path)));
            } else if let (true, true, Some(place)) =
                (controllers.is_empty(), parent.is_err(), handing_on(path))
            {
                parent = Ok((2, place));
            }
        }
        let (version, parent) = parent?;
        let group = Self { path: parent.join(format!("jobforge-test-{}", uuid::Uuid::new_v4().simple())) };
        let failed = |error: std::io::Error| format!("{}: {error}", group.path.display());
        fs::create_dir(&group.path).map_err(failed)?;
        let bytes = (mib << 20).to_string();
        if version == 1 {
            fs::write(group.path.join("memory.limit_in_bytes"), bytes).map_err(failed)?;
        } else {
            fs::write(group.path.join("memory.max"), bytes).map_err(failed)?;
            // There is none where the kernel does not swap.
            let _ = fs::write(group.path.join("memory.swap.max"), "0");
        }
        Ok(group)
    }

    /// What a shell types to be in it, with all that it starts.
    pub(super) fn enter(&self) -> String {
        format!("echo $$ > {}/cgroup.procs", self.path.display())
    }
}

/// The nearest group of version 2 whose children may have the controller of memory.
fn handing_on(path: &str) -> Option<PathBuf> {
    let own = Path::new(ROOT).join(path);
    let hands_on = |group: &&Path| {
        let handed = fs::read_to_string(group.join("cgroup.subtree_control")).unwrap_or_default();
        handed.split_whitespace().any(|name| name == "memory")
    };
    own.ancestors().take_while(|group| group.starts_with(ROOT)).find(hands_on).map(Path::to_owned)
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        let deadline = clock::monotonic() + EMPTY_WITHIN;
        while fs::remove_dir(&self.path).is_err() && clock::monotonic() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
