//! Tokens in Chat's nesting: cached tokens inside `prompt_tokens`, thinking inside
//! `completion_tokens`.

use crate::protocol::json::{Cursor, Kind, ObjectWriter, Raw};
use crate::protocol::model::Usage;

/// Reads a `usage` object. Counts that are missing, negative or no numbers are 0.
pub(super) fn read(raw: Raw<'_>) -> Usage<'_> {
    let mut counts = Counts::default();
    // The value was checked when it was cut; what is no object has no counts.
    let _ = raw.cursor().object(|key, c| counts.member(&key.decode(), c));
    let Counts { prompt, completion, total, cached, hit, written, reasoning } = counts;
    let cache_read = cached.max(hit).min(prompt);
    let cache_write = written.min(prompt - cache_read);
    // xAI counts thinking beside the completion, everybody else inside.
    let beside = reasoning > completion
        || (reasoning > 0 && total == prompt.saturating_add(completion).saturating_add(reasoning));
    Usage {
        input: prompt - cache_read - cache_write,
        cache_read,
        cache_write,
        cache_write_1h: 0,
        output: if beside { completion } else { completion - reasoning },
        reasoning,
        raw: Some(raw),
    }
}

#[derive(Default)]
struct Counts {
    prompt: u64,
    completion: u64,
    total: u64,
    cached: u64,
    hit: u64,
    written: u64,
    reasoning: u64,
}

impl Counts {
    fn member(
        &mut self,
        name: &str,
        c: &mut Cursor<'_>,
    ) -> Result<(), crate::protocol::json::JsonError> {
        let slot = match name {
            "prompt_tokens" => &mut self.prompt,
            "completion_tokens" => &mut self.completion,
            "total_tokens" => &mut self.total,
            "cached_tokens" => &mut self.cached,
            "prompt_cache_hit_tokens" => &mut self.hit,
            "cache_write_tokens" => &mut self.written,
            "reasoning_tokens" => &mut self.reasoning,
            "prompt_tokens_details" | "completion_tokens_details" if c.kind()? == Kind::Object => {
                return c.object(|key, c| self.member(&key.decode(), c));
            }
            _ => return c.raw().map(drop),
        };
        *slot = c.raw()?.as_u64().unwrap_or(0);
        Ok(())
    }
}

/// Writes the members of a `usage` object from the counts alone.
pub(super) fn write(usage: &Usage<'_>, object: &mut ObjectWriter<'_>) {
    let (prompt, completion) = (usage.input_total(), usage.output_total());
    object.u64("prompt_tokens", prompt);
    object.u64("completion_tokens", completion);
    object.u64("total_tokens", prompt.saturating_add(completion));
    object.object("prompt_tokens_details", |details| {
        details.u64("cached_tokens", usage.cache_read);
        details.u64("cache_write_tokens", usage.cache_write);
    });
    object.object("completion_tokens_details", |details| {
        details.u64("reasoning_tokens", usage.reasoning);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_disjoint() {
        // text, input, cache read, cache write, output, reasoning
        let rows: &[(&str, [u64; 5])] = &[
            (r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#, [10, 0, 0, 5, 0]),
            (
                r#"{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":3},"completion_tokens_details":{"reasoning_tokens":2}}"#,
                [3, 4, 3, 3, 2],
            ),
            (
                r#"{"prompt_tokens":10,"completion_tokens":5,"prompt_cache_hit_tokens":8,"prompt_cache_miss_tokens":2}"#,
                [2, 8, 0, 5, 0],
            ),
            (
                r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":22,"completion_tokens_details":{"reasoning_tokens":7}}"#,
                [10, 0, 0, 5, 7],
            ),
            (
                r#"{"prompt_tokens":10,"completion_tokens":9,"total_tokens":26,"completion_tokens_details":{"reasoning_tokens":7}}"#,
                [10, 0, 0, 9, 7],
            ),
            (
                r#"{"prompt_tokens":3,"prompt_tokens_details":{"cached_tokens":9,"cache_write_tokens":9}}"#,
                [0, 3, 0, 0, 0],
            ),
            (
                r#"{"prompt_tokens":-3,"completion_tokens":null,"prompt_tokens_details":null}"#,
                [0; 5],
            ),
            ("null", [0; 5]),
        ];
        for (text, [input, read_, write_, output, reasoning]) in rows {
            let usage = read(Raw::parse(text).unwrap());
            assert_eq!(
                (usage.input, usage.cache_read, usage.cache_write, usage.output, usage.reasoning),
                (*input, *read_, *write_, *output, *reasoning),
                "{text}"
            );
        }
    }
}
