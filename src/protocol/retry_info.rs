//! How long to wait, as Google tells it: a `google.rpc.RetryInfo` among the details of an error,
//! both in Gemini's protocol and at its endpoint for Chat.

use std::time::Duration;

use super::json::{ObjectWriter, Raw};

/// The `@type` of the detail.
const TYPE: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// The `retryDelay` among an error's details, as in `"34s"`.
pub(super) fn read(details: &Raw<'_>) -> Option<Duration> {
    let mut delay = None;
    let walked = details.cursor().array(|_, c| {
        let raw = c.raw()?;
        let told = raw.member("retryDelay").or_else(|| raw.member("retry_delay"));
        if let Some(text) = told.as_ref().and_then(Raw::as_json_str) {
            let seconds = text.decode().strip_suffix('s').and_then(|n| n.parse().ok());
            delay = seconds.and_then(|n| Duration::try_from_secs_f64(n).ok());
        }
        Ok(())
    });
    walked.ok().and(delay)
}

/// Writes the detail.
pub(super) fn write(object: &mut ObjectWriter<'_>, delay: Duration) {
    object.plain("@type", TYPE);
    object.plain("retryDelay", &format!("{}s", delay.as_secs_f64()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays() {
        for (details, expected) in [
            (r#"[{},{"retryDelay":"34s"}]"#, Some(34_000)),
            (r#"[{"retry_delay":"0.5s"}]"#, Some(500)),
            (r#"[{"retryDelay":"x"}]"#, None),
            (r#"[{"retryDelay":"-1s"}]"#, None),
            (r#"[{"retryDelay":5}]"#, None),
            ("{}", None),
        ] {
            let delay = read(&Raw::parse(details).unwrap());
            assert_eq!(delay.map(|delay| delay.as_millis()), expected, "{details}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for millis in [0, 500, 34_000, 34_074] {
            let delay = Duration::from_millis(millis);
            let mut out = bytes::BytesMut::from(&b"["[..]);
            let mut object = ObjectWriter::begin(&mut out);
            write(&mut object, delay);
            object.end();
            out.extend_from_slice(b"]");
            let text = std::str::from_utf8(&out).unwrap();
            assert_eq!(read(&Raw::parse(text).unwrap()), Some(delay), "{text}");
        }
    }
}
