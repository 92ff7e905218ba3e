//! Models: one word → its tokens.
//!
//! A model knows the vocabulary and the word at hand, and nothing of memos, normalizers, places in a text or where ids go.

pub(crate) mod atoms;
pub(crate) mod bpe;
pub(crate) mod live;
pub(crate) mod marked_bpe;
pub(crate) mod merge;
pub(crate) mod plamo;
mod queue;
pub(crate) mod rwkv;
pub(crate) mod tokens;
pub(crate) mod unigram;
pub(crate) mod word_level;
pub(crate) mod wordpiece;

use std::sync::Arc;

use bpe::Bpe;
use marked_bpe::MarkedBpe;
use tokens::{NoToken, Tokens, UnknownPiece};
use unigram::Unigram;
use word_level::WordLevel;
use wordpiece::{PrefixedPieces, WordPiece};

use crate::unicode;
use crate::vocabulary::{NONE, Vocabulary, attribute};

/// How a word becomes tokens.
#[derive(Clone, Debug)]
pub(crate) enum Model {
    /// Byte-pair encoding, over bytes or characters.
    Bpe(Bpe),
    /// The same over characters with marks, or with some that have no token.
    MarkedBpe(MarkedBpe),
    /// The sequence of pieces whose scores add up to the most.
    Unigram(Unigram),
    /// The longest piece that fits, again and again; what continues a word is marked.
    WordPiece(WordPiece),
    /// The same; what begins a word is marked.
    PrefixedPieces(PrefixedPieces),
    /// The longest token that fits, again and again, over bytes. `None`: a byte that begins no token is an error.
    Greedy { unknown: Option<u32> },
    /// The cheapest sequence of pieces.
    Plamo,
    /// Each character is a piece.
    Characters(UnknownPiece),
    /// The word is a token.
    WordLevel(WordLevel),
    /// The word is a piece.
    Whole(UnknownPiece),
    /// Each byte is an id.
    Bytes,
}

/// Room for the models' work, reused from one word to the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) bpe: merge::Scratch,
    pub(crate) unigram: unigram::Scratch,
    pub(crate) wordpiece: Vec<u8>,
    pub(crate) plamo: plamo::Scratch,
}

impl Model {
    /// The token that `word` is as a whole, for models that look there first.
    #[inline]
    pub(crate) fn whole(&self, vocabulary: &Vocabulary, word: &[u8]) -> Option<u32> {
        if let Self::Bpe(bpe) = self { bpe.whole(vocabulary, word) } else { None }
    }

    /// Makes what long use is worth, unless it is made. Some tens of milliseconds for a large vocabulary.
    pub(crate) fn compile(&self, vocabulary: &Vocabulary) {
        match self {
            Self::Bpe(bpe) => bpe.compile(vocabulary),
            Self::MarkedBpe(_) => marked_bpe::compile(vocabulary),
            _ => {}
        }
    }

    /// The same, on a thread of its own where one is to be had. The text at hand waits for it only when this is
    /// called again.
    #[cold]
    pub(crate) fn compile_beside(&self, vocabulary: &Arc<Vocabulary>) {
        let Self::Bpe(bpe) = self else { return };
        if !vocabulary.compiled.begin() {
            // It has begun: this waits for the end of it, or finds everything made.
            return bpe.compile(vocabulary);
        }
        let thread = std::thread::Builder::new().name("anytok-compile".to_owned());
        let (other, shared) = (bpe.clone(), Arc::clone(vocabulary));
        if thread.spawn(move || other.compile(&shared)).is_err() {
            bpe.compile(vocabulary);
        }
    }

    /// Appends the tokens of `word`, which is not empty.
    ///
    /// # Errors
    ///
    /// A byte has no token; `tokens` is then of no use.
    pub(crate) fn encode(
        &self,
        vocabulary: &Vocabulary,
        word: &[u8],
        scratch: &mut Scratch,
        tokens: &mut Tokens,
    ) -> Result<(), NoToken> {
        match self {
            Self::Bpe(bpe) => return bpe.encode(vocabulary, word, &mut scratch.bpe, tokens),
            Self::MarkedBpe(bpe) => return bpe.encode(vocabulary, word, tokens),
            Self::WordLevel(model) => return model.encode(vocabulary, word, tokens),
            Self::Unigram(unigram) => unigram.encode(vocabulary, word, &mut scratch.unigram, tokens),
            Self::WordPiece(model) => model.encode(vocabulary, word, &mut scratch.wordpiece, tokens),
            Self::PrefixedPieces(model) => model.encode(vocabulary, word, &mut scratch.wordpiece, tokens),
            Self::Greedy { unknown } => return rwkv::encode(&vocabulary.trie, *unknown, word, tokens),
            Self::Plamo => plamo::encode(vocabulary, word, &mut scratch.plamo, tokens),
            Self::Characters(unknown) => {
                let mut at = 0;
                while at < word.len() {
                    let frozen = vocabulary.prefixes.longest(&word[at..]).map(|(len, _)| len);
                    let len = frozen.unwrap_or_else(|| unicode::utf8_len(word[at]).min(word.len() - at));
                    unknown.push(
                        vocabulary,
                        in_use(vocabulary, &word[at..at + len]),
                        word,
                        at..at + len,
                        tokens,
                    );
                    at += len;
                }
            }
            Self::Whole(unknown) => {
                unknown.push(vocabulary, in_use(vocabulary, word), word, 0..word.len(), tokens);
            }
            Self::Bytes => {
                for (at, &byte) in word.iter().enumerate() {
                    tokens.push(u32::from(byte), at..at + 1);
                }
            }
        }
        Ok(())
    }
}

/// The piece with this text, [`NONE`] if there is none or it is marked unused.
fn in_use(vocabulary: &Vocabulary, piece: &[u8]) -> u32 {
    let token = vocabulary.token(piece);
    token.filter(|&id| vocabulary.attributes(id) & attribute::UNUSED == 0).unwrap_or(NONE)
}
