//! A small HTTP server for the connectors' tests: it answers what the test says and remembers what it was asked.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

/// A folder of secrets for this process, with `name` in it.
pub(crate) fn secrets_folder(name: &str, value: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("secrets-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    // Tests of one process write the same secrets at the same time; a rename shows them whole or not at all.
    let draft = folder.join(format!("{name}.{}", Uuid::new_v4()));
    std::fs::write(&draft, value).expect("a file");
    std::fs::rename(draft, folder.join(name)).expect("a file");
    folder
}

/// One request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// What a path is answered with: the whole answer, verbatim. `None` is silence.
type Script = dyn Fn(&Asked) -> Option<Vec<u8>> + Send + Sync;

#[derive(Clone)]
pub(crate) struct Server {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub(crate) async fn start(script: impl Fn(&Asked) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = Self { address: listener.local_addr().expect("an address"), asked: Arc::default() };
        let (asked, script): (_, Arc<Script>) = (Arc::clone(&server.asked), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&asked), Arc::clone(&script)));
            }
        });
        server
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("the list").clone()
    }
}

/// An answer with a length and a closed connection.
pub(crate) fn answer(status: &str, headers: &[&str], body: &[u8]) -> Option<Vec<u8>> {
    let mut text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    Some([text.as_bytes(), body].concat())
}

async fn serve(mut stream: TcpStream, asked: Arc<Mutex<Vec<Asked>>>, script: Arc<Script>) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let request = loop {
        if let Some(request) = parse(&bytes) {
            break request;
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
    };
    asked.lock().expect("the list").push(request.clone());
    match script(&request) {
        Some(answer) => {
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
        }
        // Silence: hold the connection until the client goes away.
        None => while matches!(stream.read(&mut buffer).await, Ok(1..)) {},
    }
}

fn parse(bytes: &[u8]) -> Option<Asked> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let line = lines.next()?.to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    let asked = Asked { line, headers, body: body.to_owned() };
    let length = asked.header("content-length").map_or(0, |length| length.parse().expect("a length"));
    (body.len() >= length).then_some(asked)
}
