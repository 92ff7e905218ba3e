//! The last resort. Whatever it gives is degraded: marked, logged at `warn`, never stored.

use log::warn;

use super::search::Search;
use crate::formats::gguf::{OnUnknownPre, has_vocabulary, load};
use crate::outcome::{Found, Outcome};
use crate::source::Source;
use crate::tokenizer::Tokenizer;

/// The model's own vocabulary with llama.cpp's default for how text is cut, where that is all its file leaves open; else a
/// tokenizer whose ids are bytes.
pub(super) fn attempt(search: &Search<'_>) -> Outcome {
    let path = search.evidence.path().display();
    let guess = search.evidence.gguf().filter(|gguf| has_vocabulary(gguf));
    if let (Some(Ok(tokenizer)), Some(model)) =
        (guess.map(|gguf| load(gguf, OnUnknownPre::Guess)), search.evidence.model_path())
    {
        let note = "the text is cut by a guess (`default`), so some ids may not be the model's";
        warn!("{path}: no strategy settled how this model cuts text; {note}");
        let source = Source::Gguf { path: model.to_owned() };
        return Outcome::Found(Found {
            tokenizer,
            source,
            degraded: true,
            notes: vec![note.into()],
            files: Vec::new(),
        });
    }
    match Tokenizer::bytes() {
        Ok(tokenizer) => {
            let note = "ids are bytes, not the model's tokens";
            warn!("{path}: no tokenizer was found; falling back to the byte tokenizer, whose {note}");
            let notes = vec![note.into()];
            Outcome::Found(Found {
                tokenizer,
                source: Source::BuiltIn,
                degraded: true,
                notes,
                files: Vec::new(),
            })
        }
        // 256 distinct bytes always make a vocabulary; should that change, the story says so.
        Err(error) => Outcome::NotApplicable(error.to_string()),
    }
}
