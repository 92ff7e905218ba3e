//! The split patterns that tokenizer.json, tiktoken and tekken files carry, read as the `fancy-regex` crate reads them.

use std::ops::Range;

use super::classes::{Regex, RegexWithoutHan, cut, is_script_han};
use super::gguf::{GPT4O, LLAMA3, QWEN2, QWEN35, TEKKEN, deepseek_v3};
use super::grammar::{Camel, Contraction, Tail, Trail, Words, camel, deepseek_words, gpt2, words};
use super::scan::{CASED, Grammar, LETTERS, LETTERS_AND_MARKS, Shape};
use super::stages::{
    bloom, class_runs, deepseek_han, han_and_kana, is_deepseek_letter, is_deepseek_punctuation,
    number_groups, single_newlines, spaced_run, three_digits, trailing_whitespace, wide_runs,
};
use crate::unicode::{LETTER, NUMBER, PUNCTUATION, decode};

/// A pattern with a hand-written equivalent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatternSplit {
    Gpt2,
    /// `cl100k_base` as published first, and Llama 3.
    Cl100k,
    /// `cl100k_base` as tiktoken writes it now: whitespace at the text's end is one piece, newlines or not.
    Cl100kToEnd,
    /// Contractions spelt `'[sS]`.
    Cl100kAscii,
    Qwen2,
    Qwen2Ascii,
    Qwen35,
    Qwen35Ascii,
    O200k,
    O200kAscii,
    Tekken,
    Kimi,
    /// The three patterns of DeepSeek-V3, one after the other.
    DeepseekV3,
    DeepseekV3Words,
    HanAndKana,
    DeepseekHan,
    DeepseekLetters,
    DeepseekPunctuation,
    /// `\s?\p{L}+`
    SpacedLetters,
    /// `\s?\p{P}+`
    SpacedPunctuation,
    /// `[\r\n]`
    Newline,
    /// `\s+$`
    TrailingWhitespace,
    /// `\p{N}`
    Number,
    /// `\p{N}{1,3}`
    Numbers3,
    /// `\p{N}+`
    Numbers,
    /// `[0-9][0-9][0-9]`
    ThreeDigits,
    Bloom,
    /// tokenizer.json's `Digits` with `individual_digits`: each numeric character alone.
    IndividualDigits,
    /// tokenizer.json's `Digits` without: runs of them.
    ContiguousDigits,
}

impl PatternSplit {
    pub(super) const NAMES: &'static [(&'static str, PatternSplit)] = &[
        ("pattern:gpt2", PatternSplit::Gpt2),
        ("pattern:cl100k", PatternSplit::Cl100k),
        ("pattern:cl100k-to-end", PatternSplit::Cl100kToEnd),
        ("pattern:cl100k-ascii", PatternSplit::Cl100kAscii),
        ("pattern:qwen2", PatternSplit::Qwen2),
        ("pattern:qwen2-ascii", PatternSplit::Qwen2Ascii),
        ("pattern:qwen35", PatternSplit::Qwen35),
        ("pattern:qwen35-ascii", PatternSplit::Qwen35Ascii),
        ("pattern:o200k", PatternSplit::O200k),
        ("pattern:o200k-ascii", PatternSplit::O200kAscii),
        ("pattern:tekken", PatternSplit::Tekken),
        ("pattern:kimi", PatternSplit::Kimi),
        ("pattern:deepseek-v3", PatternSplit::DeepseekV3),
        ("pattern:deepseek-v3-words", PatternSplit::DeepseekV3Words),
        ("pattern:han-and-kana", PatternSplit::HanAndKana),
        ("pattern:deepseek-han", PatternSplit::DeepseekHan),
        ("pattern:deepseek-letters", PatternSplit::DeepseekLetters),
        ("pattern:deepseek-punctuation", PatternSplit::DeepseekPunctuation),
        ("pattern:spaced-letters", PatternSplit::SpacedLetters),
        ("pattern:spaced-punctuation", PatternSplit::SpacedPunctuation),
        ("pattern:newline", PatternSplit::Newline),
        ("pattern:trailing-whitespace", PatternSplit::TrailingWhitespace),
        ("pattern:number", PatternSplit::Number),
        ("pattern:numbers3", PatternSplit::Numbers3),
        ("pattern:numbers", PatternSplit::Numbers),
        ("pattern:three-digits", PatternSplit::ThreeDigits),
        ("pattern:bloom", PatternSplit::Bloom),
        ("pattern:individual-digits", PatternSplit::IndividualDigits),
        ("pattern:contiguous-digits", PatternSplit::ContiguousDigits),
    ];

    /// The split that does what `pattern` does.
    pub(super) fn from_pattern(pattern: &str) -> Option<PatternSplit> {
        PATTERNS.iter().find(|&&(known, _)| known == pattern).map(|&(_, split)| split)
    }

    /// Whether every character is in a match, so that it does not matter what becomes of the gaps.
    pub(super) fn has_no_gaps(self) -> bool {
        matches!(
            self,
            PatternSplit::Gpt2
                | PatternSplit::Cl100k
                | PatternSplit::Cl100kToEnd
                | PatternSplit::Cl100kAscii
                | PatternSplit::Qwen2
                | PatternSplit::Qwen2Ascii
                | PatternSplit::Qwen35
                | PatternSplit::Qwen35Ascii
                | PatternSplit::O200k
                | PatternSplit::O200kAscii
                | PatternSplit::Tekken
                | PatternSplit::Kimi
        )
    }

    /// The grammar, if it can be cut by blocks.
    pub(super) fn grammar(self) -> Option<&'static Grammar> {
        const CL100K: Grammar = Grammar {
            shape: Shape::Words,
            regex: true,
            substitutes: &LETTERS,
            contraction: Contraction::Folded,
            digits: LLAMA3.digits,
            newlines_trail: true,
            white_end: false,
            piece: |text, pos| words::<Regex>(text, pos, folded(LLAMA3)),
        };
        const O200K_CASED: Grammar = Grammar {
            shape: Shape::Camel,
            substitutes: &CASED,
            piece: |text, pos| camel::<Regex>(text, pos, O200K),
            ..CL100K
        };
        static CL100K_GRAMMAR: Grammar = CL100K;
        static CL100K_TO_END: Grammar =
            Grammar { white_end: true, piece: |text, pos| words::<Regex>(text, pos, TO_END), ..CL100K };
        static CL100K_ASCII: Grammar = Grammar {
            contraction: Contraction::AnyCase,
            piece: |text, pos| words::<Regex>(text, pos, LLAMA3),
            ..CL100K
        };
        static QWEN2_FOLDED: Grammar =
            Grammar { digits: 1, piece: |text, pos| words::<Regex>(text, pos, folded(QWEN2)), ..CL100K };
        static QWEN2_ASCII: Grammar = Grammar {
            digits: 1,
            contraction: Contraction::AnyCase,
            piece: |text, pos| words::<Regex>(text, pos, QWEN2),
            ..CL100K
        };
        static QWEN35_FOLDED: Grammar = Grammar {
            digits: 1,
            substitutes: &LETTERS_AND_MARKS,
            piece: |text, pos| words::<Regex>(text, pos, folded(QWEN35)),
            ..CL100K
        };
        static QWEN35_ASCII: Grammar = Grammar {
            digits: 1,
            contraction: Contraction::AnyCase,
            substitutes: &LETTERS_AND_MARKS,
            piece: |text, pos| words::<Regex>(text, pos, QWEN35),
            ..CL100K
        };
        static GPT2_GRAMMAR: Grammar = Grammar {
            shape: Shape::Gpt2,
            contraction: Contraction::Exact,
            digits: usize::MAX,
            piece: gpt2::<Regex>,
            ..CL100K
        };
        static O200K_GRAMMAR: Grammar = O200K_CASED;
        static O200K_ASCII: Grammar = Grammar {
            contraction: Contraction::AnyCase,
            piece: |text, pos| camel::<Regex>(text, pos, GPT4O),
            ..O200K_CASED
        };
        static TEKKEN_GRAMMAR: Grammar = Grammar {
            contraction: Contraction::None,
            digits: 1,
            piece: |text, pos| camel::<Regex>(text, pos, TEKKEN),
            ..O200K_CASED
        };
        Some(match self {
            PatternSplit::Gpt2 => &GPT2_GRAMMAR,
            PatternSplit::Cl100k => &CL100K_GRAMMAR,
            PatternSplit::Cl100kToEnd => &CL100K_TO_END,
            PatternSplit::Cl100kAscii => &CL100K_ASCII,
            PatternSplit::Qwen2 => &QWEN2_FOLDED,
            PatternSplit::Qwen2Ascii => &QWEN2_ASCII,
            PatternSplit::Qwen35 => &QWEN35_FOLDED,
            PatternSplit::Qwen35Ascii => &QWEN35_ASCII,
            PatternSplit::O200k => &O200K_GRAMMAR,
            PatternSplit::O200kAscii => &O200K_ASCII,
            PatternSplit::Tekken => &TEKKEN_GRAMMAR,
            _ => return None,
        })
    }

    /// Calls `each` with the pieces of `range`, in order and without holes.
    pub(super) fn split(self, text: &[u8], range: Range<usize>, each: &mut impl FnMut(Range<usize>)) {
        match self {
            PatternSplit::Gpt2 => cut(text, range, gpt2::<Regex>, each),
            PatternSplit::Cl100k => by_words(text, range, folded(LLAMA3), each),
            PatternSplit::Cl100kToEnd => by_words(text, range, TO_END, each),
            PatternSplit::Cl100kAscii => by_words(text, range, LLAMA3, each),
            PatternSplit::Qwen2 => by_words(text, range, folded(QWEN2), each),
            PatternSplit::Qwen2Ascii => by_words(text, range, QWEN2, each),
            PatternSplit::Qwen35 => by_words(text, range, folded(QWEN35), each),
            PatternSplit::Qwen35Ascii => by_words(text, range, QWEN35, each),
            PatternSplit::O200k => by_camel(text, range, O200K, each),
            PatternSplit::O200kAscii => by_camel(text, range, GPT4O, each),
            PatternSplit::Tekken => by_camel(text, range, TEKKEN, each),
            PatternSplit::Kimi => {
                let is = Camel { trail: Trail::Newlines, ..O200K };
                let at = |text: &[u8], pos| match run_of(text, pos, is_script_han) {
                    end if end > pos => end,
                    _ => camel::<RegexWithoutHan>(text, pos, is),
                };
                cut(text, range, at, each);
            }
            PatternSplit::DeepseekV3 => deepseek_v3::<Regex>(text, range, each),
            PatternSplit::DeepseekV3Words => {
                cut(text, range, |text, pos| deepseek_words::<Regex>(text, pos, false), each);
            }
            PatternSplit::HanAndKana => wide_runs(text, range, han_and_kana, each),
            PatternSplit::DeepseekHan => wide_runs(text, range, deepseek_han, each),
            PatternSplit::DeepseekLetters => {
                spaced_run::<Regex>(text, range, |_, cp| is_deepseek_letter(cp), each);
            }
            PatternSplit::DeepseekPunctuation => cut(text, range, deepseek_punctuation, each),
            PatternSplit::SpacedLetters => {
                spaced_run::<Regex>(text, range, |class, _| class & LETTER != 0, each);
            }
            PatternSplit::SpacedPunctuation => {
                spaced_run::<Regex>(text, range, |class, _| class & PUNCTUATION != 0, each);
            }
            PatternSplit::Newline => single_newlines(text, range, each),
            PatternSplit::TrailingWhitespace => trailing_whitespace::<Regex>(text, range, each),
            PatternSplit::Number => number_groups::<Regex>(text, range, 1, each),
            PatternSplit::Numbers3 => number_groups::<Regex>(text, range, 3, each),
            PatternSplit::Numbers => class_runs::<Regex>(text, range, |class| class & NUMBER != 0, each),
            PatternSplit::ThreeDigits => three_digits(text, range, each),
            PatternSplit::Bloom => bloom::<Regex>(text, range, each),
            PatternSplit::IndividualDigits => {
                let at = |text: &[u8], pos| match decode(text, pos) {
                    (cp, len) if is_numeric(cp) => pos + len,
                    _ => pos,
                };
                cut(text, range, at, each);
            }
            PatternSplit::ContiguousDigits => {
                cut(text, range, |text, pos| run_of(text, pos, is_numeric), each);
            }
        }
    }
}

const O200K: Camel = Camel { contraction: Contraction::Folded, ..GPT4O };

const TO_END: Words = Words { tail: Tail::EndThenNewlines, ..folded(LLAMA3) };

const fn folded(is: Words) -> Words {
    Words { contraction: Contraction::Folded, ..is }
}

#[inline(always)]
fn by_words(text: &[u8], range: Range<usize>, is: Words, each: &mut impl FnMut(Range<usize>)) {
    cut(text, range, |text, pos| words::<Regex>(text, pos, is), each);
}

#[inline(always)]
fn by_camel(text: &[u8], range: Range<usize>, is: Camel, each: &mut impl FnMut(Range<usize>)) {
    cut(text, range, |text, pos| camel::<Regex>(text, pos, is), each);
}

#[inline(always)]
fn run_of(text: &[u8], mut pos: usize, is: impl Fn(u32) -> bool) -> usize {
    loop {
        let (cp, len) = decode(text, pos);
        if len == 0 || !is(cp) {
            return pos;
        }
        pos += len;
    }
}

/// `\s?[!-/:-~！-／：-～‘-‟　-。]+`: U+3000 is a space and a member of the class, and both parts may take it.
fn deepseek_punctuation(text: &[u8], pos: usize) -> usize {
    let (cp, len) = decode(text, pos);
    let space = crate::unicode::is_whitespace(cp);
    let from = if space { pos + len } else { pos };
    match run_of(text, from, is_deepseek_punctuation) {
        end if end > from => end,
        _ if is_deepseek_punctuation(cp) => pos + len,
        _ => pos,
    }
}

// What tokenizers asks of its `Digits`; std's tables are those it sees.
fn is_numeric(cp: u32) -> bool {
    char::from_u32(cp).is_some_and(char::is_numeric)
}

/// What is known, by the text of the pattern. Possessive quantifiers give back nothing that the next part could use, so they change
/// no match; `\s*[\r\n]` is `\s*[\r\n]+`; `\s++$|\s+(?!\S)|\s` without newlines between is `\s+(?!\S)|\s+`.
#[rustfmt::skip]
static PATTERNS: &[(&str, PatternSplit)] = &[
    (r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", PatternSplit::Gpt2),
    (r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", PatternSplit::Gpt2),
    (r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s", PatternSplit::Gpt2),
    (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+", PatternSplit::Cl100k),
    (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+", PatternSplit::Cl100k),
    (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s", PatternSplit::Cl100kToEnd),
    (r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+", PatternSplit::Cl100kAscii),
    (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+", PatternSplit::Qwen2),
    (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+", PatternSplit::Qwen2),
    (r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+", PatternSplit::Qwen2Ascii),
    (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+", PatternSplit::Qwen35),
    (r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+", PatternSplit::Qwen35Ascii),
    (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+", PatternSplit::O200k),
    (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+", PatternSplit::O200kAscii),
    (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+", PatternSplit::Tekken),
    (r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+", PatternSplit::Kimi),
    ("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+", PatternSplit::DeepseekV3Words),
    (r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##, PatternSplit::DeepseekV3Words),
    ("[\u{4E00}-\u{9FA5}\u{3040}-\u{309F}\u{30A0}-\u{30FF}]+", PatternSplit::HanAndKana),
    ("[\u{4E00}-\u{9FA5}\u{0800}-\u{4E00}\u{AC00}-\u{D7FF}]+", PatternSplit::DeepseekHan),
    ("\\s?[A-Za-z\u{b5}\u{c0}-\u{d6}\u{d8}-\u{f6}\u{f8}-\u{1ba}\u{1bc}-\u{1bf}\u{1c4}-\u{293}\u{295}-\u{2af}\u{370}-\u{373}\u{376}\u{377}\u{37b}-\u{37d}\u{37f}\u{386}\u{388}-\u{38a}\u{38c}\u{38e}-\u{3a1}\u{3a3}-\u{3f5}\u{3f7}-\u{481}\u{48a}-\u{52f}\u{531}-\u{556}\u{10a0}-\u{10c5}\u{13a0}-\u{13f5}\u{13f8}-\u{13fd}\u{1c90}-\u{1cba}\u{1cbd}-\u{1cbf}\u{1d00}-\u{1d2b}\u{1d6b}-\u{1d77}\u{1d79}-\u{1d9a}\u{1e00}-\u{1f15}\u{1f18}-\u{1f1d}\u{1f20}-\u{1f45}\u{1f48}-\u{1f4d}\u{1f50}-\u{1f57}\u{1f59}\u{1f5b}\u{1f5d}\u{1f5f}-\u{1f7d}\u{1f80}-\u{1fb4}\u{1fb6}-\u{1fbc}\u{1fbe}\u{1fc2}-\u{1fc4}\u{1fc6}-\u{1fcc}\u{1fd0}-\u{1fd3}\u{1fd6}-\u{1fdb}\u{1fe0}-\u{1fec}\u{1ff2}-\u{1ff4}\u{1ff6}-\u{1ffc}\u{2102}\u{2107}\u{210a}-\u{2113}\u{2115}\u{2119}-\u{211d}\u{2124}\u{2126}\u{2128}\u{212a}-\u{212d}\u{212f}-\u{2134}\u{2139}\u{213c}-\u{213f}\u{2145}-\u{2149}\u{214e}\u{2183}\u{2184}\u{2c00}-\u{2c7b}\u{2c7e}-\u{2ce4}\u{2ceb}-\u{2cee}\u{2cf2}\u{2cf3}\u{a640}-\u{a66d}\u{a680}-\u{a69b}\u{a722}-\u{a76f}\u{a771}-\u{a787}\u{a78b}-\u{a78e}\u{ab70}-\u{abbf}\u{fb00}-\u{fb06}\u{fb13}-\u{fb17}\u{ff21}-\u{ff3a}\u{ff41}-\u{ff5a}\u{10400}-\u{1044f}\u{104b0}-\u{104d3}\u{104d8}-\u{104fb}\u{10c80}-\u{10cb2}\u{10cc0}-\u{10cf2}\u{118a0}-\u{118df}\u{1e900}-\u{1e943}]+", PatternSplit::DeepseekLetters),
    ("\\s?[!-/:-~\u{FF01}-\u{FF0F}\u{FF1A}-\u{FF5E}\u{2018}-\u{201F}\u{3000}-\u{3002}]+", PatternSplit::DeepseekPunctuation),
    (r"\s?\p{L}+", PatternSplit::SpacedLetters),
    (r"\s?\p{P}+", PatternSplit::SpacedPunctuation),
    ("[\r\n]", PatternSplit::Newline),
    (r"[\r\n]", PatternSplit::Newline),
    (r"\s+$", PatternSplit::TrailingWhitespace),
    (r"\p{N}", PatternSplit::Number),
    (r"\p{N}{1}", PatternSplit::Number),
    (r"\p{N}{1,3}", PatternSplit::Numbers3),
    (r"\p{N}+", PatternSplit::Numbers),
    ("[0-9][0-9][0-9]", PatternSplit::ThreeDigits),
    (" ?[^(\\s|.,!?\u{2026}\u{3002}\u{FF0C}\u{3001}\u{0964}\u{06D4}\u{060C})]+", PatternSplit::Bloom),
];

#[cfg(test)]
pub(super) fn known_patterns() -> impl Iterator<Item = (&'static str, PatternSplit)> {
    PATTERNS.iter().copied()
}
