//! What llama.cpp does to the text in front of the split, for two names of `tokenizer.ggml.pre`.

use super::push_places;
use crate::encode::output::Place;
use crate::unicode::{decode, encode, is_whitespace, lower};

const ZERO_WIDTH_NON_JOINER: &[u8] = "\u{200C}".as_bytes();

/// `nemotron-3.5-embed`: U+200C goes where it follows `[` or `<`, once each. `None` if nothing changes.
pub(super) fn nemotron(text: &[u8], mut places: Option<&mut Vec<Place>>) -> Option<Vec<u8>> {
    let mut rewritten = Vec::new();
    let mut copied = 0;
    let mut copy = |range: std::ops::Range<usize>| {
        rewritten.extend_from_slice(&text[range.clone()]);
        if let Some(places) = places.as_deref_mut() {
            places.extend((range.start as u32..range.end as u32).map(|at| (at, at + 1)));
        }
    };
    for at in memchr::memmem::find_iter(text, ZERO_WIDTH_NON_JOINER) {
        if at > 0 && matches!(text[at - 1], b'[' | b'<') {
            copy(copied..at);
            copied = at + ZERO_WIDTH_NON_JOINER.len();
        }
    }
    if copied == 0 {
        return None;
    }
    copy(copied..text.len());
    Some(rewritten)
}

/// `soprano`: each run of whitespace becomes one space, all else is lowered (U+0130 to `i` and U+0307).
pub(super) fn soprano(text: &[u8], mut places: Option<&mut Vec<Place>>) -> Vec<u8> {
    let mut rewritten = Vec::with_capacity(text.len());
    let mut pos = 0;
    let mut in_space = false;
    while pos < text.len() {
        let (cp, len) = decode(text, pos);
        let space = is_whitespace(cp);
        match cp {
            _ if space && in_space => {}
            _ if space => rewritten.push(b' '),
            0x130 => rewritten.extend_from_slice("i\u{307}".as_bytes()),
            _ => encode(lower(cp), &mut rewritten),
        }
        push_places(places.as_deref_mut(), &rewritten, pos..pos + len);
        in_space = space;
        pos += len;
    }
    rewritten
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
            assert_eq!(
                nemotron(text.as_bytes(), None).as_deref().unwrap_or(text.as_bytes()),
                expected.as_bytes()
            );
        }
    }

    #[test]
    fn soprano_folds_space_and_case() {
        assert_eq!(soprano(" \u{3000}ABİ\t\n c".as_bytes(), None), " abi\u{307} c".as_bytes());
        assert_eq!(soprano(b"\xED\xA0\x80Z", None), b"\xED\xA0\x80z");
    }
}
