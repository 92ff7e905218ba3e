//! What models give.

use std::ops::Range;

use crate::vocabulary::{NONE, Vocabulary};

/// The tokens of a word, in order.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    pub(crate) ids: Vec<u32>,
    /// `(start, end)` in bytes of the word, one an id; only kept where somebody asks.
    pub(crate) spans: Vec<(u32, u32)>,
    /// Whether somebody asks.
    pub(crate) with_spans: bool,
}

impl Tokens {
    pub(crate) fn clear(&mut self) {
        self.ids.clear();
        self.spans.clear();
    }

    #[inline]
    pub(crate) fn push(&mut self, id: u32, span: Range<usize>) {
        self.ids.push(id);
        if self.with_spans {
            self.spans.push((span.start as u32, span.end as u32));
        }
    }

    /// Lets go of what more than `most` tokens took.
    pub(crate) fn shrink_to(&mut self, most: usize) {
        self.clear();
        self.ids.shrink_to(most);
        self.spans.shrink_to(most);
    }
}

/// A byte has no token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoToken {
    pub(crate) byte: u8,
    /// Where it stands in the word.
    pub(crate) at: usize,
}

/// What stands for text that is no piece of a SentencePiece model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnknownPiece {
    /// The piece for it; [`NONE`] where there is none.
    pub(crate) unk: u32,
    /// Pieces of its bytes stand for it.
    pub(crate) byte_fallback: bool,
}

impl UnknownPiece {
    /// Appends the piece `id`, which stands for `word[span]`; [`NONE`] for none.
    #[inline]
    pub(crate) fn push(
        self,
        vocabulary: &Vocabulary,
        id: u32,
        word: &[u8],
        span: Range<usize>,
        tokens: &mut Tokens,
    ) {
        if id != NONE && id != self.unk {
            tokens.push(id, span);
        } else if self.byte_fallback {
            for &byte in &word[span.clone()] {
                let id = vocabulary.bytes.get(usize::from(byte)).copied().unwrap_or(NONE);
                tokens.push(id, span.clone());
            }
        } else {
            tokens.push(self.unk, span);
        }
    }
}
