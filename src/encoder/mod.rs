//! Inputs for models that embed, rank and classify: pairs, truncation, padding, masks.

mod error;
mod parts;

use std::ops::Range;

pub use error::EncoderError;

use crate::encode::Special;
use crate::semantics::post_processor::{Piece, PostProcessor, Template};
use crate::tokenizer::{Side, Tokenizer, parallel};

/// Which text loses tokens when an input is too long.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[expect(clippy::exhaustive_enums, reason = "the field's three strategies")]
pub enum Truncate {
    /// The longer one, until both are of one length, then both.
    #[default]
    LongestFirst,
    /// The first.
    OnlyFirst,
    /// The second.
    OnlySecond,
}

/// How inputs are cut to length. Made by [`Truncation::new`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Truncation {
    limit: usize,
    stride: usize,
    side: Side,
    what: Truncate,
}

/// How inputs come to one length. Made by [`Padding::longest`] and [`Padding::to`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Padding {
    length: Option<usize>,
    multiple: usize,
    side: Side,
    id: Option<u32>,
    type_id: u32,
}

/// One text or two, as [`InputEncoder::encode`] takes them: a `&str`, or a tuple of two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_enums, reason = "models read one text or two")]
pub enum Input<'t> {
    /// One text.
    Single(&'t str),
    /// Two, such as a question and a passage.
    Pair(&'t str, &'t str),
}

/// An input of a model. All vectors are of one length.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Encoded {
    /// The ids.
    pub ids: Vec<u32>,
    /// What part of the input each id is of, as the post-processor numbers them.
    pub type_ids: Vec<u32>,
    /// 0 for padding, else 1.
    pub attention_mask: Vec<u32>,
    /// 1 for special tokens that were added and for padding, else 0.
    pub special_mask: Vec<u32>,
    /// Which text each id is of: 0, 1, or `None` for what was added.
    pub texts: Vec<Option<u32>>,
    /// `[start, end)` in bytes of that text; `0..0` for what was added.
    pub offsets: Vec<Range<usize>>,
    /// What truncation cut off, as inputs of their own, if [asked for](InputEncoderBuilder::overflowing).
    pub overflowing: Vec<Encoded>,
}

/// Inputs of one length, each a row; the buffers are row-major, `rows * columns` long.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Batch<T> {
    /// How many inputs there are, what overflows included if asked for.
    pub rows: usize,
    /// How many tokens each has.
    pub columns: usize,
    /// The ids.
    pub ids: Vec<T>,
    /// What part of the input each id is of.
    pub type_ids: Vec<T>,
    /// 0 for padding, else 1.
    pub attention_mask: Vec<T>,
    /// Of which of the inputs given each row is: several rows are of one where it overflows.
    pub inputs: Vec<usize>,
}

/// A number that tensors of ids are made of: `u32`, `i32` or `i64`.
pub trait Element: Copy + Send + sealed::Sealed {
    /// The number of an id. Ids above `i32::MAX` do not occur: a vocabulary holds fewer.
    fn from_id(id: u32) -> Self;
}

mod sealed {
    #[expect(unnameable_types, reason = "no other type is to have the trait")]
    pub trait Sealed {}
    impl Sealed for u32 {}
    impl Sealed for i32 {}
    impl Sealed for i64 {}
}

impl Element for u32 {
    fn from_id(id: u32) -> Self {
        id
    }
}

impl Element for i32 {
    fn from_id(id: u32) -> Self {
        id.cast_signed()
    }
}

impl Element for i64 {
    fn from_id(id: u32) -> Self {
        id.into()
    }
}

/// What an [`InputEncoder`] does. Made by [`Tokenizer::encoder`].
#[derive(Clone, Debug)]
#[must_use = "an encoder is made by `build`"]
pub struct InputEncoderBuilder {
    tokenizer: Tokenizer,
    special: Special,
    truncation: Option<Truncation>,
    padding: Option<Padding>,
    overflowing: bool,
}

/// Texts and pairs of texts to inputs for a model. Cheap to clone, `Send` and `Sync`.
#[derive(Clone, Debug)]
pub struct InputEncoder {
    tokenizer: Tokenizer,
    special: Special,
    template: Template,
    truncation: Option<Truncation>,
    padding: Option<Pad>,
    overflowing: bool,
}

#[derive(Clone, Copy, Debug)]
struct Pad {
    padding: Padding,
    id: u32,
}

impl Tokenizer {
    /// An encoder of whole inputs for a model that embeds, ranks or classifies: one text or two, special tokens where the model wants
    /// them, truncated and padded, with masks.
    ///
    /// The pieces go together as the source says: a `tokenizer.json` by its post-processor, a `vocab.txt` as BERT, a GGUF of a BERT model
    /// likewise, any other GGUF that adds BOS and EOS and has SEP as llama.cpp's reranking does (BOS, A, EOS, SEP, B, EOS). Other sources
    /// know single texts only. Truncation, padding and all numbers are those of `tokenizers` 0.23, but for what overflows: there it is
    /// all of the text, while that version gives what lies up to the end of the word that reaches the limit.
    ///
    /// ```
    /// use anytok::{Padding, Resolver, Truncation};
    ///
    /// let found = Resolver::default().resolve("testdata/models/wordpiece")?;
    /// let encoder = found
    ///     .tokenizer()
    ///     .encoder()
    ///     .truncation(Truncation::new(16))
    ///     .padding(Padding::longest())
    ///     .build()?;
    /// let batch = encoder.batch::<i64, _>([("a question", "its answer"), ("another", "and a longer answer")])?;
    /// assert_eq!((batch.rows, batch.ids.len()), (2, 2 * batch.columns));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn encoder(&self) -> InputEncoderBuilder {
        InputEncoderBuilder {
            tokenizer: self.clone(),
            special: Special::Add,
            truncation: None,
            padding: None,
            overflowing: false,
        }
    }

    fn template(&self) -> Result<Template, EncoderError> {
        match &self.recipe().processing.post_processor {
            PostProcessor::Template(template) => Ok(template.clone()),
            PostProcessor::Foreign(reason) => Err(EncoderError::Foreign { reason: reason.clone() }),
            PostProcessor::Frame => {
                let special = self.special_tokens();
                if self.is_bert()
                    && let (Some(cls), Some(sep)) = (special.bos, special.sep)
                {
                    return Ok(Template::bert(cls, sep));
                }
                if self.is_llama_cpp()
                    && self.add_bos()
                    && self.add_eos()
                    && let (Some(bos), Some(eos), Some(sep)) = (special.bos, special.eos, special.sep)
                {
                    return Ok(Template::roberta(bos, eos, sep));
                }
                let (before, after) = self.frame()?;
                let tokens = |ids: Vec<u32>| Piece::Tokens { ids, type_id: 0 };
                let single = vec![tokens(before), Piece::text(false, 0), tokens(after)];
                Ok(Template { single, pair: Vec::new(), trims: Vec::new() })
            }
        }
    }
}

impl Truncation {
    /// To at most `limit` tokens, special tokens included, from the right, the longest text first.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, stride: 0, side: Side::Right, what: Truncate::LongestFirst }
    }

    /// How many tokens parts that overflow share with the part before. Default: 0.
    #[must_use]
    pub fn stride(self, tokens: usize) -> Self {
        Self { stride: tokens, ..self }
    }

    /// Where a text is cut off. Default: [`Side::Right`].
    #[must_use]
    pub fn side(self, side: Side) -> Self {
        Self { side, ..self }
    }

    /// Which text is cut. Default: [`Truncate::LongestFirst`].
    #[must_use]
    pub fn what(self, what: Truncate) -> Self {
        Self { what, ..self }
    }
}

impl Padding {
    /// To the length of the longest input of a batch.
    #[must_use]
    pub fn longest() -> Self {
        Self { length: None, multiple: 1, side: Side::Right, id: None, type_id: 0 }
    }

    /// To `tokens`; longer inputs stay as they are.
    #[must_use]
    pub fn to(tokens: usize) -> Self {
        Self { length: Some(tokens), ..Self::longest() }
    }

    /// To a length that is a multiple of `tokens`. Default: 1.
    #[must_use]
    pub fn multiple_of(self, tokens: usize) -> Self {
        Self { multiple: tokens.max(1), ..self }
    }

    /// Where padding goes. Default: [`Side::Right`].
    #[must_use]
    pub fn side(self, side: Side) -> Self {
        Self { side, ..self }
    }

    /// The id to pad with. Default: the model's padding token.
    #[must_use]
    pub fn id(self, id: u32) -> Self {
        Self { id: Some(id), ..self }
    }

    /// The type id of padding. Default: 0.
    #[must_use]
    pub fn type_id(self, type_id: u32) -> Self {
        Self { type_id, ..self }
    }

    fn len(self, longest: usize) -> Result<usize, EncoderError> {
        let len = self.length.unwrap_or(longest);
        let len = len.checked_next_multiple_of(self.multiple).unwrap_or(usize::MAX);
        if len <= MOST_PADDED.max(longest) {
            return Ok(len);
        }
        Err(EncoderError::PadLength { len, most: MOST_PADDED })
    }
}

impl InputEncoderBuilder {
    /// Which special tokens take part: those that are added, and those that stand in a text. Default: [`Special::Add`].
    pub fn special(self, special: Special) -> Self {
        Self { special, ..self }
    }

    /// How inputs are cut to length. Default: not at all.
    pub fn truncation(self, truncation: impl Into<Option<Truncation>>) -> Self {
        Self { truncation: truncation.into(), ..self }
    }

    /// How inputs come to one length. Default: not at all.
    pub fn padding(self, padding: impl Into<Option<Padding>>) -> Self {
        Self { padding: padding.into(), ..self }
    }

    /// Whether to keep what truncation cuts off, as inputs of their own. Where both texts of a pair are cut each part of the one goes with
    /// each of the other. Default: no.
    pub fn overflowing(self, overflowing: bool) -> Self {
        Self { overflowing, ..self }
    }

    /// Truncation and padding as the `tokenizer.json` asks for them; none where it does not.
    pub fn as_the_file_asks(self) -> Self {
        let processing = &self.tokenizer.recipe().processing;
        let side = |left| if left { Side::Left } else { Side::Right };
        let truncation = processing.truncation.as_ref().map(|asked| Truncation {
            limit: asked.max_length,
            stride: asked.stride,
            side: side(asked.left),
            what: match asked.only_second {
                None => Truncate::LongestFirst,
                Some(false) => Truncate::OnlyFirst,
                Some(true) => Truncate::OnlySecond,
            },
        });
        let padding = processing.padding.as_ref().map(|asked| Padding {
            length: asked.length,
            multiple: asked.multiple.unwrap_or(1),
            side: side(asked.left),
            id: Some(asked.id),
            type_id: asked.type_id,
        });
        Self { truncation, padding, ..self }
    }

    /// The encoder.
    ///
    /// # Errors
    ///
    /// - the source's post-processor is not covered, or a special token to be added is not defined;
    /// - truncation leaves no room beside the special tokens of a single text, or its stride is as large as that room;
    /// - there is no token to pad with, or the id given is none, or inputs would be padded to more than 2²⁴ tokens.
    pub fn build(self) -> Result<InputEncoder, EncoderError> {
        let Self { tokenizer, special, truncation, padding, overflowing } = self;
        let template = tokenizer.template()?;
        let padding = match padding {
            None => None,
            Some(padding) => {
                padding.len(0)?;
                let id = padding.id.or(tokenizer.special_tokens().pad).ok_or(EncoderError::NoPadToken)?;
                if id >= tokenizer.vocab_size() {
                    return Err(EncoderError::PadId { id, size: tokenizer.vocab_size() });
                }
                Some(Pad { padding, id })
            }
        };
        let encoder = InputEncoder { tokenizer, special, template, truncation, padding, overflowing };
        if let Some(Truncation { limit, stride, .. }) = encoder.truncation {
            let added = encoder.added(&encoder.template.single);
            let room = limit.checked_sub(added).ok_or(EncoderError::Frame { limit, added })?;
            if stride > 0 && stride >= room {
                return Err(EncoderError::Stride { stride, room });
            }
        }
        Ok(encoder)
    }
}

impl InputEncoder {
    /// The input of one text or two, padded as though it were a batch of one.
    ///
    /// ```
    /// use anytok::{Resolver, Truncation};
    ///
    /// let found = Resolver::default().resolve("testdata/models/wordpiece")?;
    /// let encoder = found.tokenizer().encoder().truncation(Truncation::new(8)).build()?;
    /// let pair = encoder.encode(("the first", "the second"))?;
    /// assert_eq!(pair.type_ids.iter().max(), Some(&1));
    /// assert!(pair.ids.len() <= 8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - two texts for a source that does not say how they go together;
    /// - truncation cannot do as it is told: special tokens and stride leave no room, there is no second text, or the one that may be cut
    ///   is too short;
    /// - as [`Tokenizer::encode`].
    pub fn encode<'t>(&self, input: impl Into<Input<'t>>) -> Result<Encoded, EncoderError> {
        let mut encoded = self.unpadded(input.into())?;
        if let Some(pad) = self.padding {
            let len = pad.padding.len(encoded.ids.len())?;
            pad.pad(&mut encoded, len);
        }
        Ok(encoded)
    }

    /// The inputs of many texts or pairs, in their order, encoded on as many threads as the machine has cores.
    ///
    /// # Errors
    ///
    /// As [`InputEncoder::encode`]; of several failing inputs the first in order counts.
    pub fn encode_batch<'t, I: Into<Input<'t>>>(
        &self,
        inputs: impl IntoIterator<Item = I>,
    ) -> Result<Vec<Encoded>, EncoderError> {
        let inputs: Vec<Input<'t>> = inputs.into_iter().map(Into::into).collect();
        let encoded = parallel::map(inputs.len(), AT_ONCE, |i| self.unpadded(inputs[i]));
        let mut encoded: Vec<Encoded> = encoded.into_iter().collect::<Result<_, _>>()?;
        if let Some(pad) = self.padding {
            let longest = encoded.iter().map(|encoded| encoded.ids.len()).max().unwrap_or(0);
            let len = pad.padding.len(longest)?;
            for encoded in &mut encoded {
                pad.pad(encoded, len);
            }
        }
        Ok(encoded)
    }

    /// The inputs of many texts or pairs in flat buffers, as `ort`, candle and burn make tensors of without a copy by item. What
    /// overflows follows the row it was cut off from.
    ///
    /// # Errors
    ///
    /// As [`InputEncoder::encode_batch`]; and when rows differ in length, which padding settles.
    pub fn batch<'t, T: Element, I: Into<Input<'t>>>(
        &self,
        inputs: impl IntoIterator<Item = I>,
    ) -> Result<Batch<T>, EncoderError> {
        let encoded = self.encode_batch(inputs)?;
        let rows = encoded.iter().enumerate().flat_map(|(of, encoded)| {
            std::iter::once(encoded).chain(&encoded.overflowing).map(move |row| (of, row))
        });
        let rows: Vec<(usize, &Encoded)> = rows.collect();
        let columns = rows.first().map_or(0, |(_, row)| row.ids.len());
        if let Some(row) = rows.iter().position(|(_, row)| row.ids.len() != columns) {
            return Err(EncoderError::Ragged { row, found: rows[row].1.ids.len(), first: columns });
        }
        let flat = |values: fn(&Encoded) -> &[u32]| {
            rows.iter().flat_map(|(_, row)| values(row)).map(|&value| T::from_id(value)).collect()
        };
        Ok(Batch {
            rows: rows.len(),
            columns,
            ids: flat(|row| &row.ids),
            type_ids: flat(|row| &row.type_ids),
            attention_mask: flat(|row| &row.attention_mask),
            inputs: rows.iter().map(|&(of, _)| of).collect(),
        })
    }

    /// The tokens that are added to a text, or to two.
    #[must_use]
    pub fn added_tokens(&self, pair: bool) -> usize {
        self.added(if pair { &self.template.pair } else { &self.template.single })
    }

    fn added(&self, pieces: &[Piece]) -> usize {
        let ids = pieces.iter().map(|piece| match piece {
            Piece::Tokens { ids, .. } => ids.len(),
            Piece::Text { .. } => 0,
        });
        if self.special.adds() { ids.sum() } else { 0 }
    }

    fn unpadded(&self, input: Input<'_>) -> Result<Encoded, EncoderError> {
        let (first, second) = match input {
            Input::Single(first) => (first, None),
            Input::Pair(first, second) => (first, Some(second)),
        };
        let pieces = if second.is_some() { &self.template.pair } else { &self.template.single };
        if pieces.is_empty() && second.is_some() {
            return Err(EncoderError::NoPair);
        }
        let within = if self.special.parses() { Special::Parse } else { Special::Ignore };
        let encode = |text| self.tokenizer.encode_words(text, within);
        let (first, first_words) = encode(first)?;
        let (other, other_words) = second.map(encode).transpose()?.unwrap_or_default();
        let texts = [first, other];
        let lens = (texts[0].ids.len(), second.map(|_| texts[1].ids.len()));
        let parts = match &self.truncation {
            None => [parts::whole(lens.0), parts::whole(lens.1.unwrap_or(0))],
            Some(truncation) => {
                let (limit, added) = (truncation.limit, self.added(pieces));
                let room = limit.checked_sub(added).ok_or(EncoderError::Frame { limit, added })?;
                let read = |at: usize, words: &[usize]| parts::read(texts[at].ids.len(), words, truncation);
                let first_is_longer = read(0, &first_words) > read(1, &other_words);
                parts::truncate(lens.0, lens.1, first_is_longer, room, truncation, self.overflowing)?
            }
        };
        let (main, rest) = parts::combine(pieces.iter().map(|piece| match piece {
            Piece::Text { second, .. } => parts[usize::from(*second)].len(),
            Piece::Tokens { .. } => 1,
        }));
        let compose = |chosen: &[usize]| {
            let mut encoded = Encoded::default();
            for (piece, &part) in pieces.iter().zip(chosen) {
                match piece {
                    Piece::Tokens { ids, type_id } if self.special.adds() => {
                        encoded.add(ids, *type_id, None);
                        encoded.offsets.resize(encoded.ids.len(), 0..0);
                    }
                    Piece::Tokens { .. } => {}
                    Piece::Text { second, type_id, rest_type_id } => {
                        let type_ids = if part == 0 { type_id } else { rest_type_id };
                        let type_id = type_ids[usize::from(!self.special.adds())];
                        let at = usize::from(*second);
                        let range = parts[at][part].clone();
                        encoded.add(&texts[at].ids[range.clone()], type_id, Some(at as u32));
                        encoded.offsets.extend_from_slice(&texts[at].offsets[range.clone()]);
                        let start = encoded.ids.len() - range.len();
                        for &may_be_added in &self.template.trims {
                            self.trim(&encoded.ids[start..], &mut encoded.offsets[start..], may_be_added);
                        }
                    }
                }
            }
            encoded
        };
        let overflowing = rest.iter().map(|chosen| compose(chosen)).collect();
        Ok(Encoded { overflowing, ..compose(&main) })
    }

    /// Takes white space from the places of tokens, as `process_offsets` of `tokenizers` does: by the characters of the token's text.
    fn trim(&self, ids: &[u32], offsets: &mut [Range<usize>], may_be_added: bool) {
        let white = |character: &char| *character == 'Ġ' || character.is_whitespace();
        for (i, (&id, place)) in ids.iter().zip(offsets).enumerate() {
            let Some(text) = self.tokenizer.token_text(id) else { continue };
            let text = String::from_utf8_lossy(&text);
            let mut leading = text.chars().take_while(white).count();
            let trailing = text.chars().rev().take_while(white).count();
            if leading == 1 && may_be_added && (i == 0 || place.start == 0) {
                leading = 0;
            }
            place.start = place.end.min(place.start + leading);
            if trailing > 0 && place.end >= trailing {
                place.end = place.start.max(place.end - trailing);
            }
        }
    }
}

impl Encoded {
    /// Appends ids, without their places.
    fn add(&mut self, ids: &[u32], type_id: u32, text: Option<u32>) {
        self.ids.extend_from_slice(ids);
        let len = self.ids.len();
        self.type_ids.resize(len, type_id);
        self.attention_mask.resize(len, 1);
        self.special_mask.resize(len, u32::from(text.is_none()));
        self.texts.resize(len, text);
    }
}

impl Pad {
    fn pad(self, encoded: &mut Encoded, len: usize) {
        self.pad_one(encoded, len);
        for part in &mut encoded.overflowing {
            self.pad_one(part, len);
        }
    }

    fn pad_one(self, encoded: &mut Encoded, len: usize) {
        fn put<T: Clone>(values: &mut Vec<T>, value: T, missing: usize, side: Side) {
            let at = if side == Side::Left { 0 } else { values.len() };
            values.splice(at..at, std::iter::repeat_n(value, missing));
        }
        let Self { padding: Padding { side, type_id, .. }, id } = self;
        let missing = len.saturating_sub(encoded.ids.len());
        put(&mut encoded.ids, id, missing, side);
        put(&mut encoded.type_ids, type_id, missing, side);
        put(&mut encoded.attention_mask, 0, missing, side);
        put(&mut encoded.special_mask, 1, missing, side);
        put(&mut encoded.texts, None, missing, side);
        put(&mut encoded.offsets, 0..0, missing, side);
    }
}

impl<'t> From<&'t str> for Input<'t> {
    fn from(text: &'t str) -> Self {
        Self::Single(text)
    }
}

impl<'t> From<&'t &'t str> for Input<'t> {
    fn from(text: &'t &'t str) -> Self {
        Self::Single(text)
    }
}

impl<'t> From<&'t String> for Input<'t> {
    fn from(text: &'t String) -> Self {
        Self::Single(text)
    }
}

impl<'t> From<(&'t str, &'t str)> for Input<'t> {
    fn from((first, second): (&'t str, &'t str)) -> Self {
        Self::Pair(first, second)
    }
}

impl<'t, A: AsRef<str>, B: AsRef<str>> From<&'t (A, B)> for Input<'t> {
    fn from((first, second): &'t (A, B)) -> Self {
        Self::Pair(first.as_ref(), second.as_ref())
    }
}

/// So many inputs a thread takes at once.
const AT_ONCE: usize = 8;

/// A file may ask for any length to pad to.
const MOST_PADDED: usize = 1 << 24;
