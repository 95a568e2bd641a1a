//! Failed requests, page by page: the shape of an older gateway's `GET /errors`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ended::Failure;
use super::handle::Stats;
use super::report::{TOP_PATHS, Window, millis, two_digits};
use crate::calendar;
use crate::store::Pagination;

/// Which failed requests to list.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ErrorsQuery {
    /// Unix seconds. Default: an hour before `end_time`.
    pub start_time: Option<f64>,
    /// Unix seconds. Default: now.
    pub end_time: Option<f64>,
    /// Most to list. Default 50.
    pub limit: usize,
    /// How many of the newest to pass over. Default 0.
    pub offset: usize,
    /// Only paths that hold this text, in any case. Default: all paths.
    pub path_filter: Option<String>,
}

impl Default for ErrorsQuery {
    fn default() -> Self {
        Self { start_time: None, end_time: None, limit: 50, offset: 0, path_filter: None }
    }
}

/// Failed requests that are still kept, at most [`MAX_ERRORS`](super::MAX_ERRORS).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ErrorReport {
    /// Newest first.
    pub errors: Vec<ErrorEntry>,
    /// Where in all of them this page is.
    pub pagination: Pagination,
    /// Sums over the window.
    pub statistics: ErrorStatistics,
}

/// One failed request.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ErrorEntry {
    /// As in [`RequestStats`](super::RequestStats).
    pub request_id: String,
    /// Without the query.
    pub path: String,
    /// Why it failed.
    pub error: String,
    /// Unix seconds of its start.
    pub timestamp: f64,
    /// The same in UTC: `2026-01-31 23:59:59`.
    pub formatted_time: String,
    /// Time to the headers in milliseconds, to two digits.
    pub response_time: f64,
    /// The beginning of the answer's body, where
    /// [`capture_error_bodies`](super::StatsLayer::capture_error_bodies) asks for it.
    pub response_content: Option<String>,
}

/// Sums over a window.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ErrorStatistics {
    /// Failed requests that are listed, on all pages.
    pub total_errors: usize,
    /// Requests that began within the window, to the minute.
    pub total_requests: u64,
    /// Failed by all requests of the window; 0 without requests.
    pub error_rate: f64,
    /// The ten paths with the most failures.
    pub errors_by_path: BTreeMap<String, usize>,
}

pub(super) fn errors(stats: &Stats, query: &ErrorsQuery) -> ErrorReport {
    let window = Window::new(query.start_time, query.end_time, stats.now());
    let filter = query.path_filter.as_ref().map(|text| text.to_lowercase());
    let wanted = |failure: &&Failure| {
        let begun = &failure.ended.begun;
        window.has(begun.started)
            && filter.as_ref().is_none_or(|text| begun.path.to_lowercase().contains(text))
    };
    let (found, requests, failures) = stats.read(|books| {
        let found: Vec<Failure> = books.errors.iter().rev().filter(wanted).cloned().collect();
        let minutes = books.minutes.iter().filter(|minute| window.touches(minute));
        let (requests, failures) = minutes.fold((0, 0), |(requests, failures), minute| {
            (requests + minute.requests, failures + minute.failures)
        });
        (found, requests, failures)
    });
    let page = found.iter().skip(query.offset).take(query.limit);
    let errors: Vec<_> = page.map(entry).collect();
    ErrorReport {
        pagination: Pagination::new(found.len(), query.limit, query.offset, errors.len()),
        errors,
        statistics: ErrorStatistics {
            total_errors: found.len(),
            total_requests: requests,
            error_rate: failures as f64 / requests.max(1) as f64,
            errors_by_path: by_path(&found),
        },
    }
}

fn entry(failure: &Failure) -> ErrorEntry {
    let ended = &failure.ended;
    ErrorEntry {
        request_id: ended.begun.request_id.to_string(),
        path: ended.begun.path.to_string(),
        error: ended.error.as_deref().unwrap_or_default().to_owned(),
        timestamp: ended.begun.started.as_secs_f64(),
        formatted_time: calendar::date_and_time(ended.begun.started),
        response_time: two_digits(millis(ended.headers.unwrap_or_default())),
        response_content: failure.content.as_deref().map(str::to_owned),
    }
}

fn by_path(found: &[Failure]) -> BTreeMap<String, usize> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for failure in found {
        *counts.entry(&failure.ended.begun.path).or_default() += 1;
    }
    let mut paths: Vec<_> = counts.into_iter().collect();
    // The sort is stable: equal counts stay in the order of their names.
    paths.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    paths.into_iter().take(TOP_PATHS).map(|(path, count)| (path.to_owned(), count)).collect()
}
