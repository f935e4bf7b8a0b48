//! Evidence that the kernel killed for want of memory.

use std::fs;
use std::path::{Path, PathBuf};

/// How often the kernel has killed in this process's control group; `None` where it does not say.
pub fn kernel_kills() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    counter_files(&groups, Path::new("/sys/fs/cgroup"))
        .into_iter()
        .find_map(|file| counter(&fs::read_to_string(file).ok()?))
}

/// Where the counter may be, best first: version 2, version 1, then the same as a container sees its own root.
fn counter_files(groups: &str, root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let path = path.trim_start_matches('/');
        if controllers.is_empty() {
            files.push(root.join(path).join("memory.events"));
        } else if controllers.split(',').any(|name| name == "memory") {
            files.push(root.join("memory").join(path).join("memory.oom_control"));
        }
    }
    files.push(root.join("memory.events"));
    files.push(root.join("memory/memory.oom_control"));
    files
}

/// Both versions write the count as a line `oom_kill <n>`.
fn counter(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_read_from_either_version_of_control_groups() {
        assert_eq!(counter("low 0\nhigh 0\nmax 3\noom 2\noom_kill 1\noom_group_kill 0\n"), Some(1));
        assert_eq!(counter("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"), Some(7));
        assert_eq!(counter("oom_kill_disable 0\n"), None);
    }

    #[test]
    fn the_files_follow_the_process_and_fall_back_to_the_root() {
        let root = Path::new("/sys/fs/cgroup");
        let files = counter_files("4:memory:/a/b\n1:cpu:/\n0::/c\n", root);
        assert_eq!(files[0], root.join("memory/a/b/memory.oom_control"));
        assert_eq!(files[1], root.join("c/memory.events"));
        assert_eq!(files.len(), 4);
    }
}
