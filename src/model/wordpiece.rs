//! WordPiece: words cut from the left into the longest pieces, or unknown as a whole.
//!
//! This is llama.cpp's `bert` session (`llm_tokenizer_wpm_session`), which marks the first piece of a word by `▁` instead of all
//! others by `##`, and classes characters in its own way.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::encode::memo::Memo;
use crate::encode::output::{Origins, Sink};
use crate::encode::thread_state::ThreadState;
use crate::unicode::{self, Category};
use crate::vocabulary::{SPACE, Vocabulary, Walker};

/// Cuts `word` into pieces, always the longest that the rest begins with. Gives `false` when no piece fits, and what it passed to
/// `each` up to there is void.
///
/// `O(n × longest piece)` in bytes.
#[inline]
fn greedy(walker: Walker<'_>, word: &[u8], mut each: impl FnMut(u32, Range<usize>)) -> bool {
    let mut at = 0;
    while at < word.len() {
        let Some((len, id)) = walker.longest(&word[at..]) else { return false };
        each(id, at..at + len);
        at += len;
    }
    true
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

/// Reused from one word to the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// The word, `▁` in front.
    word: Vec<u8>,
    /// Where its bytes came from, those of `▁` from nowhere.
    origins: Origins,
    /// Where its pieces end.
    ends: Vec<u32>,
}

impl WordPiece {
    /// One fragment, that begins at byte `base` of the text.
    pub(crate) fn encode<S: Sink>(
        self,
        vocabulary: &Vocabulary,
        text: &[u8],
        base: usize,
        local: &mut ThreadState,
        sink: &mut S,
    ) {
        let mut words = Words { wordpiece: self, vocabulary, local, sink };
        words.begin();
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            let class = ASCII[usize::from(byte)];
            match class {
                Class::Word => {
                    let run = text[at..].iter().take_while(|&&byte| ASCII[usize::from(byte)] == Class::Word);
                    let len = run.count();
                    words.ascii(&text[at..at + len], base + at);
                    at += len;
                    continue;
                }
                Class::Space => words.end(),
                Class::Alone => {
                    words.end();
                    words.ascii(&text[at..=at], base + at);
                    words.end();
                }
                Class::Nothing => {}
                Class::Other => {
                    let (character, len) = unicode::decode(text, at);
                    words.character(character, base + at..base + at + len);
                    at += len;
                    continue;
                }
            }
            at += 1;
        }
        words.end();
        words.local.wordpiece.word.shrink_to(KEPT);
    }
}

/// So many bytes of a word a thread keeps room for.
const KEPT: usize = 1 << 16;

struct Words<'a, S> {
    wordpiece: WordPiece,
    vocabulary: &'a Vocabulary,
    local: &'a mut ThreadState,
    sink: &'a mut S,
}

impl<S: Sink> Words<'_, S> {
    fn begin(&mut self) {
        let Scratch { word, origins, .. } = &mut self.local.wordpiece;
        word.clear();
        word.extend_from_slice(SPACE);
        if S::SPANS {
            origins.clear();
            origins.push(0..0, SPACE.len());
        }
    }

    /// Adds ASCII characters, that stand at `at`.
    #[inline]
    fn ascii(&mut self, text: &[u8], at: usize) {
        let Scratch { word, origins, .. } = &mut self.local.wordpiece;
        let start = word.len();
        word.extend_from_slice(text);
        if self.wordpiece.lowercase {
            word[start..].make_ascii_lowercase();
        }
        if S::SPANS {
            for at in at..at + text.len() {
                origins.push(at..at + 1, 1);
            }
        }
    }

    fn character(&mut self, character: u32, place: Range<usize>) {
        let WordPiece { lowercase, strip_accents, .. } = self.wordpiece;
        let character = if strip_accents { unicode::nfd_first(character) } else { character };
        if unicode::is_whitespace(character) {
            return self.end();
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
            self.end();
        }
        let Scratch { word, origins, .. } = &mut self.local.wordpiece;
        unicode::encode(if lowercase { unicode::lower(character) } else { character }, word);
        if S::SPANS {
            let written = word.len() - origins.len();
            origins.push(place, written);
        }
        if alone {
            self.end();
        }
    }

    /// Ends the word, if there is one.
    #[inline]
    fn end(&mut self) {
        let ThreadState { wordpiece: Scratch { word, origins, ends }, memo, ids, .. } = &mut *self.local;
        if word.len() == SPACE.len() {
            return;
        }
        // Of the `▁` that every word has, one byte is as good as none.
        let place = if S::SPANS { None } else { Memo::place(&word[SPACE.len()..]) };
        if let Some(ids) = place.and_then(|place| memo.recall(place)) {
            self.sink.extend(ids);
            return self.begin();
        }
        ids.clear();
        ends.clear();
        let whole = greedy(self.vocabulary.trie.walker(), word, |id, range| {
            ids.push(id);
            ends.push(range.end as u32);
        });
        if !whole {
            ids.clear();
            ids.push(self.wordpiece.unknown);
            ends.clear();
            ends.push(word.len() as u32);
        }
        if S::SPANS {
            let mut start = 0;
            for (&id, &end) in ids.iter().zip(&*ends) {
                let end = end as usize;
                // `▁` takes no place: what begins with it begins where the word does.
                let span = if end <= SPACE.len() {
                    let at = origins.original(SPACE.len()..SPACE.len() + 1).start;
                    at..at
                } else {
                    origins.original(start.max(SPACE.len())..end)
                };
                self.sink.push(id, span);
                start = end;
            }
        } else {
            self.sink.extend(ids);
            if let Some(place) = place {
                memo.remember(place, ids);
            }
        }
        self.begin();
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
