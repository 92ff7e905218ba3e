//! Reading a text by character class, whichever reference defines the classes.

use std::ops::Range;

use crate::unicode::{
    LETTER, LOWER, NUMBER, PUNCTUATION, SYMBOL, UPPER, WHITESPACE, cpp_flags, decode, regex_flags,
};

/// What a letter, a number or a space is: the references' tables differ by Unicode version and by what they know of case.
pub(super) trait Classes {
    /// The classes of ASCII, by byte.
    const ASCII: &'static [u8; 128];

    /// Which ASCII letters are [`LOWER`].
    const SMALL: Letters;

    /// The classes of a code point above ASCII.
    fn wide(cp: u32) -> u8;

    /// Classes and length of the character at `pos`. The end of the text has length 0 and the class of whitespace: so `(?!\S)` holds
    /// there, and no run goes on.
    #[inline(always)]
    fn at(text: &[u8], pos: usize) -> (u8, usize) {
        match text.get(pos) {
            None => (WHITESPACE, 0),
            Some(&byte) if byte < 0x80 => (Self::ASCII[byte as usize], 1),
            Some(_) => {
                let (cp, len) = decode(text, pos);
                (Self::wide(cp), len)
            }
        }
    }

    /// End of the run of characters from `pos` on that have one of the classes of `mask`, whose ASCII members are those of `ascii`.
    ///
    /// Eight bytes at a time, so that a word costs no branch per letter, nor a mispredicted one at its end.
    #[inline(always)]
    fn letters(text: &[u8], mut pos: usize, mask: u8, ascii: Letters) -> usize {
        loop {
            if let Some(eight) = text.get(pos..).and_then(|rest| rest.first_chunk()) {
                let count = ascii.count(*eight);
                pos += count;
                if count == 8 {
                    continue;
                }
            }
            match text.get(pos) {
                None => return pos,
                Some(&byte) if byte < 0x80 => {
                    if Self::ASCII[byte as usize] & mask == 0 {
                        return pos;
                    }
                    pos += 1;
                }
                Some(_) => {
                    let (cp, len) = decode(text, pos);
                    if Self::wide(cp) & mask == 0 {
                        return pos;
                    }
                    pos += len;
                }
            }
        }
    }

    /// End of the run of characters from `pos` on whose classes satisfy `class`.
    #[inline(always)]
    fn run(text: &[u8], mut pos: usize, class: impl Fn(u8) -> bool) -> usize {
        loop {
            match text.get(pos) {
                Some(&byte) if byte < 0x80 => {
                    if !class(Self::ASCII[byte as usize]) {
                        return pos;
                    }
                    pos += 1;
                }
                None => return pos,
                Some(_) => {
                    let (cp, len) = decode(text, pos);
                    if !class(Self::wide(cp)) {
                        return pos;
                    }
                    pos += len;
                }
            }
        }
    }
}

/// Which letters of ASCII a run is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Letters {
    Any,
    Small,
}

impl Letters {
    /// How many of these bytes, from the first on, are such letters.
    #[inline(always)]
    fn count(self, bytes: [u8; 8]) -> usize {
        const ONES: u64 = 0x0101_0101_0101_0101;
        const HIGH: u64 = 0x80 * ONES;
        let bytes = u64::from_le_bytes(bytes);
        // Without their high bits, no byte's sum reaches into the next.
        let low = bytes & !HIGH;
        let folded = match self {
            Letters::Any => low | (0x20 * ONES),
            Letters::Small => low,
        };
        let from_a = folded + (0x80 - 0x61) * ONES;
        let above_z = folded + (0x7F - 0x7A) * ONES;
        let outside = !(from_a & !above_z & !bytes) & HIGH;
        outside.trailing_zeros() as usize / 8
    }
}

/// llama.cpp's tables, where a letter is a letter: [`UPPER`] and [`LOWER`] hold for every letter and mark.
pub(super) struct Cpp;

impl Classes for Cpp {
    const ASCII: &'static [u8; 128] = &ascii(UPPER | LOWER, UPPER | LOWER);
    const SMALL: Letters = Letters::Any;

    #[inline(always)]
    fn wide(cp: u32) -> u8 {
        cpp_flags(cp)
    }
}

/// llama.cpp's tables where a pattern spells out `[^a-z]` and `[^A-Z]`: case in ASCII, none elsewhere.
pub(super) struct CppAsciiCase;

impl Classes for CppAsciiCase {
    const ASCII: &'static [u8; 128] = &ascii(UPPER, LOWER);
    const SMALL: Letters = Letters::Small;

    #[inline(always)]
    fn wide(cp: u32) -> u8 {
        cpp_flags(cp)
    }
}

/// llama.cpp's tables for `k2-horizon`: [`LOWER`] marks what may stand in a word, which here includes the two zero-width joiners.
pub(super) struct CppJoiners;

impl Classes for CppJoiners {
    const ASCII: &'static [u8; 128] = Cpp::ASCII;
    const SMALL: Letters = Letters::Any;

    #[inline(always)]
    fn wide(cp: u32) -> u8 {
        if matches!(cp, 0x200C | 0x200D) { cpp_flags(cp) | LOWER } else { cpp_flags(cp) }
    }
}

/// llama.cpp's tables for `kimi-k2`: [`UPPER`] marks Han characters (whatever their category), [`LOWER`] all other letters.
pub(super) struct CppHan;

impl Classes for CppHan {
    const ASCII: &'static [u8; 128] = &ascii(LOWER, LOWER);
    const SMALL: Letters = Letters::Any;

    #[inline(always)]
    fn wide(cp: u32) -> u8 {
        let class = cpp_flags(cp) & !(UPPER | LOWER);
        match cp {
            0x3400..=0x4DBF
            | 0x4E00..=0x9FFF
            | 0xF900..=0xFAFF
            | 0x2_0000..=0x2_A6DF
            | 0x2_A700..=0x2_EBEF
            | 0x2_F800..=0x2_FA1F => class | UPPER,
            _ if class & LETTER != 0 => class | LOWER,
            _ => class,
        }
    }
}

/// The classes of the `regex` and `fancy-regex` crates, hence of tiktoken's and tokenizer.json's patterns.
pub(super) struct Regex;

impl Classes for Regex {
    const ASCII: &'static [u8; 128] = &ascii(UPPER, LOWER);
    const SMALL: Letters = Letters::Small;

    #[inline(always)]
    fn wide(cp: u32) -> u8 {
        regex_flags(cp)
    }
}

/// As [`Regex`], but [`UPPER`] and [`LOWER`] leave out the script Han (`&&[^\p{Han}]`).
pub(super) struct RegexWithoutHan;

impl Classes for RegexWithoutHan {
    const ASCII: &'static [u8; 128] = Regex::ASCII;
    const SMALL: Letters = Letters::Small;

    #[inline(always)]
    fn wide(cp: u32) -> u8 {
        if is_script_han(cp) { regex_flags(cp) & !(UPPER | LOWER) } else { regex_flags(cp) }
    }
}

/// `\p{Han}` of the `regex` crate.
pub(super) fn is_script_han(cp: u32) -> bool {
    // regex-syntax 0.8, Unicode 16; a test asks the crate itself.
    matches!(cp,
        0x2E80..=0x2E99 | 0x2E9B..=0x2EF3 | 0x2F00..=0x2FD5 | 0x3005 | 0x3007 | 0x3021..=0x3029 | 0x3038..=0x303B
        | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFA6D | 0xFA70..=0xFAD9 | 0x1_6FE2..=0x1_6FE3
        | 0x1_6FF0..=0x1_6FF1 | 0x2_0000..=0x2_A6DF | 0x2_A700..=0x2_B739 | 0x2_B740..=0x2_B81D | 0x2_B820..=0x2_CEA1
        | 0x2_CEB0..=0x2_EBE0 | 0x2_EBF0..=0x2_EE5D | 0x2_F800..=0x2_FA1D | 0x3_0000..=0x3_134A | 0x3_1350..=0x3_23AF)
}

/// Cuts `range` of `text` into matches and the gaps between them, and reports both in order.
///
/// `match_at(text, pos)` is the end of the match that begins at `pos`, or `pos` if there is none; `text` ends where the range ends, since a
/// pattern never looks beyond its segment. Linear if `match_at` is linear in what it matches and fails in constant time.
#[inline(always)]
pub(super) fn cut(
    text: &[u8],
    range: Range<usize>,
    mut match_at: impl FnMut(&[u8], usize) -> usize,
    each: &mut impl FnMut(Range<usize>),
) {
    let Some(text) = text.get(..range.end) else { return };
    let (mut gap, mut pos) = (range.start, range.start);
    while pos < text.len() {
        let end = match_at(text, pos);
        if end > pos {
            if gap < pos {
                each(gap..pos);
            }
            each(pos..end);
            (gap, pos) = (end, end);
        } else {
            pos += char_len(text, pos);
        }
    }
    if gap < pos {
        each(gap..pos);
    }
}

/// Length of the character at `pos`; 0 at the end.
#[inline(always)]
pub(super) fn char_len(text: &[u8], pos: usize) -> usize {
    match text.get(pos) {
        Some(&byte) if byte < 0x80 => 1,
        _ => decode(text, pos).1,
    }
}

const fn ascii(upper: u8, lower: u8) -> [u8; 128] {
    let mut classes = [0; 128];
    let mut byte = 0;
    while byte < 128 {
        classes[byte as usize] = match byte {
            b'\t'..=b'\r' | b' ' => WHITESPACE,
            b'0'..=b'9' => NUMBER,
            b'A'..=b'Z' => LETTER | upper,
            b'a'..=b'z' => LETTER | lower,
            b'$' | b'+' | b'<' | b'=' | b'>' | b'^' | b'`' | b'|' | b'~' => SYMBOL,
            b'!'..=b'~' => PUNCTUATION,
            _ => 0,
        };
        byte += 1;
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascii_tables_equal_the_wide_ones() {
        for byte in 0..128u8 {
            assert_eq!(Cpp::ASCII[byte as usize], cpp_flags(u32::from(byte)), "{byte:#x}");
            assert_eq!(Regex::ASCII[byte as usize], regex_flags(u32::from(byte)), "{byte:#x}");
        }
    }

    #[test]
    fn eight_bytes_are_counted_as_one_by_one() {
        for byte in 0..=255u8 {
            for at in 0..8 {
                for filler in *b"azAZ" {
                    let mut bytes = [filler; 8];
                    bytes[at] = byte;
                    let any = bytes.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
                    let small = bytes.iter().take_while(|byte| byte.is_ascii_lowercase()).count();
                    assert_eq!(
                        (Letters::Any.count(bytes), Letters::Small.count(bytes)),
                        (any, small),
                        "{bytes:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn han_equals_the_regex_crates() {
        let han = fancy_regex::Regex::new(r"\p{Han}").unwrap();
        let mut utf8 = [0; 4];
        for c in '\0'..=char::MAX {
            assert_eq!(is_script_han(c as u32), han.is_match(c.encode_utf8(&mut utf8)).unwrap(), "{c:?}");
        }
    }
}
