//! The `tokenizers` crate itself, for the descriptions that no engine here covers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::Frame;
use crate::decode::tokenizers::Renderer;
use crate::decode::{DecodeError, SpecialText};
use crate::encode::output::Sink;
use crate::encode::road::lossy;
use crate::encode::{EncodeError, Special};

/// A tokenizer of that crate, with the reason why it is here. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Wrapped {
    inner: Arc<tokenizers::Tokenizer>,
    /// What no engine here covers.
    pub(crate) reason: String,
    /// The post-processor, where it does no more than put ids around the text.
    pub(crate) frame: Option<Frame>,
    /// The decoder, where it is one that is known here.
    pub(crate) renderer: Option<Renderer>,
}

impl Wrapped {
    pub(crate) fn new(
        inner: tokenizers::Tokenizer,
        reason: String,
        frame: Option<Frame>,
        renderer: Option<Renderer>,
    ) -> Self {
        Self { inner: Arc::new(inner), reason, frame, renderer }
    }

    pub(crate) fn encode<S: Sink>(
        &self,
        text: &[u8],
        special: Special,
        sink: &mut S,
    ) -> Result<(), EncodeError> {
        let (valid, original) = lossy::<S>(text);
        let adds = special.adds();
        let adds_itself = adds && self.frame.is_none();
        let encoding = guarded(|| {
            if S::SPANS {
                self.inner.encode(&*valid, adds_itself)
            } else {
                self.inner.encode_fast(&*valid, adds_itself)
            }
        })
        .map_err(|source| EncodeError::Crate { source })?;
        if let Some(frame) = self.frame.as_ref().filter(|_| adds) {
            frame.before.iter().for_each(|&id| sink.push(id, 0..0));
        }
        if S::SPANS {
            let (words, tokens) = (encoding.get_word_ids(), encoding.get_tokens());
            for (i, (&id, &(start, end))) in encoding.get_ids().iter().zip(encoding.get_offsets()).enumerate()
            {
                let text = tokens.get(i).map_or(&[][..], |token| token.as_bytes());
                sink.push_text(id, original.original(start..end.max(start)), text);
                if words.get(i + 1) != words.get(i) {
                    sink.end_word();
                }
            }
        } else {
            sink.push_all(encoding.get_ids());
        }
        if let Some(frame) = self.frame.as_ref().filter(|_| adds) {
            frame.after.iter().for_each(|&id| sink.push(id, text.len()..text.len()));
        }
        Ok(())
    }

    pub(crate) fn decode(&self, ids: &[u32], special: SpecialText) -> Result<String, DecodeError> {
        // Some of that crate's decoders count down from the number of tokens.
        if ids.is_empty() {
            return Ok(String::new());
        }
        guarded(|| self.inner.decode(ids, special == SpecialText::Skip))
            .map_err(|source| DecodeError::Crate { source })
    }

    /// The inner tokenizer as that crate writes it.
    ///
    /// # Errors
    ///
    /// What it writes it does not read as the same: numbers lose their last bit there.
    pub(crate) fn to_json(&self) -> tokenizers::Result<String> {
        guarded(|| {
            let written = self.inner.to_string(false)?;
            if tokenizers::Tokenizer::from_bytes(&written)?.to_string(false)? != written {
                return Err("the tokenizers crate reads what it wrote as something else".into());
            }
            Ok(written)
        })
    }

    /// The inner tokenizer, to look at.
    #[cfg(test)]
    pub(crate) fn get(&self) -> &tokenizers::Tokenizer {
        &self.inner
    }
}

impl std::fmt::Debug for Wrapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wrapped").field("reason", &self.reason).finish_non_exhaustive()
    }
}

/// Runs that crate's code, with a panic as an error: parts of it index and subtract without a check.
pub(crate) fn guarded<T>(
    work: impl FnOnce() -> tokenizers::Result<T>,
) -> Result<T, Box<dyn std::error::Error + Send + Sync>> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(panic) => {
            let message = panic.downcast_ref::<String>().map(String::as_str);
            let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
            Err(format!("the tokenizers crate panicked: {message}").into())
        }
    }
}
