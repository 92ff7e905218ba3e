//! Characters as the tokenizers see them: lenient UTF-8, classes, case, normalisation.
//!
//! Text inside the engines is *generalised UTF-8*: what [`repair`] returns, that is UTF-8 in which surrogates may also stand,
//! three bytes each, because llama.cpp lets them pass. It is therefore `&[u8]`, not `&str`.

mod tables;

#[cfg(test)]
mod generate;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

use unicode_normalization::UnicodeNormalization as _;

/// General category L.
pub(crate) const LETTER: u8 = 1;
/// General category N.
pub(crate) const NUMBER: u8 = 2;
/// General category M.
pub(crate) const MARK: u8 = 4;
/// General category P.
pub(crate) const PUNCTUATION: u8 = 8;
/// General category S.
pub(crate) const SYMBOL: u8 = 16;
/// `\s`, which includes every character of category Z.
pub(crate) const WHITESPACE: u8 = 32;
/// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`; in llama.cpp's table, which knows no case, every letter and mark.
pub(crate) const UPPER: u8 = 64;
/// `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`; in llama.cpp's table every letter and mark.
pub(crate) const LOWER: u8 = 128;

/// What an invalid byte is read as.
pub(crate) const REPLACEMENT: u32 = 0xFFFD;

/// llama.cpp's category of a code point: general category (Unicode 15.1) without its subclass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Category {
    Number,
    Letter,
    Separator,
    Mark,
    Punctuation,
    Symbol,
    /// Cc, Cf, Co, Cs.
    Control,
    /// Cn: not assigned.
    Undefined,
}

/// Flags of `cp` in llama.cpp's tables.
#[inline]
pub(crate) fn cpp_flags(cp: u32) -> u8 {
    flags(&tables::CPP_INDEX, &CPP_FLAGS, cp)
}

/// Flags of `cp` in the tables of the `regex` crate; a surrogate is classed as U+FFFD, which takes its place there.
#[inline]
pub(crate) fn regex_flags(cp: u32) -> u8 {
    flags(&tables::REGEX_INDEX, &REGEX_FLAGS, cp)
}

/// llama.cpp's category of `cp`. Values above U+10FFFF are [`Category::Undefined`].
pub(crate) fn category(cp: u32) -> Category {
    match cpp_flags(cp) & (LETTER | NUMBER | MARK | PUNCTUATION | SYMBOL) {
        LETTER => Category::Letter,
        NUMBER => Category::Number,
        MARK => Category::Mark,
        PUNCTUATION => Category::Punctuation,
        SYMBOL => Category::Symbol,
        _ if is_control(cp) => Category::Control,
        _ if is_whitespace(cp) => Category::Separator,
        _ => Category::Undefined,
    }
}

/// Whether `cp` is whitespace; llama.cpp, `\s` of the `regex` crate and `char::is_whitespace` agree on it.
#[inline]
pub(crate) fn is_whitespace(cp: u32) -> bool {
    cpp_flags(cp) & WHITESPACE != 0
}

/// llama.cpp's category C.
pub(crate) fn is_control(cp: u32) -> bool {
    let ranges = tables::CONTROL;
    let after = ranges.partition_point(|&(first, _)| first <= cp);
    after > 0 && cp < ranges[after - 1].1
}

/// llama.cpp's lower case of `cp`: the first code point of the full mapping (U+0130 gives `i`).
pub(crate) fn lower(cp: u32) -> u32 {
    if cp < 0x80 {
        return if (0x41..=0x5A).contains(&cp) { cp + 32 } else { cp };
    }
    let rows = LOWERCASE_INDEX.rows(tables::LOWERCASE, cp);
    match rows.binary_search_by(|&(first, last, ..)| order(first, last, cp)) {
        Ok(at) => {
            let (first, _, step, mapped) = rows[at];
            if (cp - first).is_multiple_of(u32::from(step)) { mapped + (cp - first) } else { cp }
        }
        Err(_) => cp,
    }
}

/// llama.cpp's accent stripping: the first code point of the canonical decomposition. A Hangul syllable gives its leading jamo.
pub(crate) fn nfd_first(cp: u32) -> u32 {
    if cp < 0xC0 {
        return cp;
    }
    if (0xAC00..=0xD7A3).contains(&cp) {
        return 0x1100 + (cp - 0xAC00) / 588;
    }
    let rows = NFD_INDEX.rows(tables::NFD_FIRST, cp);
    match rows.binary_search_by(|&(first, last, _)| order(first, last, cp)) {
        Ok(at) => rows[at].2,
        Err(_) => cp,
    }
}

/// `text`, which is generalised UTF-8, in normalisation form C of Unicode 16.
///
/// Linear but for runs of combining marks, which are sorted. Borrows when nothing changes.
pub(crate) fn nfc(text: &[u8]) -> Cow<'_, [u8]> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    if let Ok(valid) = std::str::from_utf8(text) {
        let quick = unicode_normalization::is_nfc_quick(valid.chars());
        if quick == unicode_normalization::IsNormalized::Yes && !valid.chars().any(|c| is_inert(c as u32)) {
            return Cow::Borrowed(text);
        }
    }
    let mut out = Vec::with_capacity(text.len());
    let mut run = String::new();
    let mut pos = 0;
    while pos < text.len() {
        let (cp, len) = decode(text, pos);
        match char::from_u32(cp) {
            Some(c) if !is_inert(cp) => run.push(c),
            // Starters that neither decompose nor compose: what stands on either side never meets.
            _ => {
                out.extend(run.nfc().collect::<String>().into_bytes());
                run.clear();
                encode(cp, &mut out);
            }
        }
        pos += len;
    }
    out.extend(run.nfc().collect::<String>().into_bytes());
    Cow::Owned(out)
}

/// Cuts `text` into parts, in order and without gaps, whose normalisation forms C one after the other are that of the whole: a
/// part begins at a character that never combines with the one before.
pub(crate) fn nfc_parts(text: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let starts = |pos: usize| {
        let (cp, len) = decode(text, pos);
        let begins = char::from_u32(cp).filter(|_| !is_inert(cp)).is_none_or(|c| {
            unicode_normalization::char::canonical_combining_class(c) == 0
                && unicode_normalization::is_nfc_quick(std::iter::once(c))
                    == unicode_normalization::IsNormalized::Yes
        });
        (begins, len)
    };
    let mut start = 0;
    std::iter::from_fn(move || {
        let mut end = start + starts(start).1;
        while end < text.len() {
            let (begins, len) = starts(end);
            if begins {
                break;
            }
            end += len;
        }
        let part = start..end;
        start = end;
        (!part.is_empty()).then_some(part)
    })
}

/// Decodes the character at `pos`: its code point and its length in bytes.
///
/// Surrogates are accepted. Anything else that is not UTF-8 (a stray or missing continuation byte, an overlong form, a value above
/// U+10FFFF) is U+FFFD of length 1. At or after the end: U+FFFD of length 0.
#[inline]
pub(crate) fn decode(bytes: &[u8], pos: usize) -> (u32, usize) {
    let Some(rest) = bytes.get(pos..) else { return (REPLACEMENT, 0) };
    let tail = |b: u8| u32::from(b & 0x3F);
    let continues = |b: u8| b & 0xC0 == 0x80;
    match *rest {
        [] => (REPLACEMENT, 0),
        [a, ..] if a < 0x80 => (u32::from(a), 1),
        [a @ 0xC2..=0xDF, b, ..] if continues(b) => (u32::from(a & 0x1F) << 6 | tail(b), 2),
        [a @ 0xE0..=0xEF, b, c, ..] if continues(b) && continues(c) => {
            let cp = u32::from(a & 0x0F) << 12 | tail(b) << 6 | tail(c);
            if cp >= 0x800 { (cp, 3) } else { (REPLACEMENT, 1) }
        }
        [a @ 0xF0..=0xF4, b, c, d, ..] if continues(b) && continues(c) && continues(d) => {
            let cp = u32::from(a & 0x07) << 18 | tail(b) << 12 | tail(c) << 6 | tail(d);
            if (0x1_0000..=0x10_FFFF).contains(&cp) { (cp, 4) } else { (REPLACEMENT, 1) }
        }
        _ => (REPLACEMENT, 1),
    }
}

/// `bytes` with every invalid byte (see [`decode`]) replaced by the three bytes of U+FFFD. Borrows when there is none.
pub(crate) fn repair(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut repaired: Option<Vec<u8>> = None;
    let mut pos = 0;
    // `copied..pos` is valid and not yet in `repaired`.
    let mut copied = 0;
    while let Err(error) = std::str::from_utf8(&bytes[pos..]) {
        pos += error.valid_up_to();
        let (cp, len) = decode(bytes, pos);
        if (cp, len) == (REPLACEMENT, 1) {
            let out = repaired.get_or_insert_with(|| Vec::with_capacity(bytes.len() + bytes.len() / 8 + 2));
            out.extend_from_slice(&bytes[copied..pos]);
            out.extend_from_slice("\u{FFFD}".as_bytes());
            copied = pos + 1;
        }
        pos += len;
    }
    match repaired {
        None => Cow::Borrowed(bytes),
        Some(mut out) => {
            out.extend_from_slice(&bytes[copied..]);
            Cow::Owned(out)
        }
    }
}

/// Appends `cp` in generalised UTF-8: a surrogate takes three bytes, a value above U+10FFFF is written as U+FFFD.
pub(crate) fn encode(cp: u32, out: &mut Vec<u8>) {
    let tail = |shift: u32| (cp >> shift & 0x3F | 0x80) as u8;
    match cp {
        0..0x80 => out.push(cp as u8),
        0x80..0x800 => out.extend([(cp >> 6 | 0xC0) as u8, tail(0)]),
        0x800..0x1_0000 => out.extend([(cp >> 12 | 0xE0) as u8, tail(6), tail(0)]),
        0x1_0000..=0x10_FFFF => out.extend([(cp >> 18 | 0xF0) as u8, tail(12), tail(6), tail(0)]),
        _ => encode(REPLACEMENT, out),
    }
}

/// Length of a symbol that begins with `byte`, by its high nibble alone: a stray continuation byte is 1, F8–FF are 4.
/// The caller clips it to the bytes that remain.
#[inline]
pub(crate) fn utf8_len(byte: u8) -> usize {
    match byte >> 4 {
        0x0..=0xB => 1,
        0xC | 0xD => 2,
        0xE => 3,
        _ => 4,
    }
}

/// GPT-2's printable alphabet: the character that stands for `byte` in the vocabulary files of byte-level BPE.
#[inline]
pub(crate) fn byte_to_char(byte: u8) -> char {
    char::from_u32(u32::from(BYTE_ALPHABET[byte as usize])).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The byte that `cp` stands for in GPT-2's alphabet.
#[inline]
pub(crate) fn char_to_byte(cp: u32) -> Option<u8> {
    match cp {
        0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF => Some(cp as u8),
        0x100..=0x143 => Some(SHIFTED[cp as usize - 0x100]),
        _ => None,
    }
}

/// From here on the tables would hold one run of marks (variation selectors) and nothing else.
const FLAT_FROM: u32 = 0x3_4000;

static CPP_FLAGS: [u8; tables::CPP_LETTERS.len()] = from_letters(tables::CPP_LETTERS);
static REGEX_FLAGS: [u8; tables::REGEX_LETTERS.len()] = from_letters(tables::REGEX_LETTERS);

#[inline]
fn flags(index: &[u8; FLAT_FROM as usize / 128], blocks: &[u8], cp: u32) -> u8 {
    match index.get((cp >> 7) as usize) {
        Some(&block) => blocks[block as usize * 128 + (cp as usize & 127)],
        None if (0xE0100..0xE01F0).contains(&cp) => MARK | UPPER | LOWER,
        None => 0,
    }
}

const fn from_letters<const N: usize>(letters: &[u8; N]) -> [u8; N] {
    let mut flags = [0; N];
    let mut i = 0;
    while i < N {
        flags[i] = match letters[i] {
            b'U' => LETTER | UPPER,
            b'l' => LETTER | LOWER,
            b'o' => LETTER | UPPER | LOWER,
            b'm' => MARK | UPPER | LOWER,
            b'9' => NUMBER,
            b'p' => PUNCTUATION,
            b's' => SYMBOL,
            b'_' => WHITESPACE,
            _ => 0,
        };
        i += 1;
    }
    flags
}

/// The tables' rows are sorted and disjoint; this leads from a code point to the few rows of its block of 256.
struct RowIndex<const N: usize>([u16; N]);

impl<const N: usize> RowIndex<N> {
    /// Rows that may hold `cp`. A row that began in an earlier block is included.
    #[inline]
    fn rows<'a, T>(&self, rows: &'a [T], cp: u32) -> &'a [T] {
        let block = (cp >> 8) as usize;
        match (self.0.get(block), self.0.get(block + 1)) {
            (Some(&from), Some(&to)) => &rows[(from as usize).saturating_sub(1)..to as usize],
            _ => &[],
        }
    }
}

// Each entry: how many rows begin before the block. One block more than the last row needs.
static LOWERCASE_INDEX: RowIndex<0x1EB> = {
    let mut index = [0; 0x1EB];
    let mut block = 0;
    let mut row = 0;
    while block < index.len() {
        while row < tables::LOWERCASE.len() && tables::LOWERCASE[row].0 < (block as u32) << 8 {
            row += 1;
        }
        index[block] = row as u16;
        block += 1;
    }
    RowIndex(index)
};

static NFD_INDEX: RowIndex<0x2FC> = {
    let mut index = [0; 0x2FC];
    let mut block = 0;
    let mut row = 0;
    while block < index.len() {
        while row < tables::NFD_FIRST.len() && tables::NFD_FIRST[row].0 < (block as u32) << 8 {
            row += 1;
        }
        index[block] = row as u16;
        block += 1;
    }
    RowIndex(index)
};

fn order(first: u32, last: u32, cp: u32) -> Ordering {
    if last < cp {
        Ordering::Less
    } else if first > cp {
        Ordering::Greater
    } else {
        Ordering::Equal
    }
}

/// No character (a surrogate), or one that came after Unicode 16: to its tables such a code point is a starter like any other.
fn is_inert(cp: u32) -> bool {
    let ranges = tables::AFTER_UNICODE_16;
    let after = ranges.partition_point(|&(first, _)| first <= cp);
    (0xD800..0xE000).contains(&cp) || (after > 0 && cp < ranges[after - 1].1)
}

/// The 68 bytes that are not printable in Latin-1 take U+0100 and up, in order.
static SHIFTED: [u8; 68] = {
    let mut shifted = [0; 68];
    let (mut byte, mut next) = (0u16, 0);
    while byte < 256 {
        if !matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF) {
            shifted[next] = byte as u8;
            next += 1;
        }
        byte += 1;
    }
    shifted
};

static BYTE_ALPHABET: [u16; 256] = {
    let mut alphabet = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        alphabet[byte] = byte as u16;
        byte += 1;
    }
    let mut i = 0;
    while i < SHIFTED.len() {
        alphabet[SHIFTED[i] as usize] = 0x100 + i as u16;
        i += 1;
    }
    alphabet
};

#[cfg(test)]
pub(crate) mod tests;
