//! The road from text to ids, the same for every source:
//!
//! ```text
//! frame → special tokens → normalize → split → words → model → output
//! ```
//!
//! A source only says which stages, with which parameters, in which order.

use std::borrow::Cow;
use std::sync::Arc;

use super::added_tokens;
use super::error::EncodeError;
use super::literal::Literal;
use super::normalize::{Normalizer, Prepend, Spaces, Tables, tokenizers};
use super::options::Special;
use super::output::{Alignment, At, FuseUnknown, Sink, WithOffsets};
use super::partition::{Fragment, partition};
use super::special_tokens::Specials;
use super::thread_state::ThreadState;
use super::words::Words;
use crate::model::Model;
use crate::model::bpe::{Bpe, WholeWord};
use crate::split::dna::{self, Dna};
use crate::split::{GgufSplit, PreTokenizer, Split};
use crate::vocabulary::Vocabulary;

/// The stages of one source.
#[derive(Clone, Debug)]
pub(crate) struct Road {
    /// Each invalid byte becomes U+FFFD before anything else happens.
    pub(crate) utf8: bool,
    pub(crate) frame: Frame,
    pub(crate) special_tokens: SpecialTokens,
    /// Between special tokens that are looked for in the text as it is given and those looked for in normalized text.
    pub(crate) normalizers: Vec<Normalizer>,
    pub(crate) steps: Vec<Step>,
    /// Words of fewer bytes are cut where no merge can reach across (see [`Vocabulary::words`]).
    pub(crate) unit_limit: usize,
    pub(crate) model: Model,
    /// Of this token in a row, across words, one is left.
    pub(crate) fuse: Option<u32>,
}

#[cfg(feature = "toktrie")]
impl Road {
    /// The same for texts that continue another one: nothing goes in front of them.
    pub(crate) fn continued(mut self) -> Self {
        self.normalizers = self.normalizers.into_iter().filter_map(Normalizer::continued).collect();
        let step = |step| match step {
            Step::Normalize(normalizer) => normalizer.continued().map(Step::Normalize),
            step => Some(step),
        };
        self.steps = self.steps.into_iter().filter_map(step).collect();
        self
    }
}

/// What [`Special::Add`] puts around a text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frame {
    pub(crate) before: Vec<FrameToken>,
    pub(crate) after: Vec<FrameToken>,
}

/// An id, or the role of a token that the model does not define.
pub(crate) type FrameToken = Result<u32, &'static str>;

/// Which special tokens are recognised in a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SpecialTokens {
    /// Those of the model, the longest first over the whole text; control tokens only with [`Special::Parse`].
    LongestFirst,
    /// The same, but none at all without [`Special::Parse`].
    WhenParsed,
    /// Added tokens, always, the leftmost first.
    Added {
        /// Some are looked for in the text as it is given.
        raw: bool,
        /// Some are looked for in normalized text.
        normalized: bool,
    },
    /// None.
    Never,
}

/// What happens to a text without special tokens before it is words.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Normalize(Normalizer),
    Split(PreTokenizer),
    /// DNA is taken out.
    Dna(Dna),
}

/// What an encoder reads: everything but the thread's own state.
#[derive(Clone, Copy)]
pub(crate) struct Encoder<'t> {
    pub(crate) road: &'t Road,
    pub(crate) vocabulary: &'t Arc<Vocabulary>,
    pub(crate) specials: &'t Specials,
    /// Where special tokens are not recognised; only a sink that wants spans may ask for it.
    pub(crate) literal: Literal<'t>,
}

impl Encoder<'_> {
    /// `O(n log n)` in the bytes of `text`.
    pub(crate) fn encode<S: Sink>(
        &self,
        text: &[u8],
        special: Special,
        state: &mut ThreadState,
        sink: &mut S,
    ) -> Result<(), EncodeError> {
        let result = self.run(text, special, state, sink);
        // Where in the text it failed is known to those who keep account of it.
        if !S::SPANS && matches!(result, Err(EncodeError::NoByteToken { .. })) {
            return self.run(text, special, state, &mut WithOffsets::default());
        }
        result
    }

    fn run<S: Sink>(
        &self,
        text: &[u8],
        special: Special,
        state: &mut ThreadState,
        sink: &mut S,
    ) -> Result<(), EncodeError> {
        let Road { utf8, frame, special_tokens, .. } = self.road;
        // An undefined token fails before anything else does.
        let frame = if special.adds() { frame.both()? } else { Default::default() };
        frame.0.iter().for_each(|&id| sink.push(id, 0..0));
        if *utf8 && std::str::from_utf8(text).is_err() {
            let (valid, alignment) = lossy::<S>(text);
            self.parts(*special_tokens, valid.as_bytes(), &alignment, special, state, sink)?;
        } else {
            self.parts(*special_tokens, text, &Alignment::Identity(0), special, state, sink)?;
        }
        frame.1.iter().for_each(|&id| sink.push(id, text.len()..text.len()));
        Ok(())
    }

    /// Special tokens, and the texts between them.
    fn parts<S: Sink>(
        &self,
        recognised: SpecialTokens,
        text: &[u8],
        alignment: &Alignment,
        special: Special,
        state: &mut ThreadState,
        sink: &mut S,
    ) -> Result<(), EncodeError> {
        let &Self { vocabulary, specials, literal, .. } = self;
        let parse =
            match recognised {
                SpecialTokens::LongestFirst => special.parses(),
                SpecialTokens::WhenParsed if special.parses() && !specials.is_empty() => true,
                SpecialTokens::Added { raw: true, .. } => {
                    let is_text = |id, span| S::SPANS && literal.forbids(id, &alignment.original(span));
                    return added_tokens::cut(specials, vocabulary, text, false, is_text, &mut |id, span| {
                        match id {
                            Some(id) => {
                                if S::SPANS {
                                    sink.push_text(id, alignment.original(span.clone()), &text[span]);
                                } else {
                                    sink.push(id, 0..0);
                                }
                                sink.end_word();
                                Ok(())
                            }
                            None => self.text(
                                &text[span.clone()],
                                At { alignment, base: span.start },
                                state,
                                sink,
                            ),
                        }
                    });
                }
                _ => return self.text(text, At { alignment, base: 0 }, state, sink),
            };
        partition(specials, vocabulary, text, parse, literal, |fragment| match fragment {
            Fragment::Token(id, span) => {
                sink.push(id, span);
                sink.end_word();
                Ok(())
            }
            Fragment::Raw(span) => {
                self.text(&text[span.clone()], At { alignment, base: span.start }, state, sink)
            }
        })
    }

    /// A text without special tokens but those in normalized text.
    fn text<S: Sink>(
        &self,
        text: &[u8],
        at: At<'_>,
        state: &mut ThreadState,
        sink: &mut S,
    ) -> Result<(), EncodeError> {
        if text.is_empty() || sink.is_full() {
            return Ok(());
        }
        match self.road.fuse {
            None => Run { encoder: self, words: self.words(state, sink) }.normalized(text, at),
            Some(unknown) => {
                let mut fuse = FuseUnknown::new(sink, unknown);
                Run { encoder: self, words: self.words(state, &mut fuse) }.normalized(text, at)?;
                fuse.flush();
                Ok(())
            }
        }
    }
}

impl<'t> Encoder<'t> {
    fn words<'w, S>(&self, state: &'w mut ThreadState, sink: &'w mut S) -> Words<'w, S>
    where
        't: 'w,
    {
        let &Self { road: Road { model, unit_limit, .. }, vocabulary, .. } = self;
        Words { model, vocabulary, unit_limit: *unit_limit, state, sink }
    }
}

/// Where a text goes when it is normalized.
#[derive(Clone, Copy)]
enum Next<'s> {
    AddedTokens,
    Steps(&'s [Step]),
}

/// One text between special tokens, on its way.
struct Run<'r, 't, S> {
    encoder: &'r Encoder<'t>,
    words: Words<'r, S>,
}

impl<S: Sink> Run<'_, '_, S> {
    fn normalized(&mut self, text: &[u8], at: At<'_>) -> Result<(), EncodeError> {
        let road = self.encoder.road;
        let begins = at.base == 0;
        if !S::SPANS
            && let Some((spaces, lines)) = road.escapes_late()
            && std::str::from_utf8(text).is_ok()
        {
            let prefix = spaces.prefix(text, begins).is_some();
            return self.words.escaped(text, prefix, lines);
        }
        self.rewrite(&road.normalizers, Next::AddedTokens, text, at, begins)
    }

    /// Puts a text through normalizers, and on.
    fn rewrite(
        &mut self,
        normalizers: &[Normalizer],
        next: Next<'_>,
        text: &[u8],
        at: At<'_>,
        begins: bool,
    ) -> Result<(), EncodeError> {
        let Some((first, rest)) = normalizers.split_first().filter(|_| !text.is_empty()) else {
            return match next {
                Next::AddedTokens => self.added_tokens(text, at, begins),
                Next::Steps(steps) => self.steps(steps, text, at, begins),
            };
        };
        let Vocabulary { charsmap, prefixes, .. } = &**self.encoder.vocabulary;
        let mut places = S::SPANS.then(Vec::new);
        let tables = Tables { charsmap, user_defined: prefixes, rule: self.words.sink.rule() };
        match first.apply(text, begins, tables, places.as_mut())? {
            Cow::Borrowed(text) => self.rewrite(rest, next, text, at, begins),
            Cow::Owned(rewritten) => {
                let alignment = at.then(places, text.len());
                self.rewrite(rest, next, &rewritten, At { alignment: &alignment, base: 0 }, begins)
            }
        }
    }

    /// Added tokens in normalized text, and what lies between them.
    fn added_tokens(&mut self, text: &[u8], at: At<'_>, begins: bool) -> Result<(), EncodeError> {
        let Encoder { road, vocabulary, specials, literal } = *self.encoder;
        if !matches!(road.special_tokens, SpecialTokens::Added { normalized: true, .. }) {
            return self.steps(&road.steps, text, at, begins);
        }
        let is_text = |id, span| S::SPANS && literal.forbids(id, &at.original(span));
        added_tokens::cut(specials, vocabulary, text, true, is_text, &mut |id, span| {
            let Some(id) = id else {
                let begins = begins && span.start == 0;
                return self.steps(&road.steps, &text[span.clone()], at.part(span.start), begins);
            };
            if S::SPANS {
                self.words.sink.push_text(id, at.original(span.clone()), &text[span]);
            } else {
                self.words.sink.push(id, 0..0);
            }
            self.words.sink.end_word();
            Ok(())
        })
    }

    fn steps(&mut self, steps: &[Step], text: &[u8], at: At<'_>, begins: bool) -> Result<(), EncodeError> {
        if text.is_empty() {
            return Ok(());
        }
        let Some((step, rest)) = steps.split_first() else {
            self.words.one(text, 0..text.len(), at)?;
            self.words.sink.end_word();
            return Ok(());
        };
        match step {
            Step::Normalize(normalizer) => {
                self.rewrite(std::slice::from_ref(normalizer), Next::Steps(rest), text, at, begins)
            }
            Step::Split(split) if rest.is_empty() => self.words.split(split, text, at),
            Step::Split(split) => {
                let mut result = Ok(());
                split.split(text, &mut |piece| {
                    if result.is_ok() {
                        let (at, begins) = (at.part(piece.start), begins && piece.start == 0);
                        result = self.steps(rest, &text[piece], at, begins);
                    }
                })?;
                result
            }
            Step::Dna(dna) => self.dna(dna, rest, text, at),
        }
    }

    fn dna(&mut self, dna: &Dna, rest: &[Step], text: &[u8], at: At<'_>) -> Result<(), EncodeError> {
        let mut result = Ok(());
        dna.parts(text, &mut |part| {
            if result.is_err() {
                return;
            }
            let range = match part {
                dna::Part::Token(id, place) => {
                    return self.words.sink.push(id, if S::SPANS { at.original(place) } else { 0..0 });
                }
                dna::Part::Text(range) => range,
            };
            let (part, at) = (&text[range.clone()], at.part(range.start));
            if !dna.auto_tags {
                result = self.steps(rest, part, at, false);
                return;
            }
            let Some(kept) = dna::unspaced(part) else {
                result = self.untagged(dna, rest, part, at);
                return;
            };
            let mut joined = Vec::with_capacity(part.len());
            let mut places = S::SPANS.then(Vec::new);
            for kept in kept {
                joined.extend_from_slice(&part[kept.clone()]);
                if let Some(places) = &mut places {
                    places.extend((kept.start as u32..kept.end as u32).map(|at| (at, at + 1)));
                }
            }
            let alignment = at.then(places, part.len());
            result = self.untagged(dna, rest, &joined, At { alignment: &alignment, base: 0 });
        });
        result
    }

    fn untagged(&mut self, dna: &Dna, rest: &[Step], text: &[u8], at: At<'_>) -> Result<(), EncodeError> {
        let mut result = Ok(());
        dna.untagged(text, &mut |part| match part {
            _ if result.is_err() => {}
            dna::Part::Token(id, place) => {
                self.words.sink.push(id, if S::SPANS { at.original(place) } else { 0..0 });
            }
            dna::Part::Text(range) => {
                result = self.steps(rest, &text[range.clone()], at.part(range.start), false);
            }
        });
        result
    }
}

impl Road {
    /// How spaces are rewritten, where that can wait until a word is not remembered; and whether lines are cut first.
    fn escapes_late(&self) -> Option<(Spaces, bool)> {
        let Model::Bpe(Bpe { whole, .. }) = &self.model else { return None };
        let normalized = matches!(self.special_tokens, SpecialTokens::Added { normalized: true, .. });
        if self.unit_limit == 0 || normalized || self.fuse.is_some() {
            return None;
        }
        let escapes =
            |spaces: &Spaces| spaces.replacement == Some('▁') && matches!(spaces.prefix, None | Some('▁'));
        match (&self.normalizers[..], &self.steps[..]) {
            ([], [Step::Normalize(Normalizer::Spaces(spaces))])
                if escapes(spaces) && *whole == WholeWord::Never =>
            {
                Some((*spaces, false))
            }
            (
                [],
                [
                    Step::Normalize(Normalizer::Spaces(spaces)),
                    Step::Normalize(Normalizer::Repair),
                    Step::Split(PreTokenizer::Split(Split::Gguf(GgufSplit::Gemma4))),
                ],
            ) if escapes(spaces) && spaces.prefix.is_none() && *whole == WholeWord::Newlines => {
                Some((*spaces, true))
            }
            (normalizers, []) if *whole == WholeWord::Never => {
                use tokenizers::Normalizer::{Prepend as InFront, Replace};
                let (prefix, last) = match normalizers {
                    [Normalizer::Tokenizers(InFront(prefix)), Normalizer::Tokenizers(last)]
                        if prefix == "▁" =>
                    {
                        (Some('▁'), last)
                    }
                    [Normalizer::Tokenizers(last)] => (None, last),
                    _ => return None,
                };
                let replaces =
                    matches!(last, Replace { pattern, content } if pattern == " " && content == "▁");
                let spaces =
                    Spaces { replacement: Some('▁'), prefix, prepend: Prepend::Always, once: false };
                replaces.then_some((spaces, false))
            }
            _ => None,
        }
    }
}

impl Frame {
    /// From ids that are all there.
    pub(crate) fn new(before: &[u32], after: &[u32]) -> Self {
        let tokens = |ids: &[u32]| ids.iter().map(|&id| Ok(id)).collect();
        Self { before: tokens(before), after: tokens(after) }
    }

    /// All of them.
    pub(crate) fn both(&self) -> Result<(Vec<u32>, Vec<u32>), EncodeError> {
        Ok((self.ids(Self::before)?, self.ids(Self::after)?))
    }

    fn before(&self) -> &[FrameToken] {
        &self.before
    }

    fn after(&self) -> &[FrameToken] {
        &self.after
    }

    fn ids(&self, which: fn(&Self) -> &[FrameToken]) -> Result<Vec<u32>, EncodeError> {
        which(self).iter().map(|&token| token.map_err(|name| EncodeError::NoSpecialToken { name })).collect()
    }
}

/// `text` as UTF-8, each byte that is none as U+FFFD.
pub(crate) fn lossy<S: Sink>(text: &[u8]) -> (String, Alignment) {
    let mut valid = String::with_capacity(text.len() + 16);
    let mut places = Vec::new();
    let mut at = 0;
    for chunk in text.utf8_chunks() {
        valid.push_str(chunk.valid());
        if S::SPANS {
            places.extend((at as u32..(at + chunk.valid().len()) as u32).map(|at| (at, at + 1)));
        }
        at += chunk.valid().len();
        for _ in chunk.invalid() {
            valid.push(char::REPLACEMENT_CHARACTER);
            if S::SPANS {
                places.resize(valid.len(), (at as u32, at as u32 + 1));
            }
            at += 1;
        }
    }
    (valid, if S::SPANS { Alignment::Identity(0).then(places, text.len()) } else { Alignment::Identity(0) })
}
