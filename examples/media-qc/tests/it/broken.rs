//! Files that cannot be examined: each is refused for good, with a word for grouping and a sentence for people.

use std::os::unix::fs::symlink;

use media_qc::{Checks, Settings};

use crate::media::{Studio, source};
use crate::{refuse, run};

/// Checks that a path is refused for good, and returns the sentence.
async fn refused_as(path: &std::path::Path, kind: &str) -> String {
    let (found, retryable, text) = refuse(source(path), &Settings::default()).await;
    assert_eq!((found, retryable), (kind, false), "{text}");
    text
}

#[tokio::test]
async fn a_film_cut_in_half_is_truncated() {
    let studio = Studio::new();
    let index_last = studio.film("last.mp4", 6, &["-c:a", "aac"]);
    let index_first = studio.film("first.mp4", 6, &["-c:a", "aac", "-movflags", "+faststart"]);
    for percent in [50, 95] {
        for film in [&index_last, &index_first] {
            let text = refused_as(&studio.cut(film, percent), "truncated_media").await;
            assert!(text.contains("shorter than its container announces"), "{text}");
        }
    }

    let matroska = studio.film("film.mkv", 6, &["-c:a", "aac"]);
    let text = refused_as(&studio.cut(&matroska, 50), "truncated_media").await;
    assert!(text.contains("of 6.0 s (File ended prematurely)"), "{text}");
    let avi = studio.film("film.avi", 6, &["-c:a", "mp3"]);
    refused_as(&studio.cut(&avi, 50), "truncated_media").await;
    let wav = studio.tone("tone.wav");
    refused_as(&studio.cut(&wav, 50), "truncated_media").await;
}

#[tokio::test]
async fn a_film_cut_inside_its_header_is_refused() {
    let studio = Studio::new();
    let film = studio.film("first.mp4", 2, &["-c:a", "aac", "-movflags", "+faststart"]);
    let bytes = std::fs::read(&film).unwrap();
    refused_as(&studio.bytes("stub.mp4", &bytes[..200]), "truncated_media").await;
}

#[tokio::test]
async fn a_film_whose_recorder_died_before_the_index_is_truncated() {
    let studio = Studio::new();
    let film = studio.film("last.mp4", 2, &["-c:a", "aac"]);
    let bytes = std::fs::read(&film).unwrap();
    let index = bytes.windows(4).rposition(|word| word == b"moov").unwrap() - 4;
    let text = refused_as(&studio.bytes("crash.mp4", &bytes[..index]), "truncated_media").await;
    assert!(text.contains("its index is missing"), "{text}");
}

#[tokio::test]
async fn a_film_whose_second_half_was_never_written_is_truncated() {
    let studio = Studio::new();
    let film = studio.film("first.mp4", 6, &["-c:a", "aac", "-movflags", "+faststart"]);
    // As a download manager leaves it that reserves the space first: the size is right, the content is not there.
    let mut bytes = std::fs::read(&film).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].fill(0);
    let text = refused_as(&studio.bytes("hole.mp4", &bytes), "truncated_media").await;
    assert!(text.contains("only 3.") && text.contains("of 6.0 s can be decoded"), "{text}");
}

#[tokio::test]
async fn an_empty_file_is_empty() {
    refused_as(&Studio::new().bytes("empty.mp4", b""), "empty_file").await;
}

#[tokio::test]
async fn text_is_not_media_whatever_it_is_called() {
    let studio = Studio::new();
    let text = b"Dear reader,\nthis is a letter and not a film.\n".repeat(100);
    for name in ["letter.txt", "letter.mp4", "letter.mkv", "letter"] {
        refused_as(&studio.bytes(name, &text), "not_media").await;
    }
    refused_as(&studio.bytes("page.html", b"<!doctype html><html><body>Hello</body></html>"), "not_media")
        .await;
    refused_as(&studio.bytes("noise.bin", &[0x5a; 100_000]), "not_media").await;
}

#[tokio::test]
async fn playlists_do_not_open_other_files() {
    let studio = Studio::new();
    let film = source(&studio.film("good.mp4", 1, &["-c:a", "aac"]));
    let hls = format!("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{film}\n#EXT-X-ENDLIST\n");
    refused_as(&studio.bytes("list.m3u8", hls.as_bytes()), "not_media").await;
    let concat = format!("ffconcat version 1.0\nfile '{film}'\n");
    refused_as(&studio.bytes("list.ffconcat", concat.as_bytes()), "not_media").await;
}

#[tokio::test]
async fn a_picture_is_not_media() {
    let studio = Studio::new();
    // A PNG of one pixel.
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde\0\0\0\x0cIDATx\x9cc\xf8\xcf\xc0\0\0\x03\x01\x01\0\xc9\xfe\x92\xef\0\0\0\0IEND\xaeB`\x82";
    refused_as(&studio.bytes("pixel.png", png), "not_media").await;
}

#[tokio::test]
async fn what_is_no_file_is_refused() {
    let studio = Studio::new();
    refused_as(&studio.dir().join("absent.mp4"), "file_not_found").await;
    refused_as(studio.dir(), "not_a_file").await;
    refused_as(std::path::Path::new("/dev/zero"), "not_a_file").await;
    let pipe = studio.dir().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    refused_as(&pipe, "not_a_file").await;
}

#[tokio::test]
async fn a_bad_payload_is_refused_before_any_work() {
    for bad in ["", "ftp://host/a.mp4", "file:///etc/hostname"] {
        let (kind, retryable, _) = refuse(bad, &Settings::default()).await;
        assert_eq!((kind, retryable), ("invalid_payload", false), "{bad}");
    }
}

#[tokio::test]
async fn a_media_root_keeps_jobs_inside() {
    let studio = Studio::new();
    let film = studio.film("outside.mp4", 1, &["-c:a", "aac"]);
    let root = studio.dir().join("root");
    std::fs::create_dir(&root).unwrap();
    std::fs::copy(&film, root.join("inside.mp4")).unwrap();
    symlink(&film, root.join("link.mp4")).unwrap();
    let settings = Settings { media_root: Some(root.clone()), ..Settings::default() };
    for outside in [&source(&film), "../outside.mp4", "link.mp4", "/etc/hostname", "../absent.mp4", "/absent"]
    {
        let (kind, retryable, _) = refuse(outside, &settings).await;
        assert_eq!((kind, retryable), ("path_not_allowed", false), "{outside}");
    }
    assert_eq!(refuse("absent.mp4", &settings).await.0, "file_not_found");
    let absolute = source(&root.join("inside.mp4"));
    for inside in ["inside.mp4", absolute.as_str()] {
        let (_, result) = run(inside, Checks::default(), &settings).await;
        result.unwrap();
    }
}

#[tokio::test]
async fn a_worker_without_ffmpeg_says_how_to_get_it() {
    let studio = Studio::new();
    let film = source(&studio.film("good.mp4", 1, &["-c:a", "aac"]));
    let absent = || "/nonexistent/tool".into();
    for settings in [
        Settings { ffmpeg: absent(), ..Settings::default() },
        Settings { ffprobe: absent(), ..Settings::default() },
    ] {
        let (kind, retryable, text) = refuse(film.clone(), &settings).await;
        assert_eq!((kind, retryable), ("tool_missing", false));
        assert!(text.contains("sudo apt-get install -y ffmpeg"), "{text}");
    }
}
