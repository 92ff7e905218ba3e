//! Unigram language models: of all ways to cut a word into pieces, the one whose scores add up to the most.
//!
//! Sources differ in how they add scores up, which decides between ways that are as good, and in what stands for a character that
//! no piece covers.

use std::ops::{Add, Range};

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
    nodes: Vec<Node>,
    /// The best path from the end: piece, and its range.
    path: Vec<(u32, Range<u32>)>,
}

/// The best way to a byte of the word.
#[derive(Clone, Copy, Debug)]
struct Node {
    score: f32,
    /// Where the last piece begins; [`NONE`] while no piece ends here.
    start: u32,
    id: u32,
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
        let score = |id: u32, _| Some(f64::from(vocabulary.score(id)));
        match self {
            Self::Double { unk, unk_score } => {
                scratch.double.solve(word, &vocabulary.trie, 0.0, score, (unk, unk_score));
                for piece in scratch.double.path() {
                    tokens.push(piece.id, piece.start as usize..piece.end as usize);
                }
            }
            Self::DoubleAndRuns { unk, unk_score, byte_fallback } => {
                let score = |id: u32, _| vocabulary.wide_scores.get(id as usize).copied();
                scratch.double.solve(word, &vocabulary.trie, 0.0, score, (unk, unk_score));
                let mut run: Option<Range<usize>> = None;
                for piece in scratch.double.path() {
                    let span = piece.start as usize..piece.end as usize;
                    if piece.id == unk {
                        run = Some(run.map_or(span.start, |run| run.start)..span.end);
                        continue;
                    }
                    if let Some(run) = run.take() {
                        unknown_run(vocabulary, word, run, unk, byte_fallback, tokens);
                    }
                    tokens.push(piece.id, span);
                }
                if let Some(run) = run {
                    unknown_run(vocabulary, word, run, unk, byte_fallback, tokens);
                }
            }
            Self::Single { unknown, unk_score } => {
                single(vocabulary, word, unk_score, scratch);
                for (id, span) in scratch.path.iter().rev() {
                    unknown.push(vocabulary, *id, word, span.start as usize..span.end as usize, tokens);
                }
            }
        }
        if word.len() > MOST_KEPT {
            *scratch = Scratch::default();
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

/// The likeliest pieces of a whole text, from its end, into `scratch.path`; [`NONE`] for a character without a piece. Scores add up
/// from the beginning in 32 bits, so that the text cannot be cut into words without other sums, and now and then another sequence.
fn single(vocabulary: &Vocabulary, text: &[u8], unk_score: f32, scratch: &mut Scratch) {
    let Scratch { nodes, path, .. } = scratch;
    nodes.clear();
    nodes.resize(text.len() + 1, Node { score: 0.0, start: NONE, id: NONE });
    let walker = vocabulary.trie.walker();
    let scores: &[f32] = &vocabulary.scores;
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
        let len = unicode::utf8_len(text[at]).min(text.len() - at);
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
}

/// So many bytes of a word a thread keeps room for.
const MOST_KEPT: usize = 1 << 18;

/// `kScoreResetThreshold` of sentencepiece.
const SCORE_RESET: f32 = 100_000.0;

/// A number that scores are added up in: `f64` in llama.cpp and `tokenizers`, `f32` in SentencePiece.
trait Real: Copy + PartialOrd + Add<Output = Self> {
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
struct Piece {
    id: u32,
    start: u32,
    end: u32,
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
struct Lattice<F> {
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
    fn solve(
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
    fn path(&self) -> &[Piece] {
        &self.path
    }
}

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
