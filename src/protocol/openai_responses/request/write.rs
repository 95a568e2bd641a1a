use bytes::BytesMut;

use super::{foreign, native};
use crate::protocol::json::{JsonStr, ObjectWriter, push_str};
use crate::protocol::model::Request;
use crate::protocol::report::Reporter;
use crate::protocol::{Protocol, Target};

/// Writes a request.
///
/// A request that came from Responses is written as it was. Of a request of another protocol:
/// - Texts of the system that stood apart become `instructions`, others stay messages in place.
/// - Words become messages; calls, results and thinking that OpenAI sealed are items of their own.
///   Other thinking is not sent.
/// - `store` is false, and where the model may think, its encrypted thinking is asked for, so that
///   the caller can send it back.
/// - `strict` is always said, as it would be true where it is absent.
/// - Documents of text go as text; media that Responses cannot carry are
///   [`Severity::Fatal`](crate::protocol::report::Severity::Fatal).
/// - A thinking budget becomes an effort by [`Target::effort_of`].
/// - Everything else that Responses cannot say is reported.
pub fn write(
    request: &Request<'_>,
    target: &Target,
    report: &mut Reporter<'_>,
    out: &mut BytesMut,
) {
    let mut object = ObjectWriter::begin(out);
    if request.origin == Protocol::OpenAiResponses {
        native::write(request, &mut object);
    } else {
        foreign::write(request, target, report, &mut object);
    }
    object.end();
}

pub(super) fn boolean(object: &mut ObjectWriter<'_>, name: &str, value: Option<bool>) {
    if let Some(value) = value {
        object.bool(name, value);
    }
}

pub(super) fn strings(object: &mut ObjectWriter<'_>, name: &str, values: &[JsonStr<'_>]) {
    object.array(name, |list| values.iter().for_each(|value| push_str(list.item(), value)));
}
