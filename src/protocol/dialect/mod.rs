//! Vendors who speak a protocol in their own way.
//!
//! A [`Dialect`] stands between our writers and readers and one upstream: it changes what is sent
//! (path, headers, body) and what comes back, one JSON document at a time. That is how a vendor is
//! added without a protocol of its own:
//!
//! ```
//! use std::borrow::Cow;
//!
//! use tower_llm_gateway::context::Upstream;
//! use tower_llm_gateway::protocol::Protocol;
//! use tower_llm_gateway::protocol::dialect::{
//!     AnswerPiece, Dialect, DialectError, Outgoing,
//! };
//!
//! /// Speaks Chat Completions, wants to know the team, and calls an answer's text `output`.
//! #[derive(Debug)]
//! struct Acme;
//!
//! impl Dialect for Acme {
//!     fn request(&self, request: &mut Outgoing<'_>) -> Result<(), DialectError> {
//!         request.headers.insert("x-team", http::HeaderValue::from_static("search"));
//!         request.set_path("/chat/completions", "/talk")
//!     }
//!
//!     fn answer<'a>(&self, document: &'a str, _: AnswerPiece) -> Cow<'a, str> {
//!         document.replace(r#""output":"#, r#""content":"#).into()
//!     }
//!
//!     fn changes_answers(&self) -> bool {
//!         true
//!     }
//! }
//!
//! let upstream = Upstream::new("https://api.acme.example", Protocol::OpenAiChat)?.dialect(Acme);
//! # Ok::<(), tower_llm_gateway::context::BadUpstream>(())
//! ```
//!
//! Two stand ready: [`Completions`], the API before Chat Completions, and [`GeminiOpenAi`], the
//! endpoint at which Gemini speaks Chat Completions.

mod completions;
mod gemini_openai;

pub use completions::Completions;
pub use gemini_openai::GeminiOpenAi;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::BytesMut;
use http::uri::PathAndQuery;
use http::{HeaderMap, Uri};

use super::json::{JsonError, ObjectWriter, Raw};
use super::report::TranslationReport;

/// A vendor's own way of speaking a protocol. See the [module docs](self).
pub trait Dialect: fmt::Debug + Send + Sync {
    /// Changes a request that is ready to be sent. Default: nothing.
    ///
    /// # Errors
    /// When it holds what this vendor cannot be asked; the caller is told with a 400.
    fn request(&self, _request: &mut Outgoing<'_>) -> Result<(), DialectError> {
        Ok(())
    }

    /// Changes one JSON document of an answer before it is read: a whole answer, an error, or the
    /// data of one event. Default: nothing.
    ///
    /// Whatever is no JSON (`[DONE]`, a page of a proxy) comes here too, and is best left alone.
    fn answer<'a>(&self, document: &'a str, _piece: AnswerPiece) -> Cow<'a, str> {
        Cow::Borrowed(document)
    }

    /// Whether [`answer`](Self::answer) does anything. Where it does not, answers in the caller's
    /// own protocol pass untouched. Default false.
    fn changes_answers(&self) -> bool {
        false
    }
}

/// Which piece of an answer a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnswerPiece {
    /// All of it.
    Whole,
    /// The data of one event of a stream.
    Event,
    /// All of an answer with a status of 400 or above.
    Error,
}

/// A request that is ready to be sent. `Debug` shows no more than the path.
pub struct Outgoing<'r> {
    /// Where it goes, whole.
    pub uri: &'r mut Uri,
    /// Its headers, the credential among them.
    pub headers: &'r mut HeaderMap,
    /// Its body, one JSON object.
    pub body: &'r mut BytesMut,
    /// Takes what the dialect cannot carry.
    pub report: &'r mut TranslationReport,
}

impl fmt::Debug for Outgoing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("path", &self.uri.path()).finish_non_exhaustive()
    }
}

impl Outgoing<'_> {
    /// Puts `new` in place of `old` at the end of the path.
    ///
    /// # Errors
    /// When the path does not end with `old`, or the new one is none.
    pub fn set_path(&mut self, old: &str, new: &str) -> Result<(), DialectError> {
        let before = self.uri.path().strip_suffix(old).ok_or(DialectError("unexpected path"))?;
        let query = self.uri.query().map_or(String::new(), |query| format!("?{query}"));
        let path: PathAndQuery = format!("{before}{new}{query}")
            .try_into()
            .map_err(|_| DialectError("the path makes no valid URL"))?;
        let mut parts = std::mem::take(self.uri).into_parts();
        parts.path_and_query = Some(path);
        *self.uri = Uri::from_parts(parts).map_err(|_| DialectError("no valid URL"))?;
        Ok(())
    }

    /// Writes the body anew: `member` is shown each member in its order and writes it, or
    /// something else, or nothing; `end` writes what comes last.
    ///
    /// # Errors
    /// When the body is no JSON object, and whatever the two give.
    pub fn rewrite<E: Into<DialectError>>(
        &mut self,
        mut member: impl FnMut(&str, &Raw<'_>, &mut ObjectWriter<'_>) -> Result<(), E>,
        end: impl FnOnce(&mut ObjectWriter<'_>),
    ) -> Result<(), DialectError> {
        let body = self.body.split();
        let text = std::str::from_utf8(&body).map_err(|_| NOT_JSON)?;
        let mut failed = None;
        let document = Raw::parse(text).map_err(|_| NOT_JSON)?;
        let mut object = ObjectWriter::begin(self.body);
        let walked = document.cursor().object(|key, c| {
            let value = c.raw()?;
            if failed.is_none() {
                failed = member(&key.decode(), &value, &mut object).err().map(Into::into);
            }
            Ok(())
        });
        end(&mut object);
        object.end();
        walked.map_err(|_: JsonError| NOT_JSON)?;
        failed.map_or(Ok(()), Err)
    }
}

const NOT_JSON: DialectError = DialectError("the body is no JSON object");

/// Why a dialect cannot send a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DialectError(
    /// What is wrong, for the caller.
    pub &'static str,
);

impl fmt::Display for DialectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for DialectError {}

/// A dialect as an upstream keeps it. Two are equal when they are the same one.
#[derive(Debug, Clone)]
pub struct SharedDialect(Arc<dyn Dialect>);

impl SharedDialect {
    /// Shares a dialect.
    #[must_use]
    pub fn new(dialect: impl Dialect + 'static) -> Self {
        Self(Arc::new(dialect))
    }
}

impl std::ops::Deref for SharedDialect {
    type Target = dyn Dialect;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl PartialEq for SharedDialect {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
