//! llama.cpp's normalizer for `t5` vocabularies (`llm_tokenizer_ugm_session::normalize`).

use std::ops::Range;

use super::Tables;
use crate::encode::error::{EncodeError, MOST_BYTES};
use crate::encode::output::Place;
use crate::unicode;
use crate::vocabulary::SPACE;

/// What the file says of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct UnigramText {
    /// The text goes through NFC first.
    pub(crate) nfc: bool,
    /// `▁` goes in front of the first character that is no space.
    pub(crate) add_space_prefix: bool,
    /// Spaces before, after and between words are one `▁` in front of each word.
    pub(crate) collapse_spaces: bool,
    /// The ASCII characters that pass as they are if an ASCII character or the end follows: one bit each.
    pub(crate) plain: [u64; 2],
}

impl UnigramText {
    pub(super) fn apply(
        self,
        text: &[u8],
        tables: Tables<'_>,
        places: Option<&mut Vec<Place>>,
    ) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::with_capacity(text.len() + text.len() / 8 + SPACE.len());
        let with_places = places.is_some();
        let mut writer =
            Writer { rules: self, out: &mut out, places, in_word: false, prefixed: false, gap: None };
        if !self.nfc {
            self.replace(tables, text, |range| range, &mut writer)?;
        } else if !with_places {
            self.replace(tables, &unicode::nfc(text), |_| 0..0, &mut writer)?;
        } else {
            // Composed in parts that do not meet, so that each character's place is known to that extent.
            let mut composed = Vec::with_capacity(text.len());
            let mut origins = Vec::with_capacity(text.len());
            for part in unicode::nfc_parts(text) {
                composed.extend_from_slice(&unicode::nfc(&text[part.clone()]));
                origins.resize(composed.len(), part);
            }
            let place = |range: Range<usize>| origins[range.start].start..origins[range.end - 1].end;
            self.replace(tables, &composed, place, &mut writer)?;
        }
        Ok(out)
    }

    /// Passes `text` on to `writer`, each sequence that has a replacement replaced.
    fn replace(
        &self,
        tables: Tables<'_>,
        text: &[u8],
        place: impl Fn(Range<usize>) -> Range<usize>,
        writer: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        let Tables { user_defined, charsmap, .. } = tables;
        let no_user_defined = user_defined.is_empty();
        let plain = |byte: u8| byte < 0x80 && self.plain[usize::from(byte >> 6)] >> (byte & 63) & 1 != 0;
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let mut run = rest.iter().position(|&byte| !plain(byte)).unwrap_or(rest.len());
            // A mark that follows may combine with the last one.
            if rest.get(run).is_some_and(|&next| next >= 0x80) {
                run = run.saturating_sub(1);
            }
            if run > 0 {
                writer.verbatim(&rest[..run], at, &place);
                at += run;
                continue;
            }
            // llama.cpp walks the user-defined tokens as far as bytes match, and takes what it passed even if no token ends there.
            let depth = if no_user_defined { 0 } else { user_defined.depth(rest) };
            let len = if depth > 0 {
                writer.replacement(&rest[..depth], place(at..at + depth));
                depth
            } else if let Some((len, replacement)) = charsmap.longest(rest)? {
                writer.replacement(replacement, place(at..at + len));
                len
            } else {
                let (character, len) = unicode::decode(rest, 0);
                let invalid = character == unicode::REPLACEMENT && len == 1;
                let copy = if invalid { "\u{FFFD}".as_bytes() } else { &rest[..len] };
                writer.replacement(copy, place(at..at + len));
                len
            };
            at += len;
            // A map may make much out of little; places are kept in 32 bits.
            if writer.out.len() > MOST_BYTES {
                return Err(EncodeError::TooLong { bytes: writer.out.len() });
            }
        }
        Ok(())
    }
}

/// Writes the normalized text, where every space becomes `▁`.
struct Writer<'s> {
    rules: UnigramText,
    out: &'s mut Vec<u8>,
    places: Option<&'s mut Vec<Place>>,
    /// The last byte was no space.
    in_word: bool,
    /// The prefix has been written.
    prefixed: bool,
    /// The spaces since the last word, where they are collapsed.
    gap: Option<Range<usize>>,
}

impl Writer<'_> {
    /// Text that stands for `place` of the original.
    fn replacement(&mut self, text: &[u8], place: Range<usize>) {
        for part in text.split_inclusive(|&byte| byte == b' ') {
            let (part, space) = part.strip_suffix(b" ").map_or((part, false), |part| (part, true));
            if !part.is_empty() {
                self.begin_word(place.start);
                self.out.extend_from_slice(part);
                self.came_from(place.clone());
            }
            if space {
                self.in_word = false;
                if self.rules.collapse_spaces {
                    let start = self.gap.take().map_or(place.start, |gap| gap.start);
                    self.gap = Some(start..place.end);
                } else {
                    self.out.extend_from_slice(SPACE);
                    self.came_from(place.clone());
                }
            }
        }
    }

    /// ASCII characters without a space, that begin at byte `at` of the text and stay as they are.
    fn verbatim(&mut self, text: &[u8], at: usize, place: impl Fn(Range<usize>) -> Range<usize>) {
        if !self.in_word {
            self.begin_word(if self.places.is_some() { place(at..at + 1).start } else { 0 });
        }
        self.out.extend_from_slice(text);
        if let Some(places) = &mut self.places {
            places.extend((at..at + text.len()).map(|i| as_place(place(i..i + 1))));
        }
    }

    fn begin_word(&mut self, start: usize) {
        if self.in_word {
            return;
        }
        self.in_word = true;
        let gap = self.gap.take();
        if self.rules.collapse_spaces || self.rules.add_space_prefix && !self.prefixed {
            self.out.extend_from_slice(SPACE);
            self.came_from(gap.unwrap_or(start..start));
            self.prefixed = true;
        }
    }

    /// What was written since the last call came from `place`.
    fn came_from(&mut self, place: Range<usize>) {
        if let Some(places) = &mut self.places {
            places.resize(self.out.len(), as_place(place));
        }
    }
}

fn as_place(range: Range<usize>) -> Place {
    (range.start as u32, range.end as u32)
}
