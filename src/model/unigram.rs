//! Unigram language models: of all ways to cut a text into pieces, the one whose scores add up to the most.
//!
//! [`Lattice`] is the search, for every source. The rest is llama.cpp's `t5` session (`llm_tokenizer_ugm_session`): its
//! normalizer, and what it does with characters that no piece covers.

use std::ops::{Add, Range};

use serde::{Deserialize, Serialize};

use crate::encode::memo::Memo;
use crate::encode::output::{Origins, Sink};
use crate::encode::thread_state::ThreadState;
use crate::encode::{EncodeError, MOST_BYTES};
use crate::unicode;
use crate::vocabulary::{Charsmap, SPACE, Trie, Vocabulary};

/// What llama.cpp's session needs beside the vocabulary's tries, scores and charsmap.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Unigram {
    /// The text goes through NFC first.
    pub(crate) nfc: bool,
    /// `▁` goes in front of the first character that is no space.
    pub(crate) add_space_prefix: bool,
    /// Spaces before, after and between words are one `▁` in front of each word.
    pub(crate) collapse_spaces: bool,
    /// The token for what no piece covers, [`crate::vocabulary::NONE`] if there is none.
    pub(crate) unknown: u32,
    /// What a character costs that no piece covers.
    pub(crate) unknown_score: f32,
    /// The largest absolute value of all scores.
    pub(crate) largest: f32,
    /// Sums of scores below this limit are exact, in whatever order they are added up; 0 when none is.
    pub(crate) exact_below: f64,
    /// The ASCII characters that the normalizer passes on as they are if an ASCII character or the end follows: one bit each.
    pub(crate) plain: [u64; 2],
}

impl Unigram {
    /// Derives the limits of exact sums and the characters that need no normalization from the finished vocabulary.
    pub(crate) fn prepare(&mut self, vocabulary: &Vocabulary) {
        let scores = vocabulary.scores.iter().copied().chain([self.unknown_score]);
        self.largest = scores.clone().map(f32::abs).fold(0.0, f32::max);
        self.exact_below = exact_below(scores);
        self.plain = vocabulary.charsmap.plain_ascii();
        let walker = vocabulary.prefixes.walker();
        for byte in 0..128u8 {
            // A space is never a character of a word.
            if byte == b' ' || walker.child(walker.root(), byte).is_some() {
                self.plain[usize::from(byte >> 6)] &= !(1 << (byte & 63));
            }
        }
    }

    /// One fragment. `words` cuts a well-formed normalized text where no piece can reach across.
    ///
    /// `O(n × longest match)` in bytes.
    pub(crate) fn encode<S: Sink>(
        &self,
        vocabulary: &Vocabulary,
        text: &[u8],
        base: usize,
        local: &mut ThreadState,
        sink: &mut S,
        words: impl FnOnce(&[u8], &mut dyn FnMut(Range<usize>)),
    ) -> Result<(), EncodeError> {
        let mut scratch = std::mem::take(&mut local.unigram);
        let result = self.normalize::<S>(vocabulary, text, base, &mut scratch);
        if result.is_ok() {
            let Scratch { text, origins, lattice, ids } = &mut scratch;
            let mut cutter = Cutter {
                unigram: self,
                vocabulary,
                text,
                lattice,
                ids,
                memo: &mut local.memo,
                sum: if S::SPANS || self.exact_below == 0.0 { Sum::Exact(0.0) } else { Sum::Below(0.0) },
                out: Out { sink, origins, unknown: self.unknown, held: None },
            };
            // Characters are cut by their first byte alone, so a stray first byte swallows what follows, a `▁` included: such
            // a text is left in one piece.
            if std::str::from_utf8(text).is_ok() {
                words(text, &mut |word| cutter.word(word));
            } else {
                cutter.word(0..text.len());
            }
            cutter.out.flush();
        }
        scratch.shrink();
        local.unigram = scratch;
        result
    }

    /// Writes the text that is cut into `scratch`.
    fn normalize<S: Sink>(
        &self,
        vocabulary: &Vocabulary,
        text: &[u8],
        base: usize,
        scratch: &mut Scratch,
    ) -> Result<(), EncodeError> {
        let Scratch { text: out, origins, .. } = scratch;
        out.clear();
        origins.clear();
        let mut writer = Writer {
            unigram: self,
            out,
            origins: S::SPANS.then_some(origins),
            in_word: false,
            prefixed: false,
            gap: None,
        };
        if !self.nfc {
            return self.replace(vocabulary, text, |range| base + range.start..base + range.end, &mut writer);
        }
        if !S::SPANS {
            return self.replace(vocabulary, &unicode::nfc(text), |_| 0..0, &mut writer);
        }
        // Composed in parts that do not meet, so that each character's place is known to that extent.
        let mut composed = Vec::with_capacity(text.len());
        let mut places = Vec::with_capacity(text.len());
        for part in unicode::nfc_parts(text) {
            composed.extend_from_slice(&unicode::nfc(&text[part.clone()]));
            places.resize(composed.len(), base + part.start..base + part.end);
        }
        self.replace(
            vocabulary,
            &composed,
            |range| places[range.start].start..places[range.end - 1].end,
            &mut writer,
        )
    }

    /// Passes `text` on to `writer`, each sequence that has a replacement replaced.
    fn replace(
        &self,
        vocabulary: &Vocabulary,
        text: &[u8],
        place: impl Fn(Range<usize>) -> Range<usize>,
        writer: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        let (user_defined, charsmap): (&Trie, &Charsmap) = (&vocabulary.prefixes, &vocabulary.charsmap);
        let no_user_defined = user_defined.is_empty();
        let plain = |byte: u8| byte < 0x80 && self.plain[usize::from(byte >> 6)] >> (byte & 63) & 1 != 0;
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let mut run = rest.iter().position(|&byte| !plain(byte)).unwrap_or(rest.len());
            // A mark that follows may combine with the last one.
            if rest.get(run).is_some_and(|&next| next >= 0x80) {
                run = run.saturating_sub(1);
            }
            if run > 0 {
                writer.verbatim(&rest[..run], at, &place);
                at += run;
                continue;
            }
            // llama.cpp walks the user-defined tokens as far as bytes match, and takes what it passed even if no token ends there.
            let depth = if no_user_defined { 0 } else { user_defined.depth(rest) };
            let len = if depth > 0 {
                writer.replacement(&rest[..depth], place(at..at + depth));
                depth
            } else if let Some((len, replacement)) = charsmap.longest(rest)? {
                writer.replacement(replacement, place(at..at + len));
                len
            } else {
                let (character, len) = unicode::decode(rest, 0);
                let invalid = character == unicode::REPLACEMENT && len == 1;
                let copy = if invalid { "\u{FFFD}".as_bytes() } else { &rest[..len] };
                writer.replacement(copy, place(at..at + len));
                len
            };
            at += len;
            // A map may make much out of little; places are kept in 32 bits.
            if writer.out.len() > MOST_BYTES {
                return Err(EncodeError::TooLong { bytes: writer.out.len() });
            }
        }
        Ok(())
    }
}

/// Writes the normalized text, where every space becomes `▁`.
struct Writer<'s> {
    unigram: &'s Unigram,
    out: &'s mut Vec<u8>,
    origins: Option<&'s mut Origins>,
    /// The last byte was no space.
    in_word: bool,
    /// The prefix has been written.
    prefixed: bool,
    /// The spaces since the last word, where they are collapsed.
    gap: Option<Range<usize>>,
}

impl Writer<'_> {
    /// Text that stands for `place` of the original.
    fn replacement(&mut self, text: &[u8], place: Range<usize>) {
        for part in text.split_inclusive(|&byte| byte == b' ') {
            let (part, space) = part.strip_suffix(b" ").map_or((part, false), |part| (part, true));
            if !part.is_empty() {
                self.begin_word(place.start);
                self.out.extend_from_slice(part);
                self.came_from(place.clone());
            }
            if space {
                self.in_word = false;
                if self.unigram.collapse_spaces {
                    let start = self.gap.take().map_or(place.start, |gap| gap.start);
                    self.gap = Some(start..place.end);
                } else {
                    self.out.extend_from_slice(SPACE);
                    self.came_from(place.clone());
                }
            }
        }
    }

    /// ASCII characters without a space, that begin at byte `at` of the text and stay as they are.
    fn verbatim(&mut self, text: &[u8], at: usize, place: impl Fn(Range<usize>) -> Range<usize>) {
        if !self.in_word {
            self.begin_word(if self.origins.is_some() { place(at..at + 1).start } else { 0 });
        }
        self.out.extend_from_slice(text);
        if let Some(origins) = &mut self.origins {
            for i in at..at + text.len() {
                origins.push(place(i..i + 1), 1);
            }
        }
    }

    fn begin_word(&mut self, start: usize) {
        if self.in_word {
            return;
        }
        self.in_word = true;
        let gap = self.gap.take();
        if self.unigram.collapse_spaces || self.unigram.add_space_prefix && !self.prefixed {
            self.out.extend_from_slice(SPACE);
            self.came_from(gap.unwrap_or(start..start));
            self.prefixed = true;
        }
    }

    /// What was written since the last call came from `place`.
    fn came_from(&mut self, place: Range<usize>) {
        if let Some(origins) = &mut self.origins {
            let written = self.out.len() - origins.len();
            origins.push(place, written);
        }
    }
}

/// Reused from one text to the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// The normalized text.
    text: Vec<u8>,
    /// Where it came from; only for sinks that want spans.
    origins: Origins,
    lattice: Lattice<f64>,
    /// What the memo is to keep of a word: its sum, then its ids.
    ids: Vec<u32>,
}

impl Scratch {
    /// Lets go of what an unusually long text took.
    fn shrink(&mut self) {
        self.text.clear();
        self.text.shrink_to(KEPT);
        self.origins.clear();
        self.origins.shrink_to(KEPT);
        self.lattice.shrink_to(KEPT);
    }
}

/// So many bytes of normalized text a thread keeps room for.
const KEPT: usize = 1 << 18;

/// The words of a text, one after the other.
///
/// Words are independent of each other as far as pieces go, but the sums run through: in floating point, which of two ways
/// of a word is better may depend on what was added up before. Only while all sums are exact is a word's result its own, and
/// can be remembered.
struct Cutter<'a, S> {
    unigram: &'a Unigram,
    vocabulary: &'a Vocabulary,
    text: &'a [u8],
    lattice: &'a mut Lattice<f64>,
    ids: &'a mut Vec<u32>,
    memo: &'a mut Memo,
    sum: Sum,
    out: Out<'a, S>,
}

/// The sum over all words so far.
#[derive(Clone, Copy)]
enum Sum {
    /// Its absolute value is at most this, and it is exact.
    Below(f64),
    /// As llama.cpp has it, rounded or not.
    Exact(f64),
}

impl<S: Sink> Cutter<'_, S> {
    #[expect(clippy::cast_precision_loss, reason = "lengths stay below 2³², far from where f64 loses units")]
    fn word(&mut self, range: Range<usize>) {
        let Unigram { largest, exact_below, .. } = *self.unigram;
        let word = &self.text[range.clone()];
        if let Sum::Below(bound) = self.sum {
            if bound + word.len() as f64 * f64::from(largest) < exact_below {
                self.sum = Sum::Below(bound + self.remembered(word));
                return;
            }
            self.sum = Sum::Exact(self.sum_of(range.start));
        }
        if let Sum::Exact(sum) = self.sum {
            self.sum = Sum::Exact(self.solve(range.clone(), sum));
            for &Piece { id, start, end } in self.lattice.path() {
                self.out.push(id, range.start + start as usize..range.start + end as usize);
            }
        }
    }

    /// A word for itself, by the memo if it is short. Gives an upper bound of its sum's absolute value.
    #[expect(
        clippy::cast_sign_loss,
        reason = "an absolute value; one too large for 32 bits saturates and is not remembered"
    )]
    #[inline]
    fn remembered(&mut self, word: &[u8]) -> f64 {
        // Of a leading `▁` the last byte is enough: no character begins with it.
        let place = Memo::place(if word.starts_with(SPACE) { &word[2..] } else { word });
        if let Some([bound, ids @ ..]) = place.and_then(|place| self.memo.recall(place)) {
            self.out.extend(ids);
            return f64::from(*bound);
        }
        let sum = self.lattice.solve(
            word,
            &self.vocabulary.trie,
            0.0,
            |id, _| Some(f64::from(self.vocabulary.score(id))),
            (self.unigram.unknown, f64::from(self.unigram.unknown_score)),
        );
        self.ids.clear();
        let bound = sum.abs().ceil();
        self.ids.push(bound as u32);
        for &Piece { id, .. } in self.lattice.path() {
            if id != self.unigram.unknown || self.ids[1..].last() != Some(&id) {
                self.ids.push(id);
            }
        }
        self.out.extend(&self.ids[1..]);
        if let Some(place) = place {
            self.memo.remember(place, self.ids);
        }
        bound
    }

    fn solve(&mut self, range: Range<usize>, sum: f64) -> f64 {
        self.lattice.solve(
            &self.text[range],
            &self.vocabulary.trie,
            sum,
            |id, _| Some(f64::from(self.vocabulary.score(id))),
            (self.unigram.unknown, f64::from(self.unigram.unknown_score)),
        )
    }

    /// The sum over the text before byte `end`, where a word begins.
    fn sum_of(&mut self, end: usize) -> f64 {
        if end == 0 { 0.0 } else { self.solve(0..end, 0.0) }
    }
}

/// Takes the ids of a fragment; several unknown in a row become one.
struct Out<'s, S> {
    sink: &'s mut S,
    origins: &'s Origins,
    unknown: u32,
    /// An unknown that has not gone to the sink, since more may follow: where it stands.
    held: Option<Range<usize>>,
}

impl<S: Sink> Out<'_, S> {
    fn push(&mut self, id: u32, span: Range<usize>) {
        let span = if S::SPANS { self.origins.original(span) } else { 0..0 };
        if id != self.unknown {
            self.flush();
            self.sink.push(id, span);
        } else if let Some(held) = &mut self.held {
            held.end = span.end;
        } else {
            self.held = Some(span);
        }
    }

    /// Takes ids without places, of which no two unknown are neighbours.
    #[inline]
    fn extend(&mut self, mut ids: &[u32]) {
        if self.held.is_some() {
            if ids.first() == Some(&self.unknown) {
                ids = &ids[1..];
                if ids.is_empty() {
                    return;
                }
            }
            self.flush();
        }
        if ids.last() == Some(&self.unknown) {
            self.held = Some(0..0);
            ids = &ids[..ids.len() - 1];
        }
        self.sink.extend(ids);
    }

    fn flush(&mut self) {
        if let Some(span) = self.held.take() {
            self.sink.push(self.unknown, span);
        }
    }
}

/// A number that scores are added up in: `f64` in llama.cpp and `tokenizers`, `f32` in SentencePiece.
pub(crate) trait Real: Copy + PartialOrd + Add<Output = Self> {
    const LOWEST: Self;
}

impl Real for f32 {
    const LOWEST: Self = f32::MIN;
}

impl Real for f64 {
    const LOWEST: Self = f64::MIN;
}

/// A piece on the best path: `text[start..end]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Piece {
    pub(crate) id: u32,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// The best way that ends at a position.
#[derive(Clone, Copy, Debug)]
struct Best<F> {
    sum: F,
    /// Where its last piece begins.
    start: u32,
    /// Its last piece.
    id: u32,
}

/// The search for the best path through all pieces of a text (Viterbi), and the memory it reuses.
#[derive(Debug)]
pub(crate) struct Lattice<F> {
    best: Vec<Best<F>>,
    path: Vec<Piece>,
}

impl<F> Default for Lattice<F> {
    fn default() -> Self {
        Self { best: Vec::new(), path: Vec::new() }
    }
}

impl<F: Real> Lattice<F> {
    /// Finds the pieces of `text` and gives the sum of their scores on top of `before`; [`Lattice::path`] has them.
    ///
    /// `score(id, bytes)` is that of a piece in the trie, `None` to pass it over. A character that no piece covers on its own may
    /// also become `unknown`, an id and its score. Characters end where their first byte says ([`unicode::utf8_len`]), and
    /// pieces begin where characters do. Of equal sums the one found first stays: that with the longest last piece.
    ///
    /// `O(n × longest match)` in bytes.
    #[inline]
    pub(crate) fn solve(
        &mut self,
        text: &[u8],
        trie: &Trie,
        before: F,
        score: impl Fn(u32, usize) -> Option<F>,
        unknown: (u32, F),
    ) -> F {
        let (unknown, unknown_score) = unknown;
        let walker = trie.walker();
        self.best.clear();
        self.best.resize(text.len() + 1, Best { sum: F::LOWEST, start: 0, id: unknown });
        let best = &mut self.best[..=text.len()];
        best[0].sum = before;
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let step = unicode::utf8_len(rest[0]).min(rest.len());
            let sum = best[at].sum;
            let mut single = false;
            walker.prefixes(rest, |len, id| {
                if let Some(score) = score(id, len) {
                    single |= len == step;
                    let sum = sum + score;
                    let end = &mut best[at + len];
                    if sum > end.sum {
                        *end = Best { sum, start: at as u32, id };
                    }
                }
            });
            if !single {
                let sum = sum + unknown_score;
                let end = &mut best[at + step];
                if sum > end.sum {
                    *end = Best { sum, start: at as u32, id: unknown };
                }
            }
            at += step;
        }
        self.path.clear();
        let mut end = text.len();
        while end > 0 {
            let Best { start, id, .. } = best[end];
            self.path.push(Piece { id, start, end: end as u32 });
            end = start as usize;
        }
        self.path.reverse();
        best[text.len()].sum
    }

    /// The pieces of the last text, in order.
    pub(crate) fn path(&self) -> &[Piece] {
        &self.path
    }

    /// Lets go of memory for more than `len` bytes of text.
    pub(crate) fn shrink_to(&mut self, len: usize) {
        self.best.clear();
        self.best.shrink_to(len);
        self.path.clear();
        self.path.shrink_to(len);
    }
}

/// The limit below which sums of `scores` are exact in `f64`.
///
/// Every score is a multiple of the smallest power of two that occurs in any of them; a sum of such multiples is exact as long as
/// it takes no more than 53 bits.
fn exact_below(scores: impl Iterator<Item = f32>) -> f64 {
    let mut smallest = i32::MAX;
    for score in scores {
        if !score.is_finite() {
            return 0.0;
        }
        let bits = score.to_bits() & 0x7FFF_FFFF;
        let (exponent, fraction) = ((bits >> 23).cast_signed(), bits & 0x7F_FFFF);
        let (exponent, fraction) =
            if exponent == 0 { (1, fraction) } else { (exponent, fraction | 0x80_0000) };
        if fraction != 0 {
            smallest = smallest.min(exponent - 150 + fraction.trailing_zeros().cast_signed());
        }
    }
    if smallest == i32::MAX { f64::INFINITY } else { f64::from(smallest + 53).exp2() }
}
