//! Byte-pair encoding over characters that are written with what marks their place in the word (`##` in front of all but the first,
//! `</w>` behind the last), and over alphabets that lack characters without a token to stand for them.
//!
//! The merge loop of [`super::bpe`] knows symbols by their text in the word. Here a symbol's text is another one, so this loop knows
//! them by id alone.
//!
//! Reference: `tokenizers` 0.23, `models/bpe/{model,word}.rs`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use super::tokens::{NoToken, Tokens};
use crate::vocabulary::{MergeTable, NO_MERGE, NONE, PairTable, Vocabulary};

/// The model.
#[derive(Clone, Debug)]
pub(crate) struct MarkedBpe {
    /// In front of each character but the first.
    pub(crate) prefix: String,
    /// Behind the last character.
    pub(crate) suffix: String,
    /// A word that is a token is taken whole.
    pub(crate) ignore_merges: bool,
    /// A character without a token becomes the tokens of its bytes, marks included, if each has one.
    pub(crate) byte_fallback: bool,
    pub(crate) unknown: Unknown,
    /// Unknown characters in a row are one token.
    pub(crate) fuse: bool,
}

/// What stands for a character that has neither a token nor bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unknown {
    Dropped,
    Token(u32),
    /// The vocabulary lacks the token that is to stand for it.
    Error,
}

/// A part of the word, in a list of those that are left.
#[derive(Clone, Copy, Debug)]
struct Symbol {
    id: u32,
    /// In bytes; none when it has been merged into the one before.
    len: u32,
    before: u32,
    after: u32,
}

impl MarkedBpe {
    /// `O(n log n)` in characters. Places are counted as the library counts them: a character that is dropped has no length.
    pub(super) fn encode(
        &self,
        vocabulary: &Vocabulary,
        word: &[u8],
        tokens: &mut Tokens,
    ) -> Result<(), NoToken> {
        if let Some(id) = vocabulary.token(word).filter(|_| self.ignore_merges) {
            tokens.push(id, 0..word.len());
            return Ok(());
        }
        let mut symbols = self.start(vocabulary, word)?;
        if let Some(pairs) = vocabulary.compiled.pairs() {
            let pairs = pairs.borrow();
            merge(&mut symbols, |left, right| {
                let place = pairs.find(left, right);
                (place != NO_MERGE).then(|| (pairs.rank(place), pairs.product(place)))
            });
        } else if let MergeTable::Listed(pairs) = &vocabulary.merges {
            merge(&mut symbols, |left, right| pairs.find(left, right).map(|(rank, id)| (rank.0, id)));
        }
        let mut at = 0;
        for symbol in symbols.iter().filter(|symbol| symbol.len > 0) {
            let end = at + symbol.len as usize;
            tokens.push(symbol.id, at..end);
            at = end;
        }
        Ok(())
    }

    fn start(&self, vocabulary: &Vocabulary, word: &[u8]) -> Result<Vec<Symbol>, NoToken> {
        // Only UTF-8 comes here.
        let text = std::str::from_utf8(word).unwrap_or_default();
        let mut symbols = Vec::with_capacity(text.len());
        // An unknown that has not been taken yet, since more may follow. Bytes overtake it, as they do in the library.
        let mut held: Option<(u32, u32)> = None;
        let mut marked = String::new();
        for (at, c) in text.char_indices() {
            let len = c.len_utf8();
            marked.clear();
            if at > 0 {
                marked.push_str(&self.prefix);
            }
            marked.push(c);
            if at + len == text.len() {
                marked.push_str(&self.suffix);
            }
            if let Some(id) = vocabulary.token(marked.as_bytes()) {
                push(&mut symbols, held.take());
                push(&mut symbols, Some((id, len as u32)));
                continue;
            }
            let token = |byte: &u8| {
                vocabulary.bytes.get(usize::from(*byte)).copied().filter(|&id| id != NONE).map(|id| (id, 1))
            };
            if self.byte_fallback && marked.as_bytes().iter().all(|byte| token(byte).is_some()) {
                marked.as_bytes().iter().for_each(|byte| push(&mut symbols, token(byte)));
                continue;
            }
            match self.unknown {
                Unknown::Dropped => {}
                Unknown::Token(unk) => {
                    let fused = held.take_if(|_| self.fuse).map_or(0, |(_, len)| len);
                    push(&mut symbols, held.replace((unk, fused + len as u32)));
                }
                Unknown::Error => return Err(NoToken { byte: word[at], at }),
            }
        }
        push(&mut symbols, held);
        if let Some(last) = symbols.last_mut() {
            last.after = NONE;
        }
        Ok(symbols)
    }
}

/// All merges of the list: which of them can happen is not told by the texts of tokens, marks being part of them.
pub(super) fn compile(vocabulary: &Vocabulary) {
    if let MergeTable::Listed(pairs) = &vocabulary.merges {
        vocabulary.compiled.get_or_compile(|| PairTable::of(pairs.iter().collect()));
    }
}

fn push(symbols: &mut Vec<Symbol>, symbol: Option<(u32, u32)>) {
    let Some((id, len)) = symbol else { return };
    let at = symbols.len() as u32;
    symbols.push(Symbol { id, len, before: at.checked_sub(1).unwrap_or(NONE), after: at + 1 });
}

/// Joins the pair with the lowest rank, of equals the leftmost, until none is left.
fn merge(symbols: &mut [Symbol], find: impl Fn(u32, u32) -> Option<(u32, u32)>) {
    // Rank, place of the left one, and what they become.
    let mut queue = BinaryHeap::new();
    let look = |symbols: &[Symbol], pair: Range<u32>, queue: &mut BinaryHeap<_>| {
        if let (Some(left), Some(right)) = (symbols.get(pair.start as usize), symbols.get(pair.end as usize))
            && let Some((rank, id)) = find(left.id, right.id)
        {
            queue.push(Reverse((rank, pair.start, id)));
        }
    };
    for at in 1..symbols.len() as u32 {
        look(symbols, at - 1..at, &mut queue);
    }
    while let Some(Reverse((_, at, merged))) = queue.pop() {
        let left = symbols[at as usize];
        let Some(&right) = symbols.get(left.after as usize).filter(|_| left.len > 0) else { continue };
        // The pair may be another one by now.
        if find(left.id, right.id).is_none_or(|(_, id)| id != merged) {
            continue;
        }
        symbols[left.after as usize].len = 0;
        symbols[at as usize] = Symbol { id: merged, len: left.len + right.len, after: right.after, ..left };
        if let Some(next) = symbols.get_mut(right.after as usize) {
            next.before = at;
        }
        if left.before != NONE {
            look(symbols, left.before..at, &mut queue);
        }
        if right.after != NONE {
            look(symbols, at..right.after, &mut queue);
        }
    }
}
