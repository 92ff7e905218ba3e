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
//!
//! Between two such characters that stand side by side in no token nothing ever merges, so the word may be cut there. Most words of
//! Chinese come apart into one or two characters each.

use std::collections::HashMap;
use std::ops::Range;

use crate::vocabulary::{NO_MERGE, NONE, PairTable, Vocabulary};

/// The characters of a vocabulary that are whole, and its fragments.
#[derive(Debug)]
pub(crate) struct CharacterAtoms {
    /// Code point → symbol, [`NONE`] for a character that begins as its bytes. Below U+10000.
    symbols: Box<[u32]>,
    /// One bit for each two bytes at the boundary of a fragment.
    boundaries: Box<[u64; 1 << 10]>,
    /// By those bytes.
    fragments: HashMap<[u8; 2], Vec<Fragment>>,
    /// Which two characters stand side by side in a token, one bit for many of them.
    neighbours: Box<[u64; NEIGHBOURS / 64]>,
}

/// 128 kilobytes of bits: a tenth of them is taken for the largest vocabularies.
const NEIGHBOURS: usize = 1 << 20;

/// Where a word begins anew: what it consists of before anything merges.
pub(crate) struct Beginning<'s> {
    /// Symbols, and where their texts begin.
    pub(crate) symbols: &'s mut Vec<(u32, u32)>,
    /// How many symbols there are before each place where nothing ever merges across.
    pub(crate) cuts: &'s mut Vec<u32>,
    /// Room for work.
    pub(crate) covered: &'s mut Vec<Range<usize>>,
}

/// How many bytes are before the boundary, and the text.
type Fragment = (usize, Box<[u8]>);

impl CharacterAtoms {
    /// `O(tokens + merges)`; some milliseconds for a large vocabulary.
    pub(crate) fn new(vocabulary: &Vocabulary, pairs: &PairTable) -> Self {
        let mut atoms = Self {
            symbols: vec![NONE; 1 << 16].into(),
            boundaries: Box::new([0; 1 << 10]),
            fragments: HashMap::new(),
            neighbours: bytemuck::zeroed_box(),
        };
        let symbols = vocabulary.keys.len().saturating_sub(1);
        // The lowest rank of a merge that takes a symbol.
        let mut taken = vec![NONE; symbols];
        for (left, right, place) in pairs.iter() {
            for symbol in [left, right] {
                if let Some(lowest) = taken.get_mut(symbol as usize) {
                    *lowest = place.min(*lowest);
                }
            }
        }
        for symbol in 0..symbols as u32 {
            let key = vocabulary.keys().at(symbol);
            for part in key.utf8_chunks() {
                let mut before = None;
                for character in part.valid().chars().map(u32::from) {
                    if let Some(before) = before {
                        let bit = neighbours(before, character);
                        atoms.neighbours[bit / 64] |= 1 << (bit % 64);
                    }
                    before = Some(character);
                }
            }
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

    /// Notes what `word` consists of, a byte being `bytes[byte]`.
    pub(crate) fn start(&self, word: &[u8], bytes: &[u32], out: Beginning<'_>) {
        let Beginning { symbols, cuts, covered } = out;
        cuts.clear();
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
        let (mut at, mut before) = (0, 0);
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
                    symbols.push((bytes.get(usize::from(byte)).copied().unwrap_or(NONE), at as u32));
                }
                at = end;
                before = 0;
            } else {
                if before != 0 {
                    let bit = neighbours(before, character);
                    if self.neighbours[bit / 64] >> (bit % 64) & 1 == 0 {
                        cuts.push(symbols.len() as u32);
                    }
                }
                symbols.push((symbol, at as u32));
                at += len;
                before = character;
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

/// The bit of two characters.
#[inline]
fn neighbours(left: u32, right: u32) -> usize {
    let hash = left.wrapping_mul(0x9E37_79B1) ^ right.wrapping_mul(0x85EB_CA6B).rotate_left(13);
    (hash.wrapping_mul(0xC2B2_AE35) >> 12) as usize
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
fn last_rank(vocabulary: &Vocabulary, pairs: &PairTable, key: &[u8], symbol: u32) -> Option<u32> {
    let mut symbols: Vec<u32> = key
        .iter()
        .map(|&byte| vocabulary.byte_symbols.get(usize::from(byte)).copied().unwrap_or(NONE))
        .collect();
    let mut last = 0;
    while symbols.len() > 1 {
        let merges = symbols.windows(2).enumerate().map(|(i, pair)| (pairs.find(pair[0], pair[1]), i));
        let (place, i) = merges.min().filter(|&(place, _)| place != NO_MERGE)?;
        last = place.max(last);
        symbols.splice(i..i + 2, [pairs.product(place)]);
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
