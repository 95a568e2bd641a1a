mod corpus;
mod foreign;
mod golden;
mod parts;
mod requests;
