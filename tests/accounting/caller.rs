//! The callers, and what they have seen.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tower_llm_gateway::protocol::Protocol;

use crate::ask::{Ask, Scenario};
use crate::vendor::{LAST_WORD, Ledger};

/// How an answer ended for its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Whole,
    Broken,
    Left,
}

/// What a caller has seen.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) status: Option<u16>,
    pub(crate) end: End,
    /// Bytes of the answer that arrived.
    pub(crate) bytes: u64,
}

#[derive(Clone)]
pub(crate) struct Caller {
    client: Client<HttpConnector, Full<Bytes>>,
    urls: HashMap<Protocol, String>,
    ledger: Arc<Ledger>,
}

impl Caller {
    /// `urls` are those of the gateway, by what its vendors speak.
    pub(crate) fn new(urls: HashMap<Protocol, String>, ledger: Arc<Ledger>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self { client: Client::builder(TokioExecutor::new()).build(connector), urls, ledger }
    }

    pub(crate) async fn send(&self, ask: &Ask) -> Seen {
        let call = self.client.request(self.request(ask));
        if ask.scenario != Scenario::LeavesEarly {
            let answer = call.await.unwrap_or_else(|error| panic!("{ask:?}: {error:?}"));
            return read(answer, ask.scenario == Scenario::LeavesInStream).await;
        }
        let mute = self.ledger.mute(ask.ticket);
        tokio::select! {
            answer = call => panic!("{ask:?} was answered: {answer:?}"),
            () = mute.notified() => Seen { status: None, end: End::Left, bytes: 0 },
        }
    }

    fn request(&self, ask: &Ask) -> Request<Full<Bytes>> {
        let url = format!("{}{}", self.urls[&ask.upstream], ask.path());
        let mut request = Request::builder().method(ask.method()).uri(url);
        for (name, value) in ask.headers() {
            request = request.header(name, value);
        }
        request.body(Full::from(ask.body())).unwrap()
    }
}

/// Reads to the end, or to the end of the event with the last word.
async fn read(answer: Response<Incoming>, leaves: bool) -> Seen {
    let (parts, mut body) = answer.into_parts();
    let (mut text, mut end) = (Vec::new(), End::Whole);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => text.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Err(_) => end = End::Broken,
        }
        if leaves && parts.status.is_success() && has_last_word(&text) {
            end = End::Left;
            break;
        }
    }
    Seen { status: Some(parts.status.as_u16()), end, bytes: text.len() as u64 }
}

fn has_last_word(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    text.contains(LAST_WORD) && (text.ends_with("\n\n") || text.ends_with("\r\n\r\n"))
}
