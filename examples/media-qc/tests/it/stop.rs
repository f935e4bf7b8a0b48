//! The signal to stop, and an ffmpeg that hangs.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use media_qc::{Checks, MediaQc, QcError, Settings, pipeline};
use tokio::time::timeout;

use crate::media::{Studio, source};
use crate::recorder::Recorder;
use crate::refuse;

/// A stand-in for ffmpeg that tells its version and then does as `script` says, with a child of its own.
pub(crate) fn stand_in(studio: &Studio, script: &str) -> PathBuf {
    let text = format!(
        "#!/bin/sh\n[ \"$1\" = -version ] && echo ffmpeg version stand-in && exit\n\
         sleep 300 & echo $! > {}/child.pid\n{script}\n",
        studio.dir().display()
    );
    let path = studio.bytes("ffmpeg.sh", text.as_bytes());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Waits until the stand-in has started its child.
pub(crate) async fn child_is_there(studio: &Studio) {
    let file = studio.dir().join("child.pid");
    let until_started = async {
        while !std::fs::read_to_string(&file).is_ok_and(|pid| pid.ends_with('\n')) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(20), until_started).await.expect("the stand-in should have been started");
}

/// Waits until the stand-in's child is gone.
pub(crate) async fn child_is_gone(studio: &Studio) {
    let pid = std::fs::read_to_string(studio.dir().join("child.pid")).unwrap();
    let stat = format!("/proc/{}/stat", pid.trim());
    for _ in 0..200 {
        match std::fs::read_to_string(&stat) {
            Ok(text) if !text.contains(") Z ") => tokio::time::sleep(Duration::from_millis(25)).await,
            Ok(_) | Err(_) => return,
        }
    }
    panic!("the child of ffmpeg outlived the job");
}

#[tokio::test]
async fn a_stop_in_the_middle_of_the_analysis_kills_everything() {
    let studio = Studio::new();
    let film = studio.film("good.mp4", 4, &["-c:a", "aac"]);
    let script = "printf 'out_time_us=2000000\\nprogress=continue\\n'; wait";
    let settings = Settings { ffmpeg: stand_in(&studio, script), ..Settings::default() };
    // Two of four seconds: in the middle of 45 to 75.
    let recorder = Recorder::stopping_at(60);
    let job = MediaQc { source: source(&film), checks: Checks::default() };
    let result = timeout(Duration::from_secs(20), pipeline::run(&job, &settings, &recorder)).await.unwrap();
    assert!(matches!(result, Err(QcError::Stopped)), "{result:?}");
    assert_eq!(recorder.percents().last(), Some(&60));
    child_is_gone(&studio).await;
}

#[tokio::test]
async fn a_job_that_is_dropped_leaves_nothing_running() {
    let studio = Studio::new();
    let film = studio.film("good.mp4", 4, &["-c:a", "aac"]);
    let settings = Settings { ffmpeg: stand_in(&studio, "wait"), ..Settings::default() };
    let recorder = Recorder::default();
    let job = MediaQc { source: source(&film), checks: Checks::default() };
    tokio::select! {
        result = pipeline::run(&job, &settings, &recorder) => panic!("ended by itself: {result:?}"),
        () = child_is_there(&studio) => {}
    }
    child_is_gone(&studio).await;
}

#[tokio::test]
async fn an_ffmpeg_that_gets_nowhere_is_killed_and_tried_again() {
    let studio = Studio::new();
    let film = studio.film("good.mp4", 4, &["-c:a", "aac"]);
    // It keeps talking, but its position stays where it is.
    let script = "while :; do printf 'out_time_us=1000\\nprogress=continue\\n'; sleep 0.1; done";
    let settings = Settings {
        ffmpeg: stand_in(&studio, script),
        stall_timeout: Duration::from_secs(1),
        ..Settings::default()
    };
    let (kind, retryable, text) = refuse(source(&film), &settings).await;
    assert_eq!((kind, retryable), ("tool_hung", true), "{text}");
    child_is_gone(&studio).await;
}

#[tokio::test]
async fn an_ffmpeg_killed_from_outside_is_tried_again() {
    let studio = Studio::new();
    let film = studio.film("good.mp4", 4, &["-c:a", "aac"]);
    let settings = Settings { ffmpeg: stand_in(&studio, "kill -9 $$"), ..Settings::default() };
    let (kind, retryable, text) = refuse(source(&film), &settings).await;
    assert_eq!((kind, retryable), ("tool_killed", true), "{text}");
    child_is_gone(&studio).await;
}
