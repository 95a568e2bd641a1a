//! As much of HTTP/1.1 as both ends need.

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Index behind the blank line; `None` when the peer is gone.
pub(crate) async fn read_head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<usize> {
    loop {
        if let Some(at) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            return Some(at + 4);
        }
        if stream.read_buf(buffer).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

pub(crate) fn content_length(headers: &str) -> usize {
    let line = headers.lines().find_map(|line| line.strip_prefix("content-length:"));
    line.and_then(|n| n.trim().parse().ok()).unwrap_or(0)
}
