//! Spaces as a visible character, and one in front of a text.

use super::push_places;
use crate::encode::output::{Place, Rule};
use crate::unicode;

/// `Metaspace` of tokenizers, `add_space_prefix` and `escape_whitespaces` of llama.cpp, `add_prefix_space` of `ByteLevel`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Spaces {
    /// What stands for a space.
    pub(crate) replacement: Option<char>,
    /// What goes in front of the text.
    pub(crate) prefix: Option<char>,
    pub(crate) prepend: Prepend,
    /// Not in front of a text that begins with the prefix, or with a space that becomes the replacement.
    pub(crate) once: bool,
}

/// In front of which text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Prepend {
    /// Any.
    Always,
    /// The one that the given text begins with, not one behind a special token.
    First,
}

impl Spaces {
    /// What goes in front of `text`, with which the given text begins or not.
    #[inline]
    pub(crate) fn prefix(self, text: &[u8], begins: bool) -> Option<char> {
        let prefix = self.prefix.filter(|_| begins || self.prepend == Prepend::Always)?;
        let spaced = || {
            text.starts_with(prefix.encode_utf8(&mut [0; 4]).as_bytes())
                || self.replacement.is_some() && text.starts_with(b" ")
        };
        if self.once && spaced() { None } else { Some(prefix) }
    }

    /// The rewritten text, `None` if nothing changes.
    pub(super) fn apply(
        self,
        text: &[u8],
        begins: bool,
        rule: Rule,
        mut places: Option<&mut Vec<Place>>,
    ) -> Option<Vec<u8>> {
        let prefix = self.prefix(text, begins);
        let replacement = self.replacement.filter(|_| memchr::memchr(b' ', text).is_some());
        if prefix.is_none() && replacement.is_none() {
            return None;
        }
        let mut buffer = [0; 4];
        let mut out = Vec::with_capacity(text.len() + text.len() / 2 + 8);
        if let Some(prefix) = prefix {
            out.extend_from_slice(prefix.encode_utf8(&mut buffer).as_bytes());
            // The library takes it for a part of the first character.
            let first = text.first().map_or(0, |&byte| unicode::utf8_len(byte).min(text.len()));
            push_places(places.as_deref_mut(), &out, 0..if rule == Rule::Library { first } else { 0 });
        }
        let mut start = 0;
        let spaces = memchr::memchr_iter(b' ', text).take(if replacement.is_some() { usize::MAX } else { 0 });
        for at in spaces.chain([text.len()]) {
            out.extend_from_slice(&text[start..at]);
            if let Some(places) = places.as_deref_mut() {
                places.extend((start as u32..at as u32).map(|at| (at, at + 1)));
            }
            if let Some(replacement) = replacement.filter(|_| at < text.len()) {
                out.extend_from_slice(replacement.encode_utf8(&mut buffer).as_bytes());
                push_places(places.as_deref_mut(), &out, at..at + 1);
            }
            start = at + 1;
        }
        Some(out)
    }
}

/// `▁` in front of a line that has none, unless it is newlines alone (`mmbert` of llama.cpp). `None` if nothing changes.
pub(super) fn mark_line(text: &[u8], places: Option<&mut Vec<Place>>) -> Option<Vec<u8>> {
    let marks = Spaces { replacement: None, prefix: Some('▁'), prepend: Prepend::Always, once: true };
    if text.iter().all(|&byte| byte == b'\n') { None } else { marks.apply(text, false, Rule::Bytes, places) }
}
