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
pub(crate) enum MemoKey {
    Short { key: [u64; 2], hash: usize },
    Long { key: [u64; 4], hash: usize },
}

impl MemoKey {
    /// The key of `word`; `None` when it is empty or too long to be remembered.
    #[inline]
    pub(crate) fn of(word: &[u8]) -> Option<Self> {
        let len = word.len();
        if len.wrapping_sub(1) >= SHORT {
            return Self::of_long(word);
        }
        let key = if let (Some(first), Some(last)) = (word.first_chunk(), word.last_chunk()) {
            // The last eight bytes overlap the first; what the two share is shifted out.
            let high = if len == 8 { 0 } else { u64::from_le_bytes(*last) >> (8 * (16 - len)) };
            [u64::from_le_bytes(*first), high]
        } else {
            [load(word, 0), 0]
        };
        Some(Self::short(key, len))
    }

    /// The key of `text[word]`: as [`MemoKey::of`], without a branch on its length where more text follows.
    #[inline]
    pub(crate) fn within(text: &[u8], word: Range<usize>) -> Option<Self> {
        let len = word.len();
        if len.wrapping_sub(1) >= SHORT {
            return Self::of_long(text.get(word)?);
        }
        let Some(bytes) = text.get(word.start..).and_then(|rest| rest.first_chunk::<16>()) else {
            return Self::of(text.get(word)?);
        };
        let [low, high]: [u64; 2] = bytemuck::cast(*bytes);
        let mask = MASKS[len];
        Some(Self::short([u64::from_le(low) & mask[0], u64::from_le(high) & mask[1]], len))
    }

    #[inline]
    fn short(key: [u64; 2], len: usize) -> Self {
        let key = [key[0], key[1] | (len as u64) << LEN_SHIFT];
        Self::Short { key, hash: mixed(key) }
    }

    fn of_long(word: &[u8]) -> Option<Self> {
        let len = word.len();
        if !(SHORT + 1..=LONGEST).contains(&len) {
            return None;
        }
        let mut bytes = [0; LONGEST + 1];
        bytes[..len].copy_from_slice(word);
        bytes[LONGEST] = len as u8;
        let key: [u64; 4] = bytemuck::cast(bytes);
        let low = mixed([key[0], key[1]]);
        Some(Self::Long { key, hash: mixed([key[2] ^ low as u64, key[3]]) })
    }
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

    /// Gives the ids remembered for a pre-token to `sink`; `false` when there are none to remember.
    #[inline]
    pub(crate) fn recall_into(&self, key: MemoKey, sink: &mut impl Sink) -> bool {
        match key {
            MemoKey::Short { key, hash } => {
                let Some(slot) = self.find(key, hash) else { return false };
                sink.push_few(&slot.ids, slot.count());
            }
            MemoKey::Long { key, hash } => {
                let Some(ids) = self.find_long(key, hash) else { return false };
                sink.push_all(ids);
            }
        }
        true
    }

    /// Remembers `ids` unless there are too many.
    #[inline]
    pub(crate) fn remember(&mut self, key: MemoKey, ids: &[u32]) {
        if self.sets.len() < SETS {
            self.remembered += 1;
            if self.remembered == SETS / 64 {
                self.grow();
            }
        }
        match key {
            MemoKey::Short { key, hash } if ids.len() <= MOST_IDS => {
                let mut slot = Slot { key, ids: [0; MOST_IDS] };
                slot.key[1] |= (ids.len() as u64) << COUNT_SHIFT;
                slot.ids[..ids.len()].copy_from_slice(ids);
                let set = hash & (self.sets.len() - 1);
                let slots = &mut self.sets[set].slots;
                *slots = [slot, slots[0]];
            }
            MemoKey::Long { key, hash } if ids.len() <= MOST_IDS_OF_LONG && !ids.contains(&u32::MAX) => {
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

    fn bits(key: MemoKey) -> [u64; 4] {
        match key {
            MemoKey::Short { key, .. } => [key[0], key[1], 0, 0],
            MemoKey::Long { key, .. } => key,
        }
    }

    fn recall(memo: &Memo, key: MemoKey) -> Option<Vec<u32>> {
        let mut ids = Vec::new();
        memo.recall_into(key, &mut ids).then_some(ids)
    }

    #[test]
    fn a_word_has_one_place_wherever_it_stands() {
        let text: Vec<u8> = (1..=70).collect();
        let mut seen = Vec::new();
        for start in 0..text.len() {
            for end in start..=text.len() {
                let len = end - start;
                let (key, within) = (MemoKey::of(&text[start..end]), MemoKey::within(&text, start..end));
                let expected = (1..=LONGEST).contains(&len).then(|| {
                    let mut bytes = [0; 32];
                    bytes[..len].copy_from_slice(&text[start..end]);
                    bytes[if len <= SHORT { SHORT } else { LONGEST }] = len as u8;
                    [0, 8, 16, 24].map(|at| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()))
                });
                assert_eq!([key.map(bits), within.map(bits)], [expected; 2]);
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
                let key = MemoKey::of(&word).unwrap();
                assert_eq!(recall(&memo, key), None);
                let ids: Vec<u32> = (0..count as u32).map(|i| 0xFF_FFFF - i).collect();
                memo.remember(key, &ids);
                let kept = count <= most;
                assert_eq!(recall(&memo, key), kept.then(|| ids.clone()));
                let mut out = vec![7];
                assert_eq!(memo.recall_into(key, &mut out), kept);
                assert_eq!(out[1..], ids[..if kept { count } else { 0 }]);
            }
        }
    }

    #[test]
    fn a_memo_that_has_grown_remembers_as_before() {
        let mut memo = Memo::new();
        let key = |i: u32| MemoKey::of(&i.to_le_bytes()).unwrap();
        for i in 1..1000 {
            memo.remember(key(i), &[i]);
            assert_eq!(recall(&memo, key(i)), Some(vec![i]));
        }
        assert_eq!((memo.sets.len(), memo.long.len()), (SETS, LONG_SLOTS));
        let known = (1..1000).filter(|&i| recall(&memo, key(i)) == Some(vec![i])).count();
        assert!(known > 700, "{known}");
    }

    #[test]
    fn the_latest_two_of_a_set_stay() {
        let mut memo = Memo::new();
        let mut places: Vec<MemoKey> =
            (0..200_000_u32).filter_map(|i| MemoKey::of(&i.to_le_bytes())).collect();
        places.retain(|key| matches!(key, MemoKey::Short { hash, .. } if hash % SETS == 5));
        let [a, b, c] = places[..3] else { panic!("a set for so few words") };
        for (key, id) in [(a, 1), (b, 2), (c, 3)] {
            memo.remember(key, &[id]);
        }
        assert_eq!(
            [recall(&memo, a), recall(&memo, b), recall(&memo, c)],
            [None, Some(vec![2]), Some(vec![3])]
        );
    }
}
