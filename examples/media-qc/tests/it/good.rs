//! Files that can be examined, whether they pass or not.

use media_qc::measure::Stretches;
use media_qc::report::Verdict;
use media_qc::{Checks, Settings};

use crate::media::{Studio, source};
use crate::run;

#[tokio::test]
async fn a_good_film_passes_through_all_phases_in_order() {
    let studio = Studio::new();
    let film = studio.film("good.mp4", 4, &["-c:a", "aac"]);
    let (recorder, result) = run(source(&film), Checks::default(), &Settings::default()).await;
    let report = result.unwrap();
    assert_eq!((report.verdict, report.reasons.as_slice()), (Verdict::Pass, &[][..]));
    assert_eq!(report.media.container_name, "QuickTime / MOV");
    assert!((report.media.duration_s.unwrap() - 4.0).abs() < 0.2, "{report:#?}");
    let video = &report.media.video[0];
    assert_eq!((video.codec.as_str(), video.width, video.height), ("h264", 320, 180));
    assert_eq!(video.frame_rate, Some(25.0));
    assert_eq!((report.media.audio[0].codec.as_str(), report.media.audio[0].channels), ("aac", 1));
    let loudness = report.measured.loudness.unwrap();
    assert!((-22.0..-20.0).contains(&loudness.integrated_lufs.unwrap()), "{loudness:?}");
    assert!(loudness.true_peak_dbtp.unwrap() < -10.0, "{loudness:?}");
    assert!(report.tool.starts_with("ffmpeg version"), "{}", report.tool);

    let phases = recorder.phases();
    let expected = [
        ("initializing", 5, 5),
        ("downloading", 15, 20),
        ("analysis", 45, 75),
        ("saving", 80, 80),
        ("done", 100, 100),
    ];
    assert_eq!(phases, expected.map(|(phase, from, to)| (phase.to_owned(), from, to)));
    assert!(recorder.percents().is_sorted(), "{:?}", recorder.percents());
}

#[tokio::test]
async fn a_long_run_reports_progress_between_45_and_75() {
    let studio = Studio::new();
    // ffmpeg speaks every half second, so the film has to take longer than that to decode.
    let film = studio.long_film();
    let (recorder, result) = run(source(&film), Checks::default(), &Settings::default()).await;
    result.unwrap();
    let between = recorder.percents().into_iter().filter(|percent| (46..75).contains(percent)).count();
    assert!(between >= 1, "no live progress: {:?}", recorder.percents());
}

#[tokio::test]
async fn black_silence_and_freeze_are_found_and_fail() {
    let studio = Studio::new();
    let checks = Checks {
        max_black_s: Some(1.0),
        max_silence_s: Some(1.0),
        max_freeze_s: Some(2.5),
        ..Checks::default()
    };
    let (_, result) = run(source(&studio.faulty()), checks, &Settings::default()).await;
    let report = result.unwrap();
    assert_eq!(report.verdict, Verdict::Fail);
    let failed: Vec<&str> = report.reasons.iter().map(|reason| reason.check.as_str()).collect();
    assert_eq!(failed, ["black", "silence", "freeze"]);
    near(report.measured.black.as_ref(), &[(2.0, 4.0)]);
    near(report.measured.silence.as_ref(), &[(3.0, 5.0)]);
    // Black is still, too; the second one lasts until the end, where ffmpeg prints no end.
    near(report.measured.freeze.as_ref(), &[(2.0, 4.0), (6.1, 9.0)]);
}

#[tokio::test]
async fn the_same_film_passes_under_wider_limits() {
    let studio = Studio::new();
    let (_, result) = run(source(&studio.faulty()), Checks::default(), &Settings::default()).await;
    assert_eq!(result.unwrap().verdict, Verdict::Pass);
}

#[tokio::test]
async fn sound_alone_and_picture_alone_are_media() {
    let studio = Studio::new();
    for name in ["tone.wav", "tone.mp3", "tone.flac", "tone.ogg"] {
        let (_, result) = run(source(&studio.tone(name)), Checks::default(), &Settings::default()).await;
        let report = result.unwrap();
        assert_eq!((report.verdict, report.media.video.len()), (Verdict::Pass, 0), "{name}");
        assert_eq!(report.media.audio[0].channels, 2, "{name}");
        assert_eq!(report.measured.black, None, "{name}");
    }
    for name in ["mute.mkv", "mute.mov", "mute.avi", "mute.ts"] {
        let (_, result) = run(source(&studio.mute(name)), Checks::default(), &Settings::default()).await;
        let report = result.unwrap();
        assert_eq!((report.verdict, report.media.audio.len()), (Verdict::Pass, 0), "{name}");
        assert_eq!(report.media.video[0].frame_rate, Some(29.97), "{name}");
        assert_eq!(report.measured.loudness, None, "{name}");
    }
}

#[tokio::test]
async fn a_wanted_loudness_is_judged() {
    let studio = Studio::new();
    let tone = source(&studio.tone("tone.wav"));
    let wanted = |target| Checks { loudness_target_lufs: Some(target), ..Checks::default() };
    let (_, quiet) = run(tone.clone(), wanted(-40.0), &Settings::default()).await;
    assert_eq!(quiet.unwrap().reasons[0].check, "loudness");
    let (_, met) =
        run(tone, Checks { loudness_tolerance_lu: 3.0, ..wanted(-20.0) }, &Settings::default()).await;
    let report = met.unwrap();
    assert_eq!(report.verdict, Verdict::Pass, "{report:#?}");
}

#[tokio::test]
async fn damage_inside_a_film_is_counted() {
    let studio = Studio::new();
    let film = studio.film("good.mp4", 4, &["-c:a", "aac"]);
    let mut bytes = std::fs::read(&film).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle..middle + 4000].iter_mut().enumerate().for_each(|(n, byte)| *byte = (n * 7919 % 251) as u8);
    let damaged = studio.bytes("damaged.mp4", &bytes);
    let (_, result) = run(source(&damaged), Checks::default(), &Settings::default()).await;
    let report = result.unwrap();
    assert_eq!(report.reasons[0].check, "decode_errors", "{report:#?}");
    assert!(report.measured.decode_errors > 0 && !report.measured.first_errors.is_empty());
}

#[tokio::test]
async fn odd_file_names_are_only_names() {
    let studio = Studio::new();
    let film = studio.film("good.mp4", 1, &["-c:a", "aac"]);
    for name in ["-i.mp4", "concat:a|b.mp4", "http:x.mp4", "ü ' \" $(id);%d.mp4"] {
        let odd = studio.dir().join(name);
        std::fs::copy(&film, &odd).unwrap();
        let (_, result) = run(source(&odd), Checks::default(), &Settings::default()).await;
        assert_eq!(result.unwrap().verdict, Verdict::Pass, "{name}");
    }
}

/// Compares stretches to the tenth of a second that encoders shift them by.
#[track_caller]
fn near(found: Option<&Stretches>, expected: &[(f64, f64)]) {
    let listed = &found.expect("the stream exists").listed;
    let fits = listed.len() == expected.len()
        && listed
            .iter()
            .zip(expected)
            .all(|(s, (start, end))| (s.start_s - start).abs() < 0.15 && (s.end_s - end).abs() < 0.15);
    assert!(fits, "expected {expected:?}, found {listed:?}");
}
