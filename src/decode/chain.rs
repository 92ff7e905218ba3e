//! The decoders of `tokenizers` one after the other, each on all tokens, where they are not those that
//! [`super::tokenizers`] takes token by token.

use serde::{Deserialize, Serialize};

use super::options::SpecialText;
use crate::split::{Delimiter, SplitError};
use crate::vocabulary::{Vocabulary, attribute, decode_alphabet};

/// Decoders, and what the library takes for a token's text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Chain {
    pub(crate) decoders: Vec<Decoder>,
    /// Put between what the decoders leave; the library does so only without any.
    pub(crate) separator: String,
    /// Added tokens that normalization changes: the library decodes from what it makes of them.
    pub(crate) rewritten: Vec<(u32, String)>,
}

/// One decoder.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Decoder {
    /// The GPT-2 byte alphabet back to bytes.
    ByteLevel,
    WordPiece {
        prefix: String,
        cleanup: bool,
    },
    /// `replacement` becomes a space; with `drops_first` it is left out of the first token.
    Metaspace {
        replacement: char,
        drops_first: bool,
    },
    /// `BPEDecoder`: what ends a word becomes a space, but in the last token.
    EndOfWord(String),
    /// Repeated tokens count once, the padding is left out.
    Ctc {
        pad: String,
        delimiter: String,
        cleanup: bool,
    },
    ByteFallback,
    Fuse,
    /// So many of a character are taken from both ends of each token.
    Strip {
        content: char,
        start: usize,
        stop: usize,
    },
    Replace {
        pattern: Delimiter,
        content: String,
    },
}

impl Chain {
    /// The text of `ids`, which are all tokens. Linear, but for a pattern that backtracks.
    pub(crate) fn decode(
        &self,
        vocabulary: &Vocabulary,
        ids: &[u32],
        special: SpecialText,
    ) -> Result<String, SplitError> {
        let shown =
            |id: u32| special == SpecialText::Render || vocabulary.attributes(id) & attribute::CONTROL == 0;
        let text = |id: u32| match self.rewritten.iter().find(|(of, _)| *of == id) {
            Some((_, text)) => Some(text.clone()),
            None => vocabulary.text(id).map(|text| String::from_utf8_lossy(&text).into_owned()),
        };
        let mut tokens: Vec<String> =
            ids.iter().filter(|&&id| shown(id)).filter_map(|&id| text(id)).collect();
        for decoder in &self.decoders {
            tokens = decoder.apply(tokens)?;
        }
        Ok(tokens.join(&self.separator))
    }
}

impl Decoder {
    fn apply(&self, mut tokens: Vec<String>) -> Result<Vec<String>, SplitError> {
        match self {
            Self::ByteLevel => {
                let mut bytes = Vec::new();
                for token in &tokens {
                    let before = bytes.len();
                    if !decode_alphabet(token.as_bytes(), &mut bytes) {
                        bytes.truncate(before);
                        bytes.extend_from_slice(token.as_bytes());
                    }
                }
                tokens = vec![String::from_utf8_lossy(&bytes).into_owned()];
            }
            Self::WordPiece { prefix, cleanup } => {
                for (i, token) in tokens.iter_mut().enumerate() {
                    if i > 0 {
                        *token = match token.strip_prefix(prefix.as_str()) {
                            Some(rest) => rest.to_owned(),
                            None => format!(" {token}"),
                        };
                    }
                    if *cleanup {
                        *token = clean(token);
                    }
                }
            }
            Self::Metaspace { replacement, drops_first } => {
                for (i, token) in tokens.iter_mut().enumerate() {
                    let space = if i == 0 && *drops_first { "" } else { " " };
                    *token = token.replace(*replacement, space);
                }
            }
            Self::EndOfWord(suffix) => {
                let last = tokens.len().saturating_sub(1);
                for (i, token) in tokens.iter_mut().enumerate() {
                    *token = token.replace(suffix.as_str(), if i == last { "" } else { " " });
                }
            }
            Self::Ctc { pad, delimiter, cleanup } => {
                tokens.dedup();
                for token in &mut tokens {
                    *token = token.replace(pad.as_str(), "");
                    if *cleanup {
                        *token = clean(token).replace(delimiter.as_str(), " ");
                    }
                }
                tokens.retain(|token| !token.is_empty());
            }
            Self::ByteFallback => tokens = bytes_to_text(tokens),
            Self::Fuse => tokens = vec![tokens.concat()],
            Self::Strip { content, start, stop } => {
                for token in &mut tokens {
                    *token = strip(token, *content, *start, *stop).to_owned();
                }
            }
            Self::Replace { pattern, content } => {
                for token in &mut tokens {
                    let (mut out, mut done) = (String::with_capacity(token.len()), 0);
                    pattern.find(token, &mut |found| {
                        out.push_str(&token[done..found.start]);
                        out.push_str(content);
                        done = found.end;
                    })?;
                    out.push_str(&token[done..]);
                    *token = out;
                }
            }
        }
        Ok(tokens)
    }
}

/// Runs of tokens that stand for a byte become one token if they are UTF-8, else one U+FFFD a byte.
fn bytes_to_text(tokens: Vec<String>) -> Vec<String> {
    let mut out = Vec::with_capacity(tokens.len());
    let mut run = Vec::new();
    let end = |run: &mut Vec<u8>, out: &mut Vec<String>| {
        if run.is_empty() {
            return;
        }
        match String::from_utf8(std::mem::take(run)) {
            Ok(text) => out.push(text),
            Err(error) => out.resize(out.len() + error.as_bytes().len(), "\u{FFFD}".to_owned()),
        }
    };
    for token in tokens {
        if let Some(byte) = byte_of(&token) {
            run.push(byte);
        } else {
            end(&mut run, &mut out);
            out.push(token);
        }
    }
    end(&mut run, &mut out);
    out
}

/// The two ends are measured on the whole token, each on its own; where they meet, nothing is left.
fn strip(token: &str, content: char, start: usize, stop: usize) -> &str {
    let len = |count: usize| count * content.len_utf8();
    let from = len(token.chars().take(start).take_while(|&c| c == content).count());
    let to = token.len() - len(token.chars().rev().take(stop).take_while(|&c| c == content).count());
    token.get(from..to).unwrap_or_default()
}

/// The byte that a token such as `<0x0A>` stands for, by the library's own test: it lets `<0x+A>` pass.
pub(crate) fn byte_of(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() == 2 { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// The clean-up of the `WordPiece` decoder, token by token: no space before punctuation and English contractions.
pub(crate) fn clean(text: &str) -> String {
    const RULES: [(&str, &str); 11] = [
        (" .", "."),
        (" ?", "?"),
        (" !", "!"),
        (" ,", ","),
        (" ' ", "'"),
        (" n't", "n't"),
        (" 'm", "'m"),
        (" do not", " don't"),
        (" 's", "'s"),
        (" 've", "'ve"),
        (" 're", "'re"),
    ];
    // Nearly all tokens of a vocabulary are none of these, which one look tells.
    let begins = |pair: &[u8]| RULES.iter().any(|(from, _)| from.as_bytes().starts_with(pair));
    if !text.as_bytes().windows(2).any(|pair| pair[0] == b' ' && begins(pair)) {
        return text.to_owned();
    }
    RULES.iter().fold(
        text.to_owned(),
        |text, (from, to)| if text.contains(from) { text.replace(from, to) } else { text },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(decoder: &Decoder, tokens: &[&str]) -> Vec<String> {
        decoder.apply(tokens.iter().map(|&token| token.to_owned()).collect()).unwrap()
    }

    #[test]
    fn a_run_of_bytes_that_is_no_text_is_one_replacement_character_each() {
        let tokens = ["<0xE4>", "<0xB8>", "<0xAD>", "a", "<0xE4>", "<0xB8>"];
        assert_eq!(decoded(&Decoder::ByteFallback, &tokens), ["中", "a", "\u{FFFD}", "\u{FFFD}"]);
    }

    #[test]
    fn ctc_drops_repetitions_before_it_drops_the_padding() {
        let ctc = Decoder::Ctc { pad: "<pad>".to_owned(), delimiter: "|".to_owned(), cleanup: true };
        let tokens = ["h", "h", "<pad>", "h", "|", "|", "i"];
        assert_eq!(decoded(&ctc, &tokens), ["h", "h", " ", "i"]);
    }

    #[test]
    fn strip_takes_both_ends_and_may_leave_nothing() {
        let strip = Decoder::Strip { content: ' ', start: 1, stop: 2 };
        assert_eq!(decoded(&strip, &["  a   ", " ", "", "é"]), [" a ", "", "", "é"]);
    }
}
