//! Cutting a text at the added tokens that stand in it.

use std::ops::Range;
use std::sync::LazyLock;

use super::error::EncodeError;
use super::special_tokens::Specials;
use crate::vocabulary::{Vocabulary, attribute};

/// Whether `\w` matches a character.
fn is_word(c: char) -> bool {
    static WORD: LazyLock<Option<fancy_regex::Regex>> = LazyLock::new(|| fancy_regex::Regex::new(r"\w").ok());
    let matches = |word: &fancy_regex::Regex| word.is_match(c.encode_utf8(&mut [0; 4])).ok();
    WORD.as_ref().and_then(matches).unwrap_or_default()
}

/// Calls `each` with the added tokens of `text`, and with what lies between them (`None`), in order; nothing is empty.
///
/// Leftmost-longest among the tokens of one set: those looked for in normalized text, or the others. A token that strips takes the
/// white space beside it along, as far as no token before it has taken it. What stands where `is_text` says so is no token.
pub(crate) fn cut(
    specials: &Specials,
    vocabulary: &Vocabulary,
    text: &[u8],
    normalized: bool,
    is_text: impl Fn(u32, Range<usize>) -> bool,
    each: &mut impl FnMut(Option<u32>, Range<usize>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let bytes = text;
    // Only UTF-8 comes here.
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    // Where the search goes on, and where the text not yet handed out begins: they differ behind a token that strips.
    let (mut at, mut open) = (0, 0);
    while let Some(start) = specials.next_start(bytes, at) {
        let mut longest = None;
        specials.walk(&bytes[start..], |ordinal, len| {
            let (id, _) = specials.entry(ordinal);
            if (vocabulary.attributes(id) & attribute::NORMALIZED != 0) == normalized
                && !is_text(id, start..start + len)
            {
                longest = Some((id, len));
            }
        });
        let Some((id, len)) = longest else {
            at = start + 1;
            continue;
        };
        at = start + len;
        let (mut start, mut stop) = (start, at);
        let attributes = vocabulary.attributes(id);
        if attributes & attribute::SINGLE_WORD != 0
            && (text[..start].chars().next_back().is_some_and(is_word)
                || text[stop..].chars().next().is_some_and(is_word))
        {
            continue;
        }
        if attributes & attribute::LSTRIP != 0 {
            start = text[..start].trim_end().len().max(open);
        }
        if attributes & attribute::RSTRIP != 0 {
            stop = text.len() - text[stop..].trim_start().len();
        }
        if open < start {
            each(None, open..start)?;
        }
        each(Some(id), start..stop)?;
        open = stop;
    }
    if open < bytes.len() {
        each(None, open..bytes.len())?;
    }
    Ok(())
}
