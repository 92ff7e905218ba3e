//! Rendering as llama.cpp does.

use super::options::SpecialText;
use crate::semantics::llama_cpp::{Model, Recipe};
use crate::vocabulary::{Vocabulary, attribute};

/// Renders ids one after the other as `llama_detokenize` renders them together: [`SpecialText::Skip`] is its `remove_special`
/// without `unparse_special`, [`SpecialText::Render`] the reverse.
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    render: bool,
    /// No id has been seen.
    first: bool,
    /// The next id loses a leading space: text was given one when it was encoded.
    strip: bool,
    /// The next id that renders loses a leading space (metaspace scheme `first`).
    strip_first: bool,
    /// An EOS waits: it is left out if it is the last id.
    held: Option<u32>,
}

impl Decoder {
    pub(crate) fn new(recipe: &Recipe, special: SpecialText) -> Self {
        Self {
            render: special == SpecialText::Render,
            first: true,
            strip: recipe.add_space_prefix,
            strip_first: matches!(&recipe.model, Model::Bpe(bpe) if bpe.metaspace_first),
            held: None,
        }
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
        let first = std::mem::take(&mut self.first);
        if !self.render {
            if let Some(eos) = self.held.take() {
                self.piece(vocabulary, eos, out)?;
            }
            if first && recipe.add_bos && recipe.special.bos == Some(id) {
                self.strip = false;
                return Some(());
            }
            if recipe.add_eos && recipe.special.eos == Some(id) {
                self.held = Some(id);
                return Some(());
            }
        }
        self.piece(vocabulary, id, out)
    }

    /// As [`Decoder::push`] for one id after the other; an id that names no token comes back as the error.
    pub(crate) fn push_all(
        &mut self,
        recipe: &Recipe,
        vocabulary: &Vocabulary,
        ids: &[u32],
        out: &mut Vec<u8>,
    ) -> Result<(), u32> {
        let held = recipe.special.eos.filter(|_| recipe.add_eos && !self.render);
        let hidden = if self.render { 0 } else { attribute::UNKNOWN | attribute::CONTROL };
        let mut rest = ids;
        while let &[id, ref tail @ ..] = rest {
            // Once the beginning is over, each id is its piece, until an EOS comes.
            if !(self.first || self.strip || self.strip_first || self.held.is_some()) && held != Some(id) {
                let run = rest.iter().position(|&id| held == Some(id)).unwrap_or(rest.len());
                vocabulary.append_pieces(&rest[..run], hidden, 0, out)?;
                rest = &rest[run..];
            } else {
                self.push(recipe, vocabulary, id, out).ok_or(id)?;
                rest = tail;
            }
        }
        Ok(())
    }

    fn piece(&mut self, vocabulary: &Vocabulary, id: u32, out: &mut Vec<u8>) -> Option<()> {
        let mut piece = vocabulary.piece(id)?;
        let strip = std::mem::take(&mut self.strip) || self.strip_first;
        if !self.render && vocabulary.attributes(id) & (attribute::UNKNOWN | attribute::CONTROL) != 0 {
            return Some(());
        }
        self.strip_first = false;
        if strip {
            piece = piece.strip_prefix(b" ").unwrap_or(piece);
        }
        out.extend_from_slice(piece);
        Some(())
    }
}

/// The clean-up of `clean_up_tokenization_spaces`: ` .` → `.` (also `?`, `!`, `,`), ` ' ` → `'`, and ` 's` → `'s` (also `'m`,
/// `'re`, `'ve`; `'t`, `'d` and `'ll` keep their space).
///
/// llama.cpp makes three passes over the bytes, one a rule, each on what the one before left. Here it is one: what a rule
/// takes away brings another rule's pattern about in one place only, which is marked below.
pub(crate) fn clean_spaces(text: &mut Vec<u8>) {
    let closes = |byte: Option<&u8>| matches!(byte, Some(b'?' | b'!' | b'.' | b','));
    let contracts = |rest: &[u8]| matches!(rest, [b's' | b'm', ..] | [b'r' | b'v', b'e', ..]);
    let mut out = Vec::new();
    // What stands before is in `out`, or was taken away.
    let mut done = 0;
    for at in memchr::memchr_iter(b' ', text) {
        // The space behind an apostrophe is gone, and no longer counts as one for what follows.
        if at < done {
            continue;
        }
        let rest = &text[at + 1..];
        let go_on = match rest {
            [b'\'', b' ', rest @ ..] if !closes(rest.first()) => {
                out.extend_from_slice(&text[done..at]);
                // Between two spaces: then the apostrophe has moved up to the one before.
                if out.last() == Some(&b' ') && contracts(rest) {
                    out.pop();
                }
                out.push(b'\'');
                done = at + 3;
                continue;
            }
            [b'\'', rest @ ..] => !contracts(rest),
            _ => !closes(rest.first()),
        };
        if !go_on {
            out.extend_from_slice(&text[done..at]);
            done = at + 1;
        }
    }
    if done > 0 {
        out.extend_from_slice(&text[done..]);
        *text = out;
    }
}

/// The longest prefix of `text` that [`clean_spaces`] treats the same whatever follows: it ends between two bytes that no
/// pattern can span.
pub(crate) fn clean_prefix(text: &[u8]) -> usize {
    let joins = |byte: u8| matches!(byte, b' ' | b'\'');
    (1..text.len())
        .rev()
        .find(|&cut| !joins(text[cut]) && !joins(text[cut - 1]) && (cut < 2 || text[cut - 2] != b'\''))
        .unwrap_or(0)
}
