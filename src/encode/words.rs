//! The loop over words: a word is looked up in the memo, or goes through the model and is remembered.

use std::ops::Range;
use std::sync::Arc;

use super::error::EncodeError;
use super::memo::MemoKey;
use super::output::{At, Sink};
use super::thread_state::ThreadState;
use crate::model::Model;
use crate::split::{BLOCK, Piece, PreTokenizer, SplitError};
use crate::vocabulary::{SPACE, Vocabulary};

/// What words go through, and where their ids go.
pub(crate) struct Words<'w, S> {
    pub(crate) model: &'w Model,
    pub(crate) vocabulary: &'w Arc<Vocabulary>,
    /// Words of fewer bytes are cut where no merge can reach across.
    pub(crate) unit_limit: usize,
    pub(crate) state: &'w mut ThreadState,
    pub(crate) sink: &'w mut S,
}

impl<S: Sink> Words<'_, S> {
    /// A text whose words are the pieces that `split` makes.
    pub(crate) fn split(&mut self, split: &PreTokenizer, text: &[u8], at: At<'_>) -> Result<(), EncodeError> {
        let mut result = Ok(());
        if S::SPANS || self.unit_limit > 0 {
            split.split(text, &mut |word| {
                if result.is_ok() && !self.sink.is_full() {
                    result = self.one(text, word, at);
                    self.sink.end_word();
                }
            })?;
        } else {
            split.pieces(text, &mut |words| {
                if result.is_ok() && !self.sink.is_full() {
                    result = self.block(text, words, at);
                }
                result.is_ok() && !self.sink.is_full()
            })?;
        }
        result
    }

    /// Words of a text, without their places.
    fn block(&mut self, text: &[u8], words: &[Piece], at: At<'_>) -> Result<(), EncodeError> {
        self.recall(text, words, |this, word| this.word(text, word, Is::Word, at))
    }

    /// Looks words up, and has `other` take care of those that are not remembered or not short. First the keys of all, then the
    /// look-ups, so that the processor may wait for many places in the memo at once.
    #[inline]
    fn recall(
        &mut self,
        text: &[u8],
        words: &[Piece],
        other: impl Fn(&mut Self, Range<usize>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let ThreadState { memo, keys, .. } = &mut *self.state;
        memo.short_words().keys(text, words, keys);
        let mut next = 0;
        loop {
            let ThreadState { memo, keys, ids, .. } = &mut *self.state;
            let (found, len) = memo.short_words().recall_all(&keys[next..words.len()], ids);
            self.sink.push_all(&ids[..len]);
            next += found;
            let Some(word) = words.get(next) else { return Ok(()) };
            other(self, word.range())?;
            next += 1;
        }
    }

    /// One word of a text.
    pub(crate) fn one(&mut self, text: &[u8], word: Range<usize>, at: At<'_>) -> Result<(), EncodeError> {
        if self.unit_limit == 0 {
            return self.word(text, word, Is::Word, at);
        }
        let (text, at) = (&text[word.clone()], at.part(word.start));
        // Characters are cut by their first byte alone, so a stray first byte swallows what follows, a `▁` included: such a text
        // stays in one piece.
        if text.len() >= self.unit_limit || std::str::from_utf8(text).is_err() {
            return self.word(text, 0..text.len(), Is::Word, at);
        }
        if let Some(token) = self.model.whole(self.vocabulary, text) {
            self.sink.push(token, if S::SPANS { at.original(0..text.len()) } else { 0..0 });
            return Ok(());
        }
        let mut result = Ok(());
        self.vocabulary.words(text, |unit| {
            if result.is_ok() && !self.sink.is_full() {
                result = self.word(text, unit, Is::Unit, at);
            }
        });
        result
    }

    #[inline]
    fn word(&mut self, text: &[u8], word: Range<usize>, is: Is, at: At<'_>) -> Result<(), EncodeError> {
        let key = if S::SPANS { None } else { MemoKey::within(text, word.clone()) };
        let (word, at) = (&text[word.clone()], at.part(word.start));
        if key.is_some_and(|key| self.state.memo.recall(key, word, self.sink)) {
            return Ok(());
        }
        self.miss(word, word, key, is, at)
    }

    /// A word that is not remembered, and will be, as it was `given`.
    #[inline(never)]
    fn miss(
        &mut self,
        word: &[u8],
        given: &[u8],
        key: Option<MemoKey>,
        is: Is,
        at: At<'_>,
    ) -> Result<(), EncodeError> {
        let ThreadState { memo, tokens, scratch, .. } = &mut *self.state;
        tokens.clear();
        tokens.with_spans = S::SPANS;
        let whole = if is == Is::Word { self.model.whole(self.vocabulary, word) } else { None };
        if let Some(token) = whole {
            tokens.push(token, 0..word.len());
        } else if let Err(error) = self.model.encode(self.vocabulary, word, scratch, tokens) {
            let offset = at.original(error.at..error.at + 1).start;
            return Err(EncodeError::NoByteToken { byte: error.byte, offset });
        }
        if S::SPANS {
            for (&id, &(start, end)) in tokens.ids.iter().zip(&tokens.spans) {
                let span = start as usize..end as usize;
                let text = word.get(span.clone()).unwrap_or_default();
                self.sink.push_text(id, at.original(span), text);
            }
        } else {
            self.sink.push_all(&tokens.ids);
        }
        if let Some(key) = key {
            memo.remember(key, given, &tokens.ids);
        }
        if scratch.bpe.wants_compiled() {
            self.model.compile_beside(self.vocabulary);
        }
        if tokens.ids.len() > MOST_KEPT {
            tokens.shrink_to(MOST_KEPT);
        }
        Ok(())
    }

    /// A well-formed text in which spaces stand for `▁`, cut into units and, with `lines`, into lines before. It is never rewritten as
    /// a whole: only a unit that is not remembered is. With `prefix` a `▁` goes in front.
    pub(crate) fn escaped(&mut self, text: &[u8], mut prefix: bool, lines: bool) -> Result<(), EncodeError> {
        SplitError::check_len(text)?;
        let vocabulary = self.vocabulary;
        let cuts = Cuts { bridges: vocabulary.bridges, neighbours: vocabulary.compiled.neighbours() };
        let mut units = [Piece::default(); BLOCK];
        let mut len = 0;
        let mut result = Ok(());
        let mut each = |unit: Range<usize>| {
            if prefix {
                prefix = false;
                let mut word = std::mem::take(&mut self.state.word);
                word.clear();
                word.push(b' ');
                word.extend_from_slice(&text[unit]);
                result = self.escaped_unit(&word, 0..word.len(), lines);
                word.shrink_to(MOST_KEPT);
                self.state.word = word;
            } else {
                units[len] = Piece { start: unit.start as u32, end: unit.end as u32 };
                len += 1;
                if len == BLOCK {
                    result = self.escaped_block(text, &units, lines);
                    len = 0;
                }
            }
            result.is_ok() && !self.sink.is_full()
        };
        let mut start = 0;
        while start < text.len() {
            // Lines, and the newlines between them, each for itself.
            let newline = |at: usize| text.get(at) == Some(&b'\n');
            let end = match &text[start..] {
                rest if !lines => start + rest.len(),
                rest if newline(start) => start + rest.iter().take_while(|&&byte| byte == b'\n').count(),
                rest => memchr::memchr(b'\n', rest).map_or(text.len(), |at| start + at),
            };
            let more = if lines && newline(start) {
                each(start..end)
            } else {
                spaced_units(text, start..end, &cuts, &mut each)
            };
            if !more {
                break;
            }
            start = end;
        }
        if result.is_err() || self.sink.is_full() {
            return result;
        }
        self.escaped_block(text, &units[..len], lines)
    }

    fn escaped_block(&mut self, text: &[u8], units: &[Piece], lines: bool) -> Result<(), EncodeError> {
        self.recall(text, units, |words, unit| words.escaped_unit(text, unit, lines))
    }

    #[inline]
    fn escaped_unit(&mut self, text: &[u8], unit: Range<usize>, lines: bool) -> Result<(), EncodeError> {
        let key = MemoKey::within(text, unit.clone());
        let unit = &text[unit];
        if key.is_some_and(|key| self.state.memo.recall(key, unit, self.sink)) {
            return Ok(());
        }
        if lines
            && unit.first() == Some(&b'\n')
            && let Some(token) = self.model.whole(self.vocabulary, unit)
        {
            self.sink.push(token, 0..0);
            return Ok(());
        }
        self.escaped_miss(unit, key)
    }

    #[inline(never)]
    fn escaped_miss(&mut self, unit: &[u8], key: Option<MemoKey>) -> Result<(), EncodeError> {
        let mut escaped = std::mem::take(&mut self.state.escaped);
        escaped.clear();
        for part in unit.split_inclusive(|&byte| byte == b' ') {
            match part.strip_suffix(b" ") {
                Some(part) => {
                    escaped.extend_from_slice(part);
                    escaped.extend_from_slice(SPACE);
                }
                None => escaped.extend_from_slice(part),
            }
        }
        let nowhere = super::output::Alignment::Identity(0);
        let result = self.miss(&escaped, unit, key, Is::Unit, At { alignment: &nowhere, base: 0 });
        escaped.shrink_to(MOST_KEPT);
        self.state.escaped = escaped;
        result
    }
}

/// What is looked up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Is {
    Word,
    /// A part of a word, for itself no word that is looked up whole.
    Unit,
}

/// So many bytes of a rewritten word, and so many of its tokens, a thread keeps room for.
const MOST_KEPT: usize = 1 << 16;

/// Where a text may be cut.
struct Cuts<'v> {
    /// As [`Vocabulary::bridges`].
    bridges: [u64; 4],
    /// As [`CompiledMerges::neighbours`](crate::vocabulary::CompiledMerges::neighbours).
    neighbours: Option<&'v [u64; 1 << 10]>,
}

/// As [`Vocabulary::words`], for a part of a text whose spaces are still to be rewritten, and as far as `each` wants more. Says whether
/// it does at the end.
#[inline]
fn spaced_units(
    text: &[u8],
    range: Range<usize>,
    cuts: &Cuts<'_>,
    each: &mut impl FnMut(Range<usize>) -> bool,
) -> bool {
    let text = &text[..range.end];
    let marker = |at: usize| match text.get(at) {
        Some(b' ') => 1,
        Some(0xE2) if text[at..].starts_with(SPACE) => SPACE.len(),
        _ => 0,
    };
    // A unit whose letters begin at `letters`, in parts where no two neighbours are in one token.
    let mut unit = |mut start: usize, letters: usize, end: usize| {
        let Some(neighbours) = cuts.neighbours else { return each(start..end) };
        for at in letters + 1..end {
            let pair = usize::from(u16::from_le_bytes([text[at - 1], text[at]]));
            if neighbours[pair / 64] >> (pair % 64) & 1 == 0 {
                if !each(start..at) {
                    return false;
                }
                start = at;
            }
        }
        each(start..end)
    };
    let (mut start, mut letters, mut at) = (range.start, range.start, range.start);
    loop {
        at = next_space(text, at);
        if at == text.len() {
            break;
        }
        let mut len = marker(at);
        if len == 0 {
            at += 1;
            continue;
        }
        if at > start {
            let before = text[at - 1];
            let bridged = cuts.bridges[usize::from(before >> 6)] >> (before & 63) & 1 != 0;
            if !bridged {
                if !unit(start, letters, at) {
                    return false;
                }
                start = at;
            }
        }
        while len > 0 {
            at += len;
            len = marker(at);
        }
        letters = at;
    }
    start == text.len() || unit(start, letters, text.len())
}

/// Where the first space from `at` on begins, or what could be a `▁`; the length of `text` if there is none.
#[inline]
fn next_space(text: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    while let Some(eight) = text.get(at..).and_then(|rest| rest.first_chunk()) {
        let eight = u64::from_le_bytes(*eight);
        // The lowest zero byte of each is found for certain; one above it perhaps in error.
        let zero = |bytes: u64| bytes.wrapping_sub(ONES) & !bytes & HIGH;
        let found = zero(eight ^ 0x20 * ONES) | zero(eight ^ 0xE2 * ONES);
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(|&byte| byte == b' ' || byte == 0xE2).unwrap_or(rest.len())
}
