//! Items to turns.

use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, Raw};
use crate::protocol::model::{
    Content, GroupPlace, Instruction, Part, Place, Request, Rest, Role, ToolGroup, Turn,
    TurnMessage,
};
use crate::protocol::openai_responses::content::{self, Side};
use crate::protocol::openai_responses::items::{self, Author, Item, Message};
use crate::protocol::openai_responses::request::tools;

/// A call that named its namespace: its turn, its part, the namespace.
pub(super) type Named<'a> = (usize, usize, JsonStr<'a>);

/// Reads `instructions`: a string, or the list of items that an answer may repeat.
pub(super) fn read_instructions<'a>(
    request: &mut Request<'a>,
    c: &mut Cursor<'a>,
) -> Result<(), JsonError> {
    let start = c.clone();
    let mut top = instruction(Place::Top);
    if c.kind()? == Kind::String {
        top.parts.push(Part::text(c.string()?));
        top.plain = true;
    } else {
        c.array(|_, c| {
            match items::read(c)? {
                Item::Message(message) => {
                    top.parts.extend(message.contents.parts);
                    top.rest.0.extend(message.rest.0);
                }
                Item::Part(_, part, _) => top.parts.push(part),
                Item::Tools(raw) => {
                    let kind = JsonStr::from_plain("additional_tools");
                    top.parts.push(Part::new(Content::Other { kind, raw }));
                }
            }
            Ok(())
        })?;
        top.rest.keep_source(c.since(&start));
    }
    request.instructions.push(top);
    Ok(())
}

fn instruction<'a>(place: Place) -> Instruction<'a> {
    Instruction {
        developer: false,
        place,
        parts: Vec::new(),
        plain: false,
        name: None,
        rest: Rest::default(),
    }
}

/// Reads `input`, and says which calls named a namespace.
pub(super) fn read_input<'a>(
    request: &mut Request<'a>,
    key: &JsonStr<'a>,
    c: &mut Cursor<'a>,
) -> Result<Vec<Named<'a>>, JsonError> {
    let start = c.clone();
    if c.kind()? == Kind::String {
        let contents = content::read(Side::Input, c)?;
        let (parts, plain) = (contents.parts, contents.plain);
        request.turns.push(Turn { parts, plain, ..Turn::new(Role::User) });
        request.input_rest.keep_source(c.since(&start));
        return Ok(Vec::new());
    }
    let mut history = History { request, open: None, named: Vec::new() };
    let mut empty = true;
    c.array(|index, c| {
        empty = false;
        history.request.anchor(key, Some(index), c)?;
        history.add(items::read(c)?)
    })?;
    let named = history.named;
    if empty {
        request.input_rest.keep_source(c.since(&start));
    }
    Ok(named)
}

struct History<'h, 'a> {
    request: &'h mut Request<'a>,
    /// Whose items the last turn still takes.
    open: Option<Role>,
    named: Vec<Named<'a>>,
}

impl<'a> History<'_, 'a> {
    fn add(&mut self, item: Item<'a>) -> Result<(), JsonError> {
        match item {
            Item::Message(message) => self.message(message),
            Item::Part(role, part, namespace) => {
                let at = self.turn(role);
                let turn = &mut self.request.turns[at];
                turn.parts.push(part);
                self.named.extend(namespace.map(|name| (at, turn.parts.len() - 1, name)));
            }
            Item::Tools(raw) => self.tools(raw)?,
        }
        Ok(())
    }

    /// The turn that takes the next item of this side.
    fn turn(&mut self, role: Role) -> usize {
        if self.open != Some(role) {
            self.request.turns.push(Turn::new(role));
            self.open = Some(role);
        }
        self.request.turns.len() - 1
    }

    fn message(&mut self, message: Message<'a>) {
        let Message { author, contents, mut rest, raw } = message;
        let role = match author {
            Author::User => {
                // What a caller says is a turn of its own, apart from results of tools.
                self.open = None;
                Role::User
            }
            Author::Assistant => Role::Assistant,
            Author::System | Author::Developer => {
                self.open = None;
                let place = Place::Before(self.request.turns.len());
                let developer = author == Author::Developer;
                let (parts, plain) = (contents.parts, contents.plain);
                let it = Instruction { developer, parts, plain, rest, ..instruction(place) };
                return self.request.instructions.push(it);
            }
        };
        let at = self.turn(role);
        let turn = &mut self.request.turns[at];
        let start = turn.parts.len();
        turn.plain = start == 0 && contents.plain;
        turn.parts.extend(contents.parts);
        turn.messages.push(TurnMessage { parts: start..turn.parts.len(), raw });
        turn.rest.0.append(&mut rest.0);
        if role == Role::User {
            self.open = None;
        }
    }

    fn tools(&mut self, raw: Raw<'a>) -> Result<(), JsonError> {
        self.open = None;
        let listed = self.request.instructions.iter().filter(|it| it.place != Place::Top);
        let place =
            GroupPlace::Messages { turns: self.request.turns.len(), instructions: listed.count() };
        tools::read_group(self.request, &raw)?;
        self.request.tool_groups.push(ToolGroup { place, raw });
        Ok(())
    }
}
