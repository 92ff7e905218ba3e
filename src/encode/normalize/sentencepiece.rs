//! sentencepiece's normalizer (`normalizer.cc`).

use serde::{Deserialize, Serialize};

use super::{Tables, push_places};
use crate::encode::error::EncodeError;
use crate::encode::output::Place;
use crate::unicode;
use crate::vocabulary::SPACE;

/// `NormalizerSpec`, without its charsmap, and `treat_whitespace_as_suffix` of `TrainerSpec`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the format's own switches")]
pub(crate) struct SentencePieceText {
    pub(crate) add_dummy_prefix: bool,
    pub(crate) remove_extra_whitespaces: bool,
    pub(crate) escape_whitespaces: bool,
    pub(crate) whitespace_as_suffix: bool,
    /// [`Charsmap::plain_ascii`](crate::vocabulary::Charsmap::plain_ascii) of the charsmap.
    pub(crate) plain_ascii: [u64; 2],
}

impl SentencePieceText {
    /// `text` as the model is to see it.
    pub(crate) fn apply(
        &self,
        text: &[u8],
        tables: Tables<'_>,
        mut places: Option<&mut Vec<Place>>,
    ) -> Result<Vec<u8>, EncodeError> {
        let Tables { user_defined, charsmap, .. } = tables;
        let prefix = |at: usize| -> Result<(&[u8], usize), EncodeError> {
            let text = &text[at..];
            if let Some((len, _)) = user_defined.longest(text) {
                return Ok((&text[..len], len));
            }
            if let Some((len, replacement)) = charsmap.longest(text)? {
                return Ok((replacement, len));
            }
            Ok(match valid_len(text) {
                Some(len) => (&text[..len], len),
                None => (REPLACEMENT, 1),
            })
        };
        let mut start = 0;
        if self.remove_extra_whitespaces {
            while start < text.len() {
                let (piece, len) = prefix(start)?;
                if piece != b" " {
                    break;
                }
                start += len;
            }
        }
        if start == text.len() {
            return Ok(Vec::new());
        }
        let space = if self.escape_whitespaces { SPACE } else { b" " };
        let mut out = Vec::with_capacity(text.len() + text.len() / 2 + 2 * SPACE.len());
        if self.add_dummy_prefix && !self.whitespace_as_suffix {
            out.extend_from_slice(space);
        }
        push_places(places.as_deref_mut(), &out, start..start);
        let nothing_frozen = user_defined.is_empty();
        let plain =
            |byte: u8| byte < 0x80 && self.plain_ascii[usize::from(byte >> 6)] >> (byte & 63) & 1 != 0;
        let mut after_space = self.remove_extra_whitespaces;
        let mut at = start;
        while at < text.len() {
            if nothing_frozen && !charsmap_reaches(text, at) {
                // A run of characters that stay as they are.
                let run = (at..text.len())
                    .take_while(|&i| plain(text[i]) && text[i] != b' ' && !charsmap_reaches(text, i))
                    .count();
                if run > 0 {
                    out.extend_from_slice(&text[at..at + run]);
                    if let Some(places) = places.as_deref_mut() {
                        places.extend((at as u32..(at + run) as u32).map(|at| (at, at + 1)));
                    }
                    at += run;
                    after_space = false;
                    continue;
                }
            }
            let (mut piece, len) = prefix(at)?;
            if after_space {
                piece = &piece[piece.iter().take_while(|&&byte| byte == b' ').count()..];
            }
            if !piece.is_empty() {
                for &byte in piece {
                    if byte == b' ' { out.extend_from_slice(space) } else { out.push(byte) }
                }
                after_space = piece.ends_with(b" ");
            }
            push_places(places.as_deref_mut(), &out, at..at + len);
            at += len;
            after_space &= self.remove_extra_whitespaces;
        }
        let mut end = text.len();
        if self.remove_extra_whitespaces {
            while out.ends_with(space) {
                out.truncate(out.len() - space.len());
                if let Some(places) = places.as_deref_mut() {
                    end = places.get(out.len()).map_or(end, |place| place.0 as usize);
                    places.truncate(out.len());
                }
            }
        }
        if self.add_dummy_prefix && self.whitespace_as_suffix {
            out.extend_from_slice(space);
            push_places(places, &out, end..end);
        }
        Ok(out)
    }
}

/// Whether the character behind the one at `at` is not ASCII, so that a map may replace both together.
fn charsmap_reaches(text: &[u8], at: usize) -> bool {
    text.get(at + 1).is_some_and(|&next| next >= 0x80)
}

/// The length of the character that `text` begins with, `None` if it is not UTF-8.
fn valid_len(text: &[u8]) -> Option<usize> {
    let len = unicode::utf8_len(*text.first()?);
    std::str::from_utf8(text.get(..len)?).is_ok().then_some(len)
}

const REPLACEMENT: &[u8] = "\u{FFFD}".as_bytes();
