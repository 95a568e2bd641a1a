//! Server-sent events: bytes to events to bytes. Sans-IO.

/// One event of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Event<'a> {
    /// The `event` field; empty where there was none.
    pub name: &'a str,
    /// The `data` lines, joined with `\n`.
    pub data: &'a str,
    /// The `id` field of this event, if it had one.
    pub id: Option<&'a str>,
    /// The `retry` field in milliseconds.
    pub retry: Option<u64>,
}
