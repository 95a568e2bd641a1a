//! One reader and one writer joined.
