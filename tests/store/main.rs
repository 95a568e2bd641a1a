//! Every store of the request log and of the states of keys, held to the same behaviour: in
//! memory, in SQLite and in PostgreSQL.
//!
//! PostgreSQL is that of `TEST_POSTGRES_URL`, or one that is started from Debian's `postgresql` for
//! the time of the tests. Where neither is there, its tests say that they skip; with `CI=true` they
//! fail.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
#![allow(clippy::disallowed_methods, reason = "a test is the host, which spawns the workers")]

mod cluster;
mod keys;
#[path = "../../src/test_helpers/listen.rs"]
mod listen;
mod log;
mod open;
mod place;
mod stack;
