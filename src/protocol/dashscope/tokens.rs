//! Tokens in DashScope's nesting: cached tokens inside `input_tokens`, thinking inside
//! `output_tokens`.

use bytes::BytesMut;

use super::wire::push_flat;
use crate::protocol::json::{Cursor, Kind, ObjectWriter, Raw};
use crate::protocol::model::Usage;
use crate::protocol::wire::Result;

/// Reads a `usage` object. Counts that are missing, negative or no numbers are 0.
pub(super) fn read(raw: Raw<'_>) -> Usage<'_> {
    let mut counts = Counts::default();
    // The value was checked when it was cut; what is no object has no counts.
    let _ = raw.cursor().object(|key, c| counts.member(&key.decode(), c));
    let Counts { input, output, cached, written, reasoning } = counts;
    let cache_read = cached.min(input);
    let cache_write = written.min(input - cache_read);
    Usage {
        input: input - cache_read - cache_write,
        cache_read,
        cache_write,
        cache_write_1h: 0,
        // Were there more thoughts than output, they would stand beside it.
        output: output.checked_sub(reasoning).unwrap_or(output),
        reasoning,
        raw: Some(raw),
    }
}

#[derive(Default)]
struct Counts {
    input: u64,
    output: u64,
    cached: u64,
    written: u64,
    reasoning: u64,
}

impl Counts {
    fn member(&mut self, name: &str, c: &mut Cursor<'_>) -> Result<()> {
        let slot = match name {
            "input_tokens" => &mut self.input,
            "output_tokens" => &mut self.output,
            // Some models have it beside `input_tokens`, most in its details.
            "cached_tokens" => &mut self.cached,
            "cache_creation_input_tokens" => &mut self.written,
            "reasoning_tokens" => &mut self.reasoning,
            "prompt_tokens_details" | "output_tokens_details" if c.kind()? == Kind::Object => {
                return c.object(|key, c| self.member(&key.decode(), c));
            }
            _ => return c.raw().map(drop),
        };
        *slot = c.raw()?.as_u64().unwrap_or(0).max(*slot);
        Ok(())
    }
}

/// Writes a `usage` object: the source's own where it is kept, else the counts. Without any usage
/// all counts are 0, as clients read them unasked.
pub(super) fn write(usage: Option<&Usage<'_>>, out: &mut BytesMut) {
    if let Some(raw) = usage.and_then(|usage| usage.raw.as_ref()) {
        return push_flat(out, raw);
    }
    let none = Usage::default();
    let usage = usage.unwrap_or(&none);
    let (input, output) = (usage.input_total(), usage.output_total());
    let mut object = ObjectWriter::begin(out);
    object.u64("total_tokens", input.saturating_add(output));
    object.u64("input_tokens", input);
    object.u64("output_tokens", output);
    object.object("prompt_tokens_details", |details| {
        details.u64("cached_tokens", usage.cache_read);
        if usage.cache_write > 0 {
            details.u64("cache_creation_input_tokens", usage.cache_write);
        }
    });
    if usage.reasoning > 0 {
        object.object("output_tokens_details", |details| {
            details.u64("reasoning_tokens", usage.reasoning);
        });
    }
    object.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_disjoint() {
        // text, input, cache read, cache write, output, reasoning
        let rows: &[(&str, [u64; 5])] = &[
            (r#"{"total_tokens":15,"input_tokens":10,"output_tokens":5}"#, [10, 0, 0, 5, 0]),
            (
                r#"{"input_tokens":10,"output_tokens":5,"prompt_tokens_details":{"cached_tokens":4,"cache_creation_input_tokens":3,"cache_type":"ephemeral"},"output_tokens_details":{"reasoning_tokens":2,"text_tokens":3}}"#,
                [3, 4, 3, 3, 2],
            ),
            (r#"{"input_tokens":10,"output_tokens":5,"cached_tokens":8}"#, [2, 8, 0, 5, 0]),
            (
                r#"{"input_tokens":7,"image_tokens":5,"input_tokens_details":{"image_tokens":5},"prompt_tokens_details":{}}"#,
                [7, 0, 0, 0, 0],
            ),
            (
                r#"{"input_tokens":1,"output_tokens":2,"output_tokens_details":{"reasoning_tokens":7}}"#,
                [1, 0, 0, 2, 7],
            ),
            (
                r#"{"input_tokens":3,"prompt_tokens_details":{"cached_tokens":9,"cache_creation_input_tokens":9}}"#,
                [0, 3, 0, 0, 0],
            ),
            (r#"{"input_tokens":-3,"output_tokens":null,"prompt_tokens_details":null}"#, [0; 5]),
            ("null", [0; 5]),
        ];
        for (text, [input, read_, write_, output, reasoning]) in rows {
            let usage = read(Raw::parse(text).unwrap());
            assert_eq!(
                (usage.input, usage.cache_read, usage.cache_write, usage.output, usage.reasoning),
                (*input, *read_, *write_, *output, *reasoning),
                "{text}"
            );
            let mut out = BytesMut::new();
            write(Some(&usage.counts()), &mut out);
            let again = read(Raw::parse(std::str::from_utf8(&out).unwrap()).unwrap()).counts();
            assert_eq!(again.input_total(), usage.input_total(), "{text}");
        }
    }

    #[test]
    fn an_own_object_stays_on_one_line() {
        let usage = read(Raw::parse("{\"input_tokens\":\n 1,\r\n\"x\":[]}").unwrap());
        let mut out = BytesMut::new();
        write(Some(&usage), &mut out);
        assert_eq!(out, "{\"input_tokens\": 1,\"x\":[]}");
    }
}
