//! Tokens spent: Responses counts cached input inside `input_tokens`, thinking inside
//! `output_tokens`.

use crate::protocol::json::{Cursor, JsonError, Kind, ObjectWriter, Raw};
use crate::protocol::model::Usage;

/// Reads a `usage` object. Counts that are missing, negative or no numbers are 0.
pub(super) fn read(raw: Raw<'_>) -> Usage<'_> {
    let mut counts = Counts::default();
    // The value was checked when it was cut; what is no object has no counts.
    let _ = raw.cursor().object(|key, c| counts.member(&key.decode(), c));
    let Counts { input, output, total, cached, written, reasoning } = counts;
    let cache_read = cached.min(input);
    let cache_write = written.min(input - cache_read);
    // xAI counts thinking beside the output, everybody else inside.
    let beside = reasoning > 0 && total == input.saturating_add(output).saturating_add(reasoning);
    let reasoning = if beside { reasoning } else { reasoning.min(output) };
    Usage {
        input: input - cache_read - cache_write,
        cache_read,
        cache_write,
        cache_write_1h: 0,
        output: if beside { output } else { output - reasoning },
        reasoning,
        raw: Some(raw),
    }
}

#[derive(Default)]
struct Counts {
    input: u64,
    output: u64,
    total: u64,
    cached: u64,
    written: u64,
    reasoning: u64,
}

impl Counts {
    fn member(&mut self, name: &str, c: &mut Cursor<'_>) -> Result<(), JsonError> {
        let slot = match name {
            // Clones that have Chat's engine inside keep its names.
            "input_tokens" | "prompt_tokens" => &mut self.input,
            "output_tokens" | "completion_tokens" => &mut self.output,
            "total_tokens" => &mut self.total,
            "cached_tokens" => &mut self.cached,
            "cache_write_tokens" => &mut self.written,
            "reasoning_tokens" => &mut self.reasoning,
            "input_tokens_details" | "output_tokens_details" if c.kind()? == Kind::Object => {
                return c.object(|key, c| self.member(&key.decode(), c));
            }
            _ => return c.raw().map(drop),
        };
        *slot = c.raw()?.as_u64().unwrap_or(0);
        Ok(())
    }
}

/// Writes the members of a `usage` object from the counts alone; clients demand all of them.
pub(super) fn write(usage: &Usage<'_>, object: &mut ObjectWriter<'_>) {
    let (input, output) = (usage.input_total(), usage.output_total());
    object.u64("input_tokens", input);
    object.object("input_tokens_details", |details| {
        details.u64("cached_tokens", usage.cache_read);
        details.u64("cache_write_tokens", usage.cache_write);
    });
    object.u64("output_tokens", output);
    object.object("output_tokens_details", |details| {
        details.u64("reasoning_tokens", usage.reasoning);
    });
    object.u64("total_tokens", input.saturating_add(output));
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    #[test]
    fn counts_are_disjoint() {
        // text, input, cache read, cache write, output, reasoning
        let rows: &[(&str, [u64; 5])] = &[
            (r#"{"input_tokens":10,"output_tokens":5,"total_tokens":15}"#, [10, 0, 0, 5, 0]),
            (
                r#"{"input_tokens":10,"input_tokens_details":{"cached_tokens":4,"cache_write_tokens":3},"output_tokens":5,"output_tokens_details":{"reasoning_tokens":2}}"#,
                [3, 4, 3, 3, 2],
            ),
            (
                r#"{"input_tokens":3,"input_tokens_details":{"cached_tokens":9,"cache_write_tokens":9}}"#,
                [0, 3, 0, 0, 0],
            ),
            (
                r#"{"input_tokens":1,"output_tokens":2,"output_tokens_details":{"reasoning_tokens":9}}"#,
                [1, 0, 0, 0, 2],
            ),
            (
                r#"{"input_tokens":1,"output_tokens":2,"total_tokens":7,"output_tokens_details":{"reasoning_tokens":4}}"#,
                [1, 0, 0, 2, 4],
            ),
            (r#"{"input_tokens":-3,"output_tokens":null,"input_tokens_details":null}"#, [0; 5]),
            (r#"{"prompt_tokens":3,"completion_tokens":2}"#, [3, 0, 0, 2, 0]),
            ("null", [0; 5]),
        ];
        for (text, [input, read_, write_, output, reasoning]) in rows {
            let usage = read(Raw::parse(text).unwrap());
            assert_eq!(
                (usage.input, usage.cache_read, usage.cache_write, usage.output, usage.reasoning),
                (*input, *read_, *write_, *output, *reasoning),
                "{text}"
            );
            // And back: no token is counted twice.
            let mut out = BytesMut::new();
            let mut object = ObjectWriter::begin(&mut out);
            write(&usage, &mut object);
            object.end();
            let again = read(Raw::parse(std::str::from_utf8(&out).unwrap()).unwrap());
            assert_eq!(again.counts(), usage.counts(), "{text}");
        }
    }
}
