//! The merge loop: of all adjacent pairs that may merge take the one with the lowest rank, of equals the leftmost, join it, repeat.
//!
//! Short words scan for the minimum; long ones keep a heap, so that no input costs more than `O(n log n)`.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use super::queue::MergeQueue;
use crate::unicode;
use crate::vocabulary::{LazyMerges, NO_MERGE, NONE, PairFinder, Pairs, Rank, Vocabulary};

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
    pub(super) first: Vec<(u32, u32)>,
    /// Where the word is cut: so many symbols are before.
    pub(super) cuts: Vec<u32>,
    /// Some of that is a character that is no symbol.
    pub(super) unknown: bool,
    nodes: Vec<Node>,
    queue: MergeQueue,
    windows: Windows,
    pub(super) windows_of_bytes: Windows,
    cache: PairCache,
    characters: CharacterCache,
    /// Where fragments stand in the word.
    pub(super) covered: Vec<Range<usize>>,
    /// So much was looked up for want of what is compiled, counted by the symbols of words.
    pub(super) lookups: u32,
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
                _ => self.merge_windows(begin..end, until, pairs, &mut each),
            }
            begin = end;
        }
    }

    /// The same for more than [`SHORT`] symbols whose texts end at `until`.
    fn merge_windows(
        &mut self,
        symbols: Range<usize>,
        until: usize,
        pairs: PairFinder<'_>,
        each: &mut impl FnMut(u32, Range<usize>),
    ) {
        let Self { first, nodes, queue, windows, cache, .. } = self;
        let symbols = &first[symbols];
        let sizes = Sizes { window: SHORT, ahead: SHORT / 3, back: 3 };
        let mut before = 0..0;
        windows.merge(
            symbols.len(),
            sizes,
            |_| true,
            |here, window| {
                // A text that goes on and on has one window again and again.
                let (theirs, ours) = (&symbols[before.clone()], &symbols[here.clone()]);
                if !theirs.iter().map(|symbol| symbol.0).eq(ours.iter().map(|symbol| symbol.0)) {
                    merge_window(pairs, ours, (&mut *nodes, &mut *queue, &mut *cache), window);
                }
                before = here;
                true
            },
        );
        let start = |at: usize| symbols.get(at).map_or(until, |&(_, start)| start as usize);
        windows.iter().for_each(|(symbol, span)| each(symbol, start(span.start)..start(span.end)));
        if symbols.len() > KEPT {
            windows.shrink();
            nodes.truncate(KEPT);
            nodes.shrink_to(KEPT);
            queue.shrink_to(KEPT);
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
        merge_all(&mut self.nodes, &mut self.queue, &mut self.cache, word, merges);
    }
}

/// Merges nodes by a queue.
fn merge_all(
    nodes: &mut [Node],
    queue: &mut MergeQueue,
    cache: &mut PairCache,
    word: &[u8],
    merges: &impl Merges,
) {
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

/// What some symbols come down to: symbols, and how many of the first ones are before them.
fn merge_window(
    pairs: PairFinder<'_>,
    symbols: &[(u32, u32)],
    (nodes, queue, cache): (&mut Vec<Node>, &mut MergeQueue, &mut PairCache),
    window: &mut Vec<(u32, u32)>,
) {
    window.clear();
    let places = (0..).zip(symbols).map(|(at, &(symbol, _))| (symbol, at));
    if symbols.len() <= SHORT {
        let mut few = [(NONE, 0); SHORT];
        let few = &mut few[..symbols.len()];
        few.iter_mut().zip(places).for_each(|(to, symbol)| *to = symbol);
        return merge_few(pairs, few, symbols.len(), &mut |symbol, span| {
            window.push((symbol, span.start as u32));
        });
    }
    nodes.clear();
    nodes.extend((0..).zip(places).map(|(node, (symbol, at))| Node::new(symbol, at, node)));
    if let Some(last) = nodes.last_mut() {
        last.next = NONE;
    }
    merge_all(nodes, queue, cache, &[], &pairs);
    let mut at = 0;
    while let Some(node) = nodes.get(at as usize) {
        window.push((node.symbol, node.start));
        at = node.next;
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

/// Merges a text a window at a time, so that none is too long for a processor's caches.
///
/// A row of symbols is what its text comes down to if that is so for each two neighbours alone: what happens within a symbol depends on
/// nothing around it, so the first merge across a boundary would happen between the two as well. A window begins with symbols that are
/// done. If the first of them comes out as it was, it goes with the one before it as it did, and the rest go together since they come
/// from one window. If not, the window is made larger on both sides, so that no text costs more than a few times its merge in one.
#[derive(Debug, Default)]
pub(super) struct Windows {
    /// What is merged: symbols, and where their texts begin.
    done: Vec<(u32, u32)>,
    /// How many parts that is.
    next: usize,
    /// The same of a window, from its beginning.
    window: Vec<(u32, u32)>,
}

/// How large windows are.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    /// As large as that, if so it has at least `ahead` that is new.
    pub(super) window: usize,
    pub(super) ahead: usize,
    /// So many symbols that are done begin it.
    pub(super) back: usize,
}

impl Windows {
    /// Merges a text of so many parts, for [`iter`](Self::iter) to tell. `merge(parts, result)` merges some of them, which may begin and
    /// end where `cuts` says, and has the result as it left it; once it says `false` this does as well.
    pub(super) fn merge(
        &mut self,
        len: usize,
        sizes: Sizes,
        cuts: impl Fn(usize) -> bool,
        mut merge: impl FnMut(Range<usize>, &mut Vec<(u32, u32)>) -> bool,
    ) -> bool {
        let Self { done, next, window } = self;
        done.clear();
        *next = 0;
        let (mut back, mut least) = (sizes.back, sizes.ahead);
        while *next < len {
            let mut kept = done.len().saturating_sub(back);
            while kept > 0 && !cuts(done[kept].1 as usize) {
                kept -= 1;
            }
            let begin = done.get(kept).map_or(*next, |&(_, at)| at as usize);
            let room = sizes.window.saturating_sub(*next - begin);
            let ahead = if room >= least { room } else { least.max(*next - begin) };
            let end = (*next + ahead..len).find(|&end| cuts(end)).unwrap_or(len);
            if !merge(begin..end, window) {
                return false;
            }
            if kept > 0 && window.first().map(|first| first.0) != Some(done[kept].0) {
                (back, least) = (back * 4, ahead * 2);
                continue;
            }
            done.truncate(kept);
            done.extend(window.iter().map(|&(symbol, at)| (symbol, at + begin as u32)));
            (*next, back, least) = (end, sizes.back, sizes.ahead);
        }
        true
    }

    /// The symbols that the last text came down to, and the parts of each.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, Range<usize>)> {
        let ends = self.done.iter().skip(1).map(|&(_, at)| at as usize).chain([self.next]);
        self.done.iter().zip(ends).map(|(&(symbol, at), end)| (symbol, at as usize..end))
    }

    /// Lets go of what a very long text took.
    pub(super) fn shrink(&mut self) {
        self.done.clear();
        self.done.shrink_to(KEPT);
        self.window.clear();
        self.window.shrink_to(KEPT);
    }
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
    use proptest::prelude::*;

    use super::*;
    use crate::vocabulary::PairTable;

    /// Merges of symbols 0 to 3 and of what they make, with ranks in disorder and some of them equal.
    fn merges() -> impl Strategy<Value = Vec<(u32, u32, Rank, u32)>> {
        let merge = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..40_u32);
        proptest::collection::vec(merge, 1..60).prop_map(|picks| {
            let mut texts: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
            let mut merges: Vec<(u32, u32, Rank, u32)> = Vec::new();
            for (left, right, rank) in picks {
                let (left, right) = (left.index(texts.len()), right.index(texts.len()));
                let text = texts[left].clone() + &texts[right];
                let (left, right) = (left as u32, right as u32);
                if text.len() > 200 || merges.iter().any(|merge| (merge.0, merge.1) == (left, right)) {
                    continue;
                }
                let known = texts.iter().position(|known| *known == text);
                let merged = known.unwrap_or_else(|| {
                    texts.push(text);
                    texts.len() - 1
                });
                merges.push((left, right, Rank(rank), merged as u32));
            }
            merges
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn windows_give_what_one_merge_of_all_gives(
            merges in merges(),
            parts in proptest::collection::vec((proptest::collection::vec(0..4_u32, 1..8), 1..60_usize), 1..12),
        ) {
            let symbols: Vec<u32> = parts.iter().flat_map(|(part, times)| part.repeat(*times)).collect();
            let table = PairTable::of(merges).unwrap();
            let mut scratch = Scratch::default();
            for (at, &symbol) in symbols.iter().enumerate() {
                scratch.push(symbol, at);
            }
            let (mut whole, mut windows) = (Vec::new(), Vec::new());
            let all = 0..symbols.len();
            scratch.merge_part(all.clone(), &vec![0; symbols.len()], &table.borrow(), &mut |symbol, span| {
                whole.push((symbol, span));
            });
            scratch.merge_windows(all, symbols.len(), table.borrow(), &mut |symbol, span| {
                windows.push((symbol, span));
            });
            prop_assert_eq!(whole, windows);
        }
    }
}
