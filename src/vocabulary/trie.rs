//! From the bytes of a text to the tokens it begins with: a trie in one flat array.

use bytemuck::{Pod, Zeroable};

use super::table::Table;
use super::{MAX_SYMBOLS, VocabularyError};

/// A double-array trie over byte strings: the child of a node under a byte lies at `base ^ byte`, if the slot there says so.
///
/// A step down is one load and one comparison. Nothing points anywhere, so that the array can lie in a mapped image; from an image
/// that was tampered with come wrong tokens, never a panic.
#[derive(Debug, Default)]
pub(crate) struct Trie {
    pub(crate) nodes: Table<Node>,
}

/// A place in a [`Trie`]: all that is needed to go on from there.
///
/// Bits 0–23: the id of the key that ends here, [`MAX_SYMBOLS`] for none. Bits 24–31: the byte that leads here. Bit 32: the slot is
/// in use. Bits 33–63: the base. No two nodes share a base, so a slot's byte tells whose child it is; base 0, which no node has,
/// is that of nodes without children.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
#[repr(transparent)]
pub(crate) struct Node(u64);

impl Node {
    const FREE: Self = Self(MAX_SYMBOLS as u64);

    /// The id of the key that ends here.
    #[inline]
    pub(crate) fn id(self) -> Option<u32> {
        let id = self.0 as u32 & MAX_SYMBOLS;
        (id != MAX_SYMBOLS).then_some(id)
    }

    #[inline]
    fn base(self) -> usize {
        (self.0 >> BASE_SHIFT) as usize
    }
}

impl Trie {
    /// Builds a trie of `keys`; of equal keys the last one counts, empty ones are left out.
    ///
    /// `O(bytes)` after a sort. A crafted set of keys can make the array sparse, at worst some dozen slots a node.
    ///
    /// # Errors
    ///
    /// [`VocabularyError::TooLarge`] when the array would have more than 2³¹ slots.
    pub(crate) fn new<'k>(keys: impl IntoIterator<Item = (u32, &'k [u8])>) -> Result<Self, VocabularyError> {
        let keys: Vec<(u32, &[u8])> = keys.into_iter().filter(|(_, key)| !key.is_empty()).collect();
        let sorted = Sorted::new(&keys);
        let mut slots = Slots::new(sorted.bytes.len());
        let mut queue = std::collections::VecDeque::from([Pending {
            slot: 0,
            depth: 0,
            start: 0,
            end: sorted.ids.len() as u32,
        }]);
        let mut labels = Vec::with_capacity(256);
        let mut ends = Vec::with_capacity(256);
        // By levels, so that the upper ones, which every walk passes, lie close together.
        while let Some(Pending { slot, depth, start, end }) = queue.pop_front() {
            let mut at = start;
            while at < end && sorted.len(at) == depth {
                at += 1;
            }
            let id = if at > start { sorted.ids[at as usize - 1] } else { MAX_SYMBOLS };
            let first = at;
            labels.clear();
            ends.clear();
            while at < end {
                let label = sorted.byte(at, depth);
                at += 1;
                while at < end && sorted.byte(at, depth) == label {
                    at += 1;
                }
                labels.push(label);
                ends.push(at);
            }
            let base = if labels.is_empty() { 0 } else { slots.place(&labels)? };
            let node = &mut slots.nodes[slot as usize].0;
            *node = *node & !u64::from(MAX_SYMBOLS) | u64::from(id) | (base as u64) << BASE_SHIFT;
            let mut start = first;
            for (&label, &end) in labels.iter().zip(&ends) {
                let slot = base ^ usize::from(label);
                slots.nodes[slot] = Node(IN_USE | u64::from(label) << LABEL_SHIFT | u64::from(MAX_SYMBOLS));
                queue.push_back(Pending { slot: slot as u32, depth: depth + 1, start, end });
                start = end;
            }
        }
        slots.nodes.shrink_to_fit();
        Ok(Self { nodes: slots.nodes.into() })
    }

    /// Whether there is no key.
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.first().is_none_or(|root| root.base() == 0)
    }

    /// Borrowed for walking, so that where the array lies is asked once.
    #[inline]
    pub(crate) fn walker(&self) -> Walker<'_> {
        Walker { nodes: &self.nodes }
    }

    /// The longest key that `text` begins with: its length and id.
    #[inline]
    pub(crate) fn longest(&self, text: &[u8]) -> Option<(usize, u32)> {
        self.walker().longest(text)
    }

    /// How many bytes of `text` are the beginning of some key, whole or not.
    pub(crate) fn depth(&self, text: &[u8]) -> usize {
        let walker = self.walker();
        let mut node = walker.root();
        for (i, &byte) in text.iter().enumerate() {
            let Some(child) = walker.child(node, byte) else { return i };
            node = child;
        }
        text.len()
    }
}

/// The nodes of a [`Trie`], borrowed.
#[derive(Clone, Copy)]
pub(crate) struct Walker<'t> {
    nodes: &'t [Node],
}

impl Walker<'_> {
    /// Where every key begins.
    #[inline]
    pub(crate) fn root(self) -> Node {
        self.nodes.first().copied().unwrap_or(Node::FREE)
    }

    /// The node one byte further down.
    #[inline]
    pub(crate) fn child(self, node: Node, byte: u8) -> Option<Node> {
        let child = *self.nodes.get(node.base() ^ usize::from(byte))?;
        (child.0 >> LABEL_SHIFT & 0x1FF == 0x100 | u64::from(byte)).then_some(child)
    }

    /// The longest key that `text` begins with: its length and id.
    #[inline]
    pub(crate) fn longest(self, text: &[u8]) -> Option<(usize, u32)> {
        let mut node = self.root();
        let mut longest = None;
        for (i, &byte) in text.iter().enumerate() {
            let Some(child) = self.child(node, byte) else { break };
            if let Some(id) = child.id() {
                longest = Some((i + 1, id));
            }
            node = child;
        }
        longest
    }

    /// Calls `found(len, id)` for every key that `text` begins with, the shorter first.
    #[inline]
    pub(crate) fn prefixes(self, text: &[u8], mut found: impl FnMut(usize, u32)) {
        let mut node = self.root();
        for (i, &byte) in text.iter().enumerate() {
            let Some(child) = self.child(node, byte) else { return };
            if let Some(id) = child.id() {
                found(i + 1, id);
            }
            node = child;
        }
    }
}

const LABEL_SHIFT: u32 = 24;
const BASE_SHIFT: u32 = 33;
const IN_USE: u64 = 1 << 32;

/// A node whose children are still to be placed: they are in `sorted[start..end]`, which share `depth` bytes.
struct Pending {
    slot: u32,
    depth: usize,
    start: u32,
    end: u32,
}

/// Keys in their order, equal ones as they came; their bytes in one piece, since the build goes over them level by level.
struct Sorted {
    ids: Vec<u32>,
    bytes: Vec<u8>,
    /// Where each key begins in `bytes`, and where the last one ends.
    starts: Vec<usize>,
}

impl Sorted {
    fn new(keys: &[(u32, &[u8])]) -> Self {
        // The next eight bytes of a key, the first one on top, tell most keys apart without another look at them.
        let chunk = |key: &[u8], from: usize| {
            let rest = key.get(from..).unwrap_or_default();
            let mut chunk = [0; 8];
            let len = rest.len().min(8);
            chunk[..len].copy_from_slice(&rest[..len]);
            u64::from_be_bytes(chunk)
        };
        let mut order: Vec<(u64, u32)> = (0..).zip(keys).map(|(i, (_, key))| (chunk(key, 0), i)).collect();
        order.sort_unstable();
        for same in order.chunk_by_mut(|a, b| a.0 == b.0).filter(|same| same.len() > 1) {
            for (next, i) in &mut *same {
                *next = chunk(keys[*i as usize].1, 8);
            }
            same.sort_unstable_by(|&(a, i), &(b, j)| {
                let whole = |i: u32| keys[i as usize].1;
                // Padding looks like zero bytes, so equal chunks need a look at the keys.
                a.cmp(&b).then_with(|| whole(i).cmp(whole(j))).then(i.cmp(&j))
            });
        }
        let mut sorted = Self {
            ids: Vec::with_capacity(keys.len()),
            bytes: Vec::with_capacity(keys.iter().map(|(_, key)| key.len()).sum()),
            starts: Vec::with_capacity(keys.len() + 1),
        };
        for (_, i) in order {
            let (id, key) = keys[i as usize];
            sorted.ids.push(id);
            sorted.starts.push(sorted.bytes.len());
            sorted.bytes.extend_from_slice(key);
        }
        sorted.starts.push(sorted.bytes.len());
        sorted
    }

    fn len(&self, at: u32) -> usize {
        self.starts[at as usize + 1] - self.starts[at as usize]
    }

    fn byte(&self, at: u32, depth: usize) -> u8 {
        self.bytes[self.starts[at as usize] + depth]
    }
}

/// Slots in blocks of 256: the children of a node share a block, since `^` with a byte does not leave it.
struct Slots {
    nodes: Vec<Node>,
    blocks: Vec<Block>,
    /// Blocks in which room is looked for, the oldest first.
    open: Vec<u32>,
}

struct Block {
    /// One bit a slot: nothing is in it.
    free: [u64; 4],
    /// One bit a slot: it is no node's base.
    unused: [u64; 4],
}

impl Slots {
    /// Room for so many nodes, which is at once given back where keys share beginnings: to grow by doubling would take three times as
    /// much for a moment.
    fn new(nodes: usize) -> Self {
        let mut slots = Self { nodes: Vec::with_capacity(nodes + 512), blocks: Vec::new(), open: Vec::new() };
        slots.open_block();
        // Slot 0 is the root's own, base 0 nobody's.
        slots.blocks[0].free[0] &= !1;
        slots.blocks[0].unused[0] &= !1;
        slots
    }

    /// Finds a base for children under `labels` and takes their slots.
    fn place(&mut self, labels: &[u8]) -> Result<usize, VocabularyError> {
        // Single children fill the oldest block to the brim, families look where there is most room.
        let found = if let &[label] = labels {
            loop {
                let Some(&block) = self.open.first() else { break None };
                if let Some(base) = self.blocks[block as usize].base_of_one(label) {
                    break Some((block, base));
                }
                // A block without room for a single child is at least half full; looking at it again and again would cost
                // more than the rest of it is worth.
                self.open.remove(0);
            }
        } else {
            let mut open = self.open.iter().rev();
            open.find_map(|&block| Some((block, self.blocks[block as usize].base(labels)?)))
        };
        let (block, offset) = if let Some(found) = found {
            found
        } else {
            if self.nodes.len() >= MOST_SLOTS {
                return Err(VocabularyError::TooLarge);
            }
            let block = self.open_block();
            // In an empty block every base will do.
            (block, self.blocks[block as usize].base(labels).unwrap_or_default())
        };
        let map = &mut self.blocks[block as usize];
        map.unused[usize::from(offset >> 6)] &= !(1 << (offset & 63));
        for label in labels {
            let slot = offset ^ label;
            map.free[usize::from(slot >> 6)] &= !(1 << (slot & 63));
        }
        if map.free == [0; 4] {
            self.open.retain(|&open| open != block);
        }
        Ok(block as usize * 256 + usize::from(offset))
    }

    fn open_block(&mut self) -> u32 {
        let block = self.blocks.len() as u32;
        self.nodes.resize(self.nodes.len() + 256, Node::FREE);
        self.blocks.push(Block { free: [u64::MAX; 4], unused: [u64::MAX; 4] });
        if self.open.len() == MOST_OPEN {
            self.open.remove(0);
        }
        self.open.push(block);
        block
    }
}

impl Block {
    /// A base that no node has, and under which `label` is free.
    fn base_of_one(&self, label: u8) -> Option<u8> {
        for (word, &free) in self.free.iter().enumerate() {
            let mut free = free;
            while free != 0 {
                let base = (word as u8 * 64 + free.trailing_zeros() as u8) ^ label;
                if self.unused[usize::from(base >> 6)] >> (base & 63) & 1 != 0 {
                    return Some(base);
                }
                free &= free - 1;
            }
        }
        None
    }

    /// A base that no node has, and under which all of `labels` are free.
    fn base(&self, labels: &[u8]) -> Option<u8> {
        (0..4).find_map(|word| {
            let mut bases = self.unused[word];
            for &label in labels {
                if bases == 0 {
                    return None;
                }
                bases &= permute(self.free[word ^ usize::from(label >> 6)], label & 63);
            }
            (bases != 0).then(|| word as u8 * 64 + bases.trailing_zeros() as u8)
        })
    }
}

/// Moves bit `i` to `i ^ by`.
fn permute(bits: u64, by: u8) -> u64 {
    let swap = |bits: u64, low: u64, by: u32| (bits & low) << by | bits >> by & low;
    let mut bits = bits;
    if by & 1 != 0 {
        bits = swap(bits, 0x5555_5555_5555_5555, 1);
    }
    if by & 2 != 0 {
        bits = swap(bits, 0x3333_3333_3333_3333, 2);
    }
    if by & 4 != 0 {
        bits = swap(bits, 0x0F0F_0F0F_0F0F_0F0F, 4);
    }
    if by & 8 != 0 {
        bits = swap(bits, 0x00FF_00FF_00FF_00FF, 8);
    }
    if by & 16 != 0 {
        bits = swap(bits, 0x0000_FFFF_0000_FFFF, 16);
    }
    bits.rotate_left(u32::from(by & 32))
}

/// More open blocks fill the array better and take longer.
const MOST_OPEN: usize = 8;

const MOST_SLOTS: usize = (1 << 31) - 256;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn trie(keys: &[&[u8]]) -> Trie {
        Trie::new(keys.iter().enumerate().map(|(id, &key)| (id as u32, key))).unwrap()
    }

    #[test]
    fn an_empty_trie_finds_nothing() {
        for trie in [Trie::default(), trie(&[]), trie(&[b""])] {
            assert!(trie.is_empty());
            assert_eq!(trie.longest(b"\0a"), None);
            assert_eq!(trie.depth(b"a"), 0);
        }
    }

    #[test]
    fn of_equal_keys_the_last_counts() {
        let trie = trie(&[b"ab", b"a", b"ab", b"ab\0"]);
        assert_eq!(trie.longest(b"abc"), Some((2, 2)));
        assert_eq!(trie.longest(b"ab\0c"), Some((3, 3)));
        assert_eq!(trie.depth(b"abc"), 2);
    }

    #[test]
    fn a_tampered_array_does_not_panic() {
        let trie = trie(&[b"ab", b"a", b"xyz"]);
        for i in 0..trie.nodes.len().min(300) {
            for bit in 0..64 {
                let mut nodes = trie.nodes.to_vec();
                nodes[i].0 ^= 1 << bit;
                Trie { nodes: nodes.into() }.walker().prefixes(b"abxyzab", |_, _| {});
            }
        }
    }

    #[test]
    fn two_branches_a_node_stay_dense() {
        // Every key differs from the next in its last bit, whatever the path: many small forks.
        let keys: Vec<[u8; 4]> =
            (0..40_000u32).map(|i| (i.wrapping_mul(0x9E37_79B1) & !0xFF | i & 1).to_be_bytes()).collect();
        let trie = Trie::new(keys.iter().enumerate().map(|(id, key)| (id as u32, &key[..]))).unwrap();
        let mut nodes = std::collections::BTreeSet::new();
        for key in &keys {
            nodes.extend((1..=4).map(|len| &key[..len]));
        }
        assert!(trie.nodes.len() < nodes.len() * 2, "{} slots for {} nodes", trie.nodes.len(), nodes.len());
    }

    proptest! {
        #[test]
        fn finds_what_a_map_finds(
            keys in prop::collection::vec(prop::collection::vec(prop_oneof![0u8..4, any::<u8>()], 0..12), 0..200),
            text in prop::collection::vec(prop_oneof![0u8..4, any::<u8>()], 0..24),
        ) {
            let trie = Trie::new(keys.iter().enumerate().map(|(id, key)| (id as u32, &key[..]))).unwrap();
            let map: BTreeMap<&[u8], u32> = keys.iter().enumerate().map(|(id, key)| (&key[..], id as u32)).collect();
            let texts = keys.iter().map(|key| &key[..]).chain([&text[..]]);
            for text in texts {
                let expected: Vec<(usize, u32)> =
                    (1..=text.len()).filter_map(|len| Some((len, *map.get(&text[..len])?))).collect();
                let mut found = Vec::new();
                trie.walker().prefixes(text, |len, id| found.push((len, id)));
                prop_assert_eq!(&found, &expected);
                prop_assert_eq!(trie.longest(text), expected.last().copied());
                let depth = (0..=text.len()).rev().find(|&len| keys.iter().any(|key| key.starts_with(&text[..len])));
                prop_assert_eq!(trie.depth(text), depth.unwrap_or(0));
            }
        }
    }
}
