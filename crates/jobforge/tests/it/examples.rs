//! The examples, which the documentation quotes: each runs to its end.

use std::path::Path;
use std::process::Command;

/// Where cargo puts the examples that it builds beside these tests.
fn built(example: &Path) -> std::path::PathBuf {
    let tests = std::env::current_exe().unwrap();
    let profile = tests.parent().and_then(Path::parent).unwrap();
    profile.join("examples").join(example.file_stem().unwrap())
}

#[test]
fn process_every_example_runs_to_its_end_and_says_what_happens() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut examples: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    examples.sort();
    assert!(!examples.is_empty());
    for example in examples {
        let program = built(&example);
        let home = tempfile::tempdir().unwrap();
        let ran = Command::new(&program).current_dir(&home).output();
        let ran = ran.unwrap_or_else(|error| {
            panic!(
                "{}: {error}; `cargo test -p jobforge` without --test builds the examples",
                program.display()
            )
        });
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        let complained = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(ran.status.success(), "{}:\n{said}\n{complained}", program.display());
        assert!(!said.is_empty(), "{} says nothing", program.display());
    }
}
