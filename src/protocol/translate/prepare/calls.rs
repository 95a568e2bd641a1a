//! Every call has an id that the target takes, every result the id and the name of its call.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

use crate::protocol::call_id::{digest, hashed, is_word};
use crate::protocol::json::JsonStr;
use crate::protocol::model::{Content, Request, ToolCallKind, ToolResult, Turn};
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::{Protocol, Target};

/// Longest id of a call that OpenAI takes, in characters.
const MAX_ID: usize = 64;

/// How long the ids are that Mistral demands.
const SHORT_ID: usize = 9;

/// Pairs calls and results.
///
/// - A call without an id gets `call_<turn>_<n>`: the same history gives the same ids. So does one
///   whose id stood in the history before, as some models count anew in each turn.
/// - An id that the target does not take is replaced by one made of its hash.
/// - A result without an id belongs to the first call of its name that waits for one, in the
///   latest turn that has such; else to the first that waits.
/// - A result without a call is dropped: every vendor refuses it. So is a second one for the same
///   call; the first stays, as nothing that comes later may change what was sent before.
pub(super) fn pair(
    request: &mut Request<'_>,
    to: Protocol,
    target: &Target,
    report: &mut Reporter<'_>,
) {
    let mut pairing = Pairing::new(Rule::of(to, target), results(request).any(lacks_id));
    for (index, turn) in request.turns.iter_mut().enumerate() {
        if turn.parts.iter().any(|part| matches!(part.content, Content::ToolResult(_))) {
            pairing.results(turn, report);
        }
        pairing.calls(index, turn);
    }
}

fn results<'r, 'a>(request: &'r Request<'a>) -> impl Iterator<Item = &'r ToolResult<'a>> {
    request.turns.iter().flat_map(|turn| &turn.parts).filter_map(|part| match &part.content {
        Content::ToolResult(result) => Some(result),
        _ => None,
    })
}

fn lacks_id(result: &ToolResult<'_>) -> bool {
    result.call_id.is_empty()
}

/// Which ids a target takes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Rule {
    Any,
    /// Letters, digits, `_` and `-`.
    Word,
    /// At most [`MAX_ID`] characters.
    Bounded,
    /// [`SHORT_ID`] letters and digits.
    Short,
}

impl Rule {
    fn of(to: Protocol, target: &Target) -> Self {
        match to {
            Protocol::OpenAiChat if target.short_call_ids => Self::Short,
            Protocol::OpenAiChat | Protocol::OpenAiResponses => Self::Bounded,
            Protocol::Anthropic => Self::Word,
            Protocol::Gemini | Protocol::DashScope => Self::Any,
        }
    }

    /// The id as it is where the target takes it, else the one that stands for it.
    fn apply(self, id: Cow<'_, str>) -> Cow<'_, str> {
        let fits = match self {
            Self::Any => true,
            Self::Word => is_word(&id),
            Self::Bounded => id.chars().count() <= MAX_ID,
            Self::Short => id.len() == SHORT_ID && id.bytes().all(|b| b.is_ascii_alphanumeric()),
        };
        match self {
            _ if fits => id,
            Self::Short => digest(&id, SHORT_ID).into(),
            _ => hashed(&id).into(),
        }
    }
}

/// A call of the history.
struct Call<'a> {
    id: JsonStr<'a>,
    name: JsonStr<'a>,
    kind: ToolCallKind,
    answered: bool,
}

/// Calls that wait for a result, by their turn.
#[derive(Default)]
struct Waiting(Vec<(usize, VecDeque<usize>)>);

impl Waiting {
    fn add(&mut self, turn: usize, call: usize) {
        match self.0.last_mut() {
            Some((last, calls)) if *last == turn => calls.push_back(call),
            _ => self.0.push((turn, VecDeque::from([call]))),
        }
    }

    /// The first call without an answer, in the latest turn that has one.
    fn take(&mut self, calls: &mut [Call<'_>]) -> Option<usize> {
        while let Some((_, batch)) = self.0.last_mut() {
            while let Some(call) = batch.pop_front() {
                if !std::mem::replace(&mut calls[call].answered, true) {
                    return Some(call);
                }
            }
            self.0.pop();
        }
        None
    }
}

/// What becomes of a result.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Match {
    Call(usize),
    Repeated,
    None,
}

struct Pairing<'a> {
    rule: Rule,
    /// Some results have no id.
    loose: bool,
    calls: Vec<Call<'a>>,
    used: HashSet<String>,
    by_id: HashMap<String, Waiting>,
    by_name: HashMap<String, Waiting>,
    in_order: Waiting,
}

impl<'a> Pairing<'a> {
    fn new(rule: Rule, loose: bool) -> Self {
        Self {
            rule,
            loose,
            calls: Vec::new(),
            used: HashSet::new(),
            by_id: HashMap::new(),
            by_name: HashMap::new(),
            in_order: Waiting::default(),
        }
    }

    /// Gives the calls of a turn their ids.
    fn calls(&mut self, index: usize, turn: &mut Turn<'a>) {
        let calls = turn.parts.iter_mut().filter_map(|part| match &mut part.content {
            Content::ToolCall(call) => Some(call),
            _ => None,
        });
        for (n, call) in calls.enumerate() {
            let at = self.calls.len();
            let source = call.id.decode().into_owned();
            let id = self.id(&source, index, n);
            if id != source {
                call.id = JsonStr::from_plain(id.clone());
            }
            self.used.insert(id);
            if !source.is_empty() {
                self.by_id.entry(source).or_default().add(index, at);
            }
            if self.loose {
                let name = call.name.decode().into_owned();
                self.by_name.entry(name).or_default().add(index, at);
                self.in_order.add(index, at);
            }
            let (id, name, kind) = (call.id.clone(), call.name.clone(), call.kind);
            self.calls.push(Call { id, name, kind, answered: false });
        }
    }

    fn id(&self, source: &str, turn: usize, n: usize) -> String {
        if !source.is_empty() {
            let id = self.rule.apply(source.into());
            if !self.used.contains(&*id) {
                return id.into_owned();
            }
        }
        let mut id = format!("call_{turn}_{n}");
        loop {
            let fitting = self.rule.apply(id.as_str().into());
            if !self.used.contains(&*fitting) {
                return fitting.into_owned();
            }
            id.push('_');
        }
    }

    /// Gives the results of a turn id and name of their calls, and drops those without.
    fn results(&mut self, turn: &mut Turn<'a>, report: &mut Reporter<'_>) {
        let results = turn.parts.iter().filter_map(|part| match &part.content {
            Content::ToolResult(result) => Some(result),
            _ => None,
        });
        let mut matches: VecDeque<_> = results.clone().map(|result| self.find(result)).collect();
        // Only when all names have found their calls is the order asked.
        for (found, result) in matches.iter_mut().zip(results) {
            if *found == Match::None && lacks_id(result) {
                *found = self.in_order.take(&mut self.calls).map_or(Match::None, Match::Call);
            }
        }
        turn.parts.retain_mut(|part| {
            let Content::ToolResult(result) = &mut part.content else { return true };
            let call = match matches.pop_front() {
                Some(Match::Call(call)) => &self.calls[call],
                other => {
                    report_dropped(result, other == Some(Match::Repeated), report);
                    return false;
                }
            };
            result.call_id = call.id.clone();
            result.name = Some(call.name.clone());
            result.kind = call.kind;
            true
        });
    }

    fn find(&mut self, result: &ToolResult<'_>) -> Match {
        let calls = &mut self.calls;
        if !lacks_id(result) {
            return match self.by_id.get_mut(&*result.call_id.decode()) {
                Some(waiting) => waiting.take(calls).map_or(Match::Repeated, Match::Call),
                None => Match::None,
            };
        }
        let name = result.name.as_ref().map(JsonStr::decode);
        let waiting = name.and_then(|name| self.by_name.get_mut(&*name));
        waiting.and_then(|waiting| waiting.take(calls)).map_or(Match::None, Match::Call)
    }
}

fn report_dropped(result: &ToolResult<'_>, repeated: bool, report: &mut Reporter<'_>) {
    let text = result.parts.first().and_then(|part| match &part.content {
        Content::Text { text, .. } => Some(text),
        _ => None,
    });
    // What can name its place in the source.
    let named = [Some(&result.call_id), result.name.as_ref(), text];
    let named = named.into_iter().flatten().find(|text| !text.is_empty());
    let piece = named.map(JsonStr::escaped).unwrap_or_default();
    if repeated {
        report.piece(piece, Severity::Degrade, "a second result of the same call");
    } else {
        report.piece(piece, Severity::Fatal, "a tool result without its call");
    }
}
