//! The splits of `tokenizer.ggml.pre`, with llama.cpp's character tables and its rules for look-ahead.

use std::ops::Range;

use super::classes::{Classes, Cpp, CppAsciiCase, CppHan, CppJoiners, cut};
use super::grammar::{
    Camel, Contraction, Tail, Trail, WORD_NUMBER_OR_SPACE, Words, camel, deepseek_words, gpt2, words,
    words_but_space,
};
use super::scan::{CASED, Grammar, LETTERS, LETTERS_AND_MARKS, Shape};
use super::stages::{
    afmoe_numbers, afmoe_scripts, bloom, class_runs, deepseek_han, exaone_moe, han_and_kana, image_token,
    indent, is_deepseek_letter, is_deepseek_punctuation, kimi_k2, ladder, lines, number_groups,
    numbers_from_the_right, punctuation_runs, runs_by_kind, sentinel, single_newlines, spaced_run,
    superbpe_cuts, three_digits, trailing_whitespace, wide_runs, youtu_class,
};
use crate::unicode::{LETTER, LOWER, MARK, NUMBER, PUNCTUATION, WHITESPACE, is_whitespace};

/// One of the distinct splits that the names of `tokenizer.ggml.pre` lead to, named after the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GgufSplit {
    Default,
    Gpt2,
    Llama3,
    Qwen2,
    Qwen35,
    Gpt4o,
    Tekken,
    TekkenNum3,
    KimiK2,
    K2Horizon,
    DeepseekLlm,
    DeepseekCoder,
    DeepseekV3,
    Spark,
    Falcon,
    Starcoder,
    Bloom,
    Viking,
    Chameleon,
    Superbpe,
    BailingMoe,
    SeedCoder,
    Ufakzeka,
    ExaoneMoe,
    Jais2,
    MiniCpm5,
    Youtu,
    Flint,
    TinyAya,
    Afmoe,
    Laguna,
    Soprano,
    /// Lines, for the tokenizers that leave words whole.
    Gemma4,
    Whitespace,
}

impl GgufSplit {
    pub(super) const NAMES: &'static [(&'static str, GgufSplit)] = &[
        ("default", GgufSplit::Default),
        ("gpt-2", GgufSplit::Gpt2),
        ("llama3", GgufSplit::Llama3),
        ("qwen2", GgufSplit::Qwen2),
        ("qwen35", GgufSplit::Qwen35),
        ("gpt-4o", GgufSplit::Gpt4o),
        ("tekken", GgufSplit::Tekken),
        ("tekken-num3", GgufSplit::TekkenNum3),
        ("kimi-k2", GgufSplit::KimiK2),
        ("k2-horizon", GgufSplit::K2Horizon),
        ("deepseek-llm", GgufSplit::DeepseekLlm),
        ("deepseek-coder", GgufSplit::DeepseekCoder),
        ("deepseek-v3", GgufSplit::DeepseekV3),
        ("spark2_5", GgufSplit::Spark),
        ("falcon", GgufSplit::Falcon),
        ("starcoder", GgufSplit::Starcoder),
        ("bloom", GgufSplit::Bloom),
        ("viking", GgufSplit::Viking),
        ("chameleon", GgufSplit::Chameleon),
        ("superbpe", GgufSplit::Superbpe),
        ("bailingmoe", GgufSplit::BailingMoe),
        ("seed-coder", GgufSplit::SeedCoder),
        ("ufakzeka", GgufSplit::Ufakzeka),
        ("exaone-moe", GgufSplit::ExaoneMoe),
        ("jais-2", GgufSplit::Jais2),
        ("minicpm5", GgufSplit::MiniCpm5),
        ("youtu", GgufSplit::Youtu),
        ("flint", GgufSplit::Flint),
        ("tiny_aya", GgufSplit::TinyAya),
        ("afmoe", GgufSplit::Afmoe),
        ("laguna", GgufSplit::Laguna),
        ("soprano", GgufSplit::Soprano),
        ("gemma4", GgufSplit::Gemma4),
        ("whitespace", GgufSplit::Whitespace),
    ];

    /// The grammar, if that is all there is to the split and it can be cut by blocks.
    pub(super) fn grammar(self) -> Option<&'static Grammar> {
        const WORDS: Grammar = Grammar {
            shape: Shape::Words,
            regex: false,
            substitutes: &LETTERS,
            contraction: LLAMA3.contraction,
            digits: LLAMA3.digits,
            newlines_trail: true,
            white_end: false,
            piece: |text, pos| words::<Cpp>(text, pos, LLAMA3),
        };
        static LLAMA3_GRAMMAR: Grammar = WORDS;
        static QWEN2_GRAMMAR: Grammar =
            Grammar { digits: 1, piece: |text, pos| words::<Cpp>(text, pos, QWEN2), ..WORDS };
        static QWEN35_GRAMMAR: Grammar = Grammar {
            digits: 1,
            substitutes: &LETTERS_AND_MARKS,
            piece: |text, pos| words::<Cpp>(text, pos, QWEN35),
            ..WORDS
        };
        static SEED_CODER_GRAMMAR: Grammar = Grammar {
            digits: 1,
            newlines_trail: false,
            piece: |text, pos| words::<Cpp>(text, pos, SEED_CODER),
            ..WORDS
        };
        static UFAKZEKA_GRAMMAR: Grammar = Grammar {
            digits: 1,
            contraction: Contraction::None,
            piece: |text, pos| words::<Cpp>(text, pos, UFAKZEKA),
            ..WORDS
        };
        static GPT2_GRAMMAR: Grammar = Grammar {
            shape: Shape::Gpt2,
            contraction: Contraction::Exact,
            digits: usize::MAX,
            piece: gpt2::<Cpp>,
            ..WORDS
        };
        static GPT4O_GRAMMAR: Grammar = Grammar {
            shape: Shape::Camel,
            substitutes: &CASED,
            piece: |text, pos| camel::<CppAsciiCase>(text, pos, GPT4O),
            ..WORDS
        };
        static TEKKEN_GRAMMAR: Grammar = Grammar {
            shape: Shape::Camel,
            substitutes: &CASED,
            contraction: Contraction::None,
            digits: 1,
            piece: |text, pos| camel::<CppAsciiCase>(text, pos, TEKKEN),
            ..WORDS
        };
        Some(match self {
            GgufSplit::Llama3 => &LLAMA3_GRAMMAR,
            // BailingMoe's contractions and newlines are written otherwise, and mean the same.
            GgufSplit::Qwen2 | GgufSplit::BailingMoe => &QWEN2_GRAMMAR,
            GgufSplit::Qwen35 => &QWEN35_GRAMMAR,
            GgufSplit::SeedCoder => &SEED_CODER_GRAMMAR,
            GgufSplit::Ufakzeka => &UFAKZEKA_GRAMMAR,
            GgufSplit::Gpt2 => &GPT2_GRAMMAR,
            GgufSplit::Gpt4o => &GPT4O_GRAMMAR,
            GgufSplit::Tekken => &TEKKEN_GRAMMAR,
            _ => return None,
        })
    }

    /// Calls `each` with the pieces of `range`, in order and without holes.
    #[allow(clippy::too_many_lines, reason = "a table: one arm for each split")]
    pub(super) fn split(self, text: &[u8], range: Range<usize>, each: &mut impl FnMut(Range<usize>)) {
        match self {
            GgufSplit::Default => punctuation_runs::<Cpp>(text, range, false, &mut |piece| {
                gpt2_pieces(text, piece, &mut |piece| {
                    number_groups::<Cpp>(text, piece, usize::MAX, &mut |piece| {
                        three_digits(text, piece, each);
                    });
                });
            }),
            GgufSplit::Gpt2 => gpt2_pieces(text, range, each),
            GgufSplit::Llama3 => cut(text, range, |text, pos| words::<Cpp>(text, pos, LLAMA3), each),
            GgufSplit::Qwen2 => cut(text, range, |text, pos| words::<Cpp>(text, pos, QWEN2), each),
            GgufSplit::Qwen35 => cut(text, range, |text, pos| words::<Cpp>(text, pos, QWEN35), each),
            GgufSplit::Gpt4o => cut(text, range, |text, pos| camel::<CppAsciiCase>(text, pos, GPT4O), each),
            GgufSplit::Tekken => cut(text, range, |text, pos| camel::<CppAsciiCase>(text, pos, TEKKEN), each),
            GgufSplit::TekkenNum3 => {
                let mut left = 0;
                let at = |text: &[u8], pos| match Cpp::at(text, pos).0 & NUMBER {
                    0 => camel::<CppAsciiCase>(text, pos, TEKKEN),
                    _ => numbers_from_the_right::<Cpp>(text, pos, &mut left),
                };
                cut(text, range, at, each);
            }
            GgufSplit::KimiK2 => cut(text, range, kimi_k2::<CppHan>, each),
            GgufSplit::K2Horizon => {
                let is = Words { contraction: Contraction::Folded, letters: LOWER, ..LLAMA3 };
                cut(text, range, |text, pos| words::<CppJoiners>(text, pos, is), each);
            }
            GgufSplit::DeepseekLlm => single_newlines(text, range, &mut |piece| {
                spaced_run::<Cpp>(text, piece, |_, cp| is_deepseek_letter(cp), &mut |piece| {
                    spaced_run::<Cpp>(text, piece, is_spaced_punctuation, &mut |piece| {
                        trailing_whitespace::<Cpp>(text, piece, &mut |piece| {
                            wide_runs(text, piece, deepseek_han_but_space, &mut |piece| {
                                number_groups::<Cpp>(text, piece, usize::MAX, each);
                            });
                        });
                    });
                });
            }),
            GgufSplit::DeepseekCoder => single_newlines(text, range, &mut |piece| {
                spaced_run::<Cpp>(text, piece, |class, _| class & LETTER != 0, &mut |piece| {
                    spaced_run::<Cpp>(text, piece, |class, _| class & PUNCTUATION != 0, &mut |piece| {
                        wide_runs(text, piece, deepseek_han_but_space, &mut |piece| {
                            number_groups::<Cpp>(text, piece, 1, each);
                        });
                    });
                });
            }),
            GgufSplit::DeepseekV3 => deepseek_v3::<Cpp>(text, range, each),
            GgufSplit::Spark => number_groups::<Cpp>(text, range, 3, &mut |piece| {
                wide_runs(text, piece, han_and_kana, &mut |piece| {
                    let at = |text: &[u8], pos| deepseek_words::<Cpp>(text, pos, true);
                    cut(text, piece, at, &mut |piece| number_groups::<Cpp>(text, piece, 1, each));
                });
            }),
            GgufSplit::Falcon => punctuation_runs::<Cpp>(text, range, true, &mut |piece| {
                gpt2_pieces(text, piece, &mut |piece| three_digits(text, piece, each));
            }),
            GgufSplit::Starcoder => {
                number_groups::<Cpp>(text, range, 1, &mut |piece| gpt2_pieces(text, piece, each));
            }
            GgufSplit::Bloom => bloom::<Cpp>(text, range, each),
            GgufSplit::Viking => {
                bloom::<Cpp>(text, range, &mut |piece| number_groups::<Cpp>(text, piece, 1, each));
            }
            GgufSplit::Chameleon => cut(text, range, sentinel, &mut |piece| {
                cut(text, piece, image_token, &mut |piece| {
                    cut(text, piece, indent, &mut |piece| {
                        number_groups::<Cpp>(text, piece, 1, &mut |piece| {
                            cut(text, piece, single_punctuation, &mut |piece| gpt2_pieces(text, piece, each));
                        });
                    });
                });
            }),
            GgufSplit::Superbpe => number_groups::<Cpp>(text, range, usize::MAX, &mut |piece| {
                superbpe_cuts(text, piece, each);
            }),
            // Its contractions and newlines are written otherwise, and mean the same.
            GgufSplit::BailingMoe => cut(text, range, |text, pos| words::<Cpp>(text, pos, QWEN2), each),
            GgufSplit::SeedCoder => cut(text, range, |text, pos| words::<Cpp>(text, pos, SEED_CODER), each),
            GgufSplit::Ufakzeka => cut(text, range, |text, pos| words::<Cpp>(text, pos, UFAKZEKA), each),
            GgufSplit::ExaoneMoe => cut(text, range, exaone_moe::<Cpp>, each),
            GgufSplit::Jais2 => {
                let mut left = 0;
                let at = |text: &[u8], pos| match words_but_space::<Cpp>(text, pos, LLAMA3) {
                    end if end > pos => end,
                    _ => ladder::<Cpp>(text, pos, &mut left),
                };
                cut(text, range, at, each);
            }
            GgufSplit::MiniCpm5 => number_groups::<Cpp>(text, range, 3, &mut |piece| {
                let is = Words { digits: usize::MAX, ..LLAMA3 };
                cut(text, piece, |text, pos| words::<Cpp>(text, pos, is), each);
            }),
            GgufSplit::Youtu => {
                let kind = |text: &[u8], pos| match crate::unicode::decode(text, pos) {
                    (0..0x80, _) => 0,
                    (cp, _) => youtu_class(cp),
                };
                let is = Camel { digits: 1, ..GPT4O };
                runs_by_kind(text, range, kind, &mut |piece| {
                    cut(text, piece, |text, pos| camel::<Cpp>(text, pos, is), each);
                });
            }
            GgufSplit::Flint => number_groups::<Cpp>(text, range, 3, &mut |piece| {
                let is = Camel { digits: 0, strict_punctuation: true, trail: Trail::Newlines, ..GPT4O };
                wide_runs(text, piece, han_and_kana, &mut |piece| {
                    cut(text, piece, |text, pos| camel::<Cpp>(text, pos, is), each);
                });
            }),
            GgufSplit::TinyAya => afmoe_numbers::<Cpp>(text, range, &mut |piece| {
                cut(text, piece, |text, pos| camel::<Cpp>(text, pos, GPT4O), each);
            }),
            GgufSplit::Afmoe => afmoe_numbers::<Cpp>(text, range, &mut |piece| {
                wide_runs(text, piece, afmoe_scripts, &mut |piece| {
                    cut(text, piece, |text, pos| deepseek_words::<Cpp>(text, pos, false), each);
                });
            }),
            GgufSplit::Laguna => lines(text, range, &mut |piece| {
                cut(text, piece, |text, pos| words::<Cpp>(text, pos, QWEN2), each);
            }),
            GgufSplit::Soprano => {
                let kind = |text: &[u8], pos| match (text.get(pos), Cpp::at(text, pos).0) {
                    (Some(b'_'), _) => 1,
                    (_, class) if class & (LETTER | NUMBER) != 0 => 1,
                    (_, class) if class & WHITESPACE != 0 => 2,
                    _ => 3,
                };
                number_groups::<Cpp>(text, range, 1, &mut |piece| runs_by_kind(text, piece, kind, each));
            }
            GgufSplit::Gemma4 => lines(text, range, each),
            GgufSplit::Whitespace => class_runs::<Cpp>(text, range, |class| class & WHITESPACE == 0, each),
        }
    }
}

pub(super) const LLAMA3: Words = Words {
    contraction: Contraction::AnyCase,
    letters: LETTER,
    not_punctuation: WORD_NUMBER_OR_SPACE,
    digits: 3,
    trail: Trail::Newlines,
    tail: Tail::Newlines,
};
pub(super) const QWEN2: Words = Words { digits: 1, ..LLAMA3 };
pub(super) const QWEN35: Words =
    Words { letters: LETTER | MARK, not_punctuation: WORD_NUMBER_OR_SPACE | MARK, ..QWEN2 };
const SEED_CODER: Words = Words { trail: Trail::None, ..QWEN2 };
const UFAKZEKA: Words = Words { contraction: Contraction::None, ..QWEN2 };

pub(super) const GPT4O: Camel = Camel {
    contraction: Contraction::AnyCase,
    digits: 3,
    strict_punctuation: false,
    trail: Trail::NewlinesAndSlashes,
};
pub(super) const TEKKEN: Camel = Camel { contraction: Contraction::None, digits: 1, ..GPT4O };

/// `\p{N}{1,3}`, then `[一-龥぀-ゟ゠-ヿ]+`, then words.
#[inline(always)]
pub(super) fn deepseek_v3<C: Classes>(text: &[u8], range: Range<usize>, each: &mut impl FnMut(Range<usize>)) {
    number_groups::<C>(text, range, 3, &mut |piece| {
        wide_runs(text, piece, han_and_kana, &mut |piece| {
            cut(text, piece, |text, pos| deepseek_words::<C>(text, pos, false), each);
        });
    });
}

#[inline(always)]
fn gpt2_pieces(text: &[u8], range: Range<usize>, each: &mut impl FnMut(Range<usize>)) {
    cut(text, range, gpt2::<Cpp>, each);
}

// llama.cpp turns whitespace above ASCII into U+000B before such a class sees it.
fn deepseek_han_but_space(cp: u32) -> bool {
    deepseek_han(cp) && !is_whitespace(cp)
}

fn is_spaced_punctuation(class: u8, cp: u32) -> bool {
    is_deepseek_punctuation(cp) && class & WHITESPACE == 0
}

/// chameleon's ``[\p{P}!-/:-@\[-`{-~]``
fn single_punctuation(text: &[u8], pos: usize) -> usize {
    let (class, len) = Cpp::at(text, pos);
    if class & PUNCTUATION != 0 || text[pos].is_ascii_punctuation() { pos + len } else { pos }
}
