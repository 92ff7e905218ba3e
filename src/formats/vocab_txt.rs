//! `vocab.txt`: a WordPiece vocabulary, one token a line, as BERT has it.
//!
//! Reference: `BertWordPieceTokenizer` of the `tokenizers` Python library. What comes out is a description in the words of
//! `tokenizer.json`, read like any other.

use serde_json::{Value, json};

use super::FormatError;
use super::side_files::{AddedToken, SideFiles};
use super::tokenizer_json;
use crate::mmap::Bytes;
use crate::tokenizer::Tokenizer;

/// The tokenizer that a `vocab.txt` makes: BERT's, with `do_lower_case` (by default true), `strip_accents` and `tokenize_chinese_chars` as
/// `tokenizer_config.json` has them.
///
/// # Errors
///
/// - The file is not UTF-8, or has no line for the tokens that frame a text (`[CLS]`, `[SEP]`);
/// - the side files name a class of tokenizers that is not BERT's.
pub(crate) fn load_vocab_txt(bytes: &Bytes, side: &SideFiles) -> Result<Tokenizer, FormatError> {
    let class = side.tokenizer_class.as_deref().map(|class| class.strip_suffix("Fast").unwrap_or(class));
    if let Some(class) = class.filter(|class| !CLASSES.contains(class)) {
        return Err(FormatError::UnsupportedModel {
            file: "tokenizer_config.json".to_owned(),
            kind: class.to_owned(),
            hint: "; a tokenizer of this class is not known to be made of a vocab.txt as BERT's are, a `tokenizer.json` of the same \
                   model says how it works"
                .to_owned(),
        });
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| FormatError::Malformed { file: FILE.to_owned(), source: error.into() })?;
    let id = |token: &str| {
        text.lines().map(str::trim_end).enumerate().filter(|&(_, line)| line == token).last().map(|(i, _)| i)
    };

    let roles = &side.roles;
    let role = |role: &Option<String>, default: &str| role.clone().unwrap_or_else(|| default.to_owned());
    let unk = role(&roles.unk, "[UNK]");
    let (sep, cls) = (role(&roles.sep, "[SEP]"), role(&roles.cls, "[CLS]"));
    let framing = |token: &str| {
        id(token).ok_or_else(|| FormatError::Value {
            file: FILE.to_owned(),
            place: "its lines".to_owned(),
            expected: format!("the token {token:?}, which frames every text"),
            found: "none; if it has another name, tokenizer_config.json must say so".to_owned(),
        })
    };
    let post_processor =
        json!({"type": "BertProcessing", "sep": [sep, framing(&sep)?], "cls": [cls, framing(&cls)?]});

    let mut added: Vec<AddedToken> = side.added_tokens.clone();
    for content in [unk.clone(), sep, cls, role(&roles.pad, "[PAD]"), role(&roles.mask, "[MASK]")] {
        let listed = added.iter().any(|token| token.content == content);
        if let Some(id) = id(&content).filter(|_| !listed) {
            added.push(AddedToken {
                id: id as u32,
                content,
                normalized: false,
                special: true,
                ..AddedToken::default()
            });
        }
    }
    let added: Vec<Value> = added
        .into_iter()
        .map(|AddedToken { id, content, single_word, lstrip, rstrip, normalized, special }| {
            json!({"id": id, "content": content, "single_word": single_word, "lstrip": lstrip, "rstrip": rstrip,
                "normalized": normalized, "special": special})
        })
        .collect();

    // A tree of the tokens would cost more than the file; of equal lines the last counts, as in any JSON object.
    let mut vocab = String::with_capacity(text.len() + text.len() / 2);
    for (i, line) in text.lines().map(str::trim_end).enumerate() {
        vocab.push_str(if i == 0 { "{" } else { "," });
        vocab.push_str(&Value::from(line).to_string());
        vocab.push(':');
        vocab.push_str(&i.to_string());
    }
    let normalizer = json!({
        "type": "BertNormalizer",
        "clean_text": true,
        "handle_chinese_chars": side.tokenize_chinese_chars.unwrap_or(true),
        "strip_accents": side.strip_accents,
        "lowercase": side.do_lower_case.unwrap_or(true),
    });
    let json = format!(
        r###"{{"version":"1.0","added_tokens":{},"normalizer":{normalizer},"pre_tokenizer":{{"type":"BertPreTokenizer"}},
        "post_processor":{post_processor},"decoder":{{"type":"WordPiece","prefix":"##","cleanup":true}},
        "model":{{"type":"WordPiece","unk_token":{},"continuing_subword_prefix":"##","max_input_chars_per_word":100,
        "vocab":{vocab}}}}}}}"###,
        Value::Array(added),
        Value::from(unk),
    );
    tokenizer_json::load(json.as_bytes(), FILE, side)
}

const FILE: &str = "vocab.txt";

/// Classes that are BERT's tokenizer, without `Fast`.
const CLASSES: &[&str] = &[
    "BertTokenizer",
    "ConvBertTokenizer",
    "DPRContextEncoderTokenizer",
    "DPRQuestionEncoderTokenizer",
    "DPRReaderTokenizer",
    "DistilBertTokenizer",
    "ElectraTokenizer",
    "LayoutLMTokenizer",
    "LxmertTokenizer",
    "MobileBertTokenizer",
    "PreTrainedTokenizer",
    "RetriBertTokenizer",
    "SqueezeBertTokenizer",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::tokenizer_json::tests::{agrees, cases, engine, files, shared};
    use crate::formats::{Content, Files};
    use crate::{Special, SpecialText};

    #[test]
    fn bert_encodes_as_bert_word_piece_tokenizer_does() {
        if shared().is_none() {
            return;
        }
        for (name, expected) in [
            ("bert-base-uncased", "bert-base-uncased.wordpiece"),
            ("all-minilm-l6-v2", "all-minilm-l6-v2.json"),
        ] {
            let files = files(name);
            let bytes = files.open("vocab.txt").unwrap().unwrap();
            let tokenizer = load_vocab_txt(&bytes, &SideFiles::read(&files)).unwrap();
            println!("{name}: {}", engine(&tokenizer));
            for case in cases(expected) {
                agrees(&tokenizer, &case);
            }
        }
    }

    fn load(text: &str, config: &str) -> Result<Tokenizer, FormatError> {
        let mut files = Files::default();
        files.insert("tokenizer_config.json", Content::Bytes(config.as_bytes().into()));
        load_vocab_txt(&text.as_bytes().into(), &SideFiles::read(&files))
    }

    const TINY: &str = "[PAD]\r\n[UNK]\n[CLS]\n[SEP]\nHe\nhe\n##llo\n!\n\u{e9}\ne\n";

    #[test]
    fn case_and_accents_follow_the_configuration() {
        let lower = load(TINY, "{}").unwrap();
        assert_eq!(lower.encode("Hello \u{c9}!", Special::Add).unwrap(), [2, 5, 6, 9, 7, 3]);
        let cased = load(TINY, r#"{"do_lower_case": false}"#).unwrap();
        assert_eq!(cased.encode("Hello \u{e9}x", Special::Ignore).unwrap(), [4, 6, 1]);
        let accents = load(TINY, r#"{"strip_accents": false}"#).unwrap();
        assert_eq!(accents.encode("\u{c9}", Special::Ignore).unwrap(), [8]);
        assert_eq!(lower.decode(&[2, 5, 6, 7, 3], SpecialText::Skip).unwrap(), "hello!");
    }

    #[test]
    fn a_vocabulary_without_frame_or_of_another_class_is_refused() {
        let error = load("a\nb\n", "{}").unwrap_err().to_string();
        assert!(error.contains("the token \"[SEP]\""), "{error}");
        let error = load(TINY, r#"{"tokenizer_class": "BertJapaneseTokenizer"}"#).unwrap_err().to_string();
        assert!(error.contains("\"BertJapaneseTokenizer\""), "{error}");
    }
}
