//! Rendering as tiktoken does.

use super::options::SpecialText;
use crate::vocabulary::{Vocabulary, attribute};

/// Renders ids: the bytes of tokens one after the other, special tokens as their text or not at all.
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    render: bool,
}

impl Decoder {
    pub(crate) fn new(special: SpecialText) -> Self {
        Self { render: special == SpecialText::Render }
    }

    /// Appends what `id` adds to the text; `None` when `id` names no token.
    #[inline]
    pub(crate) fn push(&self, vocabulary: &Vocabulary, id: u32, out: &mut Vec<u8>) -> Option<()> {
        let piece = vocabulary.piece(id)?;
        if vocabulary.attributes(id) & self.hidden() == 0 {
            out.extend_from_slice(piece);
        }
        Some(())
    }

    /// The attributes of tokens that are left out.
    pub(crate) fn hidden(&self) -> u16 {
        if self.render { 0 } else { attribute::CONTROL }
    }
}
