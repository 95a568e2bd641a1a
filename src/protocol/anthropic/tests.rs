//! The corpus through reader and writer.

mod corpus;
mod grammar;
mod stream;
