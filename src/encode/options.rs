//! What a caller decides of encoding.

/// Which special tokens take part in encoding: the field's two switches, *add* those that frame a text (BOS, EOS, …), and
/// *parse* those that are spelled out in it.
///
/// Parse only text you trust: a user who writes `<|im_end|>` into a parsed prompt ends the turn.
///
/// A `tokenizer.json` has only the first switch: like the `tokenizers` library, its tokenizer always recognises the added tokens that
/// stand in a text, so [`Special::Ignore`] is [`Special::Parse`] there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[expect(clippy::exhaustive_enums, reason = "two switches have four settings")]
pub enum Special {
    /// Neither: the text and nothing but the text.
    #[default]
    Ignore,
    /// Add the special tokens the model wants around a text.
    Add,
    /// Take special tokens in the text for what they are.
    Parse,
    /// Both.
    AddAndParse,
}

impl Special {
    /// Whether special tokens are added around the text.
    #[must_use]
    pub fn adds(self) -> bool {
        matches!(self, Self::Add | Self::AddAndParse)
    }

    /// Whether special tokens are recognised in the text.
    #[must_use]
    pub fn parses(self) -> bool {
        matches!(self, Self::Parse | Self::AddAndParse)
    }
}
