//! One kept-alive connection to the server under measurement: it sends a GET and reads the whole answer, no more.

use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// The longest answer that is read.
const LONGEST: usize = 64 * 1024 * 1024;

pub(in crate::commands::bench) struct Connection {
    stream: BufReader<TcpStream>,
    token: String,
}

/// What came back.
pub(in crate::commands::bench) struct Reply {
    pub(in crate::commands::bench) status: u16,
    pub(in crate::commands::bench) body: Vec<u8>,
    /// How long the server says that it took.
    pub(in crate::commands::bench) server_ms: Option<f64>,
}

impl Connection {
    pub(in crate::commands::bench) async fn open(
        address: SocketAddr,
        token: String,
    ) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), token })
    }

    pub(in crate::commands::bench) async fn get(&mut self, path: &str) -> std::io::Result<Reply> {
        self.ask(path, "").await
    }

    /// The same, packed as browsers want it.
    pub(in crate::commands::bench) async fn get_packed(&mut self, path: &str) -> std::io::Result<Reply> {
        self.ask(path, "Accept-Encoding: gzip, deflate, br\r\n").await
    }

    async fn ask(&mut self, path: &str, also: &str) -> std::io::Result<Reply> {
        let token = &self.token;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{also}\r\n");
        self.stream.get_mut().write_all(request.as_bytes()).await?;
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.ok_or_else(|| bad(format!("the answer begins with {line:?}")))?;
        let (mut length, mut server_ms) = (None, None);
        loop {
            line.clear();
            self.stream.read_line(&mut line).await?;
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().ok().filter(|length| *length <= LONGEST);
                }
                Some((name, value)) if name.eq_ignore_ascii_case("server-timing") => {
                    server_ms = value.rsplit_once("dur=").and_then(|(_, ms)| ms.trim().parse().ok());
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut body =
            vec![0; length.ok_or_else(|| bad("the answer does not say how long it is".to_owned()))?];
        self.stream.read_exact(&mut body).await?;
        Ok(Reply { status, body, server_ms })
    }
}

fn bad(why: String) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, why)
}
