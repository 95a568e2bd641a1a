//! Streams of `chat.completion.chunk`.
