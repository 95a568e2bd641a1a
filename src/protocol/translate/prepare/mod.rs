//! Brings a request of one protocol under the rules of another, before it is written.
//!
//! Each file is one pass over the hub. None knows the protocol that the request came from but by
//! name, and what they do depends on nothing that a later turn could change: the same history
//! gives the same bytes, so that the vendor's prompt cache is met.

mod batches;
mod cache;
mod calls;
mod custom;
mod fit;
mod names;
mod schemas;
#[cfg(test)]
mod tests;

pub use cache::MAX_CACHE_MARKS;

use crate::protocol::model::Request;
use crate::protocol::report::Reporter;
use crate::protocol::restore::Restore;
use crate::protocol::{Protocol, Target};

/// Changes the request so that a writer of `to` finds only what its protocol and the model take.
///
/// What was renamed or wrapped on the way is in the result: the answer gets its old form back.
pub(super) fn prepare(
    request: &mut Request<'_>,
    to: Protocol,
    target: &Target,
    report: &mut Reporter<'_>,
) -> Restore {
    let mut restore = Restore::default();
    calls::pair(request, to, target, report);
    batches::gather(request, to);
    schemas::mend(request, report);
    let wrapped = custom::wrap(request, to, target, report);
    names::adapt(request, to, wrapped, report, &mut restore);
    fit::fit(request, to, target, report);
    cache::limit(request, to, report);
    restore
}
