//! Cache marks: no more than the vendor takes.

use crate::protocol::Protocol;
use crate::protocol::model::{CacheMark, Content, Part, Request};
use crate::protocol::report::{Reporter, Severity};

/// Most cache marks that Messages and DashScope take in one request. Of more, the last are sent.
pub const MAX_CACHE_MARKS: usize = 4;

/// Keeps the last four marks: each covers all before it, and a conversation grows at its end.
/// Vendors without marks are not asked: there, all of them are left out.
pub(super) fn limit(request: &mut Request<'_>, to: Protocol, report: &mut Reporter<'_>) {
    if !matches!(to, Protocol::Anthropic | Protocol::DashScope) {
        return;
    }
    let mut count = 0;
    each_mark(request, to, &mut |mark| count += usize::from(mark.is_some()));
    let mut surplus = count.saturating_sub(MAX_CACHE_MARKS);
    if surplus == 0 {
        return;
    }
    each_mark(request, to, &mut |mark| {
        if let (1.., Some(CacheMark(raw))) = (surplus, &*mark) {
            report.piece(raw.as_str(), Severity::Ignore, "more than four cache marks");
            *mark = None;
            surplus -= 1;
        }
    });
}

/// Every place for a mark that `to` has, in the order in which its prompts are put together. A mark
/// elsewhere is not written, and so does not count.
fn each_mark<'a>(
    request: &mut Request<'a>,
    to: Protocol,
    visit: &mut dyn FnMut(&mut Option<CacheMark<'a>>),
) {
    // DashScope has them on content alone.
    let everywhere = to == Protocol::Anthropic;
    if everywhere {
        request.tools.iter_mut().for_each(|tool| visit(&mut tool.cache));
    }
    let instructions = request.instructions.iter_mut().flat_map(|it| &mut it.parts);
    let turns = request.turns.iter_mut().flat_map(|turn| &mut turn.parts);
    instructions.chain(turns).for_each(|part| of_part(part, to, visit));
    if everywhere {
        visit(&mut request.cache);
    }
}

fn of_part<'a>(
    part: &mut Part<'a>,
    to: Protocol,
    visit: &mut dyn FnMut(&mut Option<CacheMark<'a>>),
) {
    if let Content::ToolResult(result) = &mut part.content {
        let within = result.parts.iter_mut().filter(|part| takes_mark(part, to));
        within.for_each(|part| visit(&mut part.cache));
    }
    if takes_mark(part, to) {
        visit(&mut part.cache);
    }
}

fn takes_mark(part: &Part<'_>, to: Protocol) -> bool {
    match &part.content {
        // Neither is written.
        Content::Text { text, .. } | Content::Refusal(text) if text.is_empty() => false,
        Content::Reasoning { .. } | Content::Other { .. } => false,
        Content::Text { .. } | Content::Refusal(_) | Content::Media(_) => true,
        Content::ToolCall(_) => to == Protocol::Anthropic,
        Content::ToolResult(result) => {
            to == Protocol::Anthropic || result.parts.iter().any(|part| takes_mark(part, to))
        }
    }
}
