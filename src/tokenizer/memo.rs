//! A memory of short pre-tokens and their ids, one a thread and a tokenizer, bounded.

use bytemuck::{Pod, Zeroable};

/// The longest pre-token that is remembered, in bytes: with its length it makes one 16-byte key. 99.8 % of English
/// pre-tokens fit.
const LONGEST: usize = 15;

/// The most ids that are remembered for a pre-token: they fill the slot's second half.
pub(crate) const MOST_IDS: usize = 4;

/// 2¹⁴ slots of 32 bytes: half a megabyte, which stays in a second-level cache.
const SLOTS: usize = 1 << 14;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Slot {
    /// The bytes of the pre-token, its length in the last one; never zero, since no pre-token is empty.
    key: [u64; 2],
    /// Ids, [`u32::MAX`] behind the last.
    ids: [u32; MOST_IDS],
}

/// A direct-mapped cache: a pre-token has one slot, and the latest takes it.
pub(crate) struct Memo {
    slots: Box<[Slot]>,
}

/// Where a pre-token belongs.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    key: [u64; 2],
    slot: usize,
}

impl Memo {
    pub(crate) fn new() -> Self {
        Self { slots: bytemuck::zeroed_slice_box(SLOTS) }
    }

    /// The place of `word`; `None` when it is empty or too long to be remembered.
    #[inline]
    pub(crate) fn place(word: &[u8]) -> Option<Place> {
        if word.is_empty() || word.len() > LONGEST {
            return None;
        }
        let mut bytes = [0; 16];
        bytes[..word.len()].copy_from_slice(word);
        bytes[LONGEST] = word.len() as u8;
        let key: [u64; 2] = bytemuck::cast(bytes);
        let mixed = (key[0] ^ key[1].rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ mixed >> 32 ^ key[1]).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        Some(Place { key, slot: (mixed >> 40) as usize & (SLOTS - 1) })
    }

    /// The ids remembered for a pre-token.
    #[inline]
    pub(crate) fn recall(&self, place: Place) -> Option<&[u32]> {
        let slot = &self.slots[place.slot];
        (slot.key == place.key).then(|| {
            let len = slot.ids.iter().position(|&id| id == u32::MAX).unwrap_or(MOST_IDS);
            &slot.ids[..len]
        })
    }

    /// Remembers `ids` unless there are too many.
    #[inline]
    pub(crate) fn remember(&mut self, place: Place, ids: &[u32]) {
        if ids.len() <= MOST_IDS && !ids.contains(&u32::MAX) {
            let slot = &mut self.slots[place.slot];
            slot.key = place.key;
            slot.ids = [u32::MAX; MOST_IDS];
            slot.ids[..ids.len()].copy_from_slice(ids);
        }
    }
}
