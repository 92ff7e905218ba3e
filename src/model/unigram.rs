//! Unigram language models: of all ways to cut a word into pieces, the one whose scores add up to the most.
//!
//! Sources differ in how they add scores up, which decides between ways that are as good, and in what stands for a character that
//! no piece covers.

use std::collections::BinaryHeap;
use std::ops::Range;

use super::tokens::{Tokens, UnknownPiece};
use crate::unicode;
use crate::vocabulary::{NONE, Trie, Vocabulary};

/// A search, as a source wants it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unigram {
    /// In 64 bits; a character that no piece covers is `unk` at this score.
    Double { unk: u32, unk_score: f64 },
    /// As [`Unigram::Double`], and a run of such characters is one token: the run itself if it is one, its bytes, or `unk`.
    DoubleAndRuns { unk: u32, unk_score: f64, byte_fallback: bool },
    /// In 32 bits, as sentencepiece does.
    Single { unknown: UnknownPiece, unk_score: f32 },
}

/// Reused from one word to the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    double: Lattice<f64>,
    single: Lattice<f32>,
}

impl Unigram {
    /// `O(n × longest match)` in bytes.
    pub(crate) fn encode(
        self,
        vocabulary: &Vocabulary,
        word: &[u8],
        scratch: &mut Scratch,
        tokens: &mut Tokens,
    ) {
        match self {
            Self::Double { unk, unk_score } => {
                let score = |id: u32| Some(f64::from(vocabulary.score(id)));
                let finite = || vocabulary.scores.iter().all(|score| score.is_finite());
                scratch.double.solve(word, &vocabulary.trie, score, (unk, unk_score), finite, |id, span| {
                    tokens.push(id, span);
                });
            }
            Self::DoubleAndRuns { unk, unk_score, byte_fallback } => {
                let score = |id: u32| vocabulary.wide_scores.get(id as usize).copied();
                let finite = || vocabulary.wide_scores.iter().all(|score| score.is_finite());
                let mut run: Option<Range<usize>> = None;
                scratch.double.solve(word, &vocabulary.trie, score, (unk, unk_score), finite, |id, span| {
                    if id == unk {
                        run = Some(run.take().map_or(span.start, |run| run.start)..span.end);
                        return;
                    }
                    if let Some(run) = run.take() {
                        unknown_run(vocabulary, word, run, unk, byte_fallback, tokens);
                    }
                    tokens.push(id, span);
                });
                if let Some(run) = run {
                    unknown_run(vocabulary, word, run, unk, byte_fallback, tokens);
                }
            }
            Self::Single { unknown, unk_score } => {
                scratch.single.solve_single(vocabulary, word, unk_score, |id, span| {
                    unknown.push(vocabulary, id, word, span, tokens);
                });
            }
        }
    }
}

/// A run of what no token covers; as a whole it may be a token all the same, one that was too unlikely.
fn unknown_run(
    vocabulary: &Vocabulary,
    word: &[u8],
    span: Range<usize>,
    unk: u32,
    byte_fallback: bool,
    tokens: &mut Tokens,
) {
    let text = &word[span.clone()];
    if let Some(id) = vocabulary.token(text) {
        return tokens.push(id, span);
    }
    let token = |&byte: &u8| vocabulary.bytes.get(usize::from(byte)).copied().filter(|&id| id != NONE);
    if byte_fallback && text.iter().all(|byte| token(byte).is_some()) {
        for id in text.iter().filter_map(token) {
            tokens.push(id, span.clone());
        }
        return;
    }
    tokens.push(unk, span);
}

/// `kScoreResetThreshold` of sentencepiece.
const SCORE_RESET: f32 = 100_000.0;

/// The best way to a position of the text.
#[derive(Clone, Copy, Debug)]
struct Best<F> {
    sum: F,
    /// Where its last piece begins.
    start: u32,
    /// Its last piece.
    id: u32,
}

/// The search for the best path through all pieces of a text (Viterbi), and the memory it reuses.
///
/// Once in a while it looks whether the best ways to all positions that the rest of the text can go on from have a beginning in common,
/// which they nearly always do up to a few characters: that is told, and forgotten, so that a long text takes no more memory than a
/// short one.
#[derive(Debug)]
struct Lattice<F> {
    /// For the positions from `base` on.
    best: Vec<Best<F>>,
    base: usize,
    /// Where to look next.
    look: usize,
    /// Pieces from the last to the first: their ends, and what they are.
    path: Vec<(u32, Best<F>)>,
    open: BinaryHeap<u32>,
}

impl<F> Default for Lattice<F> {
    fn default() -> Self {
        Self { best: Vec::new(), base: 0, look: 0, path: Vec::new(), open: BinaryHeap::new() }
    }
}

impl<F: Copy> Lattice<F> {
    fn begin(&mut self, text: &[u8], unreached: Best<F>) {
        self.best.clear();
        self.best.resize(text.len().min(2 * BLOCK) + 1, unreached);
        (self.base, self.look) = (0, BLOCK);
    }

    /// The best way to `end`, which is to be bettered.
    #[inline]
    fn to(&mut self, end: usize, unreached: Best<F>) -> &mut Best<F> {
        let at = end - self.base;
        if at >= self.best.len() {
            self.best.resize(at + 1, unreached);
        }
        &mut self.best[at]
    }

    /// Tells what the best ways to `at` and to all positions behind it that were reached begin with.
    #[cold]
    fn settle(
        &mut self,
        at: usize,
        reached: impl Fn(&Best<F>) -> bool,
        each: &mut impl FnMut(u32, Range<usize>),
    ) {
        let behind = (self.base..).zip(&self.best).skip(at - self.base + 1);
        self.open.clear();
        self.open.push(at as u32);
        self.open.extend(behind.filter(|(_, best)| reached(best)).map(|(end, _)| end as u32));
        // The last one cannot be on the way to any other.
        while let Some(last) = self.open.pop() {
            if self.open.peek() == Some(&last) {
                continue;
            }
            if self.open.is_empty() {
                self.tell(last as usize, each);
                self.best.drain(..last as usize - self.base);
                self.base = last as usize;
                break;
            }
            self.open.push(self.best[last as usize - self.base].start);
        }
        // If that was not much, it is not worth another look too soon.
        self.look = at + BLOCK.max(at - self.base);
    }

    /// Tells the pieces of the best way from `base` to `end`.
    fn tell(&mut self, end: usize, each: &mut impl FnMut(u32, Range<usize>)) {
        self.path.clear();
        let mut at = end;
        while at > self.base {
            let best = self.best[at - self.base];
            self.path.push((at as u32, best));
            // Each on the way was reached from an earlier one.
            at = at.saturating_sub(1).min(best.start as usize);
        }
        for (end, best) in self.path.drain(..).rev() {
            each(best.id, best.start as usize..end as usize);
        }
    }

    /// Ends a text of so many bytes.
    fn finish(&mut self, len: usize, each: &mut impl FnMut(u32, Range<usize>)) {
        self.tell(len, each);
        self.best.truncate(2 * BLOCK);
        self.best.shrink_to(2 * BLOCK);
        self.path.shrink_to(2 * BLOCK);
        self.open.shrink_to(BLOCK);
    }
}

impl Lattice<f64> {
    /// Calls `each(id, range)` for the pieces of `text`.
    ///
    /// `score(id)` is that of a piece in the trie, `None` to pass it over. A character that no piece covers on its own may also become
    /// `unknown`, an id and its score. Characters end where their first byte says ([`unicode::utf8_len`]), and pieces begin where
    /// characters do. Of equal sums the one found first stays: that with the longest last piece. What no sum of numbers leads to is one
    /// piece with all before it; `finite` tells that there is no such thing.
    ///
    /// `O(n × longest match)` in bytes.
    #[inline]
    fn solve(
        &mut self,
        text: &[u8],
        trie: &Trie,
        score: impl Fn(u32) -> Option<f64>,
        unknown: (u32, f64),
        finite: impl Fn() -> bool,
        mut each: impl FnMut(u32, Range<usize>),
    ) {
        let (unknown, unknown_score) = unknown;
        let unreached = Best { sum: f64::MIN, start: 0, id: unknown };
        let walker = trie.walker();
        self.begin(text, unreached);
        self.best[0].sum = 0.0;
        let mut settles = None;
        let mut at = 0;
        while at < text.len() {
            if at >= self.look && *settles.get_or_insert_with(|| unknown_score.is_finite() && finite()) {
                self.settle(at, |best| best.sum > f64::MIN, &mut each);
            }
            let rest = &text[at..];
            let step = unicode::utf8_len(rest[0]).min(rest.len());
            let sum = self.to(at, unreached).sum;
            let mut single = false;
            walker.prefixes(rest, |len, id| {
                if let Some(score) = score(id) {
                    single |= len == step;
                    let sum = sum + score;
                    let end = self.to(at + len, unreached);
                    if sum > end.sum {
                        *end = Best { sum, start: at as u32, id };
                    }
                }
            });
            if !single {
                let sum = sum + unknown_score;
                let end = self.to(at + step, unreached);
                if sum > end.sum {
                    *end = Best { sum, start: at as u32, id: unknown };
                }
            }
            at += step;
        }
        self.finish(text.len(), &mut each);
    }
}

impl Lattice<f32> {
    /// Calls `each(id, range)` for the likeliest pieces of a whole text; [`NONE`] for a character without a piece. Scores add up from the
    /// beginning in 32 bits, so that the text cannot be cut into words without other sums, and now and then another sequence.
    fn solve_single(
        &mut self,
        vocabulary: &Vocabulary,
        text: &[u8],
        unk_score: f32,
        mut each: impl FnMut(u32, Range<usize>),
    ) {
        let unreached = Best { sum: 0.0, start: NONE, id: NONE };
        let walker = vocabulary.trie.walker();
        let scores: &[f32] = &vocabulary.scores;
        let relax = |best: &mut Best<f32>, sum: f32, start: usize, id: u32| {
            if best.start == NONE || sum > best.sum {
                *best = Best { sum, start: start as u32, id };
            }
        };
        self.begin(text, unreached);
        let mut frontier = 0;
        let mut at = 0;
        while at < text.len() {
            if at >= self.look {
                self.settle(at, |best| best.start != NONE, &mut each);
            }
            let mut here = self.to(at, unreached).sum;
            // Sums are brought back to zero before they lose their last bits.
            if !(-SCORE_RESET..=SCORE_RESET).contains(&here) {
                let open = self.best.iter_mut().take(frontier + 1 - self.base).skip(at - self.base);
                for (i, best) in open.enumerate() {
                    if i == 0 || best.start != NONE {
                        best.sum -= here;
                    }
                }
                here = 0.0;
            }
            let len = unicode::utf8_len(text[at]).min(text.len() - at);
            let mut single = false;
            let mut node = walker.root();
            for (end, &byte) in (at + 1..).zip(&text[at..]) {
                let Some(child) = walker.child(node, byte) else { break };
                node = child;
                let Some(id) = node.id() else { continue };
                frontier = frontier.max(end);
                let score = scores.get(id as usize).copied().unwrap_or_default() + here;
                relax(self.to(end, unreached), score, at, id);
                single |= end - at == len;
            }
            if !single {
                frontier = frontier.max(at + len);
                relax(self.to(at + len, unreached), unk_score + here, at, NONE);
            }
            at += len;
        }
        self.finish(text.len(), &mut each);
    }
}

/// So many bytes are read before it is looked what is settled; in unit tests few, so that their texts are settled many times.
const BLOCK: usize = if cfg!(test) { 24 } else { 1 << 14 };

/// The limit below which sums of `scores` are exact in `f64`.
///
/// Every score is a multiple of the smallest power of two that occurs in any of them; a sum of such multiples is exact as long as
/// it takes no more than 53 bits.
pub(crate) fn exact_below(scores: impl Iterator<Item = f32>) -> f64 {
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
