//! Small steps that only the readers and writers of this folder share.

use bytes::BytesMut;

use crate::protocol::data_url;
use crate::protocol::json::{Cursor, JsonStr, Kind, Raw};
use crate::protocol::model::MediaSource;
use crate::protocol::wire::Result;

/// Reads a value of this kind, and steps over anything else.
pub(super) fn of_kind<'a>(c: &mut Cursor<'a>, kind: Kind) -> Result<Option<Raw<'a>>> {
    let raw = c.raw()?;
    Ok(Some(raw).filter(|raw| raw.kind() == kind))
}

/// Where the bytes of a URL are: at the vendor when the SDK has uploaded them (`oss://`), else as
/// with everybody.
pub(super) fn media_source(url: JsonStr<'_>) -> MediaSource<'_> {
    if url.escaped().starts_with("oss:") {
        return MediaSource::File(url);
    }
    data_url::media_source(url)
}

/// Appends text that needs no escape.
pub(super) fn push(out: &mut BytesMut, pieces: &[&str]) {
    for piece in pieces {
        out.extend_from_slice(piece.as_bytes());
    }
}

/// Appends a value on one line. Line breaks can stand only between its tokens.
pub(super) fn push_flat(out: &mut BytesMut, raw: &Raw<'_>) {
    for piece in raw.as_str().split(['\n', '\r']) {
        out.extend_from_slice(piece.as_bytes());
    }
}
