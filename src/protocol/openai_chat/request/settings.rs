//! The effort, the options of a stream.

use crate::protocol::Target;
use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind};
use crate::protocol::model::{Effort, Reasoning, ReasoningMode, Request};
use crate::protocol::report::{Reporter, Severity};

/// Reads `stream_options`; with members beside `include_usage` it is also kept whole.
pub(super) fn read_stream_options<'a>(
    request: &mut Request<'a>,
    key: &JsonStr<'a>,
    c: &mut Cursor<'a>,
) -> Result<(), JsonError> {
    let whole = c.clone();
    let mut more = false;
    c.object(|key, c| {
        if key == "include_usage" && c.kind()? == Kind::Bool {
            request.include_usage = Some(c.bool()?);
        } else {
            c.raw()?;
            more = true;
        }
        Ok(())
    })?;
    if more || request.include_usage.is_none() {
        request.rest.keep(key.clone(), c.since(&whole));
    }
    Ok(())
}

/// The effort to ask for, of a request of another protocol.
///
/// A word goes as it is, a token budget by [`Target::effort_of`]. Thinking turned off is not sent
/// unless by the word: `none` is a 400 at most models, and those that know it mostly do not think
/// unasked.
pub(super) fn effort(
    request: &Request<'_>,
    target: &Target,
    report: &mut Reporter<'_>,
) -> Option<Effort> {
    let Reasoning { mode, effort, budget, .. } = &request.reasoning;
    if effort.is_some() {
        return *effort;
    }
    if *mode == Some(ReasoningMode::Off) {
        let reason = "thinking cannot be turned off at every model";
        report.member(request.thinking_member(), Severity::Degrade, reason);
        return None;
    }
    let budget = budget.as_ref()?;
    report.piece(budget.as_str(), Severity::Degrade, "a token budget became an effort");
    Some(target.effort_of(budget.as_u64()?))
}
