//! `tokenizer.json`, the format of the `tokenizers` library.
//!
//! Reference: `tokenizers` 0.23, whose answers are the right ones. A description that the engines here cover exactly becomes a native
//! tokenizer; any other goes through the `tokenizers` crate, with the reason kept in the tokenizer's recipe. The file is read in one
//! pass, in memory a small multiple of its size.

mod describe;
mod processing;
pub(super) mod read;
mod write;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::thread::Scope;

use describe::{Foreign, Piece, Rendering, Section};
use serde_json::json;
use serde_json::value::RawValue;

use read::{AddedEntry, Entries, Merges, ModelSection, Sections};

pub use write::TokenizerJsonError;

use super::FormatError;
use super::side_files::SideFiles;
use crate::decode::chain::{byte_of, clean};
use crate::decode::tokenizers::First;
use crate::encode::normalize::tokenizers::Normalizer;
use crate::encode::special_tokens::Specials;
use crate::mmap::Bytes;
use crate::semantics::tokenizers::{Frame, MarkedUnknown, Model, PreTokenizer, Recipe, Unknown};
#[cfg(feature = "tokenizers")]
use crate::semantics::tokenizers::{Wrapped, guarded};
use crate::semantics::{self, Pipeline};
use crate::tokenizer::Tokenizer;
use crate::vocabulary::{
    Alphabet, Builder, Charsmap, EqualLines, Halves, Join, Joining, ListLine, MAX_SYMBOLS, MergesList, NONE,
    NotAToken, Rank, Trie, Vocabulary, VocabularyError, attribute, decode_alphabet,
};

/// The tokenizer that a `tokenizer.json` describes. `side` adds what the file does not say: roles of special tokens, EOG ids, chat
/// templates.
///
/// # Errors
///
/// - The file is not JSON, not of version 1.0, or has no model;
/// - a component is of a type that neither this library nor the `tokenizers` crate knows;
/// - a merge is not made of two tokens, or does not make one;
/// - the ids leave gaps out of proportion, or the `tokenizers` crate refuses the file.
pub(crate) fn load_json(bytes: &Bytes, side: &SideFiles) -> Result<Tokenizer, FormatError> {
    load(bytes, FILE, side)
}

const FILE: &str = "tokenizer.json";

/// As [`load_json`], for a description that came from `file`.
pub(super) fn load(bytes: &[u8], file: &str, side: &SideFiles) -> Result<Tokenizer, FormatError> {
    load_by(bytes, file, side, Engines::Any)
}

/// Who may run a description.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Engines {
    /// The engines here where they cover it, else the `tokenizers` crate.
    Any,
    /// The crate: what the engines here are held against.
    #[cfg(all(test, feature = "tokenizers"))]
    Crate,
}

fn load_by(bytes: &[u8], file: &str, side: &SideFiles, engines: Engines) -> Result<Tokenizer, FormatError> {
    let malformed = |source: Box<dyn std::error::Error + Send + Sync>| FormatError::Malformed {
        file: file.to_owned(),
        source,
    };
    let text = std::str::from_utf8(bytes).map_err(|error| malformed(error.into()))?;
    let mut sections: Sections<'_> = serde_json::from_str(text).map_err(|error| malformed(error.into()))?;
    if let Some(version) = sections.version.as_deref().filter(|&version| version != "1.0") {
        return Err(FormatError::Value {
            file: file.to_owned(),
            place: "version".to_owned(),
            expected: "\"1.0\"".to_owned(),
            found: format!("{version:?}"),
        });
    }
    let Some(model) = sections.model.take() else {
        return Err(FormatError::MissingKey { file: file.to_owned(), key: "model".to_owned() });
    };
    if let Some(kind) = model.kind.as_deref().filter(|kind| !MODELS.contains(kind)) {
        return Err(FormatError::UnknownComponent {
            file: file.to_owned(),
            place: "model".to_owned(),
            kind: kind.to_owned(),
        });
    }
    let sections_in_json = sections_in_json(&sections, &model);
    let processing = processing::processing(sections.post_processor, sections.truncation, sections.padding);
    let description = Description {
        file,
        normalizer: Section::new(file, "normalizer", sections.normalizer)?,
        pre_tokenizer: Section::new(file, "pre_tokenizer", sections.pre_tokenizer)?,
        post_processor: Section::new(file, "post_processor", sections.post_processor)?,
        decoder: Section::new(file, "decoder", sections.decoder)?,
        model,
        added: sections.added_tokens,
    };
    let mut notes = side.notes.clone();
    for (name, section) in [("truncation", sections.truncation), ("padding", sections.padding)] {
        if let Some(section) = section {
            let note = format!(
                "{file} asks for {name} ({}), which is not applied",
                section.get().replace(['\n', '\r'], "")
            );
            log::info!("{note}");
            notes.push(note);
        }
    }
    let native = match engines {
        Engines::Any => description.native(),
        #[cfg(all(test, feature = "tokenizers"))]
        Engines::Crate => Err(foreign("as asked").into()),
    };
    let built = match native {
        Ok(built) => built,
        Err(Refusal::Error(error)) => return Err(error),
        Err(Refusal::Foreign(Foreign(reason))) => {
            log::debug!("{file} goes through the tokenizers crate: {reason}");
            let sections = [
                (sections.normalizer, &description.normalizer),
                (sections.pre_tokenizer, &description.pre_tokenizer),
                (sections.decoder, &description.decoder),
            ];
            description.wrapped(rewritten(text, sections), reason)?
        }
    };
    notes.extend(built.notes);
    let Built { vocabulary, specials, pipeline, frame, unk, .. } = built;

    let (mut special, mut eog) = side.special_tokens(|text| vocabulary.token_by_text(text.as_bytes()));
    let framed = |ids: &[u32]| ids.first().copied().filter(|&id| id < vocabulary.len);
    special.bos = special.bos.or_else(|| framed(&frame.before));
    if special.eos.is_none() {
        special.eos = framed(&frame.after);
        eog.extend(special.eos);
        eog.sort_unstable();
        eog.dedup();
    }
    special.unk = special.unk.or(unk);
    let (add_bos, add_eos) = (!frame.before.is_empty(), !frame.after.is_empty());
    if side.add_bos == Some(true) && !add_bos {
        notes.push(format!("tokenizer_config.json asks for BOS, which {file} does not add"));
    }
    eog.retain(|&id| id < vocabulary.len);
    let recipe = semantics::Recipe {
        pipeline,
        special,
        eog,
        add_bos,
        add_eos,
        chat_templates: side.chat_templates.clone(),
        processing,
        notes,
    };
    Ok(Tokenizer::new(vocabulary, specials, recipe).with_description(sections_in_json.into_bytes().into()))
}

/// The sections as they were read, without tokens and merges.
fn sections_in_json(sections: &Sections<'_>, model: &ModelSection) -> String {
    let mut out = String::from("{");
    for (name, section) in [
        ("truncation", sections.truncation),
        ("padding", sections.padding),
        ("normalizer", sections.normalizer),
        ("pre_tokenizer", sections.pre_tokenizer),
        ("post_processor", sections.post_processor),
        ("decoder", sections.decoder),
    ] {
        out.push_str(&format!("\"{name}\":{},", section.map_or("null", RawValue::get)));
    }
    let ModelSection { unk_token, continuing_subword_prefix, end_of_word_suffix, .. } = model;
    let model = match model.kind.as_deref() {
        Some("WordLevel") => json!({"type": "WordLevel", "unk_token": unk_token}),
        Some("WordPiece") => json!({
            "type": "WordPiece", "unk_token": unk_token, "continuing_subword_prefix": continuing_subword_prefix,
            "max_input_chars_per_word": model.max_input_chars_per_word,
        }),
        Some("Unigram") => {
            json!({"type": "Unigram", "unk_id": model.unk_id, "byte_fallback": model.byte_fallback})
        }
        _ => json!({
            "type": "BPE", "dropout": null, "unk_token": unk_token,
            "continuing_subword_prefix": continuing_subword_prefix, "end_of_word_suffix": end_of_word_suffix,
            "fuse_unk": model.fuse_unk, "byte_fallback": model.byte_fallback, "ignore_merges": model.ignore_merges,
        }),
    };
    out.push_str(&format!("\"model\":{model}}}"));
    out
}

/// The file, with the sections whose patterns the engine here must be given in its own language.
fn rewritten<'t>(text: &'t str, sections: [(Option<&RawValue>, &Section); 3]) -> Cow<'t, [u8]> {
    let mut edits: Vec<(Range<usize>, String)> = sections
        .into_iter()
        .filter_map(|(raw, section)| {
            let raw = raw?.get();
            let start = raw.as_ptr() as usize - text.as_ptr() as usize;
            Some((start..start + raw.len(), section.rewritten()?))
        })
        .collect();
    if edits.is_empty() {
        return Cow::Borrowed(text.as_bytes());
    }
    edits.sort_unstable_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut text = text.to_owned();
    for (range, section) in edits {
        text.replace_range(range, &section);
    }
    Cow::Owned(text.into_bytes())
}

/// The file, its small sections parsed.
struct Description<'a> {
    file: &'a str,
    normalizer: Section,
    pre_tokenizer: Section,
    post_processor: Section,
    decoder: Section,
    model: ModelSection,
    added: Vec<AddedEntry>,
}

/// What a description becomes.
struct Built {
    vocabulary: Vocabulary,
    specials: Specials,
    pipeline: Pipeline,
    frame: Frame,
    unk: Option<u32>,
    notes: Vec<String>,
}

/// Why there is no native tokenizer.
enum Refusal {
    /// The `tokenizers` crate must do it.
    Foreign(Foreign),
    /// Nobody can.
    Error(FormatError),
}

impl From<Foreign> for Refusal {
    fn from(foreign: Foreign) -> Self {
        Self::Foreign(foreign)
    }
}

impl From<FormatError> for Refusal {
    fn from(error: FormatError) -> Self {
        Self::Error(error)
    }
}

fn foreign(reason: impl Into<String>) -> Foreign {
    Foreign(reason.into())
}

impl Description<'_> {
    fn native(&self) -> Result<Built, Refusal> {
        std::thread::scope(|scope| self.native_in(scope))
    }

    fn native_in<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) -> Result<Built, Refusal> {
        let (normalizers, charsmap) = describe::normalizers(&self.normalizer)?;
        let no_spaces = describe::leave_no_spaces(&normalizers);
        let frame = describe::frame(&self.post_processor)?;
        // Whether the decoders can be taken token by token; if not, they must be known all the same.
        let rendering = describe::decoder(&self.decoder).ok();
        let chain = |rewritten: &[(u32, String)]| describe::chain(&self.decoder, rewritten);
        if rendering.is_none() {
            chain(&[])?;
        }
        let Some(entries) = &self.model.vocab else {
            return Err(FormatError::MissingKey {
                file: self.file.to_owned(),
                key: "model.vocab".to_owned(),
            }
            .into());
        };
        if let Some(key) = self.model.unknown.first() {
            return Err(foreign(format!("model ({key})")).into());
        }
        let kind = self.model.kind.as_deref();
        if self.model.dropout.is_some_and(|dropout| dropout != 0.0) {
            return Err(foreign("model (dropout)").into());
        }
        let marked = kind == Some("BPE") && self.is_marked(entries);
        // The quickest way, if there is one for all of it.
        let (pre_tokenizer, alphabet) = match describe::pre_tokenizer(&self.pre_tokenizer, no_spaces) {
            Ok(splits @ PreTokenizer::Splits { .. })
                if kind == Some("BPE") && !self.has_marks() && entries.has_byte_alphabet() =>
            {
                (splits, Alphabet::ByteLevel)
            }
            Ok(PreTokenizer::Splits { .. }) | Err(_) => {
                (describe::stages(&self.pre_tokenizer)?, Alphabet::Text)
            }
            Ok(other) => (other, Alphabet::Text),
        };
        let marked = marked && alphabet == Alphabet::Text;
        let len = self.ids(entries.len(), entries.iter().map(|(_, id)| id).max())?;
        let merges = if kind == Some("BPE") && !marked {
            let merges = self.merges()?;
            let (token_data, tokens) = entries.spans(len);
            // Walked through while the tokens are read.
            Some(Joining::begin(
                scope,
                MergesList {
                    data: merges.arena(),
                    lines: merges.lines(),
                    token_data,
                    tokens,
                    alphabet,
                    equal: EqualLines::LastCounts,
                    halves: Halves::Tokens,
                },
            ))
        } else {
            None
        };
        let mut vocabulary = self.vocabulary(entries, len, alphabet)?;
        let own = vocabulary.len();
        let added = self.added_tokens(&mut vocabulary, &normalizers, &charsmap)?;
        let rendering = match rendering {
            Some(rendering) if rendering.renderer.first == First::Piece || added.rewritten.is_empty() => {
                rendering
            }
            _ => chain(&added.rewritten)?,
        };
        let asks = pre_tokenizer.asks_where_the_text_begins();
        if let Some(behind) = asks
            && (!normalizers.iter().all(keeps_start)
                || (added.normalized || behind.cuts) && (behind.rewrites || !normalizers.is_empty()))
        {
            return Err(
                foreign("prepend_scheme `first` behind normalizers that move where a text begins").into()
            );
        }
        let mut bytes = [NONE; 256];
        let (model, unk) = match (kind, alphabet) {
            (Some("WordPiece"), _) => self.word_piece(&vocabulary, entries)?,
            (Some("WordLevel"), _) => {
                let unk = self.model.unk_token.as_ref();
                let unk = unk.ok_or_else(|| foreign("model (WordLevel) without unk_token"))?;
                let unk = vocabulary.token(unk.as_bytes());
                (Model::WordLevel { unk }, unk)
            }
            _ if marked => self.marked_bpe(&mut vocabulary, &mut bytes)?,
            (Some("Unigram"), _) => self.unigram(&mut vocabulary, entries, &mut bytes)?,
            (_, Alphabet::ByteLevel) => (Model::Bytes { ignore_merges: self.model.ignore_merges }, None),
            _ => self.characters(&vocabulary, &mut bytes)?,
        };
        if let Some(merges) = merges {
            let join = merges.finish().map_err(|source| self.unfit(source))?;
            self.enter(join, &mut vocabulary, own)?;
        }
        render(&mut vocabulary, &rendering, &added.rewritten);
        let specials =
            Specials::new(added.patterns.iter().map(|(id, text)| (*id, Cow::Borrowed(text.as_bytes()))));
        let mut vocabulary = vocabulary.finish(&bytes).map_err(|source| self.unfit(source))?;
        vocabulary.charsmap = charsmap;
        if let Model::Unigram { .. } = model {
            let mut scores = entries.scores.clone();
            scores.resize(vocabulary.len as usize, 0.0);
            vocabulary.wide_scores = scores.into();
            vocabulary.trie = Trie::new(entries.iter().map(|(text, id)| (id, text)))
                .map_err(|source| self.unfit(source))?;
        }
        let recipe = Recipe {
            normalizers,
            pre_tokenizer,
            model,
            frame: frame.clone(),
            renderer: rendering.renderer,
            added_raw: added.raw,
            added_normalized: added.normalized,
        };
        Ok(Built {
            vocabulary,
            specials,
            pipeline: Pipeline::Tokenizers(recipe),
            frame,
            unk,
            notes: added.notes,
        })
    }

    fn unfit(&self, source: VocabularyError) -> FormatError {
        FormatError::Vocabulary { file: self.file.to_owned(), source }
    }

    /// The model's own tokens, by id: those below `len`.
    fn vocabulary(&self, entries: &Entries, len: usize, alphabet: Alphabet) -> Result<Builder, Refusal> {
        let mut order = vec![NONE; len];
        for i in 0..entries.len() {
            let (_, id) = entries.get(i);
            if std::mem::replace(&mut order[id as usize], i as u32) != NONE {
                return Err(foreign(format!("two tokens with the id {id}")).into());
            }
        }
        let mut builder = Builder::new(alphabet, len + self.added.len(), entries.bytes())
            .map_err(|source| self.unfit(source))?;
        let tokens = order.into_iter().map(|i| match i {
            NONE => (Cow::default(), attribute::HOLE),
            i => (Cow::Borrowed(entries.get(i as usize).0), attribute::NORMAL),
        });
        match builder.extend(tokens) {
            Err(VocabularyError::DuplicateToken { text, .. }) => {
                return Err(foreign(format!("the token {text:?} with two ids")).into());
            }
            added => added.map_err(|source| self.unfit(source))?,
        }
        Ok(builder)
    }

    /// How many ids there are, holes included, if that is in proportion to the tokens.
    fn ids(&self, tokens: usize, highest: Option<u32>) -> Result<usize, FormatError> {
        let len = highest.map_or(0, |id| id as usize + 1);
        if len <= 16 * tokens + (1 << 16) && len < MAX_SYMBOLS as usize {
            return Ok(len);
        }
        Err(FormatError::Value {
            file: self.file.to_owned(),
            place: "model.vocab".to_owned(),
            expected: format!("ids without wide gaps for {tokens} tokens"),
            found: format!("the id {}", len - 1),
        })
    }

    /// Gives the added tokens their ids and flags, as `tokenizers` does: a token of the model keeps its id, any other gets the next free
    /// one, whatever the file says.
    fn added_tokens(
        &self,
        builder: &mut Builder,
        normalizers: &[Normalizer],
        charsmap: &Charsmap,
    ) -> Result<Added, Refusal> {
        let mut added = Added::default();
        let tokens = self.model.vocab.as_ref().map_or(0, Entries::len);
        let holes = builder.len() as usize != tokens;
        let special: BTreeSet<&str> =
            self.added.iter().filter(|token| token.special).map(|token| token.content.as_str()).collect();
        let mut contents = BTreeSet::new();
        let mut patterns = BTreeSet::new();
        for token in &self.added {
            let content = token.content.as_str();
            if content.is_empty() {
                continue;
            }
            if !contents.insert(content) {
                return Err(foreign(format!("the added token {content:?} twice")).into());
            }
            if content.len() > LONGEST_ADDED {
                return Err(foreign(format!("an added token of {} bytes", content.len())).into());
            }
            let id = match builder.token_by_text(content.as_bytes()) {
                Some(id) => id,
                None if holes => {
                    return Err(foreign(format!("the added token {content:?} and ids that are free")).into());
                }
                None => builder.push_raw(content.as_bytes(), 0).map_err(|source| self.unfit(source))?,
            };
            if id != token.id {
                let note =
                    format!("{}: the added token {content:?} has the id {id}, not {}", self.file, token.id);
                log::warn!("{note}");
                added.notes.push(note);
            }
            let mut pattern = Cow::Borrowed(content);
            if token.normalized {
                for normalizer in normalizers {
                    let next = normalizer.apply(&pattern, charsmap, None);
                    if let Some(next) =
                        next.map_err(|error| foreign(format!("the added token {content:?}: {error}")))?
                    {
                        pattern = Cow::Owned(next);
                    }
                }
            }
            if pattern.is_empty() || !patterns.insert(pattern.to_string()) {
                return Err(foreign(format!(
                    "the added token {content:?}, which normalization makes empty or equal to another"
                ))
                .into());
            }
            // `tokenizers` asks whether the text it decodes from, the normalized one, is that of a special token.
            let mut attributes =
                if special.contains(&*pattern) { attribute::CONTROL } else { attribute::USER_DEFINED };
            for (flag, bit) in [
                (token.lstrip, attribute::LSTRIP),
                (token.rstrip, attribute::RSTRIP),
                (token.normalized, attribute::NORMALIZED),
                (token.single_word, attribute::SINGLE_WORD),
            ] {
                attributes |= if flag { bit } else { 0 };
            }
            let raw = builder.attributes_of(id) & attribute::RAW;
            builder.attributes()[id as usize] = attributes | raw;
            if token.normalized {
                added.normalized = true;
            } else {
                added.raw = true;
            }
            if pattern != content {
                added.rewritten.push((id, pattern.to_string()));
            }
            added.patterns.push((id, pattern.into_owned()));
        }
        Ok(added)
    }

    fn word_piece(&self, builder: &Builder, entries: &Entries) -> Result<(Model, Option<u32>), Refusal> {
        let model = &self.model;
        let (Some(unk), Some(prefix), Some(max_chars)) =
            (&model.unk_token, &model.continuing_subword_prefix, model.max_input_chars_per_word)
        else {
            return Err(foreign(
                "model (WordPiece) without unk_token, continuing_subword_prefix or max_input_chars_per_word",
            )
            .into());
        };
        // A token of the model's own: an added one is not looked up.
        let Some(unk) = builder.token(unk.as_bytes()) else {
            return Err(foreign("unk_token, which is no token").into());
        };
        let longest = entries.iter().map(|(text, _)| text.len()).max().unwrap_or_default() as u32;
        let max_chars = u32::try_from(max_chars).unwrap_or(u32::MAX);
        // Every word may look up each of its parts.
        if max_chars > MOST_CHARS && longest > MOST_CHARS {
            return Err(foreign("max_input_chars_per_word and tokens beyond all measure").into());
        }
        Ok((Model::WordPiece { unk, prefix: prefix.clone(), max_chars, longest }, Some(unk)))
    }

    fn unigram(
        &self,
        builder: &mut Builder,
        entries: &Entries,
        bytes: &mut [u32; 256],
    ) -> Result<(Model, Option<u32>), Refusal> {
        let scores = &entries.scores;
        if scores.len() != entries.len() {
            return Err(foreign("model (no scores)").into());
        }
        if entries.iter().any(|(text, _)| text.is_empty()) {
            return Err(foreign("model (an empty token)").into());
        }
        let unk = self.model.unk_id.filter(|&id| id < entries.len() as u64);
        let Some(unk) = unk.and_then(|id| u32::try_from(id).ok()) else {
            return Err(foreign("model (no unk_id that is a token)").into());
        };
        let unk_score = scores.iter().copied().fold(f64::INFINITY, f64::min) - UNK_PENALTY;
        byte_tokens(builder, bytes);
        Ok((Model::Unigram { unk, unk_score, byte_fallback: self.model.byte_fallback }, Some(unk)))
    }

    /// Whether characters are marked by their place in a word.
    fn has_marks(&self) -> bool {
        let marks = [&self.model.continuing_subword_prefix, &self.model.end_of_word_suffix];
        marks.into_iter().flatten().any(|mark| !mark.is_empty())
    }

    /// Whether byte-pair encoding of text knows more than tokens: marks, or characters without a token to stand for them.
    fn is_marked(&self, entries: &Entries) -> bool {
        let model = &self.model;
        let unk = || {
            let unk = model.unk_token.as_ref();
            unk.is_some_and(|unk| entries.iter().any(|(text, _)| text == unk.as_bytes()))
        };
        self.has_marks() || if model.byte_fallback { !entries.has_byte_tokens() } else { !unk() }
    }

    fn marked_bpe(
        &self,
        builder: &mut Builder,
        bytes: &mut [u32; 256],
    ) -> Result<(Model, Option<u32>), Refusal> {
        let model = &self.model;
        let text = |mark: &Option<String>| mark.clone().unwrap_or_default();
        let prefix = text(&model.continuing_subword_prefix);
        let merges = self.merges()?;
        builder.reserve_pairs(merges.len()).map_err(|source| self.unfit(source))?;
        // Of equal merges the last counts.
        let mut pairs = HashMap::with_capacity(merges.len());
        for (rank, (left, right)) in merges.iter().enumerate() {
            let rank = rank as u32;
            let token = |text: &[u8], which| {
                builder.token(text).ok_or_else(|| self.not_a_token(rank, left, right, which))
            };
            let Some(rest) = right.get(prefix.len()..) else {
                return Err(foreign("a merge with less on its right than the prefix").into());
            };
            let ids = (token(left, NotAToken::Left)?, token(right, NotAToken::Right)?);
            let whole = [left, rest].concat();
            pairs.insert(ids, (rank, token(&whole, NotAToken::Whole)?));
        }
        for ((left, right), (rank, whole)) in pairs {
            builder.merge_symbols(left, right, Rank(rank), whole);
        }
        byte_tokens(builder, bytes);
        let unk = model.unk_token.as_ref().map(|unk| builder.token(unk.as_bytes()));
        let unknown = match unk {
            None => MarkedUnknown::Dropped,
            Some(Some(unk)) => MarkedUnknown::Token(unk),
            Some(None) => MarkedUnknown::Error,
        };
        let marked = Model::Marked {
            prefix,
            suffix: text(&model.end_of_word_suffix),
            ignore_merges: model.ignore_merges,
            byte_fallback: model.byte_fallback,
            unknown,
            fuse: model.fuse_unk,
        };
        Ok((marked, unk.flatten()))
    }

    fn merges(&self) -> Result<&Merges, FormatError> {
        let missing =
            || FormatError::MissingKey { file: self.file.to_owned(), key: "model.merges".to_owned() };
        self.model.merges.as_ref().ok_or_else(missing)
    }

    fn not_a_token(&self, rank: u32, left: &[u8], right: &[u8], which: NotAToken) -> FormatError {
        let (left, right) = (String::from_utf8_lossy(left), String::from_utf8_lossy(right));
        let part = match which {
            NotAToken::Left => left.to_string(),
            NotAToken::Right => right.to_string(),
            NotAToken::Whole => format!("{left}{right}"),
        };
        FormatError::Value {
            file: self.file.to_owned(),
            place: format!("merge {rank}, {left:?} {right:?}"),
            expected: "a merge of two tokens that makes a token".to_owned(),
            found: format!("{part:?}, which is none"),
        }
    }

    /// Enters the merges of byte-pair encoding, of tokens below `own`.
    fn enter(&self, join: Join, builder: &mut Builder, own: u32) -> Result<(), Refusal> {
        let merges = self.merges()?;
        let mut found = Vec::with_capacity(join.open().len());
        let mut key = Vec::new();
        for &(rank, _) in join.open() {
            let (left, right) = merges.get(rank as usize);
            let whole = [left, right].concat();
            for (text, which) in
                [(left, NotAToken::Left), (right, NotAToken::Right), (&whole, NotAToken::Whole)]
            {
                let is_token = builder.token_by_text(text).is_some_and(|id| id < own);
                is_token.then_some(()).ok_or_else(|| self.not_a_token(rank, left, right, which))?;
            }
            key.clear();
            let mut in_alphabet = true;
            let mut append = |text: &[u8], key: &mut Vec<u8>| match builder.alphabet() {
                Alphabet::Text => key.extend_from_slice(text),
                Alphabet::ByteLevel => in_alphabet &= decode_alphabet(text, key),
            };
            append(left, &mut key);
            let split = key.len() as u32;
            append(right, &mut key);
            // No text has characters beyond the alphabet, so such a merge never happens.
            if in_alphabet && let Some(token) = builder.token(&key) {
                found.push(ListLine { rank: Rank(rank), token, split });
            }
        }
        let merges = join.finish(found.into_iter());
        builder.lazy(merges).map_err(|source| self.unfit(source).into())
    }

    fn characters(&self, builder: &Builder, bytes: &mut [u32; 256]) -> Result<(Model, Option<u32>), Refusal> {
        let model = &self.model;
        let unk = model.unk_token.as_ref().and_then(|unk| builder.token(unk.as_bytes()));
        byte_tokens(builder, bytes);
        let all_bytes =
            (0..=0xF4).filter(|byte| !matches!(byte, 0xC0 | 0xC1)).all(|byte| bytes[byte] != NONE);
        let unknown = match (model.byte_fallback, unk) {
            (true, _) if all_bytes => Unknown::Bytes,
            (true, _) => return Err(foreign("model (byte_fallback without a token for each byte)").into()),
            (false, Some(unk)) if model.fuse_unk => Unknown::Fused(unk),
            (false, Some(unk)) => Unknown::Each(unk),
            (false, None) => {
                return Err(foreign("model (neither byte_fallback nor an unk_token that is a token)").into());
            }
        };
        let stands_in = |text: &[u8]| match unknown {
            Unknown::Bytes => text.len() == 6 && text.starts_with(b"<0x") && text.ends_with(b">"),
            Unknown::Each(_) | Unknown::Fused(_) => {
                model.unk_token.as_ref().is_some_and(|unk| unk.as_bytes() == text)
            }
        };
        // What stands in for a character has another text than it; should it merge, `▁` no longer tells where words are apart.
        let merge_stand_ins =
            self.merges()?.iter().any(|(left, right)| [left, right].into_iter().any(stands_in));
        let cuts = !merge_stand_ins && builder.token("▁".as_bytes()).is_some();
        Ok((Model::Characters { ignore_merges: model.ignore_merges, unknown, cuts }, unk))
    }

    #[cfg(not(feature = "tokenizers"))]
    fn wrapped(&self, _: Cow<'_, [u8]>, reason: String) -> Result<Built, FormatError> {
        Err(FormatError::NeedsTokenizers { file: self.file.to_string(), reason })
    }

    /// The whole file as the `tokenizers` crate reads it, with a vocabulary of our own to look tokens up in.
    #[cfg(feature = "tokenizers")]
    fn wrapped(&self, bytes: Cow<'_, [u8]>, reason: String) -> Result<Built, FormatError> {
        let refused = |source| FormatError::Malformed {
            file: format!("{} (read by the tokenizers crate)", self.file),
            source,
        };
        let mut inner = guarded(|| {
            let mut inner = tokenizers::Tokenizer::from_bytes(bytes.as_ref())?;
            inner.with_truncation(None)?;
            inner.with_padding(None);
            Ok(inner)
        })
        .map_err(refused)?;
        let frame = describe::frame(&self.post_processor).ok();
        if frame.is_some() {
            // What it does beside is to trim offsets.
            inner.with_post_processor(None::<tokenizers::PostProcessorWrapper>);
        }

        let mut tokens: Vec<(u32, String)> =
            inner.get_vocab(true).into_iter().map(|(text, id)| (id, text)).collect();
        tokens.sort_unstable();
        let entries = self.model.vocab.as_ref().map_or(0, Entries::len);
        let len = self.ids(tokens.len(), tokens.last().map(|&(id, _)| id))?;
        let listed = tokens.len();
        tokens.dedup_by_key(|(id, _)| *id);
        let unfit = |source| self.unfit(source);
        let size = tokens.iter().map(|(_, text)| text.len()).sum();
        let mut builder = Builder::new(Alphabet::Text, len, size).map_err(unfit)?;
        for (id, text) in &tokens {
            while builder.len() < *id {
                builder.push_hole().map_err(unfit)?;
            }
            builder.push(text.as_bytes(), attribute::NORMAL).map_err(unfit)?;
        }
        let added = inner.get_added_tokens_decoder();
        for (&id, token) in &added {
            let kind = if token.special { attribute::CONTROL } else { attribute::USER_DEFINED };
            if let Some(attributes) = builder.attributes().get_mut(id as usize) {
                *attributes = kind;
            }
        }
        // Texts and ids that are not one to one, or added tokens that the library decodes from another text, are left to it.
        let one_to_one =
            listed == tokens.len() && tokenizers::Model::get_vocab(inner.get_model()).len() == entries;
        let plain = added.values().all(|token| !token.normalized)
            || describe::normalizers(&self.normalizer).is_ok_and(|(normalizers, _)| normalizers.is_empty());
        let rendering = describe::decoder(&self.decoder).or_else(|_| describe::chain(&self.decoder, &[]));
        let rendering = rendering.ok().filter(|_| one_to_one && plain);
        if let Some(rendering) = &rendering {
            render(&mut builder, rendering, &[]);
        }
        let specials = added.iter().map(|(&id, token)| (id, Cow::Owned(token.content.clone().into_bytes())));
        let specials = Specials::new(specials);
        let vocabulary = builder.finish(&[NONE; 256]).map_err(unfit)?;
        let unk = self.model.unk_token.as_ref().and_then(|unk| vocabulary.token_by_text(unk.as_bytes()));
        let unk = unk.or_else(|| self.model.unk_id.and_then(|id| u32::try_from(id).ok()));
        let renderer = rendering.map(|rendering| rendering.renderer);
        let wrapped = Wrapped::new(inner, reason, frame.clone(), renderer);
        let frame = frame.unwrap_or_default();
        Ok(Built { vocabulary, specials, pipeline: Pipeline::Crate(wrapped), frame, unk, notes: Vec::new() })
    }
}

/// Added tokens with their ids.
#[derive(Default)]
struct Added {
    /// Id, and the text to look for.
    patterns: Vec<(u32, String)>,
    /// Those whose text normalization changes: the library decodes from what it becomes.
    rewritten: Vec<(u32, String)>,
    /// Whether some are looked for in the text as it is given.
    raw: bool,
    /// Whether some are looked for in the normalized text.
    normalized: bool,
    notes: Vec<String>,
}

/// Gives every token the piece that the decoder makes of it, or of the text in `rewritten`.
fn render(builder: &mut Builder, rendering: &Rendering, rewritten: &[(u32, String)]) {
    let mut out = Vec::new();
    for id in 0..builder.len() {
        let rewritten = rewritten.iter().find(|(of, _)| *of == id).map(|(_, text)| text.as_str());
        let attributes = builder.attributes_of(id);
        let raw = attributes & attribute::RAW != 0;
        // The key of a byte-level token is its piece already.
        let settled =
            matches!(rendering.piece, Piece::ByteLevel) && builder.alphabet() == Alphabet::ByteLevel;
        if settled && !raw && rewritten.is_none() || attributes & attribute::HOLE != 0 {
            continue;
        }
        let text = match rewritten {
            Some(text) => Cow::Borrowed(text.as_bytes()),
            None => builder.text(id).unwrap_or_default(),
        };
        out.clear();
        let mut byte = None;
        match &rendering.piece {
            Piece::ByteLevel => {
                if !decode_alphabet(&text, &mut out) {
                    out.clear();
                    out.extend_from_slice(&text);
                }
            }
            Piece::Spaced => {
                out.push(b' ');
                out.extend_from_slice(&text);
            }
            Piece::Replaced(replaced) => {
                let mut text = String::from_utf8_lossy(&text);
                for (pattern, content) in replaced {
                    if text.contains(pattern.as_str()) {
                        text = text.replace(pattern.as_str(), content).into();
                    }
                }
                byte = Some(&*text).filter(|_| rendering.renderer.byte_fallback).and_then(byte_of);
                match byte {
                    Some(byte) => out.push(byte),
                    None => out.extend_from_slice(text.as_bytes()),
                }
            }
            Piece::Continued { prefix, cleanup } => {
                let text = String::from_utf8_lossy(&text);
                let spaced = match text.strip_prefix(prefix.as_str()) {
                    Some(rest) => rest.to_owned(),
                    None => format!(" {text}"),
                };
                out.extend_from_slice(if *cleanup { clean(&spaced) } else { spaced }.as_bytes());
            }
        }
        drop(text);
        if byte.is_some() {
            builder.attributes()[id as usize] |= attribute::BYTE;
        }
        if out != builder.key(id) {
            builder.piece(id, &out);
        }
    }
}

/// Whether what begins a text still begins it, to the library's mind, once it is normalized.
fn keeps_start(normalizer: &Normalizer) -> bool {
    match normalizer {
        Normalizer::Nfc
        | Normalizer::Nfd
        | Normalizer::Nfkc
        | Normalizer::Nfkd
        | Normalizer::Lowercase
        | Normalizer::ByteLevel
        | Normalizer::Prepend(_) => true,
        Normalizer::Replace { pattern, content } => pattern.chars().count() == 1 && !content.is_empty(),
        _ => false,
    }
}

/// Finds the tokens that stand for a byte each.
fn byte_tokens(builder: &Builder, bytes: &mut [u32; 256]) {
    for (byte, id) in bytes.iter_mut().enumerate() {
        *id = builder.token(format!("<0x{byte:02X}>").as_bytes()).unwrap_or(NONE);
    }
}

/// What a character that no token covers costs beyond the least likely token.
const UNK_PENALTY: f64 = 10.0;

const MODELS: &[&str] = &["BPE", "Unigram", "WordLevel", "WordPiece"];

/// The search for added tokens is linear in the text times the longest of them.
const LONGEST_ADDED: usize = 1024;

/// `WordPiece` looks up so many parts of a word at most, for each of its characters.
const MOST_CHARS: u32 = 1024;

#[cfg(test)]
mod crosscheck;
#[cfg(test)]
pub(crate) mod tests;
