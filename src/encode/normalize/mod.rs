//! Rewriting a text before it is cut into words.

mod rewrite;
mod sentencepiece;
mod spaces;
pub(crate) mod tokenizers;
mod unigram;
mod wordpiece;

use std::borrow::Cow;
use std::ops::Range;

pub(crate) use sentencepiece::SentencePieceText;
pub(crate) use spaces::{Prepend, Spaces};
pub(crate) use unigram::UnigramText;
pub(crate) use wordpiece::WordPieceText;

use super::error::EncodeError;
use super::output::{Place, Rule};
use crate::unicode;
use crate::vocabulary::{Charsmap, Trie};

/// One rewriting of text.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Normalizer {
    /// One of the `tokenizers` library; the text must be UTF-8.
    Tokenizers(tokenizers::Normalizer),
    Spaces(Spaces),
    /// Each invalid byte becomes U+FFFD; surrogates may stay ([`unicode::repair`]).
    Repair,
    /// Each character its simple lower-case form, by llama.cpp's table.
    Lowercase,
    /// `▁` in front of a line that has none.
    MarkLine,
    /// `nemotron-3.5-embed` of `tokenizer.ggml.pre`.
    Nemotron,
    /// `soprano` of `tokenizer.ggml.pre`.
    Soprano,
    WordPiece(WordPieceText),
    Unigram(UnigramText),
    SentencePiece(SentencePieceText),
}

/// What normalizers read beside their own parameters.
#[derive(Clone, Copy)]
pub(crate) struct Tables<'v> {
    pub(crate) charsmap: &'v Charsmap,
    pub(crate) user_defined: &'v Trie,
    pub(crate) rule: Rule,
}

impl Normalizer {
    /// The same for a text that continues another one: nothing goes in front of it. `None` if nothing is left to be done.
    #[cfg(feature = "toktrie")]
    pub(crate) fn continued(mut self) -> Option<Self> {
        match &mut self {
            Self::Spaces(spaces) => spaces.prefix = None,
            Self::Unigram(normalizer) => normalizer.add_space_prefix = false,
            Self::SentencePiece(normalizer) => normalizer.add_dummy_prefix = false,
            Self::Tokenizers(tokenizers::Normalizer::Prepend(_)) => return None,
            _ => {}
        }
        Some(self)
    }

    /// `text`, which is not empty, rewritten; the given text begins with it or not. `places` receives the part of `text` that each
    /// byte of a rewritten text comes from.
    pub(crate) fn apply<'t>(
        &self,
        text: &'t [u8],
        begins: bool,
        tables: Tables<'_>,
        places: Option<&mut Vec<Place>>,
    ) -> Result<Cow<'t, [u8]>, EncodeError> {
        let rewritten = match self {
            Self::Tokenizers(normalizer) => {
                let Ok(text) = std::str::from_utf8(text) else { return Ok(text.into()) };
                let rewritten = match places {
                    None => normalizer.apply(text, tables.charsmap, None)?,
                    Some(places) if tables.rule == Rule::Library => {
                        normalizer.apply_with_library_places(text, tables.charsmap, places)?
                    }
                    Some(places) => normalizer.apply_with_places(text, tables.charsmap, places)?,
                };
                rewritten.map(String::into_bytes)
            }
            Self::Spaces(spaces) => spaces.apply(text, begins, tables.rule, places),
            Self::Repair if std::str::from_utf8(text).is_ok() => None,
            Self::Repair => Some(characters(text, places, |character, out| {
                unicode::encode(character, out);
            })),
            Self::Lowercase => Some(characters(text, places, |character, out| {
                unicode::encode(unicode::lower(character), out);
            })),
            Self::MarkLine => spaces::mark_line(text, places),
            Self::Nemotron => rewrite::nemotron(text, places),
            Self::Soprano => Some(rewrite::soprano(text, places)),
            Self::WordPiece(normalizer) => Some(normalizer.apply(text, places)),
            Self::Unigram(normalizer) => Some(normalizer.apply(text, tables, places)?),
            Self::SentencePiece(normalizer) => Some(normalizer.apply(text, tables, places)?),
        };
        Ok(rewritten.map_or(Cow::Borrowed(text), Cow::Owned))
    }
}

/// Rewrites each character on its own.
fn characters(
    text: &[u8],
    mut places: Option<&mut Vec<Place>>,
    rewrite: impl Fn(u32, &mut Vec<u8>),
) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 16);
    let mut at = 0;
    while at < text.len() {
        let (character, len) = unicode::decode(text, at);
        rewrite(character, &mut out);
        push_places(places.as_deref_mut(), &out, at..at + len);
        at += len;
    }
    out
}

/// Notes that what was written to `out` since the last call comes from `place`.
#[inline]
fn push_places(places: Option<&mut Vec<Place>>, out: &[u8], place: Range<usize>) {
    if let Some(places) = places {
        places.resize(out.len(), (place.start as u32, place.end as u32));
    }
}
