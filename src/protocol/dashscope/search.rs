//! Pages that an answer cites: `output.search_info.search_results`.

use bytes::BytesMut;

use super::wire::{push, push_flat};
use crate::protocol::citation;
use crate::protocol::json::{ArrayWriter, Kind, ObjectWriter, Raw};
use crate::protocol::wire::is_empty_list;

/// The pages of a `search_info`, if it has any.
pub(super) fn results<'a>(info: &Raw<'a>) -> Option<Raw<'a>> {
    let mut found = None;
    let walked = info.source_cursor()?.object(|key, c| {
        let raw = c.raw()?;
        if key == "search_results" && raw.kind() == Kind::Array {
            found = Some(raw);
        }
        Ok(())
    });
    walked.ok().and(found).filter(|raw| !is_empty_list(raw))
}

/// Most pages of one answer; further ones are left out.
pub const MAX_PAGES: usize = 256;

/// The pages of an answer, each once, in the order in which they were cited.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Pages {
    /// Items of the list, with a comma before each.
    items: BytesMut,
    /// Where they are, escaped.
    urls: Vec<String>,
}

impl Pages {
    /// Adds the page of a citation; false where it cites none. A search result of DashScope stays
    /// as it stood.
    pub(super) fn add(&mut self, cited: &Raw<'_>) -> bool {
        let cited = cited.borrow();
        let Some((url, title)) = citation::page_of(&cited) else { return false };
        let known = self.urls.iter().any(|known| known == url.escaped());
        if known || self.urls.len() == MAX_PAGES {
            return true;
        }
        self.urls.push(url.escaped().to_owned());
        push(&mut self.items, &[","]);
        if cited.member("type").is_none() {
            push_flat(&mut self.items, &cited);
            return true;
        }
        let mut item = ObjectWriter::begin(&mut self.items);
        item.u64("index", self.urls.len() as u64);
        if let Some(title) = title {
            item.str("title", &title);
        }
        item.str("url", &url);
        item.end();
        true
    }

    /// Writes the value of `search_info`; nothing where nothing is cited.
    pub(super) fn value(&self) -> Option<BytesMut> {
        let items = self.items.strip_prefix(b",")?;
        let mut out = BytesMut::with_capacity(items.len() + 24);
        let mut object = ObjectWriter::begin(&mut out);
        let mut list = ArrayWriter::begin(object.key("search_results"));
        list.item().extend_from_slice(items);
        list.end();
        object.end();
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_stand_once() {
        let mut pages = Pages::default();
        assert_eq!(pages.value(), None);
        for (cited, known) in [
            (
                r#"{"type":"url_citation","url":"u","title":"t","start_index":1,"end_index":2}"#,
                true,
            ),
            (r#"{"type":"url_citation","url_citation":{"url":"u","title":"other"}}"#, true),
            (r#"{"type":"char_location"}"#, false),
            ("{\"url\":\"v\",\n\"site_name\":\"s\"}", true),
            (r#"{"type":"web_search_result_location","url":"w","title":null}"#, true),
        ] {
            assert_eq!(pages.add(&Raw::literal(cited)), known, "{cited}");
        }
        let expected = r#"{"search_results":[{"index":1,"title":"t","url":"u"},{"url":"v","site_name":"s"},{"index":3,"url":"w"}]}"#;
        assert_eq!(pages.value().unwrap(), expected);
    }

    #[test]
    fn there_is_a_limit() {
        let mut pages = Pages::default();
        for n in 0..MAX_PAGES + 5 {
            let cited = format!(r#"{{"url":"u{n}"}}"#);
            assert!(pages.add(&Raw::parse(&cited).unwrap()));
        }
        assert_eq!(pages.urls.len(), MAX_PAGES);
    }
}
