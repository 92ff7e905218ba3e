//! Truncation, and the parts it makes of one text or two.
//!
//! Reference: `tokenizers` 0.23, `utils/truncation.rs`, and `truncate` and `merge_with` of `tokenizer/encoding.rs`.

use std::ops::Range;

use super::error::EncoderError;
use super::{Truncate, Truncation};
use crate::tokenizer::Side;

/// The parts of a text of `len` tokens, of which the first stays: at most `most` tokens each, `stride` of them shared with the part
/// before.
fn parts(
    len: usize,
    most: usize,
    truncation: &Truncation,
    all: bool,
) -> Result<Vec<Range<usize>>, EncoderError> {
    let stride = truncation.stride;
    if most >= len {
        return Ok(whole(len));
    }
    if most == 0 {
        let rest = all.then_some(0..len);
        return Ok(std::iter::once(0..0).chain(rest).collect());
    }
    if stride >= most {
        return Err(EncoderError::Stride { stride, room: most });
    }
    let step = most - stride;
    let mut parts = Vec::new();
    match truncation.side {
        Side::Right => {
            for start in (0..len).step_by(step) {
                let end = len.min(start + most);
                parts.push(start..end);
                if end == len || !all {
                    break;
                }
            }
        }
        Side::Left => {
            for end in (1..=len).rev().step_by(step) {
                let start = end.saturating_sub(most);
                parts.push(start..end);
                if start == 0 || !all {
                    break;
                }
            }
        }
    }
    Ok(parts)
}

/// The one part of a text that is not cut.
pub(super) fn whole(len: usize) -> Vec<Range<usize>> {
    std::iter::once(0..len).collect()
}

/// How many tokens of a text are read until the truncation's limit is reached, by whole words, from the side that stays.
pub(super) fn read(len: usize, word_ends: &[usize], truncation: &Truncation) -> usize {
    let limit = truncation.limit;
    match truncation.side {
        Side::Right => word_ends.iter().copied().find(|&end| end >= limit).unwrap_or(len),
        Side::Left => word_ends.iter().rev().map(|&end| len - end).find(|&read| read >= limit).unwrap_or(len),
    }
}

/// The parts of one text or two, so that the first ones have `limit` tokens together. With `all`, those that do not stay as well.
///
/// Of two texts that share the limit the longer one gets the token that is left over. The library counts only what it has read of them:
/// `first_is_longer`.
pub(super) fn truncate(
    first: usize,
    second: Option<usize>,
    first_is_longer: bool,
    limit: usize,
    truncation: &Truncation,
    all: bool,
) -> Result<[Vec<Range<usize>>; 2], EncoderError> {
    let total = first + second.unwrap_or(0);
    let parts = |len, most| parts(len, most, truncation, all);
    let over = total.saturating_sub(limit);
    let both = |one, two| Ok([parts(first, one)?, parts(second.unwrap_or(0), two)?]);
    if over == 0 {
        return both(first, second.unwrap_or(0));
    }
    if limit == 0 {
        return both(0, 0);
    }
    match (truncation.what, second) {
        (Truncate::LongestFirst, None) => both(limit, 0),
        (Truncate::LongestFirst, Some(second)) => {
            let shorter = first.min(second);
            let mut lens = (shorter, if shorter > limit { shorter } else { shorter.max(limit - shorter) });
            if lens.0 + lens.1 > limit {
                lens = (limit / 2, limit / 2 + limit % 2);
            }
            if first_is_longer { both(lens.1, lens.0) } else { both(lens.0, lens.1) }
        }
        (Truncate::OnlySecond, None) => Err(EncoderError::NoSecond),
        (Truncate::OnlyFirst, _) if first <= over => Err(EncoderError::TooShort { len: first, over }),
        (Truncate::OnlyFirst, second) => both(first - over, second.unwrap_or(0)),
        (Truncate::OnlySecond, Some(second)) if second <= over => {
            Err(EncoderError::TooShort { len: second, over })
        }
        (Truncate::OnlySecond, Some(second)) => both(first, second - over),
    }
}

/// Which part of each piece goes into an input: the input itself, and those of the parts that are left over, in the library's order.
pub(super) fn combine(counts: impl Iterator<Item = usize>) -> (Vec<usize>, Vec<Vec<usize>>) {
    let (mut main, mut rest) = (Vec::new(), Vec::<Vec<usize>>::new());
    let with = |chosen: &[usize], part| [chosen, &[part]].concat();
    for count in counts {
        let mut next = Vec::new();
        for chosen in &rest {
            next.extend((0..count).map(|part| with(chosen, part)));
        }
        next.extend((1..count).map(|part| with(&main, part)));
        main.push(0);
        rest = next;
    }
    (main, rest)
}
