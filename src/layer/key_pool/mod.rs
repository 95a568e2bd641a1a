//! Leases keys and learns from how they fare.
