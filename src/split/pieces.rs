//! Pieces by the block: one call for many of them, so that the caller can fetch ahead what it will need for each.

use std::ops::Range;

/// Where a piece stands: `[start, end)` in bytes of the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Piece {
    /// The same as a range.
    #[inline]
    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// How many pieces a block holds at most.
pub(crate) const BLOCK: usize = 256;

/// A block that is being filled. It hands itself over when it is full.
pub(super) struct Block<'a> {
    pieces: [Piece; BLOCK],
    len: usize,
    each: &'a mut dyn FnMut(&[Piece]) -> bool,
    /// Nobody wants more of them.
    pub(super) enough: bool,
}

impl<'a> Block<'a> {
    pub(super) fn new(each: &'a mut dyn FnMut(&[Piece]) -> bool) -> Self {
        Block { pieces: [Piece::default(); BLOCK], len: 0, each, enough: false }
    }

    /// Appends a piece, whose offsets fit into 32 bits.
    #[inline]
    pub(super) fn push(&mut self, piece: Range<usize>) {
        if self.len == BLOCK {
            self.flush();
        }
        self.pieces[self.len] = Piece { start: piece.start as u32, end: piece.end as u32 };
        self.len += 1;
    }

    /// Appends the pieces that follow one another from `from` on and end at `from` plus the number of each bit of `ends`.
    #[inline(always)]
    pub(super) fn push_ends(&mut self, from: usize, mut ends: u64) {
        let count = ends.count_ones() as usize;
        if self.len + count > BLOCK {
            self.flush();
        }
        let from = from as u32;
        let mut start = from;
        for piece in &mut self.pieces[self.len..self.len + count] {
            let end = from + ends.trailing_zeros();
            *piece = Piece { start, end };
            start = end;
            ends &= ends.wrapping_sub(1);
        }
        self.len += count;
    }

    /// Hands over what is left.
    pub(super) fn flush(&mut self) {
        if self.len > 0 {
            self.enough |= !(self.each)(&self.pieces[..self.len]);
            self.len = 0;
        }
    }
}
