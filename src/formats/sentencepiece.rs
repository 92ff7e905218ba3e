//! SentencePiece models: a protobuf of pieces, how the text is normalized, and how the pieces were trained.
//!
//! Reference: sentencepiece 0.2.3, `sentencepiece_model.proto`, and `Load` and `InitializePieces` for what it accepts.

use prost::bytes::Bytes;

use super::FormatError;
use super::side_files::SideFiles;
use crate::encode::normalize::SentencePieceText;
use crate::encode::special_tokens::Specials;
use crate::semantics::post_processor::Processing;
use crate::semantics::sentencepiece::{self, Model};
use crate::semantics::{Pipeline, Recipe, SpecialTokens};
use crate::tokenizer::Tokenizer;
use crate::vocabulary::{Alphabet, Builder, Charsmap, NONE, Trie, attribute};

/// Builds the tokenizer of the model `name` with the content `bytes`; `side` says what lies beside it.
pub(crate) fn load(name: &str, bytes: &[u8], side: &SideFiles) -> Result<Tokenizer, FormatError> {
    let value = |place: String, expected: &str, found: String| FormatError::Value {
        file: name.to_owned(),
        place,
        expected: expected.to_owned(),
        found,
    };
    let malformed = |source: Box<dyn std::error::Error + Send + Sync>| FormatError::Malformed {
        file: name.to_owned(),
        source,
    };
    if let Some(class) = side.tokenizer_class.as_deref().filter(|class| shifts_ids(class)) {
        return Err(FormatError::UnsupportedModel {
            file: name.to_owned(),
            kind: class.to_owned(),
            hint: "; the ids of this class are not those of its SentencePiece model, its `tokenizer.json` settles them".into(),
        });
    }
    if bytes.len() > MOST_BYTES {
        return Err(value("length".into(), "at most 64 MiB", format!("{} bytes", bytes.len())));
    }
    let file: ModelProto =
        prost::Message::decode(Bytes::copy_from_slice(bytes)).map_err(|error| malformed(Box::new(error)))?;
    let trainer = file.trainer_spec.unwrap_or_default();
    let byte_fallback = trainer.byte_fallback.unwrap_or(false);
    let kind = Kind::of(trainer.model_type.unwrap_or(1)).ok_or_else(|| {
        let found = trainer.model_type.unwrap_or_default().to_string();
        value("trainer_spec.model_type".into(), "1 (Unigram), 2 (BPE), 3 (word) or 4 (char)", found)
    })?;
    let mut pieces = Pieces::read(name, &file.pieces, kind, byte_fallback)?;

    let normalizer_spec = file.normalizer_spec.unwrap_or_default();
    let suffix = trainer.treat_whitespace_as_suffix.unwrap_or(false);
    let (normalizer, charsmap) = normalizer_spec.read(suffix).map_err(|error| malformed(error.into()))?;
    let denormalizer = file.denormalizer_spec.unwrap_or_default();
    let denormalizer = match denormalizer.precompiled_charsmap.clone() {
        Some(map) if !map.is_empty() => {
            Some((denormalizer.read(false).map_err(|error| malformed(error.into()))?.0, map.to_vec()))
        }
        _ => None,
    };

    // Pieces beside the model: sentencepiece does not know them, but models trained further have them.
    let mut notes = side.notes.clone();
    let mut added = Vec::new();
    for token in &side.added_tokens {
        let id = token.id as usize;
        if id < file.pieces.len() {
            continue;
        }
        if id > file.pieces.len() + side.added_tokens.len() + MOST_HOLES {
            notes.push(format!(
                "the added token {:?} is left out: its id {id} is far beyond the others",
                token.content
            ));
            continue;
        }
        let vocabulary = |source| FormatError::Vocabulary { file: name.to_owned(), source };
        while pieces.builder.len() < token.id {
            pieces.builder.push_hole().map_err(vocabulary)?;
        }
        if pieces.builder.len() == token.id {
            let attributes = if token.special { attribute::CONTROL } else { attribute::USER_DEFINED };
            match pieces.builder.push_raw(token.content.as_bytes(), attributes) {
                Ok(id) => added.push(id),
                // A piece of the same text: that one is found in a text, this id only rendered.
                Err(_) => notes.push(format!(
                    "the added token {:?} is left out: there is a piece of that text",
                    token.content
                )),
            }
        }
    }

    let controls = pieces.controls.clone();
    let unk = pieces.unk.unwrap_or(NONE);
    let surface = trainer.unk_surface.as_deref().unwrap_or(" \u{2047} ".as_bytes()).to_owned();
    let (mut vocabulary, trie, prefixes) = pieces.finish(name, &surface, added.len())?;
    vocabulary.trie = trie;
    vocabulary.prefixes = prefixes;
    vocabulary.charsmap = charsmap;

    let control = |text: &[u8]| controls.iter().copied().find(|&id| vocabulary.keys().at(id) == text);
    let own = |piece: &Option<Bytes>, default: &str| {
        control(piece.as_deref().filter(|text| !text.is_empty()).unwrap_or(default.as_bytes()))
    };
    let (beside, mut eog) = side.special_tokens(|text| vocabulary.token_by_text(text.as_bytes()));
    let special = SpecialTokens {
        bos: own(&trainer.bos_piece, "<s>").or(beside.bos),
        eos: own(&trainer.eos_piece, "</s>").or(beside.eos),
        pad: own(&trainer.pad_piece, "<pad>").or(beside.pad),
        unk: Some(unk).filter(|&unk| unk != NONE),
        ..beside
    };
    eog.extend(special.eos);
    eog.sort_unstable();
    eog.dedup();
    eog.retain(|&id| id < vocabulary.len);
    let class = side.tokenizer_class.as_deref().unwrap_or_default();
    let frames = FRAMING.iter().any(|framing| class.starts_with(framing));
    // Without a word on it, a model begins its texts with BOS; one that has none (T5) ends them with EOS.
    let add_bos = side.add_bos.unwrap_or(true) && !class.starts_with("T5");
    let add_eos = side.add_eos.unwrap_or(frames || special.bos.is_none() || class.starts_with("T5"));
    let recipe = sentencepiece::Recipe {
        model: kind.model(&file.pieces),
        normalizer,
        unk,
        byte_fallback,
        bos: special.bos.filter(|_| add_bos),
        eos: special.eos.filter(|_| add_eos),
        denormalizer,
    };
    let specials: Vec<_> =
        controls.into_iter().chain(added).map(|id| (id, vocabulary.keys().at(id).to_vec().into())).collect();
    let specials = Specials::new(specials);
    let recipe = Recipe {
        special,
        eog,
        add_bos: recipe.bos.is_some(),
        add_eos: recipe.eos.is_some(),
        chat_templates: side.chat_templates.clone(),
        processing: Processing::default(),
        notes,
        pipeline: Pipeline::SentencePiece(recipe),
    };
    Ok(Tokenizer::new(vocabulary, specials, recipe))
}

/// `ModelProto`, as far as it matters here.
#[derive(Clone, PartialEq, prost::Message)]
struct ModelProto {
    #[prost(message, repeated, tag = "1")]
    pieces: Vec<PieceProto>,
    #[prost(message, optional, tag = "2")]
    trainer_spec: Option<TrainerSpec>,
    #[prost(message, optional, tag = "3")]
    normalizer_spec: Option<NormalizerSpec>,
    #[prost(message, optional, tag = "5")]
    denormalizer_spec: Option<NormalizerSpec>,
}

/// `ModelProto.SentencePiece`. Texts are bytes here: whether they are UTF-8 is not for the reader to say.
#[derive(Clone, PartialEq, prost::Message)]
struct PieceProto {
    #[prost(bytes = "bytes", tag = "1")]
    piece: Bytes,
    #[prost(float, tag = "2")]
    score: f32,
    #[prost(int32, optional, tag = "3")]
    r#type: Option<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TrainerSpec {
    #[prost(int32, optional, tag = "3")]
    model_type: Option<i32>,
    #[prost(bool, optional, tag = "24")]
    treat_whitespace_as_suffix: Option<bool>,
    #[prost(bool, optional, tag = "35")]
    byte_fallback: Option<bool>,
    #[prost(bytes = "bytes", optional, tag = "44")]
    unk_surface: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "46")]
    bos_piece: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "47")]
    eos_piece: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "48")]
    pad_piece: Option<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct NormalizerSpec {
    #[prost(bytes = "bytes", optional, tag = "2")]
    precompiled_charsmap: Option<Bytes>,
    #[prost(bool, optional, tag = "3")]
    add_dummy_prefix: Option<bool>,
    #[prost(bool, optional, tag = "4")]
    remove_extra_whitespaces: Option<bool>,
    #[prost(bool, optional, tag = "5")]
    escape_whitespaces: Option<bool>,
}

/// Why a charsmap is none that sentencepiece would take.
#[derive(Debug, thiserror::Error)]
enum CharsmapShape {
    #[error(transparent)]
    Parse(#[from] crate::vocabulary::CharsmapError),
    #[error("expected a precompiled charsmap whose array is a multiple of 1024 bytes, found {0} bytes")]
    Array(usize),
    #[error("expected the last replacement of a precompiled charsmap to end with a zero byte")]
    End,
}

impl NormalizerSpec {
    fn read(&self, whitespace_as_suffix: bool) -> Result<(SentencePieceText, Charsmap), CharsmapShape> {
        let bytes = self.precompiled_charsmap.as_deref().unwrap_or_default();
        let charsmap = if bytes.is_empty() { Charsmap::default() } else { Charsmap::parse(bytes)? };
        let array = charsmap.units.len() * 4;
        if !bytes.is_empty() && (array == 0 || array % 1024 != 0) {
            return Err(CharsmapShape::Array(array));
        }
        if bytes.last().is_some_and(|&last| last != 0) {
            return Err(CharsmapShape::End);
        }
        let normalizer = SentencePieceText {
            add_dummy_prefix: self.add_dummy_prefix.unwrap_or(true),
            remove_extra_whitespaces: self.remove_extra_whitespaces.unwrap_or(true),
            escape_whitespaces: self.escape_whitespaces.unwrap_or(true),
            whitespace_as_suffix,
            plain_ascii: charsmap.plain_ascii(),
        };
        Ok((normalizer, charsmap))
    }
}

/// `TrainerSpec.ModelType`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Unigram,
    Bpe,
    Word,
    Char,
}

impl Kind {
    fn of(model_type: i32) -> Option<Self> {
        match model_type {
            1 => Some(Self::Unigram),
            2 => Some(Self::Bpe),
            3 => Some(Self::Word),
            4 => Some(Self::Char),
            _ => None,
        }
    }

    fn model(self, pieces: &[PieceProto]) -> Model {
        match self {
            Self::Unigram => {
                let normal = pieces.iter().filter(|piece| piece.type_of() == Type::Normal);
                let least = normal.map(|piece| piece.score).fold(f32::MAX, f32::min);
                Model::Unigram { unk_score: least - UNK_PENALTY }
            }
            Self::Bpe => {
                // An unused piece of one character is no merge, but it is not used either.
                let unused = |piece: &PieceProto| piece.type_of() == Type::Unused && *piece.piece != *b"\0";
                Model::Bpe { resegments: pieces.iter().any(unused) }
            }
            Self::Word => Model::Word,
            Self::Char => Model::Char,
        }
    }
}

/// `ModelProto.SentencePiece.Type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Type {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Byte,
    Unused,
}

impl PieceProto {
    fn type_of(&self) -> Type {
        match self.r#type {
            Some(2) => Type::Unknown,
            Some(3) => Type::Control,
            Some(4) => Type::UserDefined,
            Some(5) => Type::Unused,
            Some(6) => Type::Byte,
            // A value that the format does not know is as good as none.
            _ => Type::Normal,
        }
    }
}

/// The pieces, on their way into a vocabulary.
struct Pieces<'p> {
    builder: Builder,
    scores: Vec<f32>,
    /// Pieces that a Unigram model looks for.
    searched: Vec<(u32, &'p [u8])>,
    user_defined: Vec<(u32, &'p [u8])>,
    controls: Vec<u32>,
    bytes: [u32; 256],
    unk: Option<u32>,
}

impl<'p> Pieces<'p> {
    /// Takes what sentencepiece takes, and refuses what it refuses.
    fn read(
        name: &str,
        pieces: &'p [PieceProto],
        kind: Kind,
        byte_fallback: bool,
    ) -> Result<Self, FormatError> {
        let vocabulary = |source| FormatError::Vocabulary { file: name.to_owned(), source };
        let length = pieces.iter().map(|piece| piece.piece.len()).sum();
        let mut read = Self {
            builder: Builder::new(Alphabet::Text, pieces.len(), length).map_err(vocabulary)?,
            scores: Vec::with_capacity(pieces.len()),
            searched: Vec::new(),
            user_defined: Vec::new(),
            controls: Vec::new(),
            bytes: [NONE; 256],
            unk: None,
        };
        for (id, proto) in (0..).zip(pieces) {
            let text: &'p [u8] = &proto.piece;
            let wrong = |expected: &str, found: String| FormatError::Value {
                file: name.to_owned(),
                place: format!("piece {id}"),
                expected: expected.to_owned(),
                found,
            };
            let mut kind_of = proto.type_of();
            // Converters write one where `<0x00>` is meant; sentencepiece sets it aside.
            if text == b"\0" && (byte_fallback || kind_of == Type::Unused) {
                kind_of = Type::Unused;
            } else if text.is_empty() || text.len() >= MOST_PIECE_BYTES || text.contains(&0) {
                let found = format!("{} bytes, {}", text.len(), super::excerpt(text));
                return Err(wrong("a piece of 1 to 7999 bytes without a zero byte", found));
            }
            let mut score = proto.score;
            if kind == Kind::Unigram && !score.is_finite() {
                return Err(wrong("a finite score", score.to_string()));
            }
            let is_null = text == b"\0";
            let attributes = kind_of.attributes();
            match kind_of {
                Type::Normal | Type::UserDefined | Type::Unused if !is_null => {
                    read.builder.push(text, attributes).map_err(vocabulary)?;
                }
                _ => {
                    read.builder.push_raw(text, attributes).map_err(vocabulary)?;
                }
            }
            match kind_of {
                Type::Normal => read.searched.push((id, text)),
                Type::UserDefined => {
                    read.searched.push((id, text));
                    read.user_defined.push((id, text));
                    if kind == Kind::Unigram {
                        // In the lattice such a piece scores by its length in bytes, whatever its own score.
                        score = (0.1 * (text.len() - 1) as f64) as f32;
                    }
                }
                Type::Control => read.controls.push(id),
                Type::Unused => {}
                Type::Unknown => {
                    if let Some(first) = read.unk.replace(id) {
                        return Err(wrong("one unknown piece", format!("another one at {first}")));
                    }
                }
                Type::Byte => {
                    let byte = byte_of(text).filter(|_| byte_fallback).ok_or_else(|| {
                        let expected = if byte_fallback {
                            "`<0x00>` to `<0xFF>`"
                        } else {
                            "no byte pieces without `byte_fallback`"
                        };
                        wrong(expected, super::excerpt(text))
                    })?;
                    read.bytes[usize::from(byte)] = id;
                }
            }
            read.scores.push(score);
        }
        let missing = |expected: String| FormatError::Value {
            file: name.to_owned(),
            place: "pieces".into(),
            expected,
            found: "none".into(),
        };
        if byte_fallback && let Some(byte) = read.bytes.iter().position(|&id| id == NONE) {
            return Err(missing(format!("the byte piece `<0x{byte:02X}>`, since `byte_fallback` is set")));
        }
        if !byte_fallback && read.unk.is_none() {
            return Err(missing("an unknown piece".into()));
        }
        if kind == Kind::Unigram && read.searched.is_empty() {
            return Err(missing("pieces to cut a text into".into()));
        }
        if kind != Kind::Unigram {
            read.searched = Vec::new();
        }
        Ok(read)
    }

    /// The vocabulary, the trie of what a Unigram model looks for, and that of user-defined pieces.
    fn finish(
        mut self,
        name: &str,
        unk_surface: &[u8],
        added: usize,
    ) -> Result<(crate::vocabulary::Vocabulary, Trie, Trie), FormatError> {
        let vocabulary = |source| FormatError::Vocabulary { file: name.to_owned(), source };
        let ids = self.builder.len();
        debug_assert!(ids as usize >= self.scores.len() + added);
        self.scores.resize(ids as usize, 0.0);
        self.builder.scores(std::mem::take(&mut self.scores)).map_err(vocabulary)?;
        let mut rendered = Vec::new();
        for id in 0..ids {
            let attributes = self.builder.attributes()[id as usize];
            let key = self.builder.key(id);
            rendered.clear();
            if attributes & attribute::BYTE != 0 {
                rendered.extend(byte_of(key));
            } else if attributes & attribute::UNKNOWN != 0 {
                rendered.extend_from_slice(unk_surface);
            } else {
                if attributes & attribute::CONTROL == 0 {
                    self.builder.unescape_piece(id);
                }
                continue;
            }
            self.builder.piece(id, &rendered);
        }
        let trie = Trie::new(self.searched).map_err(vocabulary)?;
        let prefixes = Trie::new(self.user_defined).map_err(vocabulary)?;
        let finished = self.builder.finish(&self.bytes).map_err(vocabulary)?;
        Ok((finished, trie, prefixes))
    }
}

impl Type {
    fn attributes(self) -> u16 {
        match self {
            Self::Normal => attribute::NORMAL,
            Self::Unknown => attribute::UNKNOWN,
            Self::Control => attribute::CONTROL,
            Self::UserDefined => attribute::USER_DEFINED,
            Self::Byte => attribute::BYTE,
            Self::Unused => attribute::UNUSED,
        }
    }
}

/// The byte that `<0x0A>` stands for; only upper-case digits count.
fn byte_of(piece: &[u8]) -> Option<u8> {
    let digits = piece.strip_prefix(b"<0x")?.strip_suffix(b">")?;
    let valid = digits.len() == 2 && digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F'));
    valid.then(|| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()).flatten()
}

/// Whether transformers gives the pieces of this class other ids than the model does: an offset, or a vocabulary of its own.
fn shifts_ids(class: &str) -> bool {
    let name = class.strip_suffix("Fast").unwrap_or(class).strip_suffix("Tokenizer").unwrap_or(class);
    SHIFTING.contains(&name)
}

const SHIFTING: &[&str] = &[
    "XLMRoberta",
    "Camembert",
    "MBart",
    "MBart50",
    "Nllb",
    "XGLM",
    "Pegasus",
    "BigBirdPegasus",
    "XLMProphetNet",
    "Barthez",
    "Bartpho",
    "Plbart",
    "M2M100",
    "Marian",
    "Speech2Text",
    "ErnieM",
];
/// Classes that frame a text on both sides.
const FRAMING: &[&str] = &["Albert", "DebertaV2", "BigBird", "Rembert", "FNet"];
/// `kUnkPenalty`.
const UNK_PENALTY: f32 = 10.0;
/// `kMaxPieceSize`.
const MOST_PIECE_BYTES: usize = 8000;
/// The largest models have five megabytes; what is read takes several times its size.
const MOST_BYTES: usize = 64 << 20;
/// Added tokens may leave so many ids free below them.
const MOST_HOLES: usize = 4096;
