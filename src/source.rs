//! Where a tokenizer came from.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::hub::RepoId;

/// Where a tokenizer came from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Source {
    /// The metadata of this GGUF file.
    Gguf {
        /// The file.
        path: PathBuf,
    },
    /// Files on this machine.
    Files {
        /// The file that holds the vocabulary first.
        paths: Vec<PathBuf>,
    },
    /// A repository on the Hub, downloaded or from a cache.
    Repository {
        /// The repository.
        id: RepoId,
        /// The commit all files are from, 40 hexadecimal digits.
        commit: String,
        /// The file that holds the vocabulary.
        file: String,
    },
    /// Nothing: the built-in byte tokenizer.
    BuiltIn,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gguf { path } => write!(f, "metadata of {}", path.display()),
            Self::Files { paths } => match &paths[..] {
                [] => f.write_str("files"),
                [first, rest @ ..] => {
                    write!(f, "{}", first.display())?;
                    for path in rest {
                        write!(f, " + {}", path.file_name().unwrap_or_default().display())?;
                    }
                    Ok(())
                }
            },
            Self::Repository { id, commit, file } => {
                write!(f, "{id}@{}/{file}", commit.get(..12).unwrap_or(commit))
            }
            Self::BuiltIn => f.write_str("built-in byte tokenizer"),
        }
    }
}
