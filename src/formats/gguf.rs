//! The vocabulary in a GGUF file's metadata, as llama.cpp 0.8.0 loads it (`llama_vocab::impl::load`).
//!
//! The steps stand in llama.cpp's order, because later ones see what earlier ones changed: defaults by model and
//! pre-tokenizer, tokens, special ids, detection of special tokens by name, the set that ends a generation, rendering, strip
//! attributes.

use std::borrow::Cow;

use super::gguf_error::{FILE, TOKENS, value, vocabulary_error};
use super::{FormatError, gguf_models};
use crate::encode::special_tokens::Specials;
use crate::gguf::Gguf;
use crate::model::plamo;
use crate::model::rwkv;
use crate::semantics::llama_cpp::{self, Bpe, Model, TextCut, Unigram, WordPiece};
use crate::semantics::post_processor::Processing;
use crate::semantics::{Pipeline, Recipe, SpecialTokens};
use crate::split::{Pre, PreKind, Split};
use crate::tokenizer::Tokenizer;
use crate::unicode;
use crate::vocabulary::{
    Alphabet, Builder, EqualLines, Halves, Joining, Line, MergesList, NONE, Rank, Vocabulary,
    append_unescaped, attribute, decode_alphabet, find_byte, load as load_word,
};

/// What to do when the file does not say how its text is cut, or says it in a word that is not known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OnUnknownPre {
    /// Refuse: the ids would be a guess.
    Refuse,
    /// Guess `default`, as llama.cpp does (with a warning) when the name is missing.
    Guess,
    /// Use this one, whatever the file says.
    Replace(&'static str),
}

/// Builds the tokenizer of a GGUF file.
pub(crate) fn load(gguf: &Gguf, on_unknown: OnUnknownPre) -> Result<Tokenizer, FormatError> {
    let kind = Kind::of(gguf, on_unknown)?;
    let strings = |key| gguf.array(key).and_then(|array| Some((array.raw(), array.string_spans()?)));
    let ((token_data, tokens), merges) = (strings(TOKENS).ok_or_else(|| missing(TOKENS))?, strings(MERGES));
    let list = match (kind.pre(), merges) {
        (None, _) => None,
        (Some(_), Some((data, lines))) => {
            let lines = lines.map(|line| (line, None));
            let (equal, halves) = (EqualLines::FirstCounts, Halves::FirstSymbols);
            Some(MergesList { data, lines, token_data, tokens, alphabet: kind.alphabet(), equal, halves })
        }
        // This one has no merges in its file; its tokens are found whole or byte by byte.
        (Some(pre), None) if pre.kind == PreKind::KimiK2 => None,
        (Some(_), None) => return Err(missing(MERGES)),
    };
    // All that the merges do not depend on is done while another thread walks through them.
    std::thread::scope(|scope| build(gguf, &kind, list.map(|list| Joining::begin(scope, list))))
}

fn build(gguf: &Gguf, kind: &Kind, merges: Option<Joining<'_>>) -> Result<Tokenizer, FormatError> {
    let mut tokens = Tokens::read(gguf, kind)?;
    let raw = tokens.builder.attributes().to_vec();
    let mut special = kind.default_special();
    special_ids(gguf, tokens.builder.len(), &mut special);
    let mut flags = kind.default_flags();
    flags.read(gguf);
    if kind.pre().is_some_and(|pre| pre.force_add_bos) {
        flags.add_bos = true;
    }
    tokens.detect_by_name(gguf, &mut special);
    let eog = tokens.end_of_generation(kind, &special);
    let special_ids = tokens.special_ids();
    tokens.render(kind)?;
    let added = Specials::new(special_ids.iter().filter_map(|&id| Some((id, tokens.text(id)?))));
    tokens.strip_attributes(gguf, &special_ids)?;
    if let (Some(merges), Some(pre)) = (merges, kind.pre()) {
        tokens.merges(gguf, merges, pre.byte_encode)?;
    }

    let mut model = kind.model(gguf, &tokens, &flags, &special)?;
    let bytes = kind.byte_tokens(&tokens.builder)?;
    let mut vocabulary = tokens.builder.finish(&bytes).map_err(vocabulary_error)?;
    kind.prepare(gguf, &raw, &mut model, &mut vocabulary)?;
    let recipe = llama_cpp::Recipe {
        model,
        add_bos: flags.add_bos,
        add_eos: flags.add_eos,
        add_space_prefix: flags.add_space_prefix,
        escape_whitespaces: kind.escape_whitespaces(),
        clean_spaces: flags.clean_spaces,
        special,
    };
    let (add_bos, add_eos) = match kind {
        // llama.cpp frames a text for the first and never does for the second, whatever the flags.
        Kind::WordPiece => (true, true),
        Kind::Rwkv => (false, false),
        _ => (flags.add_bos, flags.add_eos),
    };
    let recipe = Recipe {
        special,
        eog,
        add_bos,
        add_eos,
        chat_templates: chat_templates(gguf),
        processing: Processing::default(),
        notes: Vec::new(),
        pipeline: Pipeline::Llama(recipe),
    };
    Ok(Tokenizer::new(vocabulary, added, recipe))
}

/// Whether the file carries a vocabulary at all.
pub(crate) fn has_vocabulary(gguf: &Gguf) -> bool {
    gguf.entry(MODEL).is_some() || gguf.entry(TOKENS).is_some()
}

/// `tokenizer.ggml.model`, with the pre-tokenizer of the kinds that have one.
enum Kind {
    Spm,
    Bpe(&'static Pre),
    /// Byte-pair encoding, with tokens for DNA.
    Dna(&'static Pre),
    /// Byte-pair encoding of what stands between white space.
    Whitespace(&'static Pre),
    WordPiece,
    Unigram,
    Rwkv,
    Plamo(plamo::Version),
}

impl Kind {
    fn of(gguf: &Gguf, on_unknown: OnUnknownPre) -> Result<Self, FormatError> {
        let model = gguf.string(MODEL).map(c_string).ok_or_else(|| missing(MODEL))?;
        match model {
            b"llama" => Ok(Self::Spm),
            b"gpt2" => Ok(Self::Bpe(pre_tokenizer(gguf, on_unknown)?)),
            b"hybriddna" => Ok(Self::Dna(pre_tokenizer(gguf, on_unknown)?)),
            b"whitespace" => Ok(Self::Whitespace(pre_tokenizer(gguf, on_unknown)?)),
            // llama.cpp uses this pre-tokenizer whatever the file says.
            b"gemma4" => Ok(Self::Bpe(named_pre("gemma4")?)),
            b"bert" => Ok(Self::WordPiece),
            b"t5" => Ok(Self::Unigram),
            b"rwkv" => Ok(Self::Rwkv),
            b"plamo2" => Ok(Self::Plamo(plamo::Version::Plamo2)),
            b"plamo3" => Ok(Self::Plamo(plamo::Version::Plamo3)),
            b"none" | b"no_vocab" => Err(FormatError::NoVocabulary),
            _ => Err(FormatError::UnsupportedModel {
                file: FILE.into(),
                kind: String::from_utf8_lossy(model).into_owned(),
                hint: "; a `tokenizer.json` beside the model is used instead".into(),
            }),
        }
    }

    fn pre(&self) -> Option<&'static Pre> {
        match self {
            Self::Bpe(pre) | Self::Dna(pre) | Self::Whitespace(pre) => Some(pre),
            Self::Spm | Self::WordPiece | Self::Unigram | Self::Rwkv | Self::Plamo(_) => None,
        }
    }

    fn alphabet(&self) -> Alphabet {
        if self.pre().is_some_and(|pre| pre.byte_encode) { Alphabet::ByteLevel } else { Alphabet::Text }
    }

    fn escape_whitespaces(&self) -> bool {
        self.pre().is_none_or(|pre| pre.escape_whitespaces)
    }

    fn default_special(&self) -> SpecialTokens {
        let mut special = SpecialTokens::default();
        match self {
            Self::Spm => (special.bos, special.eos, special.unk) = (Some(1), Some(2), Some(0)),
            Self::WordPiece => {
                (special.bos, special.unk, special.sep) = (Some(101), Some(100), Some(102));
                (special.pad, special.mask) = (Some(0), Some(103));
            }
            Self::Unigram => (special.eos, special.unk, special.pad) = (Some(1), Some(2), Some(0)),
            Self::Plamo(_) => {
                (special.bos, special.eos, special.unk, special.pad) = (Some(1), Some(2), Some(0), Some(3));
            }
            Self::Rwkv => {}
            Self::Bpe(pre) if pre.kind == PreKind::Gemma4 && pre.name == "gemma4" => {}
            Self::Bpe(pre) | Self::Dna(pre) | Self::Whitespace(pre) => {
                special.eos = Some(11);
                special.bos = if pre.no_default_bos { None } else { Some(11) };
            }
        }
        special
    }

    fn default_flags(&self) -> Flags {
        match self {
            Self::Spm => Flags { add_space_prefix: true, add_bos: true, ..Flags::default() },
            Self::WordPiece => Flags { clean_spaces: true, add_bos: true, ..Flags::default() },
            Self::Unigram => Flags { add_eos: true, ..Flags::default() },
            Self::Rwkv | Self::Plamo(_) => Flags::default(),
            Self::Bpe(pre) | Self::Dna(pre) | Self::Whitespace(pre) => Flags {
                add_space_prefix: pre.add_space_prefix,
                clean_spaces: pre.clean_spaces,
                add_bos: pre.add_bos,
                add_eos: pre.add_eos,
            },
        }
    }

    fn model(
        &self,
        gguf: &Gguf,
        tokens: &Tokens,
        flags: &Flags,
        special: &SpecialTokens,
    ) -> Result<Model, FormatError> {
        let scheme = gguf.string("tokenizer.ggml.metaspace.prepend_scheme").map_or(&b"never"[..], c_string);
        let refused = |found: &[u8]| FormatError::Value {
            file: FILE.into(),
            place: "tokenizer.ggml.metaspace.prepend_scheme".into(),
            expected: "`never` or `first` (`always` is not defined for byte-pair vocabularies)".into(),
            found: format!("`{}`", String::from_utf8_lossy(found)),
        };
        let metaspace_first = match scheme {
            b"never" => false,
            b"first" => true,
            b"always" if self.pre().is_none() => false,
            other => return Err(refused(other)),
        };
        let flag = |key, default| gguf.bool(key).unwrap_or(default);
        let lowercase = self.pre().is_none_or(|pre| pre.lowercase_default);
        let lowercase = flag("tokenizer.ggml.normalizer.lowercase", lowercase);
        let unknown = special.unk.unwrap_or(NONE);
        let cut = match self {
            Self::Dna(_) => {
                let auto_tags = flag("tokenizer.ggml.dna_auto_tags", false);
                crate::split::dna::Dna::new(auto_tags, |text| tokens.by_name(text))
                    .map_or(TextCut::None, TextCut::Dna)
            }
            Self::Whitespace(_) => TextCut::Whitespace { lowercase },
            _ => TextCut::None,
        };
        Ok(match self {
            Self::Spm => Model::Spm,
            Self::WordPiece => Model::WordPiece(WordPiece {
                lowercase,
                strip_accents: flag("tokenizer.ggml.normalizer.strip_accents", lowercase),
                unknown,
            }),
            Self::Unigram => Model::Unigram(Unigram {
                nfc: flag("tokenizer.ggml.normalizer.nfc", false),
                add_space_prefix: flags.add_space_prefix,
                collapse_spaces: flag("tokenizer.ggml.remove_extra_whitespaces", false),
                unknown,
                // The rest follows from the vocabulary.
                ..Unigram::default()
            }),
            Self::Rwkv => Model::Rwkv,
            Self::Plamo(version) => Model::Plamo(*version),
            Self::Bpe(pre) | Self::Dna(pre) | Self::Whitespace(pre) => Model::Bpe(Bpe {
                split: Split::Gguf(pre.split),
                kind: pre.kind,
                byte_encode: pre.byte_encode,
                ignore_merges: pre.ignore_merges,
                metaspace_first,
                cut,
            }),
        })
    }

    /// The token that stands for each byte which no other token covers.
    fn byte_tokens(&self, builder: &Builder) -> Result<[u32; 256], FormatError> {
        if let Self::Plamo(_) = self {
            return gguf_models::plamo_bytes(builder);
        }
        Ok(std::array::from_fn(|byte| {
            let byte = byte as u8;
            let literal = || builder.token(&[byte]);
            let escaped = || builder.token(format!("<0x{byte:02X}>").as_bytes());
            let token = match self {
                Self::Spm => escaped().or_else(literal),
                Self::Bpe(pre) | Self::Dna(pre) | Self::Whitespace(pre) if pre.byte_encode => {
                    matches!(byte, 0x21..=0x7E).then(literal).flatten()
                }
                Self::Bpe(_) | Self::Dna(_) | Self::Whitespace(_) => escaped(),
                Self::WordPiece | Self::Unigram | Self::Rwkv | Self::Plamo(_) => None,
            };
            token.unwrap_or(NONE)
        }))
    }

    /// What engines that match pieces read, once all tokens are known. `raw` are the attributes as the file has them.
    fn prepare(
        &self,
        gguf: &Gguf,
        raw: &[u16],
        model: &mut Model,
        vocabulary: &mut Vocabulary,
    ) -> Result<(), FormatError> {
        match (self, model) {
            (Self::WordPiece, _) => gguf_models::wordpiece(vocabulary),
            (Self::Unigram, Model::Unigram(unigram)) => gguf_models::unigram(gguf, raw, unigram, vocabulary),
            (Self::Rwkv, _) => gguf_models::rwkv(vocabulary),
            (Self::Plamo(_), _) => gguf_models::plamo(raw, vocabulary),
            _ => Ok(()),
        }
    }
}

/// The row of the table for this file's `tokenizer.ggml.pre`.
fn pre_tokenizer(gguf: &Gguf, on_unknown: OnUnknownPre) -> Result<&'static Pre, FormatError> {
    let name = gguf.string(PRE).map(c_string).unwrap_or_default();
    let known = std::str::from_utf8(name).ok().filter(|name| !name.is_empty()).and_then(Pre::by_name);
    match (known, on_unknown) {
        (_, OnUnknownPre::Replace(name)) => named_pre(name),
        (Some(pre), _) => Ok(pre),
        (None, OnUnknownPre::Guess) => named_pre("default"),
        (None, OnUnknownPre::Refuse) if name.is_empty() => Err(FormatError::MissingPreTokenizer),
        (None, OnUnknownPre::Refuse) => {
            Err(FormatError::UnsupportedPreTokenizer { name: String::from_utf8_lossy(name).into_owned() })
        }
    }
}

fn named_pre(name: &str) -> Result<&'static Pre, FormatError> {
    Pre::by_name(name).ok_or_else(|| FormatError::UnsupportedPreTokenizer { name: name.into() })
}

/// The switches that a file may set.
#[derive(Default)]
struct Flags {
    add_space_prefix: bool,
    clean_spaces: bool,
    add_bos: bool,
    add_eos: bool,
}

impl Flags {
    fn read(&mut self, gguf: &Gguf) {
        for (flag, key) in [
            (&mut self.add_space_prefix, "tokenizer.ggml.add_space_prefix"),
            (&mut self.clean_spaces, "tokenizer.ggml.clean_spaces"),
            (&mut self.add_bos, "tokenizer.ggml.add_bos_token"),
            (&mut self.add_eos, "tokenizer.ggml.add_eos_token"),
        ] {
            *flag = gguf.bool(key).unwrap_or(*flag);
        }
    }
}

/// Ids from the file, over the defaults. An id that names no token counts for nothing, in the file and among the defaults.
fn special_ids(gguf: &Gguf, len: u32, special: &mut SpecialTokens) {
    let SpecialTokens {
        bos,
        eos,
        eot,
        eom,
        unk,
        sep,
        pad,
        mask,
        fim_pre,
        fim_suf,
        fim_mid,
        fim_pad,
        fim_rep,
        fim_sep,
    } = special;
    // `prefix`, `suffix` and `middle` are the old names of the first three FIM ids; where a file has both they win.
    for (id, names) in [
        (bos, &["bos_token_id"][..]),
        (eos, &["eos_token_id"]),
        (eot, &["eot_token_id"]),
        (eom, &["eom_token_id"]),
        (unk, &["unknown_token_id"]),
        // The misspelling is the format's.
        (sep, &["seperator_token_id"]),
        (pad, &["padding_token_id"]),
        (mask, &["mask_token_id"]),
        (fim_pre, &["fim_pre_token_id", "prefix_token_id"]),
        (fim_suf, &["fim_suf_token_id", "suffix_token_id"]),
        (fim_mid, &["fim_mid_token_id", "middle_token_id"]),
        (fim_pad, &["fim_pad_token_id"]),
        (fim_rep, &["fim_rep_token_id"]),
        (fim_sep, &["fim_sep_token_id"]),
    ] {
        *id = id.filter(|&id| id < len);
        for name in names {
            *id = gguf.u32(&format!("tokenizer.ggml.{name}")).filter(|&id| id < len).or(*id);
        }
    }
}

/// The tokens of a file on their way into a vocabulary.
struct Tokens {
    builder: Builder,
    /// `hybriddna`: behind this id, a marker at the end of a text is for looking the token up, and not part of what it says.
    marked_from: Option<u32>,
}

impl Tokens {
    fn read(gguf: &Gguf, kind: &Kind) -> Result<Self, FormatError> {
        let texts = gguf.strings(TOKENS).ok_or_else(|| missing(TOKENS))?;
        let len = texts.len();
        let bytes = gguf.array(TOKENS).map_or(0, |array| array.raw().len());
        let types = gguf.i32s(TYPES);
        if let Some(found) = types.as_ref().map(ExactSizeIterator::len).filter(|&found| found < len) {
            return Err(short(TYPES, len, found));
        }
        if types.is_none() && gguf.entry(TYPES).is_some() {
            return Err(value(TYPES, "an array of INT32", "another type"));
        }
        let types = types.into_iter().flatten().map(Some).chain(std::iter::repeat(None));
        let all = (0..).zip(texts).zip(types).map(|((id, text), kind): ((u32, _), _)| {
            let attributes = match kind {
                None | Some(1) => attribute::NORMAL,
                Some(2) => attribute::UNKNOWN,
                Some(3) => attribute::CONTROL,
                Some(4) => attribute::USER_DEFINED,
                Some(5) => attribute::UNUSED,
                Some(6) => attribute::BYTE,
                Some(_) => 0,
            };
            let text = c_string(text);
            let empty = || Cow::from(format!("[EMPTY_{id}]").into_bytes());
            (if text.is_empty() { empty() } else { text.into() }, attributes)
        });
        let mut builder =
            Builder::new(kind.alphabet(), len, bytes.saturating_sub(8 * len)).map_err(vocabulary_error)?;
        builder.extend(all).map_err(vocabulary_error)?;
        if let Some(scores) = gguf.f32s(SCORES) {
            if scores.len() < len {
                return Err(short(SCORES, len, scores.len()));
            }
            // PLaMo knows pieces that are never used by a score that is no number.
            let never = matches!(kind, Kind::Plamo(_));
            let score = |score: f32| if never && score.is_nan() { f32::NEG_INFINITY } else { score };
            builder.scores(scores.take(len).map(score).collect()).map_err(vocabulary_error)?;
        } else if gguf.entry(SCORES).is_some() {
            return Err(value(SCORES, "an array of FLOAT32 or INT32", "another type"));
        }
        let mut tokens = Self { builder, marked_from: None };
        if let Kind::Dna(_) = kind {
            tokens.marked_from = tokens.by_name("<oov>");
        }
        Ok(tokens)
    }

    /// The merges: as their list has them if they are all of tokens, else each looked up.
    fn merges(&mut self, gguf: &Gguf, joining: Joining<'_>, byte_encode: bool) -> Result<(), FormatError> {
        let lines = gguf.array(MERGES).map(|lines| lines.raw()).unwrap_or_default();
        let read = |(line, _): &Line, key: &mut Vec<u8>| {
            read_merge(lines.get(line.clone()).unwrap_or_default(), byte_encode, key)
        };
        let join = joining.finish().map_err(vocabulary_error)?;
        if self.builder.lazy_merges(join, read).is_ok() {
            return Ok(());
        }
        let lines = gguf.strings(MERGES).ok_or_else(|| missing(MERGES))?;
        self.builder.reserve_pairs(lines.len()).map_err(vocabulary_error)?;
        let mut key = Vec::new();
        for (rank, line) in (0..).zip(lines) {
            key.clear();
            if let Some(split) = read_merge(line, byte_encode, &mut key) {
                // Of equal lines the first counts.
                self.builder.merge(&key, split, Rank(rank)).map_err(vocabulary_error)?;
            }
        }
        Ok(())
    }

    fn text(&self, id: u32) -> Option<Cow<'_, [u8]>> {
        match self.unmarked(id) {
            Some(text) => Some(text.into()),
            None => self.builder.text(id),
        }
    }

    /// A DNA token's text without its marker and what fills it up to six bases.
    fn unmarked(&self, id: u32) -> Option<&[u8]> {
        self.marked_from.filter(|&from| id > from)?;
        // The marker is not of the alphabet, so the key is the text.
        let text = self
            .builder
            .key(id)
            .strip_suffix(crate::split::dna::MARKER.encode_utf8(&mut [0; 4]).as_bytes())?;
        let len = text.iter().rposition(|&byte| byte != b'N').map_or(text.len(), |last| last + 1);
        (!text.is_empty()).then_some(&text[..len])
    }

    fn by_name(&self, name: &str) -> Option<u32> {
        self.builder.token_by_text(name.as_bytes())
    }

    /// For each role that has no id yet: a token with one of the role's names. It becomes a control token, even if it was
    /// user-defined (which then stops it from being found in a text that is not parsed for special tokens).
    fn detect_by_name(&mut self, gguf: &Gguf, special: &mut SpecialTokens) {
        let SpecialTokens { eot, eom, fim_pre, fim_suf, fim_mid, fim_pad, fim_rep, fim_sep, .. } = special;
        for (role, names) in [
            (eot, EOT_NAMES),
            (eom, EOM_NAMES),
            (fim_pre, FIM_PRE_NAMES),
            (fim_suf, FIM_SUF_NAMES),
            (fim_mid, FIM_MID_NAMES),
            (fim_pad, FIM_PAD_NAMES),
            (fim_rep, FIM_REP_NAMES),
            (fim_sep, FIM_SEP_NAMES),
        ] {
            if role.is_some() {
                continue;
            }
            let found: Vec<u32> = names.iter().filter_map(|name| self.by_name(name)).collect();
            *role = match found[..] {
                [] => None,
                [only] => Some(only),
                _ => first_in_hash_order(gguf, &found, |id| self.text(id)),
            };
            if let Some(id) = *role {
                self.builder.attributes()[id as usize] |= attribute::CONTROL;
            }
        }
        let control_and_unused = |builder: &Builder, id: u32| {
            builder.attributes_of(id) & attribute::CONTROL != 0
                && builder.text(id).is_some_and(|text| memchr::memmem::find(&text, b"unused").is_some())
        };
        for id in 0..self.builder.len() {
            if control_and_unused(&self.builder, id) {
                self.builder.attributes()[id as usize] |= attribute::UNUSED;
            }
        }
    }

    /// The set of ids that end a generation, ascending.
    fn end_of_generation(&mut self, kind: &Kind, special: &SpecialTokens) -> Vec<u32> {
        let mut eog: Vec<u32> =
            [special.fim_pad, special.fim_rep, special.fim_sep].into_iter().flatten().collect();
        let flint = kind.pre().is_some_and(|pre| pre.kind == PreKind::Flint);
        for name in EOG_NAMES.iter().chain(if flint { FLINT_EOG_NAMES } else { &[] }) {
            if let Some(id) = self.by_name(name) {
                self.builder.attributes()[id as usize] |= attribute::CONTROL;
                eog.push(id);
            }
        }
        for name in HARMONY_NAMES {
            if let Some(id) = self.by_name(name) {
                self.builder.attributes()[id as usize] = attribute::USER_DEFINED | self.raw(id);
            }
        }
        eog.extend([special.eos, special.eot, special.eom].into_iter().flatten());

        let has = |eog: &[u32], name: &str| self.by_name(name).is_some_and(|id| eog.contains(&id));
        let call = has(&eog, "<|call|>") || has(&eog, "<|calls|>");
        let end = has(&eog, "<|end|>") && call && (has(&eog, "<|return|>") || has(&eog, "<|flush|>"));
        let slash_s = has(&eog, "</s>")
            && (self.by_name("<rfl:parameter name=\"").is_some()
                || has(&eog, "<|tool_response>")
                || has(&eog, "<|plamo:eos|>"));
        for (applies, name, becomes) in
            [(end, "<|end|>", attribute::USER_DEFINED), (slash_s, "</s>", attribute::NORMAL)]
        {
            if let Some(id) = self.by_name(name).filter(|_| applies) {
                eog.retain(|&other| other != id);
                self.builder.attributes()[id as usize] = becomes | self.raw(id);
            }
        }
        eog.sort_unstable();
        eog.dedup();
        eog
    }

    /// The bit that belongs to the vocabulary and outlives llama.cpp's assignments.
    fn raw(&self, id: u32) -> u16 {
        self.builder.attributes_of(id) & attribute::RAW
    }

    /// Ids of the tokens that are searched for in a text.
    fn special_ids(&self) -> Vec<u32> {
        let special = attribute::CONTROL | attribute::USER_DEFINED | attribute::UNKNOWN;
        (0..self.builder.len()).filter(|&id| self.builder.attributes_of(id) & special != 0).collect()
    }

    /// What each token renders to with special tokens rendered, where that is not its key.
    fn render(&mut self, kind: &Kind) -> Result<(), FormatError> {
        let soprano = kind.pre().is_some_and(|pre| pre.kind == PreKind::Soprano);
        let verbatim = attribute::UNKNOWN | attribute::CONTROL | attribute::USER_DEFINED;
        for id in 0..self.builder.len() {
            let attributes = self.builder.attributes_of(id);
            let piece = if let Kind::Rwkv = kind {
                match self.builder.key(id) {
                    key if key.contains(&b'\\') => rwkv::unescape(key),
                    _ => continue,
                }
            } else if let Kind::Plamo(_) = kind {
                match gguf_models::plamo_byte(attributes, self.builder.key(id)) {
                    Some(byte) => vec![byte],
                    None => continue,
                }
            } else if let Some(text) = self.unmarked(id).filter(|_| attributes & verbatim != 0) {
                text.to_vec()
            } else if attributes & verbatim != 0 {
                match self.builder.text(id) {
                    Some(Cow::Owned(text)) if text != self.builder.key(id) => text,
                    _ => continue,
                }
            } else if attributes & attribute::NORMAL != 0 {
                if kind.alphabet() == Alphabet::ByteLevel {
                    if attributes & attribute::RAW == 0 {
                        continue;
                    }
                    outside_alphabet(self.unmarked(id).unwrap_or(self.builder.key(id)))
                } else {
                    let unmarked = self.unmarked(id);
                    let key = unmarked.unwrap_or(self.builder.key(id));
                    if soprano {
                        key.to_vec()
                    } else if !kind.escape_whitespaces() {
                        outside_alphabet(key)
                    } else if unmarked.is_some() {
                        let mut piece = Vec::with_capacity(key.len());
                        append_unescaped(key, &mut piece);
                        piece
                    } else {
                        self.builder.unescape_piece(id);
                        continue;
                    }
                }
            } else if attributes & attribute::BYTE != 0 {
                match self.builder.text(id).as_deref() {
                    Some(text) if text.len() >= 3 => vec![byte_of(text)],
                    text => {
                        let found = String::from_utf8_lossy(text.unwrap_or_default()).into_owned();
                        return Err(value(
                            TOKENS,
                            &format!("a byte token such as <0x0A> at id {id}"),
                            &found,
                        ));
                    }
                }
            } else {
                Vec::new()
            };
            self.builder.piece(id, &piece);
        }
        Ok(())
    }

    /// White space that a special token takes with it. Only these models have it in llama.cpp, whatever else a file says.
    fn strip_attributes(&mut self, gguf: &Gguf, special_ids: &[u32]) -> Result<(), FormatError> {
        let contains = |text: &[u8], part: &str| memchr::memmem::find(text, part.as_bytes()).is_some();
        let pre = gguf.string(PRE).map(c_string).unwrap_or_default();
        let architecture = gguf.string("general.architecture").map(c_string).unwrap_or_default();
        let name = gguf.string("general.name").map(c_string).unwrap_or_default().to_ascii_lowercase();
        if ["jina-v2-de", "jina-v2-es", "jina-v2-code", "mmbert"].iter().any(|part| contains(pre, part))
            || ["nomic-bert-moe", "jina-bert-v3"].iter().any(|part| contains(architecture, part))
        {
            self.set_attribute("<mask>", attribute::LSTRIP);
        } else if contains(&name, "phi-3") || contains(&name, "phi3") {
            for &id in special_ids {
                self.builder.attributes()[id as usize] |= attribute::RSTRIP;
            }
            self.require("</s>")?;
            self.set_attribute("</s>", attribute::RSTRIP);
            for name in ["<unk>", "<s>", "<|endoftext|>"] {
                let id = self.require(name)?;
                self.builder.attributes()[id as usize] &= !attribute::RSTRIP;
            }
        } else if contains(&name, "modern-bert") {
            self.set_attribute("[MASK]", attribute::LSTRIP);
        }
        Ok(())
    }

    fn set_attribute(&mut self, name: &str, bit: u16) {
        if let Some(id) = self.by_name(name) {
            self.builder.attributes()[id as usize] |= bit;
        }
    }

    /// llama.cpp throws when one of these is missing from a model named after Phi-3.
    fn require(&self, name: &str) -> Result<u32, FormatError> {
        self.by_name(name)
            .ok_or_else(|| value(TOKENS, &format!("the token {name} of a Phi-3 model"), "no such token"))
    }
}

/// Appends the key that a line of the merges list makes, and gives where the right half of it begins; `None` for a line that can
/// never apply.
fn read_merge(line: &[u8], byte_encode: bool, key: &mut Vec<u8>) -> Option<usize> {
    let line = c_string(line);
    // The left text may begin with a space, the right one may hold more of them.
    let space = line.iter().skip(1).position(|&byte| byte == b' ')? + 1;
    let (left, right) = (&line[..space], &line[space + 1..]);
    if !byte_encode {
        key.extend_from_slice(left);
        key.extend_from_slice(right);
        return Some(left.len());
    }
    // A text that is not of the alphabet is never a symbol, so the line can never apply.
    if !decode_alphabet(left, key) {
        return None;
    }
    let split = key.len();
    decode_alphabet(right, key).then_some(split)
}

/// How llama.cpp renders a normal token by the GPT-2 alphabet, and what it puts where a character is not of that alphabet.
fn outside_alphabet(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let (character, len) = unicode::decode(text, at);
        if let Some(byte) = unicode::char_to_byte(character) {
            out.push(byte);
        } else {
            let mut utf8 = Vec::new();
            unicode::encode(character, &mut utf8);
            out.extend_from_slice(b"[UNK_BYTE_0x");
            for byte in utf8 {
                out.extend_from_slice(format!("{byte:02x}").as_bytes());
            }
            out.extend_from_slice(text);
            out.push(b']');
        }
        at += len;
    }
    out
}

/// The byte that `<0x0A>` stands for: two digits behind the third character, as C's `strtol` reads them.
fn byte_of(text: &[u8]) -> u8 {
    let digits = text[3..].iter().take(2);
    digits.map_while(|&digit| char::from(digit).to_digit(16)).fold(0, |byte, digit| byte << 4 | digit as u8)
}

/// The candidate that llama.cpp, built with libstdc++, meets first when it walks its map from texts to ids: the order of
/// `std::unordered_map` with the hash that libstdc++ uses, which is the same on every run.
///
/// Buckets are walked by their lowest id, the highest first; within a bucket the highest id comes first.
fn first_in_hash_order<'t>(
    gguf: &Gguf,
    candidates: &[u32],
    text: impl Fn(u32) -> Option<Cow<'t, [u8]>>,
) -> Option<u32> {
    let texts = gguf.strings(TOKENS)?;
    let len = texts.len() as u64;
    let buckets = BUCKETS.iter().copied().find(|&buckets| buckets >= len)?;
    // The remainder by way of a reciprocal, at most two too low: a division for every token would take longer than all else here.
    let reciprocal = u64::MAX / buckets;
    let bucket = |text: &[u8]| {
        let hash = libstdcxx_hash(text);
        let mut rest = hash - ((u128::from(hash) * u128::from(reciprocal)) >> 64) as u64 * buckets;
        while rest >= buckets {
            rest -= buckets;
        }
        rest
    };
    let mut firsts: Vec<(u64, Option<u32>, u32)> =
        candidates.iter().filter_map(|&id| Some((bucket(&text(id)?), None, id))).collect();
    for (id, text) in texts.enumerate() {
        let text = c_string(text);
        let of = if text.is_empty() { bucket(format!("[EMPTY_{id}]").as_bytes()) } else { bucket(text) };
        for (_, first, _) in firsts.iter_mut().filter(|(bucket, first, _)| *bucket == of && first.is_none()) {
            *first = Some(id as u32);
        }
    }
    firsts.into_iter().max_by_key(|&(_, first, id)| (first, id)).map(|(_, _, id)| id)
}

/// `std::hash<std::string>` of libstdc++ on 64 bits (`_Hash_bytes`, a MurmurHash64A).
fn libstdcxx_hash(text: &[u8]) -> u64 {
    const MUL: u64 = 0xC6A4_A793_5BD1_E995;
    let mut hash = 0xC70F_6907 ^ (text.len() as u64).wrapping_mul(MUL);
    let (blocks, tail) = text.as_chunks::<8>();
    for &block in blocks {
        let block = u64::from_le_bytes(block).wrapping_mul(MUL);
        hash = (hash ^ (block ^ block >> 47).wrapping_mul(MUL)).wrapping_mul(MUL);
    }
    if !tail.is_empty() {
        hash = (hash ^ load_word(tail, 0)).wrapping_mul(MUL);
    }
    hash = (hash ^ hash >> 47).wrapping_mul(MUL);
    hash ^ hash >> 47
}

fn chat_templates(gguf: &Gguf) -> Vec<(Option<String>, String)> {
    const KEY: &[u8] = b"tokenizer.chat_template";
    let text = |bytes: &[u8]| String::from_utf8_lossy(c_string(bytes)).into_owned();
    let named = gguf.entries().filter_map(|entry| {
        let name = entry.key().strip_prefix(KEY)?;
        let source = text(entry.value().as_bytes()?);
        if name.is_empty() {
            return Some((None, source));
        }
        Some((Some(text(name.strip_prefix(b".")?)), source))
    });
    named.collect()
}

/// llama.cpp reads strings through C: up to the first NUL.
fn c_string(bytes: &[u8]) -> &[u8] {
    // Most are a few bytes long, where the call of a vectorised search would cost more than the search.
    let end = if bytes.len() < 32 { find_byte(bytes, 0, bytes.len(), 0) } else { memchr::memchr(0, bytes) };
    &bytes[..end.unwrap_or(bytes.len())]
}

fn missing(key: &str) -> FormatError {
    FormatError::MissingKey { file: FILE.into(), key: key.into() }
}

fn short(key: &str, expected: usize, found: usize) -> FormatError {
    value(key, &format!("one entry for each of the {expected} tokens"), &format!("{found}"))
}

const MODEL: &str = "tokenizer.ggml.model";
const PRE: &str = "tokenizer.ggml.pre";
const SCORES: &str = "tokenizer.ggml.scores";
const TYPES: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";

const EOT_NAMES: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "<｜end▁of▁sentence｜>",
    "<end_of_utterance>",
];
const EOM_NAMES: &[&str] = &["<|eom_id|>"];
const FIM_PRE_NAMES: &[&str] = &[
    "<|fim_prefix|>",
    "<fim-prefix>",
    "<fim_prefix>",
    "<｜fim▁begin｜>",
    "<PRE>",
    "▁<PRE>",
    "<|code_prefix|>",
    "<|prefix|>",
    "<|plamo:fim_prefix|>",
];
const FIM_SUF_NAMES: &[&str] = &[
    "<|fim_suffix|>",
    "<fim-suffix>",
    "<fim_suffix>",
    "<｜fim▁hole｜>",
    "<SUF>",
    "▁<SUF>",
    "<|code_suffix|>",
    "<|suffix|>",
    "<|plamo:fim_suffix|>",
];
const FIM_MID_NAMES: &[&str] = &[
    "<|fim_middle|>",
    "<fim-middle>",
    "<fim_middle>",
    "<｜fim▁end｜>",
    "<MID>",
    "▁<MID>",
    "<|code_middle|>",
    "<|middle|>",
    "<|plamo:fim_middle|>",
];
const FIM_PAD_NAMES: &[&str] = &["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"];
const FIM_REP_NAMES: &[&str] = &["<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"];
const FIM_SEP_NAMES: &[&str] = &["<|file_sep|>", "<|plamo:file_separator|>"];
const EOG_NAMES: &[&str] = &[
    "<|eot_id|>",
    "<|eot|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
    "<|ifm|im_end|>",
];
const FLINT_EOG_NAMES: &[&str] = &["<|user|>", "<|observation|>"];
/// Markers of the Harmony format: always found in a text, always rendered.
const HARMONY_NAMES: &[&str] = &["<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"];

/// Bucket counts that `std::unordered_map` of libstdc++ grows through, as far as a vocabulary may need them.
#[rustfmt::skip]
const BUCKETS: &[u64] = &[
    2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 103, 109, 113, 127, 137, 139, 149, 157,
    167, 179, 193, 199, 211, 227, 241, 257, 277, 293, 313, 337, 359, 383, 409, 439, 467, 503, 541, 577, 619, 661, 709, 761, 823, 887,
    953, 1031, 1109, 1193, 1289, 1381, 1493, 1613, 1741, 1879, 2029, 2179, 2357, 2549, 2753, 2971, 3209, 3469, 3739, 4027, 4349, 4703,
    5087, 5503, 5953, 6427, 6949, 7517, 8123, 8783, 9497, 10273, 11113, 12011, 12983, 14033, 15173, 16411, 17749, 19183, 20753, 22447,
    24281, 26267, 28411, 30727, 33223, 35933, 38873, 42043, 45481, 49201, 53201, 57557, 62233, 67307, 72817, 78779, 85229, 92203,
    99733, 107_897, 116_731, 126_271, 136_607, 147_793, 159_871, 172_933, 187_091, 202_409, 218_971, 236_897, 256_279, 277_261, 299_951,
    324_503, 351_061, 379_787, 410_857, 444_487, 480_881, 520_241, 562_841, 608_903, 658_753, 712_697, 771_049, 834_181, 902_483,
    976_369, 1_056_323, 1_142_821, 1_236_397, 1_337_629, 1_447_153, 1_565_659, 1_693_859, 1_832_561, 1_982_627, 2_144_977, 2_320_627,
    2_510_653, 2_716_249, 2_938_679, 3_179_303, 3_439_651, 3_721_303, 4_026_031, 4_355_707, 4_712_381, 5_098_259,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Check values from a run of libstdc++.
    #[test]
    fn the_hash_is_that_of_libstdcxx() {
        assert_eq!(libstdcxx_hash(b"abc"), 3_663_726_644_998_027_833);
        assert_eq!(libstdcxx_hash(b"<|im_end|>"), 2_038_672_007_907_099_973);
    }

    #[test]
    fn a_byte_token_is_read_as_strtol_reads_it() {
        assert_eq!(
            [byte_of(b"<0x0A>"), byte_of(b"<0xff>"), byte_of(b"<0xZZ>"), byte_of(b"<0x1")],
            [0x0A, 0xFF, 0, 1]
        );
    }
}
