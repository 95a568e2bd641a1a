use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::backwards::{Backwards, Line};
use super::writer::MAX_LINE_BYTES;
use super::{EXTENSION, date_of};
use crate::calendar;
use crate::store::{LogEntry, LogFilter, Pagination};

/// Default for the limit of a [`Page`].
pub const DEFAULT_PAGE: usize = 200;

/// Most lines of one page.
pub const MAX_PAGE: usize = 1000;

/// Most bytes of the lines of one page, if it has more than one: 16 MiB. A page that is full before
/// its limit ends there, and [`Pagination::has_more`] tells that more come.
pub const MAX_PAGE_BYTES: usize = 16 << 20;

/// Which part of the lines is wanted. It can be read from the query of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Page {
    /// Most to list, 1 to [`MAX_PAGE`]; what is beyond counts as the nearest. Default
    /// [`DEFAULT_PAGE`].
    pub limit: usize,
    /// How many newer ones are left out. Default 0.
    pub offset: usize,
}

impl Page {
    fn limit(self) -> usize {
        self.limit.clamp(1, MAX_PAGE)
    }
}

impl Default for Page {
    fn default() -> Self {
        Self { limit: DEFAULT_PAGE, offset: 0 }
    }
}

/// A page of what the daily files hold.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LogHistory {
    /// Newest first, in the order in which they were written.
    pub logs: Vec<LogEntry>,
    /// Where in all lines that match this page is.
    pub pagination: Pagination,
    /// How many lines could not be read: broken ones, and those above
    /// [`MAX_LINE_BYTES`](super::MAX_LINE_BYTES). Not in the JSON, whose shape is a given one.
    #[serde(skip)]
    pub skipped: usize,
}

/// All files are read to their beginning, as the total is asked for; what is in memory are the
/// lines of the page and one more.
pub(super) fn read(dir: &Path, filter: &LogFilter, page: Page) -> io::Result<LogHistory> {
    let mut reading = Reading { filter, page, logs: Vec::new(), bytes: 0, total: 0, skipped: 0 };
    for date in dates(dir, filter)? {
        match File::open(dir.join(date + EXTENSION)) {
            Ok(file) => reading.read(Backwards::new(file, MAX_LINE_BYTES)?)?,
            // It has become too old in between.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(reading.end())
}

/// Of the files that may have lines of the wanted time, the newest first.
fn dates(dir: &Path, filter: &LogFilter) -> io::Result<Vec<String>> {
    let date = |time| calendar::date(calendar::since_epoch(time));
    let (start, end) = (filter.start.map(date), filter.end.map(date));
    let files = match fs::read_dir(dir) {
        Ok(files) => files,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut dates = Vec::new();
    for file in files {
        let name = file?.file_name();
        let wanted = |date: &&str| {
            start.as_deref().is_none_or(|start| *date >= start)
                && end.as_deref().is_none_or(|end| *date <= end)
        };
        dates.extend(date_of(&name).filter(wanted).map(str::to_owned));
    }
    dates.sort_unstable_by(|one, other| other.cmp(one));
    Ok(dates)
}

/// How far the reading has come.
struct Reading<'a> {
    filter: &'a LogFilter,
    page: Page,
    logs: Vec<LogEntry>,
    /// Of the lines of `logs`.
    bytes: usize,
    total: usize,
    skipped: usize,
}

impl Reading<'_> {
    fn read(&mut self, mut lines: Backwards) -> io::Result<()> {
        while let Some(line) = lines.next()? {
            match line {
                Line::Whole(line) if line.is_empty() => {}
                Line::Whole(line) => match serde_json::from_slice(&line) {
                    Ok(entry) => self.add(entry, line.len()),
                    Err(_) => self.skipped += 1,
                },
                Line::TooLong => self.skipped += 1,
            }
        }
        Ok(())
    }

    fn add(&mut self, entry: LogEntry, bytes: usize) {
        if !self.filter.matches(&entry) {
            return;
        }
        // The place of this one on the page; a page that is full stays so.
        let place = self.total.checked_sub(self.page.offset);
        self.total += 1;
        let fits = self.logs.is_empty() || self.bytes + bytes <= MAX_PAGE_BYTES;
        if place == Some(self.logs.len()) && self.logs.len() < self.page.limit() && fits {
            self.logs.push(entry);
            self.bytes += bytes;
        }
    }

    fn end(self) -> LogHistory {
        let (limit, listed) = (self.page.limit(), self.logs.len());
        let pagination = Pagination::new(self.total, limit, self.page.offset, listed);
        LogHistory { logs: self.logs, pagination, skipped: self.skipped }
    }
}
