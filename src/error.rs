//! What a resolution can fail with.

use std::path::{Path, PathBuf};

use crate::attempt::{Attempt, write_attempts};
use crate::evidence;
use crate::hub::{InvalidRepoId, RepoId};

/// Why there is no tokenizer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing at the path. No strategy was tried: a wrong path is an error, not a reason to fall back.
    #[error("no file or directory at {path}{}", repository(.path))]
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
    /// What [`Resolver::resolve_repo`](crate::Resolver::resolve_repo) was given is no repository's name.
    #[error(transparent)]
    InvalidRepo {
        /// What was expected.
        source: InvalidRepoId,
    },
    /// Every strategy of the chain was tried and none found a tokenizer. Happens with
    /// [`strict`](crate::ResolverBuilder::strict), or with a chain that leaves out [`Strategy::Backup`](crate::Strategy::Backup).
    #[error("no tokenizer found for {path}{}", table(.attempts))]
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
            Self::NotFound { .. } | Self::Unreadable { .. } | Self::InvalidRepo { .. } => &[],
        }
    }
}

/// What to do with a path that looks like the name of a repository, and not like that of a model file.
fn repository(path: &Path) -> String {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if ["gguf", "json", "model", "safetensors", "bin", "onnx", "txt"].contains(&extension) {
        return String::new();
    }
    let id = path.to_str().and_then(|path| path.parse::<RepoId>().ok()).filter(RepoId::has_owner);
    id.map_or_else(String::new, |id| format!("; `resolve_repo` takes {id} for a repository on the Hub"))
}

fn table(attempts: &[Attempt]) -> String {
    let mut text = String::from("\n");
    // Writing to a `String` cannot fail.
    let _ = write_attempts(&mut text, attempts);
    text.truncate(text.trim_end().len());
    text
}
