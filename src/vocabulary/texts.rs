//! From a token's text, as a file writes it, to its id: what a merges list is looked up in while a vocabulary is built.

use std::hash::BuildHasher;
use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::bytes::{fold, load, next, scale, scramble};
use super::{MAX_SYMBOLS, NONE, Span};

/// The texts of tokens where they lie in a file.
///
/// A merges list names every token several times over, so that looking them up is most of the work of reading it. Nine of ten
/// texts in it have up to eight bytes: those are numbers, padded with zeros, found and known to be right with one look at one
/// slot. Hence no text here may hold a NUL.
#[derive(Debug)]
pub(crate) struct Texts<'f> {
    /// Some part of the file that holds the texts.
    data: &'f [u8],
    /// The halves of a short text's number, and its id; free where that is [`NONE`].
    short: Vec<[u32; 3]>,
    /// Some bits of a longer text's hash, where it begins, its length and its id; free where that is [`NONE`].
    long: Vec<[u32; 4]>,
    seed: u64,
}

/// A text to look up.
#[derive(Clone, Copy)]
pub(super) struct Query {
    /// A text of up to eight bytes, the first one lowest; the hash of a longer one.
    number: u64,
    pub(super) start: usize,
    pub(super) len: u32,
    /// Where it is looked for first.
    at: u32,
}

impl<'f> Texts<'f> {
    /// The texts at `spans` of `data`, whose numbers are their ids. Those that are empty have none, as those behind 4 GiB or
    /// the most ids there may be, and those with a NUL. Of equal texts the first counts.
    pub(crate) fn new(data: &'f [u8], spans: impl ExactSizeIterator<Item = Range<usize>>) -> Self {
        let seed = std::hash::RandomState::new().hash_one(spans.len()) | 1;
        let span = |span: Range<usize>| match u32::try_from(span.end) {
            Ok(_) => Span { start: span.start as u32, len: span.len() as u32 },
            Err(_) => Span::default(),
        };
        let spans: Vec<Span> = spans.take(MAX_SYMBOLS as usize).map(span).collect();
        let shorts = spans.iter().filter(|span| span.len <= SHORT).count();
        let slots = |len: usize| (len + 8) * 3 / 2;
        let (short, long) = (vec![[NONE; 3]; slots(shorts)], vec![[NONE; 4]; slots(spans.len() - shorts)]);
        let mut texts = Self { data, short, long, seed };
        let mut asked = Vec::with_capacity(BLOCK);
        for (first, block) in (0..).step_by(BLOCK).zip(spans.chunks(BLOCK)) {
            let queries = (first..).zip(block).filter_map(|(id, span)| {
                Some((id, texts.query(data, span.start as usize, span.len as usize)?))
            });
            asked.extend(queries);
            // Looking at the slots of a block first lets their misses overlap.
            std::hint::black_box(asked.iter().fold(0, |seen, (_, query)| seen | texts.look(query)));
            for (id, query) in asked.drain(..) {
                texts.insert(id, &query);
            }
        }
        texts
    }

    /// Enters a text of the tokens' own data unless it is there.
    fn insert(&mut self, id: u32, query: &Query) {
        let (mut at, low, high) = (query.at as usize, query.number as u32, (query.number >> 32) as u32);
        if query.len > SHORT {
            let text = |start: u32| &self.data[start as usize..(start + query.len) as usize];
            let own = text(query.start as u32);
            let is_own =
                |[hash, start, len, _]: [u32; 4]| hash == low && len == query.len && equal(text(start), own);
            while self.long[at][3] != NONE {
                if is_own(self.long[at]) {
                    return;
                }
                at = next(at, self.long.len());
            }
            self.long[at] = [low, query.start as u32, query.len, id];
            return;
        }
        while self.short[at][2] != NONE && self.short[at][..2] != [low, high] {
            at = next(at, self.short.len());
        }
        if self.short[at][2] == NONE {
            self.short[at] = [low, high, id];
        }
    }

    /// What to ask for the text of `len` bytes at `start` of `data`. `None` for an empty one, and for a short one that ends with a
    /// NUL; one with a NUL elsewhere is never found.
    #[inline]
    pub(super) fn query(&self, data: &[u8], start: usize, len: usize) -> Option<Query> {
        if len > SHORT as usize {
            let text = data.get(start..)?.get(..len)?;
            let hash = match (text.first_chunk(), text.last_chunk()) {
                // The lengths need not go in: they are compared with the hashes.
                (Some(&head), Some(&tail)) if len <= 16 => fold(
                    u64::from_le_bytes(head) ^ self.seed,
                    u64::from_le_bytes(tail) ^ self.seed.rotate_left(29),
                ),
                _ => xxh3_64_with_seed(text, self.seed),
            };
            let at = scale((hash >> 32) as u32, self.long.len()) as u32;
            return Some(Query { number: hash, start, len: u32::try_from(len).ok()?, at });
        }
        if len == 0 {
            return None;
        }
        let unused = 64 - 8 * len as u32;
        let upper = load(data, start) << unused;
        let number = upper >> unused;
        let at = scale(scramble(number, self.seed), self.short.len()) as u32;
        (upper >> 56 != 0).then_some(Query { number, start, len: len as u32, at })
    }

    /// Some bits of the slot where a text is looked for first: asked for of several before the first of them is found, the
    /// table's misses overlap.
    #[inline]
    pub(super) fn look(&self, query: &Query) -> u32 {
        let at = query.at as usize;
        if query.len <= SHORT {
            self.short.get(at).map_or(0, |s| s[2])
        } else {
            self.long.get(at).map_or(0, |s| s[3])
        }
    }

    /// The id of a text of `data`.
    #[inline]
    pub(super) fn find(&self, data: &[u8], query: &Query) -> Option<u32> {
        let mut at = query.at as usize;
        if query.len > SHORT {
            return self.find_long(data, query);
        }
        loop {
            let &[low, high, id] = self.short.get(at)?;
            if id == NONE {
                return None;
            }
            if u64::from(high) << 32 | u64::from(low) == query.number {
                return Some(id);
            }
            at = next(at, self.short.len());
        }
    }

    fn find_long(&self, data: &[u8], query: &Query) -> Option<u32> {
        let text = data.get(query.start..)?.get(..query.len as usize)?;
        let mut at = query.at as usize;
        loop {
            let &[hash, start, len, id] = self.long.get(at)?;
            if id == NONE {
                return None;
            }
            if hash == query.number as u32 && len == query.len {
                let other = self.data.get(start as usize..)?.get(..len as usize)?;
                if equal(text, other) {
                    return Some(id);
                }
            }
            at = next(at, self.long.len());
        }
    }
}

/// As many as are entered together.
const BLOCK: usize = 16;

/// The longest text in bytes that is found by itself and not by its hash.
const SHORT: u32 = 8;

/// Whether two texts of the same length above eight are the same.
#[inline]
fn equal(text: &[u8], other: &[u8]) -> bool {
    if text.len() <= 16 {
        // The call of a comparison of any length would take longer.
        return text.first_chunk::<8>() == other.first_chunk()
            && text.last_chunk::<8>() == other.last_chunk();
    }
    text == other
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(map: &Texts<'_>, text: &[u8]) -> Option<u32> {
        map.find(text, &map.query(text, 0, text.len())?)
    }

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
            assert_eq!(find(&map, &data[span.clone()]), Some(id as u32));
            let text = &texts[id];
            for changed in 0..text.len() {
                let mut other = text.clone();
                other[changed] = b'!';
                assert_eq!(find(&map, &other), None);
            }
        }
    }

    /// A walk over all that is equal, for each of so many, would not come to an end.
    #[test]
    fn of_equal_texts_the_first_counts_and_the_others_take_no_room() {
        for text in
            [&b"short"[..], b"longer than short", b"longer than any word that is compared as two numbers"]
        {
            let data = text.repeat(500_000);
            let spans = (0..500_000).map(|i| i * text.len()..(i + 1) * text.len());
            let map = Texts::new(&data, spans.collect::<Vec<_>>().into_iter());
            assert_eq!(find(&map, text), Some(0));
        }
    }

    #[test]
    fn a_nul_makes_no_text_another_one() {
        let data = b"ab\0abc";
        let map = Texts::new(data, [0..2, 0..3, 3..5, 3..6].into_iter());
        let found = |text: &[u8]| find(&map, text);
        assert_eq!(
            [found(b"ab"), found(b"abc"), found(b"ab\0"), found(b"a\0b"), found(b"")],
            [Some(0), Some(3), None, None, None]
        );
    }
}
