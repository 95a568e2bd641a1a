//! Answers and streams: recordings, the grammar, the vectors.

#![allow(clippy::needless_pass_by_value, reason = "values are written where they are used")]

mod corpus;
mod foreign;
mod grammar;
mod streams;
mod vectors;
