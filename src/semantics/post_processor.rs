//! What goes around one text or two before a model reads them: the post-processor of `tokenizers`, compiled to ids.

use serde::{Deserialize, Serialize};

/// What a source says of the input of its model.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Processing {
    pub(crate) post_processor: PostProcessor,
    pub(crate) truncation: Option<Truncation>,
    pub(crate) padding: Option<Padding>,
}

/// How the parts of an input are put together.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) enum PostProcessor {
    /// The source knows single texts only, and the tokenizer's frame is all that goes around them.
    #[default]
    Frame,
    /// By these pieces.
    Template(Template),
    /// In a way that is not covered here, for this reason.
    Foreign(String),
}

/// The pieces of an input, in order.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Template {
    pub(crate) single: Vec<Piece>,
    /// Empty where the source does not say how two texts go together.
    pub(crate) pair: Vec<Piece>,
    /// White space at the edges of tokens is not of their places; whether a first space may be one that was added. One for each
    /// processor that trims.
    pub(crate) trims: Vec<bool>,
}

/// A piece of an input.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) enum Piece {
    /// The first text or the second one.
    Text {
        second: bool,
        /// With special tokens around it, and without.
        type_id: [u32; 2],
        /// The same for parts beyond the first that truncation makes: `tokenizers` numbers these by their text.
        rest_type_id: [u32; 2],
    },
    /// Special tokens.
    Tokens { ids: Vec<u32>, type_id: u32 },
}

/// `truncation` of a `tokenizer.json`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Truncation {
    pub(crate) max_length: usize,
    /// Only the second text, only the first, or the longest first.
    pub(crate) only_second: Option<bool>,
    pub(crate) stride: usize,
    pub(crate) left: bool,
}

/// `padding` of a `tokenizer.json`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Padding {
    /// `None` for the longest of the batch.
    pub(crate) length: Option<usize>,
    pub(crate) left: bool,
    pub(crate) multiple: Option<usize>,
    pub(crate) id: u32,
    pub(crate) type_id: u32,
}

impl Template {
    /// The texts and nothing around them.
    pub(crate) fn bare() -> Self {
        Self {
            single: vec![Piece::text(false, 0)],
            pair: vec![Piece::text(false, 0), Piece::text(true, 1)],
            trims: Vec::new(),
        }
    }

    /// `[CLS] A [SEP]`, `[CLS] A [SEP] B [SEP]`
    pub(crate) fn bert(cls: u32, sep: u32) -> Self {
        let single = vec![Piece::token(cls, 0), Piece::text(false, 0), Piece::token(sep, 0)];
        let pair = [single.clone(), vec![Piece::text(true, 1), Piece::token(sep, 1)]].concat();
        Self { single, pair, trims: Vec::new() }
    }

    /// `<s> A </s>`, `<s> A </s> </s> B </s>`, all of one type.
    pub(crate) fn roberta(cls: u32, sep: u32, second_sep: u32) -> Self {
        let text = |second| Piece::Text { second, type_id: [0, 0], rest_type_id: [0, u32::from(second)] };
        let single = vec![Piece::token(cls, 0), text(false), Piece::token(sep, 0)];
        let pair =
            [single.clone(), vec![Piece::token(second_sep, 0), text(true), Piece::token(sep, 0)]].concat();
        Self { single, pair, trims: Vec::new() }
    }
}

impl Piece {
    pub(crate) fn text(second: bool, type_id: u32) -> Self {
        Self::Text { second, type_id: [type_id; 2], rest_type_id: [u32::from(second); 2] }
    }

    fn token(id: u32, type_id: u32) -> Self {
        Self::Tokens { ids: vec![id], type_id }
    }
}
