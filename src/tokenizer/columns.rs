//! Many texts in one buffer, many lists of ids in another: the layout of an Arrow list, without Arrow.

use std::ops::Range;

use super::{Tokenizer, parallel};
use crate::decode::{DecodeError, SpecialText};
use crate::encode::{EncodeError, Special};

/// A number that says where a row of a column begins: `i32` as of Arrow's `Utf8` and `List`, `i64` as of the large ones, or `usize`.
pub trait Offset: Copy + Send + Sync + sealed::Sealed {
    /// The offset as an index; `None` below zero.
    fn to_index(self) -> Option<usize>;
    /// The index as an offset; `None` where it is too large.
    fn from_index(index: usize) -> Option<Self>;
}

mod sealed {
    #[expect(unnameable_types, reason = "no other type is to have the trait")]
    pub trait Sealed {}
    impl Sealed for i32 {}
    impl Sealed for i64 {}
    impl Sealed for usize {}
}

macro_rules! offset {
    ($($number:ty),*) => {$(
        impl Offset for $number {
            fn to_index(self) -> Option<usize> {
                usize::try_from(self).ok()
            }

            fn from_index(index: usize) -> Option<Self> {
                Self::try_from(index).ok()
            }
        }
    )*};
}
offset!(i32, i64, usize);

/// Why a column cannot be encoded or decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ColumnError {
    /// The offsets are not those of rows in the buffer.
    #[error("expected offsets that ascend, none of them below 0 or beyond {len}; the one at {at} is not so")]
    Offsets {
        /// Which offset.
        at: usize,
        /// The length of the buffer.
        len: usize,
    },
    /// The result is longer than its offsets can tell.
    #[error(
        "the rows have {len} items together, more than an offset of this type can tell; take a wider one, or fewer rows"
    )]
    TooLong {
        /// The items of all rows.
        len: usize,
    },
    /// A row cannot be encoded.
    #[error("row {row} cannot be encoded")]
    Encode {
        /// Which row, from 0 on.
        row: usize,
        /// Why.
        source: EncodeError,
    },
    /// A row cannot be decoded.
    #[error("row {row} cannot be decoded")]
    Decode {
        /// Which row, from 0 on.
        row: usize,
        /// Why.
        source: DecodeError,
    },
}

impl Tokenizer {
    /// The ids of many texts that stand in one buffer: text `i` is `bytes[offsets[i]..offsets[i + 1]]`, and so are its ids among those
    /// returned. Texts need not be UTF-8 (see [`Tokenizer::encode_bytes`]).
    ///
    /// On as many threads as the machine has cores, each with contiguous rows; the results are copied once, into one buffer.
    ///
    /// ```
    /// use anytok::{Resolver, Special};
    ///
    /// let found = Resolver::default().resolve("testdata/models/llama-bpe.gguf")?;
    /// let tokenizer = found.tokenizer();
    /// let (ids, offsets) = tokenizer.encode_columns(b"one rowanother", &[0, 7, 14], Special::Ignore)?;
    /// assert_eq!(ids[..offsets[1] as usize], tokenizer.encode("one row", Special::Ignore)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - the offsets do not ascend, or lead beyond the buffer;
    /// - there are more ids than an offset can tell;
    /// - as [`Tokenizer::encode`]; of several failing rows the first counts.
    pub fn encode_columns<O: Offset>(
        &self,
        bytes: &[u8],
        offsets: &[O],
        special: Special,
    ) -> Result<(Vec<u32>, Vec<O>), ColumnError> {
        column(bytes, offsets, |row, text, ids| {
            self.run(text, special, ids).map_err(|source| ColumnError::Encode { row, source })
        })
    }

    /// The texts of many lists of ids that stand in one buffer, as exact bytes: the reverse of [`Tokenizer::encode_columns`].
    ///
    /// ```
    /// use anytok::{Resolver, Special, SpecialText};
    ///
    /// let found = Resolver::default().resolve("testdata/models/llama-bpe.gguf")?;
    /// let tokenizer = found.tokenizer();
    /// let (ids, offsets) = tokenizer.encode_columns(b"one rowanother", &[0i64, 7, 14], Special::Ignore)?;
    /// let (bytes, offsets) = tokenizer.decode_columns(&ids, &offsets, SpecialText::Skip)?;
    /// assert_eq!((&bytes[..], &offsets[..]), (&b"one rowanother"[..], &[0, 7, 14][..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - the offsets do not ascend, or lead beyond the buffer;
    /// - there are more bytes than an offset can tell;
    /// - an id names no token.
    pub fn decode_columns<O: Offset>(
        &self,
        ids: &[u32],
        offsets: &[O],
        special: SpecialText,
    ) -> Result<(Vec<u8>, Vec<O>), ColumnError> {
        column(ids, offsets, |row, ids, bytes| {
            self.decode_into(ids, special, bytes).map_err(|source| ColumnError::Decode { row, source })
        })
    }
}

/// Rows of one column to rows of another.
fn column<T: Sync, U: Copy + Send, O: Offset>(
    items: &[T],
    offsets: &[O],
    work: impl Fn(usize, &[T], &mut Vec<U>) -> Result<(), ColumnError> + Sync,
) -> Result<(Vec<U>, Vec<O>), ColumnError> {
    let mut places = Vec::with_capacity(offsets.len());
    for (at, offset) in offsets.iter().enumerate() {
        let least = places.last().copied().unwrap_or(0);
        let place = offset.to_index().filter(|place| (least..=items.len()).contains(place));
        places.push(place.ok_or(ColumnError::Offsets { at, len: items.len() })?);
    }
    let rows = places.len().saturating_sub(1);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // A few parts a thread, since rows differ in length.
    let part = rows.div_ceil(4 * threads).max(LEAST_ROWS);
    let parts = parallel::map(rows.div_ceil(part), 1, |i| {
        let range: Range<usize> = i * part..rows.min((i + 1) * part);
        let mut out = Vec::new();
        let mut ends = Vec::with_capacity(range.len());
        for row in range {
            work(row, &items[places[row]..places[row + 1]], &mut out)?;
            ends.push(out.len());
        }
        Ok((out, ends))
    });
    let parts: Vec<(Vec<U>, Vec<usize>)> = parts.into_iter().collect::<Result<_, ColumnError>>()?;
    let len = parts.iter().map(|(out, _)| out.len()).sum();
    let offset = |index| O::from_index(index).ok_or(ColumnError::TooLong { len });
    let mut all = Vec::with_capacity(len);
    let mut new = Vec::with_capacity(rows + 1);
    if !offsets.is_empty() {
        new.push(offset(0)?);
    }
    for (out, ends) in parts {
        for end in ends {
            new.push(offset(all.len() + end)?);
        }
        all.extend_from_slice(&out);
    }
    Ok((all, new))
}

/// Fewer rows are not worth a thread.
const LEAST_ROWS: usize = 16;
