//! The first events of a stream and its last.

use bytes::BytesMut;

use super::item::{Events, Item};
use crate::protocol::Answer;
use crate::protocol::json::{JsonStr, ObjectWriter};
use crate::protocol::model::{ApiError, Rest, Usage};
use crate::protocol::openai_error;
use crate::protocol::openai_responses::finish::{FAILED_CODES, State};
use crate::protocol::openai_responses::{envelope, tokens};

/// What every `response` object of a stream has.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Head {
    id: JsonStr<'static>,
    model: JsonStr<'static>,
    created: u64,
    members: Rest<'static>,
}

impl Head {
    /// Settles it. The upstream's id and members count where it speaks this protocol too.
    pub(super) fn new(
        (id, model): (&JsonStr<'_>, &JsonStr<'_>),
        created: Option<u64>,
        rest: &Rest<'_>,
        own: bool,
        answer: &mut Answer,
    ) -> Self {
        let id = if own && !id.is_empty() {
            id.clone().into_owned()
        } else {
            JsonStr::from_plain(answer.ids.make("resp_"))
        };
        let model = if model.is_empty() {
            JsonStr::from_plain(answer.model.clone())
        } else {
            model.clone().into_owned()
        };
        let members = match rest.source().filter(|_| own) {
            Some(source) => {
                let mut members = envelope::merged(&[source], false).into_owned();
                envelope::fill(&mut members);
                members
            }
            None => envelope::echoed(&answer.echo).into_owned(),
        };
        Self { id, model, created: created.unwrap_or(answer.created), members }
    }

    /// Puts the members of the upstream's last event over those of its first.
    pub(super) fn update(&mut self, rest: &Rest<'_>) {
        let Some(source) = rest.source() else { return };
        let mut members = envelope::merged(&[source], false).into_owned();
        let known = |name: &JsonStr<'_>| members.0.iter().any(|(key, _)| key == name);
        let older: Vec<_> = self.members.0.iter().filter(|(key, _)| !known(key)).cloned().collect();
        members.0.extend(older);
        self.members = members;
    }

    fn begin(&self, response: &mut ObjectWriter<'_>) {
        response.str("id", &self.id);
        response.plain("object", "response");
        response.u64("created_at", self.created);
        response.str("model", &self.model);
    }

    /// Writes the first two events.
    pub(super) fn first(&self, events: &mut Events, out: &mut BytesMut) {
        for name in ["response.created", "response.in_progress"] {
            events.write(name, out, |event| {
                event.object("response", |response| {
                    self.begin(response);
                    response.plain("status", "in_progress");
                    response.null("error");
                    response.null("incomplete_details");
                    response.array("output", |_| {});
                    self.members.write(response);
                    response.null("usage");
                });
            });
        }
    }

    /// Writes the last event. It repeats the items that are complete; where the usage is not known
    /// it is zero, but for an answer that failed.
    pub(super) fn last(
        &self,
        state: &State<'_>,
        items: &[Item],
        usage: Option<&Usage<'_>>,
        events: &mut Events,
        out: &mut BytesMut,
    ) {
        let name = match state {
            State::Completed => "response.completed",
            State::Incomplete(_) => "response.incomplete",
            State::Failed(..) => "response.failed",
        };
        events.write(name, out, |event| {
            event.object("response", |response| {
                self.begin(response);
                state.write(response);
                response.array("output", |list| {
                    for json in items.iter().filter_map(Item::complete) {
                        list.item().extend_from_slice(json);
                    }
                });
                self.members.write(response);
                write_usage(response, state, usage);
            });
        });
    }
}

fn write_usage(response: &mut ObjectWriter<'_>, state: &State<'_>, usage: Option<&Usage<'_>>) {
    match (usage, state) {
        (Some(Usage { raw: Some(raw), .. }), _) => response.raw("usage", raw),
        (Some(usage), _) => response.object("usage", |object| tokens::write(usage, object)),
        (None, State::Failed(..)) => response.null("usage"),
        (None, _) => response.object("usage", |object| tokens::write(&Usage::default(), object)),
    }
}

/// Writes the event `error`, flat as documented and nested as OpenAI's own clients read it, and
/// gives the state that follows from it.
pub(super) fn write_error<'e>(
    error: &'e ApiError<'_>,
    events: &mut Events,
    out: &mut BytesMut,
) -> State<'e> {
    let (type_word, word) = openai_error::words(error.kind);
    let own_code = error.code.as_ref().map(JsonStr::borrow);
    let code = word.map(JsonStr::from_plain).or(own_code);
    let members = |object: &mut ObjectWriter<'_>| {
        for (name, value) in [
            ("code", code.as_ref()),
            ("message", Some(&error.message)),
            ("param", error.param.as_ref()),
        ] {
            match value {
                Some(value) => object.str(name, value),
                None => object.null(name),
            }
        }
    };
    events.write("error", out, |event| {
        members(event);
        event.object("error", |inner| {
            inner.plain("type", type_word);
            members(inner);
        });
    });
    // The event takes any code, the answer only what its readers know.
    let known = code.filter(|code| word.is_some() || FAILED_CODES.contains(&&*code.decode()));
    let instead =
        if type_word == "invalid_request_error" { "invalid_prompt" } else { "server_error" };
    State::Failed(known.unwrap_or_else(|| JsonStr::from_plain(instead)), error.message.borrow())
}
