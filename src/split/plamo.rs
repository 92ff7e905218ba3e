//! Cutting text for PLaMo-2 and PLaMo-3.

use std::ops::Range;

use crate::unicode;

/// A character that separates parts of a PLaMo-3 text and is dropped.
const SEPARATOR: &[u8] = "\u{EE00}".as_bytes();

const BYTE_ORDER_MARK: &[u8] = "\u{FEFF}".as_bytes();

/// What is left of a PLaMo-2 text: a byte order mark in front is dropped.
pub(super) fn plamo2(text: &[u8], each: &mut dyn FnMut(Range<usize>)) {
    let start = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    each(start..text.len());
}

/// The parts of a PLaMo-3 text: its segments, cut at separators, which are dropped. Some may be empty.
pub(super) fn plamo3(text: &[u8], each: &mut dyn FnMut(Range<usize>)) {
    segments(text, |segment| {
        let mut start = segment.start;
        for at in memchr::memmem::find_iter(&text[segment.clone()], SEPARATOR) {
            each(start..segment.start + at);
            start = segment.start + at + SEPARATOR.len();
        }
        each(start..segment.end);
    });
}

/// Cuts a PLaMo-3 text: around each `<|plamo:…|>` of at most 64 characters without blanks or bars, and around runs of one
/// character (two or more spaces, four or more of any other but line feeds).
fn segments(text: &[u8], mut each: impl FnMut(Range<usize>)) {
    let mut start = 0;
    let mut at = 0;
    for mark in memchr::memmem::find_iter(text, MARK) {
        if mark < at {
            continue;
        }
        if let Some(len) = mark_len(&text[mark..]) {
            runs(text, at..mark, &mut start, &mut each);
            cut(mark, &mut start, &mut each);
            runs(text, mark..mark + len, &mut start, &mut each);
            cut(mark + len, &mut start, &mut each);
            at = mark + len;
        }
    }
    runs(text, at..text.len(), &mut start, &mut each);
    cut(text.len(), &mut start, &mut each);
}

const MARK: &[u8] = b"<|plamo:";

/// Ends a segment at `at`.
fn cut(at: usize, start: &mut usize, each: &mut impl FnMut(Range<usize>)) {
    if *start < at {
        each(*start..at);
        *start = at;
    }
}

/// The length of the mark that `text` begins with.
fn mark_len(text: &[u8]) -> Option<usize> {
    let mut at = MARK.len();
    for _ in 0..64 {
        let (character, len) = unicode::decode(text, at);
        if len == 0
            || character == u32::from(b'|')
            || unicode::is_whitespace(character)
            || (0x1C..=0x1F).contains(&character)
        {
            break;
        }
        at += len;
    }
    text[at..].starts_with(b"|>").then_some(at + 2)
}

/// Cuts around the runs of one character inside `range`.
fn runs(text: &[u8], range: Range<usize>, start: &mut usize, each: &mut impl FnMut(Range<usize>)) {
    let mut at = range.start;
    while at < range.end {
        let len = unicode::utf8_len(text[at]).min(range.end - at);
        let character = &text[at..at + len];
        let mut count = 1;
        let mut end = at + len;
        while end + len <= range.end && text[end..end + len] == *character {
            count += 1;
            end += len;
        }
        let long = match character {
            b"\n" => false,
            b" " => count >= 2,
            _ => count >= 4,
        };
        if long {
            cut(at, start, each);
            cut(end, start, each);
        }
        at = end;
    }
}
