//! Dates and times in UTC, as people and files write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second of the year 9999: later ones have no text.
const LAST: Duration = Duration::from_secs(253_402_300_799);

/// Since the Unix epoch; nothing for what is before it.
pub(crate) fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// `2026-01-31 23:59:59`.
pub(crate) fn date_and_time(since_epoch: Duration) -> String {
    rfc3339(since_epoch).trim_end_matches('Z').replace('T', " ")
}

/// `2026-01-31`. Its order as text is that of time.
#[cfg(feature = "request-log")]
pub(crate) fn date(since_epoch: Duration) -> String {
    let mut text = rfc3339(since_epoch);
    text.truncate("2026-01-31".len());
    text
}

/// Whether this is a [`date`].
#[cfg(feature = "request-log")]
pub(crate) fn is_date(text: &str) -> bool {
    text.len() == "2026-01-31".len() && parse(text).is_some()
}

/// Reads a date, or date and time in one of the forms of ISO 8601: to the second or finer, with `Z`, an
/// offset or neither, which is UTC too. A query makes the `+` of an offset a blank; that is read.
#[must_use]
pub fn parse(text: &str) -> Option<SystemTime> {
    if text.len() == "2026-01-31".len() {
        return humantime::parse_rfc3339_weak(&format!("{text}T00:00:00")).ok();
    }
    let split = text.len().checked_sub("+01:00".len()).filter(|at| *at >= "2026-01-31T23:59".len());
    let Some((time, offset)) = split.and_then(|at| text.split_at_checked(at)) else {
        return humantime::parse_rfc3339_weak(text).ok();
    };
    let Some((east, offset)) = offset_of(offset) else {
        return humantime::parse_rfc3339_weak(text).ok();
    };
    let time = humantime::parse_rfc3339_weak(time).ok()?;
    if east { time.checked_sub(offset) } else { time.checked_add(offset) }
}

/// Whether it is east of Greenwich, and how far.
fn offset_of(text: &str) -> Option<(bool, Duration)> {
    let east = match text.as_bytes().first()? {
        b'+' | b' ' => true,
        b'-' => false,
        _ => return None,
    };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let two_digits = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u64>().ok()).flatten()
    };
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
    (hours < 24 && minutes < 60).then(|| (east, Duration::from_secs(hours * 3600 + minutes * 60)))
}

/// `2026-01-31T23:59:59Z`.
fn rfc3339(since_epoch: Duration) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since_epoch.min(LAST)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (951_868_800, "2000-03-01 00:00:00"),
            (1_700_000_000, "2023-11-14 22:13:20"),
            (1_735_689_599, "2024-12-31 23:59:59"),
            (4_107_542_400, "2100-03-01 00:00:00"),
            (u64::MAX, "9999-12-31 23:59:59"),
        ] {
            let time = Duration::from_secs(seconds);
            assert_eq!(date_and_time(time), text);
            assert_eq!(parse(text), Some(UNIX_EPOCH + time.min(LAST)));
        }
    }

    #[cfg(feature = "request-log")]
    #[test]
    fn dates_are_told_from_other_names() {
        assert_eq!(date(Duration::from_secs(951_782_400)), "2000-02-29");
        for (name, is) in [
            ("2026-01-31", true),
            ("2026-02-29", false),
            ("2026-13-01", false),
            ("1969-12-31", false),
            ("2026-1-31", false),
            ("2026-01-3x", false),
            ("../../etc/", false),
            ("ééééé", false),
            ("", false),
        ] {
            assert_eq!(is_date(name), is, "{name}");
        }
    }

    #[test]
    fn times_of_iso_8601() {
        let noon = UNIX_EPOCH + Duration::from_secs(1_767_268_800);
        let parsed = |text| parse(text).map(|time| time.duration_since(noon).unwrap());
        for text in [
            "2026-01-01T12:00:00",
            "2026-01-01 12:00:00",
            "2026-01-01T12:00:00Z",
            "2026-01-01T12:00:00+00:00",
            "2026-01-01T14:00:00+02:00",
            "2026-01-01T14:00:00 02:00",
            "2026-01-01T06:30:00-05:30",
            "2026-01-01T12:00:00.000",
        ] {
            assert_eq!(parsed(text), Some(Duration::ZERO), "{text}");
        }
        let fine = Some(Duration::from_micros(250_000));
        assert_eq!(parsed("2026-01-01T14:00:00.250000+02:00"), fine);
        assert_eq!(parsed("2026-01-01T12:00:00.25Z"), fine);
        assert_eq!(parsed("2026-01-02"), Some(Duration::from_secs(12 * 3600)));
        for text in ["", "now", "2026-01-01T12:00:00+2:00", "2026-01-01T25:00:00", "1767268800"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse("2026-01-01T12:00:00+24:00"), None);
        assert_eq!(parse("ééééééééééééééé"), None);
    }
}
