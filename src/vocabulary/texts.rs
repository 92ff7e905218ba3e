//! From a token's text, as a file writes it, to its id: what a merges list is looked up in while a vocabulary is built.

use std::hash::BuildHasher;
use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{MAX_SYMBOLS, Span};

/// The texts of tokens where they lie in a file.
///
/// A merges list names every token several times over, so that looking them up is most of the work of reading it. Here a
/// text of up to eight bytes is found, and known to be the right one, with one look at one slot.
#[derive(Clone, Debug)]
pub(crate) struct Texts<'f> {
    /// Some part of the file that holds the texts.
    data: &'f [u8],
    spans: Vec<Span>,
    slots: Vec<Slot>,
    seed: u64,
}

/// The first eight bytes of a text in two halves (zeros where it is shorter), then its length above one more than its id. Free
/// while it is all zeros. Twelve bytes, because how fast a list is read depends on how much of the table is in the caches.
type Slot = [u32; 3];

impl<'f> Texts<'f> {
    /// The texts at `spans` of `data`, whose numbers are their ids; empty ones have none. Of equal texts the first counts.
    pub(crate) fn new(data: &'f [u8], spans: impl ExactSizeIterator<Item = Range<usize>>) -> Self {
        let seed = std::hash::RandomState::new().hash_one(spans.len());
        let slots = vec![[0; 3]; (spans.len() + 8) * 3 / 2];
        let mut texts = Self { data, spans: Vec::with_capacity(spans.len()), slots, seed };
        for span in spans {
            let len = span.len();
            texts.spans.push(Span { start: span.start as u32, len: len as u32 });
            let (Ok(end), 1..) = (u32::try_from(span.end), len) else { continue };
            let id = texts.spans.len() as u32;
            if id > MAX_SYMBOLS {
                continue;
            }
            let start = end as usize - len;
            let head = head(data, start, len);
            let mut at = texts.first_slot(data, start, len, head);
            loop {
                let slot = texts.slots[at];
                if slot == [0; 3] {
                    texts.slots[at] = [head as u32, (head >> 32) as u32, packed_len(len) | id];
                    break;
                }
                if texts.holds(slot, data, start, len, head) {
                    break;
                }
                at = texts.next_slot(at);
            }
        }
        texts
    }

    /// The id of the text at `start` of `data`.
    #[inline]
    pub(crate) fn find(&self, data: &[u8], start: usize, len: usize) -> Option<u32> {
        let head = head(data, start, len);
        let mut at = self.first_slot(data, start, len, head);
        loop {
            let slot = *self.slots.get(at)?;
            if self.holds(slot, data, start, len, head) {
                return (slot[2] & MAX_SYMBOLS).checked_sub(1);
            }
            if slot == [0; 3] {
                return None;
            }
            at = self.next_slot(at);
        }
    }

    /// Whether `id` has the text that two parts of `data` make together.
    #[inline]
    pub(crate) fn is(&self, id: u32, data: &[u8], left: Range<usize>, right: Range<usize>) -> bool {
        let Some(span) = self.spans.get(id as usize) else { return false };
        let (len, start) = (span.len as usize, span.start as usize);
        if len != left.len() + right.len() {
            return false;
        }
        if len <= 8 && !left.is_empty() && !right.is_empty() {
            let joined =
                head(data, left.start, left.len()) | head(data, right.start, right.len()) << (8 * left.len());
            return head(self.data, start, len) == joined;
        }
        let text = self.data.get(start..start + len).unwrap_or_default();
        text.get(..left.len()) == data.get(left.clone()) && text.get(left.len()..) == data.get(right)
    }

    /// Whether the text of `slot` is the one at `start` of `data`.
    #[inline]
    fn holds(&self, slot: Slot, data: &[u8], start: usize, len: usize, head: u64) -> bool {
        let [low, high, packed] = slot;
        if low != head as u32 || high != (head >> 32) as u32 || packed & !MAX_SYMBOLS != packed_len(len) {
            return false;
        }
        if len <= 8 {
            return true;
        }
        let id = (packed & MAX_SYMBOLS).wrapping_sub(1);
        let Some(span) = self.spans.get(id as usize).filter(|span| span.len as usize == len) else {
            return false;
        };
        let other = span.start as usize;
        if len <= 16 {
            return tail(data, start, len) == tail(self.data, other, len);
        }
        self.data.get(other..other + len) == data.get(start..start + len)
    }

    /// Where a text is looked for first: the hash's upper half, scaled to the table.
    #[inline]
    fn first_slot(&self, data: &[u8], start: usize, len: usize, head: u64) -> usize {
        let hash = self.hash(data, start, len, head) >> 32;
        ((hash * self.slots.len() as u64) >> 32) as usize
    }

    #[inline]
    fn next_slot(&self, at: usize) -> usize {
        if at + 1 == self.slots.len() { 0 } else { at + 1 }
    }

    /// The folded product of head and tail. The seed keeps both factors unknown to whoever wrote the file.
    #[inline]
    fn hash(&self, data: &[u8], start: usize, len: usize, head: u64) -> u64 {
        let rest = match len {
            ..=8 => 0,
            9..=16 => tail(data, start, len),
            _ => xxh3_64_with_seed(data.get(start..start + len).unwrap_or_default(), self.seed),
        };
        let rest = rest ^ self.seed.rotate_left(29) ^ (len as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let product = u128::from(head ^ self.seed) * u128::from(rest);
        product as u64 ^ (product >> 64) as u64
    }
}

/// A length in the bits above those of an id; those from 255 on are not told apart here.
#[inline]
fn packed_len(len: usize) -> u32 {
    (len.min(255) as u32) << 24
}

/// The first eight bytes of a text, the first one lowest; zeros where it is shorter.
#[inline]
fn head(data: &[u8], start: usize, len: usize) -> u64 {
    let rest = data.get(start..).unwrap_or_default();
    let bytes = match rest.first_chunk() {
        Some(&bytes) => u64::from_le_bytes(bytes),
        None => rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
    };
    if len >= 8 { bytes } else { bytes & ((1 << (8 * len)) - 1) }
}

/// The last eight bytes of a text that has as many.
#[inline]
fn tail(data: &[u8], start: usize, len: usize) -> u64 {
    head(data, start + len - 8, 8)
}

/// Where the first space of `data[start..end]` is.
#[inline]
pub(crate) fn find_space(data: &[u8], start: usize, end: usize) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    let mut at = start;
    while at < end {
        // Bytes that are zero after this were spaces; the lowest mark is never a false one.
        let word = head(data, at, 8) ^ (ONES * 0x20);
        let marks = word.wrapping_sub(ONES) & !word & (ONES << 7);
        if marks != 0 {
            let space = at + marks.trailing_zeros() as usize / 8;
            return (space < end).then_some(space);
        }
        at += 8;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_every_length_are_found_and_no_others() {
        // Texts that share heads, tails and lengths.
        let mut texts: Vec<Vec<u8>> = Vec::new();
        for len in 1..40 {
            for at in [0, len / 3, len / 2, len - 1] {
                let mut text = vec![b'x'; len];
                text[at] = b'a' + (at % 20) as u8;
                if !texts.contains(&text) {
                    texts.push(text);
                }
            }
        }
        let data = texts.concat();
        let mut end = 0;
        let spans: Vec<Range<usize>> = texts.iter().map(|text| (end, end += text.len()).0..end).collect();
        let map = Texts::new(&data, spans.iter().cloned());
        for (id, span) in spans.iter().enumerate() {
            assert_eq!(map.find(&data, span.start, span.len()), Some(id as u32));
            let text = &texts[id];
            for changed in 0..text.len() {
                let mut other = text.clone();
                other[changed] = b'!';
                assert_eq!(map.find(&other, 0, other.len()), None);
                let (left, right) = (0..changed, changed..text.len());
                assert!(map.is(id as u32, text, left.clone(), right.clone()));
                assert!(!map.is(id as u32, &other, left, right));
            }
        }
    }

    #[test]
    fn the_first_space_is_found() {
        for len in 0..30 {
            for at in 0..len {
                let mut line = vec![b'!'; len];
                line[at] = b' ';
                line[len - 1] = b' ';
                for end in 0..=len {
                    for start in 0..=end {
                        let slow =
                            line[start..end].iter().position(|&byte| byte == b' ').map(|at| start + at);
                        assert_eq!(find_space(&line, start, end), slow, "{line:?}[{start}..{end}]");
                    }
                }
            }
        }
    }
}
