//! The normalizers of `tokenizers`, with its tables: Unicode 9 for the normalisation forms, std's for case and white space.

use std::ops::Range;
use std::str::Chars;

use serde::{Deserialize, Serialize};
use unicode_categories::UnicodeCategories as _;
use unicode_normalization_alignments as forms;
use unicode_normalization_alignments::{IsNormalized, UnicodeNormalization};

use unicode_segmentation::UnicodeSegmentation as _;

use crate::encode::error::{EncodeError, MOST_BYTES};
use crate::encode::output::Place;
use crate::split::Delimiter;
use crate::unicode::utf8_len;
use crate::vocabulary::{Charsmap, encode_alphabet};

/// One rewriting of text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Normalizer {
    Nfc,
    Nfd,
    Nfkc,
    Nfkd,
    Lowercase,
    /// Drops combining marks.
    StripAccents,
    /// Puts a text in front of what is not empty.
    Prepend(String),
    Replace {
        /// Not empty.
        pattern: String,
        content: String,
    },
    /// Puts a text in place of two spaces or more.
    SpaceRuns(String),
    /// As [`Normalizer::Replace`], for what a pattern matches.
    ReplaceMatches {
        pattern: Delimiter,
        content: String,
    },
    /// Drops control characters and makes others a space.
    Nmt,
    /// Each byte as a character of the GPT-2 alphabet.
    ByteLevel,
    /// Drops white space at the ends.
    Strip {
        left: bool,
        right: bool,
    },
    Bert(Bert),
    /// Replaces by the vocabulary's charsmap.
    Precompiled {
        /// [`Charsmap::plain_ascii`].
        plain: [u64; 2],
    },
}

/// `BertNormalizer`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the format's own switches")]
pub(crate) struct Bert {
    /// Drops control characters, makes all white space a space.
    pub(crate) clean_text: bool,
    /// Puts spaces around Chinese characters.
    pub(crate) handle_chinese_chars: bool,
    pub(crate) strip_accents: bool,
    pub(crate) lowercase: bool,
}

impl Normalizer {
    /// As [`Normalizer::apply`], with the place of each byte.
    pub(super) fn apply_with_places(
        &self,
        text: &str,
        charsmap: &Charsmap,
        places: &mut Vec<Place>,
    ) -> Result<Option<String>, EncodeError> {
        let mut starts = Vec::new();
        let rewritten = self.apply(text, charsmap, Some(&mut starts))?;
        let inserted = if let Self::Prepend(prefix) = self { prefix.len() } else { 0 };
        // A character's part ends where that of another one begins.
        let mut end = text.len() as u32;
        let mut following = end;
        places.clear();
        places.extend(starts.iter().rev().map(|&start| {
            if start != following {
                (end, following) = (following, start);
            }
            (start, end.max(start))
        }));
        places.reverse();
        places[..inserted.min(starts.len())].fill((0, 0));
        Ok(rewritten)
    }

    /// As [`Normalizer::apply`], with the places that [`Rule::Library`] says.
    ///
    /// Reference: `NormalizedString` of `tokenizers` 0.23.
    ///
    /// [`Rule::Library`]: crate::encode::output::Rule::Library
    pub(super) fn apply_with_library_places(
        &self,
        text: &str,
        charsmap: &Charsmap,
        places: &mut Vec<Place>,
    ) -> Result<Option<String>, EncodeError> {
        let mut starts = Vec::new();
        let rewritten = match self {
            Self::Replace { pattern, content } => {
                let found = memchr::memmem::find_iter(text.as_bytes(), pattern);
                replace_behind(text, found.map(|at| at..at + pattern.len()), content, &mut starts)
            }
            Self::SpaceRuns(content) => {
                replace_behind(text, SpaceRuns { text: text.as_bytes(), at: 0 }, content, &mut starts)
            }
            Self::ReplaceMatches { pattern, content } => {
                let mut found = Vec::new();
                pattern.find(text, &mut |range| found.push(range))?;
                replace_behind(text, found.into_iter(), content, &mut starts)
            }
            Self::Precompiled { .. } => precompiled_step_by_step(text, charsmap, &mut starts)?,
            _ => self.apply(text, charsmap, Some(&mut starts))?,
        };
        let len = |start: u32| text.as_bytes().get(start as usize).map_or(0, |&byte| utf8_len(byte) as u32);
        places.clear();
        places.extend(starts.into_iter().map(|start| (start, start + len(start))));
        Ok(rewritten)
    }

    /// The rewritten text, `None` if nothing changes. `origin` receives for each byte the byte that it comes from.
    pub(crate) fn apply(
        &self,
        text: &str,
        charsmap: &Charsmap,
        origin: Option<&mut Vec<u32>>,
    ) -> Result<Option<String>, EncodeError> {
        Ok(match self {
            Self::Nfc => normal_form(text, forms::is_nfc_quick, UnicodeNormalization::nfc, origin),
            Self::Nfd => normal_form(text, forms::is_nfd_quick, UnicodeNormalization::nfd, origin),
            Self::Nfkc => normal_form(text, forms::is_nfkc_quick, UnicodeNormalization::nfkc, origin),
            Self::Nfkd => normal_form(text, forms::is_nfkd_quick, UnicodeNormalization::nfkd, origin),
            Self::Lowercase => Some(each(text, origin, |c, out| out.extend(c.to_lowercase()))),
            Self::StripAccents if text.is_ascii() => None,
            Self::StripAccents => Some(each(text, origin, |c, out| {
                out.extend(Some(c).filter(|&c| !forms::char::is_combining_mark(c)));
            })),
            Self::Prepend(prefix) => (!text.is_empty()).then(|| {
                if let Some(origin) = origin {
                    origin.resize(prefix.len(), 0);
                    Extend::extend(origin, 0..text.len() as u32);
                }
                [prefix.as_str(), text].concat()
            }),
            Self::Replace { pattern, content } => {
                let found =
                    memchr::memmem::find_iter(text.as_bytes(), pattern).map(|at| at..at + pattern.len());
                replace(text, found, content, origin)
            }
            Self::SpaceRuns(content) => {
                replace(text, SpaceRuns { text: text.as_bytes(), at: 0 }, content, origin)
            }
            Self::ReplaceMatches { pattern, content } => {
                let mut found = Vec::new();
                pattern.find(text, &mut |range| found.push(range))?;
                replace(text, found.into_iter(), content, origin)
            }
            Self::Nmt => Some(each(text, origin, |c, out| out.extend(nmt(c)))),
            Self::ByteLevel => Some(each(text, origin, |c, out| {
                let alphabet = encode_alphabet(c.encode_utf8(&mut [0; 4]).as_bytes());
                out.push_str(&String::from_utf8_lossy(&alphabet));
            })),
            Self::Strip { left, right } => strip(text, *left, *right, origin),
            Self::Bert(bert) => Some(bert.apply(text, origin)),
            Self::Precompiled { plain } => precompiled(text, charsmap, *plain, origin)?,
        })
    }
}

impl Bert {
    fn apply(self, text: &str, origin: Option<&mut Vec<u32>>) -> String {
        if let Some(origin) = origin {
            return self.step_by_step(text, origin);
        }
        // No character of ASCII takes part in what normalisation does to its neighbours, so runs of it go by on their own.
        let mut out = String::with_capacity(text.len() + text.len() / 4);
        let lowered = |c: char, out: &mut String| {
            if self.lowercase { out.extend(c.to_lowercase()) } else { out.push(c) }
        };
        let mut done = 0;
        for run in runs(text).chain(std::iter::once(text.len()..text.len())) {
            for c in text[done..run.start].chars().filter_map(|c| self.clean(c)) {
                out.push(if self.lowercase { c.to_ascii_lowercase() } else { c });
            }
            done = run.end;
            let spaced = text[run].chars().filter_map(|c| self.clean(c)).flat_map(|c| self.space(c));
            if self.strip_accents {
                let decomposed = spaced.nfd().map(|(c, _)| c).filter(|c| !c.is_mark_nonspacing());
                decomposed.for_each(|c| lowered(c, &mut out));
            } else {
                spaced.for_each(|c| lowered(c, &mut out));
            }
        }
        out
    }

    /// The same, slowly: with the origin of each byte.
    fn step_by_step(self, text: &str, origin: &mut Vec<u32>) -> String {
        let mut current = text.to_owned();
        Extend::extend(origin, 0..text.len() as u32);
        let mut step = |step: &dyn Fn(&str, &mut Vec<u32>) -> String| {
            let mut from = Vec::new();
            let next = step(&current, &mut from);
            *origin = from
                .iter()
                .map(|&at| origin.get(at as usize).copied().unwrap_or(text.len() as u32))
                .collect();
            current = next;
        };
        step(&|text, origin| {
            each(text, Some(origin), |c, out| {
                out.extend(self.clean(c).into_iter().flat_map(|c| self.space(c)));
            })
        });
        if self.strip_accents {
            step(&|text, origin| transform(text, text.nfd(), Some(origin)));
            step(&|text, origin| {
                each(text, Some(origin), |c, out| out.extend(Some(c).filter(|c| !c.is_mark_nonspacing())))
            });
        }
        if self.lowercase {
            step(&|text, origin| each(text, Some(origin), |c, out| out.extend(c.to_lowercase())));
        }
        current
    }

    #[inline]
    fn clean(self, c: char) -> Option<char> {
        if !self.clean_text {
            return Some(c);
        }
        match c {
            '\t' | '\n' | '\r' => Some(' '),
            ' '..='~' => Some(c),
            '\0' | char::REPLACEMENT_CHARACTER => None,
            _ if c.is_other() => None,
            _ if c.is_whitespace() => Some(' '),
            _ => Some(c),
        }
    }

    fn space(self, c: char) -> impl Iterator<Item = char> {
        let space = (self.handle_chinese_chars && is_chinese(c)).then_some(' ');
        space.into_iter().chain([c]).chain(space)
    }
}

/// What `Nmt` makes of a character.
fn nmt(c: char) -> Option<char> {
    match c {
        '\u{1}'..='\u{8}' | '\u{B}' | '\u{E}'..='\u{1F}' | '\u{7F}' | '\u{8F}' | '\u{9F}' => None,
        '\t'
        | '\n'
        | '\u{C}'
        | '\r'
        | '\u{1680}'
        | '\u{200B}'..='\u{200F}'
        | '\u{2028}'
        | '\u{2029}'
        | '▁'
        | '\u{FEFF}'
        | char::REPLACEMENT_CHARACTER => Some(' '),
        _ => Some(c),
    }
}

/// The blocks of CJK ideographs that BERT's own code lists.
fn is_chinese(c: char) -> bool {
    matches!(
        u32::from(c),
        0x4E00..=0x9FFF
            | 0x3400..=0x4DBF
            | 0x2_0000..=0x2_A6DF
            | 0x2_A700..=0x2_B73F
            | 0x2_B740..=0x2_B81F
            | 0x2_B920..=0x2_CEAF
            | 0xF900..=0xFAFF
            | 0x2_F800..=0x2_FA1F
    )
}

/// A normal form of `text`, `None` if it is in that form.
///
/// ASCII characters stay what they are, and only with one that follows do they make another character: so runs of others are all
/// there is to look at, and each but for the character before it goes by on its own.
fn normal_form<'t, I: Iterator<Item = (char, isize)>>(
    text: &'t str,
    quick: impl Fn(Chars<'t>) -> IsNormalized,
    form: impl Fn(&'t str) -> I,
    origin: Option<&mut Vec<u32>>,
) -> Option<String> {
    let mut others = runs(text).filter(|run| !matches!(quick(text[run.clone()].chars()), IsNormalized::Yes));
    let first = others.next()?;
    if origin.is_some() {
        return Some(transform(text, form(text), origin));
    }
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for run in std::iter::once(first).chain(others) {
        let start = run.start.saturating_sub(1);
        out.push_str(&text[done..start]);
        out.extend(form(&text[start..run.end]).map(|(c, _)| c));
        done = run.end;
    }
    out.push_str(&text[done..]);
    Some(out)
}

/// The runs of characters that are not ASCII.
fn runs(text: &str) -> impl Iterator<Item = Range<usize>> {
    let bytes = text.as_bytes();
    let mut end = 0;
    std::iter::from_fn(move || {
        // Long stretches of ASCII go by in blocks.
        let mut start = end;
        while bytes.get(start..start + 32).is_some_and(<[u8]>::is_ascii) {
            start += 32;
        }
        start += bytes[start..].iter().position(|byte| !byte.is_ascii())?;
        end = start + bytes[start..].iter().position(u8::is_ascii).unwrap_or(bytes.len() - start);
        Some(start..end)
    })
}

/// Rewrites each character on its own.
fn each(text: &str, origin: Option<&mut Vec<u32>>, rewrite: impl Fn(char, &mut String)) -> String {
    let mut out = String::with_capacity(text.len());
    if let Some(origin) = origin {
        for (at, c) in text.char_indices() {
            rewrite(c, &mut out);
            origin.resize(out.len(), at as u32);
        }
    } else {
        text.chars().for_each(|c| rewrite(c, &mut out));
    }
    out
}

/// Collects characters that each come with how many of `text` they stand for: more than none is said by numbers below 1 (0 for one, −1
/// for two …), none by 1.
fn transform(
    text: &str,
    characters: impl Iterator<Item = (char, isize)>,
    origin: Option<&mut Vec<u32>>,
) -> String {
    let mut out = String::with_capacity(text.len());
    let Some(origin) = origin else {
        out.extend(characters.map(|(c, _)| c));
        return out;
    };
    let mut old = text.char_indices();
    let mut last = 0;
    for (c, change) in characters {
        out.push(c);
        if change <= 0 {
            last = old.next().map_or(text.len(), |(at, _)| at);
            for _ in change..0 {
                old.next();
            }
        }
        origin.resize(out.len(), last as u32);
    }
    out
}

fn replace(
    text: &str,
    found: impl Iterator<Item = Range<usize>>,
    content: &str,
    mut origin: Option<&mut Vec<u32>>,
) -> Option<String> {
    let mut found = found.peekable();
    found.peek()?;
    let mut out = String::with_capacity(text.len() + text.len() / 2);
    let mut start = 0;
    for range in found {
        out.push_str(&text[start..range.start]);
        out.push_str(content);
        if let Some(origin) = origin.as_deref_mut() {
            Extend::extend(origin, start as u32..range.start as u32);
            origin.resize(out.len(), range.start as u32);
        }
        start = range.end;
    }
    out.push_str(&text[start..]);
    if let Some(origin) = origin {
        Extend::extend(origin, start as u32..text.len() as u32);
    }
    Some(out)
}

/// As [`replace`]; the content comes from the last character that it replaces.
fn replace_behind(
    text: &str,
    found: impl Iterator<Item = Range<usize>>,
    content: &str,
    origin: &mut Vec<u32>,
) -> Option<String> {
    let mut found = found.peekable();
    found.peek()?;
    let mut out = String::with_capacity(text.len() + text.len() / 2);
    let mut done = 0;
    for range in found {
        out.push_str(&text[done..range.start]);
        out.push_str(content);
        Extend::extend(origin, done as u32..range.start as u32);
        let last = text[..range.end].char_indices().next_back().map_or(0, |(at, _)| at);
        origin.resize(out.len(), last as u32);
        done = range.end;
    }
    out.push_str(&text[done..]);
    Extend::extend(origin, done as u32..text.len() as u32);
    for start in origin {
        while !text.is_char_boundary(*start as usize) {
            *start -= 1;
        }
    }
    Some(out)
}

/// As [`precompiled`], character by character: one that is replaced by several comes first, several that are replaced by fewer are one.
fn precompiled_step_by_step(
    text: &str,
    charsmap: &Charsmap,
    origin: &mut Vec<u32>,
) -> Result<Option<String>, EncodeError> {
    // Characters, and how many of the text they stand for less one.
    let mut characters: Vec<(char, isize)> = Vec::with_capacity(text.len());
    let mut modified = false;
    let mut replace = |old: &str, new: &[u8], characters: &mut Vec<(char, isize)>| {
        modified = true;
        let new = String::from_utf8_lossy(new);
        let difference = new.chars().count().cast_signed() - old.chars().count().cast_signed();
        characters.extend(new.chars().map(|c| (c, 0)));
        if difference > 0 {
            let inserted = characters.iter_mut().rev().take(difference.unsigned_abs());
            inserted.for_each(|(_, change)| *change = 1);
        } else if let Some((_, change)) = characters.last_mut() {
            *change += difference;
        }
    };
    for cluster in text.graphemes(true) {
        let whole = if cluster.len() < 6 { charsmap.shortest(cluster.as_bytes())? } else { None };
        if let Some((_, replacement)) = whole {
            replace(cluster, replacement, &mut characters);
            continue;
        }
        for (i, c) in cluster.char_indices() {
            let part = &cluster[i..i + c.len_utf8()];
            match charsmap.shortest(part.as_bytes())? {
                Some((_, replacement)) => replace(part, replacement, &mut characters),
                None => characters.push((c, 0)),
            }
        }
    }
    Ok(modified.then(|| {
        let mut out = String::with_capacity(text.len());
        let mut old = text.char_indices();
        let mut last = 0;
        for (c, change) in characters {
            out.push(c);
            if change <= 0 {
                let first = old.next().map_or(text.len(), |(at, _)| at);
                last = (change..0).filter_map(|_| old.next()).last().map_or(first, |(at, _)| at);
                origin.resize(out.len(), first as u32);
            } else {
                origin.resize(out.len(), last as u32);
            }
        }
        out
    }))
}

/// Runs of two spaces or more.
struct SpaceRuns<'t> {
    text: &'t [u8],
    at: usize,
}

impl Iterator for SpaceRuns<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let start = self.at + memchr::memmem::find(&self.text[self.at..], b"  ")?;
        let len = self.text[start..].iter().take_while(|&&byte| byte == b' ').count();
        self.at = start + len;
        Some(start..self.at)
    }
}

fn strip(text: &str, left: bool, right: bool, origin: Option<&mut Vec<u32>>) -> Option<String> {
    let kept = if left { text.trim_start() } else { text };
    let start = text.len() - kept.len();
    let kept = if right { kept.trim_end() } else { kept };
    if kept.len() == text.len() {
        return None;
    }
    if let Some(origin) = origin {
        Extend::extend(origin, start as u32..(start + kept.len()) as u32);
    }
    Some(kept.to_owned())
}

/// The charsmap as `tokenizers` reads it, which is not as SentencePiece does: by grapheme cluster. One of fewer than six bytes that begins
/// with a sequence of the map is replaced as a whole, by what stands for the shortest such sequence; else each of its characters is
/// looked up on its own.
fn precompiled(
    text: &str,
    charsmap: &Charsmap,
    plain: [u64; 2],
    mut origin: Option<&mut Vec<u32>>,
) -> Result<Option<String>, EncodeError> {
    let is_plain = |byte: u8| byte < 0x80 && plain[usize::from(byte >> 6)] >> (byte & 63) & 1 != 0;
    if text.bytes().all(is_plain) {
        return Ok(None);
    }
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let mut run = rest.bytes().position(|byte| !is_plain(byte)).unwrap_or(rest.len());
        // What follows may belong to one cluster with the last character.
        if rest.as_bytes().get(run).is_some_and(|&next| next >= 0x80) {
            run = run.saturating_sub(1);
        }
        if run > 0 {
            out.push_str(&rest[..run]);
            if let Some(origin) = origin.as_deref_mut() {
                Extend::extend(origin, at as u32..(at + run) as u32);
            }
            at += run;
            continue;
        }
        let cluster = rest.graphemes(true).next().unwrap_or(rest);
        let whole = if cluster.len() < 6 { charsmap.shortest(cluster.as_bytes())? } else { None };
        if let Some((_, replacement)) = whole {
            out.push_str(&String::from_utf8_lossy(replacement));
            if let Some(origin) = origin.as_deref_mut() {
                origin.resize(out.len(), at as u32);
            }
        } else {
            for (i, c) in cluster.char_indices() {
                match charsmap.shortest(&cluster.as_bytes()[i..i + c.len_utf8()])? {
                    Some((_, replacement)) => out.push_str(&String::from_utf8_lossy(replacement)),
                    None => out.push(c),
                }
                if let Some(origin) = origin.as_deref_mut() {
                    origin.resize(out.len(), (at + i) as u32);
                }
            }
        }
        at += cluster.len();
        // A map may make much out of little; places are kept in 32 bits.
        if out.len() > MOST_BYTES {
            return Err(EncodeError::TooLong { bytes: out.len() });
        }
    }
    Ok(Some(out))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Run by run as all at once.
        #[test]
        fn a_normal_form_is_that_of_the_whole_text(
            // Letters that compose with marks, marks out of order, Hangul in parts, ligatures and wide forms.
            text in "[a-eA-E .\u{C0}-\u{C8}\u{300}-\u{328}\u{1100}-\u{1102}\u{1161}-\u{1163}\u{11A8}\u{AC00}\u{FB01}\u{FF21}\u{1D15E}]{0,40}",
        ) {
            let expected = [
                text.nfc().map(|(c, _)| c).collect::<String>(),
                text.nfd().map(|(c, _)| c).collect(),
                text.nfkc().map(|(c, _)| c).collect(),
                text.nfkd().map(|(c, _)| c).collect(),
            ];
            let forms = [Normalizer::Nfc, Normalizer::Nfd, Normalizer::Nfkc, Normalizer::Nfkd];
            for (form, expected) in forms.into_iter().zip(expected) {
                for mut origin in [None, Some(Vec::new())] {
                    let found = form.apply(&text, &Charsmap::default(), origin.as_mut()).unwrap();
                    prop_assert_eq!(found.as_ref().unwrap_or(&text), &expected);
                    prop_assert!(found.is_none() || origin.is_none_or(|origin| origin.len() == expected.len()));
                }
            }
        }
    }
}
