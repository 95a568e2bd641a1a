use std::error::Error;
use std::fmt;

use super::table::{MAX_NAME, MAX_PRICES};

/// Why a table of prices cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PriceError {
    /// It is no JSON object.
    Json {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// There are more than [`MAX_PRICES`] models.
    TooMany,
    /// A model's name is empty, longer than [`MAX_NAME`] bytes, or has a `*` before its end.
    Name {
        /// Its beginning.
        model: String,
    },
    /// What a model costs is not said as it should be.
    Price {
        /// Which model.
        model: String,
        /// Which member of it; those of `above` behind a dot. Empty for the model itself.
        member: String,
        /// What it should be.
        expected: &'static str,
    },
}

impl fmt::Display for PriceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json { line, column } => {
                write!(f, "the prices are no JSON object: line {line}, column {column}")
            }
            Self::TooMany => write!(f, "the prices name more than {MAX_PRICES} models"),
            Self::Name { model } => write!(
                f,
                "the model {model:?} is no name of at most {MAX_NAME} bytes with a * at most at its end"
            ),
            Self::Price { model, member, expected } if member.is_empty() => {
                write!(f, "the price of {model:?} is no {expected}")
            }
            Self::Price { model, member, expected } => {
                write!(f, "the price of {model:?}: {member} is no {expected}")
            }
        }
    }
}

impl Error for PriceError {}
