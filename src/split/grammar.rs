//! The alternations that the known patterns are made of, each a function from a position to the end of the match there.
//!
//! All are linear: what decides a match is looked at once, and a failing alternative fails at its first characters.
//! Position equals end means "no match". `text` ends where the segment ends, and `pos` is inside it.

use super::classes::{Classes, Letters};
use crate::unicode::{LETTER, LOWER, MARK, NUMBER, PUNCTUATION, SYMBOL, UPPER, WHITESPACE};

/// Which letters the English contractions (`'s 't 're 've 'm 'll 'd`) are recognised in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Contraction {
    /// The pattern has none.
    None,
    /// Small letters only.
    Exact,
    /// ASCII letters of either case, as `'[sS]` has it.
    AnyCase,
    /// As `(?i:'s)` has it, where Unicode folds U+017F (ſ) to `s`.
    Folded,
}

/// What may follow punctuation within the same piece.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Trail {
    None,
    /// `[\r\n]*`
    Newlines,
    /// `[\r\n/]*`
    NewlinesAndSlashes,
    /// `[\r\n/]?`
    OneNewlineOrSlash,
}

/// How whitespace is cut that belongs to nothing else.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// `\s+(?!\S)|\s+`
    Plain,
    /// `\s*[\r\n]+|\s+(?!\S)|\s+`. (`\s*[\r\n]` is the same: the first part takes all newlines but the last.)
    Newlines,
    /// `\s++$|\s*[\r\n]|\s+(?!\S)|\s`
    EndThenNewlines,
}

/// The family of `cl100k_base`:
/// `contraction|[^\r\n\p{L}\p{N}]?LETTERS+|\p{N}{1,DIGITS}| ?[^\s LETTERS \p{L}\p{N}]+TRAIL|TAIL`.
#[derive(Clone, Copy)]
pub(super) struct Words {
    pub(super) contraction: Contraction,
    /// Classes of which a word is made.
    pub(super) letters: u8,
    /// Classes, besides [`Words::letters`] in the pattern's own text, that punctuation must not have.
    pub(super) not_punctuation: u8,
    pub(super) digits: usize,
    pub(super) trail: Trail,
    pub(super) tail: Tail,
}

pub(super) const WORD_NUMBER_OR_SPACE: u8 = LETTER | NUMBER | WHITESPACE;

#[inline(always)]
pub(super) fn words<C: Classes>(text: &[u8], pos: usize, is: Words) -> usize {
    let end = words_but_space::<C>(text, pos, is);
    if end > pos { end } else { whitespace::<C>(text, pos, is.tail) }
}

/// [`words`] without the alternatives of its tail.
#[inline(always)]
pub(super) fn words_but_space<C: Classes>(text: &[u8], pos: usize, is: Words) -> usize {
    let first = text[pos];
    if first == b'\'' {
        let end = contraction(text, pos, is.contraction);
        if end > pos {
            return end;
        }
    }
    let (class, len) = C::at(text, pos);
    let next = pos + len;
    if class & is.letters != 0 {
        return C::letters(text, next, is.letters, Letters::Any);
    }
    if class & NUMBER != 0 {
        return numbers::<C>(text, pos, is.digits);
    }
    let (after, after_len) = C::at(text, next);
    if after & is.letters != 0 && class & LETTER == 0 && !is_newline(first) {
        return C::letters(text, next + after_len, is.letters, Letters::Any);
    }
    punctuation::<C>(text, pos, (class, len), is.trail, |class| class & is.not_punctuation == 0)
}

/// GPT-2: `contraction| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
#[inline(always)]
pub(super) fn gpt2<C: Classes>(text: &[u8], pos: usize) -> usize {
    let first = text[pos];
    if first == b'\'' {
        let end = contraction(text, pos, Contraction::Exact);
        if end > pos {
            return end;
        }
    }
    let (mut class, len) = C::at(text, pos);
    let mut from = pos + len;
    if first == b' ' {
        let (after, after_len) = C::at(text, from);
        if after & WHITESPACE == 0 {
            class = after;
            from += after_len;
        }
    }
    if class & LETTER != 0 {
        C::letters(text, from, LETTER, Letters::Any)
    } else if class & NUMBER != 0 {
        C::run(text, from, |class| class & NUMBER != 0)
    } else if class & WHITESPACE != 0 {
        whitespace::<C>(text, pos, Tail::Plain)
    } else {
        C::run(text, from, |class| class & WORD_NUMBER_OR_SPACE == 0)
    }
}

/// The family of `o200k_base`, where `UPPER*LOWER+` comes before `UPPER+LOWER*`, each with an optional lead `[^\r\n\p{L}\p{N}]` in front
/// and an optional contraction behind.
#[derive(Clone, Copy)]
pub(super) struct Camel {
    pub(super) contraction: Contraction,
    /// 0: numbers are not matched.
    pub(super) digits: usize,
    /// `[\p{P}\p{S}]` is punctuation, not `[^\s\p{L}\p{N}]`.
    pub(super) strict_punctuation: bool,
    pub(super) trail: Trail,
}

#[inline(always)]
pub(super) fn camel<C: Classes>(text: &[u8], pos: usize, is: Camel) -> usize {
    let (class, len) = C::at(text, pos);
    let next = pos + len;
    let end = if class & (LETTER | NUMBER) == 0 && !is_newline(text[pos]) {
        match cased::<C>(text, next) {
            (lower, _) if lower > next => lower,
            // A mark that cannot lead a word is one: it counts as a letter of either case.
            _ if class & LOWER != 0 => next,
            (_, upper) if upper > next => upper,
            _ => pos,
        }
    } else if class & (UPPER | LOWER) != 0 {
        let (lower, upper) = cased::<C>(text, pos);
        if lower > pos { lower } else { upper }
    } else {
        pos
    };
    if end > pos {
        return contraction(text, end, is.contraction);
    }
    if class & NUMBER != 0 && is.digits > 0 {
        return numbers::<C>(text, pos, is.digits);
    }
    let end = if is.strict_punctuation {
        punctuation::<C>(text, pos, (class, len), is.trail, |class| class & (PUNCTUATION | SYMBOL) != 0)
    } else {
        punctuation::<C>(text, pos, (class, len), is.trail, |class| class & WORD_NUMBER_OR_SPACE == 0)
    };
    if end > pos { end } else { whitespace::<C>(text, pos, Tail::Newlines) }
}

/// At `pos`: the end of `UPPER*LOWER+` (or `pos`), and the end of `UPPER*`, which is that of `UPPER+LOWER*` if the former fails.
#[inline(always)]
fn cased<C: Classes>(text: &[u8], pos: usize) -> (usize, usize) {
    let mut upper = pos;
    // Where `UPPER*` can give back a character that is also lower (other letters, modifiers, marks).
    let mut lower = pos;
    loop {
        let (class, len) = C::at(text, upper);
        if class & UPPER == 0 {
            if class & LOWER != 0 {
                lower = C::letters(text, upper + len, LOWER, C::SMALL);
            }
            return (lower, upper);
        }
        upper += len;
        if class & LOWER != 0 {
            lower = upper;
        }
    }
}

/// DeepSeek-V3's third pattern, `spark` being its variant with `| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+`:
/// ``[!-/:-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+``
#[inline(always)]
pub(super) fn deepseek_words<C: Classes>(text: &[u8], pos: usize, spark: bool) -> usize {
    let first = text[pos];
    if first.is_ascii_punctuation() {
        let letters = text[pos + 1..].iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        if letters > 0 {
            return pos + 1 + letters;
        }
    }
    let (class, len) = C::at(text, pos);
    let next = pos + len;
    let is_letter = |class: u8| class & (LETTER | MARK) != 0;
    let may_lead = class & (PUNCTUATION | SYMBOL) == 0 && !is_newline(first);
    if is_letter(class) || (may_lead && is_letter(C::at(text, next).0)) {
        return C::letters(text, next, LETTER | MARK, Letters::Any);
    }
    let trail = if spark { Trail::None } else { Trail::Newlines };
    let end = punctuation::<C>(text, pos, (class, len), trail, |class| class & (PUNCTUATION | SYMBOL) != 0);
    if end > pos {
        return end;
    }
    match (spark, is_newline(first)) {
        (true, true) => next,
        (true, false) => whitespace::<C>(text, pos, Tail::Plain),
        (false, _) => whitespace::<C>(text, pos, Tail::Newlines),
    }
}

/// `\p{N}{1,most}`
#[inline(always)]
pub(super) fn numbers<C: Classes>(text: &[u8], mut pos: usize, most: usize) -> usize {
    let mut count = 0;
    while count < most {
        let (class, len) = C::at(text, pos);
        if class & NUMBER == 0 {
            break;
        }
        pos += len;
        count += 1;
    }
    pos
}

/// ` ?CLASS+TRAIL`, the character at `pos` being `(class, len)`.
#[inline(always)]
pub(super) fn punctuation<C: Classes>(
    text: &[u8],
    pos: usize,
    (class, len): (u8, usize),
    trail: Trail,
    is: impl Fn(u8) -> bool,
) -> usize {
    // `class` is that of the end of the text when the space is the last character: whitespace, so never punctuation.
    let begins = is(class) || (text[pos] == b' ' && is(C::at(text, pos + 1).0));
    if !begins {
        return pos;
    }
    let end = C::run(text, pos + len, is);
    let rest = &text[end..];
    end + match trail {
        Trail::None => 0,
        Trail::Newlines => rest.iter().take_while(|&&byte| is_newline(byte)).count(),
        Trail::NewlinesAndSlashes => {
            rest.iter().take_while(|&&byte| is_newline(byte) || byte == b'/').count()
        }
        Trail::OneNewlineOrSlash => {
            usize::from(rest.first().is_some_and(|&byte| is_newline(byte) || byte == b'/'))
        }
    }
}

/// The whitespace at `pos`, cut as `tail` says; `pos` if there is none.
///
/// Each run is looked at three times at most: what a cut leaves of it holds no newline, and then no more than one character.
#[inline(always)]
pub(super) fn whitespace<C: Classes>(text: &[u8], pos: usize, tail: Tail) -> usize {
    let mut end = pos;
    let mut last = pos;
    let mut after_newline = pos;
    loop {
        let (class, len) = C::at(text, end);
        if class & WHITESPACE == 0 || len == 0 {
            break;
        }
        last = end;
        end += len;
        if is_newline(text[last]) {
            after_newline = end;
        }
    }
    if tail == Tail::EndThenNewlines && end == text.len() {
        end
    } else if tail != Tail::Plain && after_newline > pos {
        after_newline
    } else if end < text.len() && last > pos {
        last
    } else {
        end
    }
}

/// End of the contraction at `pos`, or `pos`.
#[inline(always)]
pub(super) fn contraction(text: &[u8], pos: usize, kind: Contraction) -> usize {
    if kind == Contraction::None || text.get(pos) != Some(&b'\'') {
        return pos;
    }
    let fold = |at: usize| match (kind, text.get(at)) {
        (_, None) => 0,
        (Contraction::Exact, Some(&byte)) => byte,
        (_, Some(byte)) => byte.to_ascii_lowercase(),
    };
    match (fold(pos + 1), fold(pos + 2)) {
        (b's' | b't' | b'm' | b'd', _) => pos + 2,
        (b'r' | b'v', b'e') | (b'l', b'l') => pos + 3,
        // U+017F
        (0xC5, 0xBF) if kind == Contraction::Folded => pos + 3,
        _ => pos,
    }
}

#[inline(always)]
pub(super) fn is_newline(byte: u8) -> bool {
    byte == b'\n' || byte == b'\r'
}
