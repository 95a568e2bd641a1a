//! The corpus through reader and writer.

mod corpus;
