//! Finished answers: the `response` object.
//!
//! ```
//! use tower_llm_gateway::protocol::model::StopReason;
//! use tower_llm_gateway::protocol::openai_responses::response;
//!
//! let text = r#"{"id":"resp_1","object":"response","created_at":1,"status":"completed",
//!     "model":"gpt-5","output":[{"type":"message","id":"msg_1","status":"completed",
//!         "role":"assistant","content":[{"type":"output_text","text":"Hi","annotations":[]}]}]}"#;
//! let response = response::read(text)?;
//! let stop = response.candidates[0].stop.as_ref().map(|stop| stop.reason);
//! assert_eq!(stop, Some(StopReason::End));
//! # Ok::<(), tower_llm_gateway::protocol::json::JsonError>(())
//! ```

use bytes::BytesMut;

use super::envelope;
use super::finish::{self, Seen, State};
use super::item_writer::{inside, logprobs_of};
use super::namespaces::Namespaces;
use super::output::{Body, Item};
use super::parts_writer::PartsWriter;
use super::tokens;
use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, Number, ObjectWriter, Raw};
use crate::protocol::model::{
    Candidate, Content, Response, Rest, Spelling, Stop, StopReason, Usage,
};
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::wire::write_opt_raw;
use crate::protocol::{Answer, Protocol};

const OBJECT: &str = "response";

/// Reads an answer.
///
/// Parts of one message are parts of the hub, in a row. Tools that the vendor runs are kept whole.
/// Members of another kind than the protocol has count as unknown: an upstream may be careless with
/// what nobody needs.
///
/// # Errors
/// When the text is no JSON object.
pub fn read(text: &str) -> Result<Response<'_>, JsonError> {
    let whole = Raw::parse(text)?;
    let mut found = Found::default();
    Cursor::new(text).object(|key, c| found.member(&key, c))?;
    Ok(found.finish(whole))
}

#[derive(Default)]
struct Found<'a> {
    id: JsonStr<'a>,
    model: JsonStr<'a>,
    created: Option<Number<'a>>,
    status: Option<JsonStr<'a>>,
    incomplete: Option<Raw<'a>>,
    error: Option<Raw<'a>>,
    usage: Option<Usage<'a>>,
    items: Vec<Item<'a>>,
    rest: Rest<'a>,
}

impl<'a> Found<'a> {
    fn member(&mut self, key: &JsonStr<'a>, c: &mut Cursor<'a>) -> Result<(), JsonError> {
        match (&*key.decode(), c.kind()?) {
            ("id", Kind::String) => self.id = c.string()?,
            ("model", Kind::String) => self.model = c.string()?,
            ("created_at", Kind::Number) => self.created = Some(c.number()?),
            ("status", Kind::String) => self.status = Some(c.string()?),
            ("incomplete_details", _) => self.incomplete = Some(c.raw()?),
            ("error", _) => self.error = Some(c.raw()?),
            ("usage", Kind::Object) => self.usage = Some(tokens::read(c.raw()?)),
            ("output", Kind::Array) => c.array(|_, c| {
                self.items.push(Item::read(c)?);
                Ok(())
            })?,
            (name, _) => {
                let raw = c.raw()?;
                if !envelope::is_book(name) && !envelope::OWN.contains(&name) {
                    self.rest.keep(key.clone(), raw);
                }
            }
        }
        Ok(())
    }

    fn finish(mut self, whole: Raw<'a>) -> Response<'a> {
        let (mut parts, mut seen) = (Vec::new(), Seen::default());
        let mut logprobs = String::new();
        for item in self.items {
            collect_logprobs(&item, &mut logprobs);
            item.into_parts(&mut parts, &mut seen);
        }
        let stop =
            self.status.and_then(|word| finish::read(word, self.incomplete, self.error, seen));
        self.rest.keep_source(whole);
        Response {
            origin: Protocol::OpenAiResponses,
            id: self.id,
            model: self.model,
            created: self.created,
            candidates: vec![Candidate {
                index: 0,
                parts,
                stop,
                logprobs: (!logprobs.is_empty()).then(|| logprobs_of(&logprobs)).flatten(),
                spelling: Spelling::default(),
                message_rest: Rest::default(),
                rest: Rest::default(),
            }],
            usage: self.usage,
            rest: self.rest,
        }
    }
}

/// Token probabilities have the form of Chat's, but stand at the texts.
fn collect_logprobs(item: &Item<'_>, all: &mut String) {
    let Body::Message(pieces) = &item.body else { return };
    for list in pieces.iter().filter_map(|piece| piece.logprobs.as_ref()) {
        if !all.is_empty() {
            all.push(',');
        }
        all.push_str(inside(list));
    }
}

/// Writes an answer.
///
/// Answers of another protocol: texts and refusals in a row are one message; thinking is a summary,
/// with what seals it as `encrypted_content`; images are items of `image_generation_call`. Members
/// that clients demand are always there, what the request said of them is repeated
/// ([`Answer::echo`]). Other media, the vendor's own tools, citations that name no page and members
/// that only the other protocol knows are reported; a [`StopReason::Error`] is fatal.
pub fn write(
    response: &Response<'_>,
    answer: &mut Answer,
    report: &mut Reporter<'_>,
    out: &mut BytesMut,
) {
    let own = response.origin == Protocol::OpenAiResponses;
    let candidate = response.candidates.iter().find(|candidate| candidate.index == 0);
    let sources: Vec<_> = [candidate.and_then(|c| c.rest.source()), response.rest.source()]
        .into_iter()
        .flatten()
        .filter(|_| own)
        .collect();
    let stop = candidate.and_then(|candidate| candidate.stop.as_ref());
    let parts = candidate.map_or(&[][..], |candidate| &candidate.parts);
    let refused = parts.iter().any(|part| matches!(part.content, Content::Refusal(_)));
    let words = stop.and_then(finish::refusal_words).filter(|_| !own && !refused);
    let state = State::of(stop, refused || words.is_some(), own);

    let mut object = ObjectWriter::begin(out);
    if own && !response.id.is_empty() {
        object.str("id", &response.id);
    } else {
        object.plain("id", &answer.ids.make("resp_"));
    }
    object.plain("object", OBJECT);
    match &response.created {
        Some(created) => object.number("created_at", created),
        None => object.u64("created_at", answer.created),
    }
    if sources.is_empty() {
        state.write(&mut object);
    }
    if response.model.is_empty() {
        object.plain("model", &answer.model);
    } else {
        object.str("model", &response.model);
    }
    let namespaces = Namespaces::of(&answer.echo);
    object.array("output", |list| {
        let logprobs = candidate.and_then(|candidate| candidate.logprobs.as_ref());
        let ids = &mut answer.ids;
        let mut writer = PartsWriter {
            own,
            list,
            ids,
            report,
            logprobs,
            namespaces: &namespaces,
            last: state.of_last_item(),
        };
        writer.parts(parts);
        if let Some(words) = &words {
            writer.refusal(words);
        }
    });
    if sources.is_empty() {
        envelope::echoed(&answer.echo).write(&mut object);
    } else {
        envelope::merged(&sources, true).write(&mut object);
    }
    write_usage(&mut object, response.usage.as_ref(), &sources, own);
    object.end();
    if !own {
        losses(response, report);
    }
}

fn write_usage(
    object: &mut ObjectWriter<'_>,
    usage: Option<&Usage<'_>>,
    sources: &[&Raw<'_>],
    own: bool,
) {
    match usage {
        Some(Usage { raw: Some(raw), .. }) if own => object.raw("usage", raw),
        Some(usage) => object.object("usage", |object| tokens::write(usage, object)),
        // Clients read it without asking whether it is there.
        None if sources.is_empty() => {
            object.object("usage", |object| tokens::write(&Usage::default(), object));
        }
        None => {
            let raw = sources.iter().find_map(|source| source.member("usage"));
            write_opt_raw(object, "usage", raw.as_ref());
        }
    }
}

fn losses(response: &Response<'_>, report: &mut Reporter<'_>) {
    report.rest(&response.rest);
    for candidate in &response.candidates {
        report.rest(&candidate.message_rest);
        report.rest(&candidate.rest);
        if let Some(stop) = &candidate.stop {
            report_ending(stop, report);
        }
    }
    if response.candidates.len() > 1 {
        report.member("choices", Severity::Degrade, "Responses gives one answer");
    }
}

fn report_ending(stop: &Stop<'_>, report: &mut Reporter<'_>) {
    let word = stop.word.as_ref().map_or("", |word| word.escaped());
    match stop.reason {
        StopReason::Error => report.piece(word, Severity::Fatal, finish::FAILED),
        StopReason::Other => report.piece(word, Severity::Ignore, "no such ending in Responses"),
        _ => {}
    }
}
