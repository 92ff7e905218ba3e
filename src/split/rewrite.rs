//! What llama.cpp does to the text around the split, for three types.

use std::borrow::Cow;
use std::ops::Range;

use crate::unicode::{decode, encode, is_whitespace, lower};
use crate::vocabulary::SPACE;

const ZERO_WIDTH_NON_JOINER: &[u8] = "\u{200C}".as_bytes();

/// `nemotron-3.5-embed`, before the split: U+200C goes where it follows `[` or `<`, once each.
pub(crate) fn nemotron(text: &[u8]) -> Cow<'_, [u8]> {
    let mut rewritten = Vec::new();
    let mut copied = 0;
    for at in memchr::memmem::find_iter(text, ZERO_WIDTH_NON_JOINER) {
        if at > 0 && matches!(text[at - 1], b'[' | b'<') {
            rewritten.extend_from_slice(&text[copied..at]);
            copied = at + ZERO_WIDTH_NON_JOINER.len();
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    rewritten.extend_from_slice(&text[copied..]);
    Cow::Owned(rewritten)
}

/// `soprano`, before the split: each run of whitespace becomes one space, all else is lowered (U+0130 to `i` and U+0307).
pub(crate) fn soprano(text: &[u8]) -> Vec<u8> {
    let mut rewritten = Vec::with_capacity(text.len());
    let mut pos = 0;
    let mut in_space = false;
    while pos < text.len() {
        let (cp, len) = decode(text, pos);
        pos += len;
        let space = is_whitespace(cp);
        match cp {
            _ if space && in_space => {}
            _ if space => rewritten.push(b' '),
            0x130 => rewritten.extend_from_slice("i\u{307}".as_bytes()),
            _ => encode(lower(cp), &mut rewritten),
        }
        in_space = space;
    }
    rewritten
}

/// `mmbert`, after the split: the words of `piece`, each of which begins with U+2581.
///
/// `each` gets a word's range in `piece` and whether U+2581 has yet to be put in front of it (only ever before the first). A piece that is
/// newlines alone is one word as it stands.
pub(crate) fn mmbert(piece: &[u8], each: &mut impl FnMut(Range<usize>, bool)) {
    if piece.is_empty() {
        return;
    }
    if piece.iter().all(|&byte| byte == b'\n') {
        return each(0..piece.len(), false);
    }
    let marked = piece.starts_with(SPACE);
    let skip = if marked { SPACE.len() } else { 0 };
    let mut from = 0;
    for at in memchr::memmem::find_iter(&piece[skip..], SPACE) {
        let at = skip + at;
        if at > from {
            each(from..at, from == 0 && !marked);
            from = at;
        }
    }
    each(from..piece.len(), from == 0 && !marked);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joiners_go_once_after_brackets() {
        let cases = [
            ("a[\u{200C}b<\u{200C}c", "a[b<c"),
            ("[\u{200C}\u{200C}", "[\u{200C}"),
            ("\u{200C}[]\u{200C}", "\u{200C}[]\u{200C}"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(nemotron(text.as_bytes()), expected.as_bytes());
        }
    }

    #[test]
    fn soprano_folds_space_and_case() {
        assert_eq!(soprano(" \u{3000}ABİ\t\n c".as_bytes()), " abi\u{307} c".as_bytes());
        assert_eq!(soprano(b"\xED\xA0\x80Z"), b"\xED\xA0\x80z");
    }

    #[test]
    fn mmbert_words_begin_with_the_mark() {
        let words = |piece: &str| {
            let mut words = Vec::new();
            mmbert(piece.as_bytes(), &mut |range, mark| {
                words.push(format!("{}{}", if mark { "▁" } else { "" }, &piece[range]));
            });
            words
        };
        assert_eq!(words("a▁b"), ["▁a", "▁b"]);
        assert_eq!(words("▁▁a"), ["▁", "▁a"]);
        assert_eq!(words("b▁▁"), ["▁b", "▁", "▁"]);
        assert_eq!(words("\n\n"), ["\n\n"]);
        assert!(words("").is_empty());
    }
}
