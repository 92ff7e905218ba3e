//! Encoding and rendering as `sentencepiece` does: the driver of SentencePiece models that come as such.
//!
//! Reference: sentencepiece 0.2.3, `normalizer.cc`, `bpe_model.cc`, `unigram_model.cc` (`EncodeOptimized`), `char_model.cc`,
//! `word_model.cc`, and `EncodeOptimized` and `DecodeOptimized` of `sentencepiece_processor.cc`. A GGUF made from the same model
//! encodes differently in places, see [`llama`](super::llama_cpp).
//!
//! sentencepiece itself does not look for control pieces in a text. With [`Special::Parse`] the text is cut at them first, the
//! longest where several begin, and each part is encoded as a text of its own.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::decode::SpecialText;
use crate::encode::memo::Memo;
use crate::encode::output::{Alignment, Sink};
use crate::encode::partition::{Fragment, partition};
use crate::encode::special_tokens::Specials;
use crate::encode::thread_state::ThreadState;
use crate::encode::{EncodeError, Special};
use crate::model::bpe::Merges;
use crate::unicode;
use crate::vocabulary::{Charsmap, NONE, Rank, SPACE, Trie, Vocabulary, attribute};

/// What the model says beside its pieces.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Recipe {
    pub(crate) model: Model,
    pub(crate) normalizer: Normalizer,
    /// The piece for what is no piece; [`NONE`] where bytes stand in and there is none.
    pub(crate) unk: u32,
    /// An unknown character becomes pieces of its bytes.
    pub(crate) byte_fallback: bool,
    /// The id that [`Special::Add`] puts in front.
    pub(crate) bos: Option<u32>,
    /// The id that [`Special::Add`] puts behind.
    pub(crate) eos: Option<u32>,
    /// What rendered text goes through, with its charsmap as the file has it.
    pub(crate) denormalizer: Option<(Normalizer, Vec<u8>)>,
}

/// The algorithm, with what only it needs.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) enum Model {
    /// Pieces merge by score.
    Bpe {
        /// Some pieces are marked unused: they merge and are taken apart again.
        resegments: bool,
    },
    /// The likeliest sequence of pieces.
    Unigram {
        /// What a character without a piece scores.
        unk_score: f32,
    },
    /// Each character is a piece.
    Char,
    /// Each word is a piece.
    Word,
}

/// `NormalizerSpec`, without its charsmap, and `treat_whitespace_as_suffix` of `TrainerSpec`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the format's own switches")]
pub(crate) struct Normalizer {
    pub(crate) add_dummy_prefix: bool,
    pub(crate) remove_extra_whitespaces: bool,
    pub(crate) escape_whitespaces: bool,
    pub(crate) whitespace_as_suffix: bool,
    /// [`Charsmap::plain_ascii`] of the charsmap.
    pub(crate) plain_ascii: [u64; 2],
}

/// Room for the lattice of a text, kept by the thread.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    nodes: Vec<Node>,
    /// The best path from the end: piece, and its range.
    path: Vec<(u32, Range<u32>)>,
}

/// The best way to a byte of the text.
#[derive(Clone, Copy, Debug)]
struct Node {
    score: f32,
    /// Where the last piece begins; [`NONE`] while no piece ends here.
    start: u32,
    id: u32,
}

/// What an encoder reads: everything but the thread's own scratch.
#[derive(Clone, Copy)]
pub(crate) struct Encoder<'t> {
    pub(crate) recipe: &'t Recipe,
    pub(crate) vocabulary: &'t Vocabulary,
    pub(crate) specials: &'t Specials,
}

impl Encoder<'_> {
    /// `O(n log n)` in the bytes of `text`; for Unigram linear in them and in the length of the longest piece.
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
                Fragment::Raw(span) => self.ordinary(&text[span.clone()], span.start, local, sink),
            })?;
        } else {
            self.ordinary(text, 0, local, sink)?;
        }
        if let Some(eos) = self.recipe.eos.filter(|_| special.adds()) {
            sink.push(eos, text.len()..text.len());
        }
        Ok(())
    }

    /// A text without special tokens, which begins at byte `base` of the original.
    fn ordinary<S: Sink>(
        &self,
        text: &[u8],
        base: usize,
        local: &mut ThreadState,
        sink: &mut S,
    ) -> Result<(), EncodeError> {
        let normalizer = &self.recipe.normalizer;
        let (text, alignment) =
            normalizer.normalize::<S>(text, base, &self.vocabulary.prefixes, &self.vocabulary.charsmap)?;
        let text = &*text;
        let bytes: &[u32] = &self.vocabulary.bytes;
        let Recipe { unk, byte_fallback, .. } = *self.recipe;
        let bytes = byte_fallback.then_some(bytes);
        let mut out = Out { sink, alignment: &alignment, text, unk, bytes, run: None };
        match self.recipe.model {
            Model::Bpe { resegments: false } => {
                self.vocabulary.words(text, |word| self.word(word, local, &mut out));
            }
            Model::Bpe { resegments: true } => self.resegmented(local, &mut out),
            Model::Unigram { unk_score } => self.unigram(unk_score, &mut local.sentencepiece, &mut out),
            Model::Char => {
                let mut at = 0;
                while at < text.len() {
                    let len = self.frozen(text, at).map_or_else(|| character_len(text, at), |(len, _)| len);
                    out.push(self.in_use(&text[at..at + len]), at..at + len);
                    at += len;
                }
            }
            Model::Word => {
                let mut start = 0;
                for end in memchr::memmem::find_iter(text, SPACE).chain([text.len()]) {
                    if start < end {
                        out.push(self.in_use(&text[start..end]), start..end);
                        start = end;
                    }
                }
            }
        }
        out.end_run();
        Ok(())
    }

    /// The piece with this text, [`NONE`] if there is none or it is marked unused.
    fn in_use(&self, piece: &[u8]) -> u32 {
        let token = self.vocabulary.token(piece);
        token.filter(|&id| self.vocabulary.attributes(id) & attribute::UNUSED == 0).unwrap_or(NONE)
    }

    /// The user-defined piece that begins at `at`: its length and id.
    #[inline]
    fn frozen(&self, text: &[u8], at: usize) -> Option<(usize, u32)> {
        self.vocabulary.prefixes.longest(&text[at..])
    }

    /// One word of a BPE model: a part that no merge leaves.
    fn word<S: Sink>(&self, word: Range<usize>, local: &mut ThreadState, out: &mut Out<'_, S>) {
        let place = if S::SPANS { None } else { Memo::place(&out.text[word.clone()]) };
        if let Some(ids) = place.and_then(|place| local.memo.recall(place)) {
            out.extend(ids);
            return;
        }
        let ThreadState { scratch, ids, memo, .. } = local;
        ids.clear();
        let merges = Scores { vocabulary: self.vocabulary, splits: None };
        self.merge(scratch, word, &merges, out.text, |id, span| {
            ids.push(id);
            out.push(id, span);
        });
        // What is unknown comes out otherwise than it goes in.
        if let Some(place) = place.filter(|_| ids.iter().all(|&id| id != NONE && id != out.unk)) {
            memo.remember(place, ids);
        }
    }

    /// Merges a part of `text` and calls `each(id, range in the text)` for what is left, [`NONE`] for what is no piece.
    fn merge(
        &self,
        scratch: &mut crate::model::bpe::Scratch,
        part: Range<usize>,
        merges: &Scores<'_>,
        text: &[u8],
        mut each: impl FnMut(u32, Range<usize>),
    ) {
        let (base, part) = (part.start, &text[part]);
        scratch.clear();
        let mut at = 0;
        while at < part.len() {
            if let Some((len, id)) = self.frozen(part, at) {
                scratch.push(id | FROZEN, at);
                at += len;
            } else {
                let len = character_len(part, at);
                scratch.push(self.vocabulary.token(&part[at..at + len]).unwrap_or(NONE), at);
                at += len;
            }
        }
        scratch.merge(part, merges, |symbol, span| {
            let id = if symbol == NONE { NONE } else { symbol & !FROZEN };
            each(id, base + span.start..base + span.end);
        });
    }

    /// A text of a BPE model with pieces that are marked unused: what has merged into one of them is taken apart as it was joined
    /// when last seen, anywhere in the text.
    fn resegmented<S: Sink>(&self, local: &mut ThreadState, out: &mut Out<'_, S>) {
        let splits = RefCell::default();
        let merges = Scores { vocabulary: self.vocabulary, splits: Some(&splits) };
        let mut merged = Vec::new();
        self.merge(&mut local.scratch, 0..out.text.len(), &merges, out.text, |id, span| {
            merged.push((id, span));
        });
        let splits = splits.into_inner();
        for (id, span) in merged {
            self.take_apart(id, span, &splits, 0, out);
        }
    }

    fn take_apart<S: Sink>(
        &self,
        id: u32,
        span: Range<usize>,
        splits: &HashMap<u32, usize>,
        depth: usize,
        out: &mut Out<'_, S>,
    ) {
        if depth > DEEPEST || id == NONE || self.vocabulary.attributes(id) & attribute::UNUSED == 0 {
            out.push(id, span);
            return;
        }
        let Some(&left) = splits.get(&id).filter(|&&left| left < span.len()) else {
            out.push(NONE, span);
            return;
        };
        let middle = span.start + left;
        for part in [span.start..middle, middle..span.end] {
            let id = self.vocabulary.token(&out.text[part.clone()]).unwrap_or(NONE);
            self.take_apart(id, part, splits, depth + 1, out);
        }
    }

    /// The likeliest sequence of pieces for the whole text. Scores add up from its beginning in 32 bits, so that the text cannot be
    /// cut into words without other sums, and now and then another sequence.
    fn unigram<S: Sink>(&self, unk_score: f32, scratch: &mut Scratch, out: &mut Out<'_, S>) {
        let text = out.text;
        let Scratch { nodes, path } = scratch;
        nodes.clear();
        nodes.resize(text.len() + 1, Node { score: 0.0, start: NONE, id: NONE });
        let walker = self.vocabulary.trie.walker();
        let scores: &[f32] = &self.vocabulary.scores;
        let relax = |node: &mut Node, score: f32, start: usize, id: u32| {
            if node.start == NONE || score > node.score {
                *node = Node { score, start: start as u32, id };
            }
        };
        let mut frontier = 0;
        let mut at = 0;
        while at < text.len() {
            let mut here = nodes[at].score;
            // Sums are brought back to zero before they lose their last bits.
            if !(-SCORE_RESET..=SCORE_RESET).contains(&here) {
                for (i, node) in nodes.iter_mut().enumerate().take(frontier + 1).skip(at) {
                    if i == at || node.start != NONE {
                        node.score -= here;
                    }
                }
                here = 0.0;
            }
            let len = character_len(text, at);
            let mut single = false;
            let mut node = walker.root();
            for (end, &byte) in (at + 1..).zip(&text[at..]) {
                let Some(child) = walker.child(node, byte) else { break };
                node = child;
                let Some(id) = node.id() else { continue };
                frontier = frontier.max(end);
                let score = scores.get(id as usize).copied().unwrap_or_default() + here;
                relax(&mut nodes[end], score, at, id);
                single |= end - at == len;
            }
            if !single {
                frontier = frontier.max(at + len);
                relax(&mut nodes[at + len], unk_score + here, at, NONE);
            }
            at += len;
        }
        path.clear();
        let mut end = text.len() as u32;
        while end > 0 {
            let Node { start, id, .. } = nodes[end as usize];
            path.push((id, start..end));
            // Each node on the path was reached from an earlier one.
            end = start.min(end - 1);
        }
        for (id, span) in path.iter().rev() {
            out.push(*id, span.start as usize..span.end as usize);
        }
        if nodes.capacity() > MOST_NODES {
            *scratch = Scratch::default();
        }
    }
}

/// Merges by the score of the joined piece.
struct Scores<'v> {
    vocabulary: &'v Vocabulary,
    /// For each unused piece that two neighbours make up, how long the left one is, the last pair seen.
    splits: Option<&'v RefCell<HashMap<u32, usize>>>,
}

impl Merges for Scores<'_> {
    #[inline]
    fn find(&self, left: u32, right: u32, text: &[u8]) -> Option<(Rank, u32)> {
        let frozen = |symbol: u32| symbol & FROZEN != 0 && symbol != NONE;
        if frozen(left) || frozen(right) {
            return None;
        }
        let id = self.vocabulary.token(text)?;
        Some((rank_of(self.vocabulary.score(id)), id))
    }

    fn seen(&self, merged: u32, left: usize) {
        if let Some(splits) = self.splits
            && self.vocabulary.attributes(merged) & attribute::UNUSED != 0
        {
            splits.borrow_mut().insert(merged, left);
        }
    }
}

/// A rank that orders pieces as sentencepiece's comparison of the scores' bits does, the highest first: `0.0` before `-0.0`.
fn rank_of(score: f32) -> Rank {
    let bits = score.to_bits();
    Rank(if bits >> 31 == 0 { 0x7FFF_FFFF - bits } else { bits })
}

/// The length of the character at `at` by its first byte.
#[inline]
fn character_len(text: &[u8], at: usize) -> usize {
    unicode::utf8_len(text[at]).min(text.len() - at)
}

/// Takes pieces of the normalized text, and gives ids.
struct Out<'o, S> {
    sink: &'o mut S,
    alignment: &'o Alignment,
    text: &'o [u8],
    unk: u32,
    /// Ids of the pieces for bytes, where they stand in for what is unknown.
    bytes: Option<&'o [u32]>,
    /// Unknown pieces in a row, which come out as one.
    run: Option<Range<usize>>,
}

impl<S: Sink> Out<'_, S> {
    #[inline]
    fn push(&mut self, id: u32, span: Range<usize>) {
        if id == NONE || id == self.unk {
            self.unknown(span);
            return;
        }
        self.end_run();
        let span = self.original(span);
        self.sink.push(id, span);
    }

    fn extend(&mut self, ids: &[u32]) {
        self.end_run();
        self.sink.extend(ids);
    }

    fn unknown(&mut self, span: Range<usize>) {
        if let Some(bytes) = self.bytes {
            let original = self.original(span.clone());
            for &byte in &self.text[span] {
                let id = bytes.get(usize::from(byte)).copied().unwrap_or(NONE);
                self.sink.push(id, original.clone());
            }
        } else {
            let start = self.run.as_ref().map_or(span.start, |run| run.start);
            self.run = Some(start..span.end);
        }
    }

    #[inline]
    fn end_run(&mut self) {
        if let Some(run) = self.run.take() {
            let span = self.original(run);
            self.sink.push(self.unk, span);
        }
    }

    #[inline]
    fn original(&self, span: Range<usize>) -> Range<usize> {
        if S::SPANS { self.alignment.original(span) } else { 0..0 }
    }
}

impl Normalizer {
    /// `text`, which begins at byte `base` of the original, as the model is to see it.
    pub(crate) fn normalize<'t, S: Sink>(
        &self,
        text: &'t [u8],
        base: usize,
        user_defined: &Trie,
        charsmap: &Charsmap,
    ) -> Result<(Cow<'t, [u8]>, Alignment), EncodeError> {
        let prefix = |at: usize| -> Result<(&[u8], usize), EncodeError> {
            let text = &text[at..];
            if let Some((len, _)) = user_defined.longest(text) {
                return Ok((&text[..len], len));
            }
            if let Some((len, replacement)) = charsmap.longest(text)? {
                return Ok((replacement, len));
            }
            Ok(match valid_len(text) {
                Some(len) => (&text[..len], len),
                None => (REPLACEMENT, 1),
            })
        };
        let mut start = 0;
        if self.remove_extra_whitespaces {
            while start < text.len() {
                let (piece, len) = prefix(start)?;
                if piece != b" " {
                    break;
                }
                start += len;
            }
        }
        if start == text.len() {
            return Ok((Cow::Borrowed(&[]), Alignment::identity(base + start)));
        }
        let space = if self.escape_whitespaces { SPACE } else { b" " };
        let mut out = Vec::with_capacity(text.len() + text.len() / 2 + 2 * SPACE.len());
        let mut origin: Vec<u32> = Vec::new();
        if self.add_dummy_prefix && !self.whitespace_as_suffix {
            out.extend_from_slice(space);
        }
        if S::SPANS {
            origin.resize(out.len(), start as u32);
        }
        let nothing_frozen = user_defined.is_empty();
        let plain =
            |byte: u8| byte < 0x80 && self.plain_ascii[usize::from(byte >> 6)] >> (byte & 63) & 1 != 0;
        let mut after_space = self.remove_extra_whitespaces;
        let mut at = start;
        while at < text.len() {
            if nothing_frozen && !charsmap_reaches(text, at) {
                // A run of characters that stay as they are.
                let run = (at..text.len())
                    .take_while(|&i| plain(text[i]) && text[i] != b' ' && !charsmap_reaches(text, i))
                    .count();
                if run > 0 {
                    out.extend_from_slice(&text[at..at + run]);
                    if S::SPANS {
                        Extend::extend(&mut origin, at as u32..(at + run) as u32);
                    }
                    at += run;
                    after_space = false;
                    continue;
                }
            }
            let (mut piece, len) = prefix(at)?;
            if after_space {
                piece = &piece[piece.iter().take_while(|&&byte| byte == b' ').count()..];
            }
            if !piece.is_empty() {
                for &byte in piece {
                    if byte == b' ' { out.extend_from_slice(space) } else { out.push(byte) }
                }
                after_space = piece.ends_with(b" ");
            }
            if S::SPANS {
                origin.resize(out.len(), at as u32);
            }
            at += len;
            after_space &= self.remove_extra_whitespaces;
        }
        let mut end = text.len();
        if self.remove_extra_whitespaces {
            while out.ends_with(space) {
                out.truncate(out.len() - space.len());
                if S::SPANS {
                    end = origin.get(out.len()).map_or(end, |&at| at as usize);
                    origin.truncate(out.len());
                }
            }
        }
        if self.add_dummy_prefix && self.whitespace_as_suffix {
            out.extend_from_slice(space);
            if S::SPANS {
                origin.resize(out.len(), end as u32);
            }
        }
        let alignment = if S::SPANS { Alignment::new(origin, base, end) } else { Alignment::identity(base) };
        Ok((Cow::Owned(out), alignment))
    }
}

/// Whether the character behind the one at `at` is not ASCII, so that a map may replace both together.
fn charsmap_reaches(text: &[u8], at: usize) -> bool {
    text.get(at + 1).is_some_and(|&next| next >= 0x80)
}

/// The length of the character that `text` begins with, `None` if it is not UTF-8.
fn valid_len(text: &[u8]) -> Option<usize> {
    let len = unicode::utf8_len(*text.first()?);
    std::str::from_utf8(text.get(..len)?).is_ok().then_some(len)
}

/// Renders ids one after the other as `sentencepiece` decodes them together; [`SpecialText::Render`] adds the text of control
/// pieces, which it never shows.
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    render: bool,
    /// A leading `▁` still is the one that was put in front of the text.
    at_start: bool,
    /// Nothing has been rendered.
    empty: bool,
    /// Bytes of a character that is not complete.
    bytes: Vec<u8>,
}

impl Decoder {
    pub(crate) fn new(special: SpecialText) -> Self {
        Self { render: special == SpecialText::Render, at_start: true, empty: true, bytes: Vec::new() }
    }

    /// Appends what `id` adds to the text; `None` when `id` names no token.
    #[inline]
    pub(crate) fn push(
        &mut self,
        recipe: &Recipe,
        vocabulary: &Vocabulary,
        id: u32,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let mut piece = vocabulary.piece(id)?;
        let attributes = vocabulary.attributes(id);
        if attributes & attribute::BYTE != 0 {
            self.bytes.extend_from_slice(piece);
            self.characters(out);
            return Some(());
        }
        self.flush(out);
        self.at_start &= self.empty;
        if attributes & attribute::CONTROL != 0 {
            if self.render {
                out.extend_from_slice(piece);
            }
            return Some(());
        }
        let Normalizer { add_dummy_prefix, remove_extra_whitespaces, .. } = recipe.normalizer;
        let mut stripped = false;
        if self.at_start
            && (add_dummy_prefix || remove_extra_whitespaces)
            && attributes & attribute::UNKNOWN == 0
            && vocabulary.keys().at(id).starts_with(SPACE)
        {
            piece = piece.strip_prefix(b" ").unwrap_or(piece);
            // Extra white space goes as far as it reaches, else it is the one in front only.
            stripped = !remove_extra_whitespaces;
        }
        out.extend_from_slice(piece);
        self.empty &= piece.is_empty();
        self.at_start &= self.empty && !stripped;
        Some(())
    }

    /// Appends what is left when the ids are over.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) {
        self.characters(out);
        for _ in self.bytes.drain(..) {
            out.extend_from_slice(REPLACEMENT);
            self.empty = false;
        }
    }

    /// Appends whole characters, and U+FFFD for each byte that can be in none.
    fn characters(&mut self, out: &mut Vec<u8>) {
        while !self.bytes.is_empty() {
            let (valid, error) = match std::str::from_utf8(&self.bytes) {
                Ok(text) => (text.len(), None),
                Err(error) => (error.valid_up_to(), Some(error.error_len())),
            };
            out.extend_from_slice(&self.bytes[..valid]);
            self.bytes.drain(..valid);
            self.empty &= valid == 0;
            match error {
                Some(Some(_)) => {
                    out.extend_from_slice(REPLACEMENT);
                    self.bytes.remove(0);
                    self.empty = false;
                }
                Some(None) => return,
                None => {}
            }
        }
    }
}

/// Puts a whole rendered text through the denormalizer of a model that has one.
pub(crate) fn denormalize(recipe: &Recipe, text: &mut Vec<u8>) {
    let Some((normalizer, charsmap)) = &recipe.denormalizer else { return };
    // The loader has parsed it before.
    let Ok(charsmap) = Charsmap::parse(charsmap) else { return };
    if let Ok((denormalized, _)) = normalizer.normalize::<Vec<u32>>(text, 0, &Trie::default(), &charsmap) {
        *text = denormalized.into_owned();
    }
}

const REPLACEMENT: &[u8] = "\u{FFFD}".as_bytes();
/// Marks the symbol of a user-defined piece, which never merges.
const FROZEN: u32 = 1 << 31;
/// As deep as sentencepiece takes unused pieces apart (`kMaxBpeResegmentDepth`).
const DEEPEST: usize = 100;
/// `kScoreResetThreshold`.
const SCORE_RESET: f32 = 100_000.0;
/// A lattice beyond this size (12 megabytes) is not kept.
const MOST_NODES: usize = 1 << 20;
