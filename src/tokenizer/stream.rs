//! Ids → text as they come.

use super::Tokenizer;
use crate::decode::state::{State, clean, clean_prefix, cleans};
use crate::decode::{DecodeError, SpecialText};

/// Decodes ids one by one: each [`push`](Self::push) gives the text that has become certain, never half a character.
///
/// All pieces and the rest that [`finish`](Self::finish) gives, one after the other, are what [`Tokenizer::decode`] gives for
/// all ids.
#[derive(Clone, Debug)]
pub struct DecodeStream<'t> {
    tokenizer: &'t Tokenizer,
    state: State,
    cleans: bool,
    /// Rendered, and still to be cleaned of spaces.
    raw: Vec<u8>,
    /// Clean, but it ends inside a character.
    clean: Vec<u8>,
    text: String,
}

impl<'t> DecodeStream<'t> {
    pub(super) fn new(tokenizer: &'t Tokenizer, special: SpecialText) -> Self {
        Self {
            tokenizer,
            state: State::new(&tokenizer.recipe().pipeline, special),
            cleans: cleans(&tokenizer.recipe().pipeline),
            raw: Vec::new(),
            clean: Vec::new(),
            text: String::new(),
        }
    }

    /// Takes the next id and returns the text that is certain now, often empty.
    ///
    /// # Errors
    ///
    /// An id that names no token; the stream goes on as if it had not been pushed.
    pub fn push(&mut self, id: u32) -> Result<&str, DecodeError> {
        let pipeline = &self.tokenizer.recipe().pipeline;
        self.state.push(pipeline, self.tokenizer.vocabulary(), id, &mut self.raw)?;
        let certain = if self.cleans { clean_prefix(pipeline, &self.raw) } else { self.raw.len() };
        self.advance(certain);
        Ok(&self.text)
    }

    /// Ends the stream and returns the rest of the text.
    #[must_use]
    pub fn finish(mut self) -> String {
        // Only a decoder that is not known here can fail, on ids that it has taken one by one; then nothing was certain.
        let (pipeline, vocabulary) = (&self.tokenizer.recipe().pipeline, self.tokenizer.vocabulary());
        if let Err(error) = self.state.finish(pipeline, vocabulary, &mut self.raw) {
            log::warn!("the end of a stream of ids could not be decoded: {error}");
        }
        self.advance(self.raw.len());
        self.text.push_str(&String::from_utf8_lossy(&self.clean));
        self.text
    }

    /// Cleans the first `certain` bytes and turns what is whole characters into text.
    fn advance(&mut self, certain: usize) {
        self.text.clear();
        let rest = self.raw.split_off(certain);
        if self.cleans {
            clean(&self.tokenizer.recipe().pipeline, &mut self.raw);
        }
        self.clean.append(&mut self.raw);
        self.raw = rest;
        let mut used = 0;
        for chunk in self.clean.utf8_chunks() {
            self.text.push_str(chunk.valid());
            used += chunk.valid().len();
            let invalid = chunk.invalid();
            // At the end, a prefix of a character may still become one.
            if !invalid.is_empty() && used + invalid.len() == self.clean.len() && may_continue(invalid) {
                break;
            }
            if !invalid.is_empty() {
                self.text.push(char::REPLACEMENT_CHARACTER);
            }
            used += invalid.len();
        }
        self.clean.drain(..used);
    }
}

/// Whether `bytes`, which are not UTF-8, could be the beginning of a character.
fn may_continue(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
}
