//! Brings a request of one protocol under the rules of another, before it is written.

use crate::protocol::model::Request;
use crate::protocol::report::Reporter;
use crate::protocol::restore::Restore;
use crate::protocol::{Protocol, Target};

/// Changes the request so that a writer of `to` finds only what its protocol and the model take.
///
/// What was renamed or wrapped on the way is in the result: the answer gets its old form back.
pub(super) fn prepare(
    _request: &mut Request<'_>,
    _to: Protocol,
    _target: &Target,
    _report: &mut Reporter<'_>,
) -> Restore {
    Restore::default()
}
