#![expect(clippy::disallowed_methods, reason = "a test is the host, which spawns the worker")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use super::files::Counts;
use super::writer::Writer;
use super::*;
use crate::store::{LogEntry, LogFilter, LogLevel};

const DAY: u64 = 24 * 60 * 60;

/// 2026-01-01, noon.
const NOON: u64 = 1_767_268_800;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn entry(seconds: u64, message: &str) -> Arc<LogEntry> {
    Arc::new(LogEntry::new(at(seconds), LogLevel::Info, message))
}

fn settings(dir: &TempDir) -> DailySettings {
    DailySettings::new(dir.path().join("logs")).with_clock(|| at(NOON))
}

fn writer(settings: &DailySettings) -> (Writer, Arc<Counts>) {
    let counts = Arc::new(Counts::default());
    (Writer::new(settings.clone(), Arc::clone(&counts)), counts)
}

fn status(counts: &Counts) -> DailyStatus {
    counts.lock().clone()
}

fn read(settings: &DailySettings, page: Page) -> LogHistory {
    history::read(&settings.dir, &LogFilter::default(), page).unwrap()
}

fn messages(history: &LogHistory) -> Vec<&str> {
    history.logs.iter().map(|entry| &*entry.message).collect()
}

fn file(settings: &DailySettings, date: &str) -> std::path::PathBuf {
    settings.dir.join(format!("{date}.jsonl"))
}

fn names(dir: &Path) -> Vec<String> {
    let name =
        |file: std::io::Result<fs::DirEntry>| file.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(name).collect();
    names.sort();
    names
}

#[test]
fn each_line_is_in_the_file_of_its_day() {
    let dir = TempDir::new().unwrap();
    let settings = settings(&dir);
    let (mut writer, counts) = writer(&settings);
    // Midnight is within the batch, and one line comes late.
    let midnight = NOON + DAY / 2;
    let [a, b] = [entry(midnight - 2, "a"), entry(midnight - 1, "b")];
    let [c, d] = [entry(midnight, "c"), entry(midnight - 1, "d")];
    writer.write(&[a, b, c, d]);
    assert_eq!(names(&settings.dir), ["2026-01-01.jsonl", "2026-01-02.jsonl"]);
    let text = fs::read_to_string(file(&settings, "2026-01-01")).unwrap();
    assert_eq!(text.lines().count(), 3);
    assert_eq!(
        text.lines().next().unwrap(),
        r#"{"timestamp":1767311998.0,"level":"INFO","message":"a","path":null,"request_id":null,"formatted_time":"2026-01-01 23:59:58","response_content":null}"#
    );
    assert_eq!(messages(&read(&settings, Page::default())), ["c", "d", "b", "a"]);
    assert_eq!(status(&counts).written, 4);
}

#[test]
fn a_line_of_no_time_is_in_the_file_of_the_epoch() {
    let dir = TempDir::new().unwrap();
    let settings = settings(&dir);
    let (mut writer, _) = writer(&settings);
    for timestamp in [f64::MIN, f64::MAX] {
        let mut entry = LogEntry::new(at(0), LogLevel::Info, "m");
        entry.timestamp = timestamp;
        writer.write(&[Arc::new(entry)]);
    }
    assert_eq!(names(&settings.dir), ["1970-01-01.jsonl"]);
}

#[test]
fn a_day_has_a_limit() {
    let dir = TempDir::new().unwrap();
    let settings = settings(&dir).daily_limit(3);
    let lines = |from: usize, to| -> Vec<_> {
        (from..to).map(|n: usize| entry(NOON, &n.to_string())).collect()
    };
    let (mut first, counts) = writer(&settings);
    first.write(&lines(0, 2));
    assert_eq!(status(&counts).over_limit, 0);
    // A new process counts what is there.
    let (mut second, counts) = writer(&settings);
    second.write(&lines(2, 4));
    second.write(&lines(4, 9));
    assert_eq!((status(&counts).written, status(&counts).over_limit), (1, 6));
    assert_eq!(messages(&read(&settings, Page::default())), ["2", "1", "0"]);
    // The next day begins anew; so does one whose file was taken away.
    second.write(&[entry(NOON + DAY, "next")]);
    fs::remove_file(file(&settings, "2026-01-01")).unwrap();
    second.write(&lines(9, 10));
    assert_eq!(messages(&read(&settings, Page::default())), ["next", "9"]);
}

#[test]
fn days_are_kept_for_a_while() {
    let dir = TempDir::new().unwrap();
    let settings = settings(&dir).retention_days(2);
    let (mut writer, counts) = writer(&settings);
    let day = |days: u64| entry(NOON - days * DAY, "m");
    writer.write(&[day(3), day(2), day(1), day(0)]);
    let others = ["2025-01-01.jsonl.bak", "2025-02-30.jsonl", "2025-01-01.json", "notes.jsonl"];
    for name in others {
        fs::write(settings.dir.join(name), "x").unwrap();
    }
    writer.sweep();
    let kept = ["2025-12-31.jsonl", "2026-01-01.jsonl"];
    let mut expected = [&others[..], &kept].concat();
    expected.sort_unstable();
    assert_eq!(names(&settings.dir), expected);
    assert_eq!(writer.clear().unwrap(), 2);
    assert_eq!(names(&settings.dir).len(), others.len());
    assert_eq!(status(&counts), DailyStatus::default());
    assert_eq!(writer.clear().unwrap(), 0);
}

#[test]
fn what_is_broken_is_passed_over_and_counted() {
    let dir = TempDir::new().unwrap();
    let settings = settings(&dir);
    let (mut first, _) = writer(&settings);
    first.write(&[entry(NOON, "a")]);
    let path = file(&settings, "2026-01-01");
    let long = "x".repeat(MAX_LINE_BYTES + 1);
    let whole = fs::read_to_string(&path).unwrap();
    // Something else, no UTF-8, too long, and the end of a crash.
    let broken = [whole.as_bytes(), b"{}\n\n\xff\n", long.as_bytes(), b"\n{\"timestamp\":1"];
    fs::write(&path, broken.concat()).unwrap();
    let (mut second, counts) = writer(&settings);
    second.write(&[entry(NOON, "b")]);
    let history = read(&settings, Page::default());
    assert_eq!((messages(&history), history.skipped), (vec!["b", "a"], 4));
    assert_eq!(status(&counts).written, 1);
    let json = serde_json::to_value(&history).unwrap();
    let keys: Vec<_> = json.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["logs", "pagination"]);
}

#[test]
fn a_line_that_is_too_long_is_not_written() {
    let dir = TempDir::new().unwrap();
    let settings = settings(&dir);
    let (mut writer, counts) = writer(&settings);
    let long = "x".repeat(MAX_LINE_BYTES);
    writer.write(&[entry(NOON, "a"), entry(NOON, &long), entry(NOON, "b")]);
    assert_eq!(messages(&read(&settings, Page::default())), ["b", "a"]);
    assert_eq!((status(&counts).written, status(&counts).too_long), (2, 1));
}

#[test]
fn where_nothing_can_be_written_lines_are_counted() {
    let dir = TempDir::new().unwrap();
    let settings = settings(&dir);
    // A file stands where the directory should be.
    fs::write(&settings.dir, "").unwrap();
    let (mut writer, counts) = writer(&settings);
    writer.write(&[entry(NOON, "a"), entry(NOON, "b")]);
    writer.sweep();
    assert_eq!((status(&counts).failed, status(&counts).written), (2, 0));
    assert!(status(&counts).error.is_some());
    fs::remove_file(&settings.dir).unwrap();
    writer.write(&[entry(NOON, "c")]);
    assert_eq!(status(&counts).error, None);
    assert_eq!(messages(&read(&settings, Page::default())), ["c"]);
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_them() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().unwrap();
    let settings = settings(&dir);
    writer(&settings).0.write(&[entry(NOON, "a")]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&settings.dir), mode(&file(&settings, "2026-01-01"))), (0o700, 0o600));
}

#[test]
fn pages() {
    let dir = TempDir::new().unwrap();
    let settings = settings(&dir).daily_limit(usize::MAX);
    assert_eq!(read(&settings, Page::default()).pagination.total, 0, "no directory yet");
    let (mut writer, _) = writer(&settings);
    let lines: Vec<_> = (0..1200).map(|n| entry(NOON + n * 100, &n.to_string())).collect();
    writer.write(&lines);
    for (limit, offset, listed, first, more) in [
        (200, 0, 200, "1199", true),
        (3, 1197, 3, "2", false),
        (5000, 100, 1000, "1099", true),
        (0, 0, 1, "1199", true),
        (200, 1200, 0, "", false),
        (200, usize::MAX, 0, "", false),
    ] {
        let history = read(&settings, Page { limit, offset });
        assert_eq!(history.logs.len(), listed);
        assert_eq!(messages(&history).first().copied().unwrap_or_default(), first);
        assert_eq!((history.pagination.total, history.pagination.has_more), (1200, more));
    }
}

#[test]
fn filters_choose_days_and_lines() {
    let dir = TempDir::new().unwrap();
    let settings = settings(&dir);
    let (mut writer, _) = writer(&settings);
    writer.write(&[
        entry(NOON - DAY, "a"),
        entry(NOON, "b"),
        entry(NOON + 1, "c"),
        entry(NOON + DAY, "d"),
    ]);
    // Would be counted, were it read.
    fs::write(file(&settings, "2025-12-01"), "broken\n").unwrap();
    let filter =
        LogFilter { start: Some(at(NOON)), end: Some(at(NOON + 1)), ..LogFilter::default() };
    let history = history::read(&settings.dir, &filter, Page::default()).unwrap();
    assert_eq!((messages(&history), history.skipped), (vec!["c", "b"], 0));
}

#[test]
fn a_page_is_bounded_in_bytes() {
    let dir = TempDir::new().unwrap();
    let settings = settings(&dir);
    let (mut writer, _) = writer(&settings);
    let long = "x".repeat(MAX_LINE_BYTES / 2);
    writer.write(&vec![entry(NOON, &long); 40]);
    let first = read(&settings, Page::default());
    assert_eq!((first.logs.len(), first.pagination.has_more), (31, true));
    let second = read(&settings, Page { offset: 31, ..Page::default() });
    assert_eq!((second.logs.len(), second.pagination.has_more), (9, false));
}

#[tokio::test]
async fn the_worker_writes_sweeps_and_clears() {
    let dir = TempDir::new().unwrap();
    let clock = Arc::new(AtomicU64::new(NOON));
    let now = Arc::clone(&clock);
    let settings = settings(&dir).with_clock(move || at(now.load(Ordering::Relaxed)));
    let (files, worker) = DailyFiles::new(settings.clone());
    let running = tokio::spawn(worker.run());
    for n in 0..600 {
        files.write(LogEntry::new(at(NOON), LogLevel::Info, n.to_string()));
    }
    files.flush().await.unwrap();
    let history =
        files.history(LogFilter::default(), Page { limit: 1, offset: 599 }).await.unwrap();
    assert_eq!((history.pagination.total, messages(&history)), (600, vec!["0"]));

    // A week later the hour comes at which old files go.
    clock.store(NOON + 7 * DAY, Ordering::Relaxed);
    tokio::time::pause();
    tokio::time::advance(SWEEP_EVERY).await;
    tokio::time::resume();
    files.write(LogEntry::new(at(NOON + 7 * DAY), LogLevel::Info, "new"));
    files.flush().await.unwrap();
    // The next order comes after the sweep.
    files.flush().await.unwrap();
    let history = files.history(LogFilter::default(), Page::default()).await.unwrap();
    assert_eq!(messages(&history), ["new"]);

    assert_eq!(files.clear().await.unwrap(), 1);
    assert_eq!(files.status(), DailyStatus::default());
    // What is written at last is in the file when the worker ends.
    files.write(LogEntry::new(at(NOON), LogLevel::Info, "last"));
    drop(files);
    running.await.unwrap();
    assert_eq!(messages(&read(&settings, Page::default())), ["last"]);
}

#[tokio::test]
async fn the_queue_is_bounded_and_its_drops_are_counted() {
    let dir = TempDir::new().unwrap();
    let (files, worker) = DailyFiles::new(settings(&dir));
    for _ in 0..MAX_QUEUED_LINES + 5 {
        files.write(LogEntry::new(at(NOON), LogLevel::Info, "m"));
    }
    assert_eq!((files.status().dropped, files.status().written), (5, 0));
    let running = tokio::spawn(worker.run());
    files.flush().await.unwrap();
    assert_eq!(files.status().written, MAX_QUEUED_LINES as u64);
    assert_eq!(files.clear().await.unwrap(), 1);
    assert_eq!((files.status().written, files.status().lost()), (0, 5), "a counter stays");
    running.abort();
    running.await.unwrap_err();
    files.write(LogEntry::new(at(NOON), LogLevel::Info, "m"));
    assert_eq!(files.status().dropped, 6);
    assert_eq!(files.flush().await.unwrap_err().to_string(), "the worker of the files is gone");
}

#[tokio::test]
async fn what_is_queued_at_shutdown_is_written() {
    let dir = TempDir::new().unwrap();
    let settings = settings(&dir);
    let (files, worker) = DailyFiles::new(settings.clone());
    for n in 0..MAX_QUEUED_LINES {
        files.write(LogEntry::new(at(NOON), LogLevel::Info, n.to_string()));
    }
    worker.run_until(std::future::ready(())).await;
    assert_eq!(read(&settings, Page::default()).pagination.total, MAX_QUEUED_LINES);
    files.write(LogEntry::new(at(NOON), LogLevel::Info, "too late"));
    assert_eq!((files.status().written, files.status().dropped), (1000, 1));
}

#[tokio::test(start_paused = true)]
async fn a_flush_does_not_wait_for_ever() {
    let dir = TempDir::new().unwrap();
    let (files, _worker) = DailyFiles::new(settings(&dir));
    assert_eq!(files.flush().await.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn what_is_queued_beyond_the_timeout_is_counted() {
    let dir = TempDir::new().unwrap();
    // The first sweep, which asks what day it is, waits for the end of the test.
    let (end, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let settings = settings(&dir).with_clock(move || {
        let _ = wait.lock().unwrap().recv();
        at(NOON)
    });
    let (files, worker) = DailyFiles::new(settings);
    for _ in 0..3 {
        files.write(LogEntry::new(at(NOON), LogLevel::Info, "m"));
    }
    let running = tokio::spawn(worker.run_until(std::future::ready(())));
    tokio::task::yield_now().await;
    tokio::time::advance(FLUSH_TIMEOUT).await;
    running.await.unwrap();
    files.write(LogEntry::new(at(NOON), LogLevel::Info, "too late"));
    assert_eq!((files.status().dropped, files.status().written), (4, 0));
    drop(end);
}
