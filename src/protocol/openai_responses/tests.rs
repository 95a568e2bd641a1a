//! Answers and streams: recordings, the grammar, the vectors.

mod corpus;
mod foreign;
mod grammar;
mod streams;
mod vectors;
