//! Rendering as sentencepiece does.

use super::options::SpecialText;
use crate::encode::normalize::{SentencePieceText, Tables};
use crate::encode::output::Rule;
use crate::semantics::sentencepiece::Recipe;
use crate::vocabulary::{Charsmap, SPACE, Trie, Vocabulary, attribute};

/// Renders ids one after the other as `sentencepiece` decodes them together; [`SpecialText::Render`] adds the text of control
/// pieces, which it never shows.
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    render: bool,
    /// A leading `▁` still is the one that was put in front of the text.
    at_start: bool,
    /// Nothing has been rendered.
    empty: bool,
    /// Bytes of a character that is not complete.
    bytes: Vec<u8>,
}

impl Decoder {
    pub(crate) fn new(special: SpecialText) -> Self {
        Self { render: special == SpecialText::Render, at_start: true, empty: true, bytes: Vec::new() }
    }

    /// Appends what `id` adds to the text; `None` when `id` names no token.
    #[inline]
    pub(crate) fn push(
        &mut self,
        recipe: &Recipe,
        vocabulary: &Vocabulary,
        id: u32,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let mut piece = vocabulary.piece(id)?;
        let attributes = vocabulary.attributes(id);
        if attributes & attribute::BYTE != 0 {
            self.bytes.extend_from_slice(piece);
            self.characters(out);
            return Some(());
        }
        self.flush(out);
        self.at_start &= self.empty;
        if attributes & attribute::CONTROL != 0 {
            if self.render {
                out.extend_from_slice(piece);
            }
            return Some(());
        }
        let SentencePieceText { add_dummy_prefix, remove_extra_whitespaces, .. } = recipe.normalizer;
        let mut stripped = false;
        if self.at_start
            && (add_dummy_prefix || remove_extra_whitespaces)
            && attributes & attribute::UNKNOWN == 0
            && vocabulary.keys().at(id).starts_with(SPACE)
        {
            piece = piece.strip_prefix(b" ").unwrap_or(piece);
            // Extra white space goes as far as it reaches, else it is the one in front only.
            stripped = !remove_extra_whitespaces;
        }
        out.extend_from_slice(piece);
        self.empty &= piece.is_empty();
        self.at_start &= self.empty && !stripped;
        Some(())
    }

    /// As [`Decoder::push`] for one id after the other; the error is the one that names no token.
    pub(crate) fn push_all(
        &mut self,
        recipe: &Recipe,
        vocabulary: &Vocabulary,
        ids: &[u32],
        out: &mut Vec<u8>,
    ) -> Result<(), u32> {
        let hidden = if self.render { 0 } else { attribute::CONTROL };
        let mut rest = ids;
        while let &[id, ref tail @ ..] = rest {
            // Once the beginning is over, each id is its piece, until bytes come.
            let begun = !self.at_start && !self.empty && self.bytes.is_empty();
            if begun && vocabulary.attributes(id) & attribute::BYTE == 0 {
                rest = &rest[vocabulary.append_pieces(rest, hidden, attribute::BYTE, out)?..];
            } else {
                self.push(recipe, vocabulary, id, out).ok_or(id)?;
                rest = tail;
            }
        }
        Ok(())
    }

    /// Appends what is left when the ids are over.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) {
        self.characters(out);
        for _ in self.bytes.drain(..) {
            out.extend_from_slice(REPLACEMENT);
            self.empty = false;
        }
    }

    /// Appends whole characters, and U+FFFD for each byte that can be in none.
    fn characters(&mut self, out: &mut Vec<u8>) {
        while !self.bytes.is_empty() {
            let (valid, error) = match std::str::from_utf8(&self.bytes) {
                Ok(text) => (text.len(), None),
                Err(error) => (error.valid_up_to(), Some(error.error_len())),
            };
            out.extend_from_slice(&self.bytes[..valid]);
            self.bytes.drain(..valid);
            self.empty &= valid == 0;
            match error {
                Some(Some(_)) => {
                    out.extend_from_slice(REPLACEMENT);
                    self.bytes.remove(0);
                    self.empty = false;
                }
                Some(None) => return,
                None => {}
            }
        }
    }
}

/// Puts a whole rendered text through the denormalizer of a model that has one.
pub(crate) fn denormalize(recipe: &Recipe, text: &mut Vec<u8>) {
    let Some((normalizer, charsmap)) = &recipe.denormalizer else { return };
    // The loader has parsed it before.
    let Ok(charsmap) = Charsmap::parse(charsmap) else { return };
    let tables = Tables { charsmap: &charsmap, user_defined: &Trie::default(), rule: Rule::default() };
    if let Ok(denormalized) = normalizer.apply(text, tables, None) {
        *text = denormalized;
    }
}

const REPLACEMENT: &[u8] = "\u{FFFD}".as_bytes();
