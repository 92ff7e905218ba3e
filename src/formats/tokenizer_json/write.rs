//! A tokenizer as a `tokenizer.json`, for programs that want one.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::read::{spelled, utf8_bytes};
use super::{FILE, load};
use crate::formats::side_files::SideFiles;
use crate::model::live::compiled;
use crate::semantics::tokenizers::Wrapped;
use crate::semantics::{Pipeline, llama_cpp, tiktoken};
use crate::split::{PreKind, Split};
use crate::tokenizer::Tokenizer;
use crate::vocabulary::{NONE, Vocabulary, attribute};

/// Why a tokenizer cannot be written as a `tokenizer.json`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerJsonError {
    /// No component of the format does what the tokenizer does.
    #[error("a tokenizer.json has no component for this tokenizer: {what}")]
    Component {
        /// What the tokenizer does.
        what: String,
    },
    /// A token or a merge does not go into the format.
    #[error("a tokenizer.json cannot hold this vocabulary: {what}")]
    Vocabulary {
        /// Which token or merge, and why.
        what: String,
    },
    /// What was written reads as another tokenizer.
    #[error("expected a tokenizer.json that reads as the tokenizer it was made from, found another: {what}")]
    ReadsOtherwise {
        /// What differs.
        what: String,
    },
}

impl Tokenizer {
    /// This tokenizer as a `tokenizer.json` for the `tokenizers` library, whose ids are the same.
    ///
    /// - From a `tokenizer.json`, or the files it grew out of: the description as it was read, and the vocabulary.
    /// - From a GGUF: byte-level BPE under a split that is one pattern (GPT-2, Llama 3, Qwen 2 and 3, GPT-4o, Tekken and their kin), and
    ///   SentencePiece BPE. From tiktoken ranks and `tekken.json` with such a pattern. Character classes are spelled out, so that the
    ///   reader's Unicode tables do not matter.
    /// - Merges that no text can need are left out.
    ///
    /// `Tokenizer.encode(text, add_special_tokens=True)` there is [`Special::AddAndParse`](crate::Special::AddAndParse) here: that library
    /// always recognises special tokens in a text. Two texts, of which these sources say nothing, are each framed as one is.
    ///
    /// Tens to hundreds of milliseconds: what is written is read again, and held against this tokenizer.
    ///
    /// # Errors
    ///
    /// Something of the tokenizer cannot be said in the format: the error says what. Nothing is approximated.
    ///
    /// ```
    /// use anytok::{Resolver, Special, Tokenizer};
    ///
    /// let found = Resolver::default().resolve("testdata/models/llama-bpe.gguf")?;
    /// let json = found.tokenizer().to_tokenizer_json()?;
    /// let again = Tokenizer::from_files([("tokenizer.json", json.into_bytes())])?;
    /// let text = "Hello, world!";
    /// assert_eq!(again.encode(text, Special::Add)?, found.tokenizer().encode(text, Special::AddAndParse)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_tokenizer_json(&self) -> Result<String, TokenizerJsonError> {
        let recipe = self.recipe();
        let kept =
            || std::str::from_utf8(self.description()).map_err(|error| no_component(error.to_string()));
        let description = match &recipe.pipeline {
            Pipeline::Crate(wrapped) => return of_crate(wrapped, kept()?),
            Pipeline::Tokenizers(_) => Cow::Borrowed(kept()?),
            Pipeline::Llama(llama) => Cow::Owned(of_llama_cpp(self, llama)?),
            Pipeline::Tiktoken(tiktoken) => Cow::Owned(of_tiktoken(self, tiktoken)?),
            Pipeline::SentencePiece(_) => {
                return Err(no_component(
                    "sentencepiece normalizes a text as a whole, special pieces in it included",
                ));
            }
            Pipeline::Rwkv => {
                return Err(no_component("RWKV takes the longest token that fits, again and again"));
            }
            Pipeline::Bytes => return Err(no_component("each byte is an id")),
        };
        let written = write(self, &description)?;
        let again = load(written.as_bytes(), FILE, &SideFiles::default())
            .map_err(|error| TokenizerJsonError::ReadsOtherwise { what: error.to_string() })?;
        match difference(self, &again) {
            None => Ok(written),
            Some(what) => Err(TokenizerJsonError::ReadsOtherwise { what }),
        }
    }
}

fn no_component(what: impl Into<String>) -> TokenizerJsonError {
    TokenizerJsonError::Component { what: what.into() }
}

fn unfit(what: impl Into<String>) -> TokenizerJsonError {
    TokenizerJsonError::Vocabulary { what: what.into() }
}

/// All sections but the tokens and merges.
#[derive(Deserialize)]
struct Description<'d> {
    #[serde(borrow)]
    truncation: Option<&'d RawValue>,
    #[serde(borrow)]
    padding: Option<&'d RawValue>,
    #[serde(borrow)]
    normalizer: Option<&'d RawValue>,
    #[serde(borrow)]
    pre_tokenizer: Option<&'d RawValue>,
    #[serde(borrow)]
    post_processor: Option<&'d RawValue>,
    #[serde(borrow)]
    decoder: Option<&'d RawValue>,
    /// Without `vocab` and `merges`.
    model: serde_json::Map<String, Value>,
}

fn write(tokenizer: &Tokenizer, description: &str) -> Result<String, TokenizerJsonError> {
    let vocabulary = tokenizer.vocabulary();
    let description: Description<'_> =
        serde_json::from_str(description).map_err(|error| no_component(error.to_string()))?;
    let kind = description.model.get("type").and_then(Value::as_str).unwrap_or("BPE").to_owned();
    let mut out = String::from("{\"version\":\"1.0\"");
    let mut section = |name: &str, raw: Option<&RawValue>| {
        out.push_str(&format!(",\n\"{name}\":{}", raw.map_or("null", RawValue::get)));
    };
    section("truncation", description.truncation);
    section("padding", description.padding);
    section("normalizer", description.normalizer);
    section("pre_tokenizer", description.pre_tokenizer);
    section("post_processor", description.post_processor);
    section("decoder", description.decoder);

    let specials = tokenizer.specials();
    let mut is_special = vec![false; vocabulary.len as usize];
    for ordinal in 0..specials.len() {
        if let Some(is) = is_special.get_mut(specials.entry(ordinal).0 as usize) {
            *is = true;
        }
    }
    let (mut added, mut own) = (Vec::new(), Vec::new());
    for id in 0..vocabulary.len {
        let attributes = vocabulary.attributes(id);
        if attributes & attribute::HOLE != 0 {
            continue;
        }
        let text = text(vocabulary, id)?;
        let is_added = is_special[id as usize];
        if is_added {
            let is = |bit: u16| attributes & bit != 0;
            added.push(json!({
                "id": id,
                "content": text,
                "single_word": is(attribute::SINGLE_WORD),
                "lstrip": is(attribute::LSTRIP),
                "rstrip": is(attribute::RSTRIP),
                "normalized": is(attribute::NORMALIZED),
                "special": is(attribute::CONTROL),
            }));
        }
        own.push((id, text));
    }
    // The last ids are of tokens that the model need not know. Of the others it may: the text of a special token never comes to it.
    let added_alone = |id: u32| is_special[id as usize] && vocabulary.attributes(id) & attribute::RAW != 0;
    while is_exact(tokenizer) && own.pop_if(|&mut (id, _)| added_alone(id)).is_some() {}
    out.push_str(",\n\"added_tokens\":");
    out.push_str(&lines(added.iter().map(Value::to_string), ['[', ']']));

    let model = Value::Object(description.model).to_string();
    out.push_str(",\n\"model\":");
    out.push_str(model.strip_suffix('}').unwrap_or(&model));
    let scored = kind == "Unigram";
    let entries = own.iter().enumerate().map(|(place, (id, text))| {
        let text = Value::from(text.as_str());
        if !scored {
            return Ok(format!("{text}:{id}"));
        }
        if place as u32 != *id {
            return Err(unfit(format!("the id {id} comes after ids that are no tokens")));
        }
        let score = vocabulary.wide_scores.get(*id as usize).copied().and_then(spelled);
        let score = score.ok_or_else(|| unfit(format!("the score of {text} has no spelling")))?;
        Ok(format!("[{text},{score}]"))
    });
    let entries: Vec<String> = entries.collect::<Result<_, _>>()?;
    out.push_str(",\n\"vocab\":");
    out.push_str(&lines(entries.into_iter(), if scored { ['[', ']'] } else { ['{', '}'] }));
    if kind == "BPE" {
        let mut merges = Vec::new();
        for (left, right, _) in merges_in_order(tokenizer)? {
            merges.push(json!([text(vocabulary, left)?, text(vocabulary, right)?]).to_string());
        }
        out.push_str(",\n\"merges\":");
        out.push_str(&lines(merges.into_iter(), ['[', ']']));
    }
    out.push_str("}}\n");
    Ok(out)
}

/// One entry a line.
fn lines(entries: impl Iterator<Item = String>, [open, close]: [char; 2]) -> String {
    let mut out = String::from(open);
    for (i, entry) in entries.enumerate() {
        out.push_str(if i == 0 { "\n" } else { ",\n" });
        out.push_str(&entry);
    }
    out.push(close);
    out
}

fn text(vocabulary: &Vocabulary, id: u32) -> Result<String, TokenizerJsonError> {
    let text = vocabulary
        .text(id)
        .ok_or_else(|| unfit(format!("a merge makes a text that is no token (symbol {id})")))?;
    let text = String::from_utf8(text.into_owned());
    text.map_err(|_| unfit(format!("the token {id} is no text in UTF-8")))
}

/// What merges into what, the first one first.
fn merges_in_order(tokenizer: &Tokenizer) -> Result<Vec<(u32, u32, u32)>, TokenizerJsonError> {
    tokenizer.compile();
    let vocabulary = tokenizer.vocabulary();
    let pairs = if vocabulary.merges.is_empty() { vocabulary.compiled.pairs() } else { compiled(vocabulary) };
    let Some(pairs) = pairs else { return Ok(Vec::new()) };
    let mut merges: Vec<_> = pairs.iter().collect();
    merges.sort_unstable_by_key(|&(.., place)| place);
    let rank = |place: u32| pairs.borrow().rank(place);
    let equal = merges.windows(2).find(|pair| rank(pair[0].2) == rank(pair[1].2));
    if let Some([first, second]) = equal {
        let [first, second] = [first, second].map(|merge| text(vocabulary, pairs.product(merge.2)));
        return Err(unfit(format!(
            "{:?} and {:?} have the same score, and the left one merges first; merges of a tokenizer.json have an order",
            first?, second?
        )));
    }
    Ok(merges.into_iter().map(|(left, right, place)| (left, right, pairs.product(place))).collect())
}

/// What the `tokenizers` crate writes, with the sections as they were read.
fn of_crate(wrapped: &Wrapped, description: &str) -> Result<String, TokenizerJsonError> {
    #[derive(Deserialize)]
    struct Kept<'k> {
        #[serde(borrow)]
        added_tokens: &'k RawValue,
        #[serde(borrow)]
        model: &'k RawValue,
    }
    let otherwise = |what: String| TokenizerJsonError::ReadsOtherwise { what };
    let written = wrapped.to_json().map_err(|error| otherwise(error.to_string()))?;
    let kept: Kept<'_> = serde_json::from_str(&written).map_err(|error| otherwise(error.to_string()))?;
    let sections: serde_json::Map<String, Value> =
        serde_json::from_str(description).map_err(|error| no_component(error.to_string()))?;
    let mut out = String::from("{\"version\":\"1.0\"");
    for (name, section) in sections.iter().filter(|(name, _)| *name != "model") {
        out.push_str(&format!(",\n\"{name}\":{section}"));
    }
    let Kept { added_tokens, model } = kept;
    out.push_str(&format!(",\n\"added_tokens\":{added_tokens},\n\"model\":{model}}}\n"));
    Ok(out)
}

fn of_llama_cpp(tokenizer: &Tokenizer, llama: &llama_cpp::Recipe) -> Result<String, TokenizerJsonError> {
    let vocabulary = tokenizer.vocabulary();
    let (sections, model) = match &llama.model {
        llama_cpp::Model::Bpe(bpe) => {
            if !bpe.byte_encode
                || !matches!(bpe.cut, llama_cpp::TextCut::None)
                || bpe.metaspace_first
                || llama.escape_whitespaces
            {
                return Err(no_component("llama.cpp's BPE over characters"));
            }
            if !matches!(bpe.kind, PreKind::Other | PreKind::Flint | PreKind::KimiK2) {
                return Err(no_component(format!(
                    "llama.cpp treats its pre-tokenizer `{}` in its own way",
                    bpe.split.name()
                )));
            }
            let model = json!({"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": bpe.ignore_merges});
            (byte_level(&bpe.split)?, model)
        }
        llama_cpp::Model::Spm => {
            if vocabulary.bytes.contains(&NONE) {
                return Err(unfit("some byte has no token such as <0x0A>"));
            }
            let mut normalizers = Vec::new();
            if llama.add_space_prefix {
                normalizers.push(json!({"type": "Prepend", "prepend": "▁"}));
            }
            normalizers.push(json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"}));
            let mut decoders = vec![
                json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
                json!({"type": "ByteFallback"}),
                json!({"type": "Fuse"}),
            ];
            if llama.add_space_prefix {
                decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
            }
            let unk = tokenizer.special_tokens().unk.map(|id| text(vocabulary, id)).transpose()?;
            let model = json!({"type": "BPE", "dropout": null, "unk_token": unk, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false});
            let sections = json!({
                "normalizer": {"type": "Sequence", "normalizers": normalizers},
                "pre_tokenizer": null,
                "decoder": {"type": "Sequence", "decoders": decoders},
            });
            (sections, model)
        }
        llama_cpp::Model::WordPiece(_) => {
            return Err(no_component(
                "llama.cpp's WordPiece, which drops marks and control characters by rules of its own",
            ));
        }
        llama_cpp::Model::Unigram(_) => {
            return Err(no_component("llama.cpp's Unigram, which adds scores in another precision"));
        }
        llama_cpp::Model::Rwkv => {
            return Err(no_component("RWKV takes the longest token that fits, again and again"));
        }
        llama_cpp::Model::Plamo(_) => return Err(no_component("PLaMo's cheapest sequence of pieces")),
    };
    if let Some(id) = (0..vocabulary.len)
        .find(|&id| vocabulary.attributes(id) & (attribute::LSTRIP | attribute::RSTRIP) != 0)
    {
        let token = text(vocabulary, id)?;
        return Err(no_component(format!(
            "{token:?} takes away the ASCII white space beside it, and no other"
        )));
    }
    longest_first(tokenizer)?;
    described(tokenizer, sections, &model)
}

fn of_tiktoken(tokenizer: &Tokenizer, tiktoken: &tiktoken::Recipe) -> Result<String, TokenizerJsonError> {
    let model = json!({"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": true});
    let vocabulary = tokenizer.vocabulary();
    let has_token =
        |byte: &usize| vocabulary.byte_symbols.get(*byte).is_some_and(|&symbol| symbol < vocabulary.len);
    if let Some(missing) = utf8_bytes().find(|byte| !has_token(byte)) {
        return Err(unfit(format!(
            "the byte {missing:#04x} has no token, so that a text with it is an error"
        )));
    }
    described(tokenizer, byte_level(&tiktoken.split)?, &model)
}

/// The sections of byte-level BPE under a split.
fn byte_level(split: &Split) -> Result<Value, TokenizerJsonError> {
    let pattern = split.spelled().ok_or_else(|| {
        no_component(format!("the split `{}` is not one of the patterns that are spelled here", split.name()))
    })?;
    let byte_level =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false});
    Ok(json!({
        "normalizer": null,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false},
            byte_level,
        ]},
        "decoder": byte_level,
    }))
}

/// The whole description: the sections given, and ids around a text.
fn described(
    tokenizer: &Tokenizer,
    mut sections: Value,
    model: &Value,
) -> Result<String, TokenizerJsonError> {
    let (before, after) = tokenizer.frame().map_err(|error| no_component(error.to_string()))?;
    if !before.is_empty() || !after.is_empty() {
        let mut special = serde_json::Map::new();
        for &id in before.iter().chain(&after) {
            let text = text(tokenizer.vocabulary(), id)?;
            special.insert(text.clone(), json!({"id": text, "ids": [id], "tokens": [text]}));
        }
        let framed = |sequence: &str, type_id: u32| -> Result<Vec<Value>, TokenizerJsonError> {
            let token = |&id: &u32| {
                Ok(json!({"SpecialToken": {"id": text(tokenizer.vocabulary(), id)?, "type_id": type_id}}))
            };
            let mut pieces: Vec<Value> = before.iter().map(token).collect::<Result<_, _>>()?;
            pieces.push(json!({"Sequence": {"id": sequence, "type_id": type_id}}));
            let ending: Vec<Value> = after.iter().map(token).collect::<Result<_, _>>()?;
            pieces.extend(ending);
            Ok(pieces)
        };
        let single = framed("A", 0)?;
        let pair = [single.clone(), framed("B", 1)?].concat();
        sections["post_processor"] =
            json!({"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special});
    }
    sections["model"] = model.clone();
    Ok(sections.to_string())
}

/// llama.cpp looks for the longest special token in the whole text first, `tokenizers` for the leftmost: an error where two can overlap so
/// that the answers differ.
fn longest_first(tokenizer: &Tokenizer) -> Result<(), TokenizerJsonError> {
    let specials = tokenizer.specials();
    let texts: Vec<&[u8]> = (0..specials.len()).map(|ordinal| specials.entry(ordinal).1).collect();
    for right in &texts {
        let overlapping = |left: &&&[u8]| {
            left.len() <= right.len()
                && (1..left.len())
                    .any(|from| right.starts_with(&left[from..]) && left[from..].len() < right.len())
                && *left != right
        };
        if let Some(left) = texts.iter().find(overlapping) {
            let [left, right] = [left, right].map(|text| String::from_utf8_lossy(text));
            return Err(no_component(format!(
                "llama.cpp prefers the special token {right:?} to an overlapping {left:?} before it"
            )));
        }
    }
    Ok(())
}

/// Whether all of the tokenizer is what a `tokenizer.json` says, not its ids alone.
fn is_exact(tokenizer: &Tokenizer) -> bool {
    matches!(tokenizer.recipe().pipeline, Pipeline::Tokenizers(_))
}

/// What is not the same in a tokenizer that was read from what the other was written as.
fn difference(written: &Tokenizer, read: &Tokenizer) -> Option<String> {
    let (ours, theirs) = (written.vocabulary(), read.vocabulary());
    if ours.len != theirs.len {
        return Some(format!("{} ids, not {}", theirs.len, ours.len));
    }
    let (specials, again) = (written.specials(), read.specials());
    let same = (specials.ids.as_bytes(), specials.arena.as_bytes())
        == (again.ids.as_bytes(), again.arena.as_bytes());
    if !same {
        return Some("the special tokens".to_owned());
    }
    let exact = is_exact(written);
    for id in 0..ours.len {
        if ours.text(id) != theirs.text(id) {
            return Some(format!("the text of token {id}"));
        }
        if exact && (ours.piece(id), ours.attributes(id)) != (theirs.piece(id), theirs.attributes(id)) {
            return Some(format!("what token {id} is"));
        }
    }
    if exact {
        let pipeline = |tokenizer: &Tokenizer| serde_json::to_string(&tokenizer.recipe().pipeline).ok();
        if pipeline(written) != pipeline(read) {
            return Some("the pipeline".to_owned());
        }
        if ours.wide_scores.as_bytes() != theirs.wide_scores.as_bytes() {
            return Some("the scores".to_owned());
        }
    }
    if written.frame().ok() != read.frame().ok() {
        return Some("what goes around a text".to_owned());
    }
    let by_merges = |tokenizer: &Tokenizer| merges_in_order(tokenizer).ok();
    (by_merges(written) != by_merges(read)).then(|| "the merges".to_owned())
}
