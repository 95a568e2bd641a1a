/// Finds where events end in raw bytes: behind each empty line, in whatever cut they come.
///
/// Of a CRLF that is cut in two the second half follows as a piece of its own: nothing waits for it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EventEnds {
    in_line: bool,
    /// The last byte was a CR; a LF that comes next belongs to it.
    after_cr: bool,
    /// That CR ended an event.
    ended: bool,
}

impl EventEnds {
    /// How many bytes of `bytes` belong to the event that ends first, if one does. Then it wants
    /// to see the bytes behind these, else those that come next.
    pub(crate) fn next(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        if let Some(first) = bytes.first() {
            if std::mem::take(&mut self.after_cr) && *first == b'\n' {
                at = 1;
            }
            if std::mem::take(&mut self.ended) && at == 1 {
                return Some(at);
            }
        }
        while let Some(found) = memchr::memchr2(b'\n', b'\r', &bytes[at..]) {
            let end = at + found;
            let empty = !self.in_line && found == 0;
            self.in_line = false;
            at = end + 1;
            if bytes[end] == b'\r' {
                match bytes.get(at) {
                    Some(b'\n') => at += 1,
                    Some(_) => {}
                    None => (self.after_cr, self.ended) = (true, empty),
                }
            }
            if empty {
                return Some(at);
            }
        }
        self.in_line |= at < bytes.len();
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(cuts: &[&str]) -> Vec<String> {
        let (mut ends, mut pieces, mut open) = (EventEnds::default(), Vec::new(), String::new());
        for cut in cuts {
            let mut rest = *cut;
            while let Some(end) = ends.next(rest.as_bytes()) {
                open.push_str(&rest[..end]);
                pieces.push(std::mem::take(&mut open));
                rest = &rest[end..];
            }
            open.push_str(rest);
        }
        pieces.push(open);
        pieces
    }

    #[test]
    fn events_end_at_empty_lines() {
        for (stream, expected) in [
            ("a\n\nb", &["a\n\n", "b"][..]),
            ("a\r\n\r\nb\r\n\r\n", &["a\r\n\r\n", "b\r\n\r\n", ""]),
            ("a\r\rb\r\r", &["a\r\r", "b\r\r", ""]),
            ("a\nb\n\n\n", &["a\nb\n\n", "\n", ""]),
            (": c\n\nd", &[": c\n\n", "d"]),
            ("a\n", &["a\n"]),
        ] {
            assert_eq!(pieces(&[stream]), expected, "{stream:?}");
        }
    }

    #[test]
    fn cuts_lose_nothing_and_end_the_same_events() {
        let stream = "a: b\r\n\r\nc\n\nd\r\re\n\r\nf\n\n";
        let events = |pieces: Vec<String>| -> Vec<String> {
            let texts = pieces.iter().filter(|piece| *piece != "\n");
            texts.map(|piece| piece.trim_matches(['\r', '\n']).to_owned()).collect()
        };
        let whole = events(pieces(&[stream]));
        for at in 0..=stream.len() {
            let cut = pieces(&[&stream[..at], &stream[at..]]);
            assert_eq!(cut.concat(), stream, "{at}");
            assert_eq!(events(cut), whole, "{at}");
        }
        let bytes: Vec<_> = (0..stream.len()).map(|at| &stream[at..=at]).collect();
        assert_eq!(events(pieces(&bytes)), whole);
    }
}
