//! A memory of short pre-tokens and their ids, one a thread and a tokenizer, bounded.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use super::output::Sink;
use crate::vocabulary::load;

/// The longest pre-token that makes, with its length, one 16-byte key. 99.8 % of English pre-tokens do; of scripts that take
/// two or three bytes a letter an eighth does not, and that is a third of the text.
const SHORT: usize = 15;

/// The longest pre-token that is remembered, in bytes.
const LONGEST: usize = 31;

/// The most ids that are remembered for a pre-token: they fill the slot's second half.
pub(crate) const MOST_IDS: usize = 4;

/// 2¹⁴ sets of two slots of 32 bytes: one megabyte, which stays in a second-level cache.
const SETS: usize = 1 << 14;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Slot {
    /// The bytes of the pre-token. The last byte has its length in the lower four bits, never zero since no pre-token is
    /// empty, and the number of ids in the upper ones.
    key: [u64; 2],
    /// The ids; what stands behind them means nothing.
    ids: [u32; MOST_IDS],
}

impl Slot {
    #[inline]
    fn is(&self, key: [u64; 2]) -> bool {
        // All but the number of ids.
        (self.key[0] ^ key[0]) | (self.key[1] ^ key[1]) << 4 == 0
    }

    #[inline]
    fn count(&self) -> usize {
        (self.key[1] >> COUNT_SHIFT) as usize
    }
}

/// One cache line: where a pre-token belongs, with one that it does not drive out.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Set {
    slots: [Slot; 2],
}

/// A slot for a pre-token of more than [`SHORT`] bytes, a cache line as well.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Long {
    /// The bytes of the pre-token; the last byte has its length. Zero where there is none.
    key: [u64; 4],
    /// Ids, [`u32::MAX`] behind the last.
    ids: [u32; MOST_IDS_OF_LONG],
}

const MOST_IDS_OF_LONG: usize = 8;

/// Half a megabyte.
const LONG_SLOTS: usize = 1 << 13;

/// A cache: of short pre-tokens the latest two of a set are remembered, of longer ones the latest of a slot.
///
/// It begins with a 64th of the size, because clearing a megabyte takes longer than encoding a sentence.
pub(crate) struct Memo {
    /// As many as a power of two; so are the others.
    sets: Box<[Set]>,
    long: Box<[Long]>,
    /// How many pre-tokens were remembered before there was more room.
    remembered: usize,
}

/// Where a pre-token belongs: its key and a hash of it.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    Short { key: [u64; 2], hash: usize },
    Long { key: [u64; 4], hash: usize },
}

impl Memo {
    pub(crate) fn new() -> Self {
        Self {
            sets: bytemuck::zeroed_slice_box(SETS / 64),
            long: bytemuck::zeroed_slice_box(LONG_SLOTS / 64),
            remembered: 0,
        }
    }

    #[cold]
    fn grow(&mut self) {
        // The few pre-tokens that it knew will be learned again.
        self.sets = bytemuck::zeroed_slice_box(SETS);
        self.long = bytemuck::zeroed_slice_box(LONG_SLOTS);
    }

    /// The place of `word`; `None` when it is empty or too long to be remembered.
    #[inline]
    pub(crate) fn place(word: &[u8]) -> Option<Place> {
        let len = word.len();
        if len.wrapping_sub(1) >= SHORT {
            return Self::long_place(word);
        }
        let key = if let (Some(first), Some(last)) = (word.first_chunk(), word.last_chunk()) {
            // The last eight bytes overlap the first; what the two share is shifted out.
            let high = if len == 8 { 0 } else { u64::from_le_bytes(*last) >> (8 * (16 - len)) };
            [u64::from_le_bytes(*first), high]
        } else {
            [load(word, 0), 0]
        };
        Some(Self::placed(key, len))
    }

    /// The place of `text[word]`: as [`Memo::place`], without a branch on its length where more text follows.
    #[inline]
    pub(crate) fn place_in(text: &[u8], word: Range<usize>) -> Option<Place> {
        let len = word.len();
        if len.wrapping_sub(1) >= SHORT {
            return Self::long_place(text.get(word)?);
        }
        let Some(bytes) = text.get(word.start..).and_then(|rest| rest.first_chunk::<16>()) else {
            return Self::place(text.get(word)?);
        };
        let [low, high]: [u64; 2] = bytemuck::cast(*bytes);
        let mask = MASKS[len];
        Some(Self::placed([u64::from_le(low) & mask[0], u64::from_le(high) & mask[1]], len))
    }

    #[inline]
    fn placed(key: [u64; 2], len: usize) -> Place {
        let key = [key[0], key[1] | (len as u64) << LEN_SHIFT];
        Place::Short { key, hash: mixed(key) }
    }

    fn long_place(word: &[u8]) -> Option<Place> {
        let len = word.len();
        if !(SHORT + 1..=LONGEST).contains(&len) {
            return None;
        }
        let mut bytes = [0; LONGEST + 1];
        bytes[..len].copy_from_slice(word);
        bytes[LONGEST] = len as u8;
        let key: [u64; 4] = bytemuck::cast(bytes);
        let low = mixed([key[0], key[1]]);
        Some(Place::Long { key, hash: mixed([key[2] ^ low as u64, key[3]]) })
    }

    #[inline]
    fn find(&self, key: [u64; 2], hash: usize) -> Option<&Slot> {
        let Set { slots: [first, second] } = self.sets.get(hash & (self.sets.len() - 1))?;
        if first.is(key) {
            Some(first)
        } else if second.is(key) {
            Some(second)
        } else {
            None
        }
    }

    fn find_long(&self, key: [u64; 4], hash: usize) -> Option<&[u32]> {
        let Long { key: found, ids } = self.long.get(hash & (self.long.len() - 1))?;
        let len = || ids.iter().position(|&id| id == u32::MAX).unwrap_or(MOST_IDS_OF_LONG);
        (*found == key).then(|| &ids[..len()])
    }

    /// The ids remembered for a pre-token.
    #[inline]
    pub(crate) fn recall(&self, place: Place) -> Option<&[u32]> {
        match place {
            Place::Short { key, hash } => {
                self.find(key, hash).map(|slot| &slot.ids[..slot.count().min(MOST_IDS)])
            }
            Place::Long { key, hash } => self.find_long(key, hash),
        }
    }

    /// Gives the ids remembered for a pre-token to `sink`; `false` when there are none to remember.
    #[inline]
    pub(crate) fn recall_into(&self, place: Place, sink: &mut impl Sink) -> bool {
        match place {
            Place::Short { key, hash } => {
                let Some(slot) = self.find(key, hash) else { return false };
                sink.extend_few(&slot.ids, slot.count());
            }
            Place::Long { key, hash } => {
                let Some(ids) = self.find_long(key, hash) else { return false };
                sink.extend(ids);
            }
        }
        true
    }

    /// Remembers `ids` unless there are too many.
    #[inline]
    pub(crate) fn remember(&mut self, place: Place, ids: &[u32]) {
        if self.sets.len() < SETS {
            self.remembered += 1;
            if self.remembered == SETS / 64 {
                self.grow();
            }
        }
        match place {
            Place::Short { key, hash } if ids.len() <= MOST_IDS => {
                let mut slot = Slot { key, ids: [0; MOST_IDS] };
                slot.key[1] |= (ids.len() as u64) << COUNT_SHIFT;
                slot.ids[..ids.len()].copy_from_slice(ids);
                let set = hash & (self.sets.len() - 1);
                let slots = &mut self.sets[set].slots;
                *slots = [slot, slots[0]];
            }
            Place::Long { key, hash } if ids.len() <= MOST_IDS_OF_LONG && !ids.contains(&u32::MAX) => {
                let slot = hash & (self.long.len() - 1);
                let long = &mut self.long[slot];
                *long = Long { key, ids: [u32::MAX; MOST_IDS_OF_LONG] };
                long.ids[..ids.len()].copy_from_slice(ids);
            }
            _ => {}
        }
    }
}

/// One multiplication to 128 bits, both halves of which count.
#[inline]
fn mixed(key: [u64; 2]) -> usize {
    let product = u128::from(key[0] ^ 0x9E37_79B9_7F4A_7C15) * u128::from(key[1] ^ 0xD6E8_FEB8_6659_FD93);
    ((product >> 64) ^ product) as usize
}

/// A memory of characters and the symbols they are, for engines that begin with characters.
#[derive(Debug, Default)]
pub(crate) struct Characters {
    /// Made on first use. Bytes of the character plus one, zero where nothing is remembered; and its symbol.
    entries: Option<Box<[[u32; 2]; CHARACTERS]>>,
}

/// 16 kilobytes: ASCII and one or two other scripts.
const CHARACTERS: usize = 1 << 11;

impl Characters {
    /// The symbol of `character`, one whole character as its first byte has it, by `find` if it is not remembered.
    #[inline]
    pub(crate) fn symbol(&mut self, character: &[u8], find: impl FnOnce() -> u32) -> u32 {
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

/// Of a key's second word.
const LEN_SHIFT: u32 = 56;
const COUNT_SHIFT: u32 = 60;

/// What of 16 bytes belongs to a pre-token of so many.
static MASKS: [[u64; 2]; 16] = {
    let mut masks = [[0; 2]; 16];
    let mut len = 1;
    while len < 16 {
        masks[len] = if len < 8 { [(1 << (8 * len)) - 1, 0] } else { [u64::MAX, (1 << (8 * (len - 8))) - 1] };
        len += 1;
    }
    masks
};

#[cfg(test)]
mod tests {
    use super::*;

    fn key(place: Place) -> [u64; 4] {
        match place {
            Place::Short { key, .. } => [key[0], key[1], 0, 0],
            Place::Long { key, .. } => key,
        }
    }

    #[test]
    fn a_word_has_one_place_wherever_it_stands() {
        let text: Vec<u8> = (1..=70).collect();
        let mut seen = Vec::new();
        for start in 0..text.len() {
            for end in start..=text.len() {
                let len = end - start;
                let (place, within) = (Memo::place(&text[start..end]), Memo::place_in(&text, start..end));
                let expected = (1..=LONGEST).contains(&len).then(|| {
                    let mut bytes = [0; 32];
                    bytes[..len].copy_from_slice(&text[start..end]);
                    bytes[if len <= SHORT { SHORT } else { LONGEST }] = len as u8;
                    [0, 8, 16, 24].map(|at| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()))
                });
                assert_eq!([place.map(key), within.map(key)], [expected; 2]);
                Extend::extend(&mut seen, expected);
            }
        }
        let all = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), all, "no two words share a key");
    }

    #[test]
    fn a_word_is_recalled_with_its_ids_and_too_many_are_not_kept() {
        let mut memo = Memo::new();
        for (len, most) in [(1, MOST_IDS), (15, MOST_IDS), (16, MOST_IDS_OF_LONG), (31, MOST_IDS_OF_LONG)] {
            for count in 0..=most + 1 {
                let word = vec![b'a' + count as u8; len];
                let place = Memo::place(&word).unwrap();
                assert_eq!(memo.recall(place), None);
                let ids: Vec<u32> = (0..count as u32).map(|i| 0xFF_FFFF - i).collect();
                memo.remember(place, &ids);
                let kept = count <= most;
                assert_eq!(memo.recall(place), kept.then_some(&ids[..]));
                let mut out = vec![7];
                assert_eq!(memo.recall_into(place, &mut out), kept);
                assert_eq!(out[1..], ids[..if kept { count } else { 0 }]);
            }
        }
    }

    #[test]
    fn a_memo_that_has_grown_remembers_as_before() {
        let mut memo = Memo::new();
        let place = |i: u32| Memo::place(&i.to_le_bytes()).unwrap();
        for i in 1..1000 {
            memo.remember(place(i), &[i]);
            assert_eq!(memo.recall(place(i)), Some(&[i][..]));
        }
        assert_eq!((memo.sets.len(), memo.long.len()), (SETS, LONG_SLOTS));
        let known = (1..1000).filter(|&i| memo.recall(place(i)) == Some(&[i][..])).count();
        assert!(known > 700, "{known}");
    }

    #[test]
    fn the_latest_two_of_a_set_stay() {
        let mut memo = Memo::new();
        let mut places: Vec<Place> = (0..200_000_u32).filter_map(|i| Memo::place(&i.to_le_bytes())).collect();
        places.retain(|place| matches!(place, Place::Short { hash, .. } if hash % SETS == 5));
        let [a, b, c] = places[..3] else { panic!("a set for so few words") };
        for (place, id) in [(a, 1), (b, 2), (c, 3)] {
            memo.remember(place, &[id]);
        }
        assert_eq!([memo.recall(a), memo.recall(b), memo.recall(c)], [None, Some(&[2][..]), Some(&[3])]);
    }
}
