use std::fmt;
use std::io::ErrorKind;

use super::ChannelConfig;

/// Why a configuration cannot be read, used or written. It never shows a value of the file, which
/// may be a key at the wrong place.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    Read(ErrorKind),
    /// The file, or a backup beside it, cannot be written.
    Write(ErrorKind),
    /// The file is larger than [`MAX_FILE_BYTES`](super::MAX_FILE_BYTES).
    TooLarge,
    /// It is no JSON, or not of the shape that it should have.
    Json {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// Whether it is JSON at all.
        is_json: bool,
    },
    /// A channel cannot be used.
    Channel {
        /// Its name or id.
        channel: String,
        /// What is wrong.
        reason: String,
    },
    /// A list is too long.
    TooMany {
        /// Which member.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
}

impl ConfigError {
    pub(super) fn json(error: &serde_json::Error) -> Self {
        let is_json = error.is_data();
        Self::Json { line: error.line(), column: error.column(), is_json }
    }

    pub(super) fn channel(channel: &ChannelConfig, reason: String) -> Self {
        Self::Channel { channel: channel.title().to_owned(), reason }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(kind) => write!(f, "the configuration cannot be read: {kind}"),
            Self::Write(kind) => {
                write!(f, "the configuration cannot be written, nor a backup beside it: {kind}")
            }
            Self::TooLarge => f.write_str("the configuration is too large"),
            Self::Json { line, column, is_json } => {
                let what = if *is_json { "has a value of the wrong type" } else { "is not JSON" };
                write!(f, "the configuration {what} at line {line}, column {column}")
            }
            Self::Channel { channel, reason } => write!(f, "channel `{channel}`: {reason}"),
            Self::TooMany { what, most } => write!(f, "`{what}` has more than {most} members"),
        }
    }
}

impl std::error::Error for ConfigError {}
