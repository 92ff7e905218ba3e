//! Splits that stand alone or follow one another: each cuts a range of the text and reports the pieces, gaps included.
//!
//! A cascade is one stage inside another's `each`, so every later stage sees only the segments of the earlier one.

use std::ops::Range;

use super::classes::{Classes, Letters, char_len, cut};
use super::grammar::{
    Contraction, Tail, Trail, WORD_NUMBER_OR_SPACE, contraction, is_newline, numbers, punctuation, whitespace,
};
use crate::unicode::{LETTER, LOWER, MARK, NUMBER, PUNCTUATION, UPPER, WHITESPACE, decode};

/// Runs of the characters above ASCII that are in the class; the class holds no ASCII.
#[inline(always)]
pub(super) fn wide_runs(
    text: &[u8],
    range: Range<usize>,
    in_class: impl Fn(u32) -> bool,
    each: &mut impl FnMut(Range<usize>),
) {
    let Some(text) = text.get(..range.end) else { return };
    let (mut from, mut pos, mut inside) = (range.start, range.start, false);
    while let Some(&byte) = text.get(pos) {
        let (now, len) = if byte < 0x80 {
            (false, 1)
        } else {
            let (cp, len) = decode(text, pos);
            (in_class(cp), len)
        };
        if now != inside {
            if from < pos {
                each(from..pos);
            }
            (from, inside) = (pos, now);
        }
        pos += len;
    }
    if from < pos {
        each(from..pos);
    }
}

/// `[一-龥぀-ゟ゠-ヿ]+`
#[inline(always)]
pub(super) fn han_and_kana(cp: u32) -> bool {
    matches!(cp, 0x4E00..=0x9FA5 | 0x3040..=0x30FF)
}

/// `[一-龥ࠀ-一가-퟿]+`
#[inline(always)]
pub(super) fn deepseek_han(cp: u32) -> bool {
    matches!(cp, 0x0800..=0x9FA5 | 0xAC00..=0xD7FF)
}

/// afmoe's list of scripts that are written without spaces.
#[inline(always)]
pub(super) fn afmoe_scripts(cp: u32) -> bool {
    // The pattern's `8C48-FAFF` swallows what lies between: its author meant U+F900, which looks the same as U+8C48.
    matches!(cp,
        0x3400..=0x4DBF | 0x4E00..=0xFAFF | 0x3040..=0x30FF | 0xFF65..=0xFF9F | 0x2F00..=0x2FDF | 0x0E40..=0x0EFF
        | 0x1780..=0x17FF | 0x1000..=0x109F | 0x1100..=0x11FF)
}

/// youtu's four alternated classes, by number.
#[inline(always)]
pub(super) fn youtu_class(cp: u32) -> u8 {
    match cp {
        0xAC00..=0xD7A3 | 0x3131..=0x318E => 1,
        0xFF01
        | 0x2026
        | 0x201C
        | 0x201D
        | 0x2018
        | 0x2019
        | 0x2014
        | 0xFF1A
        | 0xFF1B
        | 0xFF0C
        | 0x3001..=0x303F
        | 0xFE30..=0xFE4F => 2,
        0x3105..=0x312F => 3,
        0x4E00..=0x9FA5 | 0x3040..=0x30FF => 4,
        _ => 0,
    }
}

/// Runs of equal `kind`, where kind 0 is the gap.
#[inline(always)]
pub(super) fn runs_by_kind(
    text: &[u8],
    range: Range<usize>,
    kind: impl Fn(&[u8], usize) -> u8,
    each: &mut impl FnMut(Range<usize>),
) {
    let Some(text) = text.get(..range.end) else { return };
    let (mut from, mut pos) = (range.start, range.start);
    let mut current = None;
    while pos < text.len() {
        let now = Some(kind(text, pos));
        if now != current {
            if from < pos {
                each(from..pos);
            }
            (from, current) = (pos, now);
        }
        pos += char_len(text, pos);
    }
    if from < pos {
        each(from..pos);
    }
}

/// Runs of characters whose classes satisfy `is`, and the gaps.
#[inline(always)]
pub(super) fn class_runs<C: Classes>(
    text: &[u8],
    range: Range<usize>,
    is: impl Fn(u8) -> bool,
    each: &mut impl FnMut(Range<usize>),
) {
    cut(text, range, |text, pos| C::run(text, pos, &is), each);
}

/// `\p{N}{1,most}`
#[inline(always)]
pub(super) fn number_groups<C: Classes>(
    text: &[u8],
    range: Range<usize>,
    most: usize,
    each: &mut impl FnMut(Range<usize>),
) {
    cut(text, range, |text, pos| numbers::<C>(text, pos, most), each);
}

/// `[0-9][0-9][0-9]`
#[inline(always)]
pub(super) fn three_digits(text: &[u8], range: Range<usize>, each: &mut impl FnMut(Range<usize>)) {
    let at = |text: &[u8], pos: usize| match text.get(pos..pos + 3) {
        Some(three) if three.iter().all(u8::is_ascii_digit) => pos + 3,
        _ => pos,
    };
    cut(text, range, at, each);
}

/// `[\r\n]`: each newline character alone.
#[inline(always)]
pub(super) fn single_newlines(text: &[u8], range: Range<usize>, each: &mut impl FnMut(Range<usize>)) {
    cut(text, range, |text, pos| pos + usize::from(is_newline(text[pos])), each);
}

/// `[^\n]+|[\n]+`
pub(super) fn lines(text: &[u8], range: Range<usize>, each: &mut impl FnMut(Range<usize>)) {
    let Some(text) = text.get(..range.end) else { return };
    let mut pos = range.start;
    while pos < text.len() {
        let rest = &text[pos..];
        let len = if rest[0] == b'\n' {
            rest.iter().take_while(|&&byte| byte == b'\n').count()
        } else {
            memchr::memchr(b'\n', rest).unwrap_or(rest.len())
        };
        each(pos..pos + len);
        pos += len;
    }
}

/// `\s?CLASS+`, where no member of the class is whitespace.
#[inline(always)]
pub(super) fn spaced_run<C: Classes>(
    text: &[u8],
    range: Range<usize>,
    is: impl Fn(u8, u32) -> bool,
    each: &mut impl FnMut(Range<usize>),
) {
    let at = |text: &[u8], pos: usize| {
        let member = |at: usize| {
            let (cp, len) = decode(text, at);
            if len > 0 && is(C::at(text, at).0, cp) { len } else { 0 }
        };
        let (class, len) = C::at(text, pos);
        let mut end = if class & WHITESPACE != 0 { pos + len } else { pos };
        let from = end;
        loop {
            match member(end) {
                0 if end == from => return pos,
                0 => return end,
                len => end += len,
            }
        }
    };
    cut(text, range, at, each);
}

/// `\s+$`
#[inline(always)]
pub(super) fn trailing_whitespace<C: Classes>(
    text: &[u8],
    range: Range<usize>,
    each: &mut impl FnMut(Range<usize>),
) {
    let Some(text) = text.get(..range.end) else { return };
    let (mut pos, mut from) = (range.start, range.start);
    while pos < text.len() {
        let (class, len) = C::at(text, pos);
        pos += len;
        if class & WHITESPACE == 0 {
            from = pos;
        }
    }
    for piece in [range.start..from, from..pos] {
        if !piece.is_empty() {
            each(piece);
        }
    }
}

/// `[\p{P}\$\+<=>\^~\|]+`, with the backtick for falcon.
#[inline(always)]
pub(super) fn punctuation_runs<C: Classes>(
    text: &[u8],
    range: Range<usize>,
    backtick: bool,
    each: &mut impl FnMut(Range<usize>),
) {
    let at = |text: &[u8], mut pos: usize| {
        while let Some(&byte) = text.get(pos) {
            let (class, len) = C::at(text, pos);
            let listed = matches!(byte, b'$' | b'+' | b'<' | b'=' | b'>' | b'^' | b'~' | b'|')
                || (backtick && byte == b'`');
            if class & PUNCTUATION == 0 && !listed {
                break;
            }
            pos += len;
        }
        pos
    };
    cut(text, range, at, each);
}

/// Bloom's ` ?[^(\s|.,!?…。，、।۔،)]+`
#[inline(always)]
pub(super) fn bloom<C: Classes>(text: &[u8], range: Range<usize>, each: &mut impl FnMut(Range<usize>)) {
    let stops = |text: &[u8], pos: usize| match text.get(pos) {
        None => true,
        Some(&byte) if byte < 0x80 => {
            C::ASCII[byte as usize] & WHITESPACE != 0
                || matches!(byte, b'(' | b'|' | b'.' | b',' | b'!' | b'?' | b')')
        }
        Some(_) => {
            let (cp, _) = decode(text, pos);
            C::wide(cp) & WHITESPACE != 0
                || matches!(cp, 0x2026 | 0x3002 | 0xFF0C | 0x3001 | 0x0964 | 0x06D4 | 0x060C)
        }
    };
    let at = |text: &[u8], pos: usize| {
        let from = pos + usize::from(text[pos] == b' ');
        let mut end = from;
        while !stops(text, end) {
            end += char_len(text, end);
        }
        if end > from { end } else { pos }
    };
    cut(text, range, at, each);
}

/// afmoe's own digit splitter: runs of numbers in groups of three from the right. What precedes a run belongs to its first group,
/// and what follows the last group is one piece.
#[inline(always)]
pub(super) fn afmoe_numbers<C: Classes>(
    text: &[u8],
    range: Range<usize>,
    each: &mut impl FnMut(Range<usize>),
) {
    let Some(text) = text.get(..range.end) else { return };
    let (mut from, mut pos) = (range.start, range.start);
    while pos < text.len() {
        let (class, len) = C::at(text, pos);
        if class & NUMBER == 0 {
            pos += len;
            continue;
        }
        let mut left = count_numbers::<C>(text, pos);
        while left > 0 {
            let group = group_from_the_right(left);
            pos = numbers::<C>(text, pos, group);
            left -= group;
            each(from..pos);
            from = pos;
        }
    }
    if from < pos {
        each(from..pos);
    }
}

/// superbpe's second pattern, `(?=(\d{3})+(?!\d))`: cuts of no length wherever a multiple of three ASCII digits is left of a run.
#[inline(always)]
pub(super) fn superbpe_cuts(text: &[u8], range: Range<usize>, each: &mut impl FnMut(Range<usize>)) {
    let Some(text) = text.get(..range.end) else { return };
    let (mut from, mut pos) = (range.start, range.start);
    while pos < text.len() {
        let run = text[pos..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if run == 0 {
            pos += 1;
            continue;
        }
        let end = pos + run;
        let mut at = pos + run % 3;
        while at < end {
            if from < at {
                each(from..at);
                from = at;
            }
            at += 3;
        }
        pos = end;
    }
    if from < pos {
        each(from..pos);
    }
}

/// exaone-moe: words joined by single spaces are one piece, `[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+`.
#[inline(always)]
pub(super) fn exaone_moe<C: Classes>(text: &[u8], pos: usize) -> usize {
    let end = contraction(text, pos, Contraction::AnyCase);
    if end > pos {
        return end;
    }
    let (class, len) = C::at(text, pos);
    let next = pos + len;
    if class & NUMBER != 0 {
        return next;
    }
    let leads = class & LETTER == 0 && !is_newline(text[pos]) && C::at(text, next).0 & LETTER != 0;
    if class & LETTER != 0 || leads {
        let mut end = next;
        loop {
            end = C::letters(text, end, LETTER | MARK, Letters::Any);
            let (after, after_len) = C::at(text, end + 1);
            if text.get(end) != Some(&b' ') || after & LETTER == 0 {
                return end;
            }
            end += 1 + after_len;
        }
    }
    let is_punctuation = |class: u8| class & WORD_NUMBER_OR_SPACE == 0;
    let end = punctuation::<C>(text, pos, (class, len), Trail::OneNewlineOrSlash, is_punctuation);
    if end > pos { end } else { whitespace::<C>(text, pos, Tail::Newlines) }
}

/// jais-2's whitespace: `\s*[\r\n]+`, then a ladder of `\s{512}(?!\S)` down to `\s{4}(?!\S)`, `\s{1,2}(?!\S)` and `\s`.
///
/// `left` is what is known to be left of the current run, in characters, so that a long run is not counted once per rung.
#[inline(always)]
pub(super) fn ladder<C: Classes>(text: &[u8], pos: usize, left: &mut usize) -> usize {
    let after_newline = if *left == 0 { whitespace::<C>(text, pos, Tail::Newlines) } else { pos };
    if after_newline > pos && is_newline(text[after_newline - 1]) {
        return after_newline;
    }
    if *left == 0 {
        let mut end = pos;
        loop {
            let (class, len) = C::at(text, end);
            if class & WHITESPACE == 0 || len == 0 {
                break;
            }
            end += len;
            *left += 1;
        }
        if end == text.len() {
            // Nothing follows, so `(?!\S)` holds behind the whole run too: as if there were one more.
            *left += 1;
        }
    }
    let most = left.saturating_sub(1);
    let rung = match most {
        0 | 1 => 1,
        2 | 3 => 2,
        _ => 1 << most.ilog2().min(9),
    };
    let mut end = pos;
    for _ in 0..rung {
        end += char_len(text, end);
    }
    // Two are left when one is: the one in sight and the text's end.
    *left = left.saturating_sub(rung);
    if *left == 1 {
        *left = 0;
    }
    end
}

/// tekken-num3: `\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))|\p{N}{1,2}`, that is groups of three from the right. `left` is as in [`ladder`].
#[inline(always)]
pub(super) fn numbers_from_the_right<C: Classes>(text: &[u8], pos: usize, left: &mut usize) -> usize {
    if *left == 0 {
        *left = count_numbers::<C>(text, pos);
    }
    let group = group_from_the_right(*left);
    *left -= group;
    numbers::<C>(text, pos, group)
}

/// kimi-k2 in llama.cpp: a run of Han; a word of other letters with its contraction; numbers; punctuation; whitespace.
#[inline(always)]
pub(super) fn kimi_k2<C: Classes>(text: &[u8], pos: usize) -> usize {
    // In this table UPPER is Han and LOWER every other letter.
    let (class, len) = C::at(text, pos);
    let next = pos + len;
    if class & UPPER != 0 {
        return C::run(text, next, |class| class & UPPER != 0);
    }
    let leads = class & (LETTER | NUMBER) == 0 && !is_newline(text[pos]) && C::at(text, next).0 & LOWER != 0;
    if class & LOWER != 0 || leads {
        let end = C::letters(text, next, LOWER, C::SMALL);
        return contraction(text, end, Contraction::AnyCase);
    }
    if class & NUMBER != 0 {
        return numbers::<C>(text, pos, 3);
    }
    let is_punctuation = |class: u8| class & WORD_NUMBER_OR_SPACE == 0;
    let end = punctuation::<C>(text, pos, (class, len), Trail::Newlines, is_punctuation);
    if end > pos { end } else { whitespace::<C>(text, pos, Tail::Newlines) }
}

/// chameleon's first three patterns: `<sentinel:[0-9]+>`, `(IMGIMG)((A|B|…|I){1,4})Z` and `([\t\n]|    |  )`.
pub(super) fn sentinel(text: &[u8], pos: usize) -> usize {
    let Some(digits) = text[pos..].strip_prefix(b"<sentinel:") else { return pos };
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count > 0 && digits.get(count) == Some(&b'>') { pos + 10 + count + 1 } else { pos }
}

pub(super) fn image_token(text: &[u8], pos: usize) -> usize {
    let Some(letters) = text[pos..].strip_prefix(b"IMGIMG") else { return pos };
    let count = letters.iter().take_while(|byte| (b'A'..=b'I').contains(byte)).count();
    if (1..=4).contains(&count) && letters.get(count) == Some(&b'Z') { pos + 6 + count + 1 } else { pos }
}

pub(super) fn indent(text: &[u8], pos: usize) -> usize {
    match &text[pos..] {
        [b'\t' | b'\n', ..] => pos + 1,
        [b' ', b' ', b' ', b' ', ..] => pos + 4,
        [b' ', b' ', ..] => pos + 2,
        _ => pos,
    }
}

/// deepseek-llm's list of letters: Latin, Greek, Cyrillic and others that have case.
pub(super) fn is_deepseek_letter(cp: u32) -> bool {
    if cp < 0x80 {
        return (cp as u8).is_ascii_alphabetic();
    }
    let after = DEEPSEEK_LETTERS.partition_point(|&(first, _)| first <= cp);
    after > 0 && cp <= DEEPSEEK_LETTERS[after - 1].1
}

/// `[!-/:-~！-／：-～‘-‟　-。]`
pub(super) fn is_deepseek_punctuation(cp: u32) -> bool {
    matches!(cp, 0x21..=0x2F | 0x3A..=0x7E | 0xFF01..=0xFF0F | 0xFF1A..=0xFF5E | 0x2018..=0x201F | 0x3000..=0x3002)
}

#[inline(always)]
fn count_numbers<C: Classes>(text: &[u8], mut pos: usize) -> usize {
    let mut count = 0;
    loop {
        let (class, len) = C::at(text, pos);
        if class & NUMBER == 0 {
            return count;
        }
        pos += len;
        count += 1;
    }
}

fn group_from_the_right(left: usize) -> usize {
    match left % 3 {
        0 => left.min(3),
        rest => rest,
    }
}

#[rustfmt::skip]
static DEEPSEEK_LETTERS: [(u32, u32); 85] = [
    (0x00B5, 0x00B5), (0x00C0, 0x00D6), (0x00D8, 0x00F6), (0x00F8, 0x01BA), (0x01BC, 0x01BF), (0x01C4, 0x0293),
    (0x0295, 0x02AF), (0x0370, 0x0373), (0x0376, 0x0376), (0x0377, 0x0377), (0x037B, 0x037D), (0x037F, 0x037F),
    (0x0386, 0x0386), (0x0388, 0x038A), (0x038C, 0x038C), (0x038E, 0x03A1), (0x03A3, 0x03F5), (0x03F7, 0x0481),
    (0x048A, 0x052F), (0x0531, 0x0556), (0x10A0, 0x10C5), (0x13A0, 0x13F5), (0x13F8, 0x13FD), (0x1C90, 0x1CBA),
    (0x1CBD, 0x1CBF), (0x1D00, 0x1D2B), (0x1D6B, 0x1D77), (0x1D79, 0x1D9A), (0x1E00, 0x1F15), (0x1F18, 0x1F1D),
    (0x1F20, 0x1F45), (0x1F48, 0x1F4D), (0x1F50, 0x1F57), (0x1F59, 0x1F59), (0x1F5B, 0x1F5B), (0x1F5D, 0x1F5D),
    (0x1F5F, 0x1F7D), (0x1F80, 0x1FB4), (0x1FB6, 0x1FBC), (0x1FBE, 0x1FBE), (0x1FC2, 0x1FC4), (0x1FC6, 0x1FCC),
    (0x1FD0, 0x1FD3), (0x1FD6, 0x1FDB), (0x1FE0, 0x1FEC), (0x1FF2, 0x1FF4), (0x1FF6, 0x1FFC), (0x2102, 0x2102),
    (0x2107, 0x2107), (0x210A, 0x2113), (0x2115, 0x2115), (0x2119, 0x211D), (0x2124, 0x2124), (0x2126, 0x2126),
    (0x2128, 0x2128), (0x212A, 0x212D), (0x212F, 0x2134), (0x2139, 0x2139), (0x213C, 0x213F), (0x2145, 0x2149),
    (0x214E, 0x214E), (0x2183, 0x2183), (0x2184, 0x2184), (0x2C00, 0x2C7B), (0x2C7E, 0x2CE4), (0x2CEB, 0x2CEE),
    (0x2CF2, 0x2CF2), (0x2CF3, 0x2CF3), (0xA640, 0xA66D), (0xA680, 0xA69B), (0xA722, 0xA76F), (0xA771, 0xA787),
    (0xA78B, 0xA78E), (0xAB70, 0xABBF), (0xFB00, 0xFB06), (0xFB13, 0xFB17), (0xFF21, 0xFF3A), (0xFF41, 0xFF5A),
    (0x10400, 0x1044F), (0x104B0, 0x104D3), (0x104D8, 0x104FB), (0x10C80, 0x10CB2), (0x10CC0, 0x10CF2),
    (0x118A0, 0x118DF), (0x1E900, 0x1E943),
];
