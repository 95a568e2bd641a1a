//! The log in a file that is rotated by its size; what was rotated is compressed, and kept for a
//! number of files and a time.
//!
//! Rotated files are named by the time at which they were: `app.log.2026-01-31T23-59-59.123Z.gz`.
//! Nobody but the owner may read them, compressed or not.
//!
//! Two crates would do most of this. `file-rotate` 0.8 keeps a number of files or an age, not both;
//! it compresses on the thread that writes, into a file that everybody may read, takes the log away
//! even if the end of its compressed form could not be written, and panics on that thread when the
//! folder is taken away. `logroller` 0.1 knows no age, and what it was compressing when the process
//! ended stays there for ever.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flate2::write::GzEncoder;

/// How often rotated files are looked through, also when none is added.
const KEEP_EVERY: Duration = Duration::from_secs(60 * 60);

/// What names of rotated files tell apart.
const TICK: Duration = Duration::from_millis(1);

/// What a compressed file ends with.
const COMPRESSED: &str = ".gz";

/// What a file ends with while it is compressed.
const UNFINISHED: &str = ".gz.tmp";

/// When a log file is rotated, and what becomes of it then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rotation {
    pub(crate) path: PathBuf,
    /// Bytes; a longer line has a file of its own.
    pub(crate) max_size: u64,
    /// Rotated files that are kept; 0 for all.
    pub(crate) max_backups: usize,
    /// Time since it was rotated; 0 for ever.
    pub(crate) max_age: Duration,
    pub(crate) compress: bool,
}

/// The file that is written.
pub(crate) struct LogFile {
    rotation: Rotation,
    file: File,
    size: u64,
    /// When the last one was rotated: the next one is later, whatever the clock says.
    rotated_at: SystemTime,
    failures: Arc<AtomicU64>,
    /// Tells the keeper of a rotated file. Dropped, it ends the keeper.
    rotated: SyncSender<()>,
}

impl LogFile {
    /// Opens the file, and starts the thread that keeps what is rotated. Lines that cannot be
    /// written, and rotations that fail, are counted in `failures`.
    ///
    /// # Errors
    /// When the folder or the file cannot be made.
    pub(crate) fn open(rotation: Rotation, failures: Arc<AtomicU64>) -> io::Result<Self> {
        if let Some(dir) = rotation.path.parent() {
            make_dir(dir)?;
        }
        let file = open(OpenOptions::new().append(true), &rotation.path)?;
        let size = file.metadata()?.len();
        // One is enough: the keeper looks through all files.
        let (rotated, wake) = mpsc::sync_channel(1);
        let of_keeper = rotation.clone();
        let keeper = move || {
            loop {
                if let Err(error) = keep(&of_keeper, SystemTime::now()) {
                    tracing::warn!(%error, "old log files cannot be compressed or removed");
                }
                if wake.recv_timeout(KEEP_EVERY) == Err(RecvTimeoutError::Disconnected) {
                    return;
                }
            }
        };
        thread::Builder::new().name("log-keeper".into()).spawn(keeper)?;
        Ok(Self { rotation, file, size, rotated_at: UNIX_EPOCH, failures, rotated })
    }

    /// Where it fails, the old file is written on.
    fn rotate(&mut self, now: SystemTime) -> io::Result<()> {
        let path = &self.rotation.path;
        let now = now.max(self.rotated_at + TICK);
        let (name, since) = free_name(path, now);
        self.rotated_at = since;
        match fs::rename(path, name) {
            // Somebody has taken the file away.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                path.parent().map_or(Ok(()), make_dir)?;
            }
            renamed => renamed?,
        }
        self.file = open(OpenOptions::new().append(true), path)?;
        self.size = 0;
        let _ = self.rotated.try_send(());
        Ok(())
    }

    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        let size = self.size + line.len() as u64;
        let rotated = if self.size > 0 && size > self.rotation.max_size {
            self.rotate(SystemTime::now())
        } else {
            Ok(())
        };
        self.file.write_all(line)?;
        self.size += line.len() as u64;
        rotated
    }
}

/// Each write is one line, or some.
impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // Said nowhere but in the count: what is logged here would come here again.
        if self.write_line(line).is_err() {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A rotated file.
#[derive(Debug)]
struct Backup {
    path: PathBuf,
    since: SystemTime,
    is_compressed: bool,
}

/// Compresses what is to be, and removes what is too old or too much. Tries all before it fails.
fn keep(rotation: &Rotation, now: SystemTime) -> io::Result<()> {
    let mut done = Ok(());
    for (place, backup) in backups(&rotation.path)?.into_iter().enumerate() {
        let age = now.duration_since(backup.since).unwrap_or_default();
        let is_old = !rotation.max_age.is_zero() && age > rotation.max_age;
        let is_much = rotation.max_backups > 0 && place >= rotation.max_backups;
        let result = if is_old || is_much {
            fs::remove_file(&backup.path)
        } else if rotation.compress && !backup.is_compressed {
            compress(&backup.path)
        } else {
            Ok(())
        };
        done = done.and(result);
    }
    done
}

/// The newest first.
fn backups(path: &Path) -> io::Result<Vec<Backup>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path.parent().unwrap_or(Path::new(".")))? {
        let entry = entry?;
        let name = entry.file_name();
        let Some((since, is_compressed)) = name.to_str().and_then(|name| parse(path, name)) else {
            continue;
        };
        found.push(Backup { path: entry.path(), since, is_compressed });
    }
    found.sort_by_key(|backup| std::cmp::Reverse(backup.since));
    Ok(found)
}

/// `name.2026-01-31T23-59-59.123Z`: no colons, which not every system has in names.
fn backup_path(path: &Path, since: SystemTime) -> PathBuf {
    let time = humantime::format_rfc3339_millis(since).to_string().replace(':', "-");
    with_suffix(path, &format!(".{time}"))
}

/// When the file of this name was rotated, and whether it is compressed.
fn parse(path: &Path, name: &str) -> Option<(SystemTime, bool)> {
    let time = name.strip_prefix(path.file_name()?.to_str()?)?.strip_prefix('.')?;
    let (time, is_compressed) = match time.strip_suffix(COMPRESSED) {
        Some(time) => (time, true),
        None => (time, false),
    };
    let (date, time) = time.split_once('T')?;
    let time = format!("{date}T{}", time.replace('-', ":"));
    Some((humantime::parse_rfc3339(&time).ok()?, is_compressed))
}

/// The first moment from `now` on that names no rotated file.
fn free_name(path: &Path, now: SystemTime) -> (PathBuf, SystemTime) {
    let mut since = now;
    loop {
        let name = backup_path(path, since);
        if !name.exists() && !with_suffix(&name, COMPRESSED).exists() {
            return (name, since);
        }
        since += TICK;
    }
}

/// The log is there until all of it is on the disk, compressed. Should the process end within, it
/// is compressed again at the next start.
fn compress(path: &Path) -> io::Result<()> {
    let unfinished = with_suffix(path, UNFINISHED);
    let mut log = File::open(path)?;
    let file = open(OpenOptions::new().write(true).truncate(true), &unfinished)?;
    let mut encoder = GzEncoder::new(file, flate2::Compression::default());
    let written = io::copy(&mut log, &mut encoder)
        .and_then(|_| encoder.finish())
        .and_then(|file| file.sync_all())
        .and_then(|()| fs::rename(&unfinished, with_suffix(path, COMPRESSED)));
    match written {
        Ok(()) => fs::remove_file(path),
        Err(error) => {
            let _ = fs::remove_file(&unfinished);
            Err(error)
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Made where it is missing, for its owner alone.
fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.create(true).open(path)
}

fn make_dir(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

#[cfg(test)]
#[path = "log_files_tests.rs"]
mod tests;
