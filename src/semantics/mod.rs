//! Whose ids: one recipe for each owner of a format.

pub(crate) mod llama_cpp;
mod roles;
pub(crate) mod sentencepiece;
pub(crate) mod tiktoken;
pub(crate) mod tokenizers;

use serde::{Deserialize, Serialize};

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
