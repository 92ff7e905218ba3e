//! Where ids go: a vector, a counter, or a vector with the place of each id in the text.

use std::collections::HashMap;
use std::ops::Range;

/// What counts as the place of rewritten text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Rule {
    /// The bytes that it comes from, all of them and no others.
    #[default]
    Bytes,
    /// What `Encoding.offsets` of the `tokenizers` library says: whole characters, of several that became one only the first, and what
    /// is inserted stands where the character before it does.
    Library,
}

/// Takes ids in order. One encoder serves all sinks; what a sink does not need is never computed.
pub(crate) trait Sink {
    /// Whether the sink wants to know where an id's text stands.
    const SPANS: bool;

    /// Takes an id whose text stands at `span` of the original text (`0..0` where [`Sink::SPANS`] is false).
    fn push(&mut self, id: u32, span: Range<usize>);

    /// As [`Sink::push`], of a token that stands for `text` in the rewritten text; only called where [`Sink::SPANS`] is true.
    #[inline]
    fn push_text(&mut self, id: u32, span: Range<usize>, _text: &[u8]) {
        self.push(id, span);
    }

    /// Takes ids without places; only called where [`Sink::SPANS`] is false.
    fn push_all(&mut self, ids: &[u32]);

    /// Whether nothing more is wanted: what still comes may be left out.
    #[inline]
    fn is_full(&self) -> bool {
        false
    }

    /// How places are counted where text is rewritten; only asked where [`Sink::SPANS`] is true.
    #[inline]
    fn rule(&self) -> Rule {
        Rule::Bytes
    }

    /// Hears that a word ends, or a special token; only called where [`Sink::SPANS`] is true.
    #[inline]
    fn end_word(&mut self) {}
}

impl Sink for Vec<u32> {
    const SPANS: bool = false;

    #[inline]
    fn push(&mut self, id: u32, _: Range<usize>) {
        Vec::push(self, id);
    }

    #[inline]
    fn push_all(&mut self, ids: &[u32]) {
        self.extend_from_slice(ids);
    }
}

/// Counts ids and keeps none.
#[derive(Debug, Default)]
pub(crate) struct Count(pub(crate) usize);

impl Sink for Count {
    const SPANS: bool = false;

    fn push(&mut self, _: u32, _: Range<usize>) {
        self.0 += 1;
    }

    fn push_all(&mut self, ids: &[u32]) {
        self.0 += ids.len();
    }
}

/// Counts ids until there are more than `limit`.
#[derive(Debug)]
pub(crate) struct CountUpTo {
    pub(crate) count: usize,
    pub(crate) limit: usize,
}

impl Sink for CountUpTo {
    const SPANS: bool = false;

    fn push(&mut self, _: u32, _: Range<usize>) {
        self.count += 1;
    }

    fn push_all(&mut self, ids: &[u32]) {
        self.count += ids.len();
    }

    fn is_full(&self) -> bool {
        self.count > self.limit
    }
}

/// Keeps each id with its place.
#[derive(Debug, Default)]
pub(crate) struct WithOffsets {
    pub(crate) ids: Vec<u32>,
    pub(crate) offsets: Vec<Range<usize>>,
    /// How many ids there are up to the end of each word, if that is wanted.
    pub(crate) word_ends: Option<Vec<usize>>,
    pub(crate) rule: Rule,
    /// By [`Rule::Library`], how many characters of white space, or `Ġ`, each text begins and ends with, where it does.
    pub(crate) spaces: HashMap<usize, (usize, usize)>,
}

impl Sink for WithOffsets {
    const SPANS: bool = true;

    fn push(&mut self, id: u32, span: Range<usize>) {
        self.ids.push(id);
        self.offsets.push(span);
    }

    fn push_text(&mut self, id: u32, span: Range<usize>, text: &[u8]) {
        if self.rule == Rule::Library {
            let spaces = outer_spaces(&String::from_utf8_lossy(text));
            if spaces != (0, 0) {
                self.spaces.insert(self.ids.len(), spaces);
            }
        }
        self.push(id, span);
    }

    fn push_all(&mut self, _: &[u32]) {
        unreachable!("only sinks without spans take bare ids");
    }

    fn rule(&self) -> Rule {
        self.rule
    }

    fn end_word(&mut self) {
        if let Some(ends) = &mut self.word_ends {
            ends.push(self.ids.len());
        }
    }
}

/// How many characters of white space, or `Ġ`, a text begins and ends with.
pub(crate) fn outer_spaces(text: &str) -> (usize, usize) {
    let is_space = |c: &char| *c == 'Ġ' || c.is_whitespace();
    (text.chars().take_while(is_space).count(), text.chars().rev().take_while(is_space).count())
}

/// Makes one id of several unknown ones in a row, also across words.
pub(crate) struct FuseUnknown<'s, S> {
    pub(crate) sink: &'s mut S,
    pub(crate) unknown: u32,
    /// An unknown that has not been passed on, since more may follow: where it stands.
    held: Option<Range<usize>>,
}

impl<'s, S: Sink> FuseUnknown<'s, S> {
    pub(crate) fn new(sink: &'s mut S, unknown: u32) -> Self {
        Self { sink, unknown, held: None }
    }

    /// To be called before anything else goes to the sink.
    #[inline]
    pub(crate) fn flush(&mut self) {
        if let Some(span) = self.held.take() {
            self.sink.push(self.unknown, span);
        }
    }
}

impl<S: Sink> Sink for FuseUnknown<'_, S> {
    const SPANS: bool = S::SPANS;

    #[inline]
    fn is_full(&self) -> bool {
        self.sink.is_full()
    }

    fn rule(&self) -> Rule {
        self.sink.rule()
    }

    #[inline]
    fn end_word(&mut self) {
        self.sink.end_word();
    }

    #[inline]
    fn push(&mut self, id: u32, span: Range<usize>) {
        if id != self.unknown {
            self.flush();
            self.sink.push(id, span);
        } else if let Some(held) = &mut self.held {
            held.end = span.end;
        } else {
            self.held = Some(span);
        }
    }

    #[inline]
    fn push_all(&mut self, ids: &[u32]) {
        if self.held.is_some() || ids.contains(&self.unknown) {
            for &id in ids {
                self.push(id, 0..0);
            }
        } else {
            self.sink.push_all(ids);
        }
    }
}

/// From positions in a text that was rewritten back to the original one.
///
/// Kept only for sinks that want spans: 8 bytes a byte of text.
#[derive(Clone, Debug)]
pub(crate) enum Alignment {
    /// The text is the part of the original that begins here.
    Identity(usize),
    /// For each byte of the rewritten text the part of the original that it comes from, and where the last part ends.
    Rewritten(Vec<Place>, u32),
}

/// `(start, end)` in bytes.
pub(crate) type Place = (u32, u32);

impl Alignment {
    /// Byte `i` of the text was rewritten from `places[i]` of the text before, which has `len` bytes.
    pub(crate) fn then(&self, mut places: Vec<Place>, len: usize) -> Self {
        for place in &mut places {
            let range = self.original(place.0 as usize..place.1 as usize);
            *place = (range.start as u32, range.end as u32);
        }
        Self::Rewritten(places, self.original(len..len).start as u32)
    }

    /// The place in the original of a range of the rewritten text.
    pub(crate) fn original(&self, span: Range<usize>) -> Range<usize> {
        match self {
            Self::Identity(base) => base + span.start..base + span.end,
            Self::Rewritten(places, end) => {
                let start = places.get(span.start).map_or(*end, |place| place.0) as usize;
                if span.is_empty() {
                    return start..start;
                }
                let end = places.get(span.end - 1).map_or(*end, |place| place.1) as usize;
                start..end.max(start)
            }
        }
    }
}

/// Where a text stands in the one that `alignment` leads back from.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) alignment: &'a Alignment,
    pub(crate) base: usize,
}

impl At<'_> {
    /// That of the part of the text that begins at `start`.
    #[inline]
    pub(crate) fn part(self, start: usize) -> Self {
        Self { base: self.base + start, ..self }
    }

    /// The place in the original of a range of the text.
    #[inline]
    pub(crate) fn original(self, span: Range<usize>) -> Range<usize> {
        self.alignment.original(self.base + span.start..self.base + span.end)
    }

    /// The alignment of the text rewritten: byte `i` comes from `places[i]` of the `len` bytes before. Without `places` nobody asks.
    pub(crate) fn then(self, places: Option<Vec<Place>>, len: usize) -> Alignment {
        match places {
            None => Alignment::Identity(0),
            Some(places) => {
                let base = self.base as u32;
                let places = places.into_iter().map(|(start, end)| (base + start, base + end)).collect();
                self.alignment.then(places, self.base + len)
            }
        }
    }
}
