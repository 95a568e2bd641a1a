use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use super::{Config, ConfigError, Loaded};

/// Largest file that is read: 16 MiB.
pub const MAX_FILE_BYTES: u64 = 16 << 20;

/// How many earlier versions are kept beside the file.
pub const MAX_BACKUPS: usize = 10;

/// Tells the temporary files of saves apart that run at once.
static SAVES: AtomicU64 = AtomicU64::new(0);

/// The file of a [`Config`].
#[derive(Debug, Clone)]
pub struct ConfigFile {
    path: PathBuf,
}

impl ConfigFile {
    /// The file at `path`. Nothing is read yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it. What had to be changed is not saved.
    ///
    /// # Errors
    /// When it cannot be read, or its text cannot be used.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        let mut text = String::new();
        File::open(&self.path)
            .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text))
            .map_err(|error| ConfigError::Read(error.kind()))?;
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err(ConfigError::TooLarge);
        }
        Config::parse(&text)
    }

    /// Reads it, makes it where there is none, and saves what had to be changed. Where it cannot be
    /// saved it is used all the same: see [`Loaded::unsaved`].
    ///
    /// # Errors
    /// As [`Self::load`], and as [`Self::save`] where there was none.
    pub fn load_or_create(&self) -> Result<Loaded, ConfigError> {
        let mut loaded = match self.load() {
            Err(ConfigError::Read(ErrorKind::NotFound)) => {
                let config = Config::default();
                self.save(&config)?;
                return Ok(Loaded { config, changes: Vec::new(), unsaved: None });
            }
            loaded => loaded?,
        };
        if !loaded.changes.is_empty() {
            loaded.unsaved = self.save(&loaded.config).err();
        }
        Ok(loaded)
    }

    /// Replaces it, all or nothing, and keeps what stood there as a backup, [`MAX_BACKUPS`] of
    /// them. On Unix only its owner may read what this writes: keys stand in it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, config: &Config) -> Result<(), ConfigError> {
        let mut text = serde_json::to_vec_pretty(config).map_err(|e| ConfigError::json(&e))?;
        text.push(b'\n');
        self.replace(&text).map_err(|error| ConfigError::Write(error.kind()))
    }

    fn replace(&self, text: &[u8]) -> io::Result<()> {
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        fs::create_dir_all(folder)?;
        self.back_up(folder)?;
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let (process, number) = (std::process::id(), SAVES.fetch_add(1, Ordering::Relaxed));
        let new = folder.join(format!(".{name}.{process}.{number}.new"));
        let written = write_new(&new, text).and_then(|()| fs::rename(&new, &self.path));
        if written.is_err() {
            // Half a file is of no use; that it is there is told already.
            let _ = fs::remove_file(&new);
        }
        written
    }

    fn back_up(&self, folder: &Path) -> io::Result<()> {
        let before = match fs::read(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            before => before?,
        };
        let folder = folder.join("backups");
        fs::create_dir_all(&folder)?;
        // As `2026-11-21T10-20-30.123`: sorted by name is sorted by time.
        let now = humantime::format_rfc3339_nanos(SystemTime::now()).to_string();
        let now = now.trim_end_matches('Z').replace(':', "-");
        write_new(&folder.join(format!("config-{now}.json")), &before)?;
        let mut backups = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("config-") && name.ends_with(".json") {
                backups.push(path);
            }
        }
        backups.sort();
        let surplus = backups.len().saturating_sub(MAX_BACKUPS);
        for old in &backups[..surplus] {
            match fs::remove_file(old) {
                // Somebody else who saves removed it.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                removed => removed?,
            }
        }
        Ok(())
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
