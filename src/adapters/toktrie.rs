//! An environment for the `toktrie` crate, on which llguidance constrains what a model writes.

use std::sync::Arc;

use toktrie::{TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};

use crate::encode::Special;
use crate::tokenizer::Tokenizer;

/// Why a tokenizer gives no environment for `toktrie`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokEnvError {
    /// Nothing can end what a grammar allows.
    #[error(
        "expected a token that ends a generation, found none in the model; a model directory may have one in its \
         generation_config.json"
    )]
    NoEndOfGeneration,
}

/// With the feature `toktrie`.
impl Tokenizer {
    /// This tokenizer for llguidance and others that build on the `toktrie` crate.
    ///
    /// - A token's bytes are [`Tokenizer::token_bytes`]. Control and unknown tokens, and those that end a generation, begin with
    ///   [`TokTrie::SPECIAL_TOKEN_MARKER`], followed by their text.
    /// - What is tokenized continues a text: no space is put in front of it, as a SentencePiece vocabulary does at the beginning.
    /// - Tokens always spell what was tokenized. Where this tokenizer rewrites a text (lower case, say), or the `tokenizers` crate
    ///   encodes, the longest tokens that fit are taken, and [`TokenizerEnv::tokenize_is_canonical`] says no.
    ///
    /// `O(bytes of all tokens)`, tens of milliseconds and some ten megabytes for a large vocabulary: make one and keep it.
    ///
    /// ```
    /// use anytok::Resolver;
    ///
    /// let tokenizer = Resolver::default().resolve("testdata/models/llama-bpe.gguf")?.into_tokenizer();
    /// let env = tokenizer.tok_env()?;
    /// let ids = env.tokenize("Hello, world!");
    /// assert_eq!(env.tok_trie().decode_str(&ids), "Hello, world!");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// No token ends a generation.
    pub fn tok_env(&self) -> Result<TokEnv, TokEnvError> {
        let special = self.special_tokens();
        let eos = special.eos.or_else(|| self.eog_tokens().first().copied());
        let mut info = TokRxInfo::new(self.vocab_size(), eos.ok_or(TokEnvError::NoEndOfGeneration)?);
        (info.tok_bos, info.tok_pad, info.tok_unk) = (special.bos, special.pad, special.unk);
        info.tok_end_of_turn = special.eot;
        let words: Vec<Vec<u8>> = (0..self.vocab_size()).map(|id| self.word(id)).collect();
        let mut trie = TokTrie::from(&info, &words);
        if !self.eog_tokens().is_empty() {
            trie = trie.with_eos_tokens(self.eog_tokens());
        }
        let mut env = Env { continued: self.continued(), trie, canonical: false };
        env.canonical = env.exact(PROBE.as_bytes(), Special::Ignore).is_some();
        Ok(Arc::new(env))
    }

    /// A token as the trie has it; empty for a number that is none.
    fn word(&self, id: u32) -> Vec<u8> {
        if self.is_special(id) || self.is_eog(id) {
            let text = self.token_text(id).unwrap_or_default();
            return if text.is_empty() {
                Vec::new()
            } else {
                [&[TokTrie::SPECIAL_TOKEN_MARKER], &*text].concat()
            };
        }
        self.token_bytes(id).unwrap_or_default().to_vec()
    }
}

/// What any tokenizer changes that changes texts.
const PROBE: &str = "Hello, World! 1 + 2\n  \u{e9}t\u{e9} \u{4e2d}\u{6587}";

struct Env {
    /// `None` where the `tokenizers` crate encodes.
    continued: Option<Tokenizer>,
    trie: TokTrie,
    canonical: bool,
}

impl Env {
    /// The ids, if they spell the text.
    fn exact(&self, text: &[u8], special: Special) -> Option<Vec<TokenId>> {
        let ids = self.continued.as_ref()?.encode_bytes(text, special).ok()?;
        self.spells(&ids, text).then_some(ids)
    }

    fn spells(&self, ids: &[TokenId], text: &[u8]) -> bool {
        let mut rest = text;
        let each = |&id: &TokenId| {
            let word = if id < self.trie.vocab_size() as u32 { self.trie.token(id) } else { &[] };
            let word = word.strip_prefix(&[TokTrie::SPECIAL_TOKEN_MARKER]).unwrap_or(word);
            rest.strip_prefix(word).filter(|_| !word.is_empty()).map(|left| rest = left).is_some()
        };
        ids.iter().all(each) && rest.is_empty()
    }
}

impl TokenizerEnv for Env {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, text: &[u8]) -> Vec<TokenId> {
        self.exact(text, Special::Ignore).unwrap_or_else(|| self.trie.greedy_tokenize(text))
    }

    fn tokenize_bytes_special(&self, text: &[u8]) -> Vec<TokenId> {
        self.exact(text, Special::Parse).unwrap_or_else(|| self.tokenize_bytes(text))
    }

    fn tokenize_is_canonical(&self) -> bool {
        self.canonical
    }
}
