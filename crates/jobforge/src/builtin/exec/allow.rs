//! Which programs may be started, and which file a name stands for.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::ExecConfig;
use crate::job_error::JobError;

/// Returns the file to start for `program`.
///
/// A name is looked up in the worker's `search_path`, never in a `PATH` of the payload: else a payload could pick the
/// file behind an allowed name.
///
/// # Errors
/// Fatal `program_not_allowed`, `program_not_found` or `program_not_executable`. A program that is not allowed is
/// refused whether or not it exists, so that a payload cannot ask which files the worker has.
pub(super) fn resolve(program: &str, config: &ExecConfig, search_path: &OsStr) -> Result<PathBuf, JobError> {
    if !config.enabled {
        let text = "programs are not run by this worker; its operator turns them on and lists them with \
                    JOBFORGE_EXEC_ALLOW";
        return Err(JobError::fatal("program_not_allowed", text));
    }
    let found = locate(program, search_path);
    if !config.allows_any() {
        let allowed = found.as_deref().is_some_and(|file| {
            config.allow.iter().any(|pattern| locate(pattern, search_path).as_deref() == Some(file))
        });
        if !allowed && !config.allow.iter().any(|pattern| pattern == program) {
            let text = format!(
                "{program:?} is not on this worker's list of programs; its operator adds it with JOBFORGE_EXEC_ALLOW"
            );
            return Err(JobError::fatal("program_not_allowed", text));
        }
    }
    let Some(file) = found else {
        return Err(JobError::fatal("program_not_found", not_found(program)));
    };
    if !executable(&file) {
        let text = format!("{program:?} is not an executable file on this worker");
        return Err(JobError::fatal("program_not_executable", text));
    }
    Ok(file)
}

fn not_found(program: &str) -> String {
    let hint = if program.contains(char::is_whitespace) {
        "; no shell is involved, so arguments go into `args` one by one"
    } else if program.starts_with('/') {
        ""
    } else {
        " in its PATH"
    };
    format!("{program:?} does not exist on this worker{hint}")
}

/// Finds the file a path or bare name stands for.
///
/// Links and `..` in the folder are followed, the last component is kept as it is: behind one multi-call file
/// (busybox) there are many programs, and to allow `ls` must not allow `sh`.
fn locate(program: &str, search_path: &OsStr) -> Option<PathBuf> {
    if program.starts_with('/') {
        return settle(Path::new(program));
    }
    if program.is_empty() || program.contains('/') {
        return None;
    }
    let folders = std::env::split_paths(search_path).filter(|folder| folder.is_absolute());
    let mut candidates = folders.filter_map(|folder| settle(&folder.join(program)));
    let first = candidates.next()?;
    if executable(&first) {
        return Some(first);
    }
    // As a shell does: an executable file further on wins over a plain file before it.
    candidates.find(|file| executable(file)).or(Some(first))
}

fn settle(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?;
    let file = fs::canonicalize(path.parent()?).ok()?.join(name);
    file.exists().then_some(file)
}

fn executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Two folders: `bin` with `tool`, `multi`, `ls` -> `multi`, `sh` -> `multi`, `plain` (not executable); `link` -> `bin`.
    fn folders() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let bin = root.path().join("bin");
        fs::create_dir(&bin).unwrap();
        for (name, mode) in [("tool", 0o755), ("multi", 0o755), ("plain", 0o644)] {
            fs::write(bin.join(name), "").unwrap();
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        symlink(bin.join("multi"), bin.join("ls")).unwrap();
        symlink(bin.join("multi"), bin.join("sh")).unwrap();
        symlink(&bin, root.path().join("link")).unwrap();
        root
    }

    fn check(root: &Path, allow: &[&str], program: &str) -> Result<PathBuf, String> {
        let at_root = |text: &str| text.replace("{}", root.to_str().unwrap());
        let config = ExecConfig { enabled: true, allow: allow.iter().map(|text| at_root(text)).collect() };
        resolve(&at_root(program), &config, root.join("bin").as_os_str())
            .map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn an_allowed_program_is_found_by_every_spelling_of_its_path() {
        let root = folders();
        let file = fs::canonicalize(root.path()).unwrap().join("bin/tool");
        for allow in ["tool", "{}/bin/tool", "{}/link/tool", "*"] {
            for program in ["tool", "{}/bin/tool", "{}/link/tool", "{}/bin/../link/./tool"] {
                assert_eq!(check(root.path(), &[allow], program), Ok(file.clone()), "{allow} {program}");
            }
        }
    }

    #[test]
    fn nothing_else_is_allowed_by_it() {
        let root = folders();
        for program in
            ["sh", "multi", "{}/bin/sh", "{}/link/../bin/sh", "{}/bin/ls/../sh", "/nowhere/ls", "nope", ""]
        {
            let error = check(root.path(), &["ls", "{}/bin/tool"], program).expect_err(program);
            assert!(
                error.contains("program_not_allowed") && error.contains("JOBFORGE_EXEC_ALLOW"),
                "{error}"
            );
        }
        assert!(check(root.path(), &[], "tool").is_err());
    }

    #[test]
    fn a_missing_and_a_plain_file_are_told_apart() {
        let root = folders();
        let error = check(root.path(), &["*"], "tool --version").unwrap_err();
        assert!(error.contains("program_not_found") && error.contains("no shell"), "{error}");
        assert!(check(root.path(), &["absent"], "absent").unwrap_err().contains("program_not_found"));
        assert!(check(root.path(), &["*"], "plain").unwrap_err().contains("program_not_executable"));
        assert!(check(root.path(), &["*"], "{}/bin").unwrap_err().contains("program_not_executable"));
    }

    #[test]
    fn a_worker_that_runs_no_programs_says_how_to_turn_it_on() {
        let config = ExecConfig { enabled: false, allow: vec!["*".to_owned()] };
        let error = format!("{:?}", resolve("sh", &config, OsStr::new("/bin")).unwrap_err());
        assert!(error.contains("program_not_allowed") && error.contains("JOBFORGE_EXEC_ALLOW"), "{error}");
    }
}
