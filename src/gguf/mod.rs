//! The GGUF container: its metadata, and the names and shapes of its tensors. Tensor data is never touched.
//!
//! Versions 1 to 3 in either byte order. What must not be in a file, and the limits, are llama.cpp's (`gguf.cpp` of
//! version 0.8.0), with two freedoms: a tokenizer needs no tensors, so tensor infos are read only when they are asked for
//! and a damaged or unknown one costs nothing else; and `general.alignment`, which says where tensor data lies, is not
//! checked.
//!
//! Arbitrary bytes never panic, and cost at most a small multiple of their size in memory and time.

mod builder;
mod cursor;
mod error;
mod metadata;
#[cfg(test)]
mod tests;
mod value;

pub use crate::mmap::Bytes;
pub use builder::GgufBuilder;
pub use cursor::ByteOrder;
pub use error::{OpenError, ParseError};
pub use metadata::{Entry, Gguf, Tensor};
pub use value::{Array, Strings, Type, Value};
