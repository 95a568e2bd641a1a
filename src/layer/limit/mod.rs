//! Concurrency, rate and size of requests.
