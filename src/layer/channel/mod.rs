//! Chooses among upstreams.
