//! The access token, kept out of logs and headers it does not belong in.

use std::{fmt, str::FromStr};

/// An access token of the Hub.
///
/// Neither `Debug` nor `Display` shows it. It is sent to the configured endpoint and to the Hub's own origins only: over
/// `https`, or over plain `http` to this machine or to an endpoint that was set on purpose.
///
/// ```
/// let token: anytok::Token = "hf_abcdefgh".parse()?;
/// assert_eq!(format!("{token:?} {token}"), "hf_…(redacted) hf_…(redacted)");
/// # Ok::<(), anytok::InvalidToken>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// A text that cannot be a token. The text itself is not repeated here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a token of visible ASCII characters, such as `hf_…`, found {found}")]
pub struct InvalidToken {
    found: &'static str,
}

impl Token {
    /// The value of the `Authorization` header.
    pub(crate) fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl FromStr for Token {
    type Err = InvalidToken;

    /// Surrounding white space is dropped, and so is every CR and LF, as `huggingface_hub` does.
    ///
    /// # Errors
    /// If nothing is left, or anything but visible ASCII: a control character could forge another header.
    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let token: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        let token = token.trim();
        if token.is_empty() {
            return Err(InvalidToken { found: "nothing" });
        }
        if !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(InvalidToken { found: "a space, a control character or a character outside ASCII" });
        }
        Ok(Self(token.to_owned()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hf_…(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_cleaned_and_checked() {
        let token = |text: &str| text.parse::<Token>().map(|token| token.authorization());
        assert_eq!(token(" hf_a\r\nb\n").as_deref(), Ok("Bearer hf_ab"));
        for text in ["", " \r\n", "hf_a b", "hf_a\0", "hf_\u{7f}", "hf_é"] {
            assert!(token(text).is_err(), "{text:?}");
        }
    }
}
