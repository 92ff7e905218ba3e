//! Counting and cutting by tokens: how many, at most so many, and the parts of a text that fit.
//!
//! The number of tokens does not grow with the text: with a byte pair more, two tokens may become one. So a cut is found by the places
//! of the tokens in a longer text, and then every part is encoded alone; one that does not fit is cut shorter.

use std::ops::Range;

use unicode_segmentation::{GraphemeCursor, GraphemeIncomplete, UnicodeSegmentation};

use super::Tokenizer;
use crate::encode::output::CountUpTo;
use crate::encode::{EncodeError, Special};

/// One of a text's ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[expect(clippy::exhaustive_enums, reason = "a text has two ends")]
pub enum Side {
    /// Where the text begins.
    Left,
    /// Where the text ends.
    #[default]
    Right,
}

/// Why a text has no parts that fit a budget.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BudgetError {
    /// The special tokens that are added to a text leave no room for any of it.
    #[error(
        "expected a budget of more than the {frame} tokens that are added to every text, found {budget}; raise it, or add no \
         special tokens"
    )]
    Frame {
        /// The tokens that may be used.
        budget: usize,
        /// The tokens that are added.
        frame: usize,
    },
    /// As much is to be repeated as a part may hold.
    #[error("expected an overlap of fewer tokens than a part holds ({room}), found {overlap}")]
    Overlap {
        /// The tokens that are to be repeated.
        overlap: usize,
        /// The tokens of a part, without those that are added.
        room: usize,
    },
    /// A single character has more tokens than may be used.
    #[error("the character at byte {at} has more tokens by itself than the budget of {budget}")]
    Character {
        /// Where it begins.
        at: usize,
        /// The tokens that may be used.
        budget: usize,
    },
    /// The text cannot be encoded.
    #[error("a part of the text cannot be encoded")]
    Encode {
        /// Why.
        #[from]
        source: EncodeError,
    },
}

/// How a text is to be cut into parts: made by [`Tokenizer::split`].
#[derive(Clone, Debug)]
#[must_use = "nothing is cut before the parts are asked for"]
pub struct TextSplit<'t> {
    tokenizer: &'t Tokenizer,
    text: &'t str,
    budget: usize,
    overlap: usize,
    special: Special,
}

/// The parts of a text, one after the other. Made by [`TextSplit::parts`].
#[derive(Clone, Debug)]
pub struct TextParts<'t> {
    budget: Budget<'t>,
    text: &'t str,
    overlap: usize,
    /// Where the last part began and ended.
    last: Range<usize>,
    /// About how many bytes a token has.
    rate: usize,
    failed: bool,
}

impl Tokenizer {
    /// How many ids `text` has if they are at most `limit`, else `None`.
    ///
    /// Encoding stops when the limit is passed. Where words are cut by one of the common splits, nothing further is read either;
    /// elsewhere (an unusual split, a normalizer that rewrites the text as a whole) the rest is looked over but not encoded. Unigram
    /// models without a pre-tokenizer and pipelines that the `tokenizers` crate runs know no words: they take the whole text.
    ///
    /// ```
    /// use anytok::{Resolver, Special};
    ///
    /// let found = Resolver::default().resolve("testdata/models/llama-bpe.gguf")?;
    /// let tokenizer = found.tokenizer();
    /// let count = tokenizer.count("Hello, world!", Special::Ignore)?;
    /// assert_eq!(tokenizer.count_up_to("Hello, world!", count, Special::Ignore)?, Some(count));
    /// assert_eq!(tokenizer.count_up_to("Hello, world!", count - 1, Special::Ignore)?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::encode`], as far as the text is encoded.
    pub fn count_up_to(
        &self,
        text: &str,
        limit: usize,
        special: Special,
    ) -> Result<Option<usize>, EncodeError> {
        let mut counted = CountUpTo { count: 0, limit };
        self.run(text.as_bytes(), special, &mut counted)?;
        Ok(Some(counted.count).filter(|&count| count <= limit))
    }

    /// Cuts `text` into parts of at most `budget` tokens each.
    ///
    /// A part ends at the last end of a paragraph in the second half of what fits; if there is none, of a sentence; else between two words
    /// (in front of the white space), else between two characters as a reader sees them (grapheme clusters), and inside of one only if it
    /// does not fit as a whole. Sentences, words and clusters are those of Unicode's Annex 29.
    ///
    /// What is promised: each part, encoded alone, has at most `budget` tokens; without [overlap](TextSplit::overlap) the parts are the
    /// whole text, without a gap. Not promised: that no part could be longer, nor that the tokens of the parts are those of the text.
    /// Each part costs a small multiple of its own encoding.
    ///
    /// ```
    /// use anytok::{Resolver, Special};
    ///
    /// let found = Resolver::default().resolve("testdata/models/llama-bpe.gguf")?;
    /// let text = "One fish. Two fish.\n\nRed fish. Blue fish.";
    /// let parts = found.tokenizer().split(text, 24).parts()?.collect::<Result<Vec<_>, _>>()?;
    /// assert_eq!(text[parts[0].clone()], *"One fish. Two fish.\n\n");
    /// assert_eq!(parts.last().map(|part| part.end), Some(text.len()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn split<'t>(&'t self, text: &'t str, budget: usize) -> TextSplit<'t> {
        TextSplit { tokenizer: self, text, budget, overlap: 0, special: Special::Ignore }
    }

    /// The longest part of `text` that has at most `budget` tokens and lacks only what `side` is cut off; no character, as a reader sees
    /// it, is cut in two.
    ///
    /// "Longest" goes by the tokens of the text, with those that [`Special`] adds; the part is then encoded alone and cut shorter until
    /// it fits. It is empty if not even one character fits. Costs a small multiple of the encoding of what is left.
    ///
    /// ```
    /// use anytok::{Resolver, Side, Special};
    ///
    /// let found = Resolver::default().resolve("testdata/models/llama-bpe.gguf")?;
    /// let tokenizer = found.tokenizer();
    /// let text = "the end of the story";
    /// let start = tokenizer.truncate(text, 4, Side::Right, Special::Ignore)?;
    /// assert!(text.starts_with(start) && tokenizer.count(start, Special::Ignore)? <= 4);
    /// let end = tokenizer.truncate(text, 4, Side::Left, Special::Ignore)?;
    /// assert!(text.ends_with(end) && tokenizer.count(end, Special::Ignore)? <= 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - the tokens that are added to every text are more than the budget;
    /// - as [`Tokenizer::encode`].
    pub fn truncate<'t>(
        &self,
        text: &'t str,
        budget: usize,
        side: Side,
        special: Special,
    ) -> Result<&'t str, BudgetError> {
        let budget = Budget::new(self, budget, special)?;
        let range = match side {
            Side::Right => 0..budget.prefix(text, BYTES_PER_TOKEN)?,
            Side::Left => budget.suffix(text)?..text.len(),
        };
        Ok(&text[range])
    }
}

impl<'t> TextSplit<'t> {
    /// The end of each part stands again at the beginning of the next: at most so many tokens of it, encoded alone, and from the
    /// beginning of a word on. Default: 0.
    pub fn overlap(self, tokens: usize) -> Self {
        Self { overlap: tokens, ..self }
    }

    /// Which special tokens take part. Those that are added count for every part. Default: [`Special::Ignore`].
    pub fn special(self, special: Special) -> Self {
        Self { special, ..self }
    }

    /// The parts: `[start, end)` in bytes of the text, none empty. An error is the last item.
    ///
    /// ```
    /// use anytok::{Resolver, Special};
    ///
    /// let found = Resolver::default().resolve("testdata/models/llama-bpe.gguf")?;
    /// let text = "one two three four five six seven";
    /// for part in found.tokenizer().split(text, 12).overlap(4).special(Special::Add).parts()? {
    ///     println!("{}", &text[part?]);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - the tokens that are added to every text are as many as the budget, or more;
    /// - the overlap is as large as a part, or larger.
    ///
    /// And of an item:
    ///
    /// - a single character has more tokens than the budget;
    /// - as [`Tokenizer::encode`].
    pub fn parts(self) -> Result<TextParts<'t>, BudgetError> {
        let Self { tokenizer, text, budget: tokens, overlap, special } = self;
        let budget = Budget::new(tokenizer, tokens, special)?;
        if budget.room == 0 {
            return Err(BudgetError::Frame { budget: tokens, frame: tokens });
        }
        if overlap >= budget.room {
            return Err(BudgetError::Overlap { overlap, room: budget.room });
        }
        Ok(TextParts { budget, text, overlap, last: 0..0, rate: BYTES_PER_TOKEN, failed: false })
    }
}

impl TextParts<'_> {
    fn next_part(&mut self) -> Result<Option<Range<usize>>, BudgetError> {
        let Self { budget, text, overlap, ref last, .. } = *self;
        let Range { start: before, end: from } = *last;
        if from == text.len() {
            return Ok(None);
        }
        if overlap > 0
            && from > 0
            && let Some(start) = budget.repeated(text, before..from, overlap)?
            && let Some(end) = self.end(start, from)?
        {
            return Ok(Some(start..end));
        }
        match self.end(from, from)? {
            Some(end) => Ok(Some(from..end)),
            None => Err(BudgetError::Character { at: from, budget: budget.tokens }),
        }
    }

    /// Where a part that begins at `start` ends best, behind `after`.
    fn end(&mut self, start: usize, after: usize) -> Result<Option<usize>, BudgetError> {
        let Self { budget, text, rate, .. } = *self;
        let Some(places) = budget.places(&text[start..], rate)? else { return Ok(Some(text.len())) };
        self.rate = (places.window / places.starts.len().max(1)).max(1);
        let mut shorter = 0;
        loop {
            let fits = budget.room.saturating_sub(shorter);
            let reach = places.starts.get(fits).map_or(text.len(), |&place| start + place);
            let end = boundary(text, start, after, reach);
            let Some(end) = end.filter(|_| fits > 0) else { break };
            if budget.fits(&text[start..end])? {
                return Ok(Some(end));
            }
            shorter = 2 * shorter + 1;
        }
        for end in [next_cluster(text, after), next_character(text, after)] {
            if budget.fits(&text[start..end])? {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }
}

impl Iterator for TextParts<'_> {
    type Item = Result<Range<usize>, BudgetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let part = self.next_part().transpose()?;
        match &part {
            Ok(part) => self.last = part.clone(),
            Err(_) => self.failed = true,
        }
        Some(part)
    }
}

impl std::iter::FusedIterator for TextParts<'_> {}

/// How many tokens a part may have.
#[derive(Clone, Copy, Debug)]
struct Budget<'t> {
    tokenizer: &'t Tokenizer,
    tokens: usize,
    /// Those of them that are not taken by what is added.
    room: usize,
    special: Special,
}

/// Where the first tokens of a text stand.
struct Places {
    /// Where each begins, in bytes; one more than the room at least.
    starts: Vec<usize>,
    /// So many bytes of the text were looked at.
    window: usize,
}

impl<'t> Budget<'t> {
    fn new(tokenizer: &'t Tokenizer, tokens: usize, special: Special) -> Result<Self, BudgetError> {
        let frame = tokenizer.count("", special)?;
        match tokens.checked_sub(frame) {
            Some(room) => Ok(Self { tokenizer, tokens, room, special }),
            None => Err(BudgetError::Frame { budget: tokens, frame }),
        }
    }

    fn fits(&self, text: &str) -> Result<bool, EncodeError> {
        Ok(self.tokenizer.count_up_to(text, self.tokens, self.special)?.is_some())
    }

    /// The special tokens of the text itself.
    fn within(&self) -> Special {
        if self.special.parses() { Special::Parse } else { Special::Ignore }
    }

    /// The places of more tokens than there is room for, read from the beginning of `text`; `None` if it fits as a whole. A token has
    /// about `rate` bytes.
    fn places(&self, text: &str, rate: usize) -> Result<Option<Places>, EncodeError> {
        let mut window = self.window(rate);
        loop {
            let end = floor(text, window);
            if end == text.len() && self.fits(text)? {
                return Ok(None);
            }
            let offsets = self.tokenizer.encode_with_offsets(&text[..end], self.within())?.offsets;
            if offsets.len() > self.room || end == text.len() {
                let starts = offsets.into_iter().map(|place| place.start).collect();
                return Ok(Some(Places { starts, window: end }));
            }
            window = window.saturating_mul(2);
        }
    }

    /// So many bytes are likely to hold more tokens than there is room for.
    fn window(&self, rate: usize) -> usize {
        self.room.saturating_add(1).saturating_mul(rate.saturating_add(1)).saturating_add(16)
    }

    /// Where the longest prefix that fits ends.
    fn prefix(&self, text: &str, rate: usize) -> Result<usize, EncodeError> {
        let Some(Places { starts, .. }) = self.places(text, rate)? else { return Ok(text.len()) };
        let mut shorter = 0;
        while let Some(fits) = self.room.checked_sub(shorter) {
            let reach = starts.get(fits).copied().unwrap_or(text.len());
            let end = cluster_before(text, reach);
            if end == 0 || self.fits(&text[..end])? {
                return Ok(end);
            }
            shorter = 2 * shorter + 1;
        }
        Ok(0)
    }

    /// Where the longest suffix that fits begins.
    fn suffix(&self, text: &str) -> Result<usize, EncodeError> {
        let mut window = self.window(BYTES_PER_TOKEN);
        let (base, places) = loop {
            let start = ceil(text, text.len().saturating_sub(window));
            if start == 0 && self.fits(text)? {
                return Ok(0);
            }
            let offsets = self.tokenizer.encode_with_offsets(&text[start..], self.within())?.offsets;
            if offsets.len() > self.room || start == 0 {
                break (start, offsets);
            }
            window = window.saturating_mul(2);
        };
        let mut shorter = 0;
        while let Some(fits) = self.room.checked_sub(shorter).filter(|&fits| fits > 0) {
            let first = places.len().saturating_sub(fits);
            // A token that begins within a character of the one before.
            let reach = base + places.get(first).map_or(0, |place| place.start);
            let start = cluster_from(text, reach);
            if start == text.len() || self.fits(&text[start..])? {
                return Ok(start);
            }
            shorter = 2 * shorter + 1;
        }
        Ok(text.len())
    }

    /// Where in `part` the tokens begin that are to stand in the next part again, behind the beginning of `part`.
    fn repeated(&self, text: &str, part: Range<usize>, overlap: usize) -> Result<Option<usize>, EncodeError> {
        let offsets = self.tokenizer.encode_with_offsets(&text[part.clone()], self.within())?.offsets;
        let first = offsets.len().saturating_sub(overlap);
        let mut reach = part.start + offsets.get(first).map_or(part.len(), |place| place.start);
        reach = reach.max(next_character(text, part.start));
        let mut step = 1;
        loop {
            reach = match next_word(text, reach, part.end) {
                Some(start) => start,
                None => return Ok(None),
            };
            let repeated = &text[reach..part.end];
            if self.tokenizer.count_up_to(repeated, overlap, self.within())?.is_some() {
                return Ok(Some(reach));
            }
            reach = ceil(text, reach + step);
            step *= 2;
        }
    }
}

/// The best place to cut `text` behind `after` and not behind `reach`, in a part that begins at `start`.
fn boundary(text: &str, start: usize, after: usize, reach: usize) -> Option<usize> {
    let reach = floor(text, reach);
    if reach <= after {
        return None;
    }
    let half = after + (reach - after) / 2;
    // What stands behind decides of a cut as well.
    let seen = floor(text, reach.saturating_add(LOOKAHEAD));
    let window = &text[start..seen];
    let wanted = |at: &usize| (half.max(after + 1)..=reach).contains(at);
    if let Some(end) = paragraph(text, half.max(after + 1), reach) {
        return Some(end);
    }
    let sentences = window.split_sentence_bound_indices().map(|(at, _)| start + at);
    if let Some(end) = sentences.take_while(|&at| at <= reach).filter(wanted).last() {
        return Some(end);
    }
    if let Some(end) = word(text, after, reach) {
        return Some(end);
    }
    let near = floor(text, reach.saturating_sub(LOOKAHEAD).max(start));
    let bounds = text[near..seen].split_word_bound_indices().map(|(at, _)| near + at).skip(1);
    let bound = bounds.take_while(|&at| at <= reach).filter(|&at| at > after).last();
    let cluster = || Some(cluster_before(text, reach)).filter(|&at| at > after);
    bound.or_else(cluster).or(Some(reach))
}

/// The last end of a paragraph, behind its blank lines, from `from` to `reach`.
fn paragraph(text: &str, from: usize, reach: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let line_end = |at: usize| at > 0 && bytes[at - 1] == b'\n';
    memchr::memrchr_iter(b'\n', &bytes[..reach])
        .map(|at| at + 1)
        .take_while(|&end| end >= from)
        .filter(|&end| !matches!(bytes.get(end), Some(b'\n' | b'\r')))
        .find(|&end| {
            let line = if end >= 2 && bytes[end - 2] == b'\r' { end - 2 } else { end - 1 };
            line_end(line)
        })
}

/// The last place in front of white space behind a word, behind `after` and not behind `reach`.
fn word(text: &str, after: usize, reach: usize) -> Option<usize> {
    let mut next = text[reach..].chars().next();
    let mut at = reach;
    for character in text[after..reach].chars().rev() {
        if !character.is_whitespace() && next.is_none_or(char::is_whitespace) {
            return Some(at);
        }
        next = Some(character);
        at -= character.len_utf8();
    }
    None
}

/// The first place from `from` on and before `end` at which a word begins: in front of the white space before it, or between words
/// that no white space parts.
fn next_word(text: &str, from: usize, end: usize) -> Option<usize> {
    let near = floor(text, from.saturating_sub(LOOKAHEAD));
    let bounds = text[near..end].split_word_bound_indices().map(|(at, _)| near + at);
    bounds.skip(usize::from(near > 0)).find(|&at| at >= from)
}

/// The last boundary between characters as a reader sees them, not behind `at`.
fn cluster_before(text: &str, at: usize) -> usize {
    let at = floor(text, at);
    if is_boundary(text, at) { at } else { cluster(text, at, GraphemeCursor::prev_boundary) }
}

/// The first such boundary from `at` on.
fn cluster_from(text: &str, at: usize) -> usize {
    let at = ceil(text, at);
    if is_boundary(text, at) { at } else { cluster(text, at, GraphemeCursor::next_boundary) }
}

/// The first such boundary behind `at`.
fn next_cluster(text: &str, at: usize) -> usize {
    cluster(text, at, GraphemeCursor::next_boundary)
}

fn is_boundary(text: &str, at: usize) -> bool {
    let (near, text) = around(text, at);
    GraphemeCursor::new(at - near, text.len(), true).is_boundary(text, 0).unwrap_or(true)
}

type Step = fn(&mut GraphemeCursor, &str, usize) -> Result<Option<usize>, GraphemeIncomplete>;

fn cluster(text: &str, at: usize, step: Step) -> usize {
    let (near, text) = around(text, at);
    // The text is at hand, so nothing is incomplete.
    let found = step(&mut GraphemeCursor::new(at - near, text.len(), true), text, 0);
    found.ok().flatten().map_or(at, |found| near + found)
}

/// The part of a text that decides about a cut at `at`, and where it begins: a row of flags, say, may be as long as the text.
fn around(text: &str, at: usize) -> (usize, &str) {
    let near = floor(text, at.saturating_sub(LOOKAHEAD));
    (near, &text[near..ceil(text, at.saturating_add(LOOKAHEAD))])
}

fn next_character(text: &str, at: usize) -> usize {
    ceil(text, at + 1)
}

/// The last place between two characters that is not behind `at`.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// The first place between two characters from `at` on.
fn ceil(text: &str, at: usize) -> usize {
    (at..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len())
}

/// English runs at four to five bytes a token.
const BYTES_PER_TOKEN: usize = 4;

/// So many bytes beside a cut are looked at.
const LOOKAHEAD: usize = 128;
