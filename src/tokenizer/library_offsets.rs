//! Places as `Encoding.offsets` of the `tokenizers` library has them, from those of the road.

use std::ops::Range;

use crate::encode::Special;
use crate::encode::output::{WithOffsets, outer_spaces};
use crate::semantics::Pipeline;
use crate::semantics::tokenizers::{Frame, Model, Trim};
use crate::vocabulary::{Vocabulary, attribute};

/// Widens places to whole characters, trims them as the post-processor says, and puts what it adds at `0..0`.
pub(super) fn settle(
    pipeline: &Pipeline,
    vocabulary: &Vocabulary,
    text: &str,
    special: Special,
    sink: &mut WithOffsets,
) {
    let WithOffsets { ids, offsets, spaces, .. } = sink;
    // Whether a token's text is that of the given text, and not the one that its id has.
    let (frame, unknown, crate_tokens) = match pipeline {
        Pipeline::Tokenizers(recipe) => {
            let unknown = if let Model::Unigram { unk, .. } = recipe.model { Some(unk) } else { None };
            (&recipe.frame, unknown, false)
        }
        Pipeline::Crate(wrapped) => match &wrapped.frame {
            Some(frame) => (frame, None, true),
            None => return,
        },
        _ => return,
    };
    let Frame { before, after, trims } = frame;
    let (before, after) = if special.adds() { (before.len(), after.len()) } else { (0, 0) };
    let end = offsets.len().saturating_sub(after);
    for (i, place) in offsets.iter_mut().enumerate() {
        if i < before || i >= end {
            *place = 0..0;
            continue;
        }
        let (mut start, mut end) = (place.start.min(text.len()), place.end.min(text.len()));
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        while !text.is_char_boundary(end) {
            end += 1;
        }
        *place = start..end;
    }
    for trim in trims {
        for (i, (&id, place)) in ids.iter().zip(&mut *offsets).enumerate().take(end).skip(before) {
            let given = crate_tokens
                || unknown == Some(id)
                || vocabulary.attributes(id) & (attribute::LSTRIP | attribute::RSTRIP) != 0;
            let spaces = if given {
                spaces.get(&i).copied().unwrap_or_default()
            } else {
                let value = vocabulary.text(id).unwrap_or_default();
                outer_spaces(&String::from_utf8_lossy(&value))
            };
            trimmed(*trim, i == before, spaces, text, place);
        }
    }
}

/// Takes as many characters from both ends of a place as the token's text has spaces there, whatever stands in the given text.
fn trimmed(trim: Trim, first: bool, spaces: (usize, usize), text: &str, place: &mut Range<usize>) {
    let (mut leading, trailing) = spaces;
    if (first && !trim.behind || place.start == 0) && trim.prefix_space && leading == 1 {
        leading = 0;
    }
    let behind = text[place.start..].char_indices().nth(leading);
    place.start = behind.map_or(text.len(), |(at, _)| place.start + at).min(place.end);
    if let Some(last) = trailing.checked_sub(1)
        && let Some((at, _)) = text[..place.end].char_indices().rev().nth(last)
    {
        place.end = at.max(place.start);
    }
}
