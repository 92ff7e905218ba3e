//! Encoding and rendering as llama.cpp does: the driver of every vocabulary that comes from a GGUF file.
//!
//! Reference: llama.cpp 0.8.0, `src/llama-vocab.cpp`. The text is cut at its special tokens first; each remaining fragment
//! goes through the model's own algorithm. Where llama.cpp aborts, loops or overflows its stack, this module returns an error
//! or what the definition gives; each such place says so.

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::roles::SpecialTokens;
use crate::decode::SpecialText;
use crate::encode::memo::{Memo, Place};
use crate::encode::output::{Alignment, Sink, WithOffsets};
use crate::encode::partition::{Fragment, partition};
use crate::encode::special_tokens::Specials;
use crate::encode::thread_state::ThreadState;
use crate::encode::{EncodeError, Special};
use crate::model::bpe::{Joined, Merges, rank_of_score};
use crate::model::dna::{self, Dna};
use crate::model::plamo;
use crate::model::rwkv;
use crate::model::unigram::Unigram;
use crate::model::wordpiece::WordPiece;
use crate::split::{GgufSplit, PreKind, Split, mmbert, nemotron, soprano};
use crate::unicode;
use crate::vocabulary::{NONE, Pairs, SPACE, Vocabulary, attribute};

/// All that llama.cpp derives from a file's keys, beside the vocabulary itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Recipe {
    pub(crate) model: Model,
    pub(crate) add_bos: bool,
    pub(crate) add_eos: bool,
    /// A space goes in front of the text, and of what follows a special token.
    pub(crate) add_space_prefix: bool,
    /// Spaces become `▁` (U+2581) before the engine sees them.
    pub(crate) escape_whitespaces: bool,
    /// Rendered text loses the spaces before punctuation and around apostrophes.
    pub(crate) clean_spaces: bool,
    pub(crate) special: SpecialTokens,
}

/// The algorithm, with what only it needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Model {
    /// `llama`: pieces merge by score.
    Spm,
    /// `gpt2` and its kin: merges from a list.
    Bpe(Bpe),
    /// `bert`.
    WordPiece(WordPiece),
    /// `t5`.
    Unigram(Unigram),
    /// `rwkv`.
    Rwkv,
    /// `plamo2` and `plamo3`.
    Plamo(plamo::Version),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Bpe {
    pub(crate) split: Split,
    /// Text is encoded byte by byte; otherwise character by character, with `<0xXX>` tokens for what is unknown.
    pub(crate) byte_encode: bool,
    /// A pre-token that is a token is taken whole.
    pub(crate) ignore_merges: bool,
    /// What else the type of the pre-tokenizer changes.
    pub(crate) kind: PreKind,
    /// Metaspace scheme `first`: `▁` goes in front of the very first fragment.
    pub(crate) metaspace_first: bool,
    pub(crate) session: Session,
}

/// What happens to a text before it is cut by the pre-tokenizer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Session {
    /// Nothing.
    Plain,
    /// `hybriddna`: DNA is taken out.
    Dna(Dna),
    /// `whitespace`: white space is dropped, and each part between is cut on its own.
    Whitespace {
        /// Characters lose their case.
        lowercase: bool,
    },
}

/// What an encoder reads: everything but the thread's own scratch.
#[derive(Clone, Copy)]
pub(crate) struct Encoder<'t> {
    pub(crate) recipe: &'t Recipe,
    pub(crate) vocabulary: &'t Vocabulary,
    pub(crate) specials: &'t Specials,
}

impl Encoder<'_> {
    /// `O(n log n)` in the bytes of `text`.
    pub(crate) fn encode<S: Sink>(
        &self,
        text: &[u8],
        special: Special,
        local: &mut ThreadState,
        sink: &mut S,
    ) -> Result<(), EncodeError> {
        let Recipe { add_bos, add_eos, special: ref ids, .. } = *self.recipe;
        let add = |adds, id: Option<u32>, name| match id {
            _ if !(adds && special.adds()) => Ok(None),
            None => Err(EncodeError::NoSpecialToken { name }),
            Some(id) => Ok(Some(id)),
        };
        let (front, back) = match self.recipe.model {
            // Whatever the file says of adding BOS, EOS or SEP.
            Model::WordPiece(_) => (add(true, ids.bos, "bos")?, add(true, ids.sep, "sep")?),
            Model::Rwkv => (None, None),
            _ => (add(add_bos, ids.bos, "bos")?, add(add_eos, ids.eos, "eos")?),
        };
        if let Some(id) = front {
            sink.push(id, 0..0);
        }
        let mut first = true;
        let mut after_special = true;
        partition(self.specials, self.vocabulary, text, special.parses(), |fragment| {
            match fragment {
                Fragment::Token(id, span) => {
                    sink.push(id, span);
                    after_special = true;
                }
                Fragment::Raw(span) => {
                    match &self.recipe.model {
                        Model::Spm => self.spm(text, span, after_special, local, sink)?,
                        Model::Bpe(bpe) => self.bpe(bpe, text, span, first, local, sink)?,
                        Model::WordPiece(wordpiece) => {
                            wordpiece.encode(self.vocabulary, &text[span.clone()], span.start, local, sink);
                        }
                        Model::Unigram(unigram) => {
                            let words = |text: &[u8], each: &mut dyn FnMut(Range<usize>)| {
                                self.vocabulary.words(text, each);
                            };
                            unigram.encode(
                                self.vocabulary,
                                &text[span.clone()],
                                span.start,
                                local,
                                sink,
                                words,
                            )?;
                        }
                        Model::Rwkv => {
                            let unknown = ids.unk.unwrap_or(NONE);
                            rwkv::encode(
                                &self.vocabulary.trie,
                                unknown,
                                &text[span.clone()],
                                span.start,
                                sink,
                            );
                        }
                        Model::Plamo(version) => {
                            let fragment = Cow::Borrowed(&text[span.clone()]);
                            let (text, alignment) = repair::<S>(fragment, Alignment::identity(span.start));
                            let place = |range| alignment.original(range);
                            plamo::encode(*version, self.vocabulary, &text, local, sink, place);
                        }
                    }
                    after_special = false;
                }
            }
            first = false;
            Ok::<_, EncodeError>(())
        })?;
        if let Some(id) = back {
            sink.push(id, text.len()..text.len());
        }
        Ok(())
    }

    fn spm<S: Sink>(
        &self,
        text: &[u8],
        span: Range<usize>,
        after_special: bool,
        local: &mut ThreadState,
        sink: &mut S,
    ) -> Result<(), EncodeError> {
        let prefix = if self.recipe.add_space_prefix && after_special { SPACE } else { b"" };
        let fragment = &text[span.clone()];
        let merges = Joined {
            vocabulary: self.vocabulary,
            rank: |vocabulary: &Vocabulary, token| rank_of_score(vocabulary.score(token)),
        };
        // Characters are cut by their first byte alone, so a stray first byte swallows what follows, a `▁` included: such
        // a text is left in one piece.
        let whole = std::str::from_utf8(fragment).is_err();
        if S::SPANS || whole {
            let (escaped, alignment) = escape::<S>(fragment, span.start, prefix, true);
            let mut result = Ok(());
            let mut word = |word: Range<usize>| {
                if result.is_ok() {
                    let out = Out { sink: &mut *sink, alignment: &alignment, base: word.start, inserted: 0 };
                    let place = if S::SPANS { None } else { Memo::place_in(&escaped, word.clone()) };
                    result = self.characters(&escaped[word], place, &merges, Unknown::Refuse, local, out);
                }
            };
            if whole {
                word(0..escaped.len());
            } else {
                self.vocabulary.words(&escaped, word);
            }
            return result;
        }
        let alignment = Alignment::identity(span.start);
        let mut result = Ok(());
        let mut prefix = Some(prefix).filter(|prefix| !prefix.is_empty());
        self.spaced_words(fragment, |word| {
            let place = match prefix {
                None => Memo::place_in(fragment, word.clone()),
                Some(_) => None,
            };
            if place.is_some_and(|place| local.memo.recall_into(place, sink)) || result.is_err() {
                return;
            }
            let out = Out { sink: &mut *sink, alignment: &alignment, base: word.start, inserted: 0 };
            let prefix = prefix.take().unwrap_or_default();
            result = self.escaped(prefix, &fragment[word], place, &merges, Unknown::Refuse, local, out);
        });
        // Where in the text it failed is known to those who keep account of it.
        if result.is_err() && !S::SPANS {
            return self.spm(text, span, after_special, local, &mut WithOffsets::default());
        }
        result
    }

    fn bpe<S: Sink>(
        &self,
        bpe: &Bpe,
        text: &[u8],
        span: Range<usize>,
        first: bool,
        local: &mut ThreadState,
        sink: &mut S,
    ) -> Result<(), EncodeError> {
        let fragment = &text[span.clone()];
        let escapes = self.recipe.escape_whitespaces;
        let spaced = fragment.starts_with(SPACE) || escapes && fragment.starts_with(b" ");
        let prefix = if bpe.metaspace_first && first && !spaced { SPACE } else { b"" };
        // Lines are lines whether spaces have been rewritten or not, and so are the words in them.
        let lines = matches!(bpe.split, Split::Gguf(GgufSplit::Gemma4)) && bpe.kind == PreKind::Gemma4;
        if !S::SPANS
            && lines
            && escapes
            && prefix.is_empty()
            && !bpe.byte_encode
            && !bpe.ignore_merges
            && matches!(bpe.session, Session::Plain)
            && std::str::from_utf8(fragment).is_ok()
        {
            return self.lines(bpe, fragment, local, sink);
        }
        let (text, alignment) = escape::<S>(fragment, span.start, prefix, escapes);
        let (text, alignment) = repair::<S>(text, alignment);
        match &bpe.session {
            Session::Plain => self.part(bpe, &text, 0..text.len(), &alignment, local, sink),
            Session::Dna(dna) => self.dna(bpe, dna, &text, &alignment, local, sink),
            Session::Whitespace { lowercase } => {
                self.whitespace(bpe, *lowercase, &text, alignment, local, sink)
            }
        }
    }

    /// A well-formed text of a vocabulary that works on characters and cuts at newlines only.
    fn lines<S: Sink>(
        &self,
        bpe: &Bpe,
        text: &[u8],
        local: &mut ThreadState,
        sink: &mut S,
    ) -> Result<(), EncodeError> {
        let alignment = Alignment::identity(0);
        let pairs: &Pairs = &self.vocabulary.pairs;
        let mut result = Ok(());
        bpe.split.split(text, &mut |line: Range<usize>| {
            let (base, line) = (line.start, &text[line]);
            if line.first() == Some(&b'\n') {
                let out = Out { sink: &mut *sink, alignment: &alignment, base, inserted: 0 };
                if result.is_ok() {
                    result = self.whole_or_parts(bpe, true, line, local, out);
                }
                return;
            }
            self.spaced_words(line, |word| {
                let place = Memo::place_in(line, word.clone());
                if place.is_some_and(|place| local.memo.recall_into(place, sink)) || result.is_err() {
                    return;
                }
                let out = Out { sink: &mut *sink, alignment: &alignment, base, inserted: 0 };
                result = self.escaped(b"", &line[word], place, pairs, Unknown::Drop, local, out);
            });
        })?;
        result
    }

    /// A part of a text, in which alone the pre-tokenizer sees its context.
    fn part<S: Sink>(
        &self,
        bpe: &Bpe,
        text: &[u8],
        part: Range<usize>,
        alignment: &Alignment,
        local: &mut ThreadState,
        sink: &mut S,
    ) -> Result<(), EncodeError> {
        let (start, text) = (part.start, &text[part.clone()]);
        if matches!(bpe.kind, PreKind::Nemotron | PreKind::Soprano) {
            let (text, alignment) = rewrite::<S>(bpe.kind, text.into(), alignment.part(part));
            return self.cut(bpe, &text, 0, &alignment, local, sink);
        }
        self.cut(bpe, text, start, alignment, local, sink)
    }

    /// The pre-tokens of a text, that begins at byte `start` of what `alignment` is about.
    fn cut<S: Sink>(
        &self,
        bpe: &Bpe,
        text: &[u8],
        start: usize,
        alignment: &Alignment,
        local: &mut ThreadState,
        sink: &mut S,
    ) -> Result<(), EncodeError> {
        if !S::SPANS && bpe.byte_encode {
            bpe.split.split(text, &mut |word: Range<usize>| {
                let place = Memo::place_in(text, word.clone());
                if !place.is_some_and(|place| local.memo.recall_into(place, sink)) {
                    self.unknown_word(bpe, &text[word], place, alignment, local, sink);
                }
            })?;
            return Ok(());
        }
        let mut result = Ok(());
        bpe.split.split(text, &mut |word: Range<usize>| {
            if result.is_ok() {
                let out = Out { sink: &mut *sink, alignment, base: start + word.start, inserted: 0 };
                result = self.word(bpe, &text[word], local, out);
            }
        })?;
        result
    }

    /// A text with DNA in it.
    fn dna<S: Sink>(
        &self,
        bpe: &Bpe,
        dna: &Dna,
        text: &[u8],
        alignment: &Alignment,
        local: &mut ThreadState,
        sink: &mut S,
    ) -> Result<(), EncodeError> {
        let mut result = Ok(());
        dna.parts(text, &mut |part| {
            if result.is_err() {
                return;
            }
            let range = match part {
                dna::Part::Token(id, place) => {
                    return sink.push(id, if S::SPANS { alignment.original(place) } else { 0..0 });
                }
                dna::Part::Text(range) => range,
            };
            if !dna.auto_tags {
                result = self.part(bpe, text, range, alignment, local, sink);
                return;
            }
            let (part, alignment) = (&text[range.clone()], alignment.part(range));
            let (part, alignment) = match dna::unspaced(part) {
                None => (Cow::Borrowed(part), alignment),
                Some(kept) => {
                    let mut joined = Vec::with_capacity(part.len());
                    let mut origin = Vec::new();
                    for kept in kept {
                        joined.extend_from_slice(&part[kept.clone()]);
                        if S::SPANS {
                            Extend::extend(&mut origin, kept.start as u32..kept.end as u32);
                        }
                    }
                    (
                        Cow::Owned(joined),
                        if S::SPANS { alignment.then(origin, part.len()) } else { alignment },
                    )
                }
            };
            dna.untagged(&part, &mut |piece| {
                if result.is_err() {
                    return;
                }
                match piece {
                    dna::Part::Token(id, place) => {
                        sink.push(id, if S::SPANS { alignment.original(place) } else { 0..0 });
                    }
                    dna::Part::Text(range) => {
                        result = self.part(bpe, &part, range, &alignment, local, sink);
                    }
                }
            });
        });
        result
    }

    /// A text whose white space only separates.
    fn whitespace<S: Sink>(
        &self,
        bpe: &Bpe,
        lowercase: bool,
        text: &[u8],
        alignment: Alignment,
        local: &mut ThreadState,
        sink: &mut S,
    ) -> Result<(), EncodeError> {
        let mut lowered = Vec::with_capacity(text.len());
        let mut origin = Vec::new();
        let mut parts = Vec::new();
        let mut start = 0;
        let mut at = 0;
        while at < text.len() {
            let (character, len) = unicode::decode(text, at);
            if unicode::is_whitespace(character) {
                parts.push(start..lowered.len());
                unicode::encode(character, &mut lowered);
                start = lowered.len();
            } else {
                unicode::encode(if lowercase { unicode::lower(character) } else { character }, &mut lowered);
            }
            if S::SPANS {
                origin.resize(lowered.len(), at as u32);
            }
            at += len;
        }
        parts.push(start..lowered.len());
        let alignment = if S::SPANS { alignment.then(origin, text.len()) } else { alignment };
        parts.into_iter().try_for_each(|part| self.part(bpe, &lowered, part, &alignment, local, sink))
    }

    /// One pre-token of a byte-level vocabulary that is not remembered.
    #[inline(never)]
    fn unknown_word<S: Sink>(
        &self,
        bpe: &Bpe,
        word: &[u8],
        place: Option<Place>,
        alignment: &Alignment,
        local: &mut ThreadState,
        sink: &mut S,
    ) {
        local.ids.clear();
        self.bytes(bpe, word, local, &mut Out { sink, alignment, base: 0, inserted: 0 });
        if let Some(place) = place {
            local.memo.remember(place, &local.ids);
        }
    }

    /// One pre-token of a vocabulary with a merges list.
    #[inline]
    fn word<S: Sink>(
        &self,
        bpe: &Bpe,
        word: &[u8],
        local: &mut ThreadState,
        mut out: Out<'_, S>,
    ) -> Result<(), EncodeError> {
        if bpe.byte_encode {
            self.bytes(bpe, word, local, &mut out);
            return Ok(());
        }
        let whole_newlines = matches!(bpe.kind, PreKind::Gemma4 | PreKind::Mmbert);
        if bpe.kind == PreKind::Mmbert {
            let mut result = Ok(());
            mmbert(word, &mut |part, marked| {
                let mut space = std::mem::take(&mut local.word);
                space.clear();
                if marked {
                    space.extend_from_slice(SPACE);
                }
                space.extend_from_slice(&word[part.clone()]);
                let inserted = space.len() - part.len();
                let out = Out {
                    sink: &mut *out.sink,
                    alignment: out.alignment,
                    base: out.base + part.start,
                    inserted,
                };
                if result.is_ok() {
                    result = self.whole_or_parts(bpe, whole_newlines, &space, local, out);
                }
                local.word = space;
            });
            return result;
        }
        self.whole_or_parts(bpe, whole_newlines, word, local, out)
    }

    /// A word of a vocabulary that works on characters and has a merges list.
    fn whole_or_parts<S: Sink>(
        &self,
        bpe: &Bpe,
        whole_newlines: bool,
        word: &[u8],
        local: &mut ThreadState,
        mut out: Out<'_, S>,
    ) -> Result<(), EncodeError> {
        let whole = bpe.ignore_merges || whole_newlines && word.iter().all(|&byte| byte == b'\n');
        if let Some(token) = whole.then(|| self.vocabulary.token(word)).flatten() {
            out.push(token, 0..word.len());
            return Ok(());
        }
        let unknown = match bpe.kind {
            PreKind::Soprano => Unknown::Token(self.recipe.special.unk.unwrap_or(NONE)),
            _ => Unknown::Drop,
        };
        let Out { sink, alignment, base, inserted } = out;
        let mut result = Ok(());
        self.vocabulary.words(word, |part| {
            if result.is_ok() {
                let out = Out { sink: &mut *sink, alignment, base: base + part.start, inserted };
                let place = if S::SPANS { None } else { Memo::place_in(word, part.clone()) };
                result = self.characters(&word[part], place, &self.vocabulary.pairs, unknown, local, out);
            }
        });
        result
    }

    /// A pre-token of a byte-level vocabulary. Its ids also go to `local.ids` where spans are not wanted.
    fn bytes<S: Sink>(&self, bpe: &Bpe, word: &[u8], local: &mut ThreadState, out: &mut Out<'_, S>) {
        if bpe.ignore_merges
            && let Some(token) = self.vocabulary.token(word)
        {
            local.ids.push(token);
            out.push(token, 0..word.len());
            return;
        }
        let symbols: &[u32] = &self.vocabulary.byte_symbols;
        local.scratch.clear();
        for (i, &byte) in word.iter().enumerate() {
            local.scratch.push(symbols.get(usize::from(byte)).copied().unwrap_or(NONE), i);
        }
        let ThreadState { scratch, ids, .. } = local;
        let pairs: &Pairs = &self.vocabulary.pairs;
        scratch.merge(word, pairs, |symbol, span| {
            if symbol < self.vocabulary.len {
                ids.push(symbol);
                out.push(symbol, span);
                return;
            }
            // llama.cpp looks up each byte of the symbol's text in the GPT-2 alphabet as a token of one byte. Only the
            // ASCII characters of that alphabet are one byte; what is not found is dropped without a word.
            for at in span {
                if let Some(&token) =
                    self.vocabulary.bytes.get(usize::from(word[at])).filter(|&&token| token != NONE)
                {
                    ids.push(token);
                    out.push(token, at..at + 1);
                }
            }
        });
    }

    /// A word that is not remembered, with its spaces still to be rewritten.
    #[inline(never)]
    fn escaped<S: Sink>(
        &self,
        prefix: &[u8],
        word: &[u8],
        place: Option<Place>,
        merges: &impl Merges,
        unknown: Unknown,
        local: &mut ThreadState,
        out: Out<'_, S>,
    ) -> Result<(), EncodeError> {
        let mut escaped = std::mem::take(&mut local.escaped);
        escaped.clear();
        escaped.extend_from_slice(prefix);
        for part in word.split_inclusive(|&byte| byte == b' ') {
            match part.strip_suffix(b" ") {
                Some(part) => {
                    escaped.extend_from_slice(part);
                    escaped.extend_from_slice(SPACE);
                }
                None => escaped.extend_from_slice(part),
            }
        }
        let result = self.compute(&escaped, place, merges, unknown, local, out);
        escaped.clear();
        escaped.shrink_to(KEPT);
        local.escaped = escaped;
        result
    }

    /// A word of a vocabulary that works on characters.
    fn characters<S: Sink>(
        &self,
        word: &[u8],
        place: Option<Place>,
        merges: &impl Merges,
        unknown: Unknown,
        local: &mut ThreadState,
        out: Out<'_, S>,
    ) -> Result<(), EncodeError> {
        if place.is_some_and(|place| local.memo.recall_into(place, out.sink)) {
            return Ok(());
        }
        self.compute(word, place, merges, unknown, local, out)
    }

    /// As [`Encoder::characters`], for a word that is not remembered but will be.
    fn compute<S: Sink>(
        &self,
        word: &[u8],
        place: Option<Place>,
        merges: &impl Merges,
        unknown: Unknown,
        local: &mut ThreadState,
        mut out: Out<'_, S>,
    ) -> Result<(), EncodeError> {
        let ThreadState { scratch, ids, memo, characters, .. } = local;
        ids.clear();
        scratch.clear();
        let mut at = 0;
        while at < word.len() {
            let whole = unicode::utf8_len(word[at]);
            let character = &word[at..word.len().min(at + whole)];
            let find = || self.vocabulary.symbol(character).unwrap_or(NONE);
            let symbol = if character.len() == whole { characters.symbol(character, find) } else { find() };
            scratch.push(symbol, at);
            at += whole;
        }
        let mut result = Ok(());
        scratch.merge(word, merges, |symbol, span| {
            if symbol < self.vocabulary.len {
                ids.push(symbol);
                out.push(symbol, span);
                return;
            }
            if let Unknown::Token(token) = unknown {
                ids.push(token);
                out.push(token, span);
                return;
            }
            for at in span {
                let token = self.vocabulary.bytes.get(usize::from(word[at])).copied().unwrap_or(NONE);
                if token != NONE {
                    ids.push(token);
                    out.push(token, at..at + 1);
                } else if unknown == Unknown::Refuse && result.is_ok() {
                    let offset = out.original(at..at).start;
                    result = Err(EncodeError::NoByteToken { byte: word[at], offset });
                }
            }
        });
        if let (Some(place), Ok(())) = (place, &result) {
            memo.remember(place, ids);
        }
        result
    }

    /// As [`Encoder::words`], for a text whose spaces are still to be rewritten.
    #[inline]
    fn spaced_words(&self, text: &[u8], mut each: impl FnMut(Range<usize>)) {
        let bridges = self.vocabulary.bridges;
        let marker = |at: usize| match text.get(at) {
            Some(b' ') => 1,
            Some(0xE2) if text[at..].starts_with(SPACE) => SPACE.len(),
            _ => 0,
        };
        let (mut start, mut at) = (0, 0);
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
                let bridged = bridges[usize::from(before >> 6)] >> (before & 63) & 1 != 0;
                if !bridged {
                    each(start..at);
                    start = at;
                }
            }
            while len > 0 {
                at += len;
                len = marker(at);
            }
        }
        if start < text.len() {
            each(start..text.len());
        }
    }
}

/// So many bytes of a rewritten word a thread keeps room for.
const KEPT: usize = 1 << 16;

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

/// A place for ids, that knows where the text at hand stands in the original.
struct Out<'s, S> {
    sink: &'s mut S,
    alignment: &'s Alignment,
    /// Where the word at hand begins in the rewritten text.
    base: usize,
    /// So many bytes in front of the word are in no text.
    inserted: usize,
}

impl<S: Sink> Out<'_, S> {
    #[inline]
    fn push(&mut self, id: u32, span: Range<usize>) {
        let span = if S::SPANS { self.original(span) } else { 0..0 };
        self.sink.push(id, span);
    }

    fn original(&self, span: Range<usize>) -> Range<usize> {
        let at = |i: usize| self.base + i.saturating_sub(self.inserted);
        self.alignment.original(at(span.start)..at(span.end))
    }
}

/// What becomes of a symbol that is no token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unknown {
    /// Each of its bytes has a token, or the text cannot be encoded.
    Refuse,
    /// Each of its bytes that has a token becomes that token; the others are dropped.
    Drop,
    /// It becomes this token.
    Token(u32),
}

/// `text` with `prefix` in front of it and, if `escape`, each space as `▁`.
fn escape<'t, S: Sink>(
    text: &'t [u8],
    base: usize,
    prefix: &[u8],
    escape: bool,
) -> (Cow<'t, [u8]>, Alignment) {
    if prefix.is_empty() && !(escape && memchr::memchr(b' ', text).is_some()) {
        return (Cow::Borrowed(text), Alignment::identity(base));
    }
    let mut escaped = Vec::with_capacity(prefix.len() + text.len() + text.len() / 2);
    let mut origin = Vec::new();
    escaped.extend_from_slice(prefix);
    if S::SPANS {
        origin.resize(prefix.len(), 0);
    }
    let mut start = 0;
    let spaces = memchr::memchr_iter(b' ', text).take(if escape { usize::MAX } else { 0 });
    for at in spaces.chain([text.len()]) {
        escaped.extend_from_slice(&text[start..at]);
        if S::SPANS {
            Extend::extend(&mut origin, start as u32..at as u32);
        }
        if at < text.len() {
            escaped.extend_from_slice(SPACE);
            if S::SPANS {
                origin.resize(origin.len() + SPACE.len(), at as u32);
            }
        }
        start = at + 1;
    }
    (Cow::Owned(escaped), Alignment::new(origin, base, text.len()))
}

/// `text` with each invalid byte as U+FFFD, which is how llama.cpp's byte-pair session sees it.
pub(super) fn repair<S: Sink>(text: Cow<'_, [u8]>, alignment: Alignment) -> (Cow<'_, [u8]>, Alignment) {
    if std::str::from_utf8(&text).is_ok() {
        return (text, alignment);
    }
    let mut repaired = Vec::with_capacity(text.len() + 16);
    let mut origin = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let (character, len) = unicode::decode(&text, at);
        unicode::encode(character, &mut repaired);
        if S::SPANS {
            origin.resize(repaired.len(), at as u32);
        }
        at += len;
    }
    let alignment = if S::SPANS { alignment.then(origin, text.len()) } else { alignment };
    (Cow::Owned(repaired), alignment)
}

/// What two pre-tokenizers do to a text before they cut it.
fn rewrite<S: Sink>(kind: PreKind, text: Cow<'_, [u8]>, alignment: Alignment) -> (Cow<'_, [u8]>, Alignment) {
    let rewritten = match kind {
        PreKind::Nemotron => match nemotron(&text) {
            Cow::Borrowed(_) => return (text, alignment),
            Cow::Owned(rewritten) => rewritten,
        },
        PreKind::Soprano => soprano(&text),
        _ => return (text, alignment),
    };
    if !S::SPANS {
        return (Cow::Owned(rewritten), alignment);
    }
    // Both rules go character by character, apart from what they drop: a joiner, and a space behind a space.
    let mut origin = Vec::with_capacity(rewritten.len());
    let mut at = 0;
    while at < text.len() {
        let (_, len) = unicode::decode(&text, at);
        let character = &text[at..at + len];
        let image = if kind == PreKind::Soprano { soprano(character) } else { character.to_vec() };
        let dropped = !rewritten[origin.len()..].starts_with(&image);
        if !dropped {
            origin.resize(origin.len() + image.len(), at as u32);
        }
        at += len;
    }
    let alignment = alignment.then(origin, text.len());
    (Cow::Owned(rewritten), alignment)
}

/// Renders ids one after the other as `llama_detokenize` renders them together: [`SpecialText::Skip`] is its `remove_special`
/// without `unparse_special`, [`SpecialText::Render`] the reverse.
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    render: bool,
    /// No id has been seen.
    first: bool,
    /// The next id loses a leading space: text was given one when it was encoded.
    strip: bool,
    /// The next id that renders loses a leading space (metaspace scheme `first`).
    strip_first: bool,
    /// An EOS waits: it is left out if it is the last id.
    held: Option<u32>,
}

impl Decoder {
    pub(crate) fn new(recipe: &Recipe, special: SpecialText) -> Self {
        Self {
            render: special == SpecialText::Render,
            first: true,
            strip: recipe.add_space_prefix,
            strip_first: matches!(&recipe.model, Model::Bpe(bpe) if bpe.metaspace_first),
            held: None,
        }
    }

    /// Appends what `id` adds to the text; `None` when `id` names no token.
    #[inline]
    pub(crate) fn push(
        &mut self,
        recipe: &Recipe,
        vocabulary: &Vocabulary,
        id: u32,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let first = std::mem::take(&mut self.first);
        if !self.render {
            if let Some(eos) = self.held.take() {
                self.piece(vocabulary, eos, out)?;
            }
            if first && recipe.add_bos && recipe.special.bos == Some(id) {
                self.strip = false;
                return Some(());
            }
            if recipe.add_eos && recipe.special.eos == Some(id) {
                self.held = Some(id);
                return Some(());
            }
        }
        self.piece(vocabulary, id, out)
    }

    /// As [`Decoder::push`] for one id after the other; an id that names no token comes back as the error.
    pub(crate) fn push_all(
        &mut self,
        recipe: &Recipe,
        vocabulary: &Vocabulary,
        ids: &[u32],
        out: &mut Vec<u8>,
    ) -> Result<(), u32> {
        let held = recipe.special.eos.filter(|_| recipe.add_eos && !self.render);
        let hidden = if self.render { 0 } else { attribute::UNKNOWN | attribute::CONTROL };
        let mut rest = ids;
        while let &[id, ref tail @ ..] = rest {
            // Once the beginning is over, each id is its piece, until an EOS comes.
            if !(self.first || self.strip || self.strip_first || self.held.is_some()) && held != Some(id) {
                let run = rest.iter().position(|&id| held == Some(id)).unwrap_or(rest.len());
                vocabulary.append_pieces(&rest[..run], hidden, out)?;
                rest = &rest[run..];
            } else {
                self.push(recipe, vocabulary, id, out).ok_or(id)?;
                rest = tail;
            }
        }
        Ok(())
    }

    fn piece(&mut self, vocabulary: &Vocabulary, id: u32, out: &mut Vec<u8>) -> Option<()> {
        let mut piece = vocabulary.piece(id)?;
        let strip = std::mem::take(&mut self.strip) || self.strip_first;
        if !self.render && vocabulary.attributes(id) & (attribute::UNKNOWN | attribute::CONTROL) != 0 {
            return Some(());
        }
        self.strip_first = false;
        if strip {
            piece = piece.strip_prefix(b" ").unwrap_or(piece);
        }
        out.extend_from_slice(piece);
        Some(())
    }
}

/// The clean-up of `clean_up_tokenization_spaces`: ` .` → `.` (also `?`, `!`, `,`), ` ' ` → `'`, and ` 's` → `'s` (also `'m`,
/// `'re`, `'ve`; `'t`, `'d` and `'ll` keep their space).
///
/// llama.cpp makes three passes over the bytes, one a rule, each on what the one before left. Here it is one: what a rule
/// takes away brings another rule's pattern about in one place only, which is marked below.
pub(crate) fn clean_spaces(text: &mut Vec<u8>) {
    let closes = |byte: Option<&u8>| matches!(byte, Some(b'?' | b'!' | b'.' | b','));
    let contracts = |rest: &[u8]| matches!(rest, [b's' | b'm', ..] | [b'r' | b'v', b'e', ..]);
    let mut out = Vec::new();
    // What stands before is in `out`, or was taken away.
    let mut done = 0;
    for at in memchr::memchr_iter(b' ', text) {
        // The space behind an apostrophe is gone, and no longer counts as one for what follows.
        if at < done {
            continue;
        }
        let rest = &text[at + 1..];
        let go_on = match rest {
            [b'\'', b' ', rest @ ..] if !closes(rest.first()) => {
                out.extend_from_slice(&text[done..at]);
                // Between two spaces: then the apostrophe has moved up to the one before.
                if out.last() == Some(&b' ') && contracts(rest) {
                    out.pop();
                }
                out.push(b'\'');
                done = at + 3;
                continue;
            }
            [b'\'', rest @ ..] => !contracts(rest),
            _ => !closes(rest.first()),
        };
        if !go_on {
            out.extend_from_slice(&text[done..at]);
            done = at + 1;
        }
    }
    if done > 0 {
        out.extend_from_slice(&text[done..]);
        *text = out;
    }
}

/// The longest prefix of `text` that [`clean_spaces`] treats the same whatever follows: it ends between two bytes that no
/// pattern can span.
pub(crate) fn clean_prefix(text: &[u8]) -> usize {
    let joins = |byte: u8| matches!(byte, b' ' | b'\'');
    (1..text.len())
        .rev()
        .find(|&cut| !joins(text[cut]) && !joins(text[cut - 1]) && (cut < 2 || text[cut - 2] != b'\''))
        .unwrap_or(0)
}
