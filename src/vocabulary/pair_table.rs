//! The merges of byte-pair encoding compiled: (left, right) → the place of the merge in the order of ranks, in eight bytes a merge.

use std::hash::BuildHasher;

use crate::memory::Zeroed;

use super::bytes::{fold, next, scale};
use super::table::Table;
use super::{NONE, Rank};

/// Merges by the symbols that they join, in buckets of four, each half a cache line.
///
/// A merge is known by its place in the order of ranks, so a slot needs room for no rank, and comparing places is comparing ranks.
/// Where merges make symbols in the order of their numbers, each once, as trained vocabularies do, those numbers are the places.
#[derive(Debug)]
pub(crate) struct PairTable {
    pub(crate) buckets: Table<[u64; BUCKET]>,
    /// By place: what the merge makes. Empty where places are just that.
    pub(crate) products: Table<u32>,
    /// By place: the first place of the same rank. Empty where all ranks differ.
    pub(crate) ranks: Table<u32>,
    /// Two bits in one word for each pair: most pairs that are asked for do not merge, and this is small enough for a near cache.
    pub(crate) filter: Table<u64>,
    /// Odd, and random per table, so that no model file can be crafted to make its merges collide.
    pub(crate) multiplier: u64,
}

const BUCKET: usize = 4;

/// A slot has the left symbol, the right one, and the place, from the highest bit down.
const SYMBOL_BITS: u32 = 21;
const PLACE_BITS: u32 = 22;
const PLACES: u64 = (1 << PLACE_BITS) - 1;

/// No pair of symbols has all bits set.
const FREE: u64 = u64::MAX;

/// In place of a place: the two do not merge. Greater than all places.
pub(crate) const NO_MERGE: u32 = PLACES as u32;

impl Default for PairTable {
    fn default() -> Self {
        Self {
            buckets: vec![[FREE; BUCKET]].into(),
            products: Table::default(),
            ranks: Table::default(),
            filter: vec![0].into(),
            multiplier: 1,
        }
    }
}

impl PairTable {
    /// The table of merges: left, right, rank, and what they make, each pair once. `None` if there are too many of them,
    /// or a symbol's number is too great: 2²² − 1 merges of 2²¹ − 1 symbols are possible.
    pub(crate) fn of(mut merges: Vec<(u32, u32, Rank, u32)>) -> Option<Self> {
        merges.sort_unstable_by_key(|&(_, _, rank, _)| rank);
        let mut builder = PairTableBuilder::new(merges.len())?;
        for &(left, right, rank, merged) in &merges {
            builder.push(left, right, rank, merged)?;
        }
        Some(builder.finish())
    }

    /// Whether no pair merges.
    pub(crate) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The merges' places in the order of ranks, and what they join.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u32, u32)> + '_ {
        let slots = self.buckets.iter().flatten().filter(|&&slot| slot != FREE);
        slots.map(|&slot| {
            let symbol = |shift: u32| (slot >> shift) as u32 & ((1 << SYMBOL_BITS) - 1);
            (symbol(PLACE_BITS + SYMBOL_BITS), symbol(PLACE_BITS), (slot & PLACES) as u32)
        })
    }

    /// What is wrong with a table that was not built here, if anything: with `entries` its slots, which may name `symbols` symbols.
    pub(super) fn fault(&self, symbols: usize, entries: bool) -> Option<&'static str> {
        if self.buckets.is_empty()
            || !self.filter.len().is_power_of_two()
            || !(self.ranks.is_empty() || self.ranks.len() == self.products.len())
        {
            return Some("a table of merges with a bucket");
        }
        if !entries {
            return None;
        }
        let mut used = 0;
        let places = if self.products.is_empty() { symbols } else { self.products.len() };
        let known = self.iter().all(|(left, right, place)| {
            used += 1;
            (left as usize) < symbols && (right as usize) < symbols && (place as usize) < places
        });
        let ranks = self.ranks.iter().all(|&rank| (rank as usize) < self.products.len());
        let products = ranks && self.products.iter().all(|&product| (product as usize) < symbols);
        (8 * used > 7 * BUCKET * self.buckets.len() || !known || !products)
            .then_some("merges of known symbols, with free slots")
    }

    /// The place of the merge of `left` and `right` in the order of ranks, [`NO_MERGE`] if there is none.
    #[inline]
    pub(crate) fn find(&self, left: u32, right: u32) -> u32 {
        self.borrow().find(left, right)
    }

    /// What the merge at a place makes.
    #[inline]
    pub(crate) fn product(&self, place: u32) -> u32 {
        self.borrow().product(place)
    }

    /// The table for many look-ups.
    #[inline]
    pub(crate) fn borrow(&self) -> PairFinder<'_> {
        PairFinder {
            buckets: &self.buckets,
            products: &self.products,
            ranks: &self.ranks,
            filter: &self.filter,
            multiplier: self.multiplier,
        }
    }
}

/// A [`PairTable`] in the making, in which the merges so far are found.
pub(crate) struct PairTableBuilder {
    buckets: Zeroed<[u64; BUCKET]>,
    products: Vec<u32>,
    /// By place: the first place of the same rank, from the first two equal ranks on.
    ranks: Vec<u32>,
    last: Option<Rank>,
    filter: Vec<u64>,
    multiplier: u64,
    most: usize,
}

impl PairTableBuilder {
    /// For up to `most` merges; `None` if that is too many.
    pub(crate) fn new(most: usize) -> Option<Self> {
        if most >= NO_MERGE as usize {
            return None;
        }
        // Five in eight slots are taken.
        let mut buckets = Zeroed::new(most * 2 / 5 + 1);
        buckets.fill([FREE; BUCKET]);
        Some(Self {
            buckets,
            products: Vec::with_capacity(most),
            ranks: Vec::new(),
            last: None,
            filter: vec![0; (most / 8).next_power_of_two()],
            multiplier: std::hash::RandomState::new().hash_one(most) | 1,
            most,
        })
    }

    /// Adds a merge of a pair that has none yet, and gives its place; ranks ascend. `None` if a number is too great, or merges are too
    /// many.
    pub(crate) fn push(&mut self, left: u32, right: u32, rank: Rank, merged: u32) -> Option<u32> {
        if left.max(right).max(merged) >= (1 << SYMBOL_BITS) - 1 || self.products.len() >= self.most {
            return None;
        }
        let hash = Hash::of(left, right, self.multiplier);
        let word = hash.word(self.filter.len());
        self.filter[word] |= hash.bits();
        let mut at = hash.bucket(self.buckets.len());
        let buckets = &mut *self.buckets;
        let slot = loop {
            match buckets[at].iter_mut().find(|slot| **slot == FREE) {
                Some(slot) => break slot,
                None => at = next(at, buckets.len()),
            }
        };
        let place = self.products.len() as u32;
        *slot = key(left, right) | u64::from(place);
        self.products.push(merged);
        let equal = self.last.replace(rank) == Some(rank);
        if equal && self.ranks.is_empty() {
            self.ranks.extend(0..place);
        }
        if equal {
            self.ranks.push(self.ranks[place as usize - 1]);
        } else if !self.ranks.is_empty() {
            self.ranks.push(place);
        }
        Some(place)
    }

    /// The merges so far.
    #[inline]
    pub(crate) fn borrow(&self) -> PairFinder<'_> {
        PairFinder {
            buckets: &self.buckets,
            products: &self.products,
            ranks: &self.ranks,
            filter: &self.filter,
            multiplier: self.multiplier,
        }
    }

    /// The table.
    pub(crate) fn finish(mut self) -> PairTable {
        if self.ranks.is_empty() && self.products.windows(2).all(|pair| pair[0] < pair[1]) {
            for slot in self.buckets.iter_mut().flatten().filter(|slot| **slot != FREE) {
                *slot = *slot & !PLACES | u64::from(self.products[(*slot & PLACES) as usize]);
            }
            self.products.clear();
        }
        self.products.shrink_to_fit();
        PairTable {
            buckets: self.buckets.into(),
            products: self.products.into(),
            ranks: self.ranks.into(),
            filter: self.filter.into(),
            multiplier: self.multiplier,
        }
    }
}

/// A [`PairTable`] to look pairs up in.
#[derive(Clone, Copy)]
pub(crate) struct PairFinder<'t> {
    buckets: &'t [[u64; BUCKET]],
    products: &'t [u32],
    ranks: &'t [u32],
    filter: &'t [u64],
    multiplier: u64,
}

impl PairFinder<'_> {
    /// As [`PairTable::find`].
    #[inline]
    pub(crate) fn find(self, left: u32, right: u32) -> u32 {
        if left.max(right) >> SYMBOL_BITS != 0 {
            return NO_MERGE;
        }
        let key = key(left, right);
        let hash = Hash::of(left, right, self.multiplier);
        if self.filter.get(hash.word(self.filter.len())).is_none_or(|word| word & hash.bits() != hash.bits())
        {
            return NO_MERGE;
        }
        let mut at = hash.bucket(self.buckets.len());
        // A table that came from an image may be full; the loop must end all the same.
        for _ in 0..self.buckets.len() {
            let Some(bucket) = self.buckets.get(at) else { break };
            // Whichever it is, without a branch for each.
            let found = bucket
                .iter()
                .fold(FREE, |found, &slot| if (slot ^ key) >> PLACE_BITS == 0 { slot } else { found });
            if found != FREE || bucket[BUCKET - 1] == FREE {
                return (found & PLACES) as u32;
            }
            at = next(at, self.buckets.len());
        }
        NO_MERGE
    }

    /// What orders the merge at a place among others: those of equal ranks are told apart by where they stand.
    #[inline]
    pub(crate) fn rank(self, place: u32) -> u32 {
        if self.ranks.is_empty() {
            place
        } else {
            self.ranks.get(place as usize).copied().unwrap_or(NO_MERGE)
        }
    }

    /// What the merge of this rank makes of the two, which do merge.
    #[inline]
    pub(crate) fn product_of(self, rank: u32, left: u32, right: u32) -> u32 {
        self.product(if self.ranks.is_empty() { rank } else { self.find(left, right) })
    }

    /// As [`PairTable::product`].
    #[inline]
    pub(crate) fn product(self, place: u32) -> u32 {
        if self.products.is_empty() {
            place
        } else {
            self.products.get(place as usize).copied().unwrap_or(NONE)
        }
    }
}

#[inline]
fn key(left: u32, right: u32) -> u64 {
    u64::from(left) << (PLACE_BITS + SYMBOL_BITS) | u64::from(right) << PLACE_BITS
}

/// Of a pair, with a number that nobody knows.
#[derive(Clone, Copy)]
struct Hash(u64);

impl Hash {
    #[inline]
    fn of(left: u32, right: u32, multiplier: u64) -> Self {
        let pair = u64::from(left) << 32 | u64::from(right);
        Self(fold(pair ^ multiplier.rotate_left(32), multiplier))
    }

    #[inline]
    fn bucket(self, buckets: usize) -> usize {
        scale(self.0 as u32, buckets)
    }

    /// Of a filter of so many words, a power of two.
    #[inline]
    fn word(self, words: usize) -> usize {
        (self.0 >> 44) as usize & words.wrapping_sub(1)
    }

    #[inline]
    fn bits(self) -> u64 {
        1 << (self.0 >> 38 & 63) | 1 << (self.0 >> 32 & 63)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_are_found_by_their_symbols_in_the_order_of_their_ranks() {
        for count in [0, 1, 2, 3, 5, 1000, 60_000] {
            let merge = |i: u32| (i % 251, i / 251, Rank(7 * (count - i)), i + 3);
            let table = PairTable::of((0..count).map(merge).collect()).unwrap();
            for i in 0..count {
                let (left, right, _, merged) = merge(i);
                let place = table.find(left, right);
                // A single merge is one in the order of symbols.
                let expected = if count == 1 { merged } else { count - 1 - i };
                assert_eq!((place, table.product(place)), (expected, merged));
            }
            for (left, right) in [(251, 0), (0, 1 << 20), (NONE, 0), (0, NONE), (NONE, NONE)] {
                assert_eq!(table.find(left, right), NO_MERGE);
            }
            assert_eq!(table.iter().count(), count as usize);
            let symbols = (count + 251) as usize;
            assert_eq!((table.fault(symbols, true), table.fault(symbols, false)), (None, None));
        }
        // Of equal ranks the order of places is not that of ranks.
        let table = PairTable::of(vec![(1, 2, Rank(5), 3), (3, 4, Rank(5), 5), (6, 7, Rank(4), 8)]).unwrap();
        let pairs = table.borrow();
        let merges = [(1, 2), (3, 4), (6, 7)].map(|(left, right)| {
            let rank = pairs.rank(pairs.find(left, right));
            (rank, pairs.product_of(rank, left, right))
        });
        assert_eq!(merges, [(1, 3), (1, 5), (0, 8)]);
        // Merges that make one symbol after the other.
        let table = PairTable::of(vec![(1, 2, Rank(5), 4), (3, 4, Rank(9), 7)]).unwrap();
        assert_eq!(
            (table.products.len(), table.find(1, 2), table.find(3, 4), table.product(7)),
            (0, 4, 7, 7)
        );
        let great = (1 << SYMBOL_BITS) - 1;
        assert!(PairTable::of(vec![(great, 0, Rank(0), 1)]).is_none());
        assert!(PairTable::of(vec![(0, 0, Rank(0), great)]).is_none());
    }
}
