//! Reading: every read knows what it wanted and where.

use super::error::{Found, ParseError};

/// The byte order of a file's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // there is no third
pub enum ByteOrder {
    /// Least significant byte first: nearly every file.
    Little,
    /// Most significant byte first: files converted for s390x and the like.
    Big,
}

/// How numbers lie in a file: their byte order, and whether lengths have 32 bits (version 1) or 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) order: ByteOrder,
    pub(super) narrow: bool,
}

impl Layout {
    #[inline]
    pub(super) fn u16(self, bytes: [u8; 2]) -> u16 {
        match self.order {
            ByteOrder::Little => u16::from_le_bytes(bytes),
            ByteOrder::Big => u16::from_be_bytes(bytes),
        }
    }

    #[inline]
    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        match self.order {
            ByteOrder::Little => u32::from_le_bytes(bytes),
            ByteOrder::Big => u32::from_be_bytes(bytes),
        }
    }

    #[inline]
    pub(super) fn u64(self, bytes: [u8; 8]) -> u64 {
        match self.order {
            ByteOrder::Little => u64::from_le_bytes(bytes),
            ByteOrder::Big => u64::from_be_bytes(bytes),
        }
    }

    /// Bytes of a length or a count.
    pub(super) fn length_size(self) -> usize {
        if self.narrow { 4 } else { 8 }
    }

    /// The string at the start of `bytes` and what follows it, if it fits and keeps to the limit.
    #[inline]
    pub(super) fn split_string(self, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
        let (len, rest) = if self.narrow {
            let (len, rest) = bytes.split_first_chunk()?;
            (u64::from(self.u32(*len)), rest)
        } else {
            let (len, rest) = bytes.split_first_chunk()?;
            (self.u64(*len), rest)
        };
        if len > MAX_LENGTH {
            return None;
        }
        rest.split_at_checked(len as usize) // at most 2^30: fits on every target
    }
}

pub(super) struct Cursor<'a> {
    data: &'a [u8],
    offset: usize,
    pub(super) layout: Layout,
    /// Bytes of the file that `data` is the start of, or all of.
    len: u64,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(data: &'a [u8], offset: usize, layout: Layout) -> Self {
        Self { data, offset, layout, len: data.len() as u64 }
    }

    /// A cursor in the start of a file of `len` bytes: counts are checked against the whole.
    pub(super) fn of_file(data: &'a [u8], len: u64, offset: usize, layout: Layout) -> Self {
        Self { data, offset, layout, len }
    }

    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    pub(super) fn remaining(&self) -> u64 {
        self.len.saturating_sub(self.offset as u64)
    }

    /// An error about what lies at `offset`.
    pub(super) fn error(offset: usize, expected: &'static str, found: Found) -> ParseError {
        ParseError { offset: offset as u64, expected, amount: None, found }
    }

    pub(super) fn bytes(&mut self, len: usize, expected: &'static str) -> Result<&'a [u8], ParseError> {
        let rest = self.data.get(self.offset..).unwrap_or_default();
        let bytes = rest.get(..len).ok_or(ParseError {
            offset: self.offset as u64,
            expected,
            amount: Some(len as u64),
            found: Found::End(self.data.len() as u64),
        })?;
        self.offset += len; // in range: `get` just proved it
        Ok(bytes)
    }

    fn chunk<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], ParseError> {
        let rest = self.data.get(self.offset..).unwrap_or_default();
        let chunk = rest.first_chunk().ok_or(ParseError {
            offset: self.offset as u64,
            expected,
            amount: None,
            found: Found::End(self.data.len() as u64),
        })?;
        self.offset += N;
        Ok(*chunk)
    }

    pub(super) fn u32(&mut self, expected: &'static str) -> Result<u32, ParseError> {
        self.chunk(expected).map(|bytes| self.layout.u32(bytes))
    }

    pub(super) fn u64(&mut self, expected: &'static str) -> Result<u64, ParseError> {
        self.chunk(expected).map(|bytes| self.layout.u64(bytes))
    }

    /// A length, a count or a dimension: 32 bits in version 1, 64 later.
    pub(super) fn length(&mut self, expected: &'static str) -> Result<u64, ParseError> {
        if self.layout.narrow { self.u32(expected).map(u64::from) } else { self.u64(expected) }
    }

    /// A count of things that take at least `size` bytes each, checked against the limit and against the bytes left,
    /// so that it may size an allocation.
    pub(super) fn count(&mut self, size: usize, expected: &'static str) -> Result<usize, ParseError> {
        let offset = self.offset;
        let count = self.length(expected)?;
        if count > MAX_LENGTH || count.saturating_mul(size as u64) > self.remaining() {
            return Err(Self::error(offset, expected, Found::Number(count)));
        }
        Ok(count as usize) // at most 2^30
    }

    /// A string with its length in front.
    #[inline]
    pub(super) fn string(
        &mut self,
        length: &'static str,
        content: &'static str,
    ) -> Result<&'a [u8], ParseError> {
        let offset = self.offset;
        let len = self.length(length)?;
        if len > MAX_LENGTH {
            return Err(Self::error(offset, length, Found::Number(len)));
        }
        self.bytes(len as usize, content)
    }

    /// Steps over `count` strings: the one hot loop of the reader, half a million strings in a large vocabulary.
    pub(super) fn skip_strings(&mut self, count: usize) -> Result<(), ParseError> {
        let mut rest = self.data.get(self.offset..).unwrap_or_default();
        let common = Layout { order: ByteOrder::Little, narrow: false };
        let mut left = count;
        if self.layout == common {
            // The layout as a constant, so that the loop has no branch but the checks.
            while left > 0 {
                let Some((_, after)) = common.split_string(rest) else { break };
                rest = after;
                left -= 1;
            }
        } else {
            while left > 0 {
                let Some((_, after)) = self.layout.split_string(rest) else { break };
                rest = after;
                left -= 1;
            }
        }
        self.offset = self.data.len() - rest.len();
        if left > 0 {
            // The slow way tells which of the two, the length or the content, is wrong.
            self.string("string length (at most 2^30)", "string bytes")?;
        }
        Ok(())
    }
}

/// The longest string in bytes and the longest array in elements, as llama.cpp has it.
pub(super) const MAX_LENGTH: u64 = 1 << 30;
