//! Tokens as Messages counts them: cached input stands beside `input_tokens`, thinking is a part
//! of `output_tokens`.

use crate::protocol::json::{Cursor, ObjectWriter, Raw};
use crate::protocol::model::Usage;

use crate::protocol::wire::{Result, lenient_u64, skip};

/// The counts that one `usage` object names; a stream overwrites only those.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Counts {
    input: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    cache_write_5m: Option<u64>,
    cache_write_1h: Option<u64>,
    output: Option<u64>,
    thinking: Option<u64>,
}

impl Counts {
    fn read(c: &mut Cursor<'_>) -> Result<Self> {
        let mut counts = Self::default();
        c.object(|key, c| {
            match &*key.decode() {
                "input_tokens" => counts.input = lenient_u64(c)?,
                "cache_read_input_tokens" => counts.cache_read = lenient_u64(c)?,
                "cache_creation_input_tokens" => counts.cache_write = lenient_u64(c)?,
                "output_tokens" => counts.output = lenient_u64(c)?,
                "cache_creation" => each_count(c, |name, n| match name {
                    "ephemeral_5m_input_tokens" => counts.cache_write_5m = n,
                    "ephemeral_1h_input_tokens" => counts.cache_write_1h = n,
                    _ => {}
                })?,
                "output_tokens_details" => each_count(c, |name, n| {
                    if name == "thinking_tokens" {
                        counts.thinking = n;
                    }
                })?,
                _ => skip(c)?,
            }
            Ok(())
        })?;
        Ok(counts)
    }

    /// These counts, and the earlier ones where these are silent.
    pub(super) fn over(self, earlier: Self) -> Self {
        Self {
            input: self.input.or(earlier.input),
            cache_read: self.cache_read.or(earlier.cache_read),
            cache_write: self.cache_write.or(earlier.cache_write),
            cache_write_5m: self.cache_write_5m.or(earlier.cache_write_5m),
            cache_write_1h: self.cache_write_1h.or(earlier.cache_write_1h),
            output: self.output.or(earlier.output),
            thinking: self.thinking.or(earlier.thinking),
        }
    }

    /// In the hub's disjoint counts.
    pub(super) fn usage<'a>(self, raw: Raw<'a>) -> Usage<'a> {
        let by_lifetime = || {
            let short = self.cache_write_5m.unwrap_or_default();
            short.saturating_add(self.cache_write_1h.unwrap_or_default())
        };
        let thinking = self.thinking.unwrap_or_default();
        Usage {
            input: self.input.unwrap_or_default(),
            cache_read: self.cache_read.unwrap_or_default(),
            cache_write: self.cache_write.unwrap_or_else(by_lifetime),
            cache_write_1h: self.cache_write_1h.unwrap_or_default(),
            output: self.output.unwrap_or_default().saturating_sub(thinking),
            reasoning: thinking,
            raw: Some(raw),
        }
    }
}

fn each_count(c: &mut Cursor<'_>, mut count: impl FnMut(&str, Option<u64>)) -> Result<()> {
    use crate::protocol::json::Kind;
    if c.kind()? != Kind::Object {
        return skip(c);
    }
    c.object(|key, c| {
        let n = lenient_u64(c)?;
        count(&key.decode(), n);
        Ok(())
    })
}

/// Reads a `usage` object; `None` for anything else.
pub(super) fn read<'a>(c: &mut Cursor<'a>) -> Result<Option<(Counts, Raw<'a>)>> {
    let counts = Counts::read(&mut c.clone()).ok();
    let raw = c.raw()?;
    Ok(counts.map(|counts| (counts, raw)))
}

/// Writes `usage`, from the counts or, where `native`, as it stood.
///
/// Counts that clients demand are added where the upstream left them out: `message_delta` may
/// name only the output, but clients (langchain) read the input there too.
pub(super) fn write(object: &mut ObjectWriter<'_>, usage: Option<&Usage<'_>>, native: bool) {
    let empty = Usage::default();
    let usage = usage.unwrap_or(&empty);
    object.object("usage", |object| match &usage.raw {
        Some(raw) if native => write_raw(object, usage, raw),
        _ => write_counts(object, usage),
    });
}

fn write_raw(object: &mut ObjectWriter<'_>, usage: &Usage<'_>, raw: &Raw<'_>) {
    let some = |count| (count > 0).then_some(count);
    let mut missing = [
        ("input_tokens", Some(usage.input)),
        ("cache_creation_input_tokens", some(usage.cache_write)),
        ("cache_read_input_tokens", some(usage.cache_read)),
        ("output_tokens", Some(usage.output_total())),
    ];
    // An object, or the reader would not have kept it.
    let _ = raw.cursor().object(|key, c| {
        for (name, count) in &mut missing {
            if key == **name {
                *count = None;
            }
        }
        object.raw(key.escaped(), &c.raw()?);
        Ok(())
    });
    for (name, count) in missing {
        if let Some(count) = count {
            object.u64(name, count);
        }
    }
}

fn write_counts(object: &mut ObjectWriter<'_>, usage: &Usage<'_>) {
    object.u64("input_tokens", usage.input);
    object.u64("cache_creation_input_tokens", usage.cache_write);
    object.u64("cache_read_input_tokens", usage.cache_read);
    if usage.cache_write_1h > 0 {
        object.object("cache_creation", |object| {
            let short = usage.cache_write.saturating_sub(usage.cache_write_1h);
            object.u64("ephemeral_5m_input_tokens", short);
            object.u64("ephemeral_1h_input_tokens", usage.cache_write_1h);
        });
    }
    object.u64("output_tokens", usage.output_total());
    if usage.reasoning > 0 {
        object.object("output_tokens_details", |object| {
            object.u64("thinking_tokens", usage.reasoning);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;

    fn usage(text: &str) -> Usage<'_> {
        let (counts, raw) = read(&mut Cursor::new(text)).unwrap().unwrap();
        counts.usage(raw)
    }

    fn written(usage: &Usage<'_>, native: bool) -> String {
        let mut out = BytesMut::new();
        let mut object = ObjectWriter::begin(&mut out);
        write(&mut object, Some(usage), native);
        object.end();
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn counts_are_disjoint() {
        let read = usage(
            r#"{"input_tokens":5,"cache_read_input_tokens":7,"cache_creation_input_tokens":11,
                "cache_creation":{"ephemeral_1h_input_tokens":4},"output_tokens":20,
                "output_tokens_details":{"thinking_tokens":8},"service_tier":"standard"}"#,
        );
        assert_eq!((read.input_total(), read.output_total()), (23, 20));
        assert_eq!((read.output, read.reasoning, read.cache_write_1h), (12, 8, 4));
    }

    #[test]
    fn nonsense_counts_are_zero() {
        let read = usage(r#"{"input_tokens":null,"output_tokens":-3,"cache_creation":[]}"#);
        assert_eq!((read.input, read.output), (0, 0));
        assert!(super::read(&mut Cursor::new("null")).unwrap().is_none());
    }

    #[test]
    fn the_last_usage_repeats_the_input() {
        let start = Counts::read(&mut Cursor::new(r#"{"input_tokens":9,"output_tokens":1}"#));
        let text = r#"{"output_tokens":30}"#;
        let (last, raw) = read(&mut Cursor::new(text)).unwrap().unwrap();
        let usage = last.over(start.unwrap()).usage(raw);
        assert_eq!(written(&usage, true), r#"{"usage":{"output_tokens":30,"input_tokens":9}}"#);
        assert_eq!(
            written(&usage, false),
            r#"{"usage":{"input_tokens":9,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":30}}"#
        );
    }
}
