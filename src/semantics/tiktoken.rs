//! Encoding and rendering as tiktoken does: the driver of tiktoken's rank files and of tekken.json.
//!
//! Reference: tiktoken 0.14, `encode_ordinary` (`_encode_ordinary_native` and `byte_pair_encode` in its `src/lib.rs`): the text
//! is cut by a pattern; a piece that is a token is taken whole, any other one merges, always the two neighbours whose joined
//! bytes have the lowest rank. With [`Special::Parse`] the text is cut at special tokens first, the longest where several begin.

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::llama_cpp::repair;
use crate::decode::SpecialText;
use crate::encode::memo::{Memo, Place};
use crate::encode::output::{Alignment, Sink};
use crate::encode::partition::{Fragment, partition};
use crate::encode::special_tokens::Specials;
use crate::encode::thread_state::ThreadState;
use crate::encode::{EncodeError, Special};
use crate::split::Split;
use crate::vocabulary::{NONE, Pairs, Vocabulary, attribute};

/// What the format adds to a vocabulary.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Recipe {
    pub(crate) split: Split,
    /// The id that [`Special::Add`] puts in front.
    pub(crate) bos: Option<u32>,
    /// The id that [`Special::Add`] puts behind.
    pub(crate) eos: Option<u32>,
}

/// What an encoder reads: everything but the thread's own scratch.
#[derive(Clone, Copy)]
pub(crate) struct Encoder<'t> {
    pub(crate) recipe: &'t Recipe,
    pub(crate) vocabulary: &'t Vocabulary,
    pub(crate) specials: &'t Specials,
}

impl Encoder<'_> {
    /// `O(n log n)` in the bytes of the longest piece.
    pub(crate) fn encode<S: Sink>(
        &self,
        text: &[u8],
        special: Special,
        local: &mut ThreadState,
        sink: &mut S,
    ) -> Result<(), EncodeError> {
        if let Some(bos) = self.recipe.bos.filter(|_| special.adds()) {
            sink.push(bos, 0..0);
        }
        if special.parses() && !self.specials.is_empty() {
            partition(self.specials, self.vocabulary, text, true, |fragment| match fragment {
                Fragment::Token(id, span) => {
                    sink.push(id, span);
                    Ok(())
                }
                Fragment::Raw(span) => self.ordinary(text, span, local, sink),
            })?;
        } else {
            self.ordinary(text, 0..text.len(), local, sink)?;
        }
        if let Some(eos) = self.recipe.eos.filter(|_| special.adds()) {
            sink.push(eos, text.len()..text.len());
        }
        Ok(())
    }

    fn ordinary<S: Sink>(
        &self,
        text: &[u8],
        span: Range<usize>,
        local: &mut ThreadState,
        sink: &mut S,
    ) -> Result<(), EncodeError> {
        let (text, alignment) =
            repair::<S>(Cow::Borrowed(&text[span.clone()]), Alignment::identity(span.start));
        let mut result = Ok(());
        self.recipe.split.matches(&text, &mut |word: Range<usize>| {
            let place = if S::SPANS { None } else { Memo::place_in(&text, word.clone()) };
            if !place.is_some_and(|place| local.memo.recall_into(place, sink)) && result.is_ok() {
                result = self.word(&text[word.clone()], place, word.start, &alignment, local, sink);
            }
        })?;
        result
    }

    /// One piece that is not remembered; `base` is where it begins in the text that `alignment` leads back from.
    #[inline(never)]
    fn word<S: Sink>(
        &self,
        word: &[u8],
        place: Option<Place>,
        base: usize,
        alignment: &Alignment,
        local: &mut ThreadState,
        sink: &mut S,
    ) -> Result<(), EncodeError> {
        let ThreadState { scratch, ids, memo, .. } = local;
        ids.clear();
        let original = |span: Range<usize>| alignment.original(base + span.start..base + span.end);
        let mut result = Ok(());
        let mut push = |symbol: u32, span: Range<usize>| {
            if symbol < self.vocabulary.len {
                ids.push(symbol);
                sink.push(symbol, if S::SPANS { original(span) } else { 0..0 });
            } else if result.is_ok() {
                // tiktoken has no answer to a byte without a token either: it panics.
                let byte = word.get(span.start).copied().unwrap_or_default();
                result = Err(EncodeError::NoByteToken { byte, offset: original(span).start });
            }
        };
        if let Some(token) = self.vocabulary.token(word) {
            push(token, 0..word.len());
        } else {
            let symbols: &[u32] = &self.vocabulary.byte_symbols;
            scratch.clear();
            for (i, &byte) in word.iter().enumerate() {
                scratch.push(symbols.get(usize::from(byte)).copied().unwrap_or(NONE), i);
            }
            let pairs: &Pairs = &self.vocabulary.pairs;
            scratch.merge(word, pairs, push);
        }
        result?;
        if let Some(place) = place {
            memo.remember(place, ids);
        }
        Ok(())
    }
}

/// Renders ids: the bytes of tokens one after the other, special tokens as their text or not at all.
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    render: bool,
}

impl Decoder {
    pub(crate) fn new(special: SpecialText) -> Self {
        Self { render: special == SpecialText::Render }
    }

    /// Appends what `id` adds to the text; `None` when `id` names no token.
    #[inline]
    pub(crate) fn push(&self, vocabulary: &Vocabulary, id: u32, out: &mut Vec<u8>) -> Option<()> {
        let piece = vocabulary.piece(id)?;
        if vocabulary.attributes(id) & self.hidden() == 0 {
            out.extend_from_slice(piece);
        }
        Some(())
    }

    /// The attributes of tokens that are left out.
    pub(crate) fn hidden(&self) -> u16 {
        if self.render { 0 } else { attribute::CONTROL }
    }
}
