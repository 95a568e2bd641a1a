//! What stands behind the proxies.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::EVENTS;
use crate::wire::{content_length, read_head};

/// An upstream that costs next to nothing: raw HTTP/1.1, answers by the `x-load` header.
pub(crate) fn serve_upstream() -> SocketAddr {
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            send.send(listener.local_addr().expect("an address")).expect("main waits");
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                stream.set_nodelay(true).expect("nodelay");
                tokio::task::spawn(answer(stream));
            }
        });
    });
    receive.recv().expect("the thread says its address")
}

async fn answer(mut stream: TcpStream) {
    let text = "word ".repeat(160);
    let json = format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":5,"completion_tokens":160,"total_tokens":165}}}}"#
    );
    let whole = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{json}",
        json.len()
    );
    let chunk = |data: &str| {
        let event = format!("data: {data}\n\n");
        format!("{:x}\r\n{event}\r\n", event.len())
    };
    let delta = chunk(
        r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}"#,
    );
    let last = chunk(
        r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    ) + &chunk("[DONE]")
        + "0\r\n\r\n";
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut buffer = Vec::new();
    while let Some(head_end) = read_head(&mut stream, &mut buffer).await {
        let headers = String::from_utf8_lossy(&buffer[..head_end]).to_lowercase();
        let body = content_length(&headers);
        while buffer.len() < head_end + body {
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        }
        buffer.drain(..head_end + body);
        if !headers.contains("x-load: stream") {
            if stream.write_all(whole.as_bytes()).await.is_err() {
                return;
            }
            continue;
        }
        let mut parts = vec![head];
        parts.extend(std::iter::repeat_n(delta.as_str(), EVENTS));
        parts.push(&last);
        for part in parts {
            if stream.write_all(part.as_bytes()).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}
