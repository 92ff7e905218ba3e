//! The flat vocabulary: token bytes in one arena, plain tables beside it, and nothing that is a pointer.
//!
//! A vocabulary is built once, from any format, by a [`Builder`]; an image of it can be mapped and used where it lies.
//!
//! **Symbols.** The numbers `0..len` are token ids. The byte-pair engine also meets texts that are no token but occur in a
//! merge; they get the numbers from `len` up, so that every merge is a pair of numbers.
//!
//! **Keys and texts.** An engine looks tokens up by their *key*. For a byte-level vocabulary the key is the token's bytes,
//! that is its text decoded from the GPT-2 alphabet; elsewhere key and text are the same. A token of a byte-level
//! vocabulary whose text is no word of that alphabet (`<｜end▁of▁sentence｜>`) is marked [`attribute::RAW`] and keeps its
//! text as its key: the engine can never produce it, the special-token partition can.

mod bytes;
mod charsmap;
mod index;
mod lazy;
mod pair_table;
mod pairs;
mod table;
mod texts;
mod trie;

pub(crate) use bytes::{SPACE, append_unescaped, find_byte, load};
pub(crate) use charsmap::Charsmap;
pub use charsmap::CharsmapError;
#[cfg(test)]
pub(crate) use charsmap::tests::map as charsmap_for_tests;
pub(crate) use index::{Domain, Index};
pub(crate) use lazy::{EqualLines, Halves, Join, Joining, LazyMerges, Line, ListLine, MergesList};
pub(crate) use pair_table::{NO_MERGE, PairFinder, PairTable, PairTableBuilder};
use pairs::Place;
pub(crate) use pairs::{Pairs, Rank};
pub(crate) use table::Table;
pub(crate) use trie::Trie;

use std::borrow::Cow;
use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use bytemuck::{Pod, Zeroable};

use crate::unicode;

/// The most symbols a vocabulary may have: the index packs a symbol into 24 bits.
pub(crate) const MAX_SYMBOLS: u32 = (1 << 24) - 1;

/// "No token": ids and symbols stay below [`MAX_SYMBOLS`].
pub(crate) const NONE: u32 = u32::MAX;

/// Bits of a token's attributes, with llama.cpp's values where it has them (`llama_token_attr`).
pub(crate) mod attribute {
    pub(crate) const UNKNOWN: u16 = 1;
    pub(crate) const UNUSED: u16 = 2;
    pub(crate) const NORMAL: u16 = 4;
    pub(crate) const CONTROL: u16 = 8;
    pub(crate) const USER_DEFINED: u16 = 16;
    pub(crate) const BYTE: u16 = 32;
    /// An added token that is looked for in normalized text.
    pub(crate) const NORMALIZED: u16 = 64;
    pub(crate) const LSTRIP: u16 = 128;
    pub(crate) const RSTRIP: u16 = 256;
    /// An added token that counts only where no word character stands beside it.
    pub(crate) const SINGLE_WORD: u16 = 512;
    /// The id names no token. Its key is empty and it is in no table.
    pub(crate) const HOLE: u16 = 1 << 10;
    /// The key is the token's literal text, which no engine looks up: it is outside the alphabet the engine works in, or the
    /// token is none of the model's own.
    pub(crate) const RAW: u16 = 1 << 11;
}

/// What the keys are made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) enum Alphabet {
    /// Keys are the texts of the source.
    #[default]
    Text,
    /// Texts of the source are written in the GPT-2 byte alphabet; keys are the bytes they stand for.
    ByteLevel,
}

/// A vocabulary that its builder has checked: offsets ascend and stay inside the arena, ids stay below `len`, keys are unique,
/// scores are numbers.
#[derive(Debug, Default)]
pub(crate) struct Vocabulary {
    pub(crate) alphabet: Alphabet,
    /// Number of token ids, holes included.
    pub(crate) len: u32,
    /// Keys of all symbols one after the other, then pieces that differ from their key.
    pub(crate) arena: Table<u8>,
    /// `symbols + 1` offsets into the arena: the key of symbol `s` is `arena[keys[s]..keys[s + 1]]`.
    pub(crate) keys: Table<u32>,
    /// Attribute bits, one entry a token.
    pub(crate) attributes: Table<u16>,
    /// What a token renders to, one entry a token.
    pub(crate) pieces: Table<Span>,
    /// Natural log or any other number where higher is likelier; one entry a token, or none at all.
    pub(crate) scores: Table<f32>,
    /// As `scores`, where the source has 64 bits and they matter.
    pub(crate) wide_scores: Table<f64>,
    /// Key → symbol.
    pub(crate) index: Index,
    /// The merges of byte-pair encoding, as they were read.
    pub(crate) merges: MergeTable,
    /// What takes the place of them, or of scores, in long use.
    pub(crate) compiled: CompiledMerges,
    /// Byte → id of the token for just that byte, [`NONE`] where there is none; what the byte stands for is the engine's
    /// affair (`<0xE2>` of a SentencePiece vocabulary, the one-byte token of a byte-level one). 256 entries.
    pub(crate) bytes: Table<u32>,
    /// Byte → the symbol that an engine working on bytes starts from. 256 entries for a byte-level vocabulary, else empty.
    pub(crate) byte_symbols: Table<u32>,
    /// One bit for each byte that stands right before a `▁` inside some symbol, the last byte of `▁` itself left out: where
    /// the bit is clear no merge reaches across.
    pub(crate) bridges: [u64; 4],
    /// The pieces an engine matches against a text; empty where none does. What its keys are is the engine's affair.
    pub(crate) trie: Trie,
    /// Unigram: texts that the normalizer does not touch, not even their beginnings; their ids mean nothing.
    pub(crate) prefixes: Trie,
    /// Unigram: the normalizer's replacements.
    pub(crate) charsmap: Charsmap,
}

/// What two symbols merge into.
#[derive(Debug)]
pub(crate) enum MergeTable {
    /// Every pair that merges.
    Listed(Pairs),
    /// The list they come from.
    Lazy(Box<LazyMerges>),
}

impl Default for MergeTable {
    fn default() -> Self {
        Self::Listed(Pairs::default())
    }
}

impl MergeTable {
    /// Whether no pair merges.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Listed(pairs) if pairs.iter().next().is_none())
    }
}

/// The merges that a text can need, compiled, once somebody has done it.
#[derive(Debug, Default)]
pub(crate) struct CompiledMerges {
    begun: AtomicBool,
    /// `None` where they are too many.
    pairs: OnceLock<Option<PairTable>>,
    neighbours: OnceLock<Box<Neighbours>>,
}

/// One bit for each two bytes, the left one lower.
pub(crate) type Neighbours = [u64; 1 << 10];

impl CompiledMerges {
    #[inline]
    pub(crate) fn pairs(&self) -> Option<&PairTable> {
        self.pairs.get()?.as_ref()
    }

    /// What was compiled before.
    pub(crate) fn of(pairs: PairTable, neighbours: Option<&Neighbours>) -> Self {
        Self {
            begun: AtomicBool::new(false),
            pairs: OnceLock::from(Some(pairs)),
            neighbours: neighbours.map_or_else(OnceLock::new, |noted| OnceLock::from(Box::new(*noted))),
        }
    }

    /// The two bytes that stand side by side in some symbol, or in a character, if anybody has noted them: between others nothing
    /// merges.
    #[inline]
    pub(crate) fn neighbours(&self) -> Option<&Neighbours> {
        self.neighbours.get().map(|neighbours| &**neighbours)
    }

    /// Notes the neighbours in `keys`.
    pub(crate) fn note_neighbours(&self, keys: Keys<'_>) {
        self.neighbours.get_or_init(|| {
            let mut neighbours: Box<Neighbours> = bytemuck::zeroed_box();
            let mut note = |left: u8, right: u8| {
                let pair = usize::from(u16::from_le_bytes([left, right]));
                neighbours[pair / 64] |= 1 << (pair % 64);
            };
            (0..=u8::MAX).for_each(|left| (0x80..=0xBF).for_each(|right| note(left, right)));
            for symbol in 0..keys.offsets.len().saturating_sub(1) as u32 {
                keys.at(symbol).windows(2).for_each(|pair| note(pair[0], pair[1]));
            }
            neighbours
        });
    }

    /// Whether nobody has begun to make what long use is worth. Only the first one who asks hears so.
    pub(crate) fn begin(&self) -> bool {
        !self.begun.swap(true, Ordering::Relaxed)
    }

    /// The pairs that `compile` gives, if nobody has compiled any. Whoever comes meanwhile waits.
    pub(crate) fn get_or_compile(&self, compile: impl FnOnce() -> Option<PairTable>) -> Option<&PairTable> {
        self.pairs.get_or_init(compile).as_ref()
    }
}

/// `[start, start + len)` in the arena.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) len: u32,
}

/// The keys of a vocabulary, borrowed.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'v> {
    arena: &'v [u8],
    offsets: &'v [u32],
    attributes: &'v [u16],
}

impl<'v> Keys<'v> {
    /// The key of `symbol`; empty for a number that is none.
    #[inline]
    pub(crate) fn at(self, symbol: u32) -> &'v [u8] {
        let symbol = symbol as usize;
        let range = self.offsets.get(symbol).zip(self.offsets.get(symbol + 1));
        range.and_then(|(&start, &end)| self.arena.get(start as usize..end as usize)).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn matches(self, symbol: u32, key: &[u8], domain: Domain) -> bool {
        self.at(symbol) == key && self.domain(symbol) == domain
    }

    fn is_hole(self, symbol: u32) -> bool {
        self.attributes.get(symbol as usize).is_some_and(|a| a & attribute::HOLE != 0)
    }

    #[inline]
    pub(crate) fn domain(self, symbol: u32) -> Domain {
        let raw = self.attributes.get(symbol as usize).is_some_and(|a| a & attribute::RAW != 0);
        if raw { Domain::Raw } else { Domain::Key }
    }
}

/// Why tokens do not make a vocabulary.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VocabularyError {
    /// More tokens, more bytes of tokens or more merges than a vocabulary can hold (2²⁴ − 1 tokens, 4 GiB, 2²⁴ merges).
    #[error("expected at most {MAX_SYMBOLS} tokens in at most 4 GiB and 16,777,216 merges, found more")]
    TooLarge,
    /// Two ids have the same text, so no encoder could tell them apart. llama.cpp aborts on such a file.
    #[error("expected every token once, found {text:?} at id {first} and again at id {second}")]
    DuplicateToken {
        /// The lower id.
        first: u32,
        /// The higher id.
        second: u32,
        /// The text both have, lossily decoded.
        text: String,
    },
    /// A score is not a number.
    #[error("expected a number as the score of token {id}, found NaN")]
    NotANumber {
        /// The token's id.
        id: u32,
    },
    /// There is no token at all.
    #[error("expected at least one token, found none")]
    Empty,
}

impl Vocabulary {
    pub(crate) fn keys(&self) -> Keys<'_> {
        Keys { arena: &self.arena, offsets: &self.keys, attributes: &self.attributes }
    }

    /// The symbol (token, or text known from a merge) with this key.
    #[inline]
    pub(crate) fn symbol(&self, key: &[u8]) -> Option<u32> {
        self.index.find(self.keys(), key, Domain::Key)
    }

    /// The token with this key.
    #[inline]
    pub(crate) fn token(&self, key: &[u8]) -> Option<u32> {
        self.symbol(key).filter(|&symbol| symbol < self.len)
    }

    /// The token whose text in the source is `text`.
    pub(crate) fn token_by_text(&self, text: &[u8]) -> Option<u32> {
        let found = match self.alphabet {
            Alphabet::Text => find_text(&self.index, self.keys(), text),
            Alphabet::ByteLevel => find_byte_level(&self.index, self.keys(), text),
        };
        found.filter(|&symbol| symbol < self.len)
    }

    /// The text of token `id` as the source has it; `None` for a hole or an id out of range.
    pub(crate) fn text(&self, id: u32) -> Option<Cow<'_, [u8]>> {
        let attributes = *self.attributes.get(id as usize)?;
        text(self.alphabet, attributes, self.keys().at(id))
    }

    /// Attribute bits of `id`, 0 when out of range.
    #[inline]
    pub(crate) fn attributes(&self, id: u32) -> u16 {
        self.attributes.get(id as usize).copied().unwrap_or_default()
    }

    /// What `id` renders to when special tokens are rendered; `None` for a hole or an id out of range.
    #[inline]
    pub(crate) fn piece(&self, id: u32) -> Option<&[u8]> {
        let span = *self.pieces.get(id as usize)?;
        if self.attributes(id) & attribute::HOLE != 0 {
            return None;
        }
        self.arena.get(span.start as usize..)?.get(..span.len as usize)
    }

    /// What is wrong with tables that were not built here, if anything: their lengths, and with `entries` each entry.
    ///
    /// No lookup depends on it: all of them check their bounds.
    pub(crate) fn fault(&self, entries: bool) -> Option<&'static str> {
        let (len, symbols) = (self.len as usize, self.keys.len().saturating_sub(1));
        let whole = (1..=MAX_SYMBOLS as usize).contains(&len)
            && (len..=MAX_SYMBOLS as usize).contains(&symbols)
            && self.attributes.len() == len
            && self.pieces.len() == len
            && (self.scores.is_empty() || self.scores.len() == len)
            && (self.wide_scores.is_empty() || self.wide_scores.len() == len)
            && self.bytes.len() == 256
            && matches!(self.byte_symbols.len(), 0 | 256);
        if !whole {
            return Some("tables of the vocabulary's length");
        }
        let pairs = || self.compiled.pairs().and_then(|pairs| pairs.fault(symbols, entries));
        let tables = self.index.fault(symbols, entries).or_else(pairs);
        if tables.is_some() || !entries {
            return tables;
        }
        let inside = |end: u64| end <= self.arena.len() as u64;
        if self.keys[0] != 0 || !self.keys.is_sorted() || !inside(self.keys[symbols].into()) {
            return Some("keys that ascend inside their arena");
        }
        if !self.pieces.iter().all(|piece| inside(u64::from(piece.start) + u64::from(piece.len))) {
            return Some("pieces inside their arena");
        }
        if self.scores.iter().any(|score| score.is_nan())
            || self.wide_scores.iter().any(|score| score.is_nan())
        {
            return Some("scores that are numbers");
        }
        let known = |table: &[u32], below: usize| table.iter().all(|&id| id == NONE || (id as usize) < below);
        if !known(&self.bytes, len) || !known(&self.byte_symbols, symbols) {
            return Some("bytes that stand for known tokens");
        }
        None
    }

    /// Cuts a well-formed text where no merge can reach across: before a `▁` that follows another character, provided that no
    /// symbol of this vocabulary holds that character's last byte and `▁` in a row. Then the parts merge independently of
    /// each other, short enough for the memo and for the quick merge loop.
    pub(crate) fn words(&self, text: &[u8], mut each: impl FnMut(std::ops::Range<usize>)) {
        let mut start = 0;
        for at in memchr::memmem::find_iter(text, SPACE) {
            let Some(&before) = at.checked_sub(1).and_then(|i| text.get(i)) else { continue };
            let bridged = self.bridges[usize::from(before >> 6)] >> (before & 63) & 1 != 0;
            if !bridged && !text[..at].ends_with(SPACE) {
                each(start..at);
                start = at;
            }
        }
        if start < text.len() {
            each(start..text.len());
        }
    }

    /// Appends what `ids` render to up to the first that has one of the attributes `stops`, without those that have one of the `hidden`
    /// ones, and gives how many ids that were; an id that names no token comes back as the error, with what was before it appended.
    pub(crate) fn append_pieces(
        &self,
        ids: &[u32],
        hidden: u16,
        stops: u16,
        out: &mut Vec<u8>,
    ) -> Result<usize, u32> {
        const SHORT: usize = 16;
        let (pieces, attributes, arena): (&[Span], &[u16], &[u8]) =
            (&self.pieces, &self.attributes, &self.arena);
        for (at, &id) in ids.iter().enumerate() {
            let Some((&Span { start, len }, &bits)) =
                pieces.get(id as usize).zip(attributes.get(id as usize))
            else {
                return Err(id);
            };
            if bits & (attribute::HOLE | hidden | stops) != 0 {
                if bits & attribute::HOLE != 0 {
                    return Err(id);
                }
                if bits & stops != 0 {
                    return Ok(at);
                }
                continue;
            }
            let (rest, len) = (arena.get(start as usize..).ok_or(id)?, len as usize);
            match rest.first_chunk::<SHORT>() {
                // All of it, which is one store, and then not what is behind the piece: quicker than a copy of any length.
                Some(chunk) if len <= SHORT => {
                    let end = out.len() + len;
                    out.extend_from_slice(chunk);
                    out.truncate(end);
                }
                _ => out.extend_from_slice(rest.get(..len).ok_or(id)?),
            }
        }
        Ok(ids.len())
    }

    /// The score of `id`, 0 where there is none.
    #[inline]
    pub(crate) fn score(&self, id: u32) -> f32 {
        self.scores.get(id as usize).copied().unwrap_or_default()
    }
}

/// Which part of a merge is no token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NotAToken {
    Left,
    Right,
    Whole,
}

/// Collects tokens, then merges, then pieces, and ends as a [`Vocabulary`].
#[derive(Debug)]
pub(crate) struct Builder {
    alphabet: Alphabet,
    arena: Vec<u8>,
    keys: Vec<u32>,
    attributes: Vec<u16>,
    scores: Vec<f32>,
    index: Index,
    pairs: Pairs,
    lazy: Option<Box<LazyMerges>>,
    /// Pieces that are not keys, one after the other.
    rendered: Vec<u8>,
    /// Where they are in there, by the ids of their tokens.
    pieces: Vec<(u32, Span)>,
}

impl Builder {
    /// `tokens` and `bytes` are what the source has; the caller has bounded them by the source's own size.
    pub(crate) fn new(alphabet: Alphabet, tokens: usize, bytes: usize) -> Result<Self, VocabularyError> {
        if tokens >= MAX_SYMBOLS as usize || u32::try_from(bytes).is_err() {
            return Err(VocabularyError::TooLarge);
        }
        let mut keys = Vec::with_capacity(tokens + 1);
        keys.push(0);
        let seed = std::hash::RandomState::new().hash_one(tokens);
        Ok(Self {
            alphabet,
            arena: Vec::with_capacity(bytes),
            keys,
            attributes: Vec::with_capacity(tokens),
            scores: Vec::new(),
            // Texts that occur only in merges are rare; a quarter more keeps the load below two thirds.
            index: Index::with_capacity(tokens + tokens / 4, seed),
            pairs: Pairs::default(),
            lazy: None,
            rendered: Vec::new(),
            pieces: Vec::new(),
        })
    }

    /// Adds the next id, with its text as the source has it.
    pub(crate) fn push(&mut self, text: &[u8], attributes: u16) -> Result<u32, VocabularyError> {
        let id = self.next()?;
        self.append(text, attributes)?;
        self.index(id..id + 1)?;
        Ok(id)
    }

    /// Appends a token by its text, not yet to be found by it.
    fn append(&mut self, text: &[u8], attributes: u16) -> Result<(), VocabularyError> {
        let start = self.arena.len();
        let mut attributes = attributes & !attribute::RAW;
        if self.alphabet == Alphabet::Text {
            self.arena.extend_from_slice(text);
        } else if !decode_alphabet(text, &mut self.arena) {
            self.arena.truncate(start);
            self.arena.extend_from_slice(text);
            attributes |= attribute::RAW;
        }
        self.append_entry(attributes)
    }

    /// Appends a token whose key was appended to the arena.
    fn append_entry(&mut self, attributes: u16) -> Result<(), VocabularyError> {
        self.keys.push(u32::try_from(self.arena.len()).map_err(|_| VocabularyError::TooLarge)?);
        self.attributes.push(attributes);
        Ok(())
    }

    /// Lets tokens be found by their keys.
    fn index(&mut self, ids: Range<u32>) -> Result<(), VocabularyError> {
        let keys = Keys { arena: &self.arena, offsets: &self.keys, attributes: &self.attributes };
        self.index.insert_all(keys, ids).map_err(|(first, second)| {
            let text = String::from_utf8_lossy(self.keys().at(second)).into_owned();
            VocabularyError::DuplicateToken { first, second, text }
        })
    }

    /// As [`Builder::push`] for many, with a text and attributes each; [`attribute::HOLE`] makes a hole.
    pub(crate) fn extend<'t>(
        &mut self,
        tokens: impl Iterator<Item = (Cow<'t, [u8]>, u16)>,
    ) -> Result<(), VocabularyError> {
        self.extend_by(tokens, |builder, (text, attributes)| builder.append(&text, attributes))
    }

    /// Adds ids by their keys: the bytes they stand for, whatever alphabet their source writes. [`attribute::RAW`] makes one as
    /// [`Builder::push_raw`] does, [`attribute::HOLE`] a hole.
    pub(crate) fn extend_keys<'t>(
        &mut self,
        tokens: impl Iterator<Item = (&'t [u8], u16)>,
    ) -> Result<(), VocabularyError> {
        self.extend_by(tokens, |builder, (key, attributes)| {
            builder.arena.extend_from_slice(key);
            builder.append_entry(attributes)
        })
    }

    fn extend_by<T>(
        &mut self,
        mut tokens: impl Iterator<Item = T>,
        append: impl Fn(&mut Self, T) -> Result<(), VocabularyError>,
    ) -> Result<(), VocabularyError> {
        loop {
            let first = self.len();
            for token in tokens.by_ref().take(Index::BLOCK) {
                self.next()?;
                append(self, token)?;
            }
            if self.len() == first {
                return Ok(());
            }
            self.index(first..self.len())?;
        }
    }

    /// Adds the next id by its key: the bytes it stands for, whatever alphabet its source writes.
    pub(crate) fn push_key(&mut self, key: &[u8], attributes: u16) -> Result<u32, VocabularyError> {
        let id = self.next()?;
        self.arena.extend_from_slice(key);
        self.append_entry(attributes & !attribute::RAW)?;
        self.index(id..id + 1)?;
        Ok(id)
    }

    /// Adds the next id by its literal text, as a token that the engine can never produce, and that may have the text of one it
    /// does produce.
    pub(crate) fn push_raw(&mut self, text: &[u8], attributes: u16) -> Result<u32, VocabularyError> {
        let id = self.next()?;
        self.arena.extend_from_slice(text);
        self.append_entry(attributes | attribute::RAW)?;
        self.index(id..id + 1)?;
        Ok(id)
    }

    /// Adds the next id as one that names no token.
    pub(crate) fn push_hole(&mut self) -> Result<u32, VocabularyError> {
        let id = self.next()?;
        self.attributes.push(attribute::HOLE);
        self.keys.push(self.arena.len() as u32);
        Ok(id)
    }

    /// Number of ids so far.
    pub(crate) fn len(&self) -> u32 {
        self.attributes.len() as u32
    }

    /// The token with this key, among those added so far.
    pub(crate) fn token(&self, key: &[u8]) -> Option<u32> {
        self.index.find(self.keys(), key, Domain::Key).filter(|&symbol| symbol < self.len())
    }

    /// The token with this text, as the source writes it, among those added so far.
    pub(crate) fn token_by_text(&self, text: &[u8]) -> Option<u32> {
        let found = match self.alphabet {
            Alphabet::Text => find_text(&self.index, self.keys(), text),
            Alphabet::ByteLevel => find_byte_level(&self.index, self.keys(), text),
        };
        found.filter(|&symbol| symbol < self.len())
    }

    /// The key of a symbol.
    pub(crate) fn key(&self, symbol: u32) -> &[u8] {
        self.keys().at(symbol)
    }

    /// The text of `id` as the source has it; `None` for a hole.
    pub(crate) fn text(&self, id: u32) -> Option<Cow<'_, [u8]>> {
        text(self.alphabet, self.attributes_of(id), self.key(id))
    }

    pub(crate) fn alphabet(&self) -> Alphabet {
        self.alphabet
    }

    /// The attribute bits of `id`, 0 when there is no such token.
    pub(crate) fn attributes_of(&self, id: u32) -> u16 {
        self.attributes.get(id as usize).copied().unwrap_or_default()
    }

    /// The attribute bits of all tokens, to be read and changed.
    pub(crate) fn attributes(&mut self) -> &mut [u16] {
        &mut self.attributes
    }

    /// One score a token, in the order of ids.
    pub(crate) fn scores(&mut self, scores: Vec<f32>) -> Result<(), VocabularyError> {
        debug_assert_eq!(scores.len(), self.attributes.len());
        if let Some(id) = scores.iter().position(|score| score.is_nan()) {
            return Err(VocabularyError::NotANumber { id: id as u32 });
        }
        self.scores = scores;
        Ok(())
    }

    /// Makes room for `merges` merges. All tokens must have been added.
    ///
    /// Their ranks are below `merges`.
    pub(crate) fn reserve_pairs(&mut self, merges: usize) -> Result<(), VocabularyError> {
        bounded(merges)?;
        self.pairs = Pairs::new(Place::with_capacity(merges));
        Ok(())
    }

    /// Adds the merge of `key[..split]` and `key[split..]`. Of equal pairs the first counts.
    pub(crate) fn merge(&mut self, key: &[u8], split: usize, rank: Rank) -> Result<(), VocabularyError> {
        let left = self.symbol_or_new(&key[..split])?;
        let right = self.symbol_or_new(&key[split..])?;
        let merged = self.symbol_or_new(key)?;
        self.pairs.insert(left, right, rank, merged);
        Ok(())
    }

    /// Takes the merges of a list as they stand. `read` appends the key that a line makes and gives where the right half of it
    /// begins, `None` for a line that can never apply. All tokens must have been added, and nothing may come after.
    pub(crate) fn lazy_merges(
        &mut self,
        join: Join,
        read: impl FnMut(&Line, &mut Vec<u8>) -> Option<usize>,
    ) -> Result<(), lazy::BeyondTokens> {
        let merges = join.finish_by_keys(self, read)?;
        self.lazy(merges).map_err(|_| lazy::BeyondTokens)
    }

    /// Takes merges as their list has them. All tokens must have been added, and nothing may come after.
    pub(crate) fn lazy(&mut self, merges: LazyMerges) -> Result<(), VocabularyError> {
        if self.alphabet == Alphabet::ByteLevel {
            self.byte_symbols()?;
        }
        self.lazy = Some(Box::new(merges));
        Ok(())
    }

    /// Makes each byte a symbol, also one that is no token. All tokens must have been added.
    pub(crate) fn byte_symbols(&mut self) -> Result<(), VocabularyError> {
        (0..=u8::MAX).try_for_each(|byte| self.symbol_or_new(&[byte]).map(drop))
    }

    /// Adds the merge of two symbols into a third. Of equal pairs the first counts.
    pub(crate) fn merge_symbols(&mut self, left: u32, right: u32, rank: Rank, merged: u32) {
        self.pairs.insert(left, right, rank, merged);
    }

    /// Sets what `id` renders to. Every token whose piece is not set renders to its key; of two pieces the last counts.
    pub(crate) fn piece(&mut self, id: u32, piece: &[u8]) {
        let start = self.rendered.len();
        self.rendered.extend_from_slice(piece);
        self.piece_from(id, start);
    }

    /// Makes `id` render to its key with each `▁` as a space; a key without one renders to itself.
    pub(crate) fn unescape_piece(&mut self, id: u32) {
        let keys = Keys { arena: &self.arena, offsets: &self.keys, attributes: &self.attributes };
        let start = self.rendered.len();
        if append_unescaped(keys.at(id), &mut self.rendered) {
            self.piece_from(id, start);
        } else {
            self.rendered.truncate(start);
        }
    }

    fn piece_from(&mut self, id: u32, start: usize) {
        // What is too long for a span is too long for the arena, and found out there.
        let span = Span { start: start as u32, len: (self.rendered.len() - start) as u32 };
        self.pieces.push((id, span));
    }

    /// Ends the building. `bytes` maps each byte to the token that stands for it ([`NONE`] for none).
    pub(crate) fn finish(mut self, bytes: &[u32; 256]) -> Result<Vocabulary, VocabularyError> {
        if self.attributes.is_empty() {
            return Err(VocabularyError::Empty);
        }
        let mut byte_symbols = Vec::new();
        if self.alphabet == Alphabet::ByteLevel {
            let symbol = |byte: u8| self.index.find(self.keys(), &[byte], Domain::Key).unwrap_or(NONE);
            byte_symbols = (0..=255).map(symbol).collect();
        }
        let spans = self.keys.windows(2).take(self.attributes.len());
        let mut pieces: Vec<Span> = spans.map(|w| Span { start: w[0], len: w[1] - w[0] }).collect();
        let rendered = self.arena.len();
        self.arena.append(&mut self.rendered);
        if u32::try_from(self.arena.len()).is_err() {
            return Err(VocabularyError::TooLarge);
        }
        for &(id, Span { start, len }) in &self.pieces {
            if let Some(piece) = pieces.get_mut(id as usize) {
                *piece = Span { start: rendered as u32 + start, len };
            }
        }
        let bridges = if self.alphabet == Alphabet::Text { bridges(&self.arena, &self.keys) } else { [0; 4] };
        Ok(Vocabulary {
            alphabet: self.alphabet,
            len: self.len(),
            arena: self.arena.into(),
            keys: self.keys.into(),
            attributes: self.attributes.into(),
            pieces: pieces.into(),
            scores: self.scores.into(),
            wide_scores: Table::default(),
            index: self.index,
            merges: self.lazy.map_or(MergeTable::Listed(self.pairs), MergeTable::Lazy),
            compiled: CompiledMerges::default(),
            bytes: bytes.to_vec().into(),
            byte_symbols: byte_symbols.into(),
            bridges,
            trie: Trie::default(),
            prefixes: Trie::default(),
            charsmap: Charsmap::default(),
        })
    }

    fn keys(&self) -> Keys<'_> {
        Keys { arena: &self.arena, offsets: &self.keys, attributes: &self.attributes }
    }

    fn next(&self) -> Result<u32, VocabularyError> {
        debug_assert_eq!(self.keys.len(), self.attributes.len() + 1, "tokens come before merges");
        let id = self.attributes.len() as u32;
        if id >= MAX_SYMBOLS { Err(VocabularyError::TooLarge) } else { Ok(id) }
    }

    /// The symbol for a text that a merge names, a new one if it is not known yet.
    pub(crate) fn symbol_or_new(&mut self, key: &[u8]) -> Result<u32, VocabularyError> {
        if let Some(symbol) = self.index.find(self.keys(), key, Domain::Key) {
            return Ok(symbol);
        }
        let symbol = self.keys.len() as u32 - 1;
        if symbol >= MAX_SYMBOLS {
            return Err(VocabularyError::TooLarge);
        }
        self.arena.extend_from_slice(key);
        let end = u32::try_from(self.arena.len()).map_err(|_| VocabularyError::TooLarge)?;
        self.keys.push(end);
        let keys = Keys { arena: &self.arena, offsets: &self.keys, attributes: &self.attributes };
        // The key was not found just now, so it cannot be a duplicate.
        let _ = self.index.insert_all(keys, symbol..symbol + 1);
        Ok(symbol)
    }
}

/// Ranks of so many merges fit into the table.
fn bounded(merges: usize) -> Result<(), VocabularyError> {
    if merges > Pairs::MAX_LEN { Err(VocabularyError::TooLarge) } else { Ok(()) }
}

/// The bytes that stand before a `▁` within a key, that of another `▁` left out.
fn bridges(arena: &[u8], keys: &[u32]) -> [u64; 4] {
    let mut bridges = [0; 4];
    let mut symbol = 0;
    for at in memchr::memmem::find_iter(&arena[..keys.last().map_or(0, |&end| end as usize)], SPACE) {
        while keys.get(symbol + 1).is_some_and(|&end| end as usize <= at) {
            symbol += 1;
        }
        let before = &arena[keys[symbol] as usize..at.max(keys[symbol] as usize)];
        if let Some(&byte) = before.last().filter(|_| !before.ends_with(SPACE)) {
            bridges[usize::from(byte >> 6)] |= 1 << (byte & 63);
        }
    }
    bridges
}

fn text(alphabet: Alphabet, attributes: u16, key: &[u8]) -> Option<Cow<'_, [u8]>> {
    if attributes & attribute::HOLE != 0 {
        None
    } else if alphabet == Alphabet::Text || attributes & attribute::RAW != 0 {
        Some(key.into())
    } else {
        Some(encode_alphabet(key).into())
    }
}

fn find_byte_level(index: &Index, keys: Keys<'_>, text: &[u8]) -> Option<u32> {
    let mut key = Vec::with_capacity(text.len());
    let found = if decode_alphabet(text, &mut key) { index.find(keys, &key, Domain::Key) } else { None };
    found.or_else(|| index.find(keys, text, Domain::Raw))
}

fn find_text(index: &Index, keys: Keys<'_>, text: &[u8]) -> Option<u32> {
    index.find(keys, text, Domain::Key).or_else(|| index.find(keys, text, Domain::Raw))
}

/// Appends the bytes that `text`, written in the GPT-2 byte alphabet, stands for; `false` when a character of it is not of
/// that alphabet (what was appended by then has no meaning).
pub(crate) fn decode_alphabet(text: &[u8], out: &mut Vec<u8>) -> bool {
    let mut bytes = text.iter();
    // No character of the alphabet is shorter than the byte it stands for.
    out.reserve(text.len());
    while let Some(&byte) = bytes.next() {
        // The printable ASCII characters stand for themselves; all others are of two bytes.
        if matches!(byte, 0x21..=0x7E) {
            out.push(byte);
            continue;
        }
        let low = match byte {
            0xC2..=0xC5 => bytes.next().copied().filter(|low| matches!(low, 0x80..=0xBF)),
            _ => None,
        };
        let character = low.map(|low| u32::from(byte & 0x1F) << 6 | u32::from(low & 0x3F));
        let Some(byte) = character.and_then(unicode::char_to_byte) else { return false };
        out.push(byte);
    }
    true
}

/// `bytes` written in the GPT-2 byte alphabet.
pub(crate) fn encode_alphabet(bytes: &[u8]) -> Vec<u8> {
    let mut text = String::with_capacity(bytes.len());
    text.extend(bytes.iter().map(|&byte| unicode::byte_to_char(byte)));
    text.into_bytes()
}
