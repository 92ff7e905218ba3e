//! Patterns nobody wrote by hand, run by the regex engine.

use std::ops::Range;
use std::sync::Arc;

use fancy_regex::{Regex, RegexBuilder};

/// A pattern could not be compiled.
#[derive(Debug, thiserror::Error)]
#[error("the split pattern `{pattern}` does not compile")]
pub(crate) struct PatternError {
    pattern: String,
    source: Box<fancy_regex::Error>,
}

/// A text could not be cut into pieces: it is longer than 4 GiB, or a pattern could not be run to its end on it. Only patterns with
/// look-around or back-references, which backtrack, can fail so.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SplitError(Kind);

#[derive(Debug, thiserror::Error)]
enum Kind {
    #[error("the split pattern `{pattern}` gave up at byte {at} of a text of {len} bytes")]
    GaveUp { pattern: String, at: usize, len: usize, source: Box<fancy_regex::Error> },
    #[error("a text of {len} bytes cannot be cut at once: expected at most {most}; give it in parts")]
    TooLong { len: usize, most: u32 },
}

impl SplitError {
    /// Whether offsets in `text` fit into 32 bits.
    pub(crate) fn check_len(text: &[u8]) -> Result<(), SplitError> {
        match u32::try_from(text.len()) {
            Ok(_) => Ok(()),
            Err(_) => Err(SplitError(Kind::TooLong { len: text.len(), most: u32::MAX })),
        }
    }
}

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Compiled {
    regex: Regex,
}

// Steps of the backtracking engine within one search. It bounds the time of a hostile pattern; the patterns of tokenizers take a few
// steps per character of one match.
const BACKTRACK_LIMIT: usize = 10_000_000;

// Bytes of a compiled part of a pattern. Those of published tokenizers take up to one megabyte, `a{100}` in three layers any number.
const SIZE_LIMIT: usize = 2 << 20;

impl Compiled {
    pub(super) fn new(pattern: &str) -> Result<Compiled, PatternError> {
        match RegexBuilder::new(pattern)
            .backtrack_limit(BACKTRACK_LIMIT)
            .delegate_size_limit(SIZE_LIMIT)
            .build()
        {
            Ok(regex) => Ok(Compiled { regex }),
            Err(source) => Err(PatternError { pattern: pattern.to_owned(), source: Box::new(source) }),
        }
    }

    pub(super) fn pattern(&self) -> &str {
        self.regex.as_str()
    }

    /// Calls `each` with matches and gaps, in order and without holes.
    pub(super) fn split(
        self: &Arc<Self>,
        text: &[u8],
        range: Range<usize>,
        each: &mut impl FnMut(Range<usize>),
    ) -> Result<(), SplitError> {
        let mut gap = range.start;
        self.matches(text, range.clone(), &mut |found| {
            for piece in [gap..found.start, found.clone()] {
                if !piece.is_empty() {
                    each(piece);
                }
            }
            gap = found.end;
        })?;
        if gap < range.end.min(text.len()) {
            each(gap..range.end);
        }
        Ok(())
    }

    /// Calls `each` with the matches alone, in order; some may be empty.
    pub(super) fn matches(
        self: &Arc<Self>,
        text: &[u8],
        range: Range<usize>,
        each: &mut impl FnMut(Range<usize>),
    ) -> Result<(), SplitError> {
        let Some(segment) = text.get(range.clone()) else { return Ok(()) };
        let readable = readable(segment);
        let mut at = 0;
        for found in self.regex.find_iter(&*readable) {
            let found = found.map_err(|source| {
                SplitError(Kind::GaveUp {
                    pattern: self.pattern().to_owned(),
                    at: range.start + at,
                    len: text.len(),
                    source: Box::new(source),
                })
            })?;
            each(range.start + found.start()..range.start + found.end());
            at = found.end();
        }
        Ok(())
    }
}

/// `segment` as the engine can read it: with U+FFFD for each surrogate, which is as long, so every offset stays.
fn readable(segment: &[u8]) -> std::borrow::Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(segment) {
        return text.into();
    }
    let mut text = String::with_capacity(segment.len());
    let mut pos = 0;
    while pos < segment.len() {
        let (cp, len) = crate::unicode::decode(segment, pos);
        match char::from_u32(cp) {
            // Not generalised UTF-8: one byte must stay one byte.
            Some(char::REPLACEMENT_CHARACTER) if len == 1 => text.push('\u{1A}'),
            c => text.push(c.unwrap_or(char::REPLACEMENT_CHARACTER)),
        }
        pos += len;
    }
    text.into()
}
