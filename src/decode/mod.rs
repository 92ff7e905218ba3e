//! Ids → text, as each source renders them.

pub(crate) mod chain;
mod error;
mod llama_cpp;
mod options;
mod sentencepiece;
pub(crate) mod state;
mod tiktoken;
pub(crate) mod tokenizers;

#[cfg(test)]
pub(crate) use llama_cpp::clean_spaces;

pub use error::DecodeError;
pub use options::SpecialText;
