//! Sources behind URLs, served by a few lines of tokio.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use media_qc::report::Verdict;
use media_qc::{Checks, MediaQc, QcError, Settings, pipeline};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::media::Studio;
use crate::recorder::Recorder;
use crate::{refuse, run};

/// What the server does with a path.
enum Answer {
    /// A complete answer with headers of its own.
    Full(&'static str, Vec<u8>),
    /// A body without a length, ended by closing.
    Endless(Vec<u8>),
    /// The announced length and fewer bytes.
    Short(usize, Vec<u8>),
    /// A status with a header.
    Status(u16, &'static str),
    /// Nothing, with the connection held open.
    Silence,
}

/// Serves `answer(path)` until the test ends, and returns the address.
async fn serve(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            tokio::spawn(async move { respond(stream, &*answer).await });
        }
    });
    address
}

async fn respond(mut stream: TcpStream, answer: &(impl Fn(&str) -> Answer + Sync)) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") && request.len() < 16_384 {
        request.push(stream.read_u8().await?);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split_whitespace().nth(1).unwrap_or("/");
    let (head, body) = match answer(path) {
        Answer::Full(headers, body) => {
            (format!("200 OK\r\n{headers}content-length: {}\r\n", body.len()), body)
        }
        Answer::Endless(body) => ("200 OK\r\n".to_owned(), body),
        Answer::Short(length, body) => (format!("200 OK\r\ncontent-length: {length}\r\n"), body),
        Answer::Status(status, header) => {
            (format!("{status} x\r\n{header}content-length: 0\r\n"), Vec::new())
        }
        Answer::Silence => std::future::pending().await,
    };
    stream.write_all(format!("HTTP/1.1 {head}connection: close\r\n\r\n").as_bytes()).await?;
    stream.write_all(&body).await?;
    stream.shutdown().await
}

/// Settings under which the tests' own server may be reached, and temporary files can be counted.
fn local(studio: &Studio) -> Settings {
    let temp_dir = studio.dir().join("tmp");
    std::fs::create_dir_all(&temp_dir).unwrap();
    Settings { private_hosts: true, temp_dir: Some(temp_dir), ..Settings::default() }
}

/// Checks that no download was left behind.
#[track_caller]
fn swept(settings: &Settings) {
    let left = std::fs::read_dir(settings.temp_dir.as_ref().unwrap()).unwrap().count();
    assert_eq!(left, 0, "downloads were left behind");
}

fn film(studio: &Studio) -> Vec<u8> {
    std::fs::read(studio.film("good.mp4", 3, &["-c:a", "aac"])).unwrap()
}

#[tokio::test]
async fn a_film_is_downloaded_and_examined() {
    let studio = Studio::new();
    let (film, settings) = (film(&studio), local(&studio));
    let size = film.len() as u64;
    let address = serve(move |path| match path {
        "/film.mp4?token=secret" => Answer::Full("content-type: video/mp4\r\n", film.clone()),
        "/plain" => Answer::Endless(film.clone()),
        _ => Answer::Status(302, "location: /film.mp4?token=secret\r\n"),
    })
    .await;
    for path in ["film.mp4?token=secret", "plain", "moved"] {
        let url = format!("http://{address}/{path}");
        let (recorder, result) = run(url, Checks::default(), &settings).await;
        let report = result.unwrap();
        assert_eq!((report.verdict, report.media.size_bytes), (Verdict::Pass, size), "{path}");
        assert!(!report.source.contains("secret"), "{}", report.source);
        let downloading = recorder.phases().into_iter().find(|(phase, ..)| phase == "downloading").unwrap();
        assert_eq!(downloading, ("downloading".to_owned(), 15, 20), "{path}");
    }
    swept(&settings);
}

#[tokio::test]
async fn what_is_no_film_is_not_media() {
    let studio = Studio::new();
    let settings = local(&studio);
    let address = serve(|path| match path {
        "/typed" => Answer::Full("content-type: text/html; charset=utf-8\r\n", b"<p>Sign in".to_vec()),
        "/untyped" => Answer::Full("", b"\n <!DOCTYPE html><html>Sign in</html>".to_vec()),
        "/json" => Answer::Full("content-type: application/json\r\n", b"{}".to_vec()),
        _ => Answer::Full("content-type: video/mp4\r\n", b"just some text ".repeat(1000)),
    })
    .await;
    for path in ["typed", "untyped", "json", "text.mp4"] {
        let (kind, retryable, text) = refuse(format!("http://{address}/{path}"), &settings).await;
        assert_eq!((kind, retryable), ("not_media", false), "{path}: {text}");
    }
    swept(&settings);
}

#[tokio::test]
async fn a_status_is_final_when_asking_again_is_no_use() {
    let studio = Studio::new();
    let settings = local(&studio);
    let address = serve(|path| Answer::Status(path[1..].parse().unwrap(), "")).await;
    for (status, expected) in [
        (401, ("http_refused", false)),
        (403, ("http_refused", false)),
        (404, ("http_refused", false)),
        (410, ("http_refused", false)),
        (408, ("http_unavailable", true)),
        (429, ("http_unavailable", true)),
        (500, ("http_unavailable", true)),
        (503, ("http_unavailable", true)),
    ] {
        let (kind, retryable, text) = refuse(format!("http://{address}/{status}"), &settings).await;
        assert_eq!((kind, retryable), expected, "{text}");
        assert!(text.contains(&status.to_string()), "{text}");
    }
}

#[tokio::test]
async fn a_busy_server_may_name_the_next_attempt() {
    let studio = Studio::new();
    let settings = local(&studio);
    let address = serve(|path| match path {
        "/soon" => Answer::Status(503, "retry-after: 7\r\n"),
        "/dated" => Answer::Status(503, "retry-after: Fri, 31 Dec 1999 23:59:59 GMT\r\n"),
        _ => Answer::Status(429, "retry-after: 99999999\r\n"),
    })
    .await;
    for (path, expected) in [("soon", Some(7)), ("dated", None), ("never", Some(3600))] {
        let (_, result) = run(format!("http://{address}/{path}"), Checks::default(), &settings).await;
        match result {
            Err(QcError::HttpUnavailable { retry_after, .. }) => {
                assert_eq!(retry_after.map(|wait| wait.as_secs()), expected, "{path}");
            }
            other => panic!("{path}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_stop_breaks_off_a_download() {
    let studio = Studio::new();
    let settings = local(&studio);
    let address = serve(|_| Answer::Silence).await;
    let job = MediaQc::new(format!("http://{address}/film.mp4"));
    let recorder = Recorder::stopping_at(15);
    let run = pipeline::run(&job, &settings, &recorder);
    let result = tokio::time::timeout(Duration::from_secs(20), run).await.unwrap();
    assert!(matches!(result, Err(QcError::Stopped)), "{result:?}");
    swept(&settings);
}

#[tokio::test]
async fn a_broken_connection_is_worth_another_attempt() {
    let studio = Studio::new();
    let settings = Settings { read_timeout: Duration::from_millis(300), ..local(&studio) };
    let film = film(&studio);
    let address = serve(move |path| match path {
        "/short" => Answer::Short(film.len(), film[..film.len() / 2].to_vec()),
        _ => Answer::Silence,
    })
    .await;
    let unused = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let urls = [
        format!("http://{address}/short"),
        format!("http://{address}/silence?token=secret"),
        format!("http://{unused}/a"),
        "http://name.invalid/a".to_owned(),
    ];
    for url in urls {
        let (kind, retryable, text) = refuse(url.clone(), &settings).await;
        assert_eq!((kind, retryable), ("network", true), "{url}: {text}");
        assert!(!text.contains("secret"), "{text}");
    }
    swept(&settings);
}

#[tokio::test]
async fn a_download_has_a_limit_announced_or_not() {
    let studio = Studio::new();
    let settings = Settings { download_limit_bytes: 1000, ..local(&studio) };
    let address = serve(|path| match path {
        "/announced" => Answer::Full("content-type: video/mp4\r\n", vec![7; 1001]),
        _ => Answer::Endless(vec![7; 1_000_000]),
    })
    .await;
    for path in ["announced", "endless"] {
        let (kind, retryable, text) = refuse(format!("http://{address}/{path}"), &settings).await;
        assert_eq!((kind, retryable), ("too_large", false), "{text}");
    }
    swept(&settings);
}

#[tokio::test]
async fn an_empty_answer_and_a_circle_of_redirects_are_final() {
    let studio = Studio::new();
    let settings = local(&studio);
    let address = serve(|path| match path {
        "/empty" => Answer::Full("content-type: video/mp4\r\n", Vec::new()),
        "/ftp" => Answer::Status(302, "location: ftp://127.0.0.1/a\r\n"),
        _ => Answer::Status(302, "location: /again\r\n"),
    })
    .await;
    for (path, expected) in [("empty", "empty_file"), ("ftp", "bad_redirect"), ("again", "bad_redirect")] {
        let (kind, retryable, text) = refuse(format!("http://{address}/{path}"), &settings).await;
        assert_eq!((kind, retryable), (expected, false), "{text}");
    }
}

#[tokio::test]
async fn a_worker_keeps_out_of_its_own_network_unless_told_otherwise() {
    let studio = Studio::new();
    let settings = Settings { private_hosts: false, ..local(&studio) };
    let address = serve(|_| Answer::Full("", b"never sent".to_vec())).await;
    for url in [
        format!("http://{address}/a"),
        format!("http://localhost:{}/a", address.port()),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "http://[::1]/a".to_owned(),
    ] {
        let (kind, retryable, text) = refuse(url, &settings).await;
        assert_eq!((kind, retryable), ("host_not_allowed", false), "{text}");
        assert!(text.contains("--allow-private-hosts"), "{text}");
    }
}
