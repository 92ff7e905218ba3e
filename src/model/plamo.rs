//! PLaMo-2 and PLaMo-3: of all ways to cut a text into pieces the cheapest, found from the end of the text to its beginning.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::encode::output::Sink;
use crate::encode::thread_state::ThreadState;
use crate::unicode;
use crate::vocabulary::{Trie, Vocabulary};

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Version {
    /// A byte order mark in front of the text is dropped.
    Plamo2,
    /// The text is cut around `<|plamo:…|>` and around runs of one character first.
    Plamo3,
}

/// What a piece takes off the cost, in units of 10⁻⁴ of its score, as llama.cpp rounds it; `None` for a piece it never uses.
pub(crate) fn gain(score: f32) -> Option<i64> {
    let scaled = (f64::from(score) * 1e4).round();
    // Outside of 32 bits the reference's conversion gives the lowest number there is, which is below the limit.
    let fits = score.is_finite() && scaled > -2e7 && scaled < 2_147_483_648.0;
    fits.then_some(scaled as i64)
}

/// What a character costs that is spelled in bytes.
const UNKNOWN: i64 = 10_000_000;

/// A character that separates parts of a PLaMo-3 text and is dropped.
const SEPARATOR: &[u8] = "\u{EE00}".as_bytes();

const BYTE_ORDER_MARK: &[u8] = "\u{FEFF}".as_bytes();

/// Reused from one text to the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// The cheapest way from each position to the end: its cost, and the length and id of its first piece.
    ways: Vec<Way>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Way {
    cost: i64,
    /// In bytes; 0 for a character that is spelled in bytes.
    len: u32,
    id: u32,
}

/// One well-formed fragment. `place` gives the place of a range of it in the original text.
///
/// `O(n × longest match)` in bytes.
pub(crate) fn encode<S: Sink>(
    version: Version,
    vocabulary: &Vocabulary,
    text: &[u8],
    local: &mut ThreadState,
    sink: &mut S,
    place: impl Fn(Range<usize>) -> Range<usize>,
) {
    let ways = &mut local.plamo.ways;
    let mut part = |range: Range<usize>| {
        let part = &text[range.clone()];
        solve(&vocabulary.trie, |id| gain(vocabulary.score(id)).unwrap_or(-UNKNOWN), part, ways);
        let mut at = 0;
        while at < part.len() {
            let Way { len, id, .. } = ways[at];
            let start = range.start + at;
            if len > 0 {
                sink.push(id, if S::SPANS { place(start..start + len as usize) } else { 0..0 });
                at += len as usize;
                continue;
            }
            let len = unicode::utf8_len(part[at]).min(part.len() - at);
            for (i, &byte) in part[at..at + len].iter().enumerate() {
                let id = vocabulary.bytes.get(usize::from(byte)).copied().unwrap_or_default();
                sink.push(id, if S::SPANS { place(start + i..start + i + 1) } else { 0..0 });
            }
            at += len;
        }
    };
    match version {
        Version::Plamo2 => {
            let start = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
            part(start..text.len());
        }
        Version::Plamo3 => segments(text, |segment| {
            let mut start = segment.start;
            for at in memchr::memmem::find_iter(&text[segment.clone()], SEPARATOR) {
                part(start..segment.start + at);
                start = segment.start + at + SEPARATOR.len();
            }
            part(start..segment.end);
        }),
    }
    ways.clear();
    ways.shrink_to(KEPT);
}

/// So many positions a thread keeps room for.
const KEPT: usize = 1 << 16;

/// Fills `ways` for `text`. Of equal costs the longest piece wins, a piece over spelling.
fn solve(trie: &Trie, gain: impl Fn(u32) -> i64, text: &[u8], ways: &mut Vec<Way>) {
    let walker = trie.walker();
    ways.clear();
    ways.resize(text.len() + 1, Way::default());
    let mut at = text.len();
    while at > 0 {
        // Back to where a character begins.
        let end = at;
        at -= 1;
        while at > 0 && text[at] & 0xC0 == 0x80 {
            at -= 1;
        }
        let mut best: Option<Way> = None;
        walker.prefixes(&text[at..], |len, id| {
            let cost = ways[at + len].cost - gain(id);
            if best.is_none_or(|best| cost <= best.cost) {
                best = Some(Way { cost, len: len as u32, id });
            }
        });
        let spelled = Way { cost: ways[end].cost + UNKNOWN, len: 0, id: 0 };
        ways[at] = best.filter(|best| best.cost <= spelled.cost).unwrap_or(spelled);
    }
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
