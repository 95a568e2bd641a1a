//! Requests and answers of other protocols in Chat's words.
