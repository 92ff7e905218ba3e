//! Byte-pair encoding, for every vocabulary that merges: by a merges list (GPT-2 and kin), by score (SentencePiece BPE) or by rank
//! (tiktoken). What a word begins as, where ranks come from, and what becomes of what has no token; the loop is in [`super::merge`].

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::atoms::{Beginning, CharacterAtoms};
use super::live;
use super::merge::{Lazily, Merges, Scratch, Sizes};
use super::tokens::{NoToken, Tokens, UnknownPiece};
use crate::unicode;
use crate::vocabulary::{MergeTable, NONE, Rank, Vocabulary, attribute};

/// Byte-pair encoding, as a source wants it.
#[derive(Clone, Debug)]
pub(crate) struct Bpe {
    pub(crate) start: Start,
    pub(crate) merges: MergeBy,
    pub(crate) whole: WholeWord,
    pub(crate) unknown: Unknown,
    /// Made when there is text enough to be worth it, and only for vocabularies that begin with bytes and have a list of merges.
    pub(crate) atoms: Arc<OnceLock<CharacterAtoms>>,
}

/// What a word is before anything merges.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Start {
    /// Bytes.
    Bytes,
    /// Characters, as long as their first byte says.
    Characters,
    /// Characters, and the pieces of [`Vocabulary::prefixes`], which never merge.
    CharactersAndPieces,
}

/// Where ranks come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MergeBy {
    /// [`Vocabulary::merges`].
    List,
    /// The id of the token that two neighbours make up, as tiktoken has it.
    Rank,
    /// The score of the token that two neighbours make up, as llama.cpp compares scores.
    Score,
    /// The same as sentencepiece compares them.
    ScoreBits,
    /// As [`MergeBy::ScoreBits`]; what has become a piece that is marked unused is taken apart again.
    ScoreBitsAndSplit,
}

/// Which words are looked up as a whole first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WholeWord {
    Never,
    Always,
    /// Words of newlines alone.
    Newlines,
}

/// What becomes of what has no token.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unknown {
    /// There is none: every symbol is a token.
    None,
    /// Before anything merges, a character's bytes, each of which has a token.
    CharacterBytes,
    /// Before anything merges, this token for each character.
    Character(u32),
    /// Before anything merges, this token for a run of characters.
    Characters(u32),
    /// A symbol's bytes, each as its token; those without are dropped.
    Bytes,
    /// A symbol's bytes; one without a token is an error.
    BytesOrError,
    /// This token for each symbol.
    Symbol(u32),
    /// An error.
    Error,
    /// As sentencepiece has it.
    Piece(UnknownPiece),
}

impl Bpe {
    /// The token that `word` is as a whole, if it is to be looked up.
    #[inline]
    pub(super) fn whole(&self, vocabulary: &Vocabulary, word: &[u8]) -> Option<u32> {
        let looks = match self.whole {
            WholeWord::Never => false,
            WholeWord::Always => true,
            WholeWord::Newlines => word.iter().all(|&byte| byte == b'\n'),
        };
        if looks { vocabulary.token(word) } else { None }
    }

    /// Merges `word`. `O(n log n)` in bytes.
    pub(super) fn encode(
        &self,
        vocabulary: &Vocabulary,
        word: &[u8],
        scratch: &mut Scratch,
        tokens: &mut Tokens,
    ) -> Result<(), NoToken> {
        if word.len() > LONG
            && let Some(result) = self.encode_long(vocabulary, word, scratch, tokens)
        {
            return result;
        }
        self.start(vocabulary, word, scratch);
        // What is no symbol may yet be a part of a token that is found by its text.
        let by_text = scratch.unknown && self.merges != MergeBy::List;
        if let Some(pairs) = vocabulary.compiled.pairs().filter(|_| !by_text) {
            return self.merge(vocabulary, word, scratch, tokens, |scratch, each| {
                scratch.merge_compiled(word, pairs.borrow(), each);
            });
        }
        scratch.lookups += scratch.first.len() as u32;
        match self.merges {
            MergeBy::List => match &vocabulary.merges {
                MergeTable::Listed(pairs) => self.merge_by(vocabulary, word, pairs, scratch, tokens),
                MergeTable::Lazy(lazy) => {
                    self.merge_by(vocabulary, word, &Lazily { vocabulary, lazy }, scratch, tokens)
                }
            },
            MergeBy::Rank => {
                let rank = |_: &Vocabulary, token| Rank(token);
                self.merge_by(vocabulary, word, &Joined { vocabulary, rank }, scratch, tokens)
            }
            MergeBy::Score => {
                let rank = |vocabulary: &Vocabulary, token| rank_of_score(vocabulary.score(token));
                self.merge_by(vocabulary, word, &Joined { vocabulary, rank }, scratch, tokens)
            }
            MergeBy::ScoreBits => {
                let merges = ScoreBits { vocabulary, splits: None };
                self.merge_by(vocabulary, word, &merges, scratch, tokens)
            }
            MergeBy::ScoreBitsAndSplit => {
                let splits = RefCell::default();
                let merges = ScoreBits { vocabulary, splits: Some(&splits) };
                let mut merged = Vec::new();
                scratch.merge(word, &merges, |symbol, span| merged.push((symbol, span)));
                let splits = splits.into_inner();
                for (symbol, span) in merged {
                    self.take_apart(vocabulary, word, symbol, span, &splits, 0, tokens);
                }
                Ok(())
            }
        }
    }

    /// The same in windows, with compiled merges; `None` where what a text begins as depends on what is around it.
    #[cold]
    fn encode_long(
        &self,
        vocabulary: &Vocabulary,
        word: &[u8],
        scratch: &mut Scratch,
        tokens: &mut Tokens,
    ) -> Option<Result<(), NoToken>> {
        let pairs = vocabulary.compiled.pairs()?.borrow();
        let bytes = match self.start {
            Start::Bytes => true,
            Start::Characters => !matches!(self.unknown, Unknown::Characters(_)),
            Start::CharactersAndPieces => false,
        };
        let characters = self.start == Start::Characters;
        if !bytes || characters && std::str::from_utf8(word).is_err() {
            return None;
        }
        let cuts = |at: usize| !characters || word[at] & 0xC0 != 0x80;
        let sizes = Sizes { window: LONG, ahead: LONG / 2, back: 8 };
        let mut windows = std::mem::take(&mut scratch.windows_of_bytes);
        let merged = windows.merge(word.len(), sizes, cuts, |span, window| {
            let part = &word[span];
            self.start(vocabulary, part, scratch);
            if scratch.unknown && self.merges != MergeBy::List {
                return false;
            }
            window.clear();
            scratch.merge_compiled(part, pairs, |symbol, span| window.push((symbol, span.start as u32)));
            true
        });
        let result = merged.then(|| {
            self.merge(vocabulary, word, scratch, tokens, |_, each| {
                windows.iter().for_each(|(symbol, span)| each(symbol, span));
            })
        });
        windows.shrink();
        scratch.windows_of_bytes = windows;
        result
    }

    /// Makes what long use is worth. Some tens of milliseconds for a large vocabulary.
    pub(super) fn compile(&self, vocabulary: &Vocabulary) {
        let pairs = match self.merges {
            MergeBy::List => live::compiled(vocabulary),
            MergeBy::Rank => {
                let merges = Joined { vocabulary, rank: |_: &Vocabulary, token| Rank(token) };
                live::compiled_of_ranks(vocabulary, &merges, Rank)
            }
            MergeBy::Score => {
                let rank = |vocabulary: &Vocabulary, token| rank_of_score(vocabulary.score(token));
                let merges = Joined { vocabulary, rank };
                live::compiled_of_ranks(vocabulary, &merges, |token| rank(vocabulary, token))
            }
            MergeBy::ScoreBits => {
                let merges = ScoreBits { vocabulary, splits: None };
                live::compiled_of_ranks(vocabulary, &merges, |token| merges.rank(token))
            }
            // What is taken apart again depends on the pairs that were met on the way.
            MergeBy::ScoreBitsAndSplit => None,
        };
        if let (Start::Bytes, Some(pairs)) = (self.start, pairs) {
            self.atoms.get_or_init(|| CharacterAtoms::new(vocabulary, pairs));
        }
        if self.start != Start::Bytes && self.is_local(vocabulary) {
            vocabulary.compiled.note_neighbours(vocabulary.keys());
        }
    }

    /// Whether what becomes of a text depends on nothing but its symbols and what they merge into: not on what is unknown before it,
    /// nor on merges of what stands for something else.
    fn is_local(&self, vocabulary: &Vocabulary) -> bool {
        match self.unknown {
            Unknown::Bytes | Unknown::BytesOrError => true,
            Unknown::CharacterBytes => vocabulary.compiled.pairs().is_some_and(|pairs| {
                let mut stands: Vec<u32> = vocabulary.bytes.to_vec();
                stands.sort_unstable();
                !pairs.iter().any(|(left, right, _)| {
                    stands.binary_search(&left).is_ok() || stands.binary_search(&right).is_ok()
                })
            }),
            _ => false,
        }
    }

    /// Cuts the word into its first symbols.
    fn start(&self, vocabulary: &Vocabulary, word: &[u8], scratch: &mut Scratch) {
        scratch.clear();
        if self.start == Start::Bytes {
            let symbols: &[u32] = &vocabulary.byte_symbols;
            if !word.is_ascii() {
                let Scratch { first, cuts, covered, .. } = scratch;
                if let Some(atoms) = self.atoms.get() {
                    return atoms.start(word, symbols, Beginning { symbols: first, cuts, covered });
                }
                scratch.lookups += word.len() as u32;
            }
            for (at, &byte) in word.iter().enumerate() {
                scratch.push(symbols.get(usize::from(byte)).copied().unwrap_or(NONE), at);
            }
            return;
        }
        let pieces = self.start == Start::CharactersAndPieces;
        let mut at = 0;
        let mut in_run = false;
        while at < word.len() {
            if pieces && let Some((len, id)) = vocabulary.prefixes.longest(&word[at..]) {
                scratch.push(id | FROZEN, at);
                at += len;
                continue;
            }
            let len = unicode::utf8_len(word[at]);
            let character = &word[at..word.len().min(at + len)];
            let symbol = scratch.character(vocabulary, character);
            let known = symbol < vocabulary.len;
            match self.unknown {
                Unknown::CharacterBytes if !known => {
                    for (at, &byte) in (at..).zip(character) {
                        scratch.push(vocabulary.bytes.get(usize::from(byte)).copied().unwrap_or(NONE), at);
                    }
                }
                Unknown::Characters(_) if !known && in_run => {}
                Unknown::Character(unk) | Unknown::Characters(unk) if !known => scratch.push(unk, at),
                _ => {
                    scratch.unknown |= symbol == NONE;
                    scratch.push(symbol, at);
                }
            }
            in_run = !known;
            at += character.len();
        }
    }

    fn merge_by(
        &self,
        vocabulary: &Vocabulary,
        word: &[u8],
        merges: &impl Merges,
        scratch: &mut Scratch,
        tokens: &mut Tokens,
    ) -> Result<(), NoToken> {
        self.merge(vocabulary, word, scratch, tokens, |scratch, each| scratch.merge(word, merges, each))
    }

    /// The tokens of what `merge` leaves of the word.
    #[inline]
    fn merge(
        &self,
        vocabulary: &Vocabulary,
        word: &[u8],
        scratch: &mut Scratch,
        tokens: &mut Tokens,
        merge: impl FnOnce(&mut Scratch, &mut dyn FnMut(u32, Range<usize>)),
    ) -> Result<(), NoToken> {
        // A symbol that is no plain token.
        let unk = if let Unknown::Piece(UnknownPiece { unk, .. }) = self.unknown { unk } else { NONE };
        let mut result = Ok(());
        merge(scratch, &mut |symbol, span| {
            if symbol < vocabulary.len && symbol != unk {
                tokens.push(symbol, span);
            } else if let Err(error) = self.unknown(vocabulary, word, symbol, span, tokens)
                && result.is_ok()
            {
                result = Err(error);
            }
        });
        result
    }

    /// A symbol that is no token.
    #[cold]
    fn unknown(
        &self,
        vocabulary: &Vocabulary,
        word: &[u8],
        symbol: u32,
        span: Range<usize>,
        tokens: &mut Tokens,
    ) -> Result<(), NoToken> {
        match self.unknown {
            Unknown::Piece(unknown) => {
                let id = if symbol == NONE { NONE } else { symbol & !FROZEN };
                unknown.push(vocabulary, id, word, span, tokens);
            }
            Unknown::Symbol(token) => tokens.push(token, span),
            Unknown::Error => {
                return Err(NoToken {
                    byte: word.get(span.start).copied().unwrap_or_default(),
                    at: span.start,
                });
            }
            Unknown::Bytes | Unknown::BytesOrError => {
                // llama.cpp looks up each byte of a symbol of a byte-level vocabulary in the GPT-2 alphabet as a token of one byte.
                // Only the ASCII characters of that alphabet are one byte; what is not found is dropped without a word.
                for at in span {
                    let token = vocabulary.bytes.get(usize::from(word[at])).copied().unwrap_or(NONE);
                    if token != NONE {
                        tokens.push(token, at..at + 1);
                    } else if let Unknown::BytesOrError = self.unknown {
                        return Err(NoToken { byte: word[at], at });
                    }
                }
            }
            Unknown::None | Unknown::CharacterBytes | Unknown::Character(_) | Unknown::Characters(_) => {
                tokens.push(symbol, span);
            }
        }
        Ok(())
    }

    /// What has merged into a piece that is marked unused, as it was joined when last seen.
    fn take_apart(
        &self,
        vocabulary: &Vocabulary,
        word: &[u8],
        symbol: u32,
        span: Range<usize>,
        splits: &HashMap<u32, usize>,
        depth: usize,
        tokens: &mut Tokens,
    ) {
        let id = if symbol == NONE { NONE } else { symbol & !FROZEN };
        let Unknown::Piece(unknown) = self.unknown else { return tokens.push(id, span) };
        if depth > DEEPEST || id == NONE || vocabulary.attributes(id) & attribute::UNUSED == 0 {
            return unknown.push(vocabulary, id, word, span, tokens);
        }
        let Some(&left) = splits.get(&id).filter(|&&left| left < span.len()) else {
            return unknown.push(vocabulary, NONE, word, span, tokens);
        };
        let middle = span.start + left;
        for part in [span.start..middle, middle..span.end] {
            let id = vocabulary.token(&word[part.clone()]).unwrap_or(NONE);
            self.take_apart(vocabulary, word, id, part, splits, depth + 1, tokens);
        }
    }
}

/// Longer words are merged in windows of so many bytes; in unit tests of few, so that their texts have many.
const LONG: usize = if cfg!(test) { 64 } else { 1 << 14 };

/// Marks the symbol of a piece that never merges.
const FROZEN: u32 = 1 << 31;

/// As deep as sentencepiece takes unused pieces apart (`kMaxBpeResegmentDepth`).
const DEEPEST: usize = 100;

/// Merges by text: two symbols merge when their joined text is a token, and that token gives the rank.
#[derive(Clone, Copy)]
struct Joined<'v, R> {
    vocabulary: &'v Vocabulary,
    /// Rank by token id.
    rank: R,
}

impl<R: Fn(&Vocabulary, u32) -> Rank> Merges for Joined<'_, R> {
    #[inline]
    fn find(&self, _: u32, _: u32, text: &[u8]) -> Option<(Rank, u32)> {
        let token = self.vocabulary.token(text)?;
        Some(((self.rank)(self.vocabulary, token), token))
    }
}

/// Merges by the score of the joined piece, as sentencepiece has it.
struct ScoreBits<'v> {
    vocabulary: &'v Vocabulary,
    /// For each unused piece that two neighbours make up, how long the left one is, the last pair seen.
    splits: Option<&'v RefCell<HashMap<u32, usize>>>,
}

impl ScoreBits<'_> {
    /// By the bits of the scores, the highest first: `0.0` before `-0.0`.
    fn rank(&self, id: u32) -> Rank {
        let bits = self.vocabulary.score(id).to_bits();
        Rank(if bits >> 31 == 0 { 0x7FFF_FFFF - bits } else { bits })
    }
}

impl Merges for ScoreBits<'_> {
    #[inline]
    fn find(&self, left: u32, right: u32, text: &[u8]) -> Option<(Rank, u32)> {
        let frozen = |symbol: u32| symbol & FROZEN != 0 && symbol != NONE;
        if frozen(left) || frozen(right) {
            return None;
        }
        let id = self.vocabulary.token(text)?;
        Some((self.rank(id), id))
    }

    fn seen(&self, merged: u32, left: usize) {
        if let Some(splits) = self.splits
            && self.vocabulary.attributes(merged) & attribute::UNUSED != 0
        {
            splits.borrow_mut().insert(merged, left);
        }
    }
}

/// A rank that orders tokens as `score` does, the highest first: the bits of a float, made to sort as the float does.
pub(super) fn rank_of_score(score: f32) -> Rank {
    let bits = score.to_bits();
    let ascending = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
    // −0.0 and 0.0 are equal scores.
    let ascending = if score == 0.0 { 1 << 31 } else { ascending };
    Rank(!ascending)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vocabularies that begin with bytes, their tokens and random characters side by side: with whole characters as without.
    #[test]
    fn characters_that_begin_whole_end_as_their_bytes_do() {
        let Some(shared) = crate::unicode::tests::shared("vocab/gguf") else { return };
        let mut compared = 0;
        for name in [
            "gpt-2",
            "llama-bpe",
            "qwen2",
            "mistral-tekken",
            "deepseek-coder",
            "falcon",
            "starcoder",
            "gpt-neox",
            "mpt",
        ] {
            let bytes = crate::Bytes::from(std::fs::read(shared.join(format!("{name}.gguf"))).unwrap());
            let gguf = crate::gguf::Gguf::parse(bytes).unwrap();
            let tokenizer =
                crate::formats::gguf::load(&gguf, crate::formats::gguf::OnUnknownPre::Guess).unwrap();
            let vocabulary = tokenizer.vocabulary();
            let bpe = |atoms| Bpe {
                start: Start::Bytes,
                merges: MergeBy::List,
                whole: WholeWord::Never,
                unknown: Unknown::Bytes,
                atoms,
            };
            let atoms = Arc::new(OnceLock::new());
            atoms.set(CharacterAtoms::new(vocabulary, live::compiled(vocabulary).unwrap())).unwrap();
            let (with, without) = (bpe(atoms), bpe(Arc::default()));
            let (mut scratch, mut plain) = (Scratch::default(), Scratch::default());
            let mut random = 1_u64;
            let mut next = |below: u32| {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                ((random >> 33) % u64::from(below)) as u32
            };
            for _ in 0..20_000 {
                let mut word = Vec::new();
                for _ in 0..=next(6) {
                    match next(4) {
                        0 => word.extend_from_slice(vocabulary.keys().at(next(vocabulary.len))),
                        1 => word.extend(
                            char::from_u32(0x4E00 + next(0x1000))
                                .map(|c| c.to_string())
                                .unwrap_or_default()
                                .bytes(),
                        ),
                        2 => word.extend(
                            char::from_u32(0x400 + next(0x1000))
                                .map(|c| c.to_string())
                                .unwrap_or_default()
                                .bytes(),
                        ),
                        _ => word.extend(
                            char::from_u32(1 + next(0xFFFF))
                                .map(|c| c.to_string())
                                .unwrap_or_default()
                                .bytes(),
                        ),
                    }
                }
                let word = crate::unicode::repair(&word).into_owned();
                let (mut a, mut b) = (Tokens::default(), Tokens::default());
                with.encode(vocabulary, &word, &mut scratch, &mut a).unwrap();
                without.encode(vocabulary, &word, &mut plain, &mut b).unwrap();
                assert_eq!(a.ids, b.ids, "{name}: {:?}", String::from_utf8_lossy(&word));
                compared += 1;
            }
        }
        println!("{compared} words of whole characters compared");
    }
}
