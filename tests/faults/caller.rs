//! A client that reads as a strict SDK does: what did it get?

use std::fmt;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tower_llm_gateway::sse::Decoder;

use crate::vendor::SOCKET_BUFFER;

/// What a caller speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    Messages,
    Chat,
    Responses,
}

/// What a caller has got in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Got {
    /// The whole answer, well-formed.
    Whole,
    /// An error of this status, in the words of the caller's protocol.
    Error(u16),
    /// A 200 whose document is an error in the words of the caller's protocol.
    ErrorDocument,
    /// A stream that ends with an error event.
    ErrorEvent,
    /// An answer whose transfer broke off, so that nobody takes it for whole.
    Broken,
    /// What the upstream sent, to the byte, though it is half a document.
    AsSent,
    /// What the upstream sent, encoded, so that nobody on the way has read it.
    Encoded,
    /// It left.
    Left,
    /// Nothing of the above: this must never be.
    Malformed(String),
}

impl fmt::Display for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("whole"),
            Self::Error(status) => write!(f, "{status}"),
            Self::ErrorDocument => f.write_str("error in 200"),
            Self::ErrorEvent => f.write_str("error event"),
            Self::Broken => f.write_str("broken"),
            Self::AsSent => f.write_str("as sent"),
            Self::Encoded => f.write_str("encoded"),
            Self::Left => f.write_str("left"),
            Self::Malformed(text) => write!(f, "MALFORMED {text}"),
        }
    }
}

pub(crate) type HttpClient = Client<HttpConnector, Full<Bytes>>;

/// A client of its own, with little room for what it does not read.
pub(crate) fn client() -> HttpClient {
    let mut connector = HttpConnector::new();
    connector.set_recv_buffer_size(Some(SOCKET_BUFFER as usize));
    Client::builder(TokioExecutor::new()).build(connector)
}

impl Speaks {
    fn path(self) -> &'static str {
        match self {
            Self::Messages => "/v1/messages",
            Self::Chat => "/v1/chat/completions",
            Self::Responses => "/v1/responses",
        }
    }

    pub(crate) fn request(self, url: &str, key: &str, stream: bool) -> Request<Full<Bytes>> {
        let body = match self {
            Self::Responses => json!({"model": "m", "stream": stream, "input": "Hello"}),
            _ => json!({"model": "m", "max_tokens": 64, "stream": stream,
                "messages": [{"role": "user", "content": "Hello"}]}),
        };
        Request::post(format!("{url}{}", self.path()))
            .header("x-api-key", key)
            .header("anthropic-version", "2023-06-01")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body.to_string().into()))
            .unwrap()
    }

    /// Reads an answer to its end and judges it. `text` is what the model said.
    pub(crate) async fn judge(self, response: Response<Incoming>, text: &str) -> Got {
        let (parts, mut body) = response.into_parts();
        let mut bytes = Vec::new();
        let mut broken = false;
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Err(_) => broken = true,
            }
        }
        let said = String::from_utf8_lossy(&bytes);
        let malformed = || Got::Malformed(format!("{} {said}", parts.status));
        if parts.headers.contains_key(header::CONTENT_ENCODING) {
            return Got::Encoded;
        }
        if !parts.status.is_success() {
            let document = serde_json::from_slice(&bytes).unwrap_or_default();
            let good = !broken && self.is_error(&document);
            return if good { Got::Error(parts.status.as_u16()) } else { malformed() };
        }
        let kind = parts.headers.get(header::CONTENT_TYPE).map(|kind| kind.to_str().unwrap());
        let got = match kind {
            Some("text/event-stream") => self.judge_stream(&said, text),
            Some("application/json") => match serde_json::from_slice::<Value>(&bytes) {
                Ok(document) if self.is_error(&document) => Some(Got::ErrorDocument),
                Ok(document) if self.text_of(&document) == text => Some(Got::Whole),
                Err(error) if error.is_eof() && !broken => Some(Got::AsSent),
                _ => None,
            },
            _ => None,
        };
        match got {
            None if broken => Got::Broken,
            Some(Got::Whole) if broken => malformed(),
            got => got.unwrap_or_else(malformed),
        }
    }

    fn is_error(self, document: &Value) -> bool {
        let message = document["error"]["message"].as_str().is_some_and(|text| !text.is_empty());
        message && (self != Self::Messages || document["type"] == "error")
    }

    /// What a document says, if it says that it is complete.
    fn text_of(self, document: &Value) -> &str {
        let (text, done) = match self {
            Self::Messages => {
                (&document["content"][0]["text"], document["stop_reason"] == "end_turn")
            }
            Self::Chat => {
                let choice = &document["choices"][0];
                (&choice["message"]["content"], choice["finish_reason"] == "stop")
            }
            Self::Responses => {
                let text = &document["output"][0]["content"][0]["text"];
                (text, document["status"] == "completed")
            }
        };
        text.as_str().filter(|_| done).unwrap_or_default()
    }

    /// `None` for what is neither whole nor an error.
    fn judge_stream(self, stream: &str, text: &str) -> Option<Got> {
        let mut events = Vec::new();
        let mut decoder = Decoder::new();
        decoder.push(stream.as_bytes(), &mut |event| events.push(event.data.to_owned())).unwrap();
        let done = events.last().is_some_and(|data| data == "[DONE]");
        if done {
            events.pop();
        }
        let mut events: Vec<Option<Value>> =
            events.iter().map(|data| serde_json::from_str(data).ok()).collect();
        // An event that was cut stands before the one that says so, or last where all broke off.
        let cut = events.len().checked_sub(2).filter(|at| events[*at].is_none());
        cut.map(|at| events.remove(at));
        let events: Vec<Value> = events.into_iter().collect::<Option<_>>()?;
        let last = events.last()?;
        let opens = match self {
            Self::Messages => "message_start",
            Self::Responses => "response.created",
            Self::Chat => "",
        };
        let opened = events.iter().filter(|event| event["type"] == opens).count();
        let failed = match self {
            Self::Responses => last["type"] == "response.failed" || last["type"] == "error",
            _ => self.is_error(last),
        };
        if failed && opened <= 1 {
            return Some(Got::ErrorEvent);
        }
        let said: String = events.iter().filter_map(|event| self.piece_of(event)).collect();
        let whole = match self {
            Self::Messages => opened == 1 && last["type"] == "message_stop",
            Self::Responses => opened == 1 && last["type"] == "response.completed",
            Self::Chat => {
                let stops = |event: &Value| event["choices"][0]["finish_reason"] == "stop";
                done && events.iter().filter(|event| stops(event)).count() == 1
            }
        };
        (whole && said == text).then_some(Got::Whole)
    }

    fn piece_of(self, event: &Value) -> Option<&str> {
        match self {
            Self::Messages => event["delta"]["text"].as_str(),
            Self::Chat => event["choices"][0]["delta"]["content"].as_str(),
            Self::Responses if event["type"] == "response.output_text.delta" => {
                event["delta"].as_str()
            }
            Self::Responses => None,
        }
    }
}
