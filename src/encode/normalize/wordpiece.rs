//! llama.cpp's normalizer for `bert` vocabularies, in front of the cut at spaces (`llm_tokenizer_wpm_session::preprocess`).

use super::push_places;
use crate::encode::output::Place;
use crate::unicode::{self, Category};

/// Rewrites a text so that spaces stand between its words, and nowhere else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct WordPieceText {
    pub(crate) lowercase: bool,
    /// Characters lose their marks. More is lost than accents: the vowel signs of Indic scripts, and all of a Hangul syllable
    /// but its first letter.
    pub(crate) strip_accents: bool,
}

impl WordPieceText {
    pub(super) fn apply(self, text: &[u8], mut places: Option<&mut Vec<Place>>) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len() + text.len() / 4);
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            let start = out.len();
            let len = match ASCII[usize::from(byte)] {
                Class::Word => {
                    let run = text[at..].iter().take_while(|&&byte| ASCII[usize::from(byte)] == Class::Word);
                    let len = run.count();
                    out.extend_from_slice(&text[at..at + len]);
                    if self.lowercase {
                        out[start..].make_ascii_lowercase();
                    }
                    if let Some(places) = places.as_deref_mut() {
                        places.extend((at as u32..(at + len) as u32).map(|at| (at, at + 1)));
                    }
                    len
                }
                Class::Space => {
                    out.push(b' ');
                    1
                }
                Class::Alone => {
                    out.extend_from_slice(&[b' ', byte, b' ']);
                    1
                }
                Class::Nothing => 1,
                Class::Other => {
                    let (character, len) = unicode::decode(text, at);
                    self.character(character, &mut out);
                    len
                }
            };
            push_places(places.as_deref_mut(), &out, at..at + len);
            at += len;
        }
        out
    }

    fn character(self, character: u32, out: &mut Vec<u8>) {
        let Self { lowercase, strip_accents } = self;
        let character = if strip_accents { unicode::nfd_first(character) } else { character };
        if unicode::is_whitespace(character) {
            return out.push(b' ');
        }
        let category = unicode::category(character);
        if matches!(character, 0 | unicode::REPLACEMENT)
            || category == Category::Control
            || category == Category::Mark && strip_accents
        {
            return;
        }
        // Symbols stand alone only in ASCII; accents stripped, a character may have become an ASCII one.
        let alone = category == Category::Punctuation
            || category == Category::Symbol && character < 0x7F
            || is_ideograph(character);
        if alone {
            out.push(b' ');
        }
        unicode::encode(if lowercase { unicode::lower(character) } else { character }, out);
        if alone {
            out.push(b' ');
        }
    }
}

/// What a byte of the text does to the word at hand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Is part of it.
    Word,
    /// Ends it.
    Space,
    /// Ends it, and is one of its own.
    Alone,
    /// Is dropped.
    Nothing,
    /// Begins a character that is not ASCII, or none.
    Other,
}

static ASCII: [Class; 256] = {
    let mut classes = [Class::Other; 256];
    let mut byte = 0;
    while byte < 0x80 {
        classes[byte as usize] = match byte {
            b'\t'..=b'\r' | b' ' => Class::Space,
            0..=0x1F | 0x7F => Class::Nothing,
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => Class::Word,
            _ => Class::Alone,
        };
        byte += 1;
    }
    classes
};

/// llama.cpp's `is_chinese_char`, whose fifth range begins a hundred characters later than BERT's.
fn is_ideograph(character: u32) -> bool {
    matches!(character,
        0x4E00..=0x9FFF | 0x3400..=0x4DBF | 0x2_0000..=0x2_A6DF | 0x2_A700..=0x2_B73F | 0x2_B740..=0x2_B81F
        | 0x2_B920..=0x2_CEAF | 0xF900..=0xFAFF | 0x2_F800..=0x2_FA1F)
}
