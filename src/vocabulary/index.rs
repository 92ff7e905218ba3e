//! From a token's bytes to its id: one open-addressing table of `u32`.

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::bytes::fold;
use super::table::Table;
use super::{Keys, MAX_SYMBOLS};

/// A hash table over the keys of a vocabulary. A slot has eight bits of the hash above the symbol's number, or
/// all bits set when it is free, so that a probe that meets another key is nearly always settled without reading that key.
///
/// The seed is random per vocabulary and travels with the table: a model file cannot be crafted to make its tokens
/// collide.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) slots: Table<u32>,
    pub(crate) seed: u64,
}

/// What separates keys of the engine's alphabet from texts that are no word of it (see [`super::attribute::RAW`]): both may
/// have the same bytes without being the same token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Domain {
    Key,
    Raw,
}

impl Index {
    /// As many as [`Index::insert_all`] enters together.
    pub(super) const BLOCK: usize = 16;

    /// Room for `len` keys at a load of at most two thirds: the tag spares most comparisons, and half the memory is worth more
    /// than a shorter walk.
    pub(crate) fn with_capacity(len: usize, seed: u64) -> Self {
        let slots = vec![FREE; (len.max(8) * 3 / 2).next_power_of_two()];
        Self { slots: slots.into(), seed }
    }

    /// What is wrong with a table that was not built here, if anything: its length, and with `entries` its slots, which may
    /// name `symbols` symbols.
    pub(super) fn fault(&self, symbols: usize, entries: bool) -> Option<&'static str> {
        if !self.slots.len().is_power_of_two() {
            return Some("an index whose length is a power of two");
        }
        if !entries {
            return None;
        }
        // A table without a free slot would make every search for an unknown key walk all of it.
        let used = self.slots.iter().filter(|&&slot| slot != FREE).count();
        let known = self.slots.iter().all(|slot| *slot == FREE || ((slot & ID_MASK) as usize) < symbols);
        (used > self.slots.len() / 8 * 7 || !known).then_some("an index of known symbols, with free slots")
    }

    /// The symbol whose key is `key`.
    pub(crate) fn find(&self, keys: Keys<'_>, key: &[u8], domain: Domain) -> Option<u32> {
        let slots: &[u32] = &self.slots;
        let mask = slots.len().wrapping_sub(1);
        let hash = self.hash(key, domain);
        let mut at = hash as usize & mask;
        // A table that came from an image may be full; the loop must end all the same.
        for _ in 0..slots.len() {
            let slot = *slots.get(at)?;
            if slot == FREE {
                return None;
            }
            if slot >> ID_BITS == tag(hash) {
                let symbol = slot & ID_MASK;
                if keys.matches(symbol, key, domain) {
                    return Some(symbol);
                }
            }
            at = (at + 1) & mask;
        }
        None
    }

    /// Enters up to [`Index::BLOCK`] symbols under their keys, growing the table where they would fill more than three quarters of
    /// it; fails with the first symbol whose key is another's, and that one before it. Holes are left out.
    pub(crate) fn insert_all(&mut self, keys: Keys<'_>, symbols: Range<u32>) -> Result<(), (u32, u32)> {
        debug_assert!(symbols.len() <= Self::BLOCK && symbols.end <= MAX_SYMBOLS);
        while symbols.end as usize > self.slots.len() / 4 * 3 {
            let mut larger = Self::with_capacity(self.slots.len(), self.seed);
            for symbol in self.slots.iter().filter(|&&slot| slot != FREE).map(|slot| slot & ID_MASK) {
                // Keys in the table are distinct.
                let _ = larger.insert(keys, symbol, larger.hash(keys.at(symbol), keys.domain(symbol)));
            }
            *self = larger;
        }
        // Looking at the slots first lets their misses overlap.
        let (mut hashes, mut seen) = ([0; Self::BLOCK], 0);
        for (hash, symbol) in hashes.iter_mut().zip(symbols.clone()) {
            *hash = self.hash(keys.at(symbol), keys.domain(symbol));
            seen |= self.slots.get(*hash as usize & (self.slots.len() - 1)).copied().unwrap_or_default();
        }
        std::hint::black_box(seen);
        hashes
            .into_iter()
            .zip(symbols)
            .filter(|&(_, symbol)| !keys.is_hole(symbol))
            .try_for_each(|(hash, symbol)| self.insert(keys, symbol, hash).map_err(|other| (other, symbol)))
    }

    /// Enters `symbol` under its key, or gives the symbol that already has this key.
    fn insert(&mut self, keys: Keys<'_>, symbol: u32, hash: u64) -> Result<(), u32> {
        let Table::Owned(slots) = &mut self.slots else { return Ok(()) };
        let mask = slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = slots[at];
            if slot == FREE {
                slots[at] = tag(hash) << ID_BITS | symbol;
                return Ok(());
            }
            if slot >> ID_BITS == tag(hash) {
                let other = slot & ID_MASK;
                if keys.matches(other, keys.at(symbol), keys.domain(symbol)) {
                    return Err(other);
                }
            }
            at = (at + 1) & mask;
        }
    }

    #[inline]
    fn hash(&self, key: &[u8], domain: Domain) -> u64 {
        let seed = match domain {
            Domain::Key => self.seed,
            Domain::Raw => !self.seed,
        };
        hash(key, seed)
    }
}

/// Of a key up to sixteen bytes, as nearly all are, the folded product of its two halves; the length goes in because the halves
/// overlap and are padded. The seed keeps both factors unknown to whoever chooses keys.
#[inline]
fn hash(key: &[u8], seed: u64) -> u64 {
    let len = key.len();
    let (low, high) = match (key.first_chunk::<8>(), key.last_chunk::<8>()) {
        (Some(low), Some(high)) if len <= 16 => (u64::from_le_bytes(*low), u64::from_le_bytes(*high)),
        (Some(_), _) => return xxh3_64_with_seed(key, seed),
        (None, _) => match (key.first_chunk::<4>(), key.last_chunk::<4>()) {
            (Some(low), Some(high)) => (u32::from_le_bytes(*low).into(), u32::from_le_bytes(*high).into()),
            _ if len == 0 => (0, 0),
            _ => (u64::from(key[0]) << 8 | u64::from(key[len / 2]), key[len - 1].into()),
        },
    };
    let low = low ^ seed;
    let high = high ^ seed.rotate_left(23) ^ (len as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let folded = fold(low, high);
    // The table takes the low bits and the tag the high ones: one more round lets every bit of a short key reach both.
    let folded = folded.wrapping_mul(0x9FB2_1C65_1E98_DF25);
    folded ^ folded >> 32
}

fn tag(hash: u64) -> u32 {
    (hash >> 56) as u32
}

const ID_BITS: u32 = 24;
const ID_MASK: u32 = (1 << ID_BITS) - 1;

/// Of the number that no symbol has.
const FREE: u32 = u32::MAX;
