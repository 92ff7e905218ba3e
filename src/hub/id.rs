//! Names on the Hub: repositories, revisions, commits.

use std::fmt;

/// A repository's name on the Hub, `owner/name`, or the legacy ownerless `name`.
///
/// Each part has 1 to 96 characters of `A-Z a-z 0-9 _ . -`, begins and ends with a letter, a digit or `_`, contains
/// neither `--` nor `..`, and does not end in `.git`: the rules of the Hub itself
/// (`huggingface_hub`, `utils/_validators.py`). A value of this type can therefore never leave its place in a URL or in a
/// cache directory.
///
/// ```
/// use anytok::RepoId;
/// let id: RepoId = "Qwen/Qwen3-8B".parse()?;
/// assert_eq!((id.owner(), id.name()), (Some("Qwen"), "Qwen3-8B"));
/// assert!("../../etc/passwd".parse::<RepoId>().is_err());
/// # Ok::<(), anytok::InvalidRepoId>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepoId(String);

/// A text that is not a repository's name on the Hub.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a repository name such as `owner/name` ([A-Za-z0-9_.-], 1 to 96 characters a part, no `--` or `..`), \
     found {found:?}"
)]
pub struct InvalidRepoId {
    /// The text as given, cut to 200 characters.
    pub found: String,
}

impl RepoId {
    /// Whether the name has an owner (`owner/name`). Names found in a model's metadata must.
    #[must_use]
    pub fn has_owner(&self) -> bool {
        self.0.contains('/')
    }

    /// The part before the slash, absent for legacy names such as `gpt2`.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.0.split_once('/').map(|(owner, _)| owner)
    }

    /// The part after the slash, or the whole legacy name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or(self.0.as_str(), |(_, name)| name)
    }

    /// The whole name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for RepoId {
    type Err = InvalidRepoId;

    fn from_str(text: &str) -> Result<Self, InvalidRepoId> {
        let mut parts = text.splitn(2, '/');
        if parts.all(is_valid_part) {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidRepoId { found: text.chars().take(200).collect() })
    }
}

impl TryFrom<String> for RepoId {
    type Error = InvalidRepoId;

    fn try_from(text: String) -> Result<Self, InvalidRepoId> {
        text.parse()
    }
}

impl From<RepoId> for String {
    fn from(id: RepoId) -> Self {
        id.0
    }
}

impl fmt::Display for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Whether `text` is a full commit hash: exactly 40 lowercase hexadecimal digits. Everything else is a branch, a tag or
/// an abbreviation, and may move.
pub(crate) fn is_commit(text: &str) -> bool {
    text.len() == 40 && is_lower_hex(text)
}

/// Whether `text` consists of lowercase hexadecimal digits only.
pub(crate) fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[allow(clippy::case_sensitive_file_extension_comparisons)] // the Hub's rule, not a file's extension
fn is_valid_part(part: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let bytes = part.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else { return false };
    bytes.len() <= 96
        && is_word(first)
        && is_word(last)
        && bytes.iter().all(|&b| is_word(b) || b == b'.' || b == b'-')
        && !part.contains("--")
        && !part.contains("..")
        && !part.ends_with(".git")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_hub_are_accepted() {
        for name in ["gpt2", "Qwen/Qwen3-8B", "a/b", "_x/y_", "org/Meta-Llama-3.1-8B"] {
            assert_eq!(name.parse::<RepoId>().map(|id| id.to_string()).as_deref(), Ok(name));
        }
    }

    #[test]
    fn names_that_could_leave_their_place_are_refused() {
        let long = "x".repeat(97);
        for name in [
            "", "/", "a/", "/a", "a/b/c", "../a", "a/..", "a--b/c", "a/b.git", ".a/b", "a./b", "a b/c",
            "é/b", "a\\b", &long,
        ] {
            assert!(name.parse::<RepoId>().is_err(), "{name:?} was accepted");
        }
    }

    #[test]
    fn a_commit_is_forty_lowercase_hex_digits() {
        assert!(is_commit(&"0123456789abcdef".repeat(3)[..40]));
        for text in ["main", "", &"A".repeat(40), &"a".repeat(39), &"a".repeat(41)] {
            assert!(!is_commit(text), "{text:?}");
        }
    }
}
