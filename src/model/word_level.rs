//! `WordLevel`: a word is a token.

use super::tokens::{NoToken, Tokens};
use crate::vocabulary::Vocabulary;

/// The token that a word is, or the one for the unknown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WordLevel {
    /// Without it an unknown word is an error.
    pub(crate) unk: Option<u32>,
}

impl WordLevel {
    /// One look-up.
    pub(super) fn encode(
        self,
        vocabulary: &Vocabulary,
        word: &[u8],
        tokens: &mut Tokens,
    ) -> Result<(), NoToken> {
        match vocabulary.token(word).or(self.unk) {
            Some(id) => {
                tokens.push(id, 0..word.len());
                Ok(())
            }
            None => Err(NoToken { byte: word.first().copied().unwrap_or_default(), at: 0 }),
        }
    }
}
