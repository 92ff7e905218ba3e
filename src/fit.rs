//! Does this tokenizer belong to this model?
//!
//! A name is not an identity: whatever a tokenizer was found by, it counts only if it agrees with what the model itself says. A
//! GGUF carries its tokens, which are compared one by one; any other model says how many rows its embedding has, and the ids of
//! some special tokens.

use std::borrow::Cow;

use crate::evidence::Evidence;
use crate::model::rwkv;
use crate::tokenizer::Tokenizer;
use crate::vocabulary::{SPACE, append_unescaped, attribute, decode_alphabet};

/// What a model says of its vocabulary.
#[derive(Clone, Debug, Default)]
pub(crate) struct ModelFacts<'m> {
    /// Text and type (`tokenizer.ggml.token_type`) of every token, as the GGUF has them.
    pub(crate) tokens: Option<Vec<(&'m [u8], i32)>>,
    /// `tokenizer.ggml.model`, which says how the texts are written.
    pub(crate) model: Option<&'m [u8]>,
    /// Rows of the embedding.
    pub(crate) rows: Option<u64>,
    /// Special tokens by role and id.
    pub(crate) special: Vec<(&'static str, u32)>,
}

impl<'m> ModelFacts<'m> {
    /// What the evidence of a model says.
    pub(crate) fn of(evidence: &'m Evidence) -> Self {
        let gguf = evidence.gguf();
        let tokens = gguf.and_then(|gguf| {
            let texts = gguf.strings("tokenizer.ggml.tokens")?;
            let mut types = gguf.i32s("tokenizer.ggml.token_type").into_iter().flatten();
            let tokens: Vec<_> = texts.map(|text| (text, types.next().unwrap_or(NORMAL))).collect();
            Some(tokens).filter(|tokens| !tokens.is_empty())
        });
        Self {
            tokens,
            model: gguf.and_then(|gguf| gguf.string("tokenizer.ggml.model")),
            rows: evidence.rows().map(|rows| rows.count),
            special: evidence.special_ids(),
        }
    }
}

/// How a tokenizer fits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fit {
    /// Every token of the model was compared.
    Tokens {
        /// Rows beyond the tokenizer's ids, all of them padding.
        padding: u32,
    },
    /// The numbers of ids and rows were compared.
    Rows {
        /// Rows beyond the tokenizer's ids.
        padding: u32,
    },
    /// The model does not say what its vocabulary is.
    Unknown,
}

/// Where a tokenizer and a model first differ.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// An id is one token to the model and another one to the tokenizer.
    #[error("expected token {id} to be {expected:?} as in the model, found {found:?}")]
    Token {
        /// The first id that differs.
        id: u32,
        /// The model's text, lossily decoded.
        expected: String,
        /// The tokenizer's text, lossily decoded.
        found: String,
    },
    /// The model has a token that the tokenizer lacks, such as one that a fine-tune added to its base model's.
    #[error("expected token {id} to be {expected:?} as in the model, found no token of that id")]
    Missing {
        /// The first id that is missing.
        id: u32,
        /// The model's text, lossily decoded.
        expected: String,
    },
    /// The tokenizer has ids for which the model has no row.
    #[error("expected ids below {rows}, the rows of the model, found token {id} ({found:?})")]
    Surplus {
        /// The first id too many.
        id: u32,
        /// Its text, lossily decoded.
        found: String,
        /// The model's rows.
        rows: u64,
    },
    /// The model has far more rows than the tokenizer has ids, more than padding explains.
    #[error("expected about as many ids as the model has rows ({rows}), found {vocab_size}")]
    Size {
        /// The model's rows.
        rows: u64,
        /// The tokenizer's ids.
        vocab_size: u32,
    },
    /// An id that the model uses for a special token is an ordinary one, or none, to the tokenizer.
    #[error("expected a special token at id {id}, which is the model's {role}, found {found:?}")]
    Special {
        /// The role, such as `bos`.
        role: &'static str,
        /// The id.
        id: u32,
        /// The tokenizer's text there, lossily decoded; empty if there is none.
        found: String,
    },
}

/// Compares a tokenizer with what a model says of its vocabulary.
///
/// `O(bytes of all tokens)` for a GGUF with tokens, constant otherwise.
pub(crate) fn check(tokenizer: &Tokenizer, facts: &ModelFacts<'_>) -> Result<Fit, Mismatch> {
    if let Some(tokens) = &facts.tokens {
        return check_tokens(tokenizer, facts.model, tokens);
    }
    let Some(rows) = facts.rows else {
        check_special(tokenizer, &facts.special)?;
        return Ok(Fit::Unknown);
    };
    let vocab_size = tokenizer.vocab_size();
    if u64::from(vocab_size) > rows {
        let surplus = (rows as u32..vocab_size).find(|&id| tokenizer.token_text(id).is_some());
        if let Some(id) = surplus {
            return Err(Mismatch::Surplus { id, found: lossy(&text_of(tokenizer, id)), rows });
        }
    }
    let padding = rows.saturating_sub(u64::from(vocab_size));
    if padding > MOST_PADDING {
        return Err(Mismatch::Size { rows, vocab_size });
    }
    check_special(tokenizer, &facts.special)?;
    Ok(Fit::Rows { padding: padding as u32 })
}

fn check_tokens(
    tokenizer: &Tokenizer,
    model: Option<&[u8]>,
    tokens: &[(&[u8], i32)],
) -> Result<Fit, Mismatch> {
    let mut padding = 0;
    let mut buffer = Vec::new();
    for (id, &(text, kind)) in (0..).zip(tokens) {
        let is_padding = kind == UNUSED || is_pad(text);
        let Some(found) = tokenizer.token_text(id) else {
            // What RWKV's file leaves out at 0 is not padding, but it has no text either.
            if is_padding || model == Some(b"rwkv") && id == 0 {
                padding += 1;
                continue;
            }
            return Err(Mismatch::Missing { id, expected: lossy(text) });
        };
        let same = same_token(tokenizer, id, &found, text, model, &mut buffer)
            // The converter of T5 has no texts for the sentinels.
            || is_pad(text) && found.starts_with(b"<extra_id_");
        if !same {
            return Err(Mismatch::Token { id, expected: lossy(text), found: lossy(&found) });
        }
    }
    let surplus =
        (tokens.len() as u32..tokenizer.vocab_size()).find(|&id| tokenizer.token_text(id).is_some());
    match surplus {
        Some(id) => {
            let found = lossy(&text_of(tokenizer, id));
            Err(Mismatch::Surplus { id, found, rows: tokens.len() as u64 })
        }
        None => Ok(Fit::Tokens { padding }),
    }
}

/// Whether `found`, as the tokenizer's source writes token `id`, is what a GGUF writes as `text`.
pub(crate) fn same_token(
    tokenizer: &Tokenizer,
    id: u32,
    found: &[u8],
    text: &[u8],
    model: Option<&[u8]>,
    buffer: &mut Vec<u8>,
) -> bool {
    if found == text {
        return true;
    }
    match model {
        // A word begins with `▁`, and what continues one has no `##`.
        Some(b"bert") => match text.strip_prefix(SPACE) {
            Some(word) => return found == word,
            None => return found.strip_prefix(b"##") == Some(text),
        },
        Some(b"rwkv") => {
            return tokenizer.token_bytes(id) == Some(&rwkv::unescape(text));
        }
        _ => {}
    }
    // Runs of spaces are stored as such by some converters, as `▁` by others.
    if spaced(found) == spaced(text) {
        return true;
    }
    // An added token may be written out, or in the byte alphabet like the rest.
    let mut decodes_to = |written: &[u8], literal: &[u8]| {
        buffer.clear();
        decode_alphabet(written, buffer) && *buffer == literal
    };
    decodes_to(text, found) || decodes_to(found, text)
}

/// The special ids that the model names must be special tokens here, too: that tells apart two vocabularies of one size.
fn check_special(tokenizer: &Tokenizer, special: &[(&'static str, u32)]) -> Result<(), Mismatch> {
    for &(role, id) in special {
        let Some(text) = tokenizer.token_text(id) else {
            // Padding is often a row without a text, and an end of text without one is that of RWKV.
            if role == "pad" || tokenizer.is_eog(id) {
                continue;
            }
            return Err(Mismatch::Special { role, id, found: String::new() });
        };
        if matches!(role, "bos" | "eos") && !looks_special(tokenizer, id, &text) {
            return Err(Mismatch::Special { role, id, found: lossy(&text) });
        }
    }
    Ok(())
}

/// By its kind, or, since a bare `vocab.json` knows no kinds, by its text.
fn looks_special(tokenizer: &Tokenizer, id: u32, text: &[u8]) -> bool {
    let attributes = tokenizer.vocabulary().attributes(id);
    let kinds = attribute::CONTROL | attribute::UNKNOWN | attribute::USER_DEFINED | attribute::RAW;
    let special = tokenizer.special_tokens();
    let named = [special.bos, special.eos, special.sep, special.pad, special.unk].contains(&Some(id));
    let bracketed = text.len() > 2
        && matches!((text.first(), text.last()), (Some(b'<'), Some(b'>')) | (Some(b'['), Some(b']')));
    attributes & kinds != 0 || named || tokenizer.is_eog(id) || bracketed
}

/// `[PAD123]`, which converters write into rows that no token of the tokenizer has.
pub(crate) fn is_pad(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"[PAD").and_then(|rest| rest.strip_suffix(b"]"));
    digits.is_some_and(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
}

/// With each `▁` as a space.
fn spaced(text: &[u8]) -> Cow<'_, [u8]> {
    let mut spaced = Vec::new();
    if append_unescaped(text, &mut spaced) { spaced.into() } else { text.into() }
}

fn text_of(tokenizer: &Tokenizer, id: u32) -> Cow<'_, [u8]> {
    tokenizer.token_text(id).unwrap_or_default()
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// `tokenizer.ggml.token_type` of an ordinary token, and of a row that is not in use.
const NORMAL: i32 = 1;
const UNUSED: i32 = 5;
/// Rows that a model may have beyond its tokenizer's ids. Published models: T5 28, MPT 153, Qwen 271, DeepSeek 465, CodeGen and Phi-2
/// 905, Llama 4 913, gpt-oss 1069.
const MOST_PADDING: u64 = 1152;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::side_files::SideFiles;
    use crate::formats::{rwkv, tekken};
    use base64::Engine as _;

    /// A tokenizer of all bytes, the special tokens `<unk>`, `<s>`, `</s>` in front and `words` behind.
    fn tokenizer(words: &[&str]) -> Tokenizer {
        let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        let all = (0..=255u8).map(|byte| vec![byte]).chain(words.iter().map(|word| word.as_bytes().to_vec()));
        let vocab: Vec<_> = all
            .enumerate()
            .map(|(rank, bytes)| serde_json::json!({ "rank": rank, "token_bytes": base64(&bytes), "token_str": null }))
            .collect();
        let file = serde_json::json!({
            "config": { "pattern": r"\s?\S+|\s", "default_vocab_size": vocab.len() + 3, "default_num_special_tokens": 3, "version": "v3" },
            "vocab": vocab,
            "special_tokens": [
                { "rank": 0, "token_str": "<unk>" },
                { "rank": 1, "token_str": "<s>" },
                { "rank": 2, "token_str": "</s>" },
            ],
        });
        tekken::load("tekken.json", file.to_string().as_bytes(), &SideFiles::default()).unwrap()
    }

    /// Texts and types as a GGUF made from `tokenizer` has them.
    fn texts(tokenizer: &Tokenizer) -> Vec<(Vec<u8>, i32)> {
        (0..tokenizer.vocab_size())
            .map(|id| (text_of(tokenizer, id).into_owned(), if id < 3 { 3 } else { 1 }))
            .collect()
    }

    fn of_tokens(texts: &[(Vec<u8>, i32)]) -> ModelFacts<'_> {
        let tokens = texts.iter().map(|(text, kind)| (&text[..], *kind)).collect();
        ModelFacts {
            tokens: Some(tokens),
            model: Some(b"gpt2"),
            rows: Some(texts.len() as u64),
            special: Vec::new(),
        }
    }

    #[test]
    fn the_right_tokenizer_fits() {
        let tokenizer = tokenizer(&[" the", "ing"]);
        let texts = texts(&tokenizer);
        assert_eq!(check(&tokenizer, &of_tokens(&texts)), Ok(Fit::Tokens { padding: 0 }));
        let facts =
            ModelFacts { rows: Some(261), special: vec![("bos", 1), ("eos", 2)], ..ModelFacts::default() };
        assert_eq!(check(&tokenizer, &facts), Ok(Fit::Rows { padding: 0 }));
        assert_eq!(check(&tokenizer, &ModelFacts::default()), Ok(Fit::Unknown));
    }

    #[test]
    fn a_padded_model_fits() {
        let tokenizer = tokenizer(&[" the"]);
        let mut texts = texts(&tokenizer);
        texts.extend([(b"[PAD260]".to_vec(), 1), (b"whatever".to_vec(), 5)]);
        assert_eq!(check(&tokenizer, &of_tokens(&texts)), Ok(Fit::Tokens { padding: 2 }));
        let facts = ModelFacts { rows: Some(320), ..ModelFacts::default() };
        assert_eq!(check(&tokenizer, &facts), Ok(Fit::Rows { padding: 60 }));
    }

    #[test]
    fn a_base_models_tokenizer_lacks_what_a_fine_tune_added() {
        let base = tokenizer(&[" the"]);
        let mut texts = texts(&base);
        texts.push((b"<|im_start|>".to_vec(), 3));
        let expected = "<|im_start|>".to_owned();
        assert_eq!(check(&base, &of_tokens(&texts)), Err(Mismatch::Missing { id: 260, expected }));
    }

    #[test]
    fn a_wrong_one_of_the_same_size_does_not_fit() {
        let (right, wrong) = (tokenizer(&[" the", "ing"]), tokenizer(&[" the", "ed"]));
        let error = check(&wrong, &of_tokens(&texts(&right))).unwrap_err();
        let (expected, found) = ("ing".to_owned(), "ed".to_owned());
        assert_eq!(error, Mismatch::Token { id: 260, expected, found });
        assert_eq!(error.to_string(), "expected token 260 to be \"ing\" as in the model, found \"ed\"");
        // Without tokens, the model's special ids tell.
        let facts = ModelFacts { rows: Some(261), special: vec![("eos", 260)], ..ModelFacts::default() };
        let found = "ed".to_owned();
        assert_eq!(check(&wrong, &facts), Err(Mismatch::Special { role: "eos", id: 260, found }));
    }

    #[test]
    fn a_wrong_one_of_another_size_does_not_fit() {
        let (small, large) = (tokenizer(&[]), tokenizer(&[" the", "ing"]));
        assert!(matches!(check(&small, &of_tokens(&texts(&large))), Err(Mismatch::Missing { id: 259, .. })));
        assert!(matches!(
            check(&large, &of_tokens(&texts(&small))),
            Err(Mismatch::Surplus { id: 259, rows: 259, .. })
        ));
        let rows = |rows| ModelFacts { rows: Some(rows), ..ModelFacts::default() };
        assert!(matches!(check(&large, &rows(259)), Err(Mismatch::Surplus { id: 259, .. })));
        assert_eq!(check(&small, &rows(32_000)), Err(Mismatch::Size { rows: 32_000, vocab_size: 259 }));
    }

    #[test]
    fn the_same_token_written_otherwise_is_the_same() {
        let tokenizer = tokenizer(&["  ", " a"]);
        let mut written = texts(&tokenizer);
        assert_eq!(written[259].0, "ĠĠ".as_bytes());
        written[259].0 = b"  ".to_vec();
        assert_eq!(check(&tokenizer, &of_tokens(&written)), Ok(Fit::Tokens { padding: 0 }));
        written[0].0 = "<ung>".into();
        assert!(check(&tokenizer, &of_tokens(&written)).is_err());
    }

    #[test]
    fn rwkv_writes_escapes_and_begins_at_one() {
        let tokenizer = rwkv::load("rwkv.txt", b"1 '\\n' 1\n2 'a' 1\n", &SideFiles::default()).unwrap();
        let written = [(b"<s>".to_vec(), 3), (b"\\n".to_vec(), 1), (b"a".to_vec(), 1)];
        let facts = ModelFacts { model: Some(b"rwkv"), ..of_tokens(&written) };
        assert_eq!(check(&tokenizer, &facts), Ok(Fit::Tokens { padding: 1 }));
    }
}
