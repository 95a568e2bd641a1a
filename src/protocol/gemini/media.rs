//! What media are, and where: by media types and URLs.

use std::borrow::Cow;

use crate::protocol::json::JsonStr;
use crate::protocol::model::MediaKind;

/// Gemini takes the alphabet for URLs too (RFC 4648, section 5), and data without padding; the
/// others do not. `None` where nothing has to change.
pub(super) fn standard_base64(data: &JsonStr<'_>) -> Option<JsonStr<'static>> {
    let odd = memchr::memchr2(b'-', b'_', data.escaped().as_bytes()).is_some();
    if !odd && (data.escaped().len() % 4 == 0 || data.escaped().contains('\\')) {
        return None;
    }
    let mut standard: String = data.decode().chars().map(standard_digit).collect();
    match standard.len() % 4 {
        2 => standard.push_str("=="),
        3 => standard.push('='),
        _ => {}
    }
    Some(JsonStr::from_plain(standard))
}

fn standard_digit(digit: char) -> char {
    match digit {
        '-' => '+',
        '_' => '/',
        digit => digit,
    }
}

/// The kind of media of a media type.
pub(super) fn kind_of(media_type: &str) -> MediaKind {
    match media_type.split('/').next() {
        Some("image") => MediaKind::Image,
        Some("audio") => MediaKind::Audio,
        Some("video") => MediaKind::Video,
        _ => MediaKind::Document,
    }
}

pub(super) fn is_web(uri: &str) -> bool {
    uri.starts_with("http://") || uri.starts_with("https://")
}

/// Whether Gemini itself keeps what the URI names: its Files API or Google's storage.
pub(super) fn is_uploaded(uri: &str) -> bool {
    uri.starts_with("gs://") || uri.starts_with("https://generativelanguage.googleapis.com/")
}

/// Whether the URI names a film that Gemini watches where it is.
pub(super) fn is_video_site(uri: &str) -> bool {
    let host = uri.strip_prefix("https://").or_else(|| uri.strip_prefix("http://"));
    let host = host.and_then(|rest| rest.split(['/', '?']).next()).unwrap_or_default();
    matches!(host, "youtu.be" | "youtube.com" | "www.youtube.com" | "m.youtube.com")
}

/// The media type that the end of a path tells.
pub(super) fn media_type_of_path(uri: &str) -> Option<&'static str> {
    let path = uri.split(['?', '#']).next()?;
    let name = path.rsplit('/').next()?;
    let (_, extension) = name.rsplit_once('.')?;
    Some(match extension.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "heic" => "image/heic",
        "heif" => "image/heif",
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "html" | "htm" => "text/html",
        "csv" => "text/csv",
        "md" => "text/markdown",
        "mp3" => "audio/mp3",
        "wav" => "audio/wav",
        "ogg" => "audio/ogg",
        "flac" => "audio/flac",
        "aac" => "audio/aac",
        "mp4" => "video/mp4",
        "mov" => "video/mov",
        "webm" => "video/webm",
        "mpeg" | "mpg" => "video/mpeg",
        _ => return None,
    })
}

/// The media type of the bytes in a request; Chat names only the format of a sound (`wav`).
pub(super) fn full_media_type<'t>(kind: MediaKind, media_type: &'t JsonStr<'_>) -> Cow<'t, str> {
    let plain = media_type.decode();
    match (plain.is_empty(), kind) {
        (true, kind) => Cow::Borrowed(usual_media_type(kind)),
        (false, MediaKind::Audio) if !plain.contains('/') => Cow::Owned(format!("audio/{plain}")),
        _ => plain,
    }
}

/// What a medium of this kind most often is.
pub(super) fn usual_media_type(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "image/jpeg",
        MediaKind::Document => "application/pdf",
        MediaKind::Audio => "audio/wav",
        MediaKind::Video => "video/mp4",
    }
}
