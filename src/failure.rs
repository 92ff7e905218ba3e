//! Why a strategy that found something could not use it.

use crate::evidence::ModelError;
use crate::formats::FormatError;

/// Why one strategy found something and could not use it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The model itself is damaged.
    #[error(transparent)]
    Model(#[from] ModelFailure),
    /// A tokenizer is there, but it is broken or of a kind that cannot be loaded.
    #[error("cannot load {path}")]
    Format {
        /// The file or the place that was read.
        path: String,
        /// Why.
        source: FormatError,
    },
    /// The Hub, or a cache of it, failed.
    #[error("cannot get {repository} from the Hub")]
    Hub {
        /// The repository.
        repository: crate::RepoId,
        /// Why.
        source: Box<crate::HubError>,
    },
    /// A tokenizer was found that is not this model's.
    #[error("{path} is not the tokenizer of this model")]
    Mismatch {
        /// The file or the place that was read.
        path: String,
        /// The first difference.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The failure of an earlier run, as its record tells it.
    #[error("{reason}")]
    Recorded {
        /// What was said then.
        reason: String,
    },
}

/// The error of a damaged model, shared with the evidence that found it.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct ModelFailure {
    text: String,
}

impl ModelFailure {
    pub(crate) fn new(error: &ModelError) -> Self {
        Self { text: chain(error) }
    }
}

/// An error with all its sources on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
