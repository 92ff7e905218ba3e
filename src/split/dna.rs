//! llama.cpp's `hybriddna` session: byte-pair encoding for text, and for DNA groups of six bases that are tokens of their own.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::unicode;

/// What marks DNA, and the tokens for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Dna {
    /// `<dna>`.
    pub(crate) begin: u32,
    /// `</dna>`.
    pub(crate) end: u32,
    /// `<oov>`: for a group that is no token.
    pub(crate) unknown: u32,
    /// DNA is recognised without its tags.
    pub(crate) auto_tags: bool,
    /// The token for every group of one base, then of two, up to six; `unknown` where there is none. See [`number`].
    groups: Vec<u32>,
}

/// Behind the text of a token for six bases; a token without it is ordinary.
pub(crate) const MARKER: char = '\u{E000}';

/// Bases in a group.
const GROUP: usize = 6;

/// A part of a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    /// Text for byte-pair encoding.
    Text(Range<usize>),
    /// An id and the place of what it stands for.
    Token(u32, Range<usize>),
}

impl Dna {
    /// From the token with a text. `None` when the vocabulary has not all three marks: then it is an ordinary one.
    pub(crate) fn new(auto_tags: bool, token: impl Fn(&str) -> Option<u32>) -> Option<Self> {
        let (begin, end, unknown) = (token("<dna>")?, token("</dna>")?, token("<oov>")?);
        // Short groups are filled up with N where the vocabulary was made so.
        let pad = if token(&format!("ANNNNN{MARKER}")).is_some() { 'N' } else { 'A' };
        let mut groups = Vec::new();
        for len in 1..=GROUP {
            for number in 0..1usize << (2 * len) {
                let base = |i: usize| char::from(b"ACGT"[number >> (2 * (len - 1 - i)) & 3]);
                let text: String =
                    (0..len).map(base).chain(std::iter::repeat_n(pad, GROUP - len)).chain([MARKER]).collect();
                groups.push(token(&text).unwrap_or(unknown));
            }
        }
        Some(Self { begin, end, unknown, auto_tags, groups })
    }

    /// Cuts a well-formed text into text and DNA tokens.
    pub(crate) fn parts(&self, text: &[u8], each: &mut impl FnMut(Part)) {
        let (begin, end) = (&b"<dna>"[..], &b"</dna>"[..]);
        let find = |what: &[u8], from: usize| memchr::memmem::find(&text[from..], what).map(|at| from + at);
        let (mut pos, mut next_begin, mut next_end) = (0, find(begin, 0), find(end, 0));
        loop {
            // Looked up once each, so that many tags of one kind do not mean many searches for the other.
            if next_begin.is_some_and(|at| at < pos) {
                next_begin = find(begin, pos);
            }
            if next_end.is_some_and(|at| at < pos) {
                next_end = find(end, pos);
            }
            match (next_begin, next_end) {
                (None, None) => {
                    if pos < text.len() {
                        each(Part::Text(pos..text.len()));
                    }
                    return;
                }
                (start, Some(stop)) if start.is_none_or(|start| stop < start) => {
                    self.sequence(text, pos..stop, None, Some(stop..stop + end.len()), each);
                    pos = stop + end.len();
                }
                (Some(start), stop) => {
                    if pos < start {
                        each(Part::Text(pos..start));
                    }
                    let content = start + begin.len()..stop.unwrap_or(text.len());
                    pos = stop.map_or(text.len(), |stop| stop + end.len());
                    self.sequence(
                        text,
                        content,
                        Some(start..start + begin.len()),
                        stop.map(|stop| stop..pos),
                        each,
                    );
                }
                // The arm above the last takes every end without a beginning.
                (None, Some(_)) => return,
            }
        }
    }

    /// Cuts text without tags: long enough runs of bases are DNA. Only with `auto_tags`, and only after [`unspaced`].
    pub(crate) fn untagged(&self, text: &[u8], each: &mut impl FnMut(Part)) {
        let mut start = 0;
        let mut at = 0;
        while at < text.len() {
            let run = at..at + text[at..].iter().take_while(|byte| is_iupac(**byte)).count();
            if run.is_empty() {
                at += 1;
                continue;
            }
            at = run.end;
            let ambiguous = text[run.clone()].iter().filter(|byte| number(**byte).is_none()).count();
            if ambiguous == 0 && run.len() >= 6 || run.len() >= 12 && 5 * ambiguous <= run.len() {
                if start < run.start {
                    each(Part::Text(start..run.start));
                }
                self.sequence(text, run.clone(), Some(run.start..run.start), Some(run.end..run.end), each);
                start = run.end;
            }
        }
        if start < text.len() {
            each(Part::Text(start..text.len()));
        }
    }

    /// A DNA sequence, with the places of its tags.
    fn sequence(
        &self,
        text: &[u8],
        range: Range<usize>,
        begin: Option<Range<usize>>,
        end: Option<Range<usize>>,
        each: &mut impl FnMut(Part),
    ) {
        if let Some(place) = begin {
            each(Part::Token(self.begin, place));
        }
        let range = trim(text, range);
        let mut at = range.start;
        while at < range.end {
            let start = at;
            let mut group = Some(0);
            let mut len = 0;
            while len < GROUP && at < range.end {
                group = group.zip(number(text[at])).map(|(group, base)| group << 2 | base);
                at += unicode::utf8_len(text[at]).min(range.end - at);
                len += 1;
            }
            // Groups of fewer bases come before: 4 + 4² + … + 4ⁿ⁻¹ of them.
            let id = group.and_then(|group| self.groups.get(((1 << (2 * len)) - 4) / 3 + group));
            each(Part::Token(id.copied().unwrap_or(self.unknown), start..at));
        }
        if let Some(place) = end {
            each(Part::Token(self.end, place));
        }
    }
}

/// `text` without the blanks inside DNA that was written with spaces, as the ranges to keep; `None` when there is none.
///
/// Such DNA begins with an upper-case base that no ASCII letter precedes, and is made of at least six chunks of one to five bases
/// with spaces or tabs between; no ASCII letter follows. It counts from twelve bases on.
pub(crate) fn unspaced(text: &[u8]) -> Option<Vec<Range<usize>>> {
    let is_base = |byte: u8| matches!(byte, b'A' | b'C' | b'G' | b'T');
    let mut kept: Vec<Range<usize>> = Vec::new();
    let mut copied = 0;
    let mut at = 0;
    while at < text.len() {
        if !is_base(text[at]) || at > 0 && text[at - 1].is_ascii_alphabetic() {
            at += 1;
            continue;
        }
        let mut chunks: Vec<Range<usize>> = Vec::new();
        let mut next = at;
        loop {
            let len = text[next..].iter().take_while(|byte| is_base(**byte)).count();
            let end = next + len;
            if !(1..=5).contains(&len) || text.get(end).is_some_and(u8::is_ascii_alphabetic) {
                break;
            }
            chunks.push(next..end);
            let blanks = text[end..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            if blanks == 0 {
                break;
            }
            next = end + blanks;
        }
        let end = chunks.last().map_or(at + 1, |chunk| chunk.end);
        if chunks.len() >= 6 {
            if chunks.iter().map(ExactSizeIterator::len).sum::<usize>() >= 12 {
                kept.push(copied..at);
                kept.append(&mut chunks);
                copied = end;
            }
            at = end;
        } else {
            // From inside these chunks no six of them can follow either.
            at = end;
        }
    }
    (!kept.is_empty()).then(|| {
        kept.push(copied..text.len());
        kept
    })
}

/// 0 to 3 for A, C, G, T of either case.
fn number(byte: u8) -> Option<usize> {
    match byte.to_ascii_uppercase() {
        b'A' => Some(0),
        b'C' => Some(1),
        b'G' => Some(2),
        b'T' => Some(3),
        _ => None,
    }
}

/// Whether `byte` stands for a base or a set of bases.
fn is_iupac(byte: u8) -> bool {
    b"ACGTRYSWKMBDHVN".contains(&byte.to_ascii_uppercase())
}

/// `range` without white space at its ends.
fn trim(text: &[u8], mut range: Range<usize>) -> Range<usize> {
    while !range.is_empty() {
        let (character, len) = unicode::decode(&text[..range.end], range.start);
        if !unicode::is_whitespace(character) {
            break;
        }
        range.start += len;
    }
    while !range.is_empty() {
        let mut last = range.end - 1;
        while last > range.start && text[last] & 0xC0 == 0x80 {
            last -= 1;
        }
        if !unicode::is_whitespace(unicode::decode(&text[..range.end], last).0) {
            break;
        }
        range.end = last;
    }
    range
}
