//! Picks a few members out of a large document as it passes.
