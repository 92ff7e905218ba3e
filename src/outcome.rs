//! What a strategy found.

use std::path::PathBuf;
use std::sync::Arc;

use crate::failure::Failure;
use crate::source::Source;
use crate::tokenizer::Tokenizer;

/// What a strategy says.
///
/// Absent and broken are different answers: where there is nothing to try the strategy is [`NotApplicable`](Self::NotApplicable), where
/// something is there and cannot be used it [`Failed`](Self::Failed). Neither ends the search; only a tokenizer that was
/// verified to fit does.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// A tokenizer that fits the model.
    Found(Found),
    /// There is nothing to try, and why.
    NotApplicable(String),
    /// Something is there, but broken or not this model's.
    Failed(Arc<Failure>),
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        Self::Failed(Arc::new(failure))
    }
}

/// A tokenizer, where it came from and what to say about it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) tokenizer: Tokenizer,
    pub(crate) source: Source,
    /// The ids are a guess, or stand for bytes.
    pub(crate) degraded: bool,
    pub(crate) notes: Vec<String>,
    /// Files that the answer depends on, the model itself left out.
    pub(crate) files: Vec<PathBuf>,
}
