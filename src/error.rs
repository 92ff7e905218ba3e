//! What a resolution can fail with.

use std::path::PathBuf;

use crate::evidence::{self, ModelError};
use crate::formats::FormatError;
use crate::resolution::{Attempt, write_attempts};

/// Why there is no tokenizer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing at the path. No strategy was tried: a wrong path is an error, not a reason to fall back.
    #[error("no file or directory at {path}")]
    NotFound {
        /// The path as given.
        path: PathBuf,
    },
    /// The path is there but cannot be looked at: no permission, a pipe or a device, a disk that fails.
    #[error("cannot look for a tokenizer at {path}")]
    Unreadable {
        /// The path as given.
        path: PathBuf,
        /// Why.
        source: evidence::Error,
    },
    /// Every strategy of the chain was tried and none found a tokenizer. Happens with
    /// [`strict`](crate::ResolverBuilder::strict), or with a chain that leaves out [`Strategy::Backup`](crate::Strategy::Backup).
    #[error("no tokenizer found for {path}{}", story(.attempts))]
    Exhausted {
        /// The path as given.
        path: PathBuf,
        /// What was tried, in order, and what came of it.
        attempts: Vec<Attempt>,
    },
}

impl Error {
    pub(crate) fn of_evidence(source: evidence::Error) -> Self {
        match source {
            evidence::Error::NotFound { path } => Self::NotFound { path },
            evidence::Error::PermissionDenied { ref path, .. }
            | evidence::Error::NotAFile { ref path }
            | evidence::Error::Io { ref path, .. } => Self::Unreadable { path: path.clone(), source },
        }
    }

    /// What was tried, if it came to that.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        match self {
            Self::Exhausted { attempts, .. } => attempts,
            Self::NotFound { .. } | Self::Unreadable { .. } => &[],
        }
    }
}

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

fn story(attempts: &[Attempt]) -> String {
    let mut text = String::from("\n");
    // Writing to a `String` cannot fail.
    let _ = write_attempts(&mut text, attempts);
    text.truncate(text.trim_end().len());
    text
}
