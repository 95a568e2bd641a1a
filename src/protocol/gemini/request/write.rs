//! Hub to wire.

use bytes::BytesMut;

use super::history::{self, Message};
use super::{losses, settings, tools};
use crate::protocol::Protocol;
use crate::protocol::gemini::names::camel;
use crate::protocol::gemini::part_writer::{PartWriter, STAND_IN_SIGNATURE};
use crate::protocol::gemini::schema::Adapter;
use crate::protocol::json::{ArrayWriter, Kind, ObjectWriter, Raw};
use crate::protocol::model::{Content, Part, Place, Request, Role, Turn, Vendor};
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::target::Target;

/// Appends the request as a body of Gemini. What Gemini cannot say goes to `report`.
///
/// A request that was read from Gemini is written back as it stood. Of any other, whose results
/// must stand behind their calls, instructions are joined in `systemInstruction`, and turns of one
/// role are joined. Whether it streams is not said in the body; see [`endpoint`](super::endpoint).
pub fn write(
    request: &Request<'_>,
    target: &Target,
    report: &mut Reporter<'_>,
    out: &mut BytesMut,
) {
    let native = request.origin == Protocol::Gemini;
    let media_in_results = target.media_in_results;
    let parts = PartWriter { native, to_client: false, media_in_results, report };
    let mut writer = Writer { request, parts, object: ObjectWriter::begin(out) };
    match request.rest.source() {
        Some(source) if native => writer.native(source),
        _ => writer.foreign(target),
    }
    writer.object.end();
}

struct Writer<'x, 'a, 's> {
    request: &'x Request<'a>,
    parts: PartWriter<'x, 's>,
    object: ObjectWriter<'x>,
}

impl<'x, 'a> Writer<'x, 'a, '_> {
    /// The conversation as it is in the hub, all else as it stood.
    fn native(&mut self, source: &Raw<'_>) {
        let request = self.request;
        // The reader kept an object.
        let _ = source.cursor().object(|key, c| {
            let value = c.raw()?;
            let kind = value.kind();
            let Self { parts, object, .. } = self;
            match &*camel(&key) {
                "model" if kind == Kind::String => object.str(key.escaped(), &request.model),
                "contents" if kind == Kind::Array => object.array(key.escaped(), |array| {
                    request.turns.iter().for_each(|turn| native_turn(parts, turn, array));
                }),
                "systemInstruction" if kind == Kind::Object => {
                    native_instruction(parts, request, object.key(key.escaped()));
                }
                _ => object.raw(key.escaped(), &value),
            }
            Ok(())
        });
    }

    fn foreign(&mut self, target: &Target) {
        let request = self.request;
        let mut schemas = Adapter::new();
        losses::report(request, self.parts.report);
        let mut messages = history::arrange(request, &mut self.parts);
        let mut system = self.hoisted();
        if messages.is_empty() && !system.is_empty() {
            // Gemini demands a content.
            messages.push(Message::new(Role::User, std::mem::take(&mut system)));
        }
        self.system(&system);
        self.contents(&messages, target);
        tools::write(request, target, &mut schemas, self.parts.report, &mut self.object);
        settings::write(request, target, &mut schemas, self.parts.report, &mut self.object);
    }

    /// The texts of all instructions, in their order.
    fn hoisted(&mut self) -> Vec<&'x Part<'a>> {
        let mut texts = Vec::new();
        for instruction in &self.request.instructions {
            self.parts.report.rest(&instruction.rest);
            if let Some(name) = &instruction.name {
                let reason = "system texts have no names";
                self.parts.lose(name.escaped(), Severity::Degrade, reason);
            }
            let moved = match instruction.place {
                Place::Before(1..) => Some((Severity::Degrade, "moved to the front")),
                _ if instruction.developer => Some((Severity::Ignore, "told as system")),
                _ => None,
            };
            for part in &instruction.parts {
                match &part.content {
                    Content::Text { text, .. } | Content::Refusal(text) if text.is_empty() => {}
                    Content::Text { text, .. } | Content::Refusal(text) => {
                        texts.push(part);
                        if let Some((severity, reason)) = moved {
                            self.parts.lose(text.escaped(), severity, reason);
                        }
                    }
                    other => {
                        self.parts.lose(other.piece(), Severity::Degrade, "system takes only text");
                    }
                }
            }
        }
        texts
    }

    fn system(&mut self, texts: &[&Part<'_>]) {
        if texts.is_empty() {
            return;
        }
        let Self { parts, object, .. } = self;
        object.object("systemInstruction", |object| {
            object.array("parts", |array| {
                texts.iter().for_each(|part| parts.part(part, None, array));
            });
        });
    }

    fn contents(&mut self, messages: &[Message<'_, '_>], target: &Target) {
        let Self { parts, object, .. } = self;
        object.array("contents", |array| {
            for message in messages {
                let mut stand_in = stand_in(message).filter(|_| target.stand_in_signatures);
                array.object(|object| {
                    object.plain("role", role(message.role));
                    object.array("parts", |array| {
                        for part in &message.parts {
                            let call = matches!(part.content, Content::ToolCall(_));
                            let signature = if call { stand_in.take() } else { None };
                            parts.part(part, signature, array);
                        }
                    });
                });
            }
        });
    }
}

/// What stands for the signature of the first call, where no call of the content has one.
fn stand_in(message: &Message<'_, '_>) -> Option<&'static str> {
    let signed = message.parts.iter().any(|part| match &part.content {
        Content::ToolCall(call) => {
            call.seal.as_ref().is_some_and(|seal| seal.vendor == Vendor::Gemini)
        }
        _ => false,
    });
    (!signed).then_some(STAND_IN_SIGNATURE)
}

fn role(role: Role) -> &'static str {
    match role {
        Role::User => "user",
        Role::Assistant => "model",
    }
}

fn push(out: &mut BytesMut, raw: &Raw<'_>) {
    out.extend_from_slice(raw.as_str().as_bytes());
}

fn native_turn(parts: &mut PartWriter<'_, '_>, turn: &Turn<'_>, array: &mut ArrayWriter<'_>) {
    let Some(source) = turn.rest.source() else {
        return array.object(|object| {
            object.plain("role", role(turn.role));
            object.array("parts", |array| parts.parts(&turn.parts, array));
            turn.rest.write(object);
        });
    };
    if source.kind() != Kind::Object {
        return push(array.item(), source);
    }
    array.object(|object| {
        // The reader kept an object. Its parts are taken from the hub all the same: a seal may
        // have been taken out of its envelope.
        let _ = source.cursor().object(|key, c| {
            let value = c.raw()?;
            match &*camel(&key) {
                "parts" if value.kind() == Kind::Array => {
                    object.array(key.escaped(), |array| parts.parts(&turn.parts, array));
                }
                _ => object.raw(key.escaped(), &value),
            }
            Ok(())
        });
    });
}

fn native_instruction(parts: &mut PartWriter<'_, '_>, request: &Request<'_>, out: &mut BytesMut) {
    let top = request.instructions.iter().find(|i| i.place == Place::Top);
    if let Some(source) = top.and_then(|instruction| instruction.rest.source()) {
        return push(out, source);
    }
    let mut object = ObjectWriter::begin(out);
    if let Some(instruction) = top {
        object.array("parts", |array| parts.parts(&instruction.parts, array));
        instruction.rest.write(&mut object);
    }
    object.end();
}
