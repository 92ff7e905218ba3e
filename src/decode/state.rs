//! Rendering ids, at once and one by one. Both take the same steps, so that they cannot differ.

use super::error::DecodeError;
use super::options::SpecialText;
use super::{llama_cpp, sentencepiece, tiktoken, tokenizers};
use crate::semantics::Pipeline;
use crate::vocabulary::Vocabulary;

/// What decoding remembers from one id to the next.
#[derive(Clone, Debug)]
pub(crate) enum State {
    Llama(llama_cpp::Decoder),
    Pipeline(tokenizers::Decoder),
    /// Decoders that see all tokens at once may change any text with the next id.
    Chain(Vec<u32>, SpecialText),
    /// A decoder that is not known here may change any text with the next id.
    Crate(Vec<u32>, SpecialText),
    SentencePiece(sentencepiece::Decoder),
    Tiktoken(tiktoken::Decoder),
    Bytes,
}

impl State {
    pub(crate) fn new(pipeline: &Pipeline, special: SpecialText) -> Self {
        match pipeline {
            Pipeline::Llama(recipe) => Self::Llama(llama_cpp::Decoder::new(recipe, special)),
            Pipeline::Tokenizers(recipe) if recipe.renderer.chain.is_some() => {
                Self::Chain(Vec::new(), special)
            }
            Pipeline::Tokenizers(recipe) => {
                Self::Pipeline(tokenizers::Decoder::new(&recipe.renderer, special))
            }
            Pipeline::Crate(wrapped) => match &wrapped.renderer {
                Some(renderer) if renderer.chain.is_some() => Self::Chain(Vec::new(), special),
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
    pub(crate) fn push(
        &mut self,
        pipeline: &Pipeline,
        vocabulary: &Vocabulary,
        id: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), DecodeError> {
        let known = match (self, pipeline) {
            (Self::Llama(decoder), Pipeline::Llama(recipe)) => decoder.push(recipe, vocabulary, id, out),
            (Self::Pipeline(decoder), pipeline) => match renderer(pipeline) {
                Some(renderer) => decoder.push(renderer, vocabulary, id, out),
                None => None,
            },
            (Self::Crate(ids, _) | Self::Chain(ids, _), _) => vocabulary.text(id).map(|_| ids.push(id)),
            (Self::SentencePiece(decoder), Pipeline::SentencePiece(recipe)) => {
                decoder.push(recipe, vocabulary, id, out)
            }
            (Self::Tiktoken(decoder), _) => decoder.push(vocabulary, id, out),
            _ => vocabulary.piece(id).map(|piece| out.extend_from_slice(piece)),
        };
        known.ok_or(DecodeError::UnknownId { id, vocab_size: vocabulary.len })
    }

    /// Appends what is still held back.
    pub(crate) fn finish(
        &mut self,
        pipeline: &Pipeline,
        vocabulary: &Vocabulary,
        out: &mut Vec<u8>,
    ) -> Result<(), DecodeError> {
        match (self, pipeline) {
            (Self::SentencePiece(decoder), _) => decoder.flush(out),
            (Self::Pipeline(decoder), pipeline) => {
                if let Some(renderer) = renderer(pipeline) {
                    decoder.finish(renderer, out);
                }
            }
            (Self::Chain(ids, special), pipeline) => {
                if let Some(chain) = renderer(pipeline).and_then(|renderer| renderer.chain.as_ref()) {
                    let text = chain.decode(vocabulary, ids, *special);
                    out.extend_from_slice(text.map_err(|source| DecodeError::Split { source })?.as_bytes());
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
    fn push_all(
        &mut self,
        pipeline: &Pipeline,
        vocabulary: &Vocabulary,
        ids: &[u32],
        out: &mut Vec<u8>,
    ) -> Result<(), DecodeError> {
        let known = match (&mut *self, pipeline) {
            (Self::Llama(decoder), Pipeline::Llama(recipe)) => decoder.push_all(recipe, vocabulary, ids, out),
            (Self::Tiktoken(decoder), _) => {
                vocabulary.append_pieces(ids, decoder.hidden(), 0, out).map(|_| ())
            }
            (Self::Pipeline(decoder), pipeline) => match renderer(pipeline) {
                Some(renderer) => decoder.push_all(renderer, vocabulary, ids, out),
                None => ids.first().map_or(Ok(()), |&id| Err(id)),
            },
            (Self::SentencePiece(decoder), Pipeline::SentencePiece(recipe)) => {
                decoder.push_all(recipe, vocabulary, ids, out)
            }
            _ => return ids.iter().try_for_each(|&id| self.push(pipeline, vocabulary, id, out)),
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
pub(crate) fn cleans(pipeline: &Pipeline) -> bool {
    match pipeline {
        Pipeline::Llama(recipe) => recipe.clean_spaces,
        Pipeline::SentencePiece(recipe) => recipe.denormalizer.is_some(),
        _ => false,
    }
}

/// Rewrites bytes for which [`cleans`] holds.
pub(crate) fn clean(pipeline: &Pipeline, text: &mut Vec<u8>) {
    match pipeline {
        Pipeline::SentencePiece(recipe) => sentencepiece::denormalize(recipe, text),
        _ => llama_cpp::clean_spaces(text),
    }
}

/// How much of `text` is rewritten in the same way whatever follows.
pub(crate) fn clean_prefix(pipeline: &Pipeline, text: &[u8]) -> usize {
    match pipeline {
        // Its rules may span any number of characters.
        Pipeline::SentencePiece(_) => 0,
        _ => llama_cpp::clean_prefix(text),
    }
}

/// Appends the text of `ids`; on an error `bytes` is as it was.
pub(crate) fn decode_into(
    pipeline: &Pipeline,
    vocabulary: &Vocabulary,
    ids: &[u32],
    special: SpecialText,
    bytes: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let before = bytes.len();
    let mut state = State::new(pipeline, special);
    state.push_all(pipeline, vocabulary, ids, bytes).inspect_err(|_| bytes.truncate(before))?;
    state.finish(pipeline, vocabulary, bytes).inspect_err(|_| bytes.truncate(before))?;
    if cleans(pipeline) && before == 0 {
        clean(pipeline, bytes);
    } else if cleans(pipeline) {
        let mut text = bytes.split_off(before);
        clean(pipeline, &mut text);
        bytes.append(&mut text);
    }
    Ok(())
}
