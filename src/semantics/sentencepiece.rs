//! Encoding and rendering as `sentencepiece` does: the driver of SentencePiece models that come as such.
//!
//! Reference: sentencepiece 0.2.3, `normalizer.cc`, `bpe_model.cc`, `unigram_model.cc` (`EncodeOptimized`), `char_model.cc`,
//! `word_model.cc`, and `EncodeOptimized` and `DecodeOptimized` of `sentencepiece_processor.cc`. A GGUF made from the same model
//! encodes differently in places, see [`llama`](super::llama_cpp).
//!
//! sentencepiece itself does not look for control pieces in a text. With [`Special::Parse`] the text is cut at them first, the
//! longest where several begin, and each part is encoded as a text of its own.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::encode::normalize::{Normalizer, SentencePieceText};
use crate::encode::road::{Frame, Road, SpecialTokens, Step};
use crate::model;
use crate::model::bpe::{Bpe, MergeBy, Start, Unknown, WholeWord};
use crate::model::tokens::UnknownPiece;
use crate::model::unigram::Unigram;
use crate::split::PreTokenizer;

/// What the model says beside its pieces.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Recipe {
    pub(crate) model: Model,
    pub(crate) normalizer: SentencePieceText,
    /// The piece for what is no piece; [`NONE`] where bytes stand in and there is none.
    pub(crate) unk: u32,
    /// An unknown character becomes pieces of its bytes.
    pub(crate) byte_fallback: bool,
    /// The id that [`Special::Add`] puts in front.
    pub(crate) bos: Option<u32>,
    /// The id that [`Special::Add`] puts behind.
    pub(crate) eos: Option<u32>,
    /// What rendered text goes through, with its charsmap as the file has it.
    pub(crate) denormalizer: Option<(SentencePieceText, Vec<u8>)>,
}

/// The algorithm, with what only it needs.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) enum Model {
    /// Pieces merge by score.
    Bpe {
        /// Some pieces are marked unused: they merge and are taken apart again.
        resegments: bool,
    },
    /// The likeliest sequence of pieces.
    Unigram {
        /// What a character without a piece scores.
        unk_score: f32,
    },
    /// Each character is a piece.
    Char,
    /// Each word is a piece.
    Word,
}

impl Recipe {
    /// sentencepiece's way from text to ids.
    pub(crate) fn road(&self) -> Road {
        let unknown = UnknownPiece { unk: self.unk, byte_fallback: self.byte_fallback };
        let bpe = |merges| {
            model::Model::Bpe(Bpe {
                start: Start::CharactersAndPieces,
                merges,
                whole: WholeWord::Never,
                unknown: Unknown::Piece(unknown),
                atoms: Arc::default(),
            })
        };
        let mut steps = Vec::new();
        let (model, unit_limit) = match self.model {
            Model::Bpe { resegments: false } => (bpe(MergeBy::ScoreBits), usize::MAX),
            Model::Bpe { resegments: true } => (bpe(MergeBy::ScoreBitsAndSplit), 0),
            Model::Unigram { unk_score } => {
                (model::Model::Unigram(Unigram::Single { unknown, unk_score }), 0)
            }
            Model::Char => (model::Model::Characters(unknown), 0),
            Model::Word => {
                steps.push(Step::Split(PreTokenizer::Before('▁')));
                (model::Model::Whole(unknown), 0)
            }
        };
        Road {
            utf8: false,
            frame: Frame::new(self.bos.as_slice(), self.eos.as_slice()),
            special_tokens: SpecialTokens::WhenParsed,
            normalizers: vec![Normalizer::SentencePiece(self.normalizer)],
            steps,
            unit_limit,
            model,
            fuse: (!self.byte_fallback).then_some(self.unk),
        }
    }
}
