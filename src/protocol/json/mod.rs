//! JSON as the wire has it: slices of the input, never a tree.
//!
//! [`Cursor`] walks a document once. A string comes out as a [`JsonStr`] (the escaped text
//! between its quotes), any other value as a [`Raw`] slice; both are checked when they are cut,
//! so they can be written into another document byte for byte. Decoding happens only where
//! somebody asks for it.
//!
//! Why not `serde_json` here: a translator must know the `type` of a block before it can read its
//! other members, and must keep the unknown ones. With `RawValue` each level of nesting is
//! scanned again (body, message, block: three skims of a text), and a span cannot be had beside
//! a typed read. One pass with spans costs about a third of a `serde_json` skim on long texts
//! (`benches/translate.rs`). The acceptance of both is held equal by a property test.

mod cursor;
mod error;
#[cfg(test)]
mod tests;
mod text;
mod value;
mod write;

pub use cursor::{Cursor, MAX_DEPTH};
pub use error::JsonError;
pub(crate) use error::push_pointer_step;
pub use text::JsonStr;
pub(crate) use text::find_special;
pub use value::{Kind, Number, Raw};
pub(crate) use write::one_line;
pub use write::{ArrayWriter, ObjectWriter, push_escaped, push_plain, push_str, push_u64};
