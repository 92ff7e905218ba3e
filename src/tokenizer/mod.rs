//! Text → ids → text.
//!
//! One semantic per source: a vocabulary from a GGUF file encodes as llama.cpp does, a `tokenizer.json` as `tokenizers` does,
//! a SentencePiece model as `sentencepiece` does, a tiktoken file as tiktoken does. [`Pipeline`] is the closed list of them;
//! the engines below are shared.

mod budget;
mod columns;
mod library_offsets;
pub(crate) mod parallel;
#[cfg(test)]
mod reference;
mod stream;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use budget::{BudgetError, Side, TextParts, TextSplit};
pub use columns::{ColumnError, Offset};
pub use stream::DecodeStream;

use crate::decode::state::decode_into;
use crate::decode::{DecodeError, SpecialText};
use crate::encode::literal::Literal;
use crate::encode::output::{Count, Rule, Sink, WithOffsets};
use crate::encode::road::{Encoder, Road};
use crate::encode::special_tokens::Specials;
use crate::encode::{EncodeError, MOST_BYTES, Special, thread_state};
use crate::semantics::post_processor::Processing;
use crate::semantics::{Pipeline, Recipe, SpecialTokens};
use crate::vocabulary::{Alphabet, Builder, Table, Vocabulary, attribute};

/// Text to ids and ids to text, for one model.
///
/// Cheap to clone (one reference count), `Send` and `Sync`; encoding takes no lock. A thread that encodes keeps up to three
/// megabytes of scratch for each of the last four tokenizers it used.
///
/// # Semantics
///
/// Whoever owns the format decides what is right: llama.cpp for GGUF, `tokenizers` for `tokenizer.json`, `sentencepiece` for
/// its models, tiktoken for its files.
#[derive(Clone)]
pub struct Tokenizer {
    inner: Arc<Inner>,
}

struct Inner {
    /// Tells tokenizers apart in a thread's memory; never used twice in a process.
    number: u64,
    vocabulary: Arc<Vocabulary>,
    specials: Arc<Specials>,
    recipe: Recipe,
    /// Of a `tokenizer.json`: its sections without tokens and merges, in JSON.
    description: Arc<Table<u8>>,
    /// `None` where the `tokenizers` crate encodes.
    road: Option<Road>,
}

/// The number of the next tokenizer.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Ids, each with its place in the text.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Encoding {
    /// The ids, as [`Tokenizer::encode`] gives them.
    pub ids: Vec<u32>,
    /// `[start, end)` in bytes of the *original* text, one a token. Ids that were added have an empty range at the edge they
    /// were added to.
    ///
    /// Where the text is normalized before it is cut (accents stripped, white space collapsed, an invalid byte replaced) a
    /// range covers what the token came from; several tokens may then share it, and characters that were dropped belong
    /// to none.
    pub offsets: Vec<Range<usize>>,
}

/// What encodes text; see [`Tokenizer::engine`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Engine<'t> {
    /// The engines of this library.
    Native,
    /// The `tokenizers` crate.
    #[non_exhaustive]
    Crate {
        /// What no engine here covers, for a person to read.
        reason: &'t str,
    },
}

impl std::fmt::Display for Engine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Native => f.write_str("native"),
            Self::Crate { reason } => write!(f, "the tokenizers crate: {reason}"),
        }
    }
}

impl Tokenizer {
    pub(crate) fn new(vocabulary: Vocabulary, specials: Specials, recipe: Recipe) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let road = recipe.pipeline.road();
        Self {
            inner: Arc::new(Inner {
                number,
                vocabulary: Arc::new(vocabulary),
                specials: Arc::new(specials),
                recipe,
                description: Arc::default(),
                road,
            }),
        }
    }

    /// The same with what its source said beside tokens and merges.
    pub(crate) fn with_description(mut self, description: Table<u8>) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.description = Arc::new(description);
        }
        self
    }

    /// The same for texts that continue another one: nothing goes in front of them. `None` where the `tokenizers` crate encodes.
    #[cfg(feature = "toktrie")]
    pub(crate) fn continued(&self) -> Option<Self> {
        let Inner { vocabulary, specials, recipe, description, road, .. } = &*self.inner;
        let road = Some(road.clone()?.continued());
        let (vocabulary, number) = (Arc::clone(vocabulary), NEXT.fetch_add(1, Ordering::Relaxed));
        let (specials, recipe, description) = (Arc::clone(specials), recipe.clone(), Arc::clone(description));
        Some(Self { inner: Arc::new(Inner { number, vocabulary, specials, recipe, description, road }) })
    }

    /// Makes the tables that long use is worth, unless they are made. Some tens of milliseconds for a large vocabulary.
    pub(crate) fn compile(&self) {
        if let Some(road) = &self.inner.road {
            road.model.compile(&self.inner.vocabulary);
        }
    }

    /// A tokenizer whose ids are the bytes of the text: lossless, and no model's.
    pub(crate) fn bytes() -> Result<Self, crate::VocabularyError> {
        let mut builder = Builder::new(Alphabet::Text, 256, 256)?;
        for byte in 0..=255 {
            builder.push_key(&[byte], attribute::NORMAL)?;
        }
        let vocabulary = builder.finish(&std::array::from_fn(|byte| byte as u32))?;
        let recipe = Recipe {
            pipeline: Pipeline::Bytes,
            special: SpecialTokens::default(),
            eog: Vec::new(),
            add_bos: false,
            add_eos: false,
            chat_templates: Vec::new(),
            processing: Processing::default(),
            notes: Vec::new(),
        };
        Ok(Self::new(vocabulary, Specials::default(), recipe))
    }

    /// What encodes: the engines of this library, or the `tokenizers` crate with the reason why.
    ///
    /// Only a `tokenizer.json` may go to that crate, where its description holds a component or a field that no engine here covers
    /// exactly. The ids are the library's either way; the crate is slower, and an image in the store cannot hold it. Constant time.
    #[must_use]
    pub fn engine(&self) -> Engine<'_> {
        match &self.inner.recipe.pipeline {
            Pipeline::Crate(wrapped) => Engine::Crate { reason: &wrapped.reason },
            _ => Engine::Native,
        }
    }

    /// The ids of `text`.
    ///
    /// `O(n log n)` in bytes at worst, linear in ordinary text.
    ///
    /// # Errors
    ///
    /// - a special token is to be added that the model does not define;
    /// - the vocabulary has no token for a byte of the text, nor one that stands for the unknown.
    pub fn encode(&self, text: &str, special: Special) -> Result<Vec<u32>, EncodeError> {
        self.encode_bytes(text.as_bytes(), special)
    }

    /// The ids of bytes that need not be UTF-8.
    ///
    /// What happens to an invalid byte is its source's rule: SentencePiece vocabularies (`llama`) encode the byte itself,
    /// byte-level ones see U+FFFD for each invalid byte.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::encode`].
    pub fn encode_bytes(&self, text: &[u8], special: Special) -> Result<Vec<u32>, EncodeError> {
        // English runs at four to five bytes a token.
        let mut ids = Vec::with_capacity(text.len() / 4 + 8);
        self.run(text, special, &mut ids)?;
        Ok(ids)
    }

    /// Appends the ids of `text` to `ids`; on an error `ids` is as it was.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::encode`].
    pub fn encode_into(&self, text: &str, special: Special, ids: &mut Vec<u32>) -> Result<(), EncodeError> {
        let before = ids.len();
        self.run(text.as_bytes(), special, ids).inspect_err(|_| ids.truncate(before))
    }

    /// How many ids `text` has, without collecting them.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::encode`].
    pub fn count(&self, text: &str, special: Special) -> Result<usize, EncodeError> {
        let mut count = Count::default();
        self.run(text.as_bytes(), special, &mut count)?;
        Ok(count.0)
    }

    /// The ids of `text`, each with the range of bytes it stands for.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::encode`].
    pub fn encode_with_offsets(&self, text: &str, special: Special) -> Result<Encoding, EncodeError> {
        let mut sink = WithOffsets::default();
        self.run(text.as_bytes(), special, &mut sink)?;
        Ok(Encoding { ids: sink.ids, offsets: sink.offsets })
    }

    /// The ids of `text` with their places as the owner of the format counts them: for a `tokenizer.json` what `Encoding.offsets` of the
    /// `tokenizers` library says, in bytes of `text` instead of characters.
    ///
    /// [`Tokenizer::encode_with_offsets`] tells which bytes a token comes from. This tells what Python code that highlights words or
    /// tags entities gets:
    ///
    /// - a place is whole characters: each byte-level token inside a character has the place of the character;
    /// - of several characters that normalization made one, only the first counts; what it inserted has the place of the character
    ///   before it, a `▁` in front of the text that of the first character;
    /// - white space at the ends of a token is no part of its place where the post-processor says `trim_offsets`;
    /// - what [`Special::Add`] adds stands at `0..0`.
    ///
    /// For any other format both rules are one. Linear beyond [`Tokenizer::encode_with_offsets`].
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::encode`].
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let json = br#"{"model": {"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0, "be\u0301": 1}},
    ///     "normalizer": {"type": "NFD"}, "pre_tokenizer": {"type": "WhitespaceSplit"}}"#;
    /// let tokenizer = anytok::Tokenizer::from_files([("tokenizer.json", json.to_vec())])?;
    /// let encoding = tokenizer.encode_with_library_offsets("x b\u{e9}", anytok::Special::Add)?;
    /// assert_eq!(encoding.ids, [0, 1]);
    /// assert_eq!(encoding.offsets, [0..1, 2..5]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn encode_with_library_offsets(&self, text: &str, special: Special) -> Result<Encoding, EncodeError> {
        let mut sink = WithOffsets { rule: Rule::Library, ..WithOffsets::default() };
        self.run(text.as_bytes(), special, &mut sink)?;
        let Inner { vocabulary, recipe, .. } = &*self.inner;
        library_offsets::settle(&recipe.pipeline, vocabulary, text, special, &mut sink);
        Ok(Encoding { ids: sink.ids, offsets: sink.offsets })
    }

    /// The ids of many texts, in their order, encoded on as many threads as the machine has cores.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::encode`]; of several failing texts the first in order counts.
    pub fn encode_batch<T: AsRef<str> + Sync>(
        &self,
        texts: &[T],
        special: Special,
    ) -> Result<Vec<Vec<u32>>, EncodeError> {
        let work = |i: usize| self.encode(texts[i].as_ref(), special);
        parallel::map(texts.len(), BATCH, work).into_iter().collect()
    }

    /// The text of `ids`, with U+FFFD for what is not UTF-8.
    ///
    /// `decode(encode(text)) == text` holds for byte-level and byte-fallback vocabularies on text without special tokens; not
    /// where the source normalizes (lowercasing WordPiece), cleans up spaces, or adds a leading space that rendering keeps.
    ///
    /// # Errors
    ///
    /// An id that names no token.
    pub fn decode(&self, ids: &[u32], special: SpecialText) -> Result<String, DecodeError> {
        let bytes = self.decode_bytes(ids, special)?;
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// The exact bytes of `ids`, which need not be UTF-8.
    ///
    /// # Errors
    ///
    /// An id that names no token.
    pub fn decode_bytes(&self, ids: &[u32], special: SpecialText) -> Result<Vec<u8>, DecodeError> {
        let mut bytes = Vec::with_capacity(ids.len() * 5);
        self.decode_into(ids, special, &mut bytes)?;
        Ok(bytes)
    }

    /// Appends the bytes of `ids` to `bytes`; on an error `bytes` is as it was.
    ///
    /// # Errors
    ///
    /// An id that names no token.
    pub fn decode_into(
        &self,
        ids: &[u32],
        special: SpecialText,
        bytes: &mut Vec<u8>,
    ) -> Result<(), DecodeError> {
        decode_into(&self.inner.recipe.pipeline, &self.inner.vocabulary, ids, special, bytes)
    }

    /// Decodes ids as they come, such as those a model generates.
    #[must_use]
    pub fn decode_stream(&self, special: SpecialText) -> DecodeStream<'_> {
        DecodeStream::new(self, special)
    }

    /// The bytes `id` renders to on its own; `None` when it names no token.
    #[must_use]
    pub fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.inner.vocabulary.piece(id)
    }

    /// The text of `id` as its source writes it: `Ġthe` of a byte-level vocabulary, `▁the` of a SentencePiece one.
    #[must_use]
    pub fn token_text(&self, id: u32) -> Option<std::borrow::Cow<'_, [u8]>> {
        self.inner.vocabulary.text(id)
    }

    /// The id of the token that its source writes as `text`.
    #[must_use]
    pub fn id(&self, text: impl AsRef<[u8]>) -> Option<u32> {
        self.inner.vocabulary.token_by_text(text.as_ref())
    }

    /// Number of ids, holes included: one more than the highest id.
    #[must_use]
    pub fn vocab_size(&self) -> u32 {
        self.inner.vocabulary.len
    }

    /// Special token ids by role.
    #[must_use]
    pub fn special_tokens(&self) -> &SpecialTokens {
        &self.inner.recipe.special
    }

    /// The ids that end a generation, ascending: a set, since a model may stop by more than one token.
    #[must_use]
    pub fn eog_tokens(&self) -> &[u32] {
        &self.inner.recipe.eog
    }

    /// Whether `id` ends a generation.
    #[must_use]
    pub fn is_eog(&self, id: u32) -> bool {
        self.inner.recipe.eog.binary_search(&id).is_ok()
    }

    /// Whether `id` is a control or unknown token, one that [`SpecialText::Skip`] leaves out.
    #[must_use]
    pub fn is_special(&self, id: u32) -> bool {
        self.inner.vocabulary.attributes(id) & (attribute::CONTROL | attribute::UNKNOWN) != 0
    }

    /// Whether [`Special::Add`] puts BOS in front.
    #[must_use]
    pub fn add_bos(&self) -> bool {
        self.inner.recipe.add_bos
    }

    /// Whether [`Special::Add`] puts EOS (of a BERT-like model: SEP) behind.
    #[must_use]
    pub fn add_eos(&self) -> bool {
        self.inner.recipe.add_eos
    }

    /// A chat template's Jinja source: the default one for `None`, else the one of that name. It is data; nothing here runs it.
    #[must_use]
    pub fn chat_template(&self, name: Option<&str>) -> Option<&str> {
        let mut templates = self.inner.recipe.chat_templates.iter();
        templates.find(|(of, _)| of.as_deref() == name).map(|(_, source)| source.as_str())
    }

    /// The names of the chat templates beside the default one.
    pub fn chat_template_names(&self) -> impl Iterator<Item = &str> {
        self.inner.recipe.chat_templates.iter().filter_map(|(name, _)| name.as_deref())
    }

    /// The special tokens that have one of the names chat templates know them by, with their texts.
    #[cfg(feature = "chat")]
    pub(crate) fn special_texts(&self) -> Vec<(&'static str, String)> {
        let special = self.special_tokens();
        let named = [
            ("bos_token", special.bos),
            ("eos_token", special.eos),
            ("unk_token", special.unk),
            ("sep_token", special.sep),
            ("pad_token", special.pad),
            ("mask_token", special.mask),
        ];
        let text = |id| String::from_utf8(self.token_text(id)?.into_owned()).ok();
        named.into_iter().filter_map(|(name, id)| Some((name, text(id?)?))).collect()
    }

    pub(crate) fn vocabulary(&self) -> &Vocabulary {
        &self.inner.vocabulary
    }

    pub(crate) fn specials(&self) -> &Specials {
        &self.inner.specials
    }

    /// Whether tables and recipe are all there is to this tokenizer, so that an image can hold it.
    pub(crate) fn has_image(&self) -> bool {
        !matches!(self.inner.recipe.pipeline, Pipeline::Crate(_))
    }

    /// What the source said beside tokens and merges, in the words of a `tokenizer.json`; empty where it is none.
    pub(crate) fn description(&self) -> &[u8] {
        &self.inner.description
    }

    pub(crate) fn recipe(&self) -> &Recipe {
        &self.inner.recipe
    }

    /// As [`encode_with_offsets`](Self::encode_with_offsets), but for special tokens in text that means none.
    #[cfg(feature = "chat")]
    pub(crate) fn encode_literal(
        &self,
        text: &str,
        special: Special,
        literal: Literal<'_>,
    ) -> Result<Encoding, EncodeError> {
        let mut sink = WithOffsets::default();
        self.run_literal(text.as_bytes(), special, literal, &mut sink)?;
        Ok(Encoding { ids: sink.ids, offsets: sink.offsets })
    }

    /// Whether the `tokenizers` crate itself encodes, which recognises special tokens wherever they stand.
    #[cfg(feature = "chat")]
    pub(crate) fn is_wrapped(&self) -> bool {
        matches!(self.inner.recipe.pipeline, Pipeline::Crate(_))
    }

    /// Whether the semantics are llama.cpp's.
    pub(crate) fn is_llama_cpp(&self) -> bool {
        matches!(self.inner.recipe.pipeline, Pipeline::Llama(_))
    }

    /// The ids with their places, and how many there are up to the end of each word.
    pub(crate) fn encode_words(
        &self,
        text: &str,
        special: Special,
    ) -> Result<(Encoding, Vec<usize>), EncodeError> {
        let mut sink = WithOffsets { word_ends: Some(Vec::new()), ..WithOffsets::default() };
        self.run(text.as_bytes(), special, &mut sink)?;
        let WithOffsets { ids, offsets, word_ends, .. } = sink;
        Ok((Encoding { ids, offsets }, word_ends.unwrap_or_default()))
    }

    /// Whether the model is llama.cpp's BERT, which frames every text.
    pub(crate) fn is_bert(&self) -> bool {
        matches!(&self.inner.recipe.pipeline, Pipeline::Llama(recipe) if recipe.is_bert())
    }

    /// The ids that [`Special::Add`] puts in front of a text and behind it.
    pub(crate) fn frame(&self) -> Result<(Vec<u32>, Vec<u32>), EncodeError> {
        self.inner.road.as_ref().map_or(Ok(Default::default()), |road| road.frame.both())
    }

    fn run<S: Sink>(&self, text: &[u8], special: Special, sink: &mut S) -> Result<(), EncodeError> {
        self.run_literal(text, special, Literal::default(), sink)
    }

    fn run_literal<S: Sink>(
        &self,
        text: &[u8],
        special: Special,
        literal: Literal<'_>,
        sink: &mut S,
    ) -> Result<(), EncodeError> {
        let Inner { number, vocabulary, specials, recipe, road, .. } = &*self.inner;
        // Positions inside a text are kept in 32 bits.
        if u32::try_from(text.len()).is_err() || text.len() > MOST_BYTES {
            return Err(EncodeError::TooLong { bytes: text.len() });
        }
        match (road, &recipe.pipeline) {
            (Some(road), _) => {
                let encoder = Encoder { road, vocabulary, specials, literal };
                thread_state::with(*number, |state| encoder.encode(text, special, state, sink))
            }
            (None, Pipeline::Crate(wrapped)) => wrapped.encode(text, special, sink),
            (None, _) => Ok(()),
        }
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("vocab_size", &self.vocab_size())
            .field("special_tokens", self.special_tokens())
            .field("pipeline", &self.inner.recipe.pipeline)
            .finish_non_exhaustive()
    }
}

/// So many texts a thread of [`Tokenizer::encode_batch`] takes at once.
const BATCH: usize = 8;
