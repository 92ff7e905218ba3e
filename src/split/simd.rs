//! The classes of 64 bytes at once, and which instructions find them.
#![allow(unsafe_code)]

use std::ops::Range;

use super::pieces::Block;
use super::scan::{Grammar, Masks, scan};

/// Cuts `range` of `text` by `grammar`, with the widest instructions that this machine has.
pub(super) fn cut_by_blocks(text: &[u8], range: Range<usize>, grammar: &Grammar, out: &mut Block<'_>) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("bmi1")
        && std::arch::is_x86_feature_detected!("bmi2")
        && std::arch::is_x86_feature_detected!("lzcnt")
        && std::arch::is_x86_feature_detected!("popcnt")
    {
        // SAFETY: the machine has just been asked for each of the features that the function is compiled for.
        return unsafe { avx2::cut(text, range, grammar, out) };
    }
    portable::cut(text, range, grammar, out);
}

pub(super) mod portable {
    use super::{Block, Grammar, Masks, Range, scan};

    #[inline(never)]
    pub(in super::super) fn cut(text: &[u8], range: Range<usize>, grammar: &Grammar, out: &mut Block<'_>) {
        scan(text, range, grammar, masks, out);
    }

    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;

    /// Eight bytes at a time, each class in the high bits of a word.
    #[inline(never)]
    pub(in super::super) fn masks(block: &[u8; 64]) -> Masks {
        let mut masks = Masks::default();
        for (i, eight) in block.as_chunks::<8>().0.iter().enumerate() {
            let bytes = u64::from_le_bytes(*eight);
            // Without their high bits, no byte's sum reaches into the next.
            let low = bytes & !HIGH;
            let within = |low: u64, first: u8, last: u8| {
                let from = low + u64::from(0x80 - first) * ONES;
                let above = low + u64::from(0x7F - last) * ONES;
                from & !above & !bytes
            };
            let put = |mask: &mut u64, found: u64| {
                // Brings the high bit of each byte to the bit of its number.
                *mask |= ((found & HIGH) >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56 << (8 * i);
            };
            let is = |byte: u8| within(low, byte, byte);
            put(&mut masks.letter, within(low | (0x20 * ONES), b'a', b'z'));
            put(&mut masks.upper, within(low, b'A', b'Z'));
            put(&mut masks.digit, within(low, b'0', b'9'));
            put(&mut masks.white, within(low, b'\t', b'\r') | is(b' '));
            put(&mut masks.newline, is(b'\n') | is(b'\r'));
            put(&mut masks.space, is(b' '));
            put(&mut masks.slash, is(b'/'));
            put(&mut masks.apostrophe, is(b'\''));
            put(&mut masks.high, bytes);
            put(&mut masks.tail, bytes & !(bytes << 1));
        }
        masks
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm256_cmpeq_epi8, _mm256_cmpgt_epi8, _mm256_loadu_si256, _mm256_min_epu8,
        _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8, _mm256_sub_epi8,
    };

    use super::{Block, Grammar, Masks, Range, scan};

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    #[inline(never)]
    pub(super) fn cut(text: &[u8], range: Range<usize>, grammar: &Grammar, out: &mut Block<'_>) {
        scan(text, range, grammar, |block| masks(block), out);
    }

    /// Out of line: next to the arithmetic on masks, the compiler would do that in vectors, too, which takes several times as long.
    #[target_feature(enable = "avx2")]
    #[inline(never)]
    pub(in super::super) fn masks(block: &[u8; 64]) -> Masks {
        let load = |half: &[u8; 32]| {
            // SAFETY: the load takes 32 bytes at any address, and so many there are behind the reference.
            unsafe { _mm256_loadu_si256(half.as_ptr().cast()) }
        };
        let (halves, _) = block.as_chunks::<32>();
        let halves = [load(&halves[0]), load(&halves[1])];
        let each = |found: &dyn Fn(__m256i) -> __m256i| {
            let half = |i: usize| u64::from(_mm256_movemask_epi8(found(halves[i])).cast_unsigned());
            half(0) | half(1) << 32
        };
        let is = |bytes, byte: u8| _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(byte.cast_signed()));
        let within = |bytes, first: u8, last: u8| {
            let from = _mm256_sub_epi8(bytes, _mm256_set1_epi8(first.cast_signed()));
            _mm256_cmpeq_epi8(_mm256_min_epu8(from, _mm256_set1_epi8((last - first).cast_signed())), from)
        };
        let small = |bytes| _mm256_or_si256(bytes, _mm256_set1_epi8(0x20));
        Masks {
            letter: each(&|bytes| within(small(bytes), b'a', b'z')),
            upper: each(&|bytes| within(bytes, b'A', b'Z')),
            digit: each(&|bytes| within(bytes, b'0', b'9')),
            white: each(&|bytes| _mm256_or_si256(within(bytes, b'\t', b'\r'), is(bytes, b' '))),
            newline: each(&|bytes| _mm256_or_si256(is(bytes, b'\n'), is(bytes, b'\r'))),
            space: each(&|bytes| is(bytes, b' ')),
            slash: each(&|bytes| is(bytes, b'/')),
            apostrophe: each(&|bytes| is(bytes, b'\'')),
            high: each(&|bytes| bytes),
            // As signed numbers, these are the lowest.
            tail: each(&|bytes| _mm256_cmpgt_epi8(_mm256_set1_epi8(-64), bytes)),
        }
    }
}
