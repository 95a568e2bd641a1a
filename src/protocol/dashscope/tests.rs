//! Reader and writer against recordings, tables and generated traffic.

mod corpus;
mod fold;
mod foreign;
mod grammar;
mod reading;
mod roundtrip;
mod writing;
