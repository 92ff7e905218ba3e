//! WordPiece: words cut from the left into the longest pieces, or unknown as a whole.

use std::ops::Range;

use super::tokens::Tokens;
use crate::vocabulary::{SPACE, Vocabulary};

/// With a prefix that marks what continues a word (`##`), as BERT's vocabularies have it.
#[derive(Clone, Debug)]
pub(crate) struct WordPiece {
    /// The token for a word that the pieces do not make up.
    pub(crate) unk: u32,
    /// In front of what continues a word.
    pub(crate) prefix: String,
    /// A longer word is unknown.
    pub(crate) max_chars: usize,
    /// Bytes of the longest token.
    pub(crate) longest: usize,
}

impl WordPiece {
    /// `O(n × longest token)` in bytes of the word.
    pub(crate) fn encode(
        &self,
        vocabulary: &Vocabulary,
        word: &[u8],
        buffer: &mut Vec<u8>,
        tokens: &mut Tokens,
    ) {
        let Self { unk, ref prefix, max_chars, longest } = *self;
        let prefix = prefix.as_bytes();
        let is_boundary = |at: usize| word.get(at).is_none_or(|&byte| byte & 0xC0 != 0x80);
        if word.len() > max_chars && word.iter().filter(|&&byte| byte & 0xC0 != 0x80).count() > max_chars {
            return tokens.push(unk, 0..word.len());
        }
        // The word behind room for one prefix. What lies before the piece at hand is no longer needed, so the prefix goes there.
        buffer.clear();
        buffer.extend_from_slice(prefix);
        buffer.extend_from_slice(word);
        let mut start = 0;
        while start < word.len() {
            let room = if start == 0 { longest } else { longest.saturating_sub(prefix.len()) };
            let from = if start == 0 { prefix.len() } else { start };
            buffer[start..start + prefix.len()].copy_from_slice(prefix);
            let mut end = word.len().min(start.saturating_add(room));
            let id = loop {
                while end > start && !is_boundary(end) {
                    end -= 1;
                }
                if end <= start {
                    break None;
                }
                if let Some(id) = vocabulary.token(&buffer[from..prefix.len() + end]) {
                    break Some(id);
                }
                end -= 1;
            };
            let Some(id) = id else {
                // One part without a token makes the whole word unknown.
                tokens.clear();
                tokens.push(unk, 0..word.len());
                break;
            };
            tokens.push(id, start..end);
            start = end;
        }
        buffer.shrink_to(KEPT);
    }
}

/// With `▁` in front of what begins a word, as llama.cpp rewrites those vocabularies; pieces are in [`Vocabulary::trie`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct PrefixedPieces {
    /// The token for a word that the pieces do not make up, [`crate::vocabulary::NONE`] if there is none.
    pub(crate) unknown: u32,
}

impl PrefixedPieces {
    /// `O(n × longest piece)` in bytes of the word. A `▁` that is a piece of its own takes no place.
    pub(crate) fn encode(
        self,
        vocabulary: &Vocabulary,
        word: &[u8],
        buffer: &mut Vec<u8>,
        tokens: &mut Tokens,
    ) {
        buffer.clear();
        buffer.extend_from_slice(SPACE);
        buffer.extend_from_slice(word);
        let walker = vocabulary.trie.walker();
        let place = |range: Range<usize>| {
            range.start.saturating_sub(SPACE.len())..range.end.saturating_sub(SPACE.len())
        };
        let mut at = 0;
        while at < buffer.len() {
            let Some((len, id)) = walker.longest(&buffer[at..]) else {
                tokens.clear();
                tokens.push(self.unknown, 0..word.len());
                break;
            };
            tokens.push(id, place(at..at + len));
            at += len;
        }
        buffer.shrink_to(KEPT);
    }
}

/// So many bytes of a word a thread keeps room for.
const KEPT: usize = 1 << 16;
