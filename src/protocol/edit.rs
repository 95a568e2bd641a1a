//! Edits of one member of a request; all other bytes stay.
