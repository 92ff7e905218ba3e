//! Text that spells out special tokens and means none.

use std::ops::Range;

/// Parts of a text in which some special tokens are not recognised.
#[derive(Clone, Copy, Default)]
pub(crate) struct Literal<'l> {
    /// Ranges of bytes, ascending and without overlaps.
    pub(crate) parts: &'l [Range<usize>],
    /// Which tokens; all of them if `None`.
    pub(crate) tokens: Option<&'l dyn Fn(u32) -> bool>,
}

impl Literal<'_> {
    /// Whether some byte of `span` is in one of the parts.
    pub(crate) fn touches(self, span: &Range<usize>) -> bool {
        let at = self.parts.partition_point(|part| part.end <= span.start);
        self.parts.get(at).is_some_and(|part| part.start < span.end)
    }

    /// Whether `id`, whose text is at `span`, is not recognised there.
    pub(crate) fn forbids(self, id: u32, span: &Range<usize>) -> bool {
        self.touches(span) && self.tokens.is_none_or(|tokens| tokens(id))
    }
}
