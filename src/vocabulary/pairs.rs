//! The merge table of byte-pair encoding: (left, right) → (rank, merged).

use std::hash::BuildHasher;

use bytemuck::{Pod, Zeroable};

use super::bytes::{next, scale, scramble};
use super::table::Table;

/// The priority of a merge: lower goes first. A newtype, because a rank and an id are the two `u32`s one can swap.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Pod, Zeroable)]
#[repr(transparent)]
pub(crate) struct Rank(pub(crate) u32);

/// One slot of the table: left, right, rank and merged, 24 bits each, packed because most of the time of a look-up goes into
/// fetching the slot. Free while all its bits are set, which no symbol's number is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
#[repr(transparent)]
pub(crate) struct Pair([u32; 3]);

impl Pair {
    const FREE: Self = Self([u32::MAX; 3]);

    /// All four are below 2²⁴; of a greater one the lower bits count, so that [`super::NONE`] is in no pair either.
    #[inline]
    fn new(left: u32, right: u32, rank: Rank, merged: u32) -> Self {
        let rank = rank.0;
        Self([left & MASK | right << 24, right >> 8 & 0xFFFF | rank << 16, rank >> 16 & 0xFF | merged << 8])
    }

    /// Whether this is the slot of another one's pair.
    #[inline]
    fn is_of(self, other: Self) -> bool {
        let differs = |word: usize| self.0[word] ^ other.0[word];
        differs(0) | differs(1) << 16 == 0
    }

    #[inline]
    fn left(self) -> u32 {
        self.0[0] & MASK
    }

    #[inline]
    fn right(self) -> u32 {
        self.0[0] >> 24 | (self.0[1] & 0xFFFF) << 8
    }

    #[inline]
    fn rank(self) -> Rank {
        Rank(self.0[1] >> 16 | (self.0[2] & 0xFF) << 16)
    }

    #[inline]
    fn merged(self) -> u32 {
        self.0[2] >> 8
    }
}

const MASK: u32 = (1 << 24) - 1;

/// Merges by the symbols they join. Symbols are token ids, and numbers above them for texts that occur only inside
/// merges (see [`super::Vocabulary`]).
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    pub(crate) slots: Table<Pair>,
    /// Odd, and random per vocabulary, so that no model file can be crafted to make its merges collide.
    pub(crate) multiplier: u64,
}

impl Pairs {
    /// Ranks are below this.
    pub(crate) const MAX_LEN: usize = 1 << 24;

    /// A table of free slots.
    pub(super) fn new(place: Place) -> Self {
        Self { slots: vec![Pair::FREE; place.slots].into(), multiplier: place.multiplier }
    }

    /// The rank of the merge of `left` and `right`, and the symbol it makes.
    #[inline]
    pub(crate) fn find(&self, left: u32, right: u32) -> Option<(Rank, u32)> {
        let slots: &[Pair] = &self.slots;
        let wanted = Pair::new(left, right, Rank(0), 0);
        let mut at = self.place().of(left, right);
        // A table that came from an image may be full; the loop must end all the same.
        for _ in 0..slots.len() {
            let pair = *slots.get(at)?;
            if pair == Pair::FREE {
                return None;
            }
            if pair.is_of(wanted) {
                return Some((pair.rank(), pair.merged()));
            }
            at = next(at, slots.len());
        }
        None
    }

    /// Enters a merge; of those of equal pairs the one with the lowest rank counts.
    pub(crate) fn insert(&mut self, left: u32, right: u32, rank: Rank, merged: u32) {
        let (mut at, new) = (self.place().of(left, right), Pair::new(left, right, rank, merged));
        let Table::Owned(slots) = &mut self.slots else { return };
        loop {
            let pair = &mut slots[at];
            let free = *pair == Pair::FREE;
            if free || pair.is_of(new) {
                if free || rank < pair.rank() {
                    *pair = new;
                }
                return;
            }
            at = next(at, slots.len());
        }
    }

    #[inline]
    fn place(&self) -> Place {
        Place { multiplier: self.multiplier, slots: self.slots.len() }
    }

    /// Every merge in the table, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u32, Rank, u32)> + '_ {
        let pairs = self.slots.iter().filter(|&&pair| pair != Pair::FREE);
        pairs.map(|pair| (pair.left(), pair.right(), pair.rank(), pair.merged()))
    }
}

/// Where pairs go in a table.
#[derive(Clone, Copy)]
pub(super) struct Place {
    multiplier: u64,
    slots: usize,
}

impl Place {
    /// In a table for `len` merges, at a load of at most two thirds.
    pub(super) fn with_capacity(len: usize) -> Self {
        let seed = std::hash::RandomState::new().hash_one(len);
        Self { multiplier: seed | 1, slots: len.max(8) * 3 / 2 }
    }

    #[inline]
    fn of(self, left: u32, right: u32) -> usize {
        scale(scramble(u64::from(left) << 32 | u64::from(right), self.multiplier), self.slots)
    }
}
