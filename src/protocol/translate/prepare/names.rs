//! Names of tools that the target takes, each only once.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::custom::is_server;
use crate::protocol::Protocol;
use crate::protocol::call_id::digest;
use crate::protocol::json::{JsonStr, Raw};
use crate::protocol::model::{Content, Request, Tool, ToolChoice, ToolKind};
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::restore::Restore;

/// How many letters and digits of a hash tell changed names apart.
const MARK: usize = 8;

/// Changes names that the target does not take, wherever they stand, and drops tools that are
/// declared twice. `wrapped` are the tools whose answers are to be unwrapped.
///
/// A changed name keeps what it can of the old one and ends in a mark made of its hash: the same
/// name is always changed into the same one.
pub(super) fn adapt<'a>(
    request: &mut Request<'a>,
    to: Protocol,
    wrapped: Vec<JsonStr<'a>>,
    report: &mut Reporter<'_>,
    restore: &mut Restore,
) {
    drop_repeated(&mut request.tools, report);
    let rule = Rule::of(to);
    let changed = changed(request, rule);
    for name in wrapped {
        let plain = name.decode();
        let upstream = changed.get(&*plain).cloned();
        restore.wrap(upstream.unwrap_or_else(|| plain.into_owned()));
    }
    if changed.is_empty() {
        return;
    }
    each_name(request, &mut |name| {
        if let Some(other) = changed.get(&*name.decode()) {
            *name = JsonStr::from_plain(other.clone());
        }
    });
    changed.into_iter().for_each(|(caller, upstream)| restore.rename(caller, upstream));
}

/// Which names a target takes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rule {
    longest: usize,
    /// Signs beside letters and digits.
    signs: &'static [u8],
    /// It begins with a letter or `_`.
    begins_as_word: bool,
}

impl Rule {
    fn of(to: Protocol) -> Self {
        match to {
            Protocol::Anthropic => Self { longest: 128, signs: b"_-", begins_as_word: false },
            Protocol::Gemini => Self { longest: 64, signs: b"_-.:", begins_as_word: true },
            Protocol::OpenAiChat | Protocol::OpenAiResponses | Protocol::DashScope => {
                Self { longest: 64, signs: b"_-", begins_as_word: false }
            }
        }
    }

    fn takes(self, byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || self.signs.contains(&byte)
    }

    fn begins(self, name: &str) -> bool {
        let word = |b: &u8| b.is_ascii_alphabetic() || *b == b'_';
        !self.begins_as_word || name.as_bytes().first().is_none_or(word)
    }

    fn accepts(self, name: &str) -> bool {
        (1..=self.longest).contains(&name.len())
            && name.bytes().all(|byte| self.takes(byte))
            && self.begins(name)
    }

    /// Another name for one that is not taken; `round` counts the attempts.
    fn change(self, name: &str, round: usize) -> String {
        let mut changed = String::with_capacity(self.longest);
        if name.is_empty() || !self.begins(name) {
            changed.push('_');
        }
        let room = self.longest - MARK - 1 - changed.len();
        let fitting = |c: char| u8::try_from(c).is_ok_and(|byte| self.takes(byte));
        changed.extend(name.chars().take(room).map(|c| if fitting(c) { c } else { '_' }));
        changed.push('_');
        let marked = if round == 0 { name.to_owned() } else { format!("{name}\n{round}") };
        changed.push_str(&digest(&marked, MARK));
        changed
    }
}

/// The names that must be changed, and into what.
fn changed(request: &mut Request<'_>, rule: Rule) -> HashMap<String, String> {
    let (mut changed, mut bad) = (HashMap::new(), Vec::new());
    each_name(request, &mut |name| {
        let plain = name.decode();
        if !rule.accepts(&plain) {
            bad.push(plain.into_owned());
        }
    });
    if bad.is_empty() {
        return changed;
    }
    let mut taken = HashSet::new();
    each_name(request, &mut |name| {
        taken.insert(name.decode().into_owned());
    });
    for name in bad {
        let Entry::Vacant(entry) = changed.entry(name) else { continue };
        let mut rounds = (0..).map(|round| rule.change(entry.key(), round));
        let free = rounds.find(|other| taken.insert(other.clone()));
        entry.insert(free.unwrap_or_default());
    }
    changed
}

/// Every place where a tool is named.
fn each_name<'a>(request: &mut Request<'a>, visit: &mut dyn FnMut(&mut JsonStr<'a>)) {
    request.tools.iter_mut().filter(|tool| !is_server(tool)).for_each(|tool| visit(&mut tool.name));
    match &mut request.tool_choice {
        Some(ToolChoice::Tool(name)) => visit(name),
        Some(ToolChoice::Allowed { names, .. }) => names.iter_mut().for_each(&mut *visit),
        _ => {}
    }
    for part in request.turns.iter_mut().flat_map(|turn| &mut turn.parts) {
        match &mut part.content {
            Content::ToolCall(call) => visit(&mut call.name),
            Content::ToolResult(result) => result.name.iter_mut().for_each(&mut *visit),
            _ => {}
        }
    }
}

/// Vendors refuse a name that is declared twice. The first declaration stays.
fn drop_repeated(tools: &mut Vec<Tool<'_>>, report: &mut Reporter<'_>) {
    let mut first = HashMap::with_capacity(tools.len());
    let mut repeated = Vec::new();
    for (at, tool) in tools.iter().enumerate().filter(|(_, tool)| !is_server(tool)) {
        let before = *first.entry(tool.name.decode()).or_insert(at);
        if before == at {
            continue;
        }
        let (severity, reason) = if declares_same(&tools[before], tool) {
            (Severity::Ignore, "the same tool twice")
        } else {
            (Severity::Degrade, "another tool of the same name")
        };
        report.string(&tool.name, severity, reason);
        repeated.push(at);
    }
    let (mut at, mut repeated) = (0, repeated.into_iter().peekable());
    tools.retain(|_| {
        at += 1;
        repeated.next_if_eq(&(at - 1)).is_none()
    });
}

fn declares_same(one: &Tool<'_>, other: &Tool<'_>) -> bool {
    fn form<'t, 'a>(tool: &'t Tool<'a>) -> Option<&'t Raw<'a>> {
        match &tool.kind {
            ToolKind::Function { schema, .. } => schema.as_ref(),
            ToolKind::Custom { format } => format.as_ref(),
            ToolKind::Server { .. } => None,
        }
    }
    one.description == other.description && form(one) == form(other)
}
