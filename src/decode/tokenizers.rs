//! Ids → text, as the decoders of `tokenizers` do.
//!
//! Most of a decoder's work depends on nothing but the token, and is done when the vocabulary is built: a token's piece is what it adds
//! behind another one. What is left is the first token, bytes that become text only together, and a strip of the whole.

use serde::{Deserialize, Serialize};

use super::chain::{Chain, clean};
use super::options::SpecialText;
use crate::vocabulary::{Vocabulary, attribute};

/// What rendering must know beside the pieces.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Renderer {
    pub(crate) first: First,
    /// Tokens marked [`attribute::BYTE`] are bytes: a run of them is text if it is UTF-8 as a whole, else one U+FFFD a byte.
    pub(crate) byte_fallback: bool,
    /// So many of this character are stripped from the beginning of the text.
    pub(crate) strip: Option<(char, u32)>,
    /// In place of all that: decoders that see all tokens at once.
    pub(crate) chain: Option<Chain>,
}

/// What the first token renders to.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) enum First {
    /// Its piece, like any other.
    #[default]
    Piece,
    /// Its text, cleaned up as [`clean`] does if `cleanup`.
    Text { cleanup: bool },
    /// Its text without this character.
    Without(char),
}

/// Renders ids one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    render: bool,
    /// No id has been rendered.
    first: bool,
    /// So many characters may yet be stripped.
    strip: u32,
    /// Bytes of a run that goes on.
    run: Vec<u8>,
}

impl Decoder {
    pub(crate) fn new(renderer: &Renderer, special: SpecialText) -> Self {
        let strip = renderer.strip.map_or(0, |(_, most)| most);
        Self { render: special == SpecialText::Render, first: true, strip, run: Vec::new() }
    }

    /// Appends what `id` adds to the text; `None` when `id` names no token.
    #[inline]
    pub(crate) fn push(
        &mut self,
        renderer: &Renderer,
        vocabulary: &Vocabulary,
        id: u32,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let piece = vocabulary.piece(id)?;
        let attributes = vocabulary.attributes(id);
        if !self.render && attributes & attribute::CONTROL != 0 {
            return Some(());
        }
        let first = std::mem::take(&mut self.first);
        if renderer.byte_fallback {
            if attributes & attribute::BYTE != 0 {
                self.run.extend_from_slice(piece);
                return Some(());
            }
            self.end_run(renderer, out);
        }
        if !first || renderer.first == First::Piece {
            self.emit(renderer, piece, out);
            return Some(());
        }
        let text = vocabulary.text(id)?;
        match &renderer.first {
            First::Piece => {}
            First::Text { cleanup: false } => self.emit(renderer, &text, out),
            First::Text { cleanup: true } => {
                self.emit(renderer, clean(&String::from_utf8_lossy(&text)).as_bytes(), out);
            }
            First::Without(character) => {
                let without = String::from_utf8_lossy(&text).replace(*character, "");
                self.emit(renderer, without.as_bytes(), out);
            }
        }
        Some(())
    }

    /// As [`Decoder::push`] for one id after the other; the error is the one that names no token.
    pub(crate) fn push_all(
        &mut self,
        renderer: &Renderer,
        vocabulary: &Vocabulary,
        ids: &[u32],
        out: &mut Vec<u8>,
    ) -> Result<(), u32> {
        let hidden = if self.render { 0 } else { attribute::CONTROL };
        let stops = if renderer.byte_fallback { attribute::BYTE } else { 0 };
        let mut rest = ids;
        while let &[id, ref tail @ ..] = rest {
            // Once the beginning is over, each id is its piece, until bytes come.
            if !self.first && self.strip == 0 && self.run.is_empty() && vocabulary.attributes(id) & stops == 0
            {
                rest = &rest[vocabulary.append_pieces(rest, hidden, stops, out)?..];
            } else {
                self.push(renderer, vocabulary, id, out).ok_or(id)?;
                rest = tail;
            }
        }
        Ok(())
    }

    /// Appends what the ids so far add once it is known that none follows.
    pub(crate) fn finish(&mut self, renderer: &Renderer, out: &mut Vec<u8>) {
        self.end_run(renderer, out);
    }

    fn end_run(&mut self, renderer: &Renderer, out: &mut Vec<u8>) {
        if self.run.is_empty() {
            return;
        }
        let mut run = std::mem::take(&mut self.run);
        if std::str::from_utf8(&run).is_ok() {
            self.emit(renderer, &run, out);
        } else {
            self.emit(renderer, "\u{FFFD}".repeat(run.len()).as_bytes(), out);
        }
        run.clear();
        self.run = run;
    }

    #[inline]
    fn emit(&mut self, renderer: &Renderer, mut text: &[u8], out: &mut Vec<u8>) {
        if let Some((character, _)) = renderer.strip {
            let mut buffer = [0; 4];
            let stripped = character.encode_utf8(&mut buffer).as_bytes();
            while self.strip > 0 && !text.is_empty() {
                match text.strip_prefix(stripped) {
                    Some(rest) => (text, self.strip) = (rest, self.strip - 1),
                    None => self.strip = 0,
                }
            }
        }
        out.extend_from_slice(text);
    }
}
