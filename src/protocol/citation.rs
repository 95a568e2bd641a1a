//! Pages that a text cites, as the annotations of OpenAI's two protocols and as the search results
//! of DashScope.

use bytes::BytesMut;

use super::json::{JsonStr, ObjectWriter, Raw};
use super::wire::member_of;

/// A page that a text cites.
struct Page<'a> {
    url: JsonStr<'a>,
    title: Option<JsonStr<'a>>,
    /// Which characters of the text cite it; all of them where the source does not say.
    span: Option<(u64, u64)>,
}

/// The page of a citation: a `url_citation`, flat as in Responses or nested as in Chat, or a search
/// result of Messages or of DashScope, which has no type and stands for the whole of its text.
/// `None` for what cites no page.
fn page<'r>(citation: &'r Raw<'_>) -> Option<Page<'r>> {
    let citation = citation.borrow();
    let kind = member_of(&citation, "type").map(|raw| raw.source_str());
    let kind = kind.as_ref().map(|kind| kind.as_ref().map(JsonStr::decode).unwrap_or_default());
    let of = match kind.as_deref() {
        Some("url_citation") => member_of(&citation, "url_citation").unwrap_or(citation),
        Some("web_search_result_location") | None => citation,
        Some(_) => return None,
    };
    let number = |name| member_of(&of, name).and_then(|raw| raw.as_u64());
    Some(Page {
        url: member_of(&of, "url")?.source_str()?,
        title: member_of(&of, "title").and_then(|raw| raw.source_str()),
        span: number("start_index").zip(number("end_index")),
    })
}

/// Where the page of a citation is, and its title.
pub(super) fn page_of<'r>(citation: &'r Raw<'_>) -> Option<(JsonStr<'r>, Option<JsonStr<'r>>)> {
    page(citation).map(|page| (page.url, page.title))
}

/// Whether there is an annotation that says the same.
pub(super) fn is_known(citation: &Raw<'_>) -> bool {
    page(citation).is_some()
}

/// Whether it says which characters of the text cite it.
pub(super) fn has_span(citation: &Raw<'_>) -> bool {
    page(citation).is_some_and(|page| page.span.is_some())
}

/// Where the text of a citation stands in that which is written.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Span {
    /// How many characters stand before it.
    pub(super) start: u64,
    /// How many it has.
    pub(super) length: u64,
}

/// Writes a citation as an annotation of Responses. False, and nothing written, where none says
/// the same.
pub(super) fn write_flat(citation: &Raw<'_>, span: Span, out: &mut BytesMut) -> bool {
    let Some(page) = page(citation) else { return false };
    let mut object = ObjectWriter::begin(out);
    object.plain("type", "url_citation");
    page.write(span, &mut object);
    object.end();
    true
}

/// Writes a citation as an annotation of Chat. False, and nothing written, where none says the
/// same.
pub(super) fn write_nested(citation: &Raw<'_>, span: Span, out: &mut BytesMut) -> bool {
    let Some(page) = page(citation) else { return false };
    let mut object = ObjectWriter::begin(out);
    object.plain("type", "url_citation");
    object.object("url_citation", |object| page.write(span, object));
    object.end();
    true
}

impl Page<'_> {
    fn write(&self, text: Span, object: &mut ObjectWriter<'_>) {
        let (start, end) = self.span.unwrap_or((0, text.length));
        object.u64("start_index", text.start.saturating_add(start));
        object.u64("end_index", text.start.saturating_add(end));
        object.str("url", &self.url);
        match &self.title {
            Some(title) => object.str("title", title),
            None => object.plain("title", ""),
        }
    }
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
            (r#"{"index":1,"title":"t","url":"u","site_name":"s"}"#, Some(annotation(0, 9, "t"))),
            (r#"{"type":"url_citation"}"#, None),
            (r#"{"type":7,"url":"u"}"#, None),
            ("7", None),
        ];
        for (citation, expected) in rows {
            let mut out = BytesMut::new();
            let span = Span { start: 0, length: 9 };
            let written = write_flat(&Raw::literal(citation), span, &mut out);
            assert_eq!(written, expected.is_some(), "{citation}");
            assert_eq!(out, expected.clone().unwrap_or_default(), "{citation}");
            // Nested, it is read back as the same.
            let mut nested = BytesMut::new();
            assert_eq!(write_nested(&Raw::literal(citation), span, &mut nested), written);
            if let Some(expected) = expected {
                let nested = Raw::parse(std::str::from_utf8(&nested).unwrap()).unwrap();
                assert_eq!(
                    nested.member("url_citation").unwrap().member("url").unwrap().as_str(),
                    "\"u\""
                );
                let mut again = BytesMut::new();
                write_flat(&nested, Span::default(), &mut again);
                assert_eq!(again, expected);
            }
        }
    }

    #[test]
    fn texts_in_a_row_count_on() {
        let citation = r#"{"type":"url_citation","url":"u","start_index":1,"end_index":2}"#;
        let mut out = BytesMut::new();
        write_nested(&Raw::literal(citation), Span { start: 10, length: 5 }, &mut out);
        assert_eq!(
            out,
            r#"{"type":"url_citation","url_citation":{"start_index":11,"end_index":12,"url":"u","title":""}}"#
        );
    }
}
