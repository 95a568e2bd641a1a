mod answers;
mod corpus;
mod foreign;
mod golden;
pub(crate) mod grammar;
mod parts;
mod recorded;
mod requests;
mod streams;
