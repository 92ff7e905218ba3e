//! Why there is no evidence at all, and why a model that is there cannot be read.

use std::io;
use std::path::{Path, PathBuf};

use crate::gguf::{OpenError, ParseError};

/// Why nothing could be learned about a path.
///
/// A damaged model is no such reason: see [`ModelError`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing at the path, or a symbolic link in it leads nowhere.
    #[error("no file or directory at {path}")]
    NotFound {
        /// The path as given.
        path: PathBuf,
    },
    /// The system does not let this user read the file, or pass a directory on the way to it.
    #[error("no permission to read {path}")]
    PermissionDenied {
        /// The path as given.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The path is a pipe, a socket or a device.
    #[error("expected a file or a directory at {path}, found a pipe, a socket or a device")]
    NotAFile {
        /// The path as given.
        path: PathBuf,
    },
    /// Reading failed for another reason.
    #[error("cannot read {path}")]
    Io {
        /// The path as given.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
}

impl Error {
    pub(super) fn new(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            // `model.gguf/x` does not exist either.
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::NotFound { path },
            io::ErrorKind::PermissionDenied => Self::PermissionDenied { path, source },
            _ => Self::Io { path, source },
        }
    }
}

/// Why the model at a path cannot be read although it is there. The search for a tokenizer goes on without it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file is a damaged GGUF, or is named `.gguf` and is nothing that we know.
    #[error("malformed GGUF in {path}")]
    Gguf {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: ParseError,
    },
    /// The file is named `.gguf` and was not downloaded: it is empty, a Git LFS pointer or an HTML page.
    #[error("expected a GGUF at {path}, found {found}")]
    NotDownloaded {
        /// The file.
        path: PathBuf,
        /// What is there, and what to do.
        found: String,
    },
    /// The file is a later shard of a split model, and the first, which alone carries the tokenizer, is not beside it.
    #[error("{path} is shard {number} of {count} and carries no tokenizer: put the first shard beside it")]
    FirstShardMissing {
        /// The shard that is there.
        path: PathBuf,
        /// Its number, counted from 1.
        number: u64,
        /// The number of shards, 0 if the file does not say.
        count: u64,
    },
    /// The file that the path leads to (a shard, a model in the directory, a blob) cannot be read.
    #[error("cannot read {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
}

impl From<OpenError> for ModelError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Io { path, source } => Self::Io { path, source },
            OpenError::Parse { path, source } => Self::Gguf { path, source },
        }
    }
}
