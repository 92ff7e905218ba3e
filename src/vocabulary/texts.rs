//! From a token's text, as a file writes it, to its id: what a merges list is looked up in while a vocabulary is built.

use std::hash::BuildHasher;
use std::ops::Range;

use bytemuck::{Pod, Zeroable};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Span;

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

/// Free while it is all zeros.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Slot {
    /// The first eight bytes, zeros where the text is shorter.
    head: u64,
    len: u32,
    /// One more than the id.
    id: u32,
}

impl<'f> Texts<'f> {
    /// The texts at `spans` of `data`, whose numbers are their ids; empty ones have none. Of equal texts the first counts.
    pub(crate) fn new(data: &'f [u8], spans: impl ExactSizeIterator<Item = Range<usize>>) -> Self {
        let seed = std::hash::RandomState::new().hash_one(spans.len());
        let slots = bytemuck::zeroed_vec((spans.len().max(8) * 3 / 2).next_power_of_two());
        let mut texts = Self { data, spans: Vec::with_capacity(spans.len()), slots, seed };
        let mask = texts.slots.len() - 1;
        for span in spans {
            let len = span.len();
            texts.spans.push(Span { start: span.start as u32, len: len as u32 });
            let (Ok(end), 1..) = (u32::try_from(span.end), len) else { continue };
            let start = end as usize - len;
            let head = head(data, start, len);
            let mut at = texts.hash(data, start, len, head) as usize & mask;
            loop {
                let slot = texts.slots[at];
                if slot.id == 0 {
                    texts.slots[at] = Slot { head, len: len as u32, id: texts.spans.len() as u32 };
                    break;
                }
                if slot.head == head && slot.len as usize == len && texts.has_rest(slot, data, start, len) {
                    break;
                }
                at = (at + 1) & mask;
            }
        }
        texts
    }

    /// The id of the text at `start` of `data`.
    #[inline]
    pub(crate) fn find(&self, data: &[u8], start: usize, len: usize) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let head = head(data, start, len);
        let mut at = self.hash(data, start, len, head) as usize & mask;
        loop {
            let slot = self.slots.get(at)?;
            if slot.head == head && slot.len as usize == len && self.has_rest(*slot, data, start, len) {
                return slot.id.checked_sub(1);
            }
            if slot.id == 0 {
                return None;
            }
            at = (at + 1) & mask;
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

    /// What follows the head of a text whose head and length are those of `slot`.
    #[inline]
    fn has_rest(&self, slot: Slot, data: &[u8], start: usize, len: usize) -> bool {
        if len <= 8 {
            return true;
        }
        let Some(span) = self.spans.get((slot.id as usize).wrapping_sub(1)) else { return false };
        let other = span.start as usize;
        if len <= 16 {
            return tail(data, start, len) == tail(self.data, other, len);
        }
        self.data.get(other..other + len) == data.get(start..start + len)
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
