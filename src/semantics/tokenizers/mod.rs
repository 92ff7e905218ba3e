//! Encoding and rendering as the `tokenizers` library does: the driver of every vocabulary that comes from a `tokenizer.json`, or from
//! the files it grew out of (`vocab.json` with `merges.txt`, `vocab.txt`).
//!
//! Reference: `tokenizers` 0.23. A text is cut at its added tokens first, then normalized piece by piece, cut at the added tokens that
//! are looked for in normalized text, cut into words, and each word goes through the model. Added tokens that stand in the text are
//! always recognised: that library has no switch for it, so [`Special::parses`] makes no difference here. Only what this driver models
//! exactly comes here; the loader sends every other description through the library itself.

#[cfg(not(feature = "tokenizers"))]
mod absent;
#[cfg(feature = "tokenizers")]
mod wrapped;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

#[cfg(not(feature = "tokenizers"))]
pub(crate) use absent::Wrapped;
#[cfg(feature = "tokenizers")]
pub(crate) use wrapped::{Wrapped, guarded};

use crate::decode::tokenizers::Renderer;
use crate::encode::normalize::tokenizers::Normalizer;
use crate::encode::normalize::{self, Spaces};
use crate::encode::road::{self, Road, SpecialTokens, Step};
use crate::model;
use crate::model::bpe::{self, Bpe, MergeBy, Start, WholeWord};
use crate::model::marked_bpe::{self, MarkedBpe};
use crate::model::unigram::Unigram;
use crate::model::word_level::WordLevel;
use crate::model::wordpiece::WordPiece;
use crate::split::{self, Delimited, Split};

/// A description, resolved to ids.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Recipe {
    /// Applied one after the other.
    pub(crate) normalizers: Vec<Normalizer>,
    pub(crate) pre_tokenizer: PreTokenizer,
    pub(crate) model: Model,
    pub(crate) frame: Frame,
    pub(crate) renderer: Renderer,
    /// Whether some added token is looked for in the text as it is given.
    pub(crate) added_raw: bool,
    /// Whether some added token is looked for in the normalized text.
    pub(crate) added_normalized: bool,
}

/// How text becomes words.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum PreTokenizer {
    /// All of it is one word.
    None,
    /// `ByteLevel`, with whatever splits before it: each refines the pieces of the one before.
    Splits {
        /// A space goes in front of text that does not begin with one.
        prefix_space: bool,
        splits: Vec<Split>,
    },
    /// Spaces become `replacement`, which begins a word.
    Metaspace {
        replacement: char,
        prepend: Prepend,
        split: bool,
        /// White space is dropped first; what it parts is rewritten on its own.
        words: bool,
    },
    /// White space is dropped, each punctuation character is a word.
    Bert,
    /// Any others, one after the other, in front of a model that knows texts.
    Stages(Vec<Stage>),
}

/// One pre-tokenizer of several.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Stage {
    Delimited(Delimited),
    /// White space is dropped.
    Whitespace,
    Bert,
    /// The table is the library's.
    #[cfg(feature = "tokenizers")]
    Scripts,
    FixedLength(usize),
    /// Spaces become `replacement`, which begins a piece if `split`.
    Metaspace {
        replacement: char,
        prepend: Prepend,
        split: bool,
    },
    /// Each byte becomes a character of the GPT-2 alphabet, once the piece is cut by `split`.
    ByteLevel {
        prefix_space: bool,
        split: Option<Split>,
    },
}

/// When `Metaspace` puts its replacement in front of text that does not begin with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Prepend {
    Always,
    /// Where the text begins, not behind an added token.
    First,
    Never,
}

/// How a word becomes ids.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Model {
    /// Merges over bytes. Every byte is a token.
    Bytes {
        /// A word that is a token is taken whole.
        ignore_merges: bool,
    },
    /// Merges over characters.
    Characters {
        ignore_merges: bool,
        unknown: Unknown,
        /// The words may be cut before each `▁` as [`Vocabulary::bridges`] says.
        cuts: bool,
    },
    /// Merges over characters that are marked or that may lack a token.
    Marked {
        prefix: String,
        suffix: String,
        ignore_merges: bool,
        byte_fallback: bool,
        unknown: MarkedUnknown,
        fuse: bool,
    },
    /// A word is a token, or `unk`; without that an unknown word is an error.
    WordLevel { unk: Option<u32> },
    /// The longest token that fits, again and again.
    WordPiece {
        unk: u32,
        /// In front of what continues a word.
        prefix: String,
        /// A longer word is unknown.
        max_chars: u32,
        /// Bytes of the longest token.
        longest: u32,
    },
    /// Of all ways to cut a word into tokens, the one whose scores add up to the most.
    Unigram {
        unk: u32,
        /// What a character costs that no token covers.
        unk_score: f64,
        /// What no token covers becomes its bytes, if each has a token.
        byte_fallback: bool,
    },
}

/// What becomes of a character without a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Unknown {
    /// Its bytes, each of which has a token.
    Bytes,
    /// This token, once a character.
    Each(u32),
    /// This token, once a run of such characters.
    Fused(u32),
}

/// What becomes of a character that has neither a token nor bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum MarkedUnknown {
    Dropped,
    Token(u32),
    Error,
}

/// Ids that the post-processor puts around a text.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Frame {
    pub(crate) before: Vec<u32>,
    pub(crate) after: Vec<u32>,
    /// How the post-processors trim the offsets of the text, one after the other.
    pub(crate) trims: Vec<Trim>,
}

/// White space at the ends of a token is no part of its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Trim {
    /// One space in front of the first token has been added, and takes no place.
    pub(crate) prefix_space: bool,
    /// Something stands in front of the text by then.
    pub(crate) behind: bool,
}

impl Recipe {
    /// The library's way from text to ids.
    pub(crate) fn road(&self) -> Road {
        let (model, unit_limit) = self.model.road();
        Road {
            utf8: true,
            frame: road::Frame::new(&self.frame.before, &self.frame.after),
            special_tokens: SpecialTokens::Added { raw: self.added_raw, normalized: self.added_normalized },
            normalizers: self.normalizers.iter().cloned().map(normalize::Normalizer::Tokenizers).collect(),
            steps: self.pre_tokenizer.steps(),
            unit_limit,
            model,
            fuse: None,
        }
    }
}

/// What has happened to a text: where both have, its parts can be told to begin it only by the places of their characters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Behind {
    pub(crate) cuts: bool,
    pub(crate) rewrites: bool,
}

impl PreTokenizer {
    /// If it tells what the given text begins with from what does not: what happens to the text before it asks.
    pub(crate) fn asks_where_the_text_begins(&self) -> Option<Behind> {
        match self {
            &Self::Metaspace { prepend, words, .. } => {
                (prepend == Prepend::First).then_some(Behind { cuts: words, rewrites: false })
            }
            Self::Stages(stages) => {
                let first = |stage: &Stage| matches!(stage, Stage::Metaspace { prepend: Prepend::First, .. });
                let last = stages.iter().rposition(first)?;
                let rewrites =
                    |stage: &Stage| matches!(stage, Stage::Metaspace { .. } | Stage::ByteLevel { .. });
                Some(Behind { cuts: last > 0, rewrites: stages[..last].iter().any(rewrites) })
            }
            Self::None | Self::Splits { .. } | Self::Bert => None,
        }
    }

    fn steps(&self) -> Vec<Step> {
        let spaces = |spaces| Step::Normalize(normalize::Normalizer::Spaces(spaces));
        match self {
            Self::None => Vec::new(),
            Self::Splits { prefix_space, splits } => {
                let prefix = Spaces {
                    replacement: None,
                    prefix: Some(' '),
                    prepend: normalize::Prepend::Always,
                    once: true,
                };
                let cuts = splits.iter().map(|split| Step::Split(split::PreTokenizer::Split(split.clone())));
                prefix_space.then(|| spaces(prefix)).into_iter().chain(cuts).collect()
            }
            &Self::Metaspace { replacement, prepend, split, words } => {
                let marks = Spaces {
                    replacement: Some(replacement),
                    prefix: (prepend != Prepend::Never).then_some(replacement),
                    prepend: match prepend {
                        Prepend::First => normalize::Prepend::First,
                        Prepend::Always | Prepend::Never => normalize::Prepend::Always,
                    },
                    once: true,
                };
                let words = words.then_some(Step::Split(split::PreTokenizer::Whitespace));
                let split = split.then_some(Step::Split(split::PreTokenizer::Before(replacement)));
                words.into_iter().chain([spaces(marks)]).chain(split).collect()
            }
            Self::Bert => vec![Step::Split(split::PreTokenizer::Bert)],
            Self::Stages(stages) => stages.iter().flat_map(Stage::steps).collect(),
        }
    }
}

impl Stage {
    fn steps(&self) -> Vec<Step> {
        let cut = |cut| vec![Step::Split(cut)];
        match self {
            Self::Delimited(delimited) => cut(split::PreTokenizer::Delimited(delimited.clone())),
            Self::Whitespace => cut(split::PreTokenizer::Whitespace),
            Self::Bert => cut(split::PreTokenizer::Bert),
            #[cfg(feature = "tokenizers")]
            Self::Scripts => cut(split::PreTokenizer::Scripts),
            &Self::FixedLength(length) => cut(split::PreTokenizer::FixedLength(length)),
            &Self::Metaspace { replacement, prepend, split } => {
                PreTokenizer::Metaspace { replacement, prepend, split, words: false }.steps()
            }
            Self::ByteLevel { prefix_space, split } => {
                let splits = split.clone().into_iter().collect();
                let mut steps = PreTokenizer::Splits { prefix_space: *prefix_space, splits }.steps();
                steps.push(Step::Normalize(normalize::Normalizer::Tokenizers(Normalizer::ByteLevel)));
                steps
            }
        }
    }
}

impl Model {
    /// The model, and how long a word may be that is cut where no merge can reach across.
    fn road(&self) -> (model::Model, usize) {
        let whole = |ignore_merges| if ignore_merges { WholeWord::Always } else { WholeWord::Never };
        match *self {
            Self::Bytes { ignore_merges } => {
                let unknown = bpe::Unknown::None;
                let (start, merges, whole) = (Start::Bytes, MergeBy::List, whole(ignore_merges));
                (model::Model::Bpe(Bpe { start, merges, whole, unknown, atoms: Arc::default() }), 0)
            }
            Self::Characters { ignore_merges, unknown, cuts } => {
                let unknown = match unknown {
                    Unknown::Bytes => bpe::Unknown::CharacterBytes,
                    Unknown::Each(unk) => bpe::Unknown::Character(unk),
                    Unknown::Fused(unk) => bpe::Unknown::Characters(unk),
                };
                let (start, merges, whole) = (Start::Characters, MergeBy::List, whole(ignore_merges));
                let unit_limit = if cuts { usize::MAX } else { 0 };
                (model::Model::Bpe(Bpe { start, merges, whole, unknown, atoms: Arc::default() }), unit_limit)
            }
            Self::Marked { ref prefix, ref suffix, ignore_merges, byte_fallback, unknown, fuse } => {
                let unknown = match unknown {
                    MarkedUnknown::Dropped => marked_bpe::Unknown::Dropped,
                    MarkedUnknown::Token(unk) => marked_bpe::Unknown::Token(unk),
                    MarkedUnknown::Error => marked_bpe::Unknown::Error,
                };
                let (prefix, suffix) = (prefix.clone(), suffix.clone());
                let bpe = MarkedBpe { prefix, suffix, ignore_merges, byte_fallback, unknown, fuse };
                (model::Model::MarkedBpe(bpe), 0)
            }
            Self::WordLevel { unk } => (model::Model::WordLevel(WordLevel { unk }), 0),
            Self::WordPiece { unk, ref prefix, max_chars, longest } => {
                let (max_chars, longest) = (max_chars as usize, longest as usize);
                (model::Model::WordPiece(WordPiece { unk, prefix: prefix.clone(), max_chars, longest }), 0)
            }
            Self::Unigram { unk, unk_score, byte_fallback } => {
                (model::Model::Unigram(Unigram::DoubleAndRuns { unk, unk_score, byte_fallback }), 0)
            }
        }
    }
}
