//! The merge table of byte-pair encoding: (left, right) → (rank, merged).

use bytemuck::{Pod, Zeroable};

use super::table::Table;

/// The priority of a merge: lower goes first. A newtype, because a rank and an id are the two `u32`s one can swap.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Pod, Zeroable)]
#[repr(transparent)]
pub(crate) struct Rank(pub(crate) u32);

/// One slot of the table; free while it is all zeros, so that a new table costs nothing before it is written to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Pair {
    /// One more than the left symbol.
    left: u32,
    right: u32,
    rank: Rank,
    merged: u32,
}

/// Merges by the symbols they join. Symbols are token ids, and numbers above them for texts that occur only inside
/// merges (see [`super::Vocabulary`]).
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    pub(crate) slots: Table<Pair>,
    /// Odd, and random per vocabulary, so that no model file can be crafted to make its merges collide.
    pub(crate) multiplier: u64,
}

impl Pairs {
    /// As many as [`Pairs::insert_all`] enters together.
    pub(super) const BLOCK: usize = 16;

    /// Room for `len` merges at a load of at most two thirds.
    pub(crate) fn with_capacity(len: usize, seed: u64) -> Self {
        let slots = bytemuck::zeroed_vec((len.max(8) * 3 / 2).next_power_of_two());
        Self { slots: slots.into(), multiplier: seed | 1 }
    }

    /// What is wrong with a table that was not built here, if anything: its length, and with `entries` its slots, which may
    /// name `symbols` symbols.
    pub(super) fn fault(&self, symbols: usize, entries: bool) -> Option<&'static str> {
        if !self.slots.is_empty() && !self.slots.len().is_power_of_two() {
            return Some("a merge table whose length is a power of two");
        }
        if !entries || self.slots.is_empty() {
            return None;
        }
        let used = self.iter().count();
        let known = self.iter().all(|(left, right, _, merged)| {
            [left, right, merged].iter().all(|&symbol| (symbol as usize) < symbols)
        });
        (used > self.slots.len() / 8 * 7 || !known).then_some("merges of known symbols, with free slots")
    }

    /// The rank of the merge of `left` and `right`, and the symbol it makes.
    #[inline]
    pub(crate) fn find(&self, left: u32, right: u32) -> Option<(Rank, u32)> {
        let slots: &[Pair] = &self.slots;
        let mask = slots.len().wrapping_sub(1);
        let mut at = self.slot(left, right, slots.len());
        // A table that came from an image may be full; the loop must end all the same.
        for _ in 0..slots.len() {
            let pair = slots.get(at)?;
            if pair.left == left.wrapping_add(1) && pair.right == right {
                // No symbol has the number before 0, so a free slot does not look like this.
                return (pair.left != FREE).then_some((pair.rank, pair.merged));
            }
            if pair.left == FREE {
                return None;
            }
            at = (at + 1) & mask;
        }
        None
    }

    /// Enters a merge unless the pair has one already: the first line of a merges list wins.
    pub(crate) fn insert(&mut self, left: u32, right: u32, rank: Rank, merged: u32) {
        self.enter(left, right, rank, merged, false);
    }

    /// Enters a merge in place of the one that the pair may have: the last line of a merges list wins.
    pub(crate) fn replace(&mut self, left: u32, right: u32, rank: Rank, merged: u32) {
        self.enter(left, right, rank, merged, true);
    }

    #[inline]
    fn enter(&mut self, left: u32, right: u32, rank: Rank, merged: u32, replace: bool) {
        let mut at = self.slot(left, right, self.slots.len());
        let entered = Pair { left: left + 1, right, rank, merged };
        let Table::Owned(slots) = &mut self.slots else { return };
        let mask = slots.len() - 1;
        loop {
            let pair = &mut slots[at];
            let same = pair.left == entered.left && pair.right == entered.right;
            if pair.left == FREE || same && replace {
                *pair = entered;
                return;
            }
            if same {
                return;
            }
            at = (at + 1) & mask;
        }
    }

    /// As [`Pairs::insert`], for many: `[left, right, rank, merged]`.
    pub(crate) fn insert_all(&mut self, merges: &[[u32; 4]]) {
        for block in merges.chunks(Self::BLOCK) {
            // The slots are all over a table that no near cache holds. Looking at those of a block first lets the misses
            // overlap, which they would not across the branches of the insertion.
            let look = |&[left, right, ..]: &[u32; 4]| {
                self.slots.get(self.slot(left, right, self.slots.len())).map_or(0, |pair| pair.left)
            };
            std::hint::black_box(block.iter().map(look).fold(0, u32::wrapping_add));
            for &[left, right, rank, merged] in block {
                self.insert(left, right, Rank(rank), merged);
            }
        }
    }

    /// Every merge in the table, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u32, Rank, u32)> + '_ {
        self.slots.iter().filter(|p| p.left != FREE).map(|p| (p.left - 1, p.right, p.rank, p.merged))
    }

    #[inline]
    fn slot(&self, left: u32, right: u32, len: usize) -> usize {
        // Multiply-shift hashing: the upper bits of the product are the well mixed ones. Two rounds, because one leaves
        // `right` alone in the low half.
        let key = u64::from(left) << 32 | u64::from(right);
        let mixed = (key ^ key >> 29).wrapping_mul(self.multiplier);
        (mixed ^ mixed >> 32).wrapping_mul(self.multiplier) as usize >> 20 & len.wrapping_sub(1)
    }
}

const FREE: u32 = 0;
