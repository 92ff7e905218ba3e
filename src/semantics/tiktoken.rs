//! Encoding and rendering as tiktoken does: the driver of tiktoken's rank files and of tekken.json.
//!
//! Reference: tiktoken 0.14, `encode_ordinary` (`_encode_ordinary_native` and `byte_pair_encode` in its `src/lib.rs`): the text
//! is cut by a pattern; a piece that is a token is taken whole, any other one merges, always the two neighbours whose joined
//! bytes have the lowest rank. With [`Special::Parse`] the text is cut at special tokens first, the longest where several begin.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::encode::normalize::Normalizer;
use crate::encode::road::{Frame, Road, SpecialTokens, Step};
use crate::model::Model;
use crate::model::bpe::{Bpe, MergeBy, Start, Unknown, WholeWord};
use crate::split::{PreTokenizer, Split};

/// What the format adds to a vocabulary.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Recipe {
    pub(crate) split: Split,
    /// The id that [`Special::Add`] puts in front.
    pub(crate) bos: Option<u32>,
    /// The id that [`Special::Add`] puts behind.
    pub(crate) eos: Option<u32>,
}

impl Recipe {
    /// tiktoken's way from text to ids.
    pub(crate) fn road(&self) -> Road {
        Road {
            utf8: false,
            frame: Frame::new(self.bos.as_slice(), self.eos.as_slice()),
            special_tokens: SpecialTokens::WhenParsed,
            normalizers: Vec::new(),
            steps: vec![
                Step::Normalize(Normalizer::Repair),
                Step::Split(PreTokenizer::Matches(self.split.clone())),
            ],
            unit_limit: 0,
            // tiktoken has no answer to a byte without a token either: it panics.
            model: Model::Bpe(Bpe {
                start: Start::Bytes,
                merges: MergeBy::Rank,
                whole: WholeWord::Always,
                unknown: Unknown::Error,
                atoms: Arc::default(),
            }),
            fuse: None,
        }
    }
}
