//! Cutting at what matches, with every way in which `tokenizers` treats a match.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{Split, SplitError};

/// What a text is cut at.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Delimiter {
    /// This text, which is not empty.
    Text(String),
    /// The matches of a pattern, in the language of [`Split::of_matches`].
    Pattern(Split),
    /// A character of punctuation, ASCII's symbols among them.
    Punctuation,
    /// A character with a numeric value: `char::is_numeric`.
    Numeric,
}

/// What becomes of a match.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Behavior {
    /// A piece of its own.
    Isolated,
    /// It is dropped.
    Removed,
    /// It ends the piece before it; of several in a row only the first.
    MergedWithPrevious,
    /// It begins the piece behind it; of several in a row only the last.
    MergedWithNext,
    /// Several in a row are one piece.
    Contiguous,
}

/// One cut.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Delimited {
    pub(crate) delimiter: Delimiter,
    pub(crate) behavior: Behavior,
    /// What lies between matches is treated as the matches.
    pub(crate) invert: bool,
}

impl Eq for Delimiter {}

impl PartialEq for Delimiter {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::Pattern(one), Self::Pattern(other)) => one.name() == other.name(),
            (Self::Punctuation, Self::Punctuation) | (Self::Numeric, Self::Numeric) => true,
            _ => false,
        }
    }
}

impl Delimiter {
    /// Calls `each` with the matches, in order; those of a pattern may be empty.
    ///
    /// # Errors
    ///
    /// A pattern backtracks too far on this text.
    pub(crate) fn find(&self, text: &str, each: &mut dyn FnMut(Range<usize>)) -> Result<(), SplitError> {
        let mut characters = |is: &dyn Fn(char) -> bool| {
            for (at, c) in text.char_indices().filter(|&(_, c)| is(c)) {
                each(at..at + c.len_utf8());
            }
        };
        match self {
            Self::Text(delimiter) => {
                let found = memchr::memmem::find_iter(text.as_bytes(), delimiter);
                found.for_each(|at| each(at..at + delimiter.len()));
            }
            // The library looks for nothing in an empty text.
            Self::Pattern(_) if text.is_empty() => {}
            Self::Pattern(Split::Regex(compiled)) => {
                compiled.matches(text.as_bytes(), 0..text.len(), &mut |found| each(found))?;
            }
            Self::Pattern(split) => split.matches(text.as_bytes(), each)?,
            Self::Punctuation => characters(&|c| {
                c.is_ascii_punctuation() || unicode_categories::UnicodeCategories::is_punctuation(c)
            }),
            Self::Numeric => characters(&char::is_numeric),
        }
        Ok(())
    }
}

impl Delimited {
    /// Calls `each` with the pieces of `text`, in order; some may be empty. Linear, but for a pattern that backtracks.
    ///
    /// # Errors
    ///
    /// As [`Delimiter::find`].
    pub(super) fn split(&self, text: &[u8], each: &mut dyn FnMut(Range<usize>)) -> Result<(), SplitError> {
        // Only UTF-8 comes here.
        let text = std::str::from_utf8(text).unwrap_or_default();
        // The piece at hand: it is handed over once nothing can be added to it.
        let mut open: Option<Range<usize>> = None;
        // Whether the part before was a match.
        let mut matched = false;
        let mut take = |part: Range<usize>, is_match: bool| {
            let joins = match self.behavior {
                Behavior::Isolated | Behavior::Removed => false,
                Behavior::MergedWithPrevious => is_match && !matched,
                // From the end, a match joins what is behind it if that is none.
                Behavior::MergedWithNext => matched && !is_match,
                Behavior::Contiguous => is_match == matched,
            };
            matched = is_match;
            match &mut open {
                Some(open) if joins => open.end = part.end,
                _ => {
                    let keeps = self.behavior != Behavior::Removed || !is_match;
                    let before = if keeps { open.replace(part) } else { open.take() };
                    before.into_iter().for_each(&mut *each);
                }
            }
        };
        let mut done = 0;
        self.delimiter.find(text, &mut |found| {
            if done != found.start {
                take(done..found.start, self.invert);
            }
            done = found.end;
            take(found, !self.invert);
        })?;
        if done != text.len() {
            take(done..text.len(), self.invert);
        }
        open.into_iter().for_each(each);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_pieces(behavior: Behavior, invert: bool, expected: &[&str]) {
        let text = "the-final--countdown-";
        let cut = Delimited { delimiter: Delimiter::Text("-".to_owned()), behavior, invert };
        let mut pieces = Vec::new();
        cut.split(text.as_bytes(), &mut |piece| pieces.push(&text[piece])).unwrap();
        assert_eq!(pieces, expected, "{behavior:?}");
    }

    /// The library's own examples, with a match at the end.
    #[test]
    fn a_match_goes_where_the_behavior_says() {
        assert_pieces(Behavior::Isolated, false, &["the", "-", "final", "-", "-", "countdown", "-"]);
        assert_pieces(Behavior::Removed, false, &["the", "final", "countdown"]);
        assert_pieces(Behavior::MergedWithPrevious, false, &["the-", "final-", "-", "countdown-"]);
        assert_pieces(Behavior::MergedWithNext, false, &["the", "-final", "-", "-countdown", "-"]);
        assert_pieces(Behavior::Contiguous, false, &["the", "-", "final", "--", "countdown", "-"]);
        assert_pieces(Behavior::Removed, true, &["-", "-", "-", "-"]);
    }
}
