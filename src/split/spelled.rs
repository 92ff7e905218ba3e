//! A split as a pattern that means the same to every regex engine: classes are spelled out, so that no reader's tables matter.

use super::Split;
use super::grammar::Contraction;
use super::scan::{Grammar, LETTERS_AND_MARKS, Shape};
use crate::unicode::{LETTER, LOWER, MARK, NUMBER, UPPER, WHITESPACE, cpp_flags, regex_flags};

impl Split {
    /// A pattern whose matches are the pieces, for Oniguruma and for `fancy-regex` alike. `None` for the splits that are no single
    /// pattern, and for patterns that nobody knows here.
    ///
    /// Tens of kilobytes, as the tables are.
    pub(crate) fn spelled(&self) -> Option<String> {
        let grammar = self.grammar()?;
        let flags = if grammar.regex { regex_flags } else { cpp_flags };
        let class = |mask: u8| self::class(flags, mask);
        let (letter, number, white) = (class(LETTER), class(NUMBER), class(WHITESPACE));
        let contraction = contraction(grammar.contraction);
        let first = if contraction.is_empty() { String::new() } else { format!("{contraction}|") };
        let spaces = format!("[{white}]+(?![^{white}])|[{white}]+");
        let digits = match grammar.digits {
            1 => "",
            3 => "{1,3}",
            _ => "+",
        };
        let lead = format!(r"[^\r\n{letter}{number}]?");
        let newlines = format!(r"[{white}]*[\r\n]+|{spaces}");
        Some(match grammar.shape {
            Shape::Gpt2 if digits == "+" => {
                format!("{first} ?[{letter}]+| ?[{number}]+| ?[^{white}{letter}{number}]+|{spaces}")
            }
            Shape::Gpt2 => return None,
            Shape::Words => {
                let letters =
                    if *grammar.substitutes == LETTERS_AND_MARKS { class(LETTER | MARK) } else { letter };
                let trail = trail(grammar, r"[\r\n]*");
                let end = if grammar.white_end { format!(r"[{white}]+\z|") } else { String::new() };
                format!(
                    "{first}{lead}[{letters}]+|[{number}]{digits}| ?[^{white}{letters}{number}]+{trail}|{end}{newlines}"
                )
            }
            Shape::Camel => {
                // llama.cpp spells ASCII's case out, and knows no other.
                let cased = |mask: u8, other: fn(&char) -> bool| {
                    let ascii: String = ('A'..='z').filter(char::is_ascii_alphabetic).filter(other).collect();
                    let without = |cp| if cp < 0x80 { 0 } else { cpp_flags(cp) };
                    if grammar.regex { class(mask) } else { ascii + &self::class(without, mask) }
                };
                let upper = cased(UPPER, char::is_ascii_uppercase);
                let lower = cased(LOWER, char::is_ascii_lowercase);
                let ending =
                    if contraction.is_empty() { String::new() } else { format!("(?:{contraction})?") };
                let trail = trail(grammar, r"[\r\n/]*");
                format!(
                    "{lead}[{upper}]*[{lower}]+{ending}|{lead}[{upper}]+[{lower}]*{ending}|[{number}]{digits}\
                     | ?[^{white}{letter}{number}]+{trail}|{newlines}"
                )
            }
        })
    }
}

fn trail(grammar: &Grammar, trail: &'static str) -> &'static str {
    if grammar.newlines_trail { trail } else { "" }
}

/// The characters with one of the classes, as what stands between brackets.
fn class(flags: impl Fn(u32) -> u8, mask: u8) -> String {
    let mut spelled = String::new();
    let mut characters = (0..=0xD7FF).chain(0xE000..=0x0010_FFFF).peekable();
    while let Some(first) = characters.next() {
        if flags(first) & mask == 0 {
            continue;
        }
        let mut last = first;
        while let Some(next) = characters.next_if(|&next| next == last + 1 && flags(next) & mask != 0) {
            last = next;
        }
        spelled.push_str(&format!(r"\x{{{first:X}}}"));
        if last > first {
            spelled.push_str(&format!(r"-\x{{{last:X}}}"));
        }
    }
    spelled
}

fn contraction(kind: Contraction) -> &'static str {
    match kind {
        Contraction::None => "",
        Contraction::Exact => "'(?:[stmd]|re|ve|ll)",
        Contraction::AnyCase => "'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])",
        Contraction::Folded => r"'(?:[sS\x{17F}tTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Compiled, GgufSplit, PatternSplit};
    use super::*;

    fn pieces(split: &Split, text: &str) -> Vec<std::ops::Range<usize>> {
        let mut pieces = Vec::new();
        split.split(text.as_bytes(), &mut |piece| pieces.push(piece)).unwrap();
        pieces
    }

    #[test]
    fn spelled_splits_cut_as_they_do() {
        let gguf = GgufSplit::NAMES.iter().map(|&(_, split)| Split::Gguf(split));
        let patterns = PatternSplit::NAMES.iter().map(|&(_, split)| Split::Pattern(split));
        let mut count = 0;
        // The characters at the edges of classes, in every role that they may have; then mixtures of what the splits look at.
        let differ = |a: u32, b: u32| cpp_flags(a) != cpp_flags(b) || regex_flags(a) != regex_flags(b);
        let edges = (1..0x0011_0000).filter(|&cp| differ(cp - 1, cp)).flat_map(|cp| [cp - 1, cp]);
        let edges: Vec<char> = edges.filter_map(char::from_u32).collect();
        let mut texts: Vec<String> = Vec::new();
        for characters in edges.chunks(512) {
            let each = |c: &char| format!("a{c}B{c}1{c}{c}!{c} {c}\n{c}'s");
            texts.push(characters.iter().map(each).collect());
        }
        let parts = [
            "a", "B", "ab", "AB", "aB", " ", "  ", "\n", "\r\n", "\t", "\u{A0}", "1", "1234", "'s", "'S",
            "'LL", "'ſ", "'", "/", "!", "...", "é", "É", "ǅ", "ʰ", "語", "\u{301}", "٣", "🌊", "\u{3000}",
            "'re", "'VE", "x'd", "\u{200D}",
        ];
        let mut state = 1_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            (state >> 33) as usize % below
        };
        for _ in 0..2000 {
            texts.push((0..random(12)).map(|_| parts[random(parts.len())]).collect());
        }
        for split in gguf.chain(patterns) {
            let Some(pattern) = split.spelled() else { continue };
            let spelled = Split::Regex(Arc::new(Compiled::new(&pattern).unwrap()));
            for text in &texts {
                let (found, expected) = (pieces(&spelled, text), pieces(&split, text));
                if let Some((found, expected)) = found.iter().zip(&expected).find(|(a, b)| a != b) {
                    let around =
                        text.get(expected.start.saturating_sub(4)..(expected.end + 8).min(text.len()));
                    panic!("{}: {found:?}, not {expected:?}, around {around:?}", split.name());
                }
            }
            count += 1;
        }
        assert!(count >= 15, "{count}");
    }
}
