//! What was expected, where, and what was there instead.

use std::path::PathBuf;
use std::{fmt, io};

/// A place where a file breaks the GGUF format.
///
/// ```
/// use anytok::gguf::Gguf;
/// let error = Gguf::parse(&b"GGUF\x03\0\0\0\x01"[..]).unwrap_err();
/// assert_eq!(error.offset(), 8);
/// assert_eq!(error.to_string(), "expected tensor count at byte 8, found the end of the file at byte 9");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    pub(super) offset: u64,
    pub(super) expected: &'static str,
    /// Bytes wanted, where that says more than the name of the thing.
    pub(super) amount: Option<u64>,
    pub(super) found: Found,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The end of the file, at this byte.
    End(u64),
    /// No end of the thing this far into the file.
    More,
    Magic([u8; 4]),
    /// A number that cannot be, or whose content cannot fit into the rest of the file.
    Number(u64),
    EmptyKey,
    /// A key that the file has already, its length field at this byte.
    DuplicateKey(Box<str>, u64),
}

impl ParseError {
    /// Where the unexpected lies, in bytes from the start of the GGUF data.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the bytes ended too early.
    pub(super) fn is_end(&self) -> bool {
        matches!(self.found, Found::End(_))
    }

    /// What should have been there.
    #[must_use]
    pub fn expected(&self) -> &str {
        self.expected
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.expected)?;
        if let Some(amount) = self.amount {
            write!(f, " ({amount})")?;
        }
        write!(f, " at byte {}, found ", self.offset)?;
        match &self.found {
            Found::End(end) => write!(f, "the end of the file at byte {end}"),
            Found::More => f.write_str("more of it"),
            Found::Magic(bytes) => write!(f, "`{}`", bytes.escape_ascii()),
            Found::Number(number) => write!(f, "{number}"),
            Found::EmptyKey => f.write_str("an empty key"),
            Found::DuplicateKey(key, first) => write!(f, "`{key}` again, first seen at byte {first}"),
        }
    }
}

impl std::error::Error for ParseError {}

/// Why a GGUF file could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file cannot be read, or is not a regular file.
    #[error("cannot read {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The file is not GGUF, or is damaged.
    #[error("malformed GGUF in {path}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: ParseError,
    },
}
