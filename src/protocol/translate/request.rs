use std::fmt;

use bytes::{Bytes, BytesMut};

use super::codec::codec;
use super::prepare::prepare;
use super::{TranslateError, seals, utf8};
use crate::protocol::json::JsonStr;
use crate::protocol::model::Reasoning;
use crate::protocol::profile::Profiles;
use crate::protocol::report::{Mode, Reporter, Severity, TranslationReport};
use crate::protocol::restore::Restore;
use crate::protocol::seal::{Home, may_hold_envelope};
use crate::protocol::{Endpoint, Head, Layout, Protocol, Target, VendorTag};

/// How a request is translated.
#[derive(Clone, Copy)]
pub struct RequestOptions<'o> {
    /// What the models of the upstream need; asked by the name that the upstream knows.
    pub profiles: &'o Profiles,
    /// What to refuse.
    pub mode: Mode,
    /// What the request said outside of its body, where that is at hand.
    pub head: Option<Head<'o>>,
    /// The model to ask for instead of the caller's; `None` leaves it.
    pub map_model: &'o dyn Fn(&str) -> Option<String>,
    /// Whose upstream it is: seals of any other vendor are left out. Default the one of hosts that
    /// have no other.
    pub vendor: VendorTag,
    /// What was [deposited](super::Deposit) for this call, by this caller, from an upstream of this
    /// vendor. Asked only for callers of Chat and DashScope.
    pub recall: &'o dyn Fn(&KnownCall<'_>) -> Option<Bytes>,
}

/// A call of a request's history, as far as it is told from those of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct KnownCall<'a> {
    /// See [`TranslatedRequest::conversation`].
    pub conversation: Option<&'a str>,
    /// The id of the call.
    pub id: &'a str,
}

impl fmt::Debug for RequestOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestOptions")
            .field("profiles", &self.profiles)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

impl Default for RequestOptions<'_> {
    fn default() -> Self {
        Self {
            profiles: &Profiles::DEFAULT,
            mode: Mode::default(),
            head: None,
            map_model: &|_| None,
            vendor: VendorTag::default(),
            recall: &|_| None,
        }
    }
}

/// A request in the upstream's protocol, and what the answer's writer must know of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TranslatedRequest {
    /// The body to send.
    pub body: BytesMut,
    /// Where it goes.
    pub endpoint: Endpoint,
    /// What it could not carry.
    pub report: TranslationReport,
    /// The model that the caller asked for.
    pub model: String,
    /// The model that is asked of the upstream.
    pub upstream_model: String,
    /// The caller wants a stream. Where it does not, the upstream may be asked for one all the same:
    /// some models think only then ([`Target`](crate::protocol::Target)).
    pub stream: bool,
    /// The caller wants the usage at the end of a stream.
    pub include_usage: bool,
    /// How the caller wants the answer laid out.
    pub layout: Layout,
    /// What the answer repeats of the request; see [`Answer::echo`](crate::protocol::Answer::echo).
    pub echo: String,
    /// What was changed in it, to be changed back in the answer.
    pub restore: Restore,
    /// The end user.
    pub user: Option<String>,
    /// The prompt cache key.
    pub cache_key: Option<String>,
}

impl TranslatedRequest {
    /// What the caller's body has to tell its conversation from others: the prompt cache key, else
    /// the end user; `None` where it has neither.
    #[must_use]
    pub fn conversation(&self) -> Option<&str> {
        conversation(&self.cache_key, &self.user)
    }
}

fn conversation<'s>(cache_key: &'s Option<String>, user: &'s Option<String>) -> Option<&'s str> {
    cache_key.as_deref().or(user.as_deref())
}

/// Translates a request.
///
/// # Errors
/// When the body is not of its protocol, or the mode refuses a loss.
pub fn request(
    from: Protocol,
    to: Protocol,
    body: &[u8],
    options: &RequestOptions<'_>,
) -> Result<TranslatedRequest, TranslateError> {
    let (reader, writer) = (codec(from), codec(to));
    let text = utf8(body)?;
    let mut request = (reader.read_request)(text)?;
    if let Some(head) = &options.head {
        (reader.read_head)(&mut request, head);
    }
    let owned = |text: &Option<JsonStr<'_>>| text.as_ref().map(|text| text.decode().into_owned());
    let model = request.model.decode().into_owned();
    let upstream_model = (options.map_model)(&model).unwrap_or_else(|| model.clone());
    if upstream_model != model {
        request.model = JsonStr::from_plain(upstream_model.clone());
    }
    let target = &options.profiles.target(to, &upstream_model);
    let stream = request.stream.unwrap_or(false);
    let echo = (reader.echo)(&request, text);
    let (user, cache_key) = (owned(&request.end_user), owned(&request.cache_key));
    let anchors = std::mem::take(&mut request.anchors);
    let mut reporter = Reporter::new(text).anchored(&anchors);
    let mut restore = Restore::default();
    if from != to {
        let home = Home { protocol: to, vendor: options.vendor };
        let conversation = conversation(&cache_key, &user);
        let recall = |id: &str| (options.recall)(&KnownCall { conversation, id });
        seals::open(&mut request, home, &recall, &mut reporter);
        restore = prepare(&mut request, to, target, &mut reporter);
    }
    // Members that the target adds (an id, a wrapper) are few; the texts decide the size.
    let mut out = BytesMut::with_capacity(body.len() + body.len() / 16 + 256);
    (writer.write_request)(&request, target, &mut reporter, &mut out);
    let report = reporter.finish();
    if let Some(loss) = report.refused_by(options.mode) {
        return Err(TranslateError::Refused(loss.clone()));
    }
    Ok(TranslatedRequest {
        body: out,
        endpoint: (writer.endpoint)(&request, target),
        report,
        model,
        upstream_model,
        stream,
        include_usage: request.include_usage.unwrap_or(false),
        layout: request.layout,
        echo,
        restore,
        user,
        cache_key,
    })
}

/// A request within one protocol, rid of what was meant for another vendor.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct OpenedRequest {
    /// The body to send.
    pub body: BytesMut,
    /// What it lost.
    pub report: TranslationReport,
}

/// A request that goes to an upstream of its own protocol, without what a translated answer once
/// put into its history for another upstream; `None` where there is nothing of the kind, and the
/// body can stay as it is. What the upstream's own vendor sealed is put back to its place.
///
/// # Errors
/// When the body is not of its protocol.
pub fn open_envelopes(
    protocol: Protocol,
    vendor: VendorTag,
    body: &[u8],
) -> Result<Option<OpenedRequest>, TranslateError> {
    if !may_hold_envelope(body) {
        return Ok(None);
    }
    let codec = codec(protocol);
    let text = utf8(body)?;
    let mut request = (codec.read_request)(text)?;
    if !seals::holds_envelopes(&request) {
        return Ok(None);
    }
    let anchors = std::mem::take(&mut request.anchors);
    let mut reporter = Reporter::new(text).anchored(&anchors);
    seals::open(&mut request, Home { protocol, vendor }, &|_| None, &mut reporter);
    if protocol == Protocol::Anthropic && seals::lacks_thinking(&request) {
        // Else it is refused: another vendor called the tools, and there is no thinking before.
        let reason = "no thinking where another vendor called the tools";
        reporter.member(request.thinking_member(), Severity::Degrade, reason);
        let Reasoning { effort, .. } = request.reasoning;
        request.reasoning = Reasoning { effort, ..Reasoning::default() };
    }
    let mut out = BytesMut::with_capacity(body.len());
    (codec.write_request)(&request, &Target::DEFAULT, &mut reporter, &mut out);
    Ok(Some(OpenedRequest { body: out, report: reporter.finish() }))
}
