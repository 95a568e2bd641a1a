//! Tokens as Gemini counts them: cached ones inside `promptTokenCount`, those of tools that the
//! vendor runs beside it, thinking beside `candidatesTokenCount`. A count of nothing is left out.

use crate::protocol::json::{ObjectWriter, Raw};
use crate::protocol::model::Usage;

use super::names::camel;

/// Reads a `usageMetadata` object. Counts that are missing, negative or no numbers are 0.
pub(super) fn read(raw: Raw<'_>) -> Usage<'_> {
    let (mut prompt, mut tools, mut cached) = (0, 0, 0);
    let (mut output, mut thoughts) = (0, 0);
    // The value was checked when it was cut; what is no object has no counts.
    let _ = raw.cursor().object(|key, c| {
        let slot = match &*camel(&key) {
            "promptTokenCount" => &mut prompt,
            "toolUsePromptTokenCount" => &mut tools,
            "cachedContentTokenCount" => &mut cached,
            // Some versions of Vertex and the Live API say it so.
            "candidatesTokenCount" | "responseTokenCount" => &mut output,
            "thoughtsTokenCount" => &mut thoughts,
            _ => return c.raw().map(drop),
        };
        *slot = c.raw()?.as_u64().unwrap_or(0);
        Ok(())
    });
    let cache_read: u64 = u64::min(cached, prompt);
    Usage {
        input: (prompt - cache_read).saturating_add(tools),
        cache_read,
        cache_write: 0,
        cache_write_1h: 0,
        output,
        reasoning: thoughts,
        raw: Some(raw),
    }
}

/// Writes `usageMetadata`, from the counts or, where `native`, as it stood.
pub(super) fn write(object: &mut ObjectWriter<'_>, usage: &Usage<'_>, native: bool) {
    if let Some(raw) = usage.raw.as_ref().filter(|_| native) {
        return object.raw("usageMetadata", raw);
    }
    object.object("usageMetadata", |object| {
        object.u64("promptTokenCount", usage.input_total());
        if usage.cache_read > 0 {
            object.u64("cachedContentTokenCount", usage.cache_read);
        }
        object.u64("candidatesTokenCount", usage.output);
        if usage.reasoning > 0 {
            object.u64("thoughtsTokenCount", usage.reasoning);
        }
        let total = usage.input_total().saturating_add(usage.output_total());
        object.u64("totalTokenCount", total);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_disjoint() {
        // Given; input, cache read, output, thinking.
        let rows = [
            ("{}", [0, 0, 0, 0]),
            (r#"{"promptTokenCount":9,"totalTokenCount":9}"#, [9, 0, 0, 0]),
            (
                r#"{"promptTokenCount":9,"cachedContentTokenCount":4,"toolUsePromptTokenCount":7,
                   "candidatesTokenCount":3,"thoughtsTokenCount":2,"totalTokenCount":21}"#,
                [12, 4, 3, 2],
            ),
            (r#"{"prompt_token_count":5,"cached_content_token_count":8}"#, [0, 5, 0, 0]),
            (r#"{"promptTokenCount":-5,"candidatesTokenCount":"3"}"#, [0, 0, 0, 0]),
            ("null", [0, 0, 0, 0]),
        ];
        for (text, expected) in rows {
            let usage = read(Raw::parse(text).unwrap());
            let found = [usage.input, usage.cache_read, usage.output, usage.reasoning];
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn written() {
        let usage = Usage {
            input: 5,
            cache_read: 2,
            cache_write: 3,
            output: 4,
            reasoning: 1,
            ..Usage::default()
        };
        let mut out = bytes::BytesMut::new();
        let mut object = ObjectWriter::begin(&mut out);
        write(&mut object, &usage, false);
        write(&mut object, &Usage { raw: Some(Raw::literal("{}")), ..usage }, true);
        object.end();
        assert_eq!(
            out,
            r#"{"usageMetadata":{"promptTokenCount":10,"cachedContentTokenCount":2,"candidatesTokenCount":4,"thoughtsTokenCount":1,"totalTokenCount":15},"usageMetadata":{}}"#
        );
    }
}
