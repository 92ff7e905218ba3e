//! `vocab.json` with `merges.txt`: byte-level BPE from before `tokenizer.json`.
//!
//! The two say nothing of how text is normalized and cut; that follows from the tokenizer's class, as `tokenizers` and the converters of
//! `transformers` build it. What comes out is a description in the words of `tokenizer.json`, read like any other.

use std::collections::HashSet;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::FormatError;
use super::side_files::{AddedToken, SideFiles};
use super::tokenizer_json::{self, read::Entries};
use crate::mmap::Bytes;
use crate::tokenizer::Tokenizer;

/// The tokenizer that `vocab.json` and `merges.txt` make, of the kind that the side files name; without a name it is GPT-2's.
///
/// # Errors
///
/// - A file is not what it should be: no JSON object of ids, a line that is not two tokens with a space between them;
/// - the merges end early: tokens of the vocabulary are made by none;
/// - the side files name a kind that is not built of these two files, or one that is not known;
/// - those of [`tokenizer_json::load_json`].
pub(crate) fn load_vocab_merges(
    vocab: &Bytes,
    merges: &Bytes,
    side: &SideFiles,
) -> Result<Tokenizer, FormatError> {
    let kind = Kind::of(side)?;
    let malformed = |file: &str, source: Box<dyn std::error::Error + Send + Sync>| FormatError::Malformed {
        file: file.to_owned(),
        source,
    };
    let vocab = std::str::from_utf8(vocab).map_err(|error| malformed(VOCAB, error.into()))?;
    let entries: Entries = serde_json::from_str(vocab).map_err(|error| malformed(VOCAB, error.into()))?;
    // Nothing but one JSON value, so that it can stand inside another.
    let vocab: &RawValue = serde_json::from_str(vocab).map_err(|error| malformed(VOCAB, error.into()))?;
    let text = std::str::from_utf8(merges).map_err(|error| malformed(MERGES, error.into()))?;
    let lines = lines(text)?;
    complete(&entries, &lines, text.ends_with('\n'), kind, side)?;

    let id = |token: &str| entries.iter().find(|(text, _)| *text == token.as_bytes()).map(|(_, id)| id);
    let added = added_tokens(kind, side, |token| id(token).is_some());
    let description = kind.describe(side, &id)?;
    let list = serde_json::to_string(&lines).map_err(|error| malformed(MERGES, error.into()))?;
    let field = |key: &str| description.get(key).unwrap_or(&Value::Null).to_string();
    let json = format!(
        r#"{{"version":"1.0","added_tokens":{},"normalizer":{},"pre_tokenizer":{},"post_processor":{},"decoder":{},
        "model":{{"type":"BPE","unk_token":{},"end_of_word_suffix":{},"vocab":{},"merges":{list}}}}}"#,
        Value::Array(added),
        field("normalizer"),
        field("pre_tokenizer"),
        field("post_processor"),
        field("decoder"),
        field("unk_token"),
        field("end_of_word_suffix"),
        vocab.get(),
    );
    drop(lines);
    tokenizer_json::load(json.as_bytes(), "vocab.json with merges.txt", side)
}

const VOCAB: &str = "vocab.json";
const MERGES: &str = "merges.txt";

/// What a class of tokenizers makes of the two files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Gpt2,
    Roberta,
    Clip,
    Qwen2,
}

impl Kind {
    fn of(side: &SideFiles) -> Result<Self, FormatError> {
        let class = side.tokenizer_class.as_deref().map(|class| class.strip_suffix("Fast").unwrap_or(class));
        let by_class = class.filter(|class| *class != "PreTrainedTokenizer");
        if let Some(class) = by_class {
            let kinds = CLASSES.iter().find(|(_, classes)| classes.contains(&class));
            return kinds.map(|&(kind, _)| kind).ok_or_else(|| FormatError::UnsupportedModel {
                file: "tokenizer_config.json".to_owned(),
                kind: class.to_owned(),
                hint: "; a tokenizer of this class is not known to be made of vocab.json and merges.txt, a `tokenizer.json` of the \
                       same model says how it works"
                    .to_owned(),
            });
        }
        let family = side.model_type.as_deref().unwrap_or_default();
        let kind = FAMILIES.iter().find(|(_, families)| families.iter().any(|name| family.starts_with(name)));
        Ok(kind.map_or(Self::Gpt2, |&(kind, _)| kind))
    }

    /// The sections of a `tokenizer.json` that are not null.
    fn describe(self, side: &SideFiles, id: &impl Fn(&str) -> Option<u32>) -> Result<Value, FormatError> {
        let prefix_space = side.add_prefix_space.unwrap_or(false);
        let byte_level = |prefix_space: bool, regex: bool| json!({"type": "ByteLevel", "add_prefix_space": prefix_space, "trim_offsets": true, "use_regex": regex});
        let decoder = byte_level(true, true);
        let framed = |cls: &str, sep: &str| {
            let known = |token: &str| {
                id(token).ok_or_else(|| FormatError::Value {
                    file: VOCAB.to_owned(),
                    place: "special tokens".to_owned(),
                    expected: format!("the token {token:?}, which frames every text"),
                    found: "none".to_owned(),
                })
            };
            Ok(json!({
                "type": "RobertaProcessing", "sep": [sep, known(sep)?], "cls": [cls, known(cls)?], "trim_offsets": true,
                "add_prefix_space": prefix_space,
            }))
        };
        let role = |role: &Option<String>, default: &str| role.clone().unwrap_or_else(|| default.to_owned());
        Ok(match self {
            Self::Gpt2 => json!({"pre_tokenizer": byte_level(prefix_space, true), "decoder": decoder,
                "post_processor": Self::bos_template(side, id)}),
            Self::Roberta => {
                let (cls, sep) = (role(&side.roles.cls, "<s>"), role(&side.roles.sep, "</s>"));
                json!({"pre_tokenizer": byte_level(prefix_space, true), "decoder": decoder, "post_processor": framed(&cls, &sep)?})
            }
            Self::Clip => {
                let (bos, eos) =
                    (role(&side.roles.bos, "<|startoftext|>"), role(&side.roles.eos, "<|endoftext|>"));
                json!({
                    "normalizer": {"type": "Sequence", "normalizers": [
                        {"type": "NFC"},
                        {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
                        {"type": "Lowercase"},
                    ]},
                    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                        {"type": "Split", "pattern": {"Regex": CLIP}, "behavior": "Removed", "invert": true},
                        byte_level(false, true),
                    ]},
                    "post_processor": framed(&bos, &eos)?,
                    "decoder": decoder,
                    "unk_token": role(&side.roles.unk, "<|endoftext|>"),
                    "end_of_word_suffix": "</w>",
                })
            }
            Self::Qwen2 => json!({
                "normalizer": {"type": "NFC"},
                "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                    {"type": "Split", "pattern": {"Regex": QWEN2}, "behavior": "Isolated", "invert": false},
                    byte_level(prefix_space, false),
                ]},
                "decoder": decoder,
            }),
        })
    }

    /// GPT-2's own class adds BOS where the configuration asks for it.
    fn bos_template(side: &SideFiles, id: &impl Fn(&str) -> Option<u32>) -> Value {
        let bos = side.roles.bos.as_deref().filter(|_| side.add_bos == Some(true));
        let Some((bos, id)) = bos.and_then(|bos| Some((bos, id(bos)?))) else { return Value::Null };
        let (token, a, b) = (
            json!({"SpecialToken": {"id": bos, "type_id": 0}}),
            json!({"Sequence": {"id": "A", "type_id": 0}}),
            json!({"Sequence": {"id": "B", "type_id": 1}}),
        );
        json!({"type": "TemplateProcessing", "single": [token, a], "pair": [token, a, token, b],
            "special_tokens": {bos: {"id": bos, "ids": [id], "tokens": [bos]}}})
    }
}

/// Tokens beside the vocabulary: those the side files list, else those with a role that the vocabulary holds.
fn added_tokens(kind: Kind, side: &SideFiles, known: impl Fn(&str) -> bool) -> Vec<Value> {
    let entry = |token: &AddedToken| {
        let AddedToken { id, content, single_word, lstrip, rstrip, normalized, special } = token;
        json!({"id": id, "content": content, "single_word": single_word, "lstrip": lstrip, "rstrip": rstrip,
            "normalized": normalized, "special": special})
    };
    if !side.added_tokens.is_empty() {
        return side.added_tokens.iter().map(entry).collect();
    }
    let roles = &side.roles;
    let mut contents: Vec<&String> =
        [&roles.bos, &roles.eos, &roles.unk, &roles.sep, &roles.pad, &roles.cls, &roles.mask]
            .into_iter()
            .flatten()
            .chain(&roles.additional)
            .collect();
    let mut seen = HashSet::new();
    contents.retain(|content| known(content) && seen.insert(content.as_str()));
    let special = |content: &String| {
        // The mask of RoBERTa takes the space before it along.
        let lstrip = kind == Kind::Roberta && roles.mask.as_ref() == Some(content);
        entry(&AddedToken {
            content: content.clone(),
            lstrip,
            normalized: false,
            special: true,
            ..AddedToken::default()
        })
    };
    contents.into_iter().map(special).collect()
}

/// The lines of merges.txt but for its header, each two tokens.
fn lines(text: &str) -> Result<Vec<&str>, FormatError> {
    let mut lines = Vec::new();
    for (i, line) in text.lines().enumerate() {
        if line.starts_with("#version") {
            continue;
        }
        if line.split(' ').count() != 2 || line.starts_with(' ') || line.ends_with(' ') {
            let last = text.lines().count() == i + 1;
            let cut = if last {
                "; it is the last line, so the file has probably been cut off: fetch it again"
            } else {
                ""
            };
            return Err(FormatError::Value {
                file: MERGES.to_owned(),
                place: format!("line {}", i + 1),
                expected: "two tokens with one space between them".to_owned(),
                found: format!("{line:?}{cut}"),
            });
        }
        lines.push(line);
    }
    Ok(lines)
}

/// An error if the merges end early: every token of more than one character is made by a merge, but for those added by hand.
fn complete(
    entries: &Entries,
    lines: &[&str],
    terminated: bool,
    kind: Kind,
    side: &SideFiles,
) -> Result<(), FormatError> {
    let made: HashSet<String> = lines.iter().map(|line| line.replace(' ', "")).collect();
    let added = |text: &str| {
        text.starts_with(['<', '[']) && text.ends_with(['>', ']'])
            || text.starts_with("madeupword")
            || side.roles.contains(text)
            || side.added_tokens.iter().any(|token| token.content == text)
    };
    let single = |text: &str| {
        let text = if kind == Kind::Clip { text.strip_suffix("</w>").unwrap_or(text) } else { text };
        text.chars().count() <= 1
    };
    let (mut missing, mut example) = (0, None);
    for (text, _) in entries.iter() {
        let text = String::from_utf8_lossy(text);
        if !single(&text) && !made.contains(&*text) && !added(&text) {
            missing += 1;
            example.get_or_insert(text);
        }
    }
    // A few tokens that no merge makes are found in good files too, but not in one whose last line has no end.
    let tolerated = if terminated { entries.iter().count() / 100 } else { 0 };
    match example {
        Some(example) if missing > tolerated => Err(FormatError::Value {
            file: MERGES.to_owned(),
            place: format!("after line {}", lines.len()),
            expected: format!("a merge for each token of {VOCAB}"),
            found: format!(
                "none for {missing} of them, such as {example:?}; the file has been cut off: fetch it again"
            ),
        }),
        _ => Ok(()),
    }
}

/// Classes by the tokenizer they are, without `Fast`.
const CLASSES: &[(Kind, &[&str])] = &[
    (
        Kind::Gpt2,
        &["GPT2Tokenizer", "CodeGenTokenizer", "WhisperTokenizer", "GPTNeoTokenizer", "OPTTokenizer"],
    ),
    (
        Kind::Roberta,
        &["RobertaTokenizer", "BartTokenizer", "LongformerTokenizer", "LEDTokenizer", "MvpTokenizer"],
    ),
    (Kind::Clip, &["CLIPTokenizer"]),
    (Kind::Qwen2, &["Qwen2Tokenizer", "Qwen3Tokenizer", "Qwen2VLTokenizer"]),
];

/// `model_type`s by the tokenizer they use, where no class is named.
const FAMILIES: &[(Kind, &[&str])] = &[
    (Kind::Roberta, &["roberta", "bart", "longformer", "led", "mvp"]),
    (Kind::Clip, &["clip"]),
    (Kind::Qwen2, &["qwen2", "qwen3"]),
];

const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const CLIP: &str = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::tokenizer_json::tests::{agrees, cases, engine, files, shared};
    use crate::formats::{Content, Files};
    use crate::{Special, SpecialText};

    const TINY_VOCAB: &str =
        r#"{"<|endoftext|>": 261, "ab": 256, "abc": 257, "Ġa": 258, "Ġab": 259, "bc": 260"#;
    const TINY_MERGES: &str = "#version: 0.2\na b\nab c\nĠ a\nĠ ab\nb c\n";

    fn tiny() -> String {
        let mut vocab = TINY_VOCAB.to_owned();
        for byte in 0..=255 {
            let text = serde_json::to_string(&crate::unicode::byte_to_char(byte).to_string()).unwrap();
            vocab = vocab + ", " + &text + ": " + &byte.to_string();
        }
        vocab + "}"
    }

    fn load(vocab: &str, merges: &str, side: &[(&str, &str)]) -> Result<Tokenizer, FormatError> {
        let mut files = Files::default();
        for &(name, text) in side {
            files.insert(name, Content::Bytes(text.as_bytes().into()));
        }
        load_vocab_merges(&vocab.as_bytes().into(), &merges.as_bytes().into(), &SideFiles::read(&files))
    }

    #[test]
    fn gpt2_encodes_as_byte_level_bpe_tokenizer_does() {
        if shared().is_none() {
            return;
        }
        let files = files("gpt2");
        let open = |name: &str| files.open(name).unwrap().unwrap();
        let tokenizer =
            load_vocab_merges(&open("vocab.json"), &open("merges.txt"), &SideFiles::read(&files)).unwrap();
        println!("gpt2: {}", engine(&tokenizer));
        for case in cases("gpt2.bpe") {
            agrees(&tokenizer, &case);
        }
    }

    #[test]
    fn a_role_makes_a_special_token() {
        let text = "ab abc<|endoftext|>";
        let plain = load(&tiny(), TINY_MERGES, &[]).unwrap();
        assert_eq!(plain.encode(text, Special::Ignore).unwrap()[..3], [256, 32, 257]);
        let config = r#"{"tokenizer_class": "GPT2Tokenizer", "eos_token": "<|endoftext|>", "bos_token": "<|endoftext|>", "add_bos_token": true}"#;
        let named = load(&tiny(), TINY_MERGES, &[("tokenizer_config.json", config)]).unwrap();
        assert_eq!(named.encode(text, Special::Add).unwrap(), [261, 256, 32, 257, 261]);
        assert_eq!(named.decode(&[261, 256, 32, 257], SpecialText::Skip).unwrap(), "ab abc");
        assert_eq!((named.special_tokens().eos, named.add_bos()), (Some(261), true));
    }

    #[track_caller]
    fn fails(result: Result<Tokenizer, FormatError>, message: &str) {
        assert_eq!(result.unwrap_err().to_string(), message);
    }

    #[test]
    fn a_cut_merges_file_is_an_error_that_says_so() {
        fails(
            load(&tiny(), &TINY_MERGES[..TINY_MERGES.len() - 2], &[]),
            "expected two tokens with one space between them in merges.txt (line 6), found \"b \"; it is the last line, so the file \
             has probably been cut off: fetch it again",
        );
        fails(
            load(&tiny(), &TINY_MERGES[..TINY_MERGES.len() - 5], &[]),
            "expected a merge for each token of vocab.json in merges.txt (after line 4), found none for 1 of them, such as \"bc\"; \
             the file has been cut off: fetch it again",
        );
        for cut in 0..TINY_MERGES.len() - 1 {
            // At the end of a whole line, one token of 262 may be missing.
            let text = TINY_MERGES.get(..cut).filter(|text| !text.ends_with('\n'));
            assert!(text.is_none_or(|text| load(&tiny(), text, &[]).is_err()), "{cut}");
        }
    }

    #[test]
    fn a_class_of_another_kind_is_refused() {
        let result = load(
            &tiny(),
            TINY_MERGES,
            &[("tokenizer_config.json", r#"{"tokenizer_class": "MarianTokenizer"}"#)],
        );
        assert!(result.unwrap_err().to_string().contains("\"MarianTokenizer\""));
    }

    #[test]
    fn vocab_json_cannot_smuggle_sections_in() {
        let smuggled = tiny() + r#", "merges": []"#;
        assert!(matches!(load(&smuggled, TINY_MERGES, &[]), Err(FormatError::Malformed { .. })));
    }
}
