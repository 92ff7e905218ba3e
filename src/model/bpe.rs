//! The merge loop of byte-pair encoding, shared by every vocabulary that merges: by a merges list (GPT-2 and kin), by score
//! (SentencePiece BPE) or by rank (tiktoken).
//!
//! Always: of all adjacent pairs that may merge take the one with the lowest rank, of equals the leftmost, join it, repeat.
//! Short words scan for the minimum; long ones keep a heap, so that no input costs more than `O(n log n)`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytemuck::{Pod, Zeroable};

use super::atoms::{Beginning, CharacterAtoms};
use super::live;
use super::queue::MergeQueue;
use super::tokens::{NoToken, Tokens, UnknownPiece};
use crate::unicode;
use crate::vocabulary::{
    Builder, LazyMerges, MergeTable, NO_MERGE, NONE, PairFinder, Pairs, Rank, Vocabulary, VocabularyError,
    attribute,
};

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

    /// Makes what long use is worth. Some tens of milliseconds for a large vocabulary.
    pub(super) fn compile(&self, vocabulary: &Vocabulary) {
        match self.merges {
            MergeBy::List => {
                let pairs = live::compiled(vocabulary);
                if let (Start::Bytes, Some(pairs)) = (self.start, pairs) {
                    self.atoms.get_or_init(|| CharacterAtoms::new(vocabulary, pairs));
                }
            }
            MergeBy::Score => {
                let rank = |vocabulary: &Vocabulary, token| rank_of_score(vocabulary.score(token));
                let merges = Joined { vocabulary, rank };
                live::compiled_of_ranks(vocabulary, &merges, |token| rank(vocabulary, token));
            }
            MergeBy::ScoreBits => {
                let merges = ScoreBits { vocabulary, splits: None };
                live::compiled_of_ranks(vocabulary, &merges, |token| merges.rank(token));
            }
            // What is taken apart again depends on the pairs that were met on the way.
            MergeBy::ScoreBitsAndSplit => {}
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

/// Marks the symbol of a piece that never merges.
const FROZEN: u32 = 1 << 31;

/// As deep as sentencepiece takes unused pieces apart (`kMaxBpeResegmentDepth`).
const DEEPEST: usize = 100;

/// What two neighbouring symbols make: the same wherever they stand, provided that both are symbols and not [`NONE`].
pub(crate) trait Merges {
    /// The rank of the merge of `left` and `right`, whose texts together are `text`, and the symbol it makes.
    fn find(&self, left: u32, right: u32, text: &[u8]) -> Option<(Rank, u32)>;

    /// Whether a pair makes the same each time it is asked for, so that answers may be remembered.
    const STEADY: bool = true;

    /// Hears of every pair that may merge, in the order in which they come up: into what, and how many bytes the left one has.
    #[inline]
    fn seen(&self, _merged: u32, _left: usize) {}
}

/// Merges from a list: only the listed pairs merge, whatever their text.
impl Merges for Pairs {
    #[inline]
    fn find(&self, left: u32, right: u32, _: &[u8]) -> Option<(Rank, u32)> {
        Pairs::find(self, left, right)
    }
}

/// Merges from a list as it stands.
pub(super) struct Lazily<'v> {
    pub(super) vocabulary: &'v Vocabulary,
    pub(super) lazy: &'v LazyMerges,
}

impl Merges for Lazily<'_> {
    #[inline]
    fn find(&self, left: u32, right: u32, text: &[u8]) -> Option<(Rank, u32)> {
        self.lazy.find(self.vocabulary, left, right, text)
    }
}

/// Compiled merges; their place is their rank.
impl Merges for PairFinder<'_> {
    const STEADY: bool = false;

    #[inline]
    fn find(&self, left: u32, right: u32, _: &[u8]) -> Option<(Rank, u32)> {
        let place = PairFinder::find(*self, left, right);
        (place != NO_MERGE).then(|| (Rank(self.rank(place)), self.product(place)))
    }
}

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

/// Enters the merges of a vocabulary that has ranks only (tiktoken's): two neighbours merge when their joined bytes are a token,
/// whose rank is that of the merge. `tokens` are its ids by ascending rank, and all other tokens must have been added.
///
/// One merge a token is enough. Whenever two neighbours make up a token, every merge up to then that touched their bytes lay
/// inside of them, and happened in the order in which those bytes alone would merge: so they are the last two parts of the token
/// when it is merged alone. A token that does not come down to two parts is reached by no merge; only a pre-token that equals it
/// yields it.
pub(crate) fn derive_merges(builder: &mut Builder, tokens: &[u32]) -> Result<(), VocabularyError> {
    builder.reserve_pairs(tokens.len())?;
    // A byte without a token of its own still begins as a symbol.
    let mut bytes = [NONE; 256];
    for (byte, symbol) in (0..=u8::MAX).zip(&mut bytes) {
        *symbol = builder.symbol_or_new(&[byte])?;
    }
    let mut scratch = Scratch::default();
    for (rank, &token) in tokens.iter().enumerate() {
        let key = builder.key(token);
        // Trained vocabularies make a token out of earlier ones, so the merges entered so far nearly always suffice: those are all
        // of a lower rank, and as long as one of them applies none of a higher rank does.
        let parts = last_two(&mut scratch, &bytes, key, &Growing(builder.pairs()))
            .or_else(|| last_two(&mut scratch, &bytes, key, &Others { builder, token }));
        if let Some((left, right)) = parts {
            builder.merge_symbols(left, right, Rank(rank as u32), token);
        }
    }
    Ok(())
}

/// Merges from a list that is still being written.
struct Growing<'p>(&'p Pairs);

impl Merges for Growing<'_> {
    const STEADY: bool = false;

    fn find(&self, left: u32, right: u32, _: &[u8]) -> Option<(Rank, u32)> {
        self.0.find(left, right)
    }
}

/// The two parts that `key` comes down to, `None` if it is other than two.
fn last_two(
    scratch: &mut Scratch,
    bytes: &[u32; 256],
    key: &[u8],
    merges: &impl Merges,
) -> Option<(u32, u32)> {
    if key.len() < 2 {
        return None;
    }
    scratch.clear();
    for (i, &byte) in key.iter().enumerate() {
        scratch.push(bytes[usize::from(byte)], i);
    }
    let (mut parts, mut count) = ([NONE; 2], 0);
    scratch.merge(key, merges, |symbol, _| {
        if let Some(part) = parts.get_mut(count) {
            *part = symbol;
        }
        count += 1;
    });
    (count == 2).then_some((parts[0], parts[1]))
}

/// All merges of ranks by the joined bytes, but the one into `token`. Ids of such a vocabulary ascend with their ranks.
struct Others<'b> {
    builder: &'b Builder,
    token: u32,
}

impl Merges for Others<'_> {
    const STEADY: bool = false;

    fn find(&self, _: u32, _: u32, text: &[u8]) -> Option<(Rank, u32)> {
        let merged = self.builder.token(text).filter(|&merged| merged != self.token)?;
        Some((Rank(merged), merged))
    }
}

/// A rank that orders tokens as `score` does, the highest first: the bits of a float, made to sort as the float does.
fn rank_of_score(score: f32) -> Rank {
    let bits = score.to_bits();
    let ascending = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
    // −0.0 and 0.0 are equal scores.
    let ascending = if score == 0.0 { 1 << 31 } else { ascending };
    Rank(!ascending)
}

/// A symbol of the word at hand; its text ends where that of the next one begins.
#[derive(Clone, Copy, Debug)]
struct Node {
    symbol: u32,
    start: u32,
    /// Rank of the merge with the next node, [`NONE`] when they do not merge.
    rank: u32,
    /// What that merge makes.
    merged: u32,
    next: u32,
    previous: u32,
}

/// Reused between words, so that a word allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// What the word consists of before anything merges: symbols, and where their texts begin.
    first: Vec<(u32, u32)>,
    /// Where the word is cut: so many symbols are before.
    cuts: Vec<u32>,
    /// Some of that is a character that is no symbol.
    unknown: bool,
    nodes: Vec<Node>,
    queue: MergeQueue,
    cache: PairCache,
    characters: CharacterCache,
    /// Where fragments stand in the word.
    covered: Vec<Range<usize>>,
    /// So much was looked up for want of what is compiled, counted by the symbols of words.
    lookups: u32,
}

impl Scratch {
    /// Begins a word.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.first.clear();
        self.first.shrink_to(KEPT);
        self.cuts.clear();
        self.unknown = false;
    }

    /// Appends a symbol whose text begins at byte `start` of the word; [`NONE`] for a text that is no symbol.
    #[inline]
    pub(crate) fn push(&mut self, symbol: u32, start: usize) {
        self.first.push((symbol, start as u32));
    }

    /// The symbol of a character, or of what stands in place of one; [`NONE`] if it is none.
    #[inline]
    pub(super) fn character(&mut self, vocabulary: &Vocabulary, character: &[u8]) -> u32 {
        let find = || vocabulary.symbol(character).unwrap_or(NONE);
        let whole = character.first().is_some_and(|&first| unicode::utf8_len(first) == character.len());
        if whole { self.characters.symbol(character, find) } else { find() }
    }

    /// Whether so many pairs were looked up since this last was true that compiling the merges pays for the rest of them.
    pub(crate) fn wants_compiled(&mut self) -> bool {
        let many = self.lookups > MANY;
        if many {
            self.lookups = 0;
        }
        many
    }

    /// Merges what can be merged and calls `each(symbol, range in the word)` for what is left.
    ///
    /// One scratch serves one tokenizer: it remembers what pairs of symbols make.
    pub(crate) fn merge(
        &mut self,
        word: &[u8],
        merges: &impl Merges,
        mut each: impl FnMut(u32, Range<usize>),
    ) {
        self.merge_part(0..self.first.len(), word, merges, &mut each);
    }

    /// The same for some of the symbols, of which `word` is the text up to the last one.
    fn merge_part(
        &mut self,
        symbols: Range<usize>,
        word: &[u8],
        merges: &impl Merges,
        each: &mut impl FnMut(u32, Range<usize>),
    ) {
        let symbols = (0..).zip(&self.first[symbols]);
        self.nodes.clear();
        self.nodes.extend(symbols.map(|(at, &(symbol, start))| Node::new(symbol, start, at)));
        let Some(last) = self.nodes.last_mut() else { return };
        last.next = NONE;
        if self.nodes.len() <= SHORT {
            self.merge_short(word, merges);
        } else {
            self.merge_long(word, merges);
        }
        let mut at = 0;
        while let Some(node) = self.nodes.get(at as usize) {
            each(node.symbol, node.start as usize..end(&self.nodes, word, at));
            at = node.next;
        }
        if self.nodes.len() > KEPT {
            self.nodes.truncate(KEPT);
            self.nodes.shrink_to(KEPT);
            self.queue.shrink_to(KEPT);
        }
    }

    /// The same with compiled merges.
    #[inline]
    pub(crate) fn merge_compiled(
        &mut self,
        word: &[u8],
        pairs: PairFinder<'_>,
        mut each: impl FnMut(u32, Range<usize>),
    ) {
        let mut begin = 0;
        for cut in 0..=self.cuts.len() {
            let end = self.cuts.get(cut).map_or(self.first.len(), |&end| end as usize);
            let until = self.first.get(end).map_or(word.len(), |&(_, start)| start as usize);
            match &mut self.first[begin..end] {
                [] => {}
                &mut [(symbol, start)] => each(symbol, start as usize..until),
                few if few.len() <= SHORT => merge_few(pairs, few, until, &mut each),
                _ => self.merge_part(begin..end, &word[..until], &pairs, &mut each),
            }
            begin = end;
        }
    }

    fn merge_short(&mut self, word: &[u8], merges: &impl Merges) {
        let Self { nodes, cache, .. } = self;
        // Ranks side by side, for the scan; that of a node that is gone stays behind as [`NONE`].
        let mut ranks = [NONE; SHORT];
        let ranks = &mut ranks[..nodes.len()];
        for at in 0..nodes.len() as u32 - 1 {
            ranks[at as usize] = cache.look(nodes, word, merges, at);
        }
        loop {
            let (mut at, mut rank) = (0, NONE);
            for (i, &other) in ranks.iter().enumerate() {
                if other < rank {
                    (at, rank) = (i as u32, other);
                }
            }
            if rank == NONE {
                return;
            }
            let node = nodes[at as usize];
            ranks[node.next as usize] = NONE;
            let joined = join(nodes, at);
            if node.previous != NONE {
                ranks[node.previous as usize] = cache.look(nodes, word, merges, node.previous);
            }
            ranks[at as usize] = if joined { cache.look(nodes, word, merges, at) } else { NONE };
        }
    }

    fn merge_long(&mut self, word: &[u8], merges: &impl Merges) {
        let Self { nodes, queue, cache, .. } = self;
        queue.clear(nodes.len());
        let mut look = |nodes: &mut [Node], queue: &mut MergeQueue, at: u32| {
            let rank = cache.look(nodes, word, merges, at);
            nodes[at as usize].rank = rank;
            if rank != NONE {
                queue.push(rank, at);
            }
        };
        for at in 0..nodes.len() as u32 - 1 {
            look(nodes, queue, at);
        }
        while let Some((rank, at)) = queue.pop() {
            let node = nodes[at as usize];
            // The entry is stale when the node is gone or its pair has changed.
            if node.rank != rank {
                continue;
            }
            nodes[node.next as usize].rank = NONE;
            nodes[at as usize].rank = NONE;
            let joined = join(nodes, at);
            if node.previous != NONE {
                look(nodes, queue, node.previous);
            }
            if joined {
                look(nodes, queue, at);
            }
        }
    }
}

/// Merges up to [`SHORT`] symbols whose texts end at `until`.
fn merge_few(
    pairs: PairFinder<'_>,
    symbols: &mut [(u32, u32)],
    until: usize,
    each: &mut impl FnMut(u32, Range<usize>),
) {
    let count = symbols.len().min(SHORT);
    // Of each symbol the merge with the next one, the lower bits telling where that is: the least is the one to do, the leftmost
    // of equal ones. Those that are gone stay behind without one.
    let mut merges = [NO_MERGE << AT_BITS; SHORT];
    let merge = |left, right, at: usize| pairs.rank(pairs.find(left, right)) << AT_BITS | at as u32;
    let (mut next, mut previous) = (NEXT, PREVIOUS);
    for at in 1..count {
        merges[at - 1] = merge(symbols[at - 1].0, symbols[at].0, at - 1);
    }
    loop {
        let mut least = [u32::MAX; 8];
        for eight in merges[..count.next_multiple_of(8)].as_chunks::<8>().0 {
            for (least, &merge) in least.iter_mut().zip(eight) {
                *least = merge.min(*least);
            }
        }
        let least = least.into_iter().fold(u32::MAX, u32::min);
        if least >> AT_BITS >= NO_MERGE {
            break;
        }
        let at = (least & ((1 << AT_BITS) - 1)) as usize;
        let gone = usize::from(next[at]);
        let symbol = pairs.product_of(least >> AT_BITS, symbols[at].0, symbols[gone].0);
        symbols[at].0 = symbol;
        merges[gone] = NO_MERGE << AT_BITS;
        let behind = usize::from(next[gone]);
        next[at] = behind as u8;
        merges[at] = if behind < count {
            previous[behind] = at as u8;
            merge(symbol, symbols[behind].0, at)
        } else {
            NO_MERGE << AT_BITS
        };
        if at > 0 {
            let before = usize::from(previous[at]);
            merges[before] = merge(symbols[before].0, symbol, before);
        }
    }
    let mut at = 0;
    while at < count {
        let behind = usize::from(next[at]);
        let end = if behind < count { symbols[behind].1 as usize } else { until };
        each(symbols[at].0, symbols[at].1 as usize..end);
        at = behind;
    }
}

impl Node {
    #[inline]
    fn new(symbol: u32, start: u32, at: u32) -> Self {
        Self { symbol, start, rank: NONE, merged: NONE, next: at + 1, previous: at.wrapping_sub(1) }
    }
}

/// Joins the node at `at` with the next one, and says whether there is one behind that.
#[inline]
fn join(nodes: &mut [Node], at: u32) -> bool {
    let node = nodes[at as usize];
    let next = nodes[node.next as usize].next;
    nodes[at as usize].symbol = node.merged;
    nodes[at as usize].next = next;
    let behind = nodes.get_mut(next as usize);
    behind.map(|behind| behind.previous = at).is_some()
}

/// Where the text of the node at `at` ends.
#[inline]
fn end(nodes: &[Node], word: &[u8], at: u32) -> usize {
    nodes.get(nodes[at as usize].next as usize).map_or(word.len(), |next| next.start as usize)
}

/// What a pair of symbols was last found to make. The same few thousand pairs make up most of all words, and a vocabulary's
/// whole table of merges is far larger than a processor's caches.
#[derive(Default)]
struct PairCache {
    /// Made on first use. A megabyte; memory that no pair has reached is not touched.
    pairs: Option<Box<[CachedPair; CACHED]>>,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct CachedPair {
    /// Plus one: an entry of zeros is free.
    left: u32,
    right: u32,
    rank: u32,
    merged: u32,
}

impl PairCache {
    /// Notes what the node at `at` and the next one make, and gives the rank of that merge, [`NONE`] if there is none.
    #[inline]
    fn look<M: Merges>(&mut self, nodes: &mut [Node], word: &[u8], merges: &M, at: u32) -> u32 {
        let Node { symbol: left, start, next, .. } = nodes[at as usize];
        let right = nodes[next as usize].symbol;
        let find = || {
            let text = word.get(start as usize..end(nodes, word, next)).unwrap_or_default();
            merges.find(left, right, text).map_or((NONE, NONE), |(rank, merged)| (rank.0, merged))
        };
        // What is no symbol stands for any text.
        let (rank, merged) = if !M::STEADY || left == NONE || right == NONE {
            find()
        } else {
            let pairs = self.pairs.get_or_insert_with(bytemuck::zeroed_box);
            let key = u64::from(left) << 32 | u64::from(right);
            let pair = &mut pairs[(key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - CACHED_BITS)) as usize];
            if pair.left != left + 1 || pair.right != right {
                let (rank, merged) = find();
                *pair = CachedPair { left: left + 1, right, rank, merged };
            }
            (pair.rank, pair.merged)
        };
        if rank != NONE {
            merges.seen(merged, (nodes[next as usize].start - start) as usize);
        }
        nodes[at as usize].merged = merged;
        rank
    }
}

impl std::fmt::Debug for PairCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PairCache").finish_non_exhaustive()
    }
}

const CACHED_BITS: u32 = 16;
const CACHED: usize = 1 << CACHED_BITS;

/// Characters and the symbols they were last found to be.
#[derive(Debug, Default)]
struct CharacterCache {
    /// Made on first use. Bytes of the character plus one, zero where nothing is remembered; and its symbol.
    entries: Option<Box<[[u32; 2]; CHARACTERS]>>,
}

/// 16 kilobytes: ASCII and one or two other scripts.
const CHARACTERS: usize = 1 << 11;

impl CharacterCache {
    /// The symbol of `character`, one whole character as its first byte has it, by `find` if it is not remembered.
    #[inline]
    fn symbol(&mut self, character: &[u8], find: impl FnOnce() -> u32) -> u32 {
        let key = match *character {
            [a] => u32::from(a),
            [a, b] => u32::from_le_bytes([a, b, 0, 0]),
            [a, b, c] => u32::from_le_bytes([a, b, c, 0]),
            // None that is well-formed ends in 0xFF, so one more is never zero.
            [a, b, c, d @ 0..=0xFE] => u32::from_le_bytes([a, b, c, d]),
            _ => return find(),
        };
        let entries = self.entries.get_or_insert_with(bytemuck::zeroed_box);
        let entry =
            &mut entries[(key.wrapping_mul(0x9E37_79B1) >> (32 - CHARACTERS.trailing_zeros())) as usize];
        if entry[0] != key + 1 {
            *entry = [key + 1, find()];
        }
        entry[1]
    }
}

/// So many nodes a thread keeps room for.
const KEPT: usize = 1 << 14;

/// Up to this many symbols a scan for the minimum beats a heap.
const SHORT: usize = 48;

/// A place in a word of so many symbols.
const AT_BITS: u32 = 6;
const NEXT: [u8; SHORT] = {
    let mut next = [0; SHORT];
    let mut at = 0;
    while at < SHORT {
        next[at] = at as u8 + 1;
        at += 1;
    }
    next
};
const PREVIOUS: [u8; SHORT] = {
    let mut previous = [0; SHORT];
    let mut at = 1;
    while at < SHORT {
        previous[at] = at as u8 - 1;
        at += 1;
    }
    previous
};

/// So many look-ups take about as long as the compilation, which then begins beside them. After as many again whoever looks up waits for the end of
/// it, so that slow look-ups cost no more than the compilation would have.
const MANY: u32 = 1 << 18;

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
