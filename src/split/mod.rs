//! Cutting text into the pieces that a BPE then encodes one by one.
//!
//! A split known by name or by its pattern is written by hand, linear on any text; only a pattern that nobody knows goes to the regex
//! engine. The text is generalised UTF-8, as [`repair`](crate::unicode::repair) returns it.

#![allow(
    clippy::inline_always,
    reason = "a grammar is written once and its switches are constants where it is used: inlining is what makes each split"
)]

mod classes;
mod compiled;
mod delimited;
pub(crate) mod dna;
mod gguf;
mod grammar;
mod names;
mod oniguruma;
mod patterns;
mod pieces;
mod plamo;
mod pre_tokenizer;
mod scan;
mod simd;
mod spelled;
mod stages;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use pieces::Block;
use scan::Grammar;

pub use compiled::SplitError;
pub(crate) use compiled::{Compiled, PatternError};
pub(crate) use delimited::{Behavior, Delimited, Delimiter};
pub(crate) use gguf::GgufSplit;
pub(crate) use names::{Pre, PreKind};
pub(crate) use oniguruma::translate;
pub(crate) use patterns::PatternSplit;
pub(crate) use pieces::{BLOCK, Piece};
pub(crate) use pre_tokenizer::PreTokenizer;

/// How a text is cut. Matches and the gaps between them are pieces alike, so no byte is lost.
#[derive(Clone, Debug)]
pub(crate) enum Split {
    /// A split of `tokenizer.ggml.pre`, with llama.cpp's character tables.
    Gguf(GgufSplit),
    /// A known pattern, with the tables of the `regex` crate.
    Pattern(PatternSplit),
    /// Any other pattern.
    Regex(Arc<Compiled>),
}

impl Split {
    /// Calls `each` with the byte ranges of the pieces of `text`: in order, none empty, and together the whole text.
    ///
    /// Linear and without allocation, except for [`Split::Regex`]. `each` is called through a pointer, so that the sixty splits are
    /// compiled once and not once for every engine; it costs a nanosecond or two a piece.
    ///
    /// # Errors
    ///
    /// Only [`Split::Regex`] fails, when its pattern backtracks too far on this text.
    pub(crate) fn split(&self, text: &[u8], each: &mut dyn FnMut(Range<usize>)) -> Result<(), SplitError> {
        self.split_range(text, 0..text.len(), each)
    }

    /// As [`Split::split`], for the part `range` of `text` as though nothing stood around it.
    pub(crate) fn split_range(
        &self,
        text: &[u8],
        range: Range<usize>,
        each: &mut dyn FnMut(Range<usize>),
    ) -> Result<(), SplitError> {
        let mut each = |piece: Range<usize>| each(piece);
        match self {
            Split::Gguf(split) => split.split(text, range, &mut each),
            Split::Pattern(split) => split.split(text, range, &mut each),
            Split::Regex(compiled) => compiled.split(text, range, &mut each)?,
        }
        Ok(())
    }

    /// As [`Split::split`], but what no match covers is left out, as tiktoken does. A pattern known by hand covers everything, or it
    /// gives its gaps, too: ask [`Split::has_no_gaps`].
    pub(crate) fn matches(&self, text: &[u8], each: &mut dyn FnMut(Range<usize>)) -> Result<(), SplitError> {
        match self {
            Split::Regex(compiled) => compiled.matches(text, 0..text.len(), &mut |found| {
                if !found.is_empty() {
                    each(found);
                }
            }),
            _ => self.split(text, each),
        }
    }

    /// As [`Split::split`], by blocks of at most 256 pieces; no block is empty. `each` says whether it wants more: if not, the text is
    /// read no further where it is cut by blocks, and in any case the blocks that may still come are of no use.
    ///
    /// # Errors
    ///
    /// The text is longer than 4 GiB, or as [`Split::split`]; pieces before the place of the error may have been handed over.
    pub(crate) fn pieces(
        &self,
        text: &[u8],
        each: &mut dyn FnMut(&[Piece]) -> bool,
    ) -> Result<(), SplitError> {
        SplitError::check_len(text)?;
        let mut block = Block::new(each);
        match self.grammar() {
            Some(grammar) => simd::cut_by_blocks(text, 0..text.len(), grammar, &mut block),
            None => self.split(text, &mut |piece| block.push(piece))?,
        }
        block.flush();
        Ok(())
    }

    /// What this split is cut by in blocks.
    fn grammar(&self) -> Option<&'static Grammar> {
        match self {
            Split::Gguf(split) => split.grammar(),
            Split::Pattern(split) => split.grammar(),
            Split::Regex(_) => None,
        }
    }

    /// As [`Split::pieces`], for what [`Split::matches`] finds.
    ///
    /// # Errors
    ///
    /// As [`Split::pieces`].
    pub(crate) fn matching_pieces(
        &self,
        text: &[u8],
        each: &mut dyn FnMut(&[Piece]) -> bool,
    ) -> Result<(), SplitError> {
        match self {
            Split::Regex(_) => {
                SplitError::check_len(text)?;
                let mut block = Block::new(each);
                self.matches(text, &mut |piece| block.push(piece))?;
                block.flush();
                Ok(())
            }
            _ => self.pieces(text, each),
        }
    }

    /// The split that leaves out what `pattern` does not match, when used by [`Split::matches`].
    ///
    /// # Errors
    ///
    /// The pattern does not compile.
    pub(crate) fn of_matches(pattern: &str) -> Result<Split, PatternError> {
        match from_pattern(pattern).filter(Split::has_no_gaps) {
            Some(split) => Ok(split),
            None => Compiled::new(pattern).map(|compiled| Split::Regex(Arc::new(compiled))),
        }
    }

    /// The name under which [`Split::from_name`] finds this split again; it never changes its meaning.
    pub(crate) fn name(&self) -> Cow<'static, str> {
        let known = match self {
            Split::Gguf(split) => name_of(GgufSplit::NAMES, split),
            Split::Pattern(split) => name_of(PatternSplit::NAMES, split),
            Split::Regex(compiled) => return format!("{REGEX}{}", compiled.pattern()).into(),
        };
        known.into()
    }

    /// The split that [`Split::name`] called so, or `None` for a name this version does not know.
    ///
    /// # Errors
    ///
    /// The name holds a pattern, and that does not compile.
    pub(crate) fn from_name(name: &str) -> Result<Option<Split>, PatternError> {
        if let Some(pattern) = name.strip_prefix(REGEX) {
            return Compiled::new(pattern).map(|compiled| Some(Split::Regex(Arc::new(compiled))));
        }
        let gguf = || with_name(GgufSplit::NAMES, name).map(Split::Gguf);
        let pattern = || with_name(PatternSplit::NAMES, name).map(Split::Pattern);
        Ok(gguf().or_else(pattern))
    }

    /// Whether every character of every text is in a match. Then it is all one what a tokenizer.json wants done with the gaps.
    pub(crate) fn has_no_gaps(&self) -> bool {
        matches!(self, Split::Pattern(split) if split.has_no_gaps())
    }
}

/// The hand-written split that cuts as `pattern` does (`Split` with `Isolated` in tokenizer.json, tiktoken's `pat_str`, tekken's `pattern`),
/// with the `regex` crate's classes. `None` if the pattern is not known.
pub(crate) fn from_pattern(pattern: &str) -> Option<Split> {
    PatternSplit::from_pattern(pattern).map(Split::Pattern)
}

/// One split for patterns that a tokenizer.json applies one after the other, each `Isolated`, where one is written for the sequence.
pub(crate) fn from_patterns(patterns: &[&str]) -> Option<Split> {
    let mut known = patterns.iter().map(|pattern| PatternSplit::from_pattern(pattern));
    match (known.next()?, known.next(), known.next(), known.next()) {
        (Some(split), None, ..) => Some(Split::Pattern(split)),
        (
            Some(PatternSplit::Numbers3),
            Some(Some(PatternSplit::HanAndKana)),
            Some(Some(PatternSplit::DeepseekV3Words)),
            None,
        ) => Some(Split::Pattern(PatternSplit::DeepseekV3)),
        _ => None,
    }
}

/// The split for any pattern: by hand if it is known, else by the regex engine.
///
/// # Errors
///
/// The pattern does not compile.
pub(crate) fn any_pattern(pattern: &str) -> Result<Split, PatternError> {
    match from_pattern(pattern) {
        Some(split) => Ok(split),
        None => Compiled::new(pattern).map(|compiled| Split::Regex(Arc::new(compiled))),
    }
}

impl serde::Serialize for Split {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

impl<'de> serde::Deserialize<'de> for Split {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let name = Cow::<str>::deserialize(deserializer)?;
        let split = Split::from_name(&name).map_err(D::Error::custom)?;
        split.ok_or_else(|| D::Error::custom(format_args!("expected the name of a split, found {name:?}")))
    }
}

const REGEX: &str = "regex:";

fn name_of<T: PartialEq>(names: &[(&'static str, T)], split: &T) -> &'static str {
    names.iter().find(|(_, named)| named == split).map_or("", |&(name, _)| name)
}

fn with_name<T: Copy>(names: &[(&'static str, T)], name: &str) -> Option<T> {
    names.iter().find(|&&(known, _)| known == name).map(|&(_, split)| split)
}
