//! Results right behind the calls that they answer.

use std::collections::HashMap;

use crate::protocol::Protocol;
use crate::protocol::model::{Content, Part, Place, Request, Role, ToolCall, Turn};

/// Puts all results of a batch of calls at the head of the caller's turn right behind it. Whatever
/// was said in between follows them: no vendor takes anything between a call and its results.
/// Gemini, which may pair the two by their order, gets the results in the order of the calls.
///
/// A batch are the calls of neighbouring turns of the assistant; they become one turn. Turns that
/// lose all of their parts stay, empty, so that no other turn changes its place.
pub(super) fn gather(request: &mut Request<'_>, to: Protocol) {
    join_calls(&mut request.turns);
    let mut spans = Vec::new();
    for mut batch in take_results(&mut request.turns) {
        if batch.results.is_empty() {
            continue;
        }
        if to == Protocol::Gemini {
            batch.results.sort_by_key(|(call, _)| *call);
        }
        let at = batch.answered_in.unwrap_or(request.turns.len());
        if at == request.turns.len() {
            request.turns.push(Turn::new(Role::User));
        }
        spans.push((batch.called_in, at));
        let turn = &mut request.turns[at];
        let said = std::mem::take(&mut turn.parts);
        turn.parts.extend(batch.results.into_iter().map(|(_, part)| part).chain(said));
    }
    for it in &mut request.instructions {
        it.place = behind(&spans, it.place);
    }
}

/// Where an instruction stands that must not part calls from their results. The spans lead from a
/// turn that calls to the one that answers, in their order.
fn behind(spans: &[(usize, usize)], place: Place) -> Place {
    let Place::Before(turn) = place else { return place };
    let next = spans.partition_point(|(_, answers)| *answers < turn);
    match spans.get(next) {
        Some((calls, answers)) if *calls < turn => Place::Before(answers + 1),
        _ => place,
    }
}

/// Lets the turn that calls first take what the assistant says until the caller's next turn.
fn join_calls(turns: &mut [Turn<'_>]) {
    let mut open = None;
    for at in 0..turns.len() {
        match (turns[at].role, open) {
            (Role::User, _) => open = None,
            (Role::Assistant, None) => open = calls(&turns[at]).next().map(|_| at),
            (Role::Assistant, Some(first)) => {
                let said = std::mem::take(&mut turns[at].parts);
                turns[first].parts.extend(said);
            }
        }
    }
}

fn calls<'t, 'a>(turn: &'t Turn<'a>) -> impl Iterator<Item = &'t ToolCall<'a>> {
    turn.parts.iter().filter_map(|part| match &part.content {
        Content::ToolCall(call) => Some(call),
        _ => None,
    })
}

/// The calls of one turn, and what was answered to them.
struct Batch<'a> {
    /// The turn of the calls.
    called_in: usize,
    /// The caller's first turn behind them.
    answered_in: Option<usize>,
    /// The results, each with the position of its call.
    results: Vec<(usize, Part<'a>)>,
}

fn take_results<'a>(turns: &mut [Turn<'a>]) -> Vec<Batch<'a>> {
    let mut batches: Vec<Batch<'a>> = Vec::new();
    // By the id of a call, its batch and its position there.
    let mut places: HashMap<String, (usize, usize)> = HashMap::new();
    for (at, turn) in turns.iter_mut().enumerate() {
        if turn.role == Role::User {
            if let Some(last) = batches.last_mut() {
                last.answered_in.get_or_insert(at);
            }
        }
        if calls(turn).next().is_some() {
            let ids = calls(turn).map(|call| call.id.decode().into_owned()).enumerate();
            places.extend(ids.map(|(position, id)| (id, (batches.len(), position))));
            batches.push(Batch { called_in: at, answered_in: None, results: Vec::new() });
        }
        for part in std::mem::take(&mut turn.parts) {
            let place = match &part.content {
                Content::ToolResult(result) => places.get(&*result.call_id.decode()).copied(),
                _ => None,
            };
            match place {
                Some((batch, call)) => batches[batch].results.push((call, part)),
                None => turn.parts.push(part),
            }
        }
    }
    batches
}
