//! Any model path in, a working and exact tokenizer out.

mod env;
mod error;
pub mod evidence;
mod formats;
pub mod gguf;
mod hub;
mod mmap;
mod resolution;
mod resolver;
mod strategy;
mod tokenizer;
mod unicode;
mod vocabulary;

pub use error::{Error, Failure, ModelFailure};
pub use formats::FormatError;
pub use hub::{
    Error as HubError, InvalidRepoId, InvalidToken, Observer, Phase, Progress, RepoId, Token, Verify,
};
pub use mmap::Bytes;
pub use resolution::{Answer, Attempt, Resolution, Source};
pub use resolver::{Resolver, ResolverBuilder};
pub use strategy::Strategy;
pub use tokenizer::{
    DecodeError, DecodeStream, EncodeError, Encoding, Special, SpecialText, SpecialTokens, SplitError,
    Tokenizer,
};
pub use vocabulary::{CharsmapError, VocabularyError};
