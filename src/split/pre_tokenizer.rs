//! Every way to cut a text into pieces.

use std::ops::Range;

use super::delimited::Delimited;
use super::pieces::{Block, Piece};
use super::plamo::{plamo2, plamo3};
use super::{Split, SplitError};
use crate::unicode;

/// One cut. The pieces are in order; what is between them is dropped.
#[derive(Clone, Debug)]
pub(crate) enum PreTokenizer {
    /// Pieces make up the whole text.
    Split(Split),
    /// What no match covers is dropped.
    Matches(Split),
    /// In front of this character.
    Before(char),
    /// White space is dropped: `char::is_whitespace`.
    Whitespace,
    /// White space is dropped: llama.cpp's table.
    GgufWhitespace,
    /// Spaces are dropped.
    Spaces,
    /// White space is dropped, each punctuation character is a piece (`BertPreTokenizer`).
    Bert,
    /// At delimiters.
    Delimited(Delimited),
    /// Where the script changes (`UnicodeScripts`); white space in front of the first script is dropped.
    #[cfg(feature = "tokenizers")]
    Scripts,
    /// Into parts of so many characters, which are not none.
    FixedLength(usize),
    /// A byte order mark is dropped.
    Plamo2,
    /// PLaMo-3's segments.
    Plamo3,
}

impl PreTokenizer {
    /// As [`PreTokenizer::split`], by blocks of at most 256 pieces; no block is empty. `each` says whether it wants more.
    ///
    /// # Errors
    ///
    /// As [`PreTokenizer::split`].
    pub(crate) fn pieces(
        &self,
        text: &[u8],
        each: &mut dyn FnMut(&[Piece]) -> bool,
    ) -> Result<(), SplitError> {
        match self {
            Self::Split(split) => split.pieces(text, each),
            Self::Matches(split) => split.matching_pieces(text, each),
            _ => {
                SplitError::check_len(text)?;
                let mut block = Block::new(each);
                self.split(text, &mut |piece| block.push(piece))?;
                block.flush();
                Ok(())
            }
        }
    }

    /// Calls `each` with the pieces of `text`; none is empty.
    ///
    /// # Errors
    ///
    /// A pattern backtracks too far on this text.
    pub(crate) fn split(&self, text: &[u8], each: &mut dyn FnMut(Range<usize>)) -> Result<(), SplitError> {
        let mut each = |piece: Range<usize>| {
            if !piece.is_empty() {
                each(piece);
            }
        };
        match self {
            Self::Split(split) => return split.split(text, &mut each),
            Self::Matches(split) => return split.matches(text, &mut each),
            Self::Before(character) => {
                let mut buffer = [0; 4];
                let character = character.encode_utf8(&mut buffer).as_bytes();
                let mut start = 0;
                for at in memchr::memmem::find_iter(text, character).chain([text.len()]) {
                    each(start..at);
                    start = at;
                }
            }
            Self::Whitespace => separated(text, |c| char::from_u32(c).is_some_and(char::is_whitespace), each),
            Self::GgufWhitespace => separated(text, unicode::is_whitespace, each),
            Self::Spaces => {
                let mut start = 0;
                for at in memchr::memchr_iter(b' ', text).chain([text.len()]) {
                    each(start..at);
                    start = at + 1;
                }
            }
            Self::Bert => bert(text, each),
            Self::Delimited(delimited) => return delimited.split(text, &mut each),
            #[cfg(feature = "tokenizers")]
            Self::Scripts => scripts(text, each),
            Self::FixedLength(length) => {
                let text = std::str::from_utf8(text).unwrap_or_default();
                let mut start = 0;
                for (at, _) in text.char_indices().step_by((*length).max(1)).skip(1) {
                    each(start..at);
                    start = at;
                }
                each(start..text.len());
            }
            Self::Plamo2 => plamo2(text, &mut each),
            Self::Plamo3 => plamo3(text, &mut each),
        }
        Ok(())
    }
}

/// What lies between characters that separate.
fn separated(text: &[u8], separates: impl Fn(u32) -> bool, mut each: impl FnMut(Range<usize>)) {
    let (mut start, mut at) = (0, 0);
    while at < text.len() {
        let (character, len) = unicode::decode(text, at);
        if separates(character) {
            each(start..at);
            start = at + len;
        }
        at += len;
    }
    each(start..text.len());
}

fn bert(text: &[u8], mut each: impl FnMut(Range<usize>)) {
    let (mut start, mut at) = (0, 0);
    while at < text.len() {
        let byte = text[at];
        let (space, punctuation, len) = if byte < 0x80 {
            (matches!(byte, b'\t'..=b'\r' | b' '), byte.is_ascii_punctuation(), 1)
        } else {
            let (character, len) = unicode::decode(text, at);
            let character = char::from_u32(character).unwrap_or(char::REPLACEMENT_CHARACTER);
            let punctuation = unicode_categories::UnicodeCategories::is_punctuation(character);
            (character.is_whitespace(), punctuation, len)
        };
        if space || punctuation {
            each(start..at);
            start = at + len;
            if punctuation {
                each(at..start);
            }
        }
        at += len;
    }
    each(start..text.len());
}

/// By the library's own table of scripts, which is no other crate's.
#[cfg(feature = "tokenizers")]
fn scripts(text: &[u8], mut each: impl FnMut(Range<usize>)) {
    use tokenizers::pre_tokenizers::unicode_scripts::UnicodeScripts;
    use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer as _};

    let mut text = PreTokenizedString::from(std::str::from_utf8(text).unwrap_or_default());
    if UnicodeScripts::new().pre_tokenize(&mut text).is_ok() {
        for (_, (start, end), _) in text.get_splits(OffsetReferential::Original, OffsetType::Byte) {
            each(start..end);
        }
    }
}
