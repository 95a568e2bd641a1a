//! How an upstream or a caller can fail, over real sockets and through all layers together: what
//! the caller got, which attempts were made, whom they were charged to, and that nothing leaked.
//!
//! `cargo test --test faults -- --nocapture` prints the table.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod caller;
mod flapping;
mod gateway;
mod matrix;
#[path = "../../src/test_helpers/refusing.rs"]
mod refusing;
mod rows;
mod script;
mod vendor;
