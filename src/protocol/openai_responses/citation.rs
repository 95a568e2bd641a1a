//! Citations of other protocols as annotations.

use bytes::BytesMut;

use super::wire::{member_of, string_of};
use crate::protocol::json::{JsonStr, ObjectWriter, Raw};

/// A page that a text cites.
struct Page<'a> {
    url: JsonStr<'a>,
    title: Option<JsonStr<'a>>,
    /// Which characters of the text cite it; all of them where the source does not say.
    span: Option<(u64, u64)>,
}

/// The page of a citation: a `url_citation`, flat as here or nested as in Chat, or a search result
/// of Messages, which stands for the whole of its text. `None` for what cites no page.
fn page<'r>(citation: &'r Raw<'_>) -> Option<Page<'r>> {
    let citation = citation.borrow();
    let kind = string_of(&member_of(&citation, "type")?)?;
    let of = match &*kind.decode() {
        "url_citation" => member_of(&citation, "url_citation").unwrap_or(citation),
        "web_search_result_location" => citation,
        _ => return None,
    };
    let number = |name| member_of(&of, name).and_then(|raw| raw.as_u64());
    Some(Page {
        url: string_of(&member_of(&of, "url")?)?,
        title: member_of(&of, "title").and_then(|raw| string_of(&raw)),
        span: number("start_index").zip(number("end_index")),
    })
}

/// Whether there is an annotation that says the same.
pub(super) fn is_known(citation: &Raw<'_>) -> bool {
    page(citation).is_some()
}

/// Whether it says which characters of the text cite it.
pub(super) fn has_span(citation: &Raw<'_>) -> bool {
    page(citation).is_some_and(|page| page.span.is_some())
}

/// Writes a citation as an annotation of a text with this many characters. False, and nothing
/// written, where none says the same.
pub(super) fn write(citation: &Raw<'_>, length: u64, out: &mut BytesMut) -> bool {
    let Some(Page { url, title, span }) = page(citation) else { return false };
    let (start, end) = span.unwrap_or((0, length));
    let mut object = ObjectWriter::begin(out);
    object.plain("type", "url_citation");
    object.u64("start_index", start);
    object.u64("end_index", end);
    object.str("url", &url);
    object.str("title", &title.unwrap_or_default());
    object.end();
    true
}

/// The citations of a list.
pub(super) fn each<'a>(list: &Raw<'a>, mut visit: impl FnMut(Raw<'a>)) {
    let Some(mut c) = list.source_cursor() else { return };
    // What is no list has none.
    let _ = c.array(|_, c| {
        visit(c.raw()?);
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let annotation = |start, end, title| {
            format!(
                r#"{{"type":"url_citation","start_index":{start},"end_index":{end},"url":"u","title":"{title}"}}"#
            )
        };
        let rows = [
            (
                r#"{"type":"url_citation","url":"u","title":"t","start_index":1,"end_index":2}"#,
                Some(annotation(1, 2, "t")),
            ),
            (
                r#"{"type":"url_citation","url_citation":{"url":"u","title":"t","start_index":3,"end_index":4}}"#,
                Some(annotation(3, 4, "t")),
            ),
            (
                r#"{"type":"web_search_result_location","url":"u","title":null,"cited_text":"c","encrypted_index":"e"}"#,
                Some(annotation(0, 9, "")),
            ),
            (r#"{"type":"char_location","document_index":0}"#, None),
            (r#"{"type":"url_citation"}"#, None),
            ("7", None),
        ];
        for (citation, expected) in rows {
            let mut out = BytesMut::new();
            let written = write(&Raw::literal(citation), 9, &mut out);
            assert_eq!(written, expected.is_some(), "{citation}");
            assert_eq!(out, expected.unwrap_or_default(), "{citation}");
        }
    }
}
