//! Encoding and rendering as llama.cpp does: the driver of every vocabulary that comes from a GGUF file.
//!
//! Reference: llama.cpp 0.8.0, `src/llama-vocab.cpp`. The text is cut at its special tokens first; each remaining fragment
//! goes through the model's own algorithm. Where llama.cpp aborts, loops or overflows its stack, this module returns an error
//! or what the definition gives; each such place says so.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::roles::SpecialTokens;
use crate::encode::normalize::{Normalizer, Prepend, Spaces, UnigramText, WordPieceText};
use crate::encode::road::{Frame, Road, SpecialTokens as SpecialTokenRule, Step};
use crate::model::bpe::{self, MergeBy, Start, Unknown, WholeWord};
use crate::model::wordpiece::PrefixedPieces;
use crate::model::{self, plamo, unigram};
use crate::split::dna::Dna;
use crate::split::{PreKind, PreTokenizer, Split};
use crate::vocabulary::{NONE, Vocabulary};

/// All that llama.cpp derives from a file's keys, beside the vocabulary itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Recipe {
    pub(crate) model: Model,
    pub(crate) add_bos: bool,
    pub(crate) add_eos: bool,
    /// A space goes in front of the text, and of what follows a special token.
    pub(crate) add_space_prefix: bool,
    /// Spaces become `▁` (U+2581) before the engine sees them.
    pub(crate) escape_whitespaces: bool,
    /// Rendered text loses the spaces before punctuation and around apostrophes.
    pub(crate) clean_spaces: bool,
    pub(crate) special: SpecialTokens,
}

/// The algorithm, with what only it needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Model {
    /// `llama`: pieces merge by score.
    Spm,
    /// `gpt2` and its kin: merges from a list.
    Bpe(Bpe),
    /// `bert`.
    WordPiece(WordPiece),
    /// `t5`.
    Unigram(Unigram),
    /// `rwkv`.
    Rwkv,
    /// `plamo2` and `plamo3`.
    Plamo(plamo::Version),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Bpe {
    pub(crate) split: Split,
    /// Text is encoded byte by byte; otherwise character by character, with `<0xXX>` tokens for what is unknown.
    pub(crate) byte_encode: bool,
    /// A pre-token that is a token is taken whole.
    pub(crate) ignore_merges: bool,
    /// What else the type of the pre-tokenizer changes.
    pub(crate) kind: PreKind,
    /// Metaspace scheme `first`: `▁` goes in front of the very first fragment.
    pub(crate) metaspace_first: bool,
    pub(crate) cut: TextCut,
}

/// What happens to a text before it is cut by the pre-tokenizer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum TextCut {
    /// Nothing.
    None,
    /// `hybriddna`: DNA is taken out.
    Dna(Dna),
    /// `whitespace`: white space is dropped, and each part between is cut on its own.
    Whitespace {
        /// Characters lose their case.
        lowercase: bool,
    },
}

/// What llama.cpp's session needs beside the vocabulary's trie of all tokens.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct WordPiece {
    pub(crate) lowercase: bool,
    /// Characters lose their marks. More is lost than accents: the vowel signs of Indic scripts, and all of a Hangul syllable
    /// but its first letter.
    pub(crate) strip_accents: bool,
    /// The token for a word that the pieces do not make up, [`crate::vocabulary::NONE`] if there is none.
    pub(crate) unknown: u32,
}

/// What llama.cpp's session needs beside the vocabulary's tries, scores and charsmap.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Unigram {
    /// The text goes through NFC first.
    pub(crate) nfc: bool,
    /// `▁` goes in front of the first character that is no space.
    pub(crate) add_space_prefix: bool,
    /// Spaces before, after and between words are one `▁` in front of each word.
    pub(crate) collapse_spaces: bool,
    /// The token for what no piece covers, [`crate::vocabulary::NONE`] if there is none.
    pub(crate) unknown: u32,
    /// What a character costs that no piece covers.
    pub(crate) unknown_score: f32,
    /// The largest absolute value of all scores.
    pub(crate) largest: f32,
    /// Sums of scores below this limit are exact, in whatever order they are added up; 0 when none is.
    pub(crate) exact_below: f64,
    /// The ASCII characters that the normalizer passes on as they are if an ASCII character or the end follows: one bit each.
    pub(crate) plain: [u64; 2],
}

impl Unigram {
    /// Derives the limits of exact sums and the characters that need no normalization from the finished vocabulary.
    pub(crate) fn prepare(&mut self, vocabulary: &Vocabulary) {
        let scores = vocabulary.scores.iter().copied().chain([self.unknown_score]);
        self.largest = scores.clone().map(f32::abs).fold(0.0, f32::max);
        self.exact_below = crate::model::unigram::exact_below(scores);
        self.plain = vocabulary.charsmap.plain_ascii();
        let walker = vocabulary.prefixes.walker();
        for byte in 0..128u8 {
            // A space is never a character of a word.
            if byte == b' ' || walker.child(walker.root(), byte).is_some() {
                self.plain[usize::from(byte >> 6)] &= !(1 << (byte & 63));
            }
        }
    }

    fn normalizer(&self) -> UnigramText {
        let Self { nfc, add_space_prefix, collapse_spaces, plain, .. } = *self;
        UnigramText { nfc, add_space_prefix, collapse_spaces, plain }
    }

    /// A text of fewer bytes has exact sums: no more pieces than bytes, none with a larger score than the largest.
    #[expect(clippy::cast_sign_loss, reason = "neither is below zero")]
    fn exact_bytes(&self) -> usize {
        if self.largest > 0.0 { (self.exact_below / f64::from(self.largest)) as usize } else { usize::MAX }
    }
}

impl Recipe {
    /// Whether every text is framed as BERT's are.
    pub(crate) fn is_bert(&self) -> bool {
        matches!(self.model, Model::WordPiece(_))
    }

    /// llama.cpp's way from text to ids.
    pub(crate) fn road(&self) -> Road {
        let Self { add_bos, add_eos, special, .. } = *self;
        let token = |adds: bool, id: Option<u32>, name| adds.then(|| id.ok_or(name)).into_iter().collect();
        let frame = match self.model {
            // Whatever the file says of adding BOS, EOS or SEP.
            Model::WordPiece(_) => {
                Frame { before: token(true, special.bos, "bos"), after: token(true, special.sep, "sep") }
            }
            Model::Rwkv => Frame::default(),
            _ => Frame {
                before: token(add_bos, special.bos, "bos"),
                after: token(add_eos, special.eos, "eos"),
            },
        };
        let (steps, model) = self.engine();
        let (unit_limit, fuse) = match self.model {
            Model::Spm => (usize::MAX, None),
            Model::Bpe(Bpe { byte_encode, .. }) => (if byte_encode { 0 } else { usize::MAX }, None),
            Model::Unigram(ref unigram) => (unigram.exact_bytes(), Some(unigram.unknown)),
            _ => (0, None),
        };
        Road {
            utf8: false,
            frame,
            special_tokens: SpecialTokenRule::LongestFirst,
            normalizers: Vec::new(),
            steps,
            unit_limit,
            model,
            fuse,
        }
    }

    /// What happens between two special tokens, and the model.
    fn engine(&self) -> (Vec<Step>, model::Model) {
        let spaces = |prefix: bool, replaces: bool| Spaces {
            replacement: replaces.then_some('▁'),
            prefix: prefix.then_some('▁'),
            prepend: Prepend::Always,
            once: false,
        };
        match &self.model {
            Model::Spm => {
                let bpe = bpe::Bpe {
                    start: Start::Characters,
                    merges: MergeBy::Score,
                    whole: WholeWord::Never,
                    unknown: Unknown::BytesOrError,
                    atoms: Arc::default(),
                };
                let steps = vec![Step::Normalize(Normalizer::Spaces(spaces(self.add_space_prefix, true)))];
                (steps, model::Model::Bpe(bpe))
            }
            Model::Bpe(bpe) => {
                (bpe.steps(self.escape_whitespaces), model::Model::Bpe(bpe.model(self.special.unk)))
            }
            Model::WordPiece(WordPiece { lowercase, strip_accents, unknown }) => {
                let text = WordPieceText { lowercase: *lowercase, strip_accents: *strip_accents };
                let steps =
                    vec![Step::Normalize(Normalizer::WordPiece(text)), Step::Split(PreTokenizer::Spaces)];
                (steps, model::Model::PrefixedPieces(PrefixedPieces { unknown: *unknown }))
            }
            Model::Unigram(unigram) => {
                let steps = vec![Step::Normalize(Normalizer::Unigram(unigram.normalizer()))];
                let unk_score = f64::from(unigram.unknown_score);
                (steps, model::Model::Unigram(unigram::Unigram::Double { unk: unigram.unknown, unk_score }))
            }
            Model::Rwkv => {
                (Vec::new(), model::Model::Greedy { unknown: Some(self.special.unk.unwrap_or(NONE)) })
            }
            Model::Plamo(version) => {
                let split = match version {
                    plamo::Version::Plamo2 => PreTokenizer::Plamo2,
                    plamo::Version::Plamo3 => PreTokenizer::Plamo3,
                };
                (vec![Step::Normalize(Normalizer::Repair), Step::Split(split)], model::Model::Plamo)
            }
        }
    }
}

impl Bpe {
    fn steps(&self, escapes: bool) -> Vec<Step> {
        let spaces = Spaces {
            replacement: escapes.then_some('▁'),
            prefix: self.metaspace_first.then_some('▁'),
            prepend: Prepend::First,
            once: true,
        };
        let mut steps =
            vec![Step::Normalize(Normalizer::Spaces(spaces)), Step::Normalize(Normalizer::Repair)];
        match &self.cut {
            TextCut::None => {}
            TextCut::Dna(dna) => steps.push(Step::Dna(dna.clone())),
            TextCut::Whitespace { lowercase } => {
                steps.extend(lowercase.then_some(Step::Normalize(Normalizer::Lowercase)));
                steps.push(Step::Split(PreTokenizer::GgufWhitespace));
            }
        }
        match self.kind {
            PreKind::Nemotron => steps.push(Step::Normalize(Normalizer::Nemotron)),
            PreKind::Soprano => steps.push(Step::Normalize(Normalizer::Soprano)),
            _ => {}
        }
        steps.push(Step::Split(PreTokenizer::Split(self.split.clone())));
        if self.kind == PreKind::Mmbert && !self.byte_encode {
            steps.push(Step::Normalize(Normalizer::MarkLine));
            steps.push(Step::Split(PreTokenizer::Before('▁')));
        }
        steps
    }

    fn model(&self, unk: Option<u32>) -> bpe::Bpe {
        bpe::Bpe {
            start: if self.byte_encode { Start::Bytes } else { Start::Characters },
            merges: MergeBy::List,
            whole: match self.kind {
                _ if self.ignore_merges => WholeWord::Always,
                PreKind::Gemma4 | PreKind::Mmbert if !self.byte_encode => WholeWord::Newlines,
                _ => WholeWord::Never,
            },
            unknown: match self.kind {
                PreKind::Soprano if !self.byte_encode => Unknown::Symbol(unk.unwrap_or(NONE)),
                _ => Unknown::Bytes,
            },
            atoms: Arc::default(),
        }
    }
}
