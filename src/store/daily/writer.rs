use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use memchr::memchr_iter;

use super::files::Counts;
use super::{DailySettings, EXTENSION, date_of};
use crate::calendar;
use crate::store::{LogEntry, private};

/// Longest line: 1 MiB. A longer one is not written, and where one is found it is not read.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// How much is gathered before it is written.
const MAX_GATHERED: usize = 256 << 10;

/// Of how many days the lines are remembered; those of others are counted again.
const MAX_REMEMBERED_DAYS: usize = 4;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Appends lines to the files of their days, and removes old files. It blocks.
///
/// Each batch opens its file anew: what others do to the files meanwhile does no harm.
pub(super) struct Writer {
    settings: DailySettings,
    counts: Arc<Counts>,
    /// How many lines the file of a date has.
    lines: BTreeMap<String, usize>,
    /// The last date whose limit was reached, and said to be.
    full: Option<String>,
}

impl Writer {
    pub(super) fn new(settings: DailySettings, counts: Arc<Counts>) -> Self {
        Self { settings, counts, lines: BTreeMap::new(), full: None }
    }

    /// Appends them, each to the file of its own date, also when it comes after midnight.
    pub(super) fn write(&mut self, entries: &[Arc<LogEntry>]) {
        let date = |entry: &LogEntry| {
            let at = Duration::try_from_secs_f64(entry.timestamp).unwrap_or_default();
            calendar::date(at)
        };
        let mut rest = entries;
        while let Some(first) = rest.first() {
            let date_of_first = date(first);
            let same = rest.iter().take_while(|entry| date(entry) == date_of_first).count();
            let (entries, later) = rest.split_at(same);
            if let Err(failed) = self.append(date_of_first, entries) {
                self.counts.failed(&failed.error, failed.lines);
            } else {
                self.counts.succeeded();
            }
            rest = later;
        }
    }

    fn append(&mut self, date: String, entries: &[Arc<LogEntry>]) -> Result<(), Failed> {
        let all_failed = |error| Failed { error, lines: entries.len() };
        // Not known any more, should something fail.
        let known = self.lines.remove(&date);
        let mut file = DayFile::open(&self.settings.dir, &date, known).map_err(all_failed)?;
        let mut gathered = Gathered { text: file.mended(), lines: 0 };
        for (written, entry) in entries.iter().enumerate() {
            if file.lines + gathered.lines >= self.settings.daily_limit {
                self.pass_over(&date, entries.len() - written);
                break;
            }
            if gathered.add(entry).is_err() {
                self.counts.lock().too_long += 1;
            }
            if gathered.text.len() >= MAX_GATHERED {
                let lines = entries.len() - written - 1 + gathered.lines;
                file.write(&mut gathered, &self.counts).map_err(|error| Failed { error, lines })?;
            }
        }
        let lines = gathered.lines;
        file.write(&mut gathered, &self.counts).map_err(|error| Failed { error, lines })?;
        self.lines.insert(date, file.lines);
        while self.lines.len() > MAX_REMEMBERED_DAYS {
            self.lines.pop_first();
        }
        Ok(())
    }

    /// The limit of this day is reached: said once.
    fn pass_over(&mut self, date: &str, lines: usize) {
        self.counts.lock().over_limit += lines as u64;
        if self.full.as_deref() != Some(date) {
            let limit = self.settings.daily_limit;
            tracing::warn!(date, limit, "the file of the live log is full, lines are left out");
            self.full = Some(date.to_owned());
        }
    }

    /// Removes the files of days that are no longer kept; files of other names stay.
    pub(super) fn sweep(&mut self) {
        let kept = DAY.saturating_mul(self.settings.retention_days - 1);
        let now = calendar::since_epoch(self.settings.now());
        let oldest = calendar::date(now.saturating_sub(kept));
        match self.remove(|date| *date < *oldest) {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "old files of the live log are removed"),
            Err(error) => tracing::warn!(%error, "old files of the live log cannot be removed"),
        }
    }

    /// Removes all files.
    pub(super) fn clear(&mut self) -> io::Result<usize> {
        let removed = self.remove(|_| true);
        self.counts.cleared();
        removed
    }

    /// How many of the dates that `which` names had a file; tries all before it fails.
    fn remove(&mut self, which: impl Fn(&str) -> bool) -> io::Result<usize> {
        let files = match fs::read_dir(&self.settings.dir) {
            Ok(files) => files,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        };
        let mut removed = Ok(0);
        for file in files {
            let file = file?;
            let name = file.file_name();
            let Some(date) = date_of(&name).filter(|date| which(date)) else { continue };
            self.lines.remove(date);
            match fs::remove_file(file.path()) {
                Ok(()) => removed = removed.map(|removed| removed + 1),
                Err(error) => removed = Err(error),
            }
        }
        removed
    }
}

/// So many lines are not written.
struct Failed {
    error: io::Error,
    lines: usize,
}

/// Lines that are to be written at once.
struct Gathered {
    text: Vec<u8>,
    lines: usize,
}

impl Gathered {
    /// Fails for a line that is too long.
    fn add(&mut self, entry: &LogEntry) -> Result<(), ()> {
        let start = self.text.len();
        let serialized = serde_json::to_writer(&mut self.text, entry);
        if serialized.is_err() || self.text.len() - start > MAX_LINE_BYTES {
            self.text.truncate(start);
            return Err(());
        }
        self.text.push(b'\n');
        self.lines += 1;
        Ok(())
    }
}

/// The file of one day, open at its end.
struct DayFile {
    file: File,
    lines: usize,
    /// Whether it ends within a line, as after a crash.
    is_cut: bool,
}

impl DayFile {
    fn open(dir: &Path, date: &str, known: Option<usize>) -> io::Result<Self> {
        let path = dir.join(format!("{date}{EXTENSION}"));
        let mut file = match private::append(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                private::make_dir(dir)?;
                private::append(&path)?
            }
            opened => opened?,
        };
        let size = file.metadata()?.len();
        if size == 0 {
            return Ok(Self { file, lines: 0, is_cut: false });
        }
        let mut last = [0];
        file.seek(SeekFrom::Start(size - 1))?;
        file.read_exact(&mut last)?;
        let lines = match known {
            Some(lines) => lines,
            None => count_lines(&mut file)?,
        };
        Ok(Self { file, lines, is_cut: last != *b"\n" })
    }

    /// What must stand before the next line.
    fn mended(&mut self) -> Vec<u8> {
        if std::mem::take(&mut self.is_cut) {
            self.lines += 1;
            return b"\n".to_vec();
        }
        Vec::new()
    }

    fn write(&mut self, gathered: &mut Gathered, counts: &Counts) -> io::Result<()> {
        self.file.write_all(&gathered.text)?;
        self.lines += gathered.lines;
        counts.lock().written += gathered.lines as u64;
        *gathered = Gathered { text: Vec::new(), lines: 0 };
        Ok(())
    }
}

/// How many lines end in it.
fn count_lines(file: &mut File) -> io::Result<usize> {
    let (mut lines, mut block) = (0, vec![0; 64 << 10]);
    file.seek(SeekFrom::Start(0))?;
    loop {
        match file.read(&mut block)? {
            0 => return Ok(lines),
            size => lines += memchr_iter(b'\n', &block[..size]).count(),
        }
    }
}
