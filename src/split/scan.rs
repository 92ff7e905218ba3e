//! The common grammars by blocks: where pieces begin among 64 bytes, as arithmetic on one bit a byte.
//!
//! A block begins where a piece begins, so that nothing left of it matters, and is trusted only as far as nothing right of it matters.
//! The next block begins with the last piece that began in this one. So no state passes between blocks, and what the
//! arithmetic leaves out (it says where, and stops before) is cut by the grammar function of the split, one piece after the other.
//!
//! Characters above ASCII are classified one by one, and all their bytes are replaced by an ASCII byte of the same class: then neighbouring
//! bytes have the classes of neighbouring characters, and the same arithmetic holds.

use std::ops::Range;

use super::classes::char_len;
use super::grammar::{Contraction, contraction};
use super::pieces::Block;
use crate::unicode::{LETTER, LOWER, MARK, NUMBER, UPPER, WHITESPACE, cpp_flags, decode, regex_flags};

/// The bytes of a block by class, one bit a byte, the first byte lowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Masks {
    /// `[A-Za-z]`
    pub(super) letter: u64,
    /// `[A-Z]`
    pub(super) upper: u64,
    /// `[0-9]`
    pub(super) digit: u64,
    /// `[\t-\r ]`
    pub(super) white: u64,
    /// `[\r\n]`
    pub(super) newline: u64,
    pub(super) space: u64,
    pub(super) slash: u64,
    pub(super) apostrophe: u64,
    /// Bytes above ASCII.
    pub(super) high: u64,
    /// Those of them that go on a character.
    pub(super) tail: u64,
}

/// Stands for a letter that counts as upper and as lower case.
const CASELESS: u8 = 0x80;
/// Stands for a mark where that is a letter within words and punctuation within punctuation.
const MARK_LETTER: u8 = 0x81;

/// What stands for a character above ASCII, by its flags.
type Substitutes = [u8; 256];

/// A grammar that is cut by blocks.
#[derive(Clone, Copy)]
pub(super) struct Grammar {
    pub(super) shape: Shape,
    /// The tables of the `regex` crate, not llama.cpp's.
    pub(super) regex: bool,
    pub(super) substitutes: &'static Substitutes,
    pub(super) contraction: Contraction,
    /// How many numbers make a piece at most: 1, 3 or, in [`Shape::Gpt2`], any.
    pub(super) digits: usize,
    /// `[\r\n]*` may follow punctuation.
    pub(super) newlines_trail: bool,
    /// Whitespace at the text's end is one piece.
    pub(super) white_end: bool,
    /// The end of the piece that begins at a position.
    pub(super) piece: fn(&[u8], usize) -> usize,
}

/// The alternations that the arithmetic is written for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// [`words`](super::grammar::words)
    Words,
    /// [`camel`](super::grammar::camel)
    Camel,
    /// [`gpt2`](super::grammar::gpt2); with one digit a piece, digits are cut out before, so that the text ends at each.
    Gpt2,
}

const fn substitutes(letters: u8, cased: bool) -> Substitutes {
    let mut table = [b'!'; 256];
    let mut flags = 0;
    while flags < 256 {
        let class = flags as u8;
        table[flags] = if class & WHITESPACE != 0 {
            b'\t'
        } else if class & NUMBER != 0 {
            b'0'
        } else if cased && class & MARK != 0 {
            MARK_LETTER
        } else if class & letters == 0 {
            b'!'
        } else if !cased {
            b'a'
        } else if class & (UPPER | LOWER) == UPPER {
            b'A'
        } else if class & (UPPER | LOWER) == LOWER {
            b'a'
        } else {
            CASELESS
        };
        flags += 1;
    }
    table
}

/// A word is made of letters.
pub(super) static LETTERS: Substitutes = substitutes(LETTER, false);
/// A word is made of letters and marks, and punctuation of neither.
pub(super) static LETTERS_AND_MARKS: Substitutes = substitutes(LETTER | MARK, false);
/// Letters have case.
pub(super) static CASED: Substitutes = substitutes(LETTER, true);

/// Cuts `range` of `text` by `grammar`, with `classify` to find the classes of a block.
#[inline(always)]
pub(super) fn scan(
    text: &[u8],
    range: Range<usize>,
    grammar: &Grammar,
    classify: impl Fn(&[u8; 64]) -> Masks,
    out: &mut Block<'_>,
) {
    let Some(text) = text.get(..range.end) else { return };
    let mut pos = range.start;
    let mut wide = Wide { block: [0; 64], len: 0, continued: 0, trusted: 0 };
    let mut padded = [0; 68];
    while pos < text.len() && !out.enough {
        let rest = &text[pos..];
        // The block, and the bytes of a character that begins within it.
        let window = if let Some(window) = rest.first_chunk::<68>() {
            window
        } else {
            padded[..rest.len()].copy_from_slice(rest);
            padded[rest.len()..].fill(0);
            &padded
        };
        let mut len = rest.len().min(64);
        let mut masks = classify(first_64(window));
        let (mut continued, mut trusted) = (0, 64);
        if masks.high != 0 {
            substitute(window, len, &masks, grammar, &mut wide);
            (len, continued, trusted) = (wide.len, wide.continued, wide.trusted);
            masks = classify(&wide.block);
        }
        // Only a block that is not full is known to be the last.
        let last = len < 64 && len == rest.len();
        let here = Here { text, pos, len, last, continued };
        let (starts, trusted) = match grammar.shape {
            Shape::Words => here.words::<false>(&masks, grammar, trusted),
            Shape::Camel => here.words::<true>(&masks, grammar, trusted),
            Shape::Gpt2 => (here.gpt2(&masks, grammar), trusted),
        };
        let mut ends = starts & below(trusted);
        if last {
            let white = masks.white & below(len);
            if grammar.white_end && white != 0 {
                let run = len - (!(white << (64 - len))).leading_zeros() as usize;
                let inside = ends & !below(run);
                // All but the first of the starts in the run.
                ends &= !(inside & inside.wrapping_sub(1));
            }
            if trusted >= len {
                ends |= 1 << len;
            }
        } else {
            // Where a run of whitespace is cut is known when its end is seen.
            let white = masks.white << (64 - len);
            let run = len - ((!white).leading_zeros() as usize).min(len);
            ends &= below(run + 1);
        }
        ends &= !1;
        if ends != 0 {
            out.push_ends(pos, ends);
            pos += 63 - ends.leading_zeros() as usize;
        } else {
            let until = if trusted < len { pos + trusted + 1 } else { pos + 1 };
            while pos < until.min(text.len()) {
                let end = (grammar.piece)(text, pos);
                debug_assert!(end > pos, "the grammar matches everything");
                let end = if end > pos { end } else { pos + char_len(text, pos) };
                out.push(pos..end);
                pos = end;
            }
        }
    }
}

/// The lowest `len` bits.
#[inline(always)]
fn below(len: usize) -> u64 {
    if len >= 64 { !0 } else { (1 << len) - 1 }
}

/// From each bit of `from`, the bits above it as far as `through` goes on; `from` is part of `through`.
#[inline(always)]
fn flood(from: u64, through: u64) -> u64 {
    (through & !through.wrapping_add(from)) | from
}

fn first_64(window: &[u8; 68]) -> &[u8; 64] {
    let Some(block) = window.first_chunk() else { unreachable!("64 is less than 68") };
    block
}

struct Wide {
    block: [u8; 64],
    /// How many bytes of the block are whole characters.
    len: usize,
    /// All bytes but the first of a character.
    continued: u64,
    /// Starts from here on may be wrong.
    trusted: usize,
}

/// The first `len` bytes of `window` with a byte of the same class in place of each byte of a character above ASCII.
#[inline(never)]
fn substitute(window: &[u8; 68], len: usize, masks: &Masks, grammar: &Grammar, wide: &mut Wide) {
    (wide.len, wide.continued, wide.trusted) = (len, 0, 64);
    let valid = below(len);
    let mut substitutes = [0; 68];
    let mut firsts = masks.high & !masks.tail & valid;
    let mut well_formed = true;
    // A character's length is not waited for to find the next.
    while firsts != 0 {
        let at = firsts.trailing_zeros() as usize & 63;
        firsts &= firsts - 1;
        let first = u32::from(window[at]);
        let second = u32::from(window[at + 1] & 0x3F);
        let third = u32::from(window[at + 2] & 0x3F);
        let (cp, width) = if first < 0xE0 {
            let cp = (first & 0x1F) << 6 | second;
            well_formed &= cp >= 0x80;
            (cp, 2)
        } else if first < 0xF0 {
            let cp = (first & 0x0F) << 12 | second << 6 | third;
            well_formed &= cp >= 0x800;
            (cp, 3)
        } else {
            let cp = (first & 0x0F) << 18 | second << 12 | third << 6 | u32::from(window[at + 3] & 0x3F);
            well_formed &= (0x1_0000..0x11_0000).contains(&cp);
            (cp, 4)
        };
        if at + width > len {
            wide.len = at;
            break;
        }
        wide.put(window, &mut substitutes, at, cp, width, grammar);
    }
    // The bytes that must go on a character are those that do.
    if !well_formed || wide.continued != masks.tail & below(wide.len) {
        (wide.len, wide.continued, wide.trusted) = (len, 0, 64);
        let mut left = masks.high & valid;
        while left != 0 {
            let at = left.trailing_zeros() as usize & 63;
            let (cp, width) = decode(window, at);
            if at + width > len {
                wide.len = at;
                break;
            }
            wide.put(window, &mut substitutes, at, cp, width, grammar);
            left &= !(below(width) << at);
        }
    }
    for ((byte, &substitute), &own) in wide.block.iter_mut().zip(&substitutes).zip(window) {
        *byte = if own < 0x80 { own } else { substitute };
    }
}

impl Wide {
    /// Puts a byte that stands for `cp` at `at` and behind, where `width` are to stay.
    #[inline(always)]
    fn put(
        &mut self,
        window: &[u8; 68],
        substitutes: &mut [u8; 68],
        at: usize,
        cp: u32,
        width: usize,
        grammar: &Grammar,
    ) {
        let flags = if grammar.regex { regex_flags(cp) } else { cpp_flags(cp) };
        let substitute = grammar.substitutes[flags as usize];
        if substitute == MARK_LETTER {
            let before = match at.checked_sub(1) {
                None => b'!',
                Some(before) if window[before] < 0x80 => window[before],
                Some(before) => substitutes[before],
            };
            // Behind anything else, what a mark is depends on what that is.
            let plain = before.is_ascii_alphabetic() || before >= 0x80 || matches!(before, b' ' | b'\t');
            if !plain {
                self.trusted = self.trusted.min(at);
            }
        } else if substitute == b'0' && grammar.digits == 3 {
            // Groups of digits are counted in bytes.
            self.trusted = self.trusted.min(at + 1);
        }
        substitutes[at..at + 4].fill(substitute);
        self.continued |= (below(width) & !1) << at;
    }
}

/// A block in its place.
struct Here<'a> {
    text: &'a [u8],
    pos: usize,
    len: usize,
    /// The text ends with the block.
    last: bool,
    continued: u64,
}

impl Here<'_> {
    /// The first bytes of the characters whose last bytes are `ends`.
    #[inline(always)]
    fn first_bytes(&self, ends: u64) -> u64 {
        if self.continued == 0 {
            return ends;
        }
        // No character of a class that is asked for is longer than three bytes.
        let second = (ends & self.continued) >> 1;
        (ends & !self.continued) | (second & !self.continued) | ((second & self.continued) >> 1)
    }

    /// All bytes of the characters whose first bytes are `starts`.
    #[inline(always)]
    fn whole(&self, starts: u64) -> u64 {
        if self.continued == 0 { starts } else { flood(starts, starts | self.continued) }
    }

    /// Where pieces begin, and up to where that is to be trusted.
    #[inline(always)]
    fn words<const CASED: bool>(&self, masks: &Masks, grammar: &Grammar, mut trusted: usize) -> (u64, usize) {
        let valid = below(self.len);
        let letter = (masks.letter | masks.high) & valid;
        let digit = masks.digit & valid;
        let white = masks.white & valid;
        let newline = masks.newline & valid;
        let blank = white & !newline;
        let other = valid & !(letter | digit | white);

        // What follows punctuation in its piece: newlines, and in the cased grammars slashes after the first of them.
        let seed = if grammar.newlines_trail { (other << 1) & newline } else { 0 };
        let trail = if seed == 0 {
            0
        } else if CASED {
            flood(seed, newline | (masks.slash & valid))
        } else {
            flood(seed, newline)
        };

        let punctuation = other & !trail;
        let punctuation_starts = punctuation & !(punctuation << 1) & !(masks.space << 1);
        // A blank before a letter always begins a piece, and punctuation does if it is one character.
        let leads = blank | self.whole(punctuation_starts);
        let mut starts = punctuation_starts | (letter & !(letter << 1) & !(leads << 1)) | 1;

        // Numbers.
        let run_starts = digit & !(digit << 1);
        if grammar.digits == 1 {
            starts |= digit & !self.continued;
        } else {
            starts |= run_starts;
            let fourth = digit & (digit << 1) & (digit << 2) & (digit << 3);
            let mut group = (run_starts << 3) & fourth;
            while group != 0 {
                starts |= group;
                group = (group << 3) & fourth;
            }
        }

        // Whitespace: up to its last newline, then all but the last blank, which may lead what follows.
        starts |= newline & !trail & !(white << 1);
        starts |= self.first_bytes(blank & !(white >> 1) & (valid >> 1));
        let blank_starts = blank & !(blank << 1);
        let after_newline = blank_starts & (newline << 1) & !(trail << 1);
        let mut absorbed = 0;
        let mut followed = blank.wrapping_add(after_newline) & !blank & newline;
        while followed != 0 {
            let end = followed & followed.wrapping_neg();
            let before = after_newline & (end - 1);
            absorbed |= (1u64 << 63) >> before.leading_zeros();
            followed &= followed - 1;
        }
        starts |= blank_starts & !absorbed;

        if CASED {
            let upper = masks.upper & valid;
            let caseless = masks.high & valid;
            let lower = masks.letter & valid & !upper;
            let lowered = lower | flood((lower << 1) & caseless, caseless);
            starts |= upper & (lowered << 1);
            // Without a lower letter, a word ends with its last caseless one.
            let mut after_caseless = upper & !(upper << 1) & (caseless << 1) & !starts;
            while after_caseless != 0 {
                let begin = after_caseless.trailing_zeros() as usize;
                let end = begin + (!(upper >> begin)).trailing_zeros() as usize;
                if end >= self.len && !self.last {
                    trusted = trusted.min(begin);
                } else if end >= self.len || letter >> end & 1 == 0 {
                    starts |= 1 << begin;
                }
                after_caseless &= after_caseless - 1;
            }
            if grammar.contraction != Contraction::None {
                trusted = self.glue_contractions(
                    masks.apostrophe & punctuation & (letter << 1),
                    grammar,
                    &mut starts,
                    trusted,
                );
            }
        } else {
            let mut candidates = masks.apostrophe & punctuation_starts & (letter >> 1);
            while candidates != 0 {
                let at = candidates.trailing_zeros() as usize;
                let end = contraction(self.text, self.pos + at, grammar.contraction) - self.pos;
                if end > at && end < 64 {
                    starts |= 1 << end;
                }
                candidates &= candidates - 1;
            }
        }
        (starts, trusted)
    }

    /// Makes contractions part of the word before the apostrophes at `candidates`.
    #[inline(always)]
    fn glue_contractions(
        &self,
        mut candidates: u64,
        grammar: &Grammar,
        starts: &mut u64,
        mut trusted: usize,
    ) -> usize {
        let mut glued = 0;
        while candidates != 0 {
            let at = candidates.trailing_zeros() as usize;
            candidates &= candidates - 1;
            let end = contraction(self.text, self.pos + at, grammar.contraction) - self.pos;
            // A word has one contraction.
            if end == at || at == glued {
                continue;
            }
            glued = end;
            *starts &= !(below(end) & !below(at));
            if end < 64 {
                *starts |= 1 << end;
            }
            if self.text.get(self.pos + end).is_some_and(|&byte| byte >= 0x80) {
                // Case began anew in the middle of a run of letters.
                trusted = trusted.min(end + 1);
            }
        }
        trusted
    }

    #[inline(always)]
    fn gpt2(&self, masks: &Masks, grammar: &Grammar) -> u64 {
        let valid = below(self.len);
        let letter = masks.letter & valid;
        let digit = masks.digit & valid;
        let white = masks.white & valid;
        let other = valid & !(letter | digit | white);
        let unspaced = !(masks.space << 1);
        let other_starts = other & !(other << 1) & unspaced;
        let mut starts = other_starts | (letter & !(letter << 1) & unspaced) | (white & !(white << 1)) | 1;
        if grammar.digits == 1 {
            starts |= digit & !self.continued;
            starts |= self.first_bytes(white & !((white | digit) >> 1) & (valid >> 1));
        } else {
            starts |= digit & !(digit << 1) & unspaced;
            starts |= self.first_bytes(white & !(white >> 1) & (valid >> 1));
        }
        let mut candidates = masks.apostrophe & other_starts;
        while candidates != 0 {
            let at = candidates.trailing_zeros() as usize;
            let end = contraction(self.text, self.pos + at, grammar.contraction) - self.pos;
            if end > at {
                starts &= !(2 << at);
                if end < 64 {
                    starts |= 1 << end;
                }
            }
            candidates &= candidates - 1;
        }
        starts
    }
}
