//! The corpus through reader and writer.

mod corpus;
mod foreign;
mod grammar;
mod roundtrip;
mod stream;
