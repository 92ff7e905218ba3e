//! A memory of words and their ids, one a thread and a tokenizer, bounded.

use std::ops::{Range, RangeInclusive};

use bytemuck::{Pod, Zeroable};
use xxhash_rust::xxh3::xxh3_64;

use super::output::Sink;
use crate::memory::{Zeroed, prefetch};
use crate::split::{BLOCK, Piece};
use crate::vocabulary::load;

/// The longest word that makes, with its length, one 16-byte key. 99.8 % of English words do; of scripts that take two or three
/// bytes a letter an eighth does not, and that is a third of the text.
const SHORT: usize = 15;

/// The longest word that is remembered, in bytes.
const LONGEST: usize = 160;

/// The most ids that a slot holds itself: they fill its second half.
pub(crate) const MOST_IDS: usize = 4;

/// In place of the number of ids: they are elsewhere.
const SPILLED: usize = 15;

/// The least and the most sets, of two slots of 32 bytes each: 32 kilobytes to 8 megabytes, four times as many at a time.
const SETS: RangeInclusive<usize> = 1 << 9..=1 << 17;

/// The least and the most slots for longer words, of 24 bytes each: 6 kilobytes to 1.5 megabytes.
const LONG_SLOTS: RangeInclusive<usize> = 1 << 8..=1 << 16;

/// So much room there is for the bytes of longer words, and for ids that are too many for a slot: 2 and 4 megabytes.
const MOST_BYTES: usize = 1 << 21;
const MOST_SPILLED: usize = 1 << 20;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Slot {
    /// The bytes of the word. The last byte has its length in the lower four bits, never zero since no word is empty, and the
    /// number of ids in the upper ones.
    key: [u64; 2],
    /// The ids, and anything behind them; or, where they are [`SPILLED`], where they begin and how many they are.
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

/// One cache line: where a word belongs, with one that it does not drive out.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Set {
    slots: [Slot; 2],
}

/// A word of more than [`SHORT`] bytes.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Long {
    hash: u64,
    /// Where its bytes begin, and how many they are; none where the slot is free.
    bytes: [u32; 2],
    /// The same of its ids.
    ids: [u32; 2],
}

/// A cache: of short words the latest two of a set are remembered, of longer ones the latest of a slot.
///
/// It begins small, because clearing a megabyte takes longer than encoding a sentence, and grows with what it is given to remember.
pub(crate) struct Memo {
    /// As many as a power of two; so are the others.
    sets: Zeroed<Set>,
    long: Zeroed<Long>,
    /// The bytes of longer words.
    bytes: Vec<u8>,
    /// Ids that are too many for a slot, and those of longer words.
    spilled: Vec<u32>,
    /// How many were remembered since there was last more room.
    remembered: usize,
    remembered_long: usize,
}

/// Where a word belongs.
#[derive(Clone, Copy)]
pub(crate) enum MemoKey {
    Short(ShortKey),
    /// A hash of it.
    Long(u64),
}

/// The word itself, and a hash of it.
#[derive(Clone, Copy)]
pub(crate) struct ShortKey {
    key: [u64; 2],
    hash: u64,
}

impl ShortKey {
    /// Of no word. No slot has it: those that are taken have a length, the others no text.
    pub(crate) const NONE: Self = Self { key: [1, 0], hash: 0 };

    #[inline]
    fn new(key: [u64; 2], len: usize) -> Self {
        let key = [key[0], key[1] | (len as u64) << LEN_SHIFT];
        Self { key, hash: mixed(key) as u64 }
    }

    /// The key of `text[word]`, [`ShortKey::NONE`] where the word is too long.
    #[inline]
    fn within(text: &[u8], start: usize, len: usize) -> Self {
        match text.get(start..).and_then(|rest| rest.first_chunk::<16>()) {
            Some(bytes) if len <= SHORT => {
                let [low, high]: [u64; 2] = bytemuck::cast(*bytes);
                let mask = MASKS[len];
                Self::new([u64::from_le(low) & mask[0], u64::from_le(high) & mask[1]], len)
            }
            _ => Self::near_the_end(text.get(start..start + len).unwrap_or_default()),
        }
    }

    #[cold]
    fn near_the_end(word: &[u8]) -> Self {
        match word.len() {
            0 => Self::NONE,
            len @ ..8 => Self::new([load(word, 0), 0], len),
            len @ 8..=SHORT => Self::new([load(&word[..8], 0), load(&word[8..], 0)], len),
            _ => Self::NONE,
        }
    }
}

impl MemoKey {
    /// The key of `text[word]`; `None` when the word is empty or too long to be remembered.
    #[inline]
    pub(crate) fn within(text: &[u8], word: Range<usize>) -> Option<Self> {
        let len = word.len();
        if len.wrapping_sub(1) < SHORT {
            return Some(Self::Short(ShortKey::within(text, word.start, len)));
        }
        let long = (SHORT + 1..=LONGEST).contains(&len).then(|| text.get(word)).flatten()?;
        Some(Self::Long(xxh3_64(long)))
    }
}

impl Memo {
    pub(crate) fn new() -> Self {
        Self {
            sets: Zeroed::new(*SETS.start()),
            long: Zeroed::new(*LONG_SLOTS.start()),
            bytes: Vec::new(),
            spilled: Vec::new(),
            remembered: 0,
            remembered_long: 0,
        }
    }

    #[cold]
    fn grow(&mut self) {
        let more = Zeroed::new(4 * self.sets.len());
        let old = std::mem::replace(&mut self.sets, more);
        for slot in old.iter().flat_map(|set| set.slots.iter().rev()) {
            let key = [slot.key[0], slot.key[1] & !COUNT_BITS];
            if key[1] != 0 {
                let set = mixed(key) & (self.sets.len() - 1);
                let slots = &mut self.sets[set].slots;
                *slots = [*slot, slots[0]];
            }
        }
        self.remembered = 0;
    }

    #[cold]
    fn grow_long(&mut self) {
        let more = Zeroed::new(4 * self.long.len());
        for &long in &*std::mem::replace(&mut self.long, more) {
            if long.bytes[1] != 0 {
                let slot = long.hash as usize & (self.long.len() - 1);
                self.long[slot] = long;
            }
        }
        self.remembered_long = 0;
    }

    /// Makes room for ids that are elsewhere, by forgetting all words that have some.
    #[cold]
    fn forget_spilled(&mut self) {
        self.bytes.clear();
        self.spilled.clear();
        self.long.fill(Long::zeroed());
        for slot in self.sets.iter_mut().flat_map(|set| &mut set.slots) {
            if slot.count() == SPILLED {
                *slot = Slot::zeroed();
            }
        }
    }

    /// The memory of short words, to look up many of them.
    #[inline]
    pub(crate) fn short_words(&self) -> ShortWords<'_> {
        ShortWords { sets: &self.sets, spilled: &self.spilled }
    }

    /// Gives the ids remembered for a word to `sink`; `false` when there are none.
    #[inline]
    pub(crate) fn recall(&self, key: MemoKey, word: &[u8], sink: &mut impl Sink) -> bool {
        let hash = match key {
            MemoKey::Short(key) => {
                let Some(slot) = self.short_words().find(key) else { return false };
                sink.push_all(self.short_words().ids(slot));
                return true;
            }
            MemoKey::Long(hash) => hash,
        };
        let Some(long) = self.long.get(hash as usize & (self.long.len() - 1)) else { return false };
        let [at, len] = long.bytes.map(|i| i as usize);
        if long.hash != hash || self.bytes.get(at..at + len) != Some(word) {
            return false;
        }
        sink.push_all(self.spilled(long.ids));
        true
    }

    fn spilled(&self, place: [u32; 2]) -> &[u32] {
        self.short_words().spilled(place)
    }

    /// Remembers the ids of a word.
    #[inline]
    pub(crate) fn remember(&mut self, key: MemoKey, word: &[u8], ids: &[u32]) {
        match key {
            MemoKey::Short(ShortKey { key, hash }) => {
                self.remembered += 1;
                if self.remembered > self.sets.len() && self.sets.len() < *SETS.end() {
                    self.grow();
                }
                let mut slot = Slot { key, ids: [0; MOST_IDS] };
                let count = if ids.len() <= MOST_IDS {
                    slot.ids[..ids.len()].copy_from_slice(ids);
                    ids.len()
                } else {
                    let [at, len] = self.spill(ids);
                    slot.ids[..2].copy_from_slice(&[at, len]);
                    SPILLED
                };
                slot.key[1] |= (count as u64) << COUNT_SHIFT;
                let set = hash as usize & (self.sets.len() - 1);
                let slots = &mut self.sets[set].slots;
                *slots = [slot, slots[0]];
            }
            MemoKey::Long(hash) => {
                self.remembered_long += 1;
                if 2 * self.remembered_long > self.long.len() && self.long.len() < *LONG_SLOTS.end() {
                    self.grow_long();
                }
                if self.bytes.len() + word.len() > MOST_BYTES {
                    self.forget_spilled();
                }
                let ids = self.spill(ids);
                let bytes = [self.bytes.len() as u32, word.len() as u32];
                self.bytes.extend_from_slice(word);
                let slot = hash as usize & (self.long.len() - 1);
                self.long[slot] = Long { hash, bytes, ids };
            }
        }
    }

    fn spill(&mut self, ids: &[u32]) -> [u32; 2] {
        if self.spilled.len() + ids.len() > MOST_SPILLED {
            self.forget_spilled();
        }
        let at = self.spilled.len() as u32;
        self.spilled.extend_from_slice(ids);
        [at, ids.len() as u32]
    }
}

/// What is remembered of short words.
#[derive(Clone, Copy)]
pub(crate) struct ShortWords<'m> {
    sets: &'m [Set],
    spilled: &'m [u32],
}

impl<'m> ShortWords<'m> {
    /// The slot of a key, found without a branch between the two it may be in.
    #[inline]
    fn find(self, key: ShortKey) -> Option<&'m Slot> {
        let set = self.sets.get(key.hash as usize & (self.sets.len() - 1))?;
        let [first, second] = &set.slots;
        let (first, second) = (first.is(key.key), second.is(key.key));
        if first | second { Some(&set.slots[usize::from(second)]) } else { None }
    }

    fn spilled(self, [at, len]: [u32; 2]) -> &'m [u32] {
        self.spilled.get(at as usize..(at + len) as usize).unwrap_or_default()
    }

    fn ids(self, slot: &'m Slot) -> &'m [u32] {
        let count = slot.count();
        slot.ids.get(..count).unwrap_or_else(|| self.spilled([slot.ids[0], slot.ids[1]]))
    }

    /// The keys of words of a text into `keys`, [`ShortKey::NONE`] for those that are longer. Has the place where each belongs fetched.
    #[inline]
    pub(crate) fn keys(self, text: &[u8], words: &[Piece], keys: &mut Keys) {
        for (key, word) in keys.iter_mut().zip(words) {
            *key = ShortKey::within(text, word.start as usize, (word.end - word.start) as usize);
            if let Some(set) = self.sets.get(key.hash as usize & (self.sets.len() - 1)) {
                prefetch(set);
            }
        }
    }

    /// Writes the ids of words into `ids` until one is not remembered. Gives how many words and how many ids these are.
    #[inline]
    pub(crate) fn recall_all(self, keys: &[ShortKey], ids: &mut Ids) -> (usize, usize) {
        let mut len = 0;
        for (i, &key) in keys.iter().enumerate() {
            let Some(slot) = self.find(key) else { return (i, len) };
            let count = slot.count();
            if count <= MOST_IDS
                && let Some(room) = ids.get_mut(len..).and_then(|rest| rest.first_chunk_mut())
            {
                // All of them, which is one store; those behind are overwritten.
                *room = slot.ids;
                len += count;
            } else {
                return (i, len);
            }
        }
        (keys.len(), len)
    }
}

/// Room for the keys of a block of words.
pub(crate) type Keys = [ShortKey; BLOCK];

/// Room for the ids of a block of words that have few each.
pub(crate) type Ids = [u32; BLOCK * MOST_IDS];

/// One multiplication to 128 bits, both halves of which count.
#[inline]
fn mixed(key: [u64; 2]) -> usize {
    let product = u128::from(key[0] ^ 0x9E37_79B9_7F4A_7C15) * u128::from(key[1] ^ 0xD6E8_FEB8_6659_FD93);
    ((product >> 64) ^ product) as usize
}

/// Of a key's second word.
const LEN_SHIFT: u32 = 56;
const COUNT_SHIFT: u32 = 60;
const COUNT_BITS: u64 = 0xF << COUNT_SHIFT;

/// What of 16 bytes belongs to a word of so many.
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

    fn recall(memo: &Memo, word: &[u8]) -> Option<Vec<u32>> {
        let mut ids = vec![7];
        let key = MemoKey::within(word, 0..word.len())?;
        memo.recall(key, word, &mut ids).then(|| ids.split_off(1))
    }

    fn remember(memo: &mut Memo, word: &[u8], ids: &[u32]) {
        if let Some(key) = MemoKey::within(word, 0..word.len()) {
            memo.remember(key, word, ids);
        }
    }

    #[test]
    fn a_word_has_one_key_wherever_it_stands_and_no_two_share_one() {
        let text: Vec<u8> = (1..=70).collect();
        let mut seen = Vec::new();
        for start in 0..text.len() {
            for end in start + 1..=text.len().min(start + SHORT) {
                let key = |text: &[u8], word| match MemoKey::within(text, word) {
                    Some(MemoKey::Short(key)) => key.key,
                    _ => panic!("a short word"),
                };
                let alone = key(&text[start..end], 0..end - start);
                assert_eq!(key(&text, start..end), alone);
                let mut bytes = [0; 16];
                bytes[..end - start].copy_from_slice(&text[start..end]);
                bytes[SHORT] = (end - start) as u8;
                assert_eq!(alone, [0, 8].map(|at| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())));
                seen.push(alone);
            }
        }
        let all = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), all);
    }

    #[test]
    fn a_word_of_any_length_is_recalled_with_its_ids() {
        let mut memo = Memo::new();
        for len in [1, 7, 8, 15, 16, 31, LONGEST] {
            for count in [0, 1, 3, 4, 5, 14, 15, 16, 300] {
                let mut word = vec![b'a'; len];
                word[len - 1] = count as u8;
                assert_eq!(recall(&memo, &word), None);
                let ids: Vec<u32> = (0..count).map(|i| u32::MAX - i).collect();
                remember(&mut memo, &word, &ids);
                assert_eq!(recall(&memo, &word), Some(ids));
            }
        }
        let long = vec![b'a'; LONGEST + 1];
        remember(&mut memo, &long, &[1]);
        assert_eq!((recall(&memo, &long), recall(&memo, b"")), (None, None));
    }

    #[test]
    fn a_memo_that_grows_and_forgets_tells_nothing_wrong() {
        let mut memo = Memo::new();
        let word = |i: u32| format!("{}{i}", "word ".repeat(i as usize % 7)).into_bytes();
        let ids = |i: u32| vec![i; i as usize % 9];
        let mut known = 0;
        for i in 0..400_000 {
            remember(&mut memo, &word(i), &ids(i));
            assert_eq!(recall(&memo, &word(i)), Some(ids(i)));
        }
        for i in 0..400_000 {
            let recalled = recall(&memo, &word(i));
            known += usize::from(recalled.is_some());
            assert!(recalled.is_none_or(|recalled| recalled == ids(i)));
        }
        // Longer words may have been forgotten just now, all at once; a third of the others has fallen to newer ones.
        assert!(known > 20_000, "{known}");
        assert_eq!((memo.sets.len(), memo.long.len()), (*SETS.end(), *LONG_SLOTS.end()));
        assert!(memo.bytes.len() <= MOST_BYTES && memo.spilled.len() <= MOST_SPILLED);
    }

    #[test]
    fn what_a_small_memo_knows_it_knows_when_it_has_grown() {
        let mut memo = Memo::new();
        for i in 0..1000_u32 {
            remember(&mut memo, &i.to_le_bytes(), &[i]);
        }
        let known = (0..1000_u32).filter(|i| recall(&memo, &i.to_le_bytes()) == Some(vec![*i])).count();
        assert!(known > 900, "{known}");
    }
}
