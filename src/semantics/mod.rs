//! Whose ids: one recipe for each owner of a format.

pub(crate) mod llama_cpp;
pub(crate) mod post_processor;
mod roles;
pub(crate) mod sentencepiece;
pub(crate) mod tiktoken;
pub(crate) mod tokenizers;

use serde::{Deserialize, Serialize};

use crate::encode::road::{Frame, Road, SpecialTokens as SpecialTokenRule};
use crate::model::Model;

pub use roles::SpecialTokens;

/// What turns a vocabulary into a tokenizer; with the vocabulary's tables it is all that an image holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Recipe {
    pub(crate) pipeline: Pipeline,
    /// Special ids by role.
    pub(crate) special: SpecialTokens,
    /// Ids that end a generation, ascending.
    pub(crate) eog: Vec<u32>,
    pub(crate) add_bos: bool,
    pub(crate) add_eos: bool,
    /// Chat templates: name (`None` for the default one) and Jinja source.
    pub(crate) chat_templates: Vec<(Option<String>, String)>,
    /// What the source says of pairs, truncation and padding.
    pub(crate) processing: post_processor::Processing,
    /// What the file says beyond a tokenizer, for the caller to act on.
    pub(crate) notes: Vec<String>,
}

/// The semantics of a source, with its parameters.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Pipeline {
    /// llama.cpp's, for GGUF.
    Llama(llama_cpp::Recipe),
    /// That of `tokenizers`, by the engines here.
    Tokenizers(tokenizers::Recipe),
    /// That of `tokenizers`, by that crate itself. An image cannot hold it.
    #[serde(skip)]
    #[cfg_attr(not(feature = "tokenizers"), expect(dead_code, reason = "only that crate gives one"))]
    Crate(tokenizers::Wrapped),
    /// That of the package `rwkv`, for its vocabulary files.
    Rwkv,
    /// sentencepiece's, for its models.
    SentencePiece(sentencepiece::Recipe),
    /// tiktoken's, for its rank files and for tekken.json.
    Tiktoken(tiktoken::Recipe),
    /// Each byte is an id.
    Bytes,
}

impl Pipeline {
    /// The way from text to ids; `None` where the `tokenizers` crate goes it.
    pub(crate) fn road(&self) -> Option<Road> {
        Some(match self {
            Self::Llama(recipe) => recipe.road(),
            Self::Tokenizers(recipe) => recipe.road(),
            Self::Crate(_) => return None,
            // A byte that begins no token is an error; the package `rwkv` raises one, too.
            Self::Rwkv => whole_text(Model::Greedy { unknown: None }),
            Self::SentencePiece(recipe) => recipe.road(),
            Self::Tiktoken(recipe) => recipe.road(),
            Self::Bytes => whole_text(Model::Bytes),
        })
    }
}

/// Nothing but a model.
fn whole_text(model: Model) -> Road {
    Road {
        utf8: false,
        frame: Frame::default(),
        special_tokens: SpecialTokenRule::Never,
        normalizers: Vec::new(),
        steps: Vec::new(),
        unit_limit: 0,
        model,
        fuse: None,
    }
}
