//! Traits of other crates, each behind a feature of that crate's name.

#[cfg(feature = "text-splitter")]
mod text_splitter;
#[cfg(feature = "toktrie")]
mod toktrie;

#[cfg(feature = "toktrie")]
pub use toktrie::TokEnvError;
