//! Encoding and rendering as the `tokenizers` library does: the driver of every vocabulary that comes from a `tokenizer.json`, or from
//! the files it grew out of (`vocab.json` with `merges.txt`, `vocab.txt`).
//!
//! Reference: `tokenizers` 0.23. A text is cut at its added tokens first, then normalized piece by piece, cut at the added tokens that
//! are looked for in normalized text, cut into words, and each word goes through the model. Added tokens that stand in the text are
//! always recognised: that library has no switch for it, so [`Special::parses`] makes no difference here. Only what this driver models
//! exactly comes here; the loader sends every other description through the library itself.

mod added;
mod normalizer;
mod wrapped;

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Serialize};

pub(crate) use normalizer::{Bert as NormalizerBert, Normalizer};
pub(crate) use wrapped::{Wrapped, guarded};

use crate::decode::tokenizers::Renderer;
use crate::encode::memo::Memo;
use crate::encode::output::{Alignment, Sink};
use crate::encode::special_tokens::Specials;
use crate::encode::thread_state::ThreadState;
use crate::encode::{EncodeError, Special};
use crate::split::{Split, cascade};
use crate::unicode;
use crate::vocabulary::{NONE, Pairs, SPACE, Vocabulary, attribute};
use normalizer::normalize;

/// A description, resolved to ids.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Recipe {
    /// Applied one after the other.
    pub(crate) normalizers: Vec<Normalizer>,
    pub(crate) pre_tokenizer: PreTokenizer,
    pub(crate) model: Model,
    pub(crate) frame: Frame,
    pub(crate) renderer: Renderer,
    /// Whether some added token is looked for in the text as it is given.
    pub(crate) added_raw: bool,
    /// Whether some added token is looked for in the normalized text.
    pub(crate) added_normalized: bool,
}

/// How text becomes words.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum PreTokenizer {
    /// All of it is one word.
    None,
    /// `ByteLevel`, with whatever splits before it: each refines the pieces of the one before.
    Splits {
        /// A space goes in front of text that does not begin with one.
        prefix_space: bool,
        splits: Vec<Split>,
    },
    /// Spaces become `replacement`, which begins a word.
    Metaspace {
        replacement: char,
        prepend: Prepend,
        split: bool,
        /// White space is dropped first; what it parts is rewritten on its own.
        words: bool,
    },
    /// White space is dropped, each punctuation character is a word.
    Bert,
}

/// When `Metaspace` puts its replacement in front of text that does not begin with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Prepend {
    Always,
    /// Where the text begins, not behind an added token.
    First,
    Never,
}

impl Prepend {
    fn applies(self, begins: bool) -> bool {
        match self {
            Self::Always => true,
            Self::First => begins,
            Self::Never => false,
        }
    }
}

/// How a word becomes ids.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Model {
    /// Merges over bytes. Every byte is a token.
    Bytes {
        /// A word that is a token is taken whole.
        ignore_merges: bool,
    },
    /// Merges over characters.
    Characters {
        ignore_merges: bool,
        unknown: Unknown,
        /// The words may be cut before each `▁` as [`Vocabulary::bridges`] says.
        cuts: bool,
    },
    /// The longest token that fits, again and again.
    WordPiece {
        unk: u32,
        /// In front of what continues a word.
        prefix: String,
        /// A longer word is unknown.
        max_chars: u32,
        /// Bytes of the longest token.
        longest: u32,
    },
    /// Of all ways to cut a word into tokens, the one whose scores add up to the most.
    Unigram {
        unk: u32,
        /// What a character costs that no token covers.
        unk_score: f64,
        /// What no token covers becomes its bytes, if each has a token.
        byte_fallback: bool,
    },
}

/// What becomes of a character without a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Unknown {
    /// Its bytes, each of which has a token.
    Bytes,
    /// This token, once a character.
    Each(u32),
    /// This token, once a run of such characters.
    Fused(u32),
}

/// Ids that the post-processor puts around a text.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Frame {
    pub(crate) before: Vec<u32>,
    pub(crate) after: Vec<u32>,
}

impl Frame {
    fn open<S: Sink>(&self, sink: &mut S) {
        for &id in &self.before {
            sink.push(id, 0..0);
        }
    }

    fn close<S: Sink>(&self, end: usize, sink: &mut S) {
        for &id in &self.after {
            sink.push(id, end..end);
        }
    }
}

/// What an encoder reads: everything but the thread's own scratch.
#[derive(Clone, Copy)]
pub(crate) struct Encoder<'t> {
    pub(crate) recipe: &'t Recipe,
    pub(crate) vocabulary: &'t Vocabulary,
    pub(crate) specials: &'t Specials,
}

impl Encoder<'_> {
    /// `O(n log n)` in the bytes of `text`. Each byte that is not UTF-8 is read as U+FFFD.
    pub(crate) fn encode<S: Sink>(
        &self,
        text: &[u8],
        special: Special,
        local: &mut ThreadState,
        sink: &mut S,
    ) -> Result<(), EncodeError> {
        if special.adds() {
            self.recipe.frame.open(sink);
        }
        let (valid, original) = repair::<S>(text);
        let mut work = Work { sink, original: &original, local };
        if self.recipe.added_raw {
            added::cut(self.specials, self.vocabulary, &valid, false, &mut |id, span| match id {
                Some(id) => {
                    let span = if S::SPANS { original.original(span) } else { 0..0 };
                    work.sink.push(id, span);
                    Ok(())
                }
                None => self.piece(&valid, span, &mut work),
            })?;
        } else if !valid.is_empty() {
            self.piece(&valid, 0..valid.len(), &mut work)?;
        }
        if special.adds() {
            self.recipe.frame.close(text.len(), work.sink);
        }
        Ok(())
    }

    /// Text between two added tokens.
    fn piece<S: Sink>(
        &self,
        text: &str,
        span: Range<usize>,
        work: &mut Work<'_, S>,
    ) -> Result<(), EncodeError> {
        let alignment = Alignment::identity(span.start);
        let begins = span.start == 0;
        let (text, alignment) =
            normalize::<S>(&self.recipe.normalizers, &self.vocabulary.charsmap, &text[span], alignment)?;
        if !self.recipe.added_normalized {
            return if text.is_empty() { Ok(()) } else { self.words(&text, 0, &alignment, begins, work) };
        }
        added::cut(self.specials, self.vocabulary, &text, true, &mut |id, span| {
            let Some(id) = id else {
                let begins = begins && span.start == 0;
                return self.words(&text[span.clone()], span.start, &alignment, begins, work);
            };
            let span = if S::SPANS { work.original.original(alignment.original(span)) } else { 0..0 };
            work.sink.push(id, span);
            Ok(())
        })
    }

    /// Normalized text without added tokens, not empty; it stands at `base` of what `alignment` knows. `begins` tells whether the
    /// given text begins with it.
    fn words<S: Sink>(
        &self,
        text: &str,
        base: usize,
        alignment: &Alignment,
        begins: bool,
        work: &mut Work<'_, S>,
    ) -> Result<(), EncodeError> {
        match &self.recipe.pre_tokenizer {
            PreTokenizer::None => {
                self.word(text, At { alignment, base }, work);
                Ok(())
            }
            PreTokenizer::Splits { prefix_space, splits } => {
                if *prefix_space && !text.starts_with(' ') {
                    let (text, alignment) = rewritten::<S>(text, base, alignment, Some(' '), None);
                    return self.splits(splits, &text, At { alignment: &alignment, base: 0 }, work);
                }
                self.splits(splits, text, At { alignment, base }, work)
            }
            &PreTokenizer::Metaspace { replacement, prepend, split, words: false } => {
                self.metaspace(
                    text,
                    At { alignment, base },
                    replacement,
                    prepend.applies(begins),
                    split,
                    work,
                );
                Ok(())
            }
            &PreTokenizer::Metaspace { replacement, prepend, split, words: true } => {
                let mut start = 0;
                for part in text.split_inclusive(char::is_whitespace) {
                    let word = part.trim_end_matches(char::is_whitespace);
                    if !word.is_empty() {
                        let prepends = prepend.applies(begins && start == 0);
                        self.metaspace(
                            word,
                            At { alignment, base: base + start },
                            replacement,
                            prepends,
                            split,
                            work,
                        );
                    }
                    start += part.len();
                }
                Ok(())
            }
            PreTokenizer::Bert => {
                let mut start = 0;
                for (at, c) in text.char_indices() {
                    let space = c.is_whitespace();
                    if space || is_bert_punctuation(c) {
                        if start < at {
                            self.word(&text[start..at], At { alignment, base: base + start }, work);
                        }
                        start = at + c.len_utf8();
                        if !space {
                            self.word(&text[at..start], At { alignment, base: base + at }, work);
                        }
                    }
                }
                if start < text.len() {
                    self.word(&text[start..], At { alignment, base: base + start }, work);
                }
                Ok(())
            }
        }
    }

    fn metaspace<S: Sink>(
        &self,
        text: &str,
        at: At<'_>,
        replacement: char,
        prepends: bool,
        split: bool,
        work: &mut Work<'_, S>,
    ) {
        // What begins with a space begins with the replacement once that is in its place.
        let prefix = Some(replacement).filter(|_| prepends && !text.starts_with([' ', replacement]));
        let (text, alignment) = rewritten::<S>(text, at.base, at.alignment, prefix, Some(replacement));
        if !split {
            self.word(&text, At { alignment: &alignment, base: 0 }, work);
            return;
        }
        let mut start = 0;
        let starts = text.match_indices(replacement).map(|(at, _)| at);
        for at in starts.filter(|&at| at > 0).chain([text.len()]) {
            self.word(&text[start..at], At { alignment: &alignment, base: start }, work);
            start = at;
        }
    }

    fn splits<S: Sink>(
        &self,
        splits: &[Split],
        text: &str,
        at: At<'_>,
        work: &mut Work<'_, S>,
    ) -> Result<(), EncodeError> {
        let mut each = |word: Range<usize>| {
            let at = At { base: at.base + word.start, ..at };
            self.word(&text[word], at, work);
        };
        match splits {
            [split] => split.split(text.as_bytes(), &mut each)?,
            _ => cascade(splits, text.as_bytes(), 0..text.len(), &mut each)?,
        }
        Ok(())
    }

    #[inline]
    fn word<S: Sink>(&self, word: &str, at: At<'_>, work: &mut Work<'_, S>) {
        let word = word.as_bytes();
        match &self.recipe.model {
            &Model::Bytes { ignore_merges } => {
                Self::remembered(word, at, work, |word, out| self.bytes(word, ignore_merges, out));
            }
            &Model::Characters { ignore_merges, unknown, cuts } => {
                if let Some(id) = ignore_merges.then(|| self.vocabulary.token(word)).flatten() {
                    work.push(id, at.span::<S>(0..word.len()));
                } else if cuts {
                    self.cuts(word, |part| {
                        let at = At { base: at.base + part.start, ..at };
                        Self::remembered(&word[part], at, work, |word, out| {
                            self.characters(word, unknown, out);
                        });
                    });
                } else {
                    Self::remembered(word, at, work, |word, out| self.characters(word, unknown, out));
                }
            }
            &Model::Unigram { unk, unk_score, byte_fallback } => {
                Self::remembered(word, at, work, |word, out| {
                    self.best(word, unk, unk_score, byte_fallback, out);
                });
            }
            Model::WordPiece { unk, prefix, max_chars, longest } => {
                Self::remembered(word, at, work, |word, out| {
                    self.pieces(word, *unk, prefix.as_bytes(), *max_chars as usize, *longest as usize, out);
                });
            }
        }
    }

    /// Takes the ids of a word from memory, or computes and remembers them.
    #[inline]
    fn remembered<S: Sink>(
        word: &[u8],
        at: At<'_>,
        work: &mut Work<'_, S>,
        compute: impl FnOnce(&[u8], &mut Out<'_, '_, S>),
    ) {
        let place = if S::SPANS { None } else { Memo::place(word) };
        if let Some(ids) = place.and_then(|place| work.local.memo.recall(place)) {
            work.sink.extend(ids);
            return;
        }
        work.local.ids.clear();
        compute(
            word,
            &mut Out { sink: &mut *work.sink, original: work.original, at, local: &mut *work.local },
        );
        if let Some(place) = place {
            work.local.memo.remember(place, &work.local.ids);
        }
    }

    fn bytes<S: Sink>(&self, word: &[u8], ignore_merges: bool, out: &mut Out<'_, '_, S>) {
        if let Some(id) = ignore_merges.then(|| self.vocabulary.token(word)).flatten() {
            out.push(id, 0..word.len());
            return;
        }
        let symbols: &[u32] = &self.vocabulary.byte_symbols;
        let Out { local: ThreadState { scratch, ids, .. }, sink, original, at } = out;
        scratch.clear();
        for (i, &byte) in word.iter().enumerate() {
            scratch.push(symbols.get(usize::from(byte)).copied().unwrap_or(NONE), i);
        }
        let pairs: &Pairs = &self.vocabulary.pairs;
        scratch.merge(word, pairs, |id, span| {
            ids.push(id);
            sink.push(id, if S::SPANS { original.original(at.span::<S>(span)) } else { 0..0 });
        });
    }

    fn characters<S: Sink>(&self, word: &[u8], unknown: Unknown, out: &mut Out<'_, '_, S>) {
        let Out { local: ThreadState { scratch, ids, .. }, sink, original, at } = out;
        scratch.clear();
        let mut i = 0;
        let mut fusing = false;
        while i < word.len() {
            let len = unicode::utf8_len(word[i]).min(word.len() - i);
            let token = self.vocabulary.token(&word[i..i + len]);
            match (token, unknown) {
                (Some(id), _) => scratch.push(id, i),
                (None, Unknown::Fused(_)) if fusing => {}
                (None, Unknown::Each(unk) | Unknown::Fused(unk)) => scratch.push(unk, i),
                (None, Unknown::Bytes) => {
                    for (j, &byte) in word.iter().enumerate().skip(i).take(len) {
                        scratch
                            .push(self.vocabulary.bytes.get(usize::from(byte)).copied().unwrap_or(NONE), j);
                    }
                }
            }
            fusing = token.is_none();
            i += len;
        }
        let pairs: &Pairs = &self.vocabulary.pairs;
        scratch.merge(word, pairs, |id, span| {
            ids.push(id);
            sink.push(id, if S::SPANS { original.original(at.span::<S>(span)) } else { 0..0 });
        });
    }

    fn best<S: Sink>(
        &self,
        word: &[u8],
        unk: u32,
        unk_score: f64,
        byte_fallback: bool,
        out: &mut Out<'_, '_, S>,
    ) {
        let mut lattice = std::mem::take(&mut out.local.lattice);
        let score = |id: u32, _| Some(f64::from(self.vocabulary.score(id)));
        lattice.solve(word, &self.vocabulary.trie, 0.0, score, (unk, unk_score));
        let mut unknown: Option<Range<usize>> = None;
        for piece in lattice.path() {
            let span = piece.start as usize..piece.end as usize;
            if piece.id == unk {
                unknown = Some(unknown.map_or(span.start, |before| before.start)..span.end);
                continue;
            }
            if let Some(span) = unknown.take() {
                self.unknown(word, span, unk, byte_fallback, out);
            }
            out.push(piece.id, span);
        }
        if let Some(span) = unknown {
            self.unknown(word, span, unk, byte_fallback, out);
        }
        if word.len() > MOST_KEPT {
            lattice.shrink_to(MOST_KEPT);
        }
        out.local.lattice = lattice;
    }

    /// A run of what no token covers; as a whole it may be a token all the same, one that was too unlikely.
    fn unknown<S: Sink>(
        &self,
        word: &[u8],
        span: Range<usize>,
        unk: u32,
        byte_fallback: bool,
        out: &mut Out<'_, '_, S>,
    ) {
        let text = &word[span.clone()];
        if let Some(id) = self.vocabulary.token(text) {
            return out.push(id, span);
        }
        let token =
            |&byte: &u8| self.vocabulary.bytes.get(usize::from(byte)).copied().filter(|&id| id != NONE);
        if byte_fallback && text.iter().all(|byte| token(byte).is_some()) {
            for id in text.iter().filter_map(token) {
                out.push(id, span.clone());
            }
            return;
        }
        out.push(unk, span);
    }

    fn pieces<S: Sink>(
        &self,
        word: &[u8],
        unk: u32,
        prefix: &[u8],
        max_chars: usize,
        longest: usize,
        out: &mut Out<'_, '_, S>,
    ) {
        let is_boundary = |at: usize| word.get(at).is_none_or(|&byte| byte & 0xC0 != 0x80);
        if word.len() > max_chars && word.iter().filter(|&&byte| byte & 0xC0 != 0x80).count() > max_chars {
            out.push(unk, 0..word.len());
            return;
        }
        // The word behind room for one prefix. What lies before the piece at hand is no longer needed, so the prefix goes there.
        let mut buffer = std::mem::take(&mut out.local.word);
        buffer.clear();
        buffer.extend_from_slice(prefix);
        buffer.extend_from_slice(word);
        let scratch = &mut out.local.scratch;
        scratch.clear();
        let mut start = 0;
        while start < word.len() {
            let room = if start == 0 { longest } else { longest.saturating_sub(prefix.len()) };
            let from = if start == 0 { prefix.len() } else { start };
            buffer[start..start + prefix.len()].copy_from_slice(prefix);
            let mut end = word.len().min(start.saturating_add(room));
            let id = loop {
                while end > start && !is_boundary(end) {
                    end -= 1;
                }
                if end <= start {
                    break None;
                }
                if let Some(id) = self.vocabulary.token(&buffer[from..prefix.len() + end]) {
                    break Some(id);
                }
                end -= 1;
            };
            let Some(id) = id else {
                // One part without a token makes the whole word unknown.
                scratch.clear();
                scratch.push(unk, 0);
                break;
            };
            scratch.push(id, start);
            start = end;
        }
        out.local.word = buffer;
        // Nothing merges here: this only hands out what was pushed.
        let Out { local: ThreadState { scratch, ids, .. }, sink, original, at } = out;
        scratch.merge(word, &self.vocabulary.pairs, |id, span| {
            ids.push(id);
            sink.push(id, if S::SPANS { original.original(at.span::<S>(span)) } else { 0..0 });
        });
    }

    /// Cuts where no merge can reach across: before a `▁` that follows another character, provided that no token holds that
    /// character's last byte and `▁` in a row. Then the parts merge independently of each other, short enough for the memo and for
    /// the quick merge loop.
    fn cuts(&self, text: &[u8], mut each: impl FnMut(Range<usize>)) {
        let bridges = self.vocabulary.bridges;
        let mut start = 0;
        for at in memchr::memmem::find_iter(text, SPACE) {
            let Some(&before) = at.checked_sub(1).and_then(|i| text.get(i)) else { continue };
            let bridged = bridges[usize::from(before >> 6)] >> (before & 63) & 1 != 0;
            if !bridged && !text[..at].ends_with(SPACE) {
                each(start..at);
                start = at;
            }
        }
        if start < text.len() {
            each(start..text.len());
        }
    }
}

/// What an encoder writes to.
struct Work<'w, S> {
    sink: &'w mut S,
    /// From the repaired text to the given one.
    original: &'w Alignment,
    local: &'w mut ThreadState,
}

impl<S: Sink> Work<'_, S> {
    fn push(&mut self, id: u32, span: Range<usize>) {
        let span = if S::SPANS { self.original.original(span) } else { span };
        self.sink.push(id, span);
    }
}

/// Where a word stands in a text, and that text in the repaired one.
#[derive(Clone, Copy)]
struct At<'a> {
    alignment: &'a Alignment,
    base: usize,
}

impl At<'_> {
    #[inline]
    fn span<S: Sink>(&self, span: Range<usize>) -> Range<usize> {
        if S::SPANS { self.alignment.original(self.base + span.start..self.base + span.end) } else { 0..0 }
    }
}

/// The word at hand's place for ids.
struct Out<'o, 'a, S> {
    sink: &'o mut S,
    original: &'a Alignment,
    at: At<'a>,
    local: &'o mut ThreadState,
}

impl<S: Sink> Out<'_, '_, S> {
    fn push(&mut self, id: u32, span: Range<usize>) {
        self.local.ids.push(id);
        let span = if S::SPANS { self.original.original(self.at.span::<S>(span)) } else { 0..0 };
        self.sink.push(id, span);
    }
}

/// `text` as UTF-8, each byte that is none as U+FFFD.
fn repair<S: Sink>(text: &[u8]) -> (Cow<'_, str>, Alignment) {
    if let Ok(valid) = std::str::from_utf8(text) {
        return (valid.into(), Alignment::identity(0));
    }
    let mut repaired = String::with_capacity(text.len() + 16);
    let mut origin = Vec::new();
    let mut at = 0;
    for chunk in text.utf8_chunks() {
        repaired.push_str(chunk.valid());
        if S::SPANS {
            Extend::extend(&mut origin, at as u32..(at + chunk.valid().len()) as u32);
        }
        at += chunk.valid().len();
        for _ in chunk.invalid() {
            repaired.push(char::REPLACEMENT_CHARACTER);
            if S::SPANS {
                origin.resize(repaired.len(), at as u32);
            }
            at += 1;
        }
    }
    let alignment = if S::SPANS { Alignment::new(origin, 0, text.len()) } else { Alignment::identity(0) };
    (repaired.into(), alignment)
}

/// `text`, which stands at `base` of what `alignment` knows, with `prefix` in front and its spaces replaced.
fn rewritten<'t, S: Sink>(
    text: &'t str,
    base: usize,
    alignment: &Alignment,
    prefix: Option<char>,
    space: Option<char>,
) -> (Cow<'t, str>, Alignment) {
    let mut out = String::with_capacity(text.len() + text.len() / 2 + 4);
    let mut origin = Vec::new();
    out.extend(prefix);
    origin.resize(if S::SPANS { out.len() } else { 0 }, 0);
    for (at, c) in text.char_indices() {
        out.push(if c == ' ' { space.unwrap_or(c) } else { c });
        if S::SPANS {
            // A replaced character as a whole comes from one byte; any other byte from its like.
            for i in 0..out.len() - origin.len() {
                origin.push((at + i.min(c.len_utf8() - 1)) as u32);
            }
        }
    }
    if !S::SPANS {
        return (out.into(), Alignment::identity(0));
    }
    let through = |at: &u32| alignment.original(base + *at as usize..base + *at as usize).start as u32;
    let end = alignment.original(base + text.len()..base + text.len()).start;
    (out.into(), Alignment::new(origin.iter().map(through).collect(), 0, end))
}

fn is_bert_punctuation(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_punctuation();
    }
    unicode_categories::UnicodeCategories::is_punctuation(c)
}

/// Whether an added token is looked for in normalized text.
fn is_normalized(vocabulary: &Vocabulary, id: u32) -> bool {
    vocabulary.attributes(id) & attribute::NORMALIZED != 0
}

/// So many bytes of a word a thread keeps room for.
const MOST_KEPT: usize = 1 << 16;
