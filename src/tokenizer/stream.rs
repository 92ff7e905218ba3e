//! Ids → text, at once and as they come. Both take the same steps, so that they cannot differ.

use super::Tokenizer;
use crate::decode::{DecodeError, SpecialText, tokenizers};
use crate::semantics::{Pipeline, llama_cpp, sentencepiece, tiktoken};

/// What decoding remembers from one id to the next.
#[derive(Clone, Debug)]
enum State {
    Llama(llama_cpp::Decoder),
    Pipeline(tokenizers::Decoder),
    /// A decoder that is not known here may change any text with the next id.
    Crate(Vec<u32>, SpecialText),
    SentencePiece(sentencepiece::Decoder),
    Tiktoken(tiktoken::Decoder),
    Bytes,
}

impl State {
    fn new(tokenizer: &Tokenizer, special: SpecialText) -> Self {
        match &tokenizer.recipe().pipeline {
            Pipeline::Llama(recipe) => Self::Llama(llama_cpp::Decoder::new(recipe, special)),
            Pipeline::Tokenizers(recipe) => {
                Self::Pipeline(tokenizers::Decoder::new(&recipe.renderer, special))
            }
            Pipeline::Crate(wrapped) => match &wrapped.renderer {
                Some(renderer) => Self::Pipeline(tokenizers::Decoder::new(renderer, special)),
                None => Self::Crate(Vec::new(), special),
            },
            Pipeline::SentencePiece(_) => Self::SentencePiece(sentencepiece::Decoder::new(special)),
            Pipeline::Tiktoken(_) => Self::Tiktoken(tiktoken::Decoder::new(special)),
            Pipeline::Rwkv | Pipeline::Bytes => Self::Bytes,
        }
    }

    /// Appends what `id` adds.
    #[inline]
    fn push(&mut self, tokenizer: &Tokenizer, id: u32, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let vocabulary = tokenizer.vocabulary();
        let known = match (self, &tokenizer.recipe().pipeline) {
            (Self::Llama(decoder), Pipeline::Llama(recipe)) => decoder.push(recipe, vocabulary, id, out),
            (Self::Pipeline(decoder), pipeline) => match renderer(pipeline) {
                Some(renderer) => decoder.push(renderer, vocabulary, id, out),
                None => None,
            },
            (Self::Crate(ids, _), _) => vocabulary.text(id).map(|_| ids.push(id)),
            (Self::SentencePiece(decoder), Pipeline::SentencePiece(recipe)) => {
                decoder.push(recipe, vocabulary, id, out)
            }
            (Self::Tiktoken(decoder), _) => decoder.push(vocabulary, id, out),
            _ => vocabulary.piece(id).map(|piece| out.extend_from_slice(piece)),
        };
        known.ok_or(DecodeError::UnknownId { id, vocab_size: vocabulary.len })
    }

    /// Appends what is still held back.
    fn finish(&mut self, tokenizer: &Tokenizer, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        match (self, &tokenizer.recipe().pipeline) {
            (Self::SentencePiece(decoder), _) => decoder.flush(out),
            (Self::Pipeline(decoder), pipeline) => {
                if let Some(renderer) = renderer(pipeline) {
                    decoder.finish(renderer, out);
                }
            }
            (Self::Crate(ids, special), Pipeline::Crate(wrapped)) => {
                out.extend_from_slice(wrapped.decode(ids, *special)?.as_bytes());
            }
            _ => {}
        }
        Ok(())
    }

    /// As [`State::push`] for one id after the other.
    fn push_all(&mut self, tokenizer: &Tokenizer, ids: &[u32], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let vocabulary = tokenizer.vocabulary();
        let known = match (&mut *self, &tokenizer.recipe().pipeline) {
            (Self::Llama(decoder), Pipeline::Llama(recipe)) => decoder.push_all(recipe, vocabulary, ids, out),
            (Self::Tiktoken(decoder), _) => vocabulary.append_pieces(ids, decoder.hidden(), out),
            _ => return ids.iter().try_for_each(|&id| self.push(tokenizer, id, out)),
        };
        known.map_err(|id| DecodeError::UnknownId { id, vocab_size: vocabulary.len })
    }
}

fn renderer(pipeline: &Pipeline) -> Option<&tokenizers::Renderer> {
    match pipeline {
        Pipeline::Tokenizers(recipe) => Some(&recipe.renderer),
        Pipeline::Crate(wrapped) => wrapped.renderer.as_ref(),
        _ => None,
    }
}

/// Whether the bytes that the ids add up to are rewritten before they are text.
fn cleans(tokenizer: &Tokenizer) -> bool {
    match &tokenizer.recipe().pipeline {
        Pipeline::Llama(recipe) => recipe.clean_spaces,
        Pipeline::SentencePiece(recipe) => recipe.denormalizer.is_some(),
        _ => false,
    }
}

/// Rewrites bytes for which [`cleans`] holds.
fn clean(tokenizer: &Tokenizer, text: &mut Vec<u8>) {
    match &tokenizer.recipe().pipeline {
        Pipeline::SentencePiece(recipe) => sentencepiece::denormalize(recipe, text),
        _ => llama_cpp::clean_spaces(text),
    }
}

/// How much of `text` is rewritten in the same way whatever follows.
fn clean_prefix(tokenizer: &Tokenizer, text: &[u8]) -> usize {
    match &tokenizer.recipe().pipeline {
        // Its rules may span any number of characters.
        Pipeline::SentencePiece(_) => 0,
        _ => llama_cpp::clean_prefix(text),
    }
}

pub(super) fn decode_into(
    tokenizer: &Tokenizer,
    ids: &[u32],
    special: SpecialText,
    bytes: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let before = bytes.len();
    let mut state = State::new(tokenizer, special);
    state.push_all(tokenizer, ids, bytes).inspect_err(|_| bytes.truncate(before))?;
    state.finish(tokenizer, bytes).inspect_err(|_| bytes.truncate(before))?;
    if cleans(tokenizer) && before == 0 {
        clean(tokenizer, bytes);
    } else if cleans(tokenizer) {
        let mut text = bytes.split_off(before);
        clean(tokenizer, &mut text);
        bytes.append(&mut text);
    }
    Ok(())
}

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
            state: State::new(tokenizer, special),
            cleans: cleans(tokenizer),
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
        self.state.push(self.tokenizer, id, &mut self.raw)?;
        let certain = if self.cleans { clean_prefix(self.tokenizer, &self.raw) } else { self.raw.len() };
        self.advance(certain);
        Ok(&self.text)
    }

    /// Ends the stream and returns the rest of the text.
    #[must_use]
    pub fn finish(mut self) -> String {
        // Only a decoder that is not known here can fail, on ids that it has taken one by one; then nothing was certain.
        if let Err(error) = self.state.finish(self.tokenizer, &mut self.raw) {
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
            clean(self.tokenizer, &mut self.raw);
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
