//! What of a request and its answer may be shown: in logs, errors, rows and the answers of an
//! admin.
//!
//! | Of | shown | replaced |
//! |---|---|---|
//! | [`headers`] | an allow-list: what the content is, limits, versions, ids of requests | credentials by their [`mask`] behind their scheme, all others by `***` |
//! | [`url`], [`uri`], [`query`] | everything else, byte for byte | names and passwords before the host; parameters whose name is a secret's, however it is written |
//! | [`text`] | everything else | vendors' keys by their form, `Bearer` and `Basic`, JSON web tokens, private keys, values of names like `password=`, and all of the row above |
//! | [`text_hidden`] | the same | the same, without any ends |
//! | [`text_with`] | everything else | also secrets that are known, however they are written |
//! | [`without_keys`] | everything else | keys of which only the mask is known |
//! | [`body`] | JSON, with short strings, one message a line, tools by name | the above, members whose name is a secret's, pictures |
//!
//! The ends of a secret are shown only where enough of it stays hidden: its first 8 and last 5
//! characters from 18 on, else `***`. [`mask`] is the form of keys for people, shorter ones too.
//!
//! Nothing here can know every secret: a password that stands alone in a sentence is a word. What
//! is secret should not be said; this module is for what others say.
//!
//! ```
//! use http::HeaderMap;
//! use tower_llm_gateway::redact;
//!
//! let mut headers = HeaderMap::new();
//! headers.insert("authorization", "Bearer sk-1234567890abcdef".parse().unwrap());
//! headers.insert("content-type", "application/json".parse().unwrap());
//! // Costs nothing where nobody listens.
//! tracing::debug!(headers = ?redact::headers(&headers), "request");
//! assert_eq!(
//!     format!("{:?}", redact::headers(&headers)),
//!     r#"{"authorization": "Bearer sk-12345***bcdef", "content-type": "application/json"}"#,
//! );
//!
//! assert_eq!(redact::url("https://h/v1?key=AIza1&alt=sse"), "https://h/v1?key=***&alt=sse");
//! assert_eq!(redact::text("login failed: password=hunter2"), "login failed: password=***");
//! ```

mod body;
mod cut;
mod headers;
mod text;
mod url;

use std::borrow::Cow;

pub use crate::secret::mask::mask;
pub use body::{DEFAULT_MAX_INPUT, DEFAULT_MAX_OUTPUT, Limits, MAX_DEPTH, MAX_TEXT, body};
pub use headers::{Headers, MAX_HEADER, header, headers};
pub use text::{text, text_hidden, text_with, without_keys};
pub use url::{DisplayUri, query, uri, url};

/// Stands for what is not shown.
const HIDDEN: &str = "***";

/// The ends of a secret are shown from so many characters on; of a shorter one they would be
/// nearly all.
const SHOWN_FROM: usize = 18;

/// The ends of a secret, or [`HIDDEN`].
fn cover(secret: &str) -> Cow<'static, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.~+/=".contains(&byte);
    if secret.len() >= SHOWN_FROM && secret.bytes().all(plain) {
        Cow::Owned(mask(secret))
    } else {
        Cow::Borrowed(HIDDEN)
    }
}
