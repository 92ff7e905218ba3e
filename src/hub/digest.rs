//! What an `ETag` of the Hub promises about the bytes behind it.

use std::fmt;

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::id::is_lower_hex;

/// A content hash as the Hub writes it into `ETag`, and as the cache writes it into a blob's name: 40 lowercase hexadecimal
/// digits are a git blob id (SHA-1 of `blob {length}\0` and the content), 64 are the content's SHA-256 (LFS, xet).
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Digest(String);

impl Digest {
    /// `None` if `text` has another shape: then it is an opaque tag, of which nothing can be checked.
    pub(crate) fn new(text: &str) -> Option<Self> {
        (matches!(text.len(), 40 | 64) && is_lower_hex(text)).then(|| Self(text.to_owned()))
    }

    /// The SHA-256 of `content`: the name of a blob for which the server gave no usable tag.
    pub(crate) fn sha256(content: &[u8]) -> Self {
        Self(hex(&Sha256::digest(content)))
    }

    /// The git blob id of `content`.
    pub(crate) fn git_blob(content: &[u8]) -> Self {
        let mut hasher = Sha1::new();
        hasher.update(format!("blob {}\0", content.len()));
        hasher.update(content);
        Self(hex(&hasher.finalize()))
    }

    /// The hash of `content`, of the same kind as this one.
    pub(crate) fn of_same_kind(&self, content: &[u8]) -> Self {
        if self.0.len() == 40 { Self::git_blob(content) } else { Self::sha256(content) }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The value of an `ETag` header without `W/` and quotes. Mirrors also send it unquoted. `None` if nothing is left.
pub(crate) fn parse_etag(header: &str) -> Option<String> {
    let tag = header.trim();
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    let tag = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag);
    (!tag.is_empty()).then(|| tag.to_owned())
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}"); // a String takes every write
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashes_are_those_of_git_and_sha256sum() {
        // `printf 'hello\n' | git hash-object --stdin` and `| sha256sum`.
        assert_eq!(Digest::git_blob(b"hello\n").as_str(), "ce013625030ba8dba906f756967f9e9ca394464a");
        let sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        assert_eq!(Digest::sha256(b"hello\n").as_str(), sha256);
        let expected = Digest::new(sha256).unwrap();
        assert_eq!(expected.of_same_kind(b"hello\n"), expected);
        assert_ne!(expected.of_same_kind(b"hellO\n"), expected);
    }

    #[test]
    fn only_a_hash_is_a_digest() {
        for text in
            ["", "abc", &"A".repeat(40), &"g".repeat(64), &"a".repeat(41), "../../../../../../etc/passwd"]
        {
            assert_eq!(Digest::new(text), None, "{text:?}");
        }
    }

    #[test]
    fn etags_come_quoted_weak_and_bare() {
        for header in ["\"abc\"", "W/\"abc\"", "abc", " \"abc\" "] {
            assert_eq!(parse_etag(header).as_deref(), Some("abc"), "{header:?}");
        }
        // The prefix is `W/`, not any run of `W` and `/`.
        assert_eq!(parse_etag("\"W/abc\"").as_deref(), Some("W/abc"));
        assert_eq!(parse_etag("\"\""), None);
        assert_eq!(parse_etag("\"abc").as_deref(), Some("\"abc"));
    }
}
