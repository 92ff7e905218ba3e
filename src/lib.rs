//! Any model path in, a working and exact tokenizer out.

mod formats;
pub mod gguf;
mod hub;
mod mmap;
mod tokenizer;
mod unicode;
mod vocabulary;

pub use formats::FormatError;
pub use hub::{InvalidRepoId, RepoId};
pub use tokenizer::{
    DecodeError, DecodeStream, EncodeError, Encoding, Special, SpecialText, SpecialTokens, Tokenizer,
};
pub use vocabulary::{CharsmapError, VocabularyError};
