//! Any model path in, a working and exact tokenizer out.

pub mod evidence;
mod formats;
pub mod gguf;
mod hub;
mod mmap;
mod store;
mod tokenizer;
mod unicode;
mod vocabulary;

pub use formats::FormatError;
pub use hub::{InvalidRepoId, RepoId};
pub use mmap::Bytes;
pub use store::{Entry, ImageError, Store};
pub use tokenizer::{
    DecodeError, DecodeStream, EncodeError, Encoding, Special, SpecialText, SpecialTokens, Tokenizer,
};
pub use vocabulary::VocabularyError;
