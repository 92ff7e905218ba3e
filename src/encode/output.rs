//! Where ids go: a vector, a counter, or a vector with the place of each id in the text.

use std::ops::Range;

use crate::encode::memo::MOST_IDS;

/// Takes ids in order. One encoder serves all sinks; what a sink does not need is never computed.
pub(crate) trait Sink {
    /// Whether the sink wants to know where an id's text stands.
    const SPANS: bool;

    /// Takes an id whose text stands at `span` of the original text (`0..0` where [`Sink::SPANS`] is false).
    fn push(&mut self, id: u32, span: Range<usize>);

    /// Takes ids without places; only called where [`Sink::SPANS`] is false.
    fn extend(&mut self, ids: &[u32]);

    /// Takes the first `count` of `ids`; only called where [`Sink::SPANS`] is false.
    #[inline]
    fn extend_few(&mut self, ids: &[u32; MOST_IDS], count: usize) {
        self.extend(&ids[..count.min(MOST_IDS)]);
    }
}

impl Sink for Vec<u32> {
    const SPANS: bool = false;

    #[inline]
    fn push(&mut self, id: u32, _: Range<usize>) {
        Vec::push(self, id);
    }

    #[inline]
    fn extend(&mut self, ids: &[u32]) {
        self.extend_from_slice(ids);
    }

    #[inline]
    fn extend_few(&mut self, ids: &[u32; MOST_IDS], count: usize) {
        // All of them, which is one store, and then not those behind: quicker than a copy of any length.
        let len = self.len() + count;
        self.extend_from_slice(ids);
        self.truncate(len);
    }
}

/// Counts ids and keeps none.
#[derive(Debug, Default)]
pub(crate) struct Count(pub(crate) usize);

impl Sink for Count {
    const SPANS: bool = false;

    fn push(&mut self, _: u32, _: Range<usize>) {
        self.0 += 1;
    }

    fn extend(&mut self, ids: &[u32]) {
        self.0 += ids.len();
    }
}

/// Keeps each id with its place.
#[derive(Debug, Default)]
pub(crate) struct WithOffsets {
    pub(crate) ids: Vec<u32>,
    pub(crate) offsets: Vec<Range<usize>>,
}

impl Sink for WithOffsets {
    const SPANS: bool = true;

    fn push(&mut self, id: u32, span: Range<usize>) {
        self.ids.push(id);
        self.offsets.push(span);
    }

    fn extend(&mut self, _: &[u32]) {
        unreachable!("only sinks without spans take bare ids");
    }
}

/// From positions in a text that was rewritten back to the original one.
///
/// Kept only for sinks that want spans: 4 bytes a byte of text.
#[derive(Clone, Debug)]
pub(crate) enum Alignment {
    /// The text is the part of the original that begins here.
    Identity(usize),
    /// For each byte of the rewritten text the byte of the original that it comes from, and where the original part ends.
    Rewritten {
        /// Where the part begins in the original; `origin` counts from there.
        base: usize,
        origin: Vec<u32>,
        len: usize,
    },
}

impl Alignment {
    /// The text is the part of the original that begins at `base`.
    pub(crate) fn identity(base: usize) -> Self {
        Self::Identity(base)
    }

    /// Byte `i` of the rewritten text comes from byte `base + origin[i]` of the original; the part has `len` bytes.
    pub(crate) fn new(origin: Vec<u32>, base: usize, len: usize) -> Self {
        Self::Rewritten { base, origin, len }
    }

    /// The text was rewritten once more: byte `i` comes from byte `origin[i]` of the `len` bytes before.
    pub(crate) fn then(self, origin: Vec<u32>, len: usize) -> Self {
        match self {
            Self::Identity(base) => Self::Rewritten { base, origin, len },
            Self::Rewritten { base, origin: before, len: end } => {
                let through = |at: u32| before.get(at as usize).copied().unwrap_or(end as u32);
                Self::Rewritten { base, origin: origin.into_iter().map(through).collect(), len: end }
            }
        }
    }

    /// That of a part of the rewritten text for itself.
    pub(crate) fn part(&self, part: Range<usize>) -> Self {
        match self {
            Self::Identity(base) => Self::Identity(base + part.start),
            Self::Rewritten { base, origin, len } => {
                let end = origin.get(part.end).map_or(*len, |&origin| origin as usize);
                Self::Rewritten {
                    base: *base,
                    origin: origin.get(part).unwrap_or_default().to_vec(),
                    len: end,
                }
            }
        }
    }

    /// The place in the original of a range of the rewritten text.
    pub(crate) fn original(&self, span: Range<usize>) -> Range<usize> {
        match self {
            Self::Identity(base) => base + span.start..base + span.end,
            Self::Rewritten { base, origin, len } => {
                let at = |i: usize| base + origin.get(i).map_or(*len, |&origin| origin as usize);
                at(span.start)..at(span.end)
            }
        }
    }
}

/// Where each byte of a rewritten text came from, for rewritings that drop and gather characters: a start alone would not tell
/// where the part that became a token ends.
///
/// Kept only for sinks that want spans: 8 bytes a byte of text.
#[derive(Debug, Default)]
pub(crate) struct Origins(Vec<(u32, u32)>);

impl Origins {
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn shrink_to(&mut self, len: usize) {
        self.0.shrink_to(len);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The next `bytes` bytes of the rewritten text came from `place` of the original.
    pub(crate) fn push(&mut self, place: Range<usize>, bytes: usize) {
        self.0.resize(self.0.len() + bytes, (place.start as u32, place.end as u32));
    }

    /// The place in the original of a range of the rewritten text, which is not empty.
    pub(crate) fn original(&self, span: Range<usize>) -> Range<usize> {
        let start = self.0.get(span.start).map_or(0, |&(start, _)| start as usize);
        let end =
            span.end.checked_sub(1).and_then(|last| self.0.get(last)).map_or(start, |&(_, end)| end as usize);
        start..end.max(start)
    }
}
