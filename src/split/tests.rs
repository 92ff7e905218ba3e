//! The slow model: each pre type run as its specification says, regex by regex, and held against the hand-written splits.

use std::ops::Range;

use fancy_regex::Regex;
use proptest::prelude::*;

use super::gguf::GgufSplit;
use super::patterns::{PatternSplit, known_patterns};
use super::*;
use crate::unicode::tests::shared;
use crate::unicode::{self, Category, category, decode, encode, is_whitespace, lower};

/// Each split's regexes in llama.cpp, with the engine that runs them.
#[rustfmt::skip]
static REGEXES: &[(GgufSplit, &[(&str, &str)])] = &[
    (GgufSplit::Default, &[("collapsed", "[\\p{P}\\$\\+<=>\\^~\\|]+"), ("custom:gpt2", "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)"), ("collapsed", "\\p{N}+"), ("wide", "[0-9][0-9][0-9]")]),
    (GgufSplit::Flint, &[("collapsed", "\\p{N}{1,3}"), ("wide", "[\u{4e00}-\u{9fa5}\u{3040}-\u{309f}\u{30a0}-\u{30ff}]+"), ("collapsed", "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")]),
    (GgufSplit::MiniCpm5, &[("collapsed", "\\p{N}{1,3}"), ("collapsed", "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}+| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")]),
    (GgufSplit::Llama3, &[("custom:llama3", "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")]),
    (GgufSplit::DeepseekLlm, &[("wide", "[\r\n]"), ("wide", "\\s?[A-Za-z\u{b5}\u{c0}-\u{d6}\u{d8}-\u{f6}\u{f8}-\u{1ba}\u{1bc}-\u{1bf}\u{1c4}-\u{293}\u{295}-\u{2af}\u{370}-\u{373}\u{376}\u{377}\u{37b}-\u{37d}\u{37f}\u{386}\u{388}-\u{38a}\u{38c}\u{38e}-\u{3a1}\u{3a3}-\u{3f5}\u{3f7}-\u{481}\u{48a}-\u{52f}\u{531}-\u{556}\u{10a0}-\u{10c5}\u{13a0}-\u{13f5}\u{13f8}-\u{13fd}\u{1c90}-\u{1cba}\u{1cbd}-\u{1cbf}\u{1d00}-\u{1d2b}\u{1d6b}-\u{1d77}\u{1d79}-\u{1d9a}\u{1e00}-\u{1f15}\u{1f18}-\u{1f1d}\u{1f20}-\u{1f45}\u{1f48}-\u{1f4d}\u{1f50}-\u{1f57}\u{1f59}\u{1f5b}\u{1f5d}\u{1f5f}-\u{1f7d}\u{1f80}-\u{1fb4}\u{1fb6}-\u{1fbc}\u{1fbe}\u{1fc2}-\u{1fc4}\u{1fc6}-\u{1fcc}\u{1fd0}-\u{1fd3}\u{1fd6}-\u{1fdb}\u{1fe0}-\u{1fec}\u{1ff2}-\u{1ff4}\u{1ff6}-\u{1ffc}\u{2102}\u{2107}\u{210a}-\u{2113}\u{2115}\u{2119}-\u{211d}\u{2124}\u{2126}\u{2128}\u{212a}-\u{212d}\u{212f}-\u{2134}\u{2139}\u{213c}-\u{213f}\u{2145}-\u{2149}\u{214e}\u{2183}\u{2184}\u{2c00}-\u{2c7b}\u{2c7e}-\u{2ce4}\u{2ceb}-\u{2cee}\u{2cf2}\u{2cf3}\u{a640}-\u{a66d}\u{a680}-\u{a69b}\u{a722}-\u{a76f}\u{a771}-\u{a787}\u{a78b}-\u{a78e}\u{ab70}-\u{abbf}\u{fb00}-\u{fb06}\u{fb13}-\u{fb17}\u{ff21}-\u{ff3a}\u{ff41}-\u{ff5a}\u{10400}-\u{1044f}\u{104b0}-\u{104d3}\u{104d8}-\u{104fb}\u{10c80}-\u{10cb2}\u{10cc0}-\u{10cf2}\u{118a0}-\u{118df}\u{1e900}-\u{1e943}]+"), ("wide", "\\s?[!-/:-~\u{ff01}-\u{ff0f}\u{ff1a}-\u{ff5e}\u{2018}-\u{201f}\u{3000}-\u{3002}]+"), ("wide", "\\s+$"), ("wide", "[\u{4e00}-\u{9fa5}\u{800}-\u{4e00}\u{ac00}-\u{d7ff}]+"), ("collapsed", "\\p{N}+")]),
    (GgufSplit::DeepseekCoder, &[("wide", "[\r\n]"), ("collapsed", "\\s?\\p{L}+"), ("collapsed", "\\s?\\p{P}+"), ("wide", "[\u{4e00}-\u{9fa5}\u{800}-\u{4e00}\u{ac00}-\u{d7ff}]+"), ("collapsed", "\\p{N}")]),
    (GgufSplit::DeepseekV3, &[("collapsed", "\\p{N}{1,3}"), ("wide", "[\u{4e00}-\u{9fa5}\u{3040}-\u{309f}\u{30a0}-\u{30ff}]+"), ("collapsed", "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+")]),
    (GgufSplit::Spark, &[("collapsed", "\\p{N}{1,3}"), ("wide", "[\u{4e00}-\u{9fa5}\u{3040}-\u{309f}\u{30a0}-\u{30ff}]+"), ("collapsed", "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+|[\r\n]|\\s+(?!\\S)|\\s+"), ("collapsed", "\\p{N}")]),
    (GgufSplit::Youtu, &[("wide", "[\u{ac00}-\u{d7a3}\u{3131}-\u{318e}]+|[\u{ff01}\u{2026}\u{201c}\u{201d}\u{2018}\u{2019}\u{2014}\u{ff1a}\u{ff1b}\u{ff0c}\u{3001}-\u{303f}\u{fe30}-\u{fe4f}]+|[\u{3105}-\u{312f}]+|[\u{4e00}-\u{9fa5}\u{3040}-\u{309f}\u{30a0}-\u{30ff}]+"), ("collapsed", "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")]),
    (GgufSplit::Falcon, &[("collapsed", "[\\p{P}\\$\\+<=>\\^~\\|`]+"), ("custom:gpt2", "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)"), ("wide", "[0-9][0-9][0-9]")]),
    (GgufSplit::Gpt2, &[("custom:gpt2", "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)")]),
    (GgufSplit::Starcoder, &[("collapsed", "\\p{N}"), ("custom:gpt2", "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)")]),
    (GgufSplit::Jais2, &[("collapsed", "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{128}(?!\\S)|\\s{64}(?!\\S)|\\s{32}(?!\\S)|\\s{16}(?!\\S)|\\s{8}(?!\\S)|\\s{4}(?!\\S)|\\s{1,2}(?!\\S)|\\s{1}")]),
    (GgufSplit::Gemma4, &[("custom:newlines", "[^\\n]+|[\\n]+")]),
    (GgufSplit::Whitespace, &[("wide", "\\S+")]),
    (GgufSplit::Qwen2, &[("custom:qwen2", "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")]),
    (GgufSplit::Qwen35, &[("custom:qwen35", "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")]),
    (GgufSplit::Bloom, &[("wide", " ?[^(\\s|.,!?\u{2026}\u{3002}\u{ff0c}\u{3001}\u{964}\u{6d4}\u{60c})]+")]),
    (GgufSplit::Viking, &[("wide", " ?[^(\\s|.,!?\u{2026}\u{3002}\u{ff0c}\u{3001}\u{964}\u{6d4}\u{60c})]+"), ("collapsed", "\\p{N}")]),
    (GgufSplit::Tekken, &[("collapsed", "[^\\r\\n\\p{L}\\p{N}]?((?=[\\p{L}\\p{M}])([^a-z]))*((?=[\\p{L}\\p{M}])([^A-Z]))+|[^\\r\\n\\p{L}\\p{N}]?((?=[\\p{L}\\p{M}])([^a-z]))+((?=[\\p{L}\\p{M}])([^A-Z]))*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")]),
    (GgufSplit::TekkenNum3, &[("collapsed", "[^\\r\\n\\p{L}\\p{N}]?((?=[\\p{L}\\p{M}])([^a-z]))*((?=[\\p{L}\\p{M}])([^A-Z]))+|[^\\r\\n\\p{L}\\p{N}]?((?=[\\p{L}\\p{M}])([^a-z]))+((?=[\\p{L}\\p{M}])([^A-Z]))*|\\p{N}{1,3}(?=(?:\\p{N}{3})*(?!\\p{N}))|\\p{N}{1,2}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")]),
    (GgufSplit::ExaoneMoe, &[("collapsed", "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+")]),
    (GgufSplit::Chameleon, &[("wide", "<sentinel:[0-9]+>"), ("wide", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z"), ("wide", "([\\t\\n]|    |  )"), ("collapsed", "\\p{N}"), ("collapsed", "[\\p{P}!-/:-@\\[-`{-~]"), ("custom:gpt2", "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)")]),
    (GgufSplit::Gpt4o, &[("collapsed", "[^\\r\\n\\p{L}\\p{N}]?((?=[\\p{L}\\p{M}])([^a-z]))*((?=[\\p{L}\\p{M}])([^A-Z]))+(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|[^\\r\\n\\p{L}\\p{N}]?((?=[\\p{L}\\p{M}])([^a-z]))+((?=[\\p{L}\\p{M}])([^A-Z]))*(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")]),
    (GgufSplit::TinyAya, &[("custom:afmoe", "\\d{1,3}(?=(?:\\d{3})*\\b)"), ("collapsed", "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")]),
    (GgufSplit::Superbpe, &[("collapsed", "\\p{N}+"), ("wide", "(?=(\\d{3})+(?!\\d))")]),
    (GgufSplit::BailingMoe, &[("collapsed", "'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+")]),
    (GgufSplit::SeedCoder, &[("collapsed", "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")]),
    (GgufSplit::KimiK2, &[("custom:kimi_k2", "\\p{Han}+")]),
    (GgufSplit::Ufakzeka, &[("collapsed", "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")]),
    (GgufSplit::Afmoe, &[("custom:afmoe", "\\p{AFMoE_digits}"), ("wide", "[\u{4e00}-\u{9fff}\u{3400}-\u{4dbf}\u{8c48}-\u{faff}\u{3040}-\u{309f}\u{30a0}-\u{30ff}\u{ff65}-\u{ff9f}\u{2f00}-\u{2fdf}\u{e40}-\u{e7f}\u{e80}-\u{eff}\u{1780}-\u{17ff}\u{1000}-\u{109f}\u{aa60}-\u{aa7f}\u{a9e0}-\u{a9ff}\u{ac00}-\u{d7af}\u{1100}-\u{11ff}]+"), ("collapsed", "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")]),
    (GgufSplit::Laguna, &[("custom:newlines", "[^\\n]+|[\\n]+"), ("custom:qwen2", "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")]),
    (GgufSplit::K2Horizon, &[("custom:k2_horizon", "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}|\\p{M}|\\u200C|\\u200D)+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")]),
    (GgufSplit::Soprano, &[("collapsed", "\\p{N}"), ("collapsed", "\\s+|[\\p{L}\\p{N}_]+|[^\\p{L}\\p{N}_\\s]+")]),
];

// --- llama.cpp's engines -------------------------------------------------------------------------------------------------------------

fn code_points(text: &[u8]) -> Vec<u32> {
    let mut cps = Vec::new();
    let mut pos = 0;
    while pos < text.len() {
        let (cp, len) = decode(text, pos);
        cps.push(cp);
        pos += len;
    }
    cps
}

enum Engine {
    Collapsed(Regex),
    Wide(Regex),
    Custom(&'static str),
}

impl Engine {
    fn new(engine: &'static str, regex: &str) -> Engine {
        // `\d` is ASCII in both; with the collapsed symbols Latin-1 letters, it already is there.
        let regex = regex.replace(r"\d", "[0-9]");
        match engine.split_once(':') {
            Some((_, custom)) => Engine::Custom(custom),
            None if engine == "collapsed" => Engine::Collapsed(Regex::new(&collapse_regex(&regex)).unwrap()),
            None => Engine::Wide(Regex::new(&regex).unwrap()),
        }
    }

    /// Lengths in code points of the pieces of `segment`.
    fn cut(&self, segment: &[u32]) -> Vec<usize> {
        let (regex, symbols): (_, String) = match self {
            Engine::Custom(name) => return custom(name, segment),
            Engine::Collapsed(regex) => (regex, segment.iter().map(|&cp| collapse(cp)).collect()),
            Engine::Wide(regex) => {
                let wide = |&cp: &u32| match cp {
                    _ if cp >= 0x80 && is_whitespace(cp) => '\u{B}',
                    // No regex tells a surrogate from a private character.
                    _ => char::from_u32(cp).unwrap_or('\u{E000}'),
                };
                (regex, segment.iter().map(wide).collect())
            }
        };
        let mut cuts = Vec::new();
        let mut gap = 0;
        for found in regex.find_iter(&*symbols) {
            let found = found.unwrap();
            cuts.push(symbols[gap..found.start()].chars().count());
            cuts.push(found.as_str().chars().count());
            gap = found.end();
        }
        cuts.push(symbols[gap..].chars().count());
        cuts.retain(|&len| len > 0);
        cuts
    }
}

fn collapse(cp: u32) -> char {
    match category(cp) {
        _ if cp < 0x80 => cp as u8 as char,
        _ if is_whitespace(cp) => '\u{B}',
        Category::Number => '\u{D1}',
        Category::Letter => '\u{D2}',
        Category::Punctuation => '\u{D3}',
        Category::Mark => '\u{D4}',
        Category::Symbol => '\u{D5}',
        _ => '\u{D0}',
    }
}

fn collapse_regex(regex: &str) -> String {
    let mut out = String::new();
    let mut rest = regex;
    let mut in_class = false;
    while let Some(c) = rest.chars().next() {
        if let Some(class) = rest.strip_prefix(r"\p{") {
            let (name, after) = class.split_once('}').unwrap();
            let members = match name {
                "N" => "\u{D1}0-9",
                "L" | "Lu" | "Ll" | "Lt" | "Lm" | "Lo" => "\u{D2}A-Za-z",
                "P" => "\u{D3}!-#%-*,-/:;?@\\[\\\\\\]_{}",
                "M" => "\u{D4}",
                "S" => "\u{D5}$+<=>^`|~",
                other => panic!("{other} is not a class of llama.cpp"),
            };
            if in_class {
                out += members;
            } else {
                out.extend(["[", members, "]"]);
            }
            rest = after;
            continue;
        }
        let len = if c == '\\' { 1 + rest[1..].chars().next().unwrap().len_utf8() } else { c.len_utf8() };
        match c {
            '[' => in_class = true,
            ']' => in_class = false,
            _ => {}
        }
        out += &rest[..len];
        rest = &rest[len..];
    }
    out
}

/// The hand-written splitters of llama.cpp, by the letter of their description.
#[allow(clippy::too_many_lines, reason = "one description, read from top to bottom")]
fn custom(name: &str, text: &[u32]) -> Vec<usize> {
    let cp = |i: usize| text.get(i).copied();
    let is = |i: usize, wanted: Category| cp(i).is_some_and(|cp| category(cp) == wanted);
    let letter = |i| is(i, Category::Letter);
    let number = |i| is(i, Category::Number);
    let mark = |i| is(i, Category::Mark);
    let space = |i| cp(i).is_some_and(is_whitespace);
    let other = |i| i < text.len() && !space(i) && !letter(i) && !number(i);
    let newline = |i| matches!(cp(i), Some(0x0A | 0x0D));
    let han = |i| {
        let ranges: [Range<u32>; 9] = [
            0x4E00..0xA000,
            0x3400..0x4DC0,
            0x20000..0x2A6E0,
            0x2A700..0x2B740,
            0x2B740..0x2B820,
            0x2B820..0x2CEB0,
            0x2CEB0..0x2EBF0,
            0xF900..0xFB00,
            0x2F800..0x2FA20,
        ];
        cp(i).is_some_and(|cp| ranges.iter().any(|range| range.contains(&cp)))
    };
    let run = |mut i: usize, class: &dyn Fn(usize) -> bool| {
        while i < text.len() && class(i) {
            i += 1;
        }
        i
    };
    let contraction = |i: usize, fold: bool, long_s: bool| {
        let at = |i: usize| match cp(i) {
            Some(0x17F) if long_s => Some('s'),
            Some(cp) => char::from_u32(if fold { lower(cp) } else { cp }),
            None => None,
        };
        if cp(i) != Some(0x27) {
            return 0;
        }
        match (at(i + 1), at(i + 2)) {
            (Some('s' | 't' | 'm' | 'd'), _) => 2,
            (Some('r' | 'v'), Some('e')) | (Some('l'), Some('l')) => 3,
            _ => 0,
        }
    };
    let tail = |pos: usize, newlines: bool| {
        let end = run(pos, &space);
        let last_newline = (pos..end).rev().find(|&i| newline(i));
        match last_newline {
            Some(i) if newlines => i + 1,
            _ if end > pos + 1 && end < text.len() => end - 1,
            _ if end > pos => end,
            _ => pos + 1,
        }
    };
    let word = |i| match name {
        "qwen35" => letter(i) || mark(i),
        "k2_horizon" => letter(i) || mark(i) || matches!(cp(i), Some(0x200C | 0x200D)),
        "kimi_k2" => letter(i) && !han(i),
        _ => letter(i),
    };
    let at = |pos: usize| -> usize {
        let q = if cp(pos) == Some(0x20) { pos + 1 } else { pos };
        match name {
            "gpt2" => {
                if contraction(pos, false, false) > 0 {
                    return pos + contraction(pos, false, false);
                }
                let classes: [&dyn Fn(usize) -> bool; 3] = [&letter, &number, &other];
                for class in classes {
                    if class(q) {
                        return run(q, class);
                    }
                }
                tail(pos, false)
            }
            "llama3" | "qwen2" | "qwen35" | "k2_horizon" => {
                let contracted = contraction(pos, true, name == "k2_horizon");
                if contracted > 0 {
                    return pos + contracted;
                }
                if !newline(pos) && !number(pos) && (word(pos) || word(pos + 1)) {
                    return run(pos + 1, &word);
                }
                if number(pos) {
                    let most = if matches!(name, "llama3" | "k2_horizon") { 3 } else { 1 };
                    return run(pos, &number).min(pos + most);
                }
                let stands = |i| other(i) && !(name == "qwen35" && mark(i));
                if stands(q) || q == text.len() {
                    return run(run(q, &stands), &newline);
                }
                tail(pos, true)
            }
            "kimi_k2" => {
                if han(pos) {
                    return run(pos, &han);
                }
                if word(pos) || (!newline(pos) && !letter(pos) && !number(pos) && word(pos + 1)) {
                    let end = run(pos + 1, &word);
                    return end + contraction(end, true, false);
                }
                if number(pos) {
                    return run(pos, &number).min(pos + 3);
                }
                if other(q) {
                    return run(run(q, &other), &newline);
                }
                tail(pos, true)
            }
            "newlines" => {
                let line_feed = |i| cp(i) == Some(0x0A);
                run(pos, &|i| line_feed(i) == line_feed(pos))
            }
            unknown => panic!("no custom splitter {unknown}"),
        }
    };
    if name == "afmoe" {
        let mut ends = Vec::new();
        let mut pos = 0;
        while pos < text.len() {
            let end = run(pos, &number);
            let rest = (end - pos) % 3;
            if end > pos && rest != 0 {
                ends.push(pos + rest);
            }
            ends.extend((pos + rest + 3..=end).step_by(3));
            pos = end.max(pos + 1);
        }
        ends.push(text.len());
        let starts = std::iter::once(0).chain(ends.clone());
        return starts.zip(&ends).map(|(start, end)| end - start).filter(|&len| len > 0).collect();
    }
    let mut cuts = Vec::new();
    let mut pos = 0;
    while pos < text.len() {
        let end = at(pos);
        cuts.push(end - pos);
        pos = end;
    }
    cuts
}

/// Byte ranges of the pieces that the engines, one after the other, leave of `text`.
fn slow(engines: &[Engine], text: &[u8]) -> Vec<Range<usize>> {
    let cps = code_points(text);
    let mut lengths = vec![cps.len()];
    for engine in engines {
        let mut pos = 0;
        let mut finer = Vec::new();
        for len in lengths {
            finer.extend(engine.cut(&cps[pos..pos + len]));
            pos += len;
        }
        lengths = finer;
    }
    let mut ranges = Vec::new();
    let (mut cp, mut byte) = (0, 0);
    for len in lengths.into_iter().filter(|&len| len > 0) {
        let mut utf8 = Vec::new();
        for &cp in &cps[cp..cp + len] {
            encode(cp, &mut utf8);
        }
        ranges.push(byte..byte + utf8.len());
        (cp, byte) = (cp + len, byte + utf8.len());
    }
    ranges
}

fn fast(split: &Split, text: &[u8]) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    split.split(text, &mut |piece| ranges.push(piece)).unwrap();
    ranges
}

fn shown(text: &[u8], ranges: &[Range<usize>]) -> Vec<String> {
    ranges.iter().map(|range| String::from_utf8_lossy(&text[range.clone()]).into_owned()).collect()
}

// --- texts that are rich in traps ----------------------------------------------------------------------------------------------------

#[rustfmt::skip]
static FRAGMENTS: &[&str] = &[
    "'s", "'S", "'re", "'RE", "'ll", "'lL", "'ve", "'t", "'ſ", "'é", "'", " ", "  ", "    ", "     ", "\t",
    "\n", "\r", "\r\n", "\n\n", " \n", "\n ", "/", "//", "a", "Z", "ab", "hello", "World", "ABC", "aB", "É",
    "é", "ДОМ", "дом", "ǅ", "ʰ", "ª", "ß", "ſ", "İ", "1", "12", "123", "1234567", "٣", "²", "Ⅷ", "〇", "１２３",
    "½", "一", "龥", "龦", "㐀", "豈", "々", "⺀", "ア", "゛", "゠", "・", "한국", "ㄱ", "ㄅ", "กำ", "ก", "क", "ि", "की",
    "\u{301}", "e\u{301}", "\u{200C}", "\u{200D}", "\u{20DD}", "!", "?", ".", ",", "…", "。", "，", "、", "।",
    "۔", "،", "(", ")", "|", "_", "-", "\"", "#", "$", "+", "<", "=", ">", "^", "`", "~", "[", "\\", "]", "{",
    "}", "“", "’", "—", "！", "～", "€", "©", "😀", "👨\u{200D}👩", "\u{FFFD}", "\u{3000}", "\u{A0}", "\u{85}",
    "\u{2028}", "\u{1680}", "\u{B}", "\u{C}", "\u{1C}", "\0", "\u{7F}", "\u{AD}", "\u{FEFF}", "\u{E000}",
    "\u{378}", "\u{10D50}", "\u{323B0}", "\u{E0100}", "\u{10FFFF}", "<sentinel:12>", "<sentinel:",
    "IMGIMGABZ", "IMGIMGABCDEZ", "IMGIMG", "_a", "a_1", "x1y", "aªB", "ABªC", "Aʰb", "\u{16FF0}",
];

fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let bytes: Vec<Vec<u8>> = FRAGMENTS.iter().map(|word| word.as_bytes().to_vec()).collect();
    let broken = [&b"\xFF"[..], b"\xE4\xBD", b"\xED\xA0\x80", b"\xED\xBF\xBF", b"\xC0\x80", b"\xF8", b"\x80"];
    let broken: Vec<Vec<u8>> = broken.iter().map(|bytes| bytes.to_vec()).collect();
    let any_cp = prop_oneof![0u32..0x80, 0u32..0x3000, 0u32..0x11_0000].prop_map(|cp| {
        let mut utf8 = Vec::new();
        encode(cp, &mut utf8);
        utf8
    });
    prop_oneof![
        12 => proptest::sample::select(bytes),
        1 => proptest::sample::select(broken),
        2 => any_cp,
        1 => (0usize..40, proptest::sample::select(vec![" ", "\n", "7", "A", "\u{301}", "!"]))
            .prop_map(|(count, word)| word.repeat(count).into_bytes()),
    ]
}

fn texts() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(fragments(), 0..14).prop_map(|parts| parts.concat())
}

/// How often each random test runs; `ANYTOK_CASES` raises it.
fn cases(default: u32) -> ProptestConfig {
    let cases = std::env::var("ANYTOK_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig::with_cases(cases.unwrap_or(default))
}

#[test]
fn every_gguf_split_does_what_its_regexes_do() {
    assert_eq!(REGEXES.len(), GgufSplit::NAMES.len());
    for &(split, regexes) in REGEXES {
        let engines: Vec<Engine> = regexes.iter().map(|(engine, regex)| Engine::new(engine, regex)).collect();
        let split = Split::Gguf(split);
        proptest!(cases(1500), |(bytes in texts())| {
            let text = unicode::repair(&bytes);
            let (fast, slow) = (fast(&split, &text), slow(&engines, &text));
            prop_assert_eq!(shown(&text, &fast), shown(&text, &slow), "{:?} on {:?}", split, text);
            prop_assert_eq!(fast, slow);
        });
    }
}

#[test]
fn every_pattern_split_does_what_its_pattern_does() {
    for (pattern, split) in known_patterns() {
        let regex = Split::Regex(Arc::new(Compiled::new(pattern).unwrap()));
        let by_hand = Split::Pattern(split);
        proptest!(cases(1500), |(bytes in texts())| {
            let text = unicode::repair(&bytes);
            let (fast, slow) = (fast(&by_hand, &text), fast(&regex, &text));
            prop_assert_eq!(shown(&text, &fast), shown(&text, &slow), "{:?} on {:?}", split, text);
        });
    }
}

#[test]
fn every_character_is_cut_alike() {
    let gguf = REGEXES.iter().map(|&(split, regexes)| {
        let engines: Vec<Engine> =
            regexes.iter().map(|&(engine, regex)| Engine::new(engine, regex)).collect();
        (Split::Gguf(split), engines)
    });
    let gguf: Vec<(Split, Vec<Engine>)> = gguf.collect();
    let patterns = known_patterns().map(|(pattern, split)| {
        (Split::Pattern(split), Split::Regex(Arc::new(Compiled::new(pattern).unwrap())))
    });
    let patterns: Vec<(Split, Split)> = patterns.collect();
    // All of the two planes that have nearly all characters, every edge of a class among them, and some of the rest.
    let blocks = (0..0x2_0000 / 128).chain((0x2_0000 / 128..0x11_0000 / 128).step_by(61));
    for block in blocks {
        let mut text = Vec::new();
        for cp in block * 128..(block + 1) * 128 {
            // Alone among spaces, before and after a letter, and twice.
            for part in ["", " b", "b", "", " "] {
                text.extend_from_slice(part.as_bytes());
                encode(cp, &mut text);
            }
        }
        for (split, engines) in &gguf {
            assert_eq!(fast(split, &text), slow(engines, &text), "{split:?} from U+{:04X}", block * 128);
        }
        for (split, regex) in &patterns {
            assert_eq!(fast(split, &text), fast(regex, &text), "{split:?} from U+{:04X}", block * 128);
        }
    }
}

#[test]
fn deepseek_v3_is_its_three_patterns() {
    let patterns = [PatternSplit::Numbers3, PatternSplit::HanAndKana, PatternSplit::DeepseekV3Words];
    let texts_of = |wanted| known_patterns().find(|&(_, split)| split == wanted).unwrap().0;
    let fused = from_patterns(&patterns.map(texts_of)).unwrap();
    assert_eq!(fused.name(), "pattern:deepseek-v3");
    assert!(from_patterns(&patterns[..2].iter().map(|&split| texts_of(split)).collect::<Vec<_>>()).is_none());
    let sequence = patterns.map(|split| Split::Regex(Arc::new(Compiled::new(texts_of(split)).unwrap())));
    proptest!(cases(1500), |(bytes in texts())| {
        let text = unicode::repair(&bytes);
        let mut slow = Vec::new();
        cascade(&sequence, &text, 0..text.len(), &mut |piece| slow.push(piece)).unwrap();
        prop_assert_eq!(fast(&fused, &text), slow);
    });
}

#[test]
fn digits_are_what_std_calls_numeric() {
    proptest!(cases(1000), |(text in "[0-9a٣²Ⅷ〇１½ é]{0,12}")| {
        let individual: Vec<String> = text.split_inclusive(|_: char| true).fold(Vec::new(), |mut pieces: Vec<String>, c| {
            let numeric = |s: &str| s.chars().all(char::is_numeric);
            match pieces.last_mut() {
                Some(last) if !numeric(last) && !numeric(c) => last.push_str(c),
                _ => pieces.push(c.to_owned()),
            }
            pieces
        });
        let contiguous = text.chars().fold(Vec::new(), |mut pieces: Vec<String>, c| {
            match pieces.last_mut() {
                Some(last) if last.chars().all(char::is_numeric) == c.is_numeric() => last.push(c),
                _ => pieces.push(c.to_string()),
            }
            pieces
        });
        for (split, expected) in
            [(PatternSplit::IndividualDigits, individual), (PatternSplit::ContiguousDigits, contiguous)]
        {
            let pieces = shown(text.as_bytes(), &fast(&Split::Pattern(split), text.as_bytes()));
            prop_assert_eq!(pieces, expected);
        }
    });
}

#[test]
fn no_split_loses_a_byte_of_any_bytes() {
    let splits: Vec<Split> = every_split().collect();
    proptest!(cases(400), |(bytes in proptest::collection::vec(any::<u8>(), 0..60), text in texts())| {
        for bytes in [&bytes, &text] {
            for split in &splits {
                let mut end = 0;
                split.split(bytes, &mut |piece| {
                    assert!(piece.start == end && piece.end > end, "{split:?} {piece:?}");
                    end = piece.end;
                }).unwrap();
                prop_assert_eq!(end, bytes.len(), "{:?}", split);
            }
        }
    });
}

#[test]
fn blocks_hold_what_split_gives() {
    let regexes = [r"(?=b)|[0-9]+", r"\w+", "(?!)"].map(|pattern| any_pattern(pattern).unwrap());
    let splits: Vec<Split> = every_split().chain(regexes).collect();
    proptest!(cases(200), |(text in texts(), times in proptest::sample::select(vec![1usize, 40, 300]))| {
        let text = unicode::repair(&text.repeat(times)).into_owned();
        for split in &splits {
            prop_assert_eq!(in_blocks(split, &text, Split::pieces), fast(split, &text), "{:?}", split);
            let mut matches = Vec::new();
            split.matches(&text, &mut |piece| matches.push(piece)).unwrap();
            prop_assert_eq!(in_blocks(split, &text, Split::matching_pieces), matches, "{:?}", split);
        }
    });
}

type Pieces = fn(&Split, &[u8], &mut dyn FnMut(&[Piece]) -> bool) -> Result<(), SplitError>;

fn in_blocks(split: &Split, text: &[u8], pieces: Pieces) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    pieces(split, text, &mut |block| {
        assert!((1..=256).contains(&block.len()));
        ranges.extend(block.iter().map(|piece| piece.range()));
        true
    })
    .unwrap();
    ranges
}

/// At every offset to a block's end, and with blocks of every content beside each other.
#[test]
fn blocks_are_cut_as_one_by_one() {
    let cut = |split: &Split, text: &[u8]| {
        let grammar = split.grammar().unwrap();
        let machine = in_blocks(split, text, Split::pieces);
        let mut portable = Vec::new();
        let mut each = |block: &[Piece]| {
            portable.extend(block.iter().map(|piece| piece.range()));
            true
        };
        let mut block = Block::new(&mut each);
        simd::portable::cut(text, 0..text.len(), grammar, &mut block);
        block.flush();
        (machine, portable)
    };
    let splits: Vec<Split> = every_split().filter(|split| split.grammar().is_some()).collect();
    assert_eq!(splits.len(), 20);
    let long = proptest::collection::vec(fragments(), 0..120).prop_map(|parts| parts.concat());
    // Few characters, so that rules meet.
    let dense = proptest::collection::vec(
        proptest::sample::select(vec![
            "a", "b", "B", "s", "'", "'s", "'ll", " ", " ", "  ", "\n", "\n", "\r", "\t", "/", "!", "1", "1",
            "12", "\u{301}", "一", "é", "É", "ª", "٣", "\u{3000}", "\u{A0}", "ſ", "—", "😀",
        ]),
        0..200,
    )
    .prop_map(|parts| parts.concat().into_bytes());
    let words = proptest::collection::vec(
        proptest::sample::select(vec![
            "word", "Words", " ", " ", "\n", "    ", "it's", "кот", " Кот", "猫", "1234", ", ", ";\n", "//",
            "”",
        ]),
        0..100,
    )
    .prop_map(|parts| parts.concat().into_bytes());
    let texts = prop_oneof![2 => long, 3 => dense, 1 => words];
    proptest!(cases(2500), |(shift in 0usize..70, bytes in texts)| {
        let text = unicode::repair(&["x".repeat(shift).as_bytes(), &bytes].concat()).into_owned();
        for split in &splits {
            let slow = one_by_one(split, &text);
            let (machine, portable) = cut(split, &text);
            prop_assert_eq!(shown(&text, &machine), shown(&text, &slow), "{:?} on {:?}", split, text);
            prop_assert_eq!(machine, slow, "{:?} on {:?}", split, text);
            prop_assert_eq!(portable, one_by_one(split, &text));
        }
    });
}

fn one_by_one(split: &Split, text: &[u8]) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut each = |piece| ranges.push(piece);
    match split {
        Split::Gguf(split) => split.split(text, 0..text.len(), &mut each),
        Split::Pattern(split) => split.split(text, 0..text.len(), &mut each),
        Split::Regex(_) => unreachable!("only grammars have a slow twin"),
    }
    ranges
}

#[test]
fn every_split_is_linear() {
    let long = |word: &str| word.repeat((1 << 20) / word.len());
    let mixed = |a: &str, b: &str| long(a) + b;
    let hard = [
        long(" "),
        long("\n"),
        long("\r\n "),
        long("\u{3000}"),
        long("7"),
        long("a"),
        long("A"),
        long("aA"),
        long("Aª"),
        mixed("ª", &long("A")),
        long("\u{301}"),
        long("!"),
        long("'"),
        long("' "),
        long("一"),
        long("😀"),
        long("a "),
        long(" a"),
        long("<sentinel:1"),
        long("IMGIMGA"),
        long("\t\n"),
        mixed(" ", "x"),
        mixed("7", "x"),
        mixed("A", "1"),
        long("７"),
        long("!\n"),
        long("/\n"),
        long("_"),
        long("\0"),
        long("\u{378}"),
    ];
    for split in every_split() {
        for text in &hard {
            let begun = std::time::Instant::now();
            split.split(text.as_bytes(), &mut |_| {}).unwrap();
            let taken = begun.elapsed();
            let shown: String = text.chars().take(4).collect();
            // A quadratic megabyte takes minutes, a linear one milliseconds: no machine blurs that.
            assert!(taken.as_secs() < 20, "{split:?} took {taken:?} on {shown:?}");
        }
    }
}

fn every_split() -> impl Iterator<Item = Split> {
    let gguf = GgufSplit::NAMES.iter().map(|&(_, split)| Split::Gguf(split));
    gguf.chain(PatternSplit::NAMES.iter().map(|&(_, split)| Split::Pattern(split)))
}

#[test]
fn names_lead_back() {
    for split in every_split() {
        let name = split.name();
        assert!(!name.is_empty(), "{split:?}");
        assert_eq!(format!("{:?}", Split::from_name(&name).unwrap().unwrap()), format!("{split:?}"));
    }
    let unknown = any_pattern(r"\w+|\W").unwrap();
    assert_eq!(unknown.name(), r"regex:\w+|\W");
    assert_eq!(Split::from_name(&unknown.name()).unwrap().unwrap().name(), unknown.name());
    assert!(Split::from_name("gpt-3").unwrap().is_none());
    assert!(Split::from_name("regex:(").is_err());
    // Every variant has a name: the lists are as long as the sets of what the names are of.
    let distinct: std::collections::BTreeSet<_> = every_split().map(|split| split.name()).collect();
    assert_eq!(distinct.len(), GgufSplit::NAMES.len() + PatternSplit::NAMES.len());
}

#[test]
fn splits_without_gaps_have_none() {
    for (pattern, split) in known_patterns() {
        let regex = Regex::new(pattern).unwrap();
        let mut covered = true;
        for c in '\0'..=char::MAX {
            let text = format!("{c}");
            covered &= regex.find(&*text).unwrap().is_some_and(|found| found.range() == (0..text.len()));
            if !covered {
                break;
            }
        }
        assert_eq!(Split::Pattern(split).has_no_gaps(), covered, "{split:?}");
    }
}

#[test]
fn a_pattern_that_backtracks_too_far_is_an_error() {
    let split = any_pattern(r"((a+)\2?)+c").unwrap();
    let error = split.split("a".repeat(200).as_bytes(), &mut |_| {}).unwrap_err();
    assert_eq!(
        error.to_string(),
        r"the split pattern `((a+)\2?)+c` gave up at byte 0 of a text of 200 bytes"
    );
    assert_eq!(any_pattern("(").unwrap_err().to_string(), "the split pattern `(` does not compile");
}

#[test]
fn unknown_patterns_keep_their_gaps() {
    let split = any_pattern(r"(?=b)|[0-9]+").unwrap();
    assert!(matches!(split, Split::Regex(_)));
    let text = "a\u{FFFD}b12c".as_bytes();
    assert_eq!(shown(text, &fast(&split, text)), ["a\u{FFFD}", "b", "12", "c"]);
    let text = b"\xED\xA0\x801\xFF2";
    assert_eq!(fast(&split, text), [0..3, 3..4, 4..5, 5..6]);
}

// --- the table of names --------------------------------------------------------------------------------------------------------------

#[test]
fn the_table_equals_the_specification() {
    let Some(path) = shared("spec/pre-tokenizers.json") else { return };
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut names = 0;
    for row in json["pre_tokenizers"].as_array().unwrap() {
        // The row without a name is that of a missing `pre`.
        let Some(name) = row["pre"].as_str() else { continue };
        names += 1;
        let pre = Pre::by_name(name).unwrap();
        let strings = |key: &str| -> Vec<String> {
            row[key].as_array().unwrap().iter().map(|s| s.as_str().unwrap().to_owned()).collect()
        };
        let expected: Vec<(String, String)> =
            strings("engines").into_iter().zip(strings("regexes")).collect();
        let (_, regexes) = REGEXES.iter().find(|(split, _)| *split == pre.split).unwrap();
        let regexes: Vec<(String, String)> =
            regexes.iter().map(|&(e, r)| (e.to_owned(), r.to_owned())).collect();
        assert_eq!(regexes, expected, "{name}");
        let switches = [
            ("byte_encode", pre.byte_encode),
            ("ignore_merges", pre.ignore_merges),
            ("clean_spaces", pre.clean_spaces),
            ("escape_whitespaces", pre.escape_whitespaces),
            ("add_space_prefix", pre.add_space_prefix),
            ("add_bos", pre.add_bos),
            ("add_eos", pre.add_eos),
            ("add_sep", pre.add_sep),
            ("force_add_bos_after_kv", pre.force_add_bos),
        ];
        for (key, switch) in switches {
            assert_eq!(row[key].as_bool(), Some(switch), "{name}: {key}");
        }
        assert_eq!(row.get("special_bos_id_default").is_some(), pre.no_default_bos, "{name}");
        assert_eq!(row.get("normalizer_lowercase_default").is_none(), pre.lowercase_default, "{name}");
        let kind = match row["type"].as_str().unwrap().trim_start_matches("LLAMA_VOCAB_PRE_TYPE_") {
            "GEMMA4" => PreKind::Gemma4,
            "MMBERT" => PreKind::Mmbert,
            "SOPRANO" => PreKind::Soprano,
            "FLINT" => PreKind::Flint,
            "WHITESPACE" => PreKind::Whitespace,
            "KIMI_K2" => PreKind::KimiK2,
            "NEMOTRON_3_5_EMBD" => PreKind::Nemotron,
            _ => PreKind::Other,
        };
        assert_eq!(pre.kind, kind, "{name}");
    }
    assert_eq!(names, 98);
}

#[test]
fn an_unknown_name_is_not_guessed() {
    for name in ["", "Llama3", "llama3 ", "gpt2"] {
        assert!(Pre::by_name(name).is_none(), "{name:?}");
    }
}

/// Applies `splits` one after the other, each to the pieces of the one before.
fn cascade(
    splits: &[Split],
    text: &[u8],
    range: Range<usize>,
    each: &mut dyn FnMut(Range<usize>),
) -> Result<(), SplitError> {
    let Some((first, rest)) = splits.split_first() else {
        each(range);
        return Ok(());
    };
    let mut result = Ok(());
    first.split_range(text, range, &mut |piece| {
        if result.is_ok() {
            result = cascade(rest, text, piece, each);
        }
    })?;
    result
}
