//! Characters that can enter byte-pair encoding whole.
//!
//! A byte-level vocabulary begins with bytes, and two thirds of the merges of a text in Chinese or Hindi only put its characters
//! together. A character may begin as the one token that its bytes merge into, provided that
//!
//! 1. no merge takes that token before all merges that make it (by rank), and
//! 2. no token of the vocabulary that holds only a part of some character beside a boundary between two (a *fragment*) stands in
//!    the text over this character.
//!
//! By the second, nothing merges across the character's edges before it is whole. By the first, a merge that takes it is chosen only
//! when no merge inside of it is left to do: as long as there is one, it has the lower rank. So all merges happen that would have
//! happened, and in an order that makes no difference.

use std::collections::HashMap;
use std::ops::Range;

use crate::vocabulary::{NONE, Pairs, Vocabulary};

/// The characters of a vocabulary that are whole, and its fragments.
#[derive(Debug)]
pub(crate) struct CharacterAtoms {
    /// Code point → symbol, [`NONE`] for a character that begins as its bytes. Below U+10000.
    symbols: Box<[u32]>,
    /// One bit for each two bytes at the boundary of a fragment.
    boundaries: Box<[u64; 1 << 10]>,
    /// By those bytes.
    fragments: HashMap<[u8; 2], Vec<Fragment>>,
}

/// How many bytes are before the boundary, and the text.
type Fragment = (usize, Box<[u8]>);

impl CharacterAtoms {
    /// `O(tokens + merges)`; some milliseconds for a large vocabulary.
    pub(crate) fn new(vocabulary: &Vocabulary, pairs: &Pairs) -> Self {
        let mut atoms = Self {
            symbols: vec![NONE; 1 << 16].into(),
            boundaries: Box::new([0; 1 << 10]),
            fragments: HashMap::new(),
        };
        let symbols = vocabulary.keys.len().saturating_sub(1);
        // The lowest rank of a merge that takes a symbol.
        let mut taken = vec![NONE; symbols];
        for (left, right, rank, _) in pairs.iter() {
            for symbol in [left, right] {
                if let Some(lowest) = taken.get_mut(symbol as usize) {
                    *lowest = rank.0.min(*lowest);
                }
            }
        }
        for symbol in 0..symbols as u32 {
            let key = vocabulary.keys().at(symbol);
            match key {
                [0xC2..=0xDF, 0x80..=0xBF] | [0xE0..=0xEF, 0x80..=0xBF, 0x80..=0xBF] => {
                    let Some(last) = last_rank(vocabulary, pairs, key, symbol) else { continue };
                    let whole = std::str::from_utf8(key).ok().and_then(|text| text.chars().next());
                    if let Some(character) = whole.filter(|_| taken[symbol as usize] > last) {
                        atoms.symbols[character as usize] = symbol;
                    }
                }
                _ => atoms.note(key),
            }
        }
        atoms
    }

    /// Notes a symbol's text if it is a fragment.
    fn note(&mut self, key: &[u8]) {
        // Continuation bytes in front belong to a character that begins before.
        let front = key.iter().take_while(|&&byte| byte & 0xC0 == 0x80).count();
        let last = key.iter().rposition(|&byte| byte & 0xC0 != 0x80);
        let back = last.filter(|&at| at + utf8_len(key[at]) > key.len());
        for at in [Some(front), back].into_iter().flatten() {
            if at > 0 && at < key.len() {
                let pair = [key[at - 1], key[at]];
                let bit = usize::from(u16::from_le_bytes(pair));
                self.boundaries[bit / 64] |= 1 << (bit % 64);
                self.fragments.entry(pair).or_default().push((at, key.into()));
            }
        }
    }

    /// Calls `push(symbol, start)` with the symbols that `word` begins as, a byte being `bytes[byte]`; `covered` is room for work.
    #[inline]
    pub(crate) fn start(
        &self,
        word: &[u8],
        bytes: &[u32],
        covered: &mut Vec<Range<usize>>,
        mut push: impl FnMut(u32, usize),
    ) {
        covered.clear();
        for (at, pair) in (1..).zip(word.windows(2).map(|pair| [pair[0], pair[1]])) {
            // Between two characters, of which one is not ASCII.
            if pair[1] & 0xC0 != 0x80 && (pair[0] | pair[1]) & 0x80 != 0 {
                let bit = usize::from(u16::from_le_bytes(pair));
                if self.boundaries[bit / 64] >> (bit % 64) & 1 != 0 {
                    self.cover(word, at, pair, covered);
                }
            }
        }
        let mut next = covered.iter();
        let mut cover = next.next();
        let mut at = 0;
        while at < word.len() {
            let byte = word[at];
            let len = utf8_len(byte);
            let character = match (len, word.get(at + 1), word.get(at + 2)) {
                (2, Some(&b), _) if b & 0xC0 == 0x80 => u32::from(byte & 0x1F) << 6 | u32::from(b & 0x3F),
                (3, Some(&b), Some(&c)) if b & c & 0xC0 == 0x80 => {
                    u32::from(byte & 0x0F) << 12 | u32::from(b & 0x3F) << 6 | u32::from(c & 0x3F)
                }
                _ => 0,
            };
            while cover.is_some_and(|cover| cover.end <= at) {
                cover = next.next();
            }
            let symbol = self.symbols.get(character as usize).copied().unwrap_or(NONE);
            if symbol == NONE || cover.is_some_and(|cover| cover.start < at + len) {
                let end = if len > 1 { (at + len).min(word.len()) } else { at + 1 };
                for (at, &byte) in (at..).zip(&word[at..end]) {
                    push(bytes.get(usize::from(byte)).copied().unwrap_or(NONE), at);
                }
                at = end;
            } else {
                push(symbol, at);
                at += len;
            }
        }
    }

    /// Notes the places of the fragments whose boundary is at `at`.
    #[cold]
    fn cover(&self, word: &[u8], at: usize, pair: [u8; 2], covered: &mut Vec<Range<usize>>) {
        for (before, text) in self.fragments.get(&pair).into_iter().flatten() {
            let Some(start) = at.checked_sub(*before) else { continue };
            if word[start..].starts_with(text) {
                match covered.last_mut() {
                    // In order of their boundaries, not of their starts: what comes to overlap is one.
                    Some(last) if start <= last.end => {
                        *last = start.min(last.start)..last.end.max(start + text.len());
                        merge_back(covered);
                    }
                    _ => covered.push(start..start + text.len()),
                }
            }
        }
    }
}

/// Joins the last range with those before it that it reaches.
fn merge_back(covered: &mut Vec<Range<usize>>) {
    while let [.., before, last] = &mut covered[..] {
        if last.start > before.end {
            return;
        }
        *before = before.start.min(last.start)..before.end.max(last.end);
        covered.pop();
    }
}

/// The highest rank of the merges that make `key`, a character, into `symbol`; `None` when they make something else.
fn last_rank(vocabulary: &Vocabulary, pairs: &Pairs, key: &[u8], symbol: u32) -> Option<u32> {
    let mut symbols: Vec<u32> = key
        .iter()
        .map(|&byte| vocabulary.byte_symbols.get(usize::from(byte)).copied().unwrap_or(NONE))
        .collect();
    let mut last = 0;
    while symbols.len() > 1 {
        let merges = symbols.windows(2).enumerate();
        let found =
            merges.filter_map(|(i, pair)| pairs.find(pair[0], pair[1]).map(|(rank, made)| (rank, i, made)));
        let (rank, i, made) = found.min()?;
        last = rank.0.max(last);
        symbols.splice(i..i + 2, [made]);
    }
    (symbols == [symbol]).then_some(last)
}

/// How many bytes a character has by its first one; 1 for a byte that begins none.
#[inline]
fn utf8_len(byte: u8) -> usize {
    match byte {
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0.. => 4,
        _ => 1,
    }
}
