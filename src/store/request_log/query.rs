use std::ops::Range;

use serde::Serialize;

use super::{AttemptRow, RequestRow};

/// Rows of a page, if its query says nothing else.
pub const DEFAULT_PAGE: usize = 100;

/// Most rows of a page.
pub const MAX_PAGE: usize = 1000;

/// Which rows, and which page of them. What is `None` chooses nothing.
///
/// ```
/// use tower_llm_gateway::store::LogQuery;
///
/// let failed = LogQuery { success: Some(false), limit: 20, ..LogQuery::default() };
/// assert_eq!(failed.page(), 0..20);
/// assert_eq!(LogQuery { limit: 5000, offset: 10, ..failed }.page(), 10..1010);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    /// Not older, unix ms.
    pub from: Option<u64>,
    /// Older, unix ms.
    pub to: Option<u64>,
    /// Who called.
    pub principal: Option<String>,
    /// Which model.
    pub model: Option<String>,
    /// Which key, by its [fingerprint](crate::secret::Secret::fingerprint).
    pub key_id: Option<String>,
    /// Which channel.
    pub channel: Option<String>,
    /// Whether it went well.
    pub success: Option<bool>,
    /// Which request, by its [`request_id`](RequestRow::request_id).
    pub request_id: Option<String>,
    /// Rows of the page: 1 to [`MAX_PAGE`], what is beyond counts as the nearest. Default
    /// [`DEFAULT_PAGE`].
    pub limit: usize,
    /// Newer rows that are left out. Default 0.
    pub offset: usize,
}

impl Default for LogQuery {
    fn default() -> Self {
        Self {
            from: None,
            to: None,
            principal: None,
            model: None,
            key_id: None,
            channel: None,
            success: None,
            request_id: None,
            limit: DEFAULT_PAGE,
            offset: 0,
        }
    }
}

impl LogQuery {
    /// Which of the chosen rows are on the page, counted from the newest.
    #[must_use]
    pub fn page(&self) -> Range<usize> {
        self.offset..self.offset.saturating_add(self.limit.clamp(1, MAX_PAGE))
    }

    /// Whether rows are chosen by what attempts alone know.
    pub(super) fn asks_for_attempts(&self) -> bool {
        self.key_id.is_some() || self.channel.is_some()
    }

    /// Whether it chooses a request, but for what attempts alone know.
    pub(super) fn admits_request(&self, row: &RequestRow) -> bool {
        self.admits_time(row.time)
            && is(&self.principal, &row.principal)
            && is(&self.model, &row.model)
            && self.success.is_none_or(|success| success == row.success)
            && self.request_id.as_ref().is_none_or(|id| *id == row.request_id)
    }

    /// Whether it chooses an attempt.
    pub(super) fn admits_attempt(&self, row: &AttemptRow) -> bool {
        self.admits_time(row.time)
            && is(&self.principal, &row.principal)
            && is(&self.model, &row.model)
            && self.is_of(row)
            && self.success.is_none_or(|success| success == row.success)
            && self.request_id.as_ref().is_none_or(|id| *id == row.request_id)
    }

    /// Whether the attempt has the key and the channel.
    pub(super) fn is_of(&self, row: &AttemptRow) -> bool {
        is(&self.key_id, &row.key_id) && is(&self.channel, &row.channel)
    }

    fn admits_time(&self, time: u64) -> bool {
        self.from.is_none_or(|from| from <= time) && self.to.is_none_or(|to| time < to)
    }
}

fn is(wanted: &Option<String>, found: &Option<String>) -> bool {
    wanted.is_none() || wanted == found
}

/// Rows of one page, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page<R> {
    /// At most as many as the query's limit.
    pub rows: Vec<R>,
    /// How many the query chooses on all pages.
    pub total: u64,
}

/// How many requests a principal made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PrincipalCalls {
    /// Who.
    pub principal: String,
    /// Requests of it.
    pub calls: u64,
}
