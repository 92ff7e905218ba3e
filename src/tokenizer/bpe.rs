//! The merge loop of byte-pair encoding, shared by every vocabulary that merges: by a merges list (GPT-2 and kin), by score
//! (SentencePiece BPE) or by rank (tiktoken).
//!
//! Always: of all adjacent pairs that may merge take the one with the lowest rank, of equals the leftmost, join it, repeat.
//! Short words scan for the minimum; long ones keep a heap, so that no input costs more than `O(n log n)`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use crate::vocabulary::{Builder, NONE, Pairs, Rank, Vocabulary, VocabularyError};

/// What two neighbouring symbols make.
pub(crate) trait Merges {
    /// The rank of the merge of `left` and `right`, whose texts together are `text`, and the symbol it makes.
    fn find(&self, left: u32, right: u32, text: &[u8]) -> Option<(Rank, u32)>;

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

/// Merges by text: two symbols merge when their joined text is a token, and that token gives the rank.
#[derive(Clone, Copy)]
pub(crate) struct Joined<'v, R> {
    pub(crate) vocabulary: &'v Vocabulary,
    /// Rank by token id.
    pub(crate) rank: R,
}

impl<R: Fn(&Vocabulary, u32) -> Rank> Merges for Joined<'_, R> {
    #[inline]
    fn find(&self, _: u32, _: u32, text: &[u8]) -> Option<(Rank, u32)> {
        let token = self.vocabulary.token(text)?;
        Some(((self.rank)(self.vocabulary, token), token))
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
    builder.reserve_pairs(tokens.len());
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
        let parts = last_two(&mut scratch, &bytes, key, builder.pairs())
            .or_else(|| last_two(&mut scratch, &bytes, key, &Others { builder, token }));
        if let Some((left, right)) = parts {
            builder.merge_symbols(left, right, Rank(rank as u32), token);
        }
    }
    Ok(())
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
    fn find(&self, _: u32, _: u32, text: &[u8]) -> Option<(Rank, u32)> {
        let merged = self.builder.token(text).filter(|&merged| merged != self.token)?;
        Some((Rank(merged), merged))
    }
}

/// A rank that orders tokens as `score` does, the highest first: the bits of a float, made to sort as the float does.
pub(crate) fn rank_of_score(score: f32) -> Rank {
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
    nodes: Vec<Node>,
    heap: BinaryHeap<Reverse<u64>>,
}

impl Scratch {
    /// Begins a word.
    pub(crate) fn clear(&mut self) {
        self.nodes.clear();
    }

    /// Appends a symbol whose text begins at byte `start` of the word; [`NONE`] for a text that is no symbol.
    #[inline]
    pub(crate) fn push(&mut self, symbol: u32, start: usize) {
        self.nodes.push(Node {
            symbol,
            start: start as u32,
            rank: NONE,
            merged: NONE,
            next: NONE,
            previous: NONE,
        });
    }

    /// Merges what can be merged and calls `each(symbol, range in the word)` for what is left.
    pub(crate) fn merge(
        &mut self,
        word: &[u8],
        merges: &impl Merges,
        mut each: impl FnMut(u32, Range<usize>),
    ) {
        if self.nodes.len() <= SHORT {
            self.merge_short(word, merges);
            for (i, node) in self.nodes.iter().enumerate() {
                let end = self.nodes.get(i + 1).map_or(word.len(), |next| next.start as usize);
                each(node.symbol, node.start as usize..end);
            }
        } else {
            self.merge_long(word, merges);
            let mut at = 0;
            loop {
                let node = self.nodes[at];
                let end = self.nodes.get(node.next as usize).map_or(word.len(), |next| next.start as usize);
                each(node.symbol, node.start as usize..end);
                if node.next == NONE {
                    break;
                }
                at = node.next as usize;
            }
        }
    }

    fn merge_short(&mut self, word: &[u8], merges: &impl Merges) {
        let nodes = &mut self.nodes;
        for i in 1..nodes.len() {
            let end = nodes.get(i + 1).map_or(word.len(), |next| next.start as usize);
            (nodes[i - 1].rank, nodes[i - 1].merged) = pair(merges, word, nodes[i - 1], nodes[i], end);
        }
        while nodes.len() > 1 {
            let (mut best, mut rank) = (0, NONE);
            for (i, node) in nodes.iter().enumerate() {
                if node.rank < rank {
                    (best, rank) = (i, node.rank);
                }
            }
            if rank == NONE {
                break;
            }
            nodes[best].symbol = nodes[best].merged;
            nodes.remove(best + 1);
            let end = |i: usize| nodes.get(i + 1).map_or(word.len(), |next| next.start as usize);
            let before = (best > 0).then(|| pair(merges, word, nodes[best - 1], nodes[best], end(best)));
            let after = match nodes.get(best + 1) {
                Some(&next) => pair(merges, word, nodes[best], next, end(best + 1)),
                None => (NONE, NONE),
            };
            (nodes[best].rank, nodes[best].merged) = after;
            if let Some(before) = before {
                (nodes[best - 1].rank, nodes[best - 1].merged) = before;
            }
        }
    }

    fn merge_long(&mut self, word: &[u8], merges: &impl Merges) {
        let Self { nodes, heap } = self;
        heap.clear();
        let count = nodes.len();
        for (i, node) in nodes.iter_mut().enumerate() {
            node.previous = if i == 0 { NONE } else { i as u32 - 1 };
            node.next = if i + 1 == count { NONE } else { i as u32 + 1 };
        }
        let entry = |rank: u32, at: u32| Reverse(u64::from(rank) << 32 | u64::from(at));
        let end = |nodes: &[Node], at: u32| {
            nodes.get(nodes[at as usize].next as usize).map_or(word.len(), |next| next.start as usize)
        };
        for i in 0..count - 1 {
            let (rank, merged) = pair(merges, word, nodes[i], nodes[i + 1], end(nodes, i as u32 + 1));
            (nodes[i].rank, nodes[i].merged) = (rank, merged);
            if rank != NONE {
                heap.push(entry(rank, i as u32));
            }
        }
        while let Some(Reverse(top)) = heap.pop() {
            let (rank, at) = ((top >> 32) as u32, top as u32);
            let node = nodes[at as usize];
            // The entry is stale when the node is gone or its pair has changed.
            if node.rank != rank {
                continue;
            }
            let gone = node.next;
            let next = nodes[gone as usize].next;
            nodes[gone as usize].rank = NONE;
            nodes[at as usize].symbol = node.merged;
            nodes[at as usize].next = next;
            (nodes[at as usize].rank, nodes[at as usize].merged) = (NONE, NONE);
            let previous = node.previous;
            if previous != NONE {
                let (rank, merged) =
                    pair(merges, word, nodes[previous as usize], nodes[at as usize], end(nodes, at));
                (nodes[previous as usize].rank, nodes[previous as usize].merged) = (rank, merged);
                if rank != NONE {
                    heap.push(entry(rank, previous));
                }
            }
            if next != NONE {
                nodes[next as usize].previous = at;
                let (rank, merged) =
                    pair(merges, word, nodes[at as usize], nodes[next as usize], end(nodes, next));
                (nodes[at as usize].rank, nodes[at as usize].merged) = (rank, merged);
                if rank != NONE {
                    heap.push(entry(rank, at));
                }
            }
        }
    }
}

#[inline]
fn pair(merges: &impl Merges, word: &[u8], left: Node, right: Node, end: usize) -> (u32, u32) {
    let text = word.get(left.start as usize..end).unwrap_or_default();
    match merges.find(left.symbol, right.symbol, text) {
        Some((rank, merged)) => {
            merges.seen(merged, (right.start - left.start) as usize);
            (rank.0, merged)
        }
        None => (NONE, NONE),
    }
}

/// Up to this many symbols a scan for the minimum beats a heap.
const SHORT: usize = 48;
