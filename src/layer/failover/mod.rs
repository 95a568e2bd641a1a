//! Repeats a failed request elsewhere.
