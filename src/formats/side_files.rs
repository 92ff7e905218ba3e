//! What lies around a tokenizer: `tokenizer_config.json`, `special_tokens_map.json`, `added_tokens.json`, `generation_config.json`,
//! `config.json` and the chat templates.
//!
//! None of them makes a tokenizer, and none can break one: what cannot be read is noted and left out. Files beyond
//! [`MOST_BYTES`] are not read at all.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Files;
use crate::semantics::SpecialTokens;

/// All that the side files say, with nothing resolved to ids yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct SideFiles {
    /// Texts of special tokens by role.
    pub(crate) roles: Roles,
    pub(crate) add_bos: Option<bool>,
    pub(crate) add_eos: Option<bool>,
    pub(crate) add_prefix_space: Option<bool>,
    pub(crate) do_lower_case: Option<bool>,
    pub(crate) strip_accents: Option<bool>,
    pub(crate) tokenize_chinese_chars: Option<bool>,
    /// `tokenizer_class` of `tokenizer_config.json`, such as `LlamaTokenizerFast`; else that of `config.json`.
    pub(crate) tokenizer_class: Option<String>,
    /// `model_type` of `config.json`, such as `qwen3`.
    pub(crate) model_type: Option<String>,
    /// `vocab_size` of `config.json`: rows of the embedding, padding included.
    pub(crate) vocab_size: Option<u64>,
    /// Tokens beside the vocabulary, by ascending id. A `tokenizer.json` carries its own and has no need of these.
    pub(crate) added_tokens: Vec<AddedToken>,
    /// Name (`None` for the default one) and Jinja source.
    pub(crate) chat_templates: Vec<(Option<String>, String)>,
    /// Ids that `generation_config.json` or, where it has none, `config.json` gives.
    pub(crate) bos_id: Option<u32>,
    pub(crate) eos_ids: Vec<u32>,
    pub(crate) pad_id: Option<u32>,
    /// Which files could not be read, and why.
    pub(crate) notes: Vec<String>,
}

/// Texts of special tokens by role.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roles {
    pub(crate) bos: Option<String>,
    pub(crate) eos: Option<String>,
    pub(crate) unk: Option<String>,
    pub(crate) sep: Option<String>,
    pub(crate) pad: Option<String>,
    pub(crate) cls: Option<String>,
    pub(crate) mask: Option<String>,
    /// Special tokens without a role.
    pub(crate) additional: Vec<String>,
}

/// A token beside the vocabulary, as `tokenizers` describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the format's own flags")]
pub(crate) struct AddedToken {
    pub(crate) id: u32,
    pub(crate) content: String,
    /// Not inside a word.
    pub(crate) single_word: bool,
    /// Takes the white space on its left with it.
    pub(crate) lstrip: bool,
    /// Takes the white space on its right with it.
    pub(crate) rstrip: bool,
    /// Looked for in the normalized text, by its normalized content.
    pub(crate) normalized: bool,
    /// Left out when decoding skips special tokens.
    pub(crate) special: bool,
}

impl SideFiles {
    /// Reads what there is of them in `files`.
    pub(crate) fn read(files: &Files) -> Self {
        let mut side = Self::default();
        side.with(files, "tokenizer_config.json", Self::tokenizer_config);
        side.with(files, "special_tokens_map.json", Self::special_tokens_map);
        side.with(files, "added_tokens.json", Self::added_tokens_json);
        side.with(files, "generation_config.json", Self::generation_config);
        side.with(files, "config.json", Self::config);
        // The newer places of the default template win over the key in tokenizer_config.json, as in transformers.
        side.with(files, "chat_template.json", Self::chat_template_json);
        side.with(files, "chat_template.jinja", |side, bytes| side.chat_template_jinja(None, bytes));
        let named: Vec<String> =
            files.names().filter(|name| template_name(name).is_some()).map(str::to_owned).collect();
        for file in named {
            let name = template_name(&file).map(str::to_owned);
            side.with(files, &file, |side, bytes| side.chat_template_jinja(name, bytes));
        }
        side.added_tokens.sort_by_key(|token| token.id);
        side
    }

    /// Special ids by role, and the ids that end a generation, ascending. `id_of` finds a token by its text.
    ///
    /// A role that no file names goes to a token with one of the texts that models use for it.
    pub(crate) fn special_tokens(&self, id_of: impl Fn(&str) -> Option<u32>) -> (SpecialTokens, Vec<u32>) {
        let by_role = |role: &Option<String>| role.as_deref().and_then(&id_of);
        let by_text = |texts: &[&str]| texts.iter().find_map(|text| id_of(text));
        let mut special = SpecialTokens {
            bos: by_role(&self.roles.bos).or_else(|| by_role(&self.roles.cls)).or(self.bos_id),
            eos: by_role(&self.roles.eos).or_else(|| self.eos_ids.first().copied()),
            eot: by_text(EOT),
            eom: by_text(EOM),
            unk: by_role(&self.roles.unk),
            sep: by_role(&self.roles.sep),
            pad: by_role(&self.roles.pad).or(self.pad_id),
            mask: by_role(&self.roles.mask),
            fim_pre: by_text(FIM_PRE),
            fim_suf: by_text(FIM_SUF),
            fim_mid: by_text(FIM_MID),
            fim_pad: by_text(FIM_PAD),
            fim_rep: by_text(FIM_REP),
            fim_sep: by_text(FIM_SEP),
        };
        if special.eos.is_none() {
            special.eos = by_role(&self.roles.sep);
        }
        let mut eog = self.eos_ids.clone();
        eog.extend([special.eos, special.eot, special.eom].into_iter().flatten());
        eog.sort_unstable();
        eog.dedup();
        (special, eog)
    }

    fn with(
        &mut self,
        files: &Files,
        name: &str,
        read: impl FnOnce(&mut Self, &[u8]) -> Result<(), serde_json::Error>,
    ) {
        let bytes = match files.open(name) {
            Ok(None) => return,
            Ok(Some(bytes)) => bytes,
            Err(error) => return self.note(name, &error),
        };
        if bytes.len() > MOST_BYTES {
            return self
                .note(name, &format_args!("expected at most {MOST_BYTES} bytes, found {}", bytes.len()));
        }
        if let Err(error) = read(self, &bytes) {
            self.note(name, &error);
        }
    }

    fn note(&mut self, name: &str, why: &dyn std::fmt::Display) {
        log::warn!("{name} beside the tokenizer is left out: {why}");
        self.notes.push(format!("{name} is left out: {why}"));
    }

    fn tokenizer_config(&mut self, bytes: &[u8]) -> Result<(), serde_json::Error> {
        let keys: Keys<'_> = serde_json::from_slice(bytes)?;
        self.roles(&keys);
        self.add_bos = keys.get("add_bos_token");
        self.add_eos = keys.get("add_eos_token");
        self.add_prefix_space = keys.get("add_prefix_space");
        self.do_lower_case = keys.get("do_lower_case");
        self.strip_accents = keys.get("strip_accents");
        self.tokenize_chinese_chars = keys.get("tokenize_chinese_chars");
        self.tokenizer_class = keys.get("tokenizer_class");
        let decoder: BTreeMap<String, Token> = keys.get("added_tokens_decoder").unwrap_or_default();
        for (id, token) in decoder {
            if let (Ok(id), Token::Object(token)) = (id.parse(), token) {
                self.added_tokens.push(token.with_id(id));
            }
        }
        match keys.get::<Templates>("chat_template") {
            Some(Templates::One(source)) => self.chat_templates.push((None, source)),
            Some(Templates::Named(named)) => {
                for NamedTemplate { name, template } in named {
                    self.chat_templates.push(((name != "default").then_some(name), template));
                }
            }
            None => {}
        }
        Ok(())
    }

    fn special_tokens_map(&mut self, bytes: &[u8]) -> Result<(), serde_json::Error> {
        self.roles(&serde_json::from_slice(bytes)?);
        Ok(())
    }

    /// Takes the roles that are still open, so that `tokenizer_config.json` wins.
    fn roles(&mut self, keys: &Keys<'_>) {
        let roles = &mut self.roles;
        for (key, role) in [
            ("bos_token", &mut roles.bos),
            ("eos_token", &mut roles.eos),
            ("unk_token", &mut roles.unk),
            ("sep_token", &mut roles.sep),
            ("pad_token", &mut roles.pad),
            ("cls_token", &mut roles.cls),
            ("mask_token", &mut roles.mask),
        ] {
            if role.is_none() {
                *role = keys.get::<Token>(key).map(Token::into_content);
            }
        }
        for key in ["additional_special_tokens", "extra_special_tokens"] {
            let tokens = match keys.get::<Several>(key) {
                Some(Several::List(tokens)) => tokens,
                Some(Several::Named(named)) => named.into_values().collect(),
                None => continue,
            };
            for content in tokens.into_iter().map(Token::into_content) {
                if !roles.additional.contains(&content) {
                    roles.additional.push(content);
                }
            }
        }
    }

    /// Content → id, of tokenizers from before `added_tokens_decoder`.
    fn added_tokens_json(&mut self, bytes: &[u8]) -> Result<(), serde_json::Error> {
        let tokens: BTreeMap<String, u32> = serde_json::from_slice(bytes)?;
        let known: std::collections::BTreeSet<u32> = self.added_tokens.iter().map(|token| token.id).collect();
        for (content, id) in tokens {
            if !known.contains(&id) {
                let special = self.roles.contains(&content);
                self.added_tokens.push(AddedToken {
                    id,
                    content,
                    normalized: !special,
                    special,
                    ..AddedToken::default()
                });
            }
        }
        Ok(())
    }

    fn generation_config(&mut self, bytes: &[u8]) -> Result<(), serde_json::Error> {
        self.ids(&serde_json::from_slice(bytes)?);
        Ok(())
    }

    fn config(&mut self, bytes: &[u8]) -> Result<(), serde_json::Error> {
        let keys: Keys<'_> = serde_json::from_slice(bytes)?;
        // A model of several parts keeps what concerns its text in a section of its own.
        let text: Option<Keys<'_>> =
            ["text_config", "llm_config", "language_config"].iter().find_map(|key| keys.get(key));
        self.ids(&keys);
        self.model_type = keys.get("model_type");
        self.vocab_size = keys.get("vocab_size");
        if self.tokenizer_class.is_none() {
            self.tokenizer_class = keys.get("tokenizer_class");
        }
        if let Some(text) = text {
            self.ids(&text);
            self.vocab_size = self.vocab_size.or_else(|| text.get("vocab_size"));
            self.model_type = self.model_type.take().or_else(|| text.get("model_type"));
        }
        Ok(())
    }

    /// Takes the ids that no file before this one gave.
    fn ids(&mut self, keys: &Keys<'_>) {
        self.bos_id = self.bos_id.or_else(|| keys.get("bos_token_id"));
        self.pad_id = self.pad_id.or_else(|| keys.get("pad_token_id"));
        if self.eos_ids.is_empty() {
            self.eos_ids = match keys.get::<Ids>("eos_token_id") {
                Some(Ids::One(id)) => vec![id],
                Some(Ids::Several(ids)) => ids,
                None => Vec::new(),
            };
        }
    }

    fn chat_template_json(&mut self, bytes: &[u8]) -> Result<(), serde_json::Error> {
        let keys: Keys<'_> = serde_json::from_slice(bytes)?;
        if let Some(source) = keys.get("chat_template") {
            self.set_template(None, source);
        }
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "one signature for all files")]
    fn chat_template_jinja(&mut self, name: Option<String>, bytes: &[u8]) -> Result<(), serde_json::Error> {
        self.set_template(name, String::from_utf8_lossy(bytes).into_owned());
        Ok(())
    }

    fn set_template(&mut self, name: Option<String>, source: String) {
        match self.chat_templates.iter_mut().find(|(of, _)| *of == name) {
            Some((_, template)) => *template = source,
            None => self.chat_templates.push((name, source)),
        }
    }
}

impl Roles {
    /// Whether a token with this content is special.
    pub(crate) fn contains(&self, content: &str) -> bool {
        let roles = [&self.bos, &self.eos, &self.unk, &self.sep, &self.pad, &self.cls, &self.mask];
        roles.into_iter().flatten().chain(&self.additional).any(|text| text == content)
    }
}

impl Default for AddedToken {
    /// `tokenizers`' own defaults for a token that is not special.
    fn default() -> Self {
        Self {
            id: 0,
            content: String::new(),
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: true,
            special: false,
        }
    }
}

/// The keys of an object, each value as it stands in the file until someone asks for it: one that is not of the expected kind is as
/// good as none.
#[derive(Deserialize)]
struct Keys<'a>(#[serde(borrow)] BTreeMap<Cow<'a, str>, &'a RawValue>);

impl<'a> Keys<'a> {
    fn get<T: Deserialize<'a>>(&self, key: &str) -> Option<T> {
        let value: &'a RawValue = self.0.get(key)?;
        serde_json::from_str::<Option<T>>(value.get()).ok().flatten()
    }
}

/// A token by its content alone, or with its flags.
#[derive(Deserialize)]
#[serde(untagged)]
enum Token {
    Content(String),
    Object(TokenObject),
}

impl Token {
    fn into_content(self) -> String {
        match self {
            Self::Content(content) => content,
            Self::Object(token) => token.content,
        }
    }
}

#[derive(Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the format's own flags")]
struct TokenObject {
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    normalized: Option<bool>,
    #[serde(default)]
    special: bool,
}

impl TokenObject {
    fn with_id(self, id: u32) -> AddedToken {
        let Self { content, single_word, lstrip, rstrip, normalized, special } = self;
        AddedToken {
            id,
            content,
            single_word,
            lstrip,
            rstrip,
            normalized: normalized.unwrap_or(!special),
            special,
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Several {
    List(Vec<Token>),
    Named(BTreeMap<String, Token>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Templates {
    One(String),
    Named(Vec<NamedTemplate>),
}

#[derive(Deserialize)]
struct NamedTemplate {
    name: String,
    template: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Ids {
    One(u32),
    Several(Vec<u32>),
}

/// The name of a template in a file of its own.
fn template_name(file: &str) -> Option<&str> {
    file.strip_prefix(super::TEMPLATE_DIRECTORY)?.strip_prefix('/')?.strip_suffix(".jinja")
}

/// The largest side file seen has 1.2 MB (Gemma 3's `tokenizer_config.json`).
const MOST_BYTES: usize = 16 << 20;

// The texts by which models call these tokens, the likelier first (the lists are llama.cpp's, `llama-vocab.cpp`).
const EOT: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|eot|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "<end_of_utterance>",
];
const EOM: &[&str] = &["<|eom_id|>"];
const FIM_PRE: &[&str] = &[
    "<|fim_prefix|>",
    "<fim-prefix>",
    "<fim_prefix>",
    "<｜fim▁begin｜>",
    "<PRE>",
    "▁<PRE>",
    "<|code_prefix|>",
    "<|prefix|>",
];
const FIM_SUF: &[&str] = &[
    "<|fim_suffix|>",
    "<fim-suffix>",
    "<fim_suffix>",
    "<｜fim▁hole｜>",
    "<SUF>",
    "▁<SUF>",
    "<|code_suffix|>",
    "<|suffix|>",
];
const FIM_MID: &[&str] = &[
    "<|fim_middle|>",
    "<fim-middle>",
    "<fim_middle>",
    "<｜fim▁end｜>",
    "<MID>",
    "▁<MID>",
    "<|code_middle|>",
    "<|middle|>",
];
const FIM_PAD: &[&str] = &["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>"];
const FIM_REP: &[&str] = &["<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"];
const FIM_SEP: &[&str] = &["<|file_sep|>"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::Content;

    fn files(entries: &[(&str, &str)]) -> Files {
        let mut files = Files::default();
        for &(name, text) in entries {
            files.insert(name, Content::Bytes(text.as_bytes().into()));
        }
        files
    }

    #[test]
    fn tokenizer_config_wins_over_the_legacy_map() {
        let side = SideFiles::read(&files(&[
            (
                "tokenizer_config.json",
                r#"{"bos_token": {"content": "<s>", "lstrip": false}, "eos_token": "</s>", "add_bos_token": true, "do_lower_case": "no",
                    "model_max_length": 1000000000000000019884624838656, "unk_token": null, "chat_template": "hello",
                    "added_tokens_decoder": {"7": {"content": "<x>", "special": true, "lstrip": true}, "x": {"content": "y"}}}"#,
            ),
            (
                "special_tokens_map.json",
                r#"{"bos_token": "<other>", "unk_token": "<unk>", "additional_special_tokens": ["<a>", {"content": "<b>"}]}"#,
            ),
            ("added_tokens.json", r#"{"<x>": 7, "<a>": 8, "word": 9}"#),
        ]));
        assert_eq!(side.roles.bos.as_deref(), Some("<s>"));
        assert_eq!(side.roles.eos.as_deref(), Some("</s>"));
        assert_eq!(side.roles.unk.as_deref(), Some("<unk>"));
        assert_eq!(side.roles.additional, ["<a>", "<b>"]);
        assert_eq!((side.add_bos, side.add_eos, side.do_lower_case), (Some(true), None, None));
        assert_eq!(side.chat_templates, [(None, "hello".to_owned())]);
        let flags: Vec<_> = side
            .added_tokens
            .iter()
            .map(|t| (t.id, t.content.as_str(), t.special, t.normalized, t.lstrip))
            .collect();
        assert_eq!(
            flags,
            [(7, "<x>", true, false, true), (8, "<a>", true, false, false), (9, "word", false, true, false)]
        );
        assert!(side.notes.is_empty(), "{:?}", side.notes);
    }

    #[test]
    fn eos_may_be_a_list_and_a_section_may_hold_the_text_model() {
        let side = SideFiles::read(&files(&[
            ("generation_config.json", r#"{"eos_token_id": [5, 3], "pad_token_id": null}"#),
            (
                "config.json",
                r#"{"model_type": "m", "eos_token_id": 9, "text_config": {"vocab_size": 12, "bos_token_id": 1}}"#,
            ),
        ]));
        assert_eq!((side.bos_id, side.eos_ids.as_slice(), side.vocab_size), (Some(1), &[5, 3][..], Some(12)));
        let ids = |text: &str| match text {
            "<|im_end|>" => Some(4),
            _ => None,
        };
        let (special, eog) = side.special_tokens(ids);
        assert_eq!((special.bos, special.eos, special.eot), (Some(1), Some(5), Some(4)));
        assert_eq!(eog, [3, 4, 5]);
    }

    #[test]
    fn templates_come_from_four_places() {
        let side = SideFiles::read(&files(&[
            (
                "tokenizer_config.json",
                r#"{"chat_template": [{"name": "default", "template": "old"}, {"name": "rag", "template": "r"}]}"#,
            ),
            ("chat_template.jinja", "new"),
            ("additional_chat_templates/tool_use.jinja", "t"),
        ]));
        let expected = [(None, "new"), (Some("rag"), "r"), (Some("tool_use"), "t")];
        let found: Vec<_> =
            side.chat_templates.iter().map(|(name, source)| (name.as_deref(), source.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_broken_side_file_is_noted_and_left_out() {
        let side = SideFiles::read(&files(&[
            ("tokenizer_config.json", "{"),
            ("config.json", r#"{"vocab_size": 4}"#),
        ]));
        assert_eq!(side.vocab_size, Some(4));
        assert_eq!(side.notes.len(), 1);
        assert!(side.notes[0].starts_with("tokenizer_config.json is left out: EOF"), "{}", side.notes[0]);
    }
}
