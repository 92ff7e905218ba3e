//! Finding a set of texts in a text.

use crate::vocabulary::Table;

/// The texts of special tokens, sorted, so that a walk down the bytes of a text narrows a range of them: a trie without
/// nodes. Nothing to build beyond the sort, and small enough to keep in an image.
#[derive(Debug, Default)]
pub(crate) struct Specials {
    /// Token ids in the byte order of their texts.
    pub(crate) ids: Table<u32>,
    /// `ids.len() + 1` offsets into `arena`.
    pub(crate) offsets: Table<u32>,
    pub(crate) arena: Table<u8>,
    starts: Starts,
}

/// Where a match can begin.
#[derive(Debug, Default)]
struct Starts {
    /// For each first byte, the range of texts that begin with it.
    ranges: Vec<(u32, u32)>,
    /// The first bytes, when there are at most three: `memchr` finds them faster than a table.
    few: Option<Vec<u8>>,
}

impl Specials {
    /// From tokens in any order; empty texts are left out, of equal texts the first stays.
    pub(crate) fn new<'t>(tokens: impl IntoIterator<Item = (u32, std::borrow::Cow<'t, [u8]>)>) -> Self {
        let mut tokens: Vec<_> = tokens.into_iter().filter(|(_, text)| !text.is_empty()).collect();
        tokens.sort_by(|a, b| a.1.cmp(&b.1));
        tokens.dedup_by(|b, a| a.1 == b.1);
        let mut arena = Vec::with_capacity(tokens.iter().map(|(_, text)| text.len()).sum());
        let mut offsets = Vec::with_capacity(tokens.len() + 1);
        offsets.push(0);
        for (_, text) in &tokens {
            arena.extend_from_slice(text);
            offsets.push(arena.len() as u32);
        }
        let ids: Vec<u32> = tokens.iter().map(|&(id, _)| id).collect();
        let mut specials =
            Self { ids: ids.into(), offsets: offsets.into(), arena: arena.into(), starts: Starts::default() };
        specials.starts = specials.find_starts();
        specials
    }

    /// From parts that were stored; `None` unless the texts are sorted, not empty and inside the arena.
    ///
    /// The parts are copied if they are mapped: they are small, and every text is indexed without another check.
    pub(crate) fn from_parts(ids: &[u32], offsets: &[u32], arena: &[u8]) -> Option<Self> {
        let (ids, offsets, arena) = (ids.to_vec(), offsets.to_vec(), arena.to_vec());
        let fits = offsets.len() == ids.len() + 1
            && offsets.first() == Some(&0)
            && offsets.last().copied() == u32::try_from(arena.len()).ok()
            && offsets.is_sorted_by(|a, b| a < b);
        if !fits {
            return None;
        }
        let mut specials =
            Self { ids: ids.into(), offsets: offsets.into(), arena: arena.into(), starts: Starts::default() };
        if !(1..specials.len()).all(|i| specials.text(i - 1) < specials.text(i)) {
            return None;
        }
        specials.starts = specials.find_starts();
        Some(specials)
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The `ordinal`th token in the byte order of texts.
    pub(crate) fn entry(&self, ordinal: usize) -> (u32, &[u8]) {
        (self.ids[ordinal], self.text(ordinal))
    }

    /// The tokens that begin with `byte`, by their lengths, the longest first, if all of them are runs of it.
    pub(crate) fn runs_of(&self, byte: u8) -> Option<Vec<(usize, u32)>> {
        let (start, end) = *self.starts.ranges.get(usize::from(byte))?;
        let mut runs = Vec::new();
        // Of such texts the longer ones come later.
        for ordinal in (start as usize..end as usize).rev() {
            let (id, text) = self.entry(ordinal);
            if text.iter().any(|&other| other != byte) {
                return None;
            }
            runs.push((text.len(), id));
        }
        Some(runs)
    }

    /// Calls `found` with the ordinal of every token that occurs, once an occurrence.
    pub(crate) fn scan_ordinals(&self, text: &[u8], mut found: impl FnMut(usize)) {
        let mut at = 0;
        while let Some(start) = self.next_start(text, at) {
            self.walk(&text[start..], |ordinal, _| found(ordinal));
            at = start + 1;
        }
    }

    /// The first position from `at` on whose byte begins some text.
    pub(crate) fn next_start(&self, text: &[u8], at: usize) -> Option<usize> {
        let rest = text.get(at..).filter(|_| !self.is_empty())?;
        let offset = match self.starts.few.as_deref() {
            Some([]) => None,
            Some(&[a]) => memchr::memchr(a, rest),
            Some(&[a, b]) => memchr::memchr2(a, b, rest),
            Some(&[a, b, c]) => memchr::memchr3(a, b, c, rest),
            _ => rest.iter().position(|&byte| {
                let (start, end) = self.starts.ranges[usize::from(byte)];
                start < end
            }),
        };
        offset.map(|offset| at + offset)
    }

    /// Calls `found(ordinal, len)` for every token that `text` begins with, the shorter first.
    pub(crate) fn walk(&self, text: &[u8], mut found: impl FnMut(usize, usize)) {
        let Some(&(start, end)) = text.first().and_then(|&byte| self.starts.ranges.get(usize::from(byte)))
        else {
            return;
        };
        let (mut start, mut end) = (start as usize, end as usize);
        let mut depth = 1;
        let texts = self.texts();
        while start < end {
            // Sorted texts with a common prefix: the one that ends here comes first.
            if texts.at(start).len() == depth {
                found(start, depth);
                start += 1;
            }
            let Some(&byte) = text.get(depth) else { return };
            // A single text left is compared at once.
            if start + 1 == end {
                let whole = texts.at(start);
                if text.starts_with(whole) {
                    found(start, whole.len());
                }
                return;
            }
            if start == end {
                return;
            }
            // The ends of the range often settle it: all go on with this byte, or none does.
            let (first, last) = (texts.at(start)[depth], texts.at(end - 1)[depth]);
            if byte < first || byte > last {
                return;
            }
            if first < last {
                start += texts.partition_point(start, end, |text| text[depth] < byte);
                end = start + texts.partition_point(start, end, |text| text[depth] == byte);
            }
            depth += 1;
        }
    }

    fn text(&self, ordinal: usize) -> &[u8] {
        self.texts().at(ordinal)
    }

    fn texts(&self) -> Texts<'_> {
        Texts { offsets: &self.offsets, arena: &self.arena }
    }

    fn find_starts(&self) -> Starts {
        let mut ranges = vec![(0, 0); 256];
        let mut firsts = Vec::new();
        for ordinal in 0..self.len() {
            let first = self.text(ordinal)[0];
            let range: &mut (u32, u32) = &mut ranges[usize::from(first)];
            if range.0 == range.1 {
                firsts.push(first);
                *range = (ordinal as u32, ordinal as u32);
            }
            range.1 = ordinal as u32 + 1;
        }
        Starts { ranges, few: (firsts.len() <= 3).then_some(firsts) }
    }
}

/// The texts in their order, where a table need not be asked what it is for each of them.
#[derive(Clone, Copy)]
struct Texts<'s> {
    offsets: &'s [u32],
    arena: &'s [u8],
}

impl<'s> Texts<'s> {
    #[inline]
    fn at(self, ordinal: usize) -> &'s [u8] {
        &self.arena[self.offsets[ordinal] as usize..self.offsets[ordinal + 1] as usize]
    }

    /// How many texts of `start..end` come before the first that `before` refuses.
    fn partition_point(self, start: usize, end: usize, before: impl Fn(&[u8]) -> bool) -> usize {
        let (mut low, mut high) = (start, end);
        while low < high {
            let middle = low.midpoint(high);
            if before(self.at(middle)) { low = middle + 1 } else { high = middle }
        }
        low - start
    }
}
