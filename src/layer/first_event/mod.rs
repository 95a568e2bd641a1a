//! Holds an answer until its first meaningful event.
