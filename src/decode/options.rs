//! What a caller decides of decoding.

/// What decoding does with special tokens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[expect(clippy::exhaustive_enums, reason = "a piece is rendered or it is not")]
pub enum SpecialText {
    /// Leave them out: the text a person reads.
    #[default]
    Skip,
    /// Render each as its text, such as `<|im_end|>`.
    Render,
}
