//! One kept-alive connection to the server under measurement: it sends a GET and reads the whole answer, no more.

use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// The longest answer that is read.
const LONGEST: usize = 64 * 1024 * 1024;

pub(super) struct Connection {
    stream: BufReader<TcpStream>,
    token: String,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr, token: String) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), token })
    }

    /// Returns the status and the body.
    pub(super) async fn get(&mut self, path: &str) -> std::io::Result<(u16, Vec<u8>)> {
        let token = &self.token;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
        self.stream.get_mut().write_all(request.as_bytes()).await?;
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.ok_or_else(|| bad(format!("the answer begins with {line:?}")))?;
        let mut length = None;
        loop {
            line.clear();
            self.stream.read_line(&mut line).await?;
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().ok().filter(|length| *length <= LONGEST);
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut body =
            vec![0; length.ok_or_else(|| bad("the answer does not say how long it is".to_owned()))?];
        self.stream.read_exact(&mut body).await?;
        Ok((status, body))
    }
}

fn bad(why: String) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, why)
}
