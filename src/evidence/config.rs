//! What the small files beside a model say of it: `config.json` and its like, and the front matter of `README.md`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Facts from the files in the model's own directories. Absent files and fields are `None` or empty.
#[derive(Debug, Default)]
pub(super) struct Config {
    pub(super) vocab_size: Option<u64>,
    pub(super) model_type: Option<String>,
    pub(super) architecture: Option<String>,
    /// Name without `_token_id`, and id; several for an `eos` that is a list.
    pub(super) special_ids: Vec<(&'static str, u32)>,
    pub(super) name_or_path: Option<String>,
    pub(super) tokenizer_name_or_path: Option<String>,
    pub(super) adapter_base: Option<String>,
    pub(super) front_matter: FrontMatter,
    /// Files that are there and cannot be used, in words for a person.
    pub(super) notes: Vec<String>,
}

impl Config {
    /// Reads the files in the first of `directories` that has them, each on its own.
    pub(super) fn read(directories: &[PathBuf]) -> Self {
        let mut config = Self::default();
        let mut notes = Vec::new();
        if let Some(file) = json(directories, "config.json", &mut notes) {
            // Multimodal models describe their language part apart.
            let part = |name: &str| file.object(name);
            let places = [Some(&file), part("text_config"), part("llm_config"), part("language_config")]
                .into_iter()
                .flatten();
            let nested = part("thinker_config").and_then(|thinker| thinker.object("text_config"));
            let places: Vec<&Object> = places.chain(nested).collect();
            config.vocab_size = places.iter().find_map(|place| place.integer("vocab_size"));
            config.model_type = file.text("model_type");
            config.architecture = file.texts("architectures").into_iter().next();
            config.name_or_path = file.text("_name_or_path");
            for (key, name) in SPECIAL_IDS {
                let ids = places.iter().map(|place| place.ids(key)).find(|ids| !ids.is_empty());
                config.special_ids.extend(ids.unwrap_or_default().into_iter().map(|id| (name, id)));
            }
        }
        if let Some(file) = json(directories, "generation_config.json", &mut notes) {
            for (key, name) in SPECIAL_IDS {
                for id in file.ids(key) {
                    if !config.special_ids.contains(&(name, id)) {
                        config.special_ids.push((name, id));
                    }
                }
            }
        }
        config.tokenizer_name_or_path =
            json(directories, "tokenizer_config.json", &mut notes).and_then(|file| file.text("name_or_path"));
        config.adapter_base = json(directories, "adapter_config.json", &mut notes)
            .and_then(|file| file.text("base_model_name_or_path"));
        config.front_matter = find(directories, "README.md", MAX_README, &mut notes)
            .map(|(_, bytes)| FrontMatter::parse(&String::from_utf8_lossy(&bytes)))
            .unwrap_or_default();
        config.notes = notes;
        config
    }
}

/// The YAML between the `---` lines at the head of a model card, as far as it names other models.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FrontMatter {
    /// `base_model`, a string or a list.
    pub(super) base_models: Vec<String>,
    /// `base_model_relation`: `quantized`, `finetune`, `merge`, `adapter`.
    pub(super) relation: Option<String>,
}

impl FrontMatter {
    /// Reads the small subset of YAML that cards use for these two keys: plain and quoted scalars, lists in brackets or
    /// one item a line. Anything else is skipped.
    pub(super) fn parse(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut lines = text.lines();
        if lines.next().is_none_or(|line| line.trim_end() != "---") {
            return Self::default();
        }
        let mut found = Self::default();
        let mut in_list = false;
        for line in lines.take_while(|line| line.trim_end() != "---").take(MAX_LINES) {
            if let Some(item) = line.trim_start().strip_prefix("- ").filter(|_| in_list) {
                found.base_models.extend(scalar(item));
                continue;
            }
            in_list = in_list && line.trim().is_empty();
            if let Some(value) = line.strip_prefix("base_model:") {
                let value = value.trim();
                in_list = value.is_empty() || value.starts_with('#');
                match value.strip_prefix('[').and_then(|list| list.split_once(']')) {
                    Some((list, _)) => found.base_models.extend(list.split(',').filter_map(scalar)),
                    None => found.base_models.extend(scalar(value)),
                }
            } else if let Some(value) = line.strip_prefix("base_model_relation:") {
                found.relation = scalar(value);
            }
        }
        found.base_models.truncate(MAX_ITEMS);
        found
    }
}

/// A plain or quoted scalar without its comment, if there is one.
fn scalar(text: &str) -> Option<String> {
    let text = text.trim();
    let text = match text.chars().next()? {
        quote @ ('"' | '\'') => text[1..].split(quote).next()?,
        '#' => return None,
        _ => text.split(" #").next()?.trim_end(),
    };
    (!text.is_empty()).then(|| text.to_owned())
}

/// A file beside the model, from the first directory that has it.
fn find(
    directories: &[PathBuf],
    name: &str,
    limit: u64,
    notes: &mut Vec<String>,
) -> Option<(PathBuf, Vec<u8>)> {
    let path = directories.iter().map(|directory| directory.join(name)).find(|path| path.is_file())?;
    match read(&path, limit) {
        Ok(bytes) => Some((path, bytes)),
        Err(error) => {
            notes.push(format!("cannot use {}: {error}", path.display()));
            None
        }
    }
}

fn json(directories: &[PathBuf], name: &str, notes: &mut Vec<String>) -> Option<Object> {
    let (path, bytes) = find(directories, name, MAX_JSON, notes)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    match serde_json::from_slice(bytes) {
        Ok(Field::Object(object)) => Some(object),
        Ok(_) => {
            notes.push(format!("cannot use {}: expected a JSON object", path.display()));
            None
        }
        Err(error) => {
            notes.push(format!("cannot use {}: {error}", path.display()));
            None
        }
    }
}

/// The content of the regular file at `path`, if it has at most `limit` bytes.
///
/// # Errors
/// The file cannot be read, is not a regular file, or is larger.
pub(super) fn read(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    // Asked before opening: a pipe would wait for a writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "expected a regular file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let reason = format!("expected at most {limit} bytes, found more");
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, reason));
    }
    Ok(bytes)
}

/// The fields of a JSON object that are of interest, and nothing of the others: a file of any content costs less memory
/// than its size.
#[derive(Debug)]
struct Object(BTreeMap<String, Field>);

#[derive(Debug)]
enum Field {
    Integer(u64),
    Text(String),
    List(Vec<Field>),
    Object(Object),
    Other,
}

impl Object {
    fn object(&self, key: &str) -> Option<&Object> {
        match self.0.get(key)? {
            Field::Object(object) => Some(object),
            _ => None,
        }
    }

    fn integer(&self, key: &str) -> Option<u64> {
        match self.0.get(key)? {
            Field::Integer(number) => Some(*number),
            _ => None,
        }
    }

    fn text(&self, key: &str) -> Option<String> {
        match self.0.get(key)? {
            Field::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    fn texts(&self, key: &str) -> Vec<String> {
        let Some(Field::List(list)) = self.0.get(key) else { return Vec::new() };
        let text = |field: &Field| match field {
            Field::Text(text) => Some(text.clone()),
            _ => None,
        };
        list.iter().filter_map(text).collect()
    }

    /// An id or a list of ids.
    fn ids(&self, key: &str) -> Vec<u32> {
        let id = |field: &Field| match field {
            Field::Integer(number) => u32::try_from(*number).ok(),
            _ => None,
        };
        match self.0.get(key) {
            Some(Field::List(list)) => list.iter().filter_map(id).collect(),
            Some(field) => id(field).into_iter().collect(),
            None => Vec::new(),
        }
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldVisitor;

        impl<'de> Visitor<'de> for FieldVisitor {
            type Value = Field;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_bool<E>(self, _: bool) -> Result<Field, E> {
                Ok(Field::Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Field, E> {
                Ok(Field::Other) // negative: -1 stands for "none"
            }

            fn visit_u64<E>(self, number: u64) -> Result<Field, E> {
                Ok(Field::Integer(number))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Field, E> {
                Ok(Field::Other)
            }

            fn visit_unit<E>(self) -> Result<Field, E> {
                Ok(Field::Other)
            }

            fn visit_str<E>(self, text: &str) -> Result<Field, E> {
                Ok(if text.len() <= MAX_TEXT { Field::Text(text.to_owned()) } else { Field::Other })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Field, A::Error> {
                let mut list = Vec::new();
                while list.len() < MAX_ITEMS {
                    match seq.next_element()? {
                        Some(field) => list.push(field),
                        None => return Ok(Field::List(list)),
                    }
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Field::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    if KEYS.contains(&&*key) {
                        fields.insert(key.into_owned(), map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Field::Object(Object(fields)))
            }
        }

        deserializer.deserialize_any(FieldVisitor)
    }
}

const KEYS: [&str; 15] = [
    "vocab_size",
    "model_type",
    "architectures",
    "_name_or_path",
    "name_or_path",
    "base_model_name_or_path",
    "text_config",
    "llm_config",
    "language_config",
    "thinker_config",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "unk_token_id",
    "sep_token_id",
];
const SPECIAL_IDS: [(&str, &str); 5] = [
    ("bos_token_id", "bos"),
    ("eos_token_id", "eos"),
    ("pad_token_id", "pad"),
    ("unk_token_id", "unk"),
    ("sep_token_id", "sep"),
];
const MAX_JSON: u64 = 16 << 20;
const MAX_README: u64 = 1 << 20;
const MAX_LINES: usize = 10_000;
const MAX_ITEMS: usize = 64;
const MAX_TEXT: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn read_from(files: &[(&str, &str)]) -> Config {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(directory.path().join(name), content).unwrap();
        }
        Config::read(&[directory.path().to_owned()])
    }

    #[test]
    fn ids_may_be_lists_and_parts_may_hold_the_facts() {
        let config = read_from(&[
            (
                "config.json",
                r#"{"model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"],
                    "bos_token_id": 2, "pad_token_id": null, "eos_token_id": [1, 106], "unk_token_id": -1,
                    "text_config": {"vocab_size": 262208, "layers": [[[1], {"a": 1}]]}, "x": [{"y": []}]}"#,
            ),
            ("generation_config.json", r#"{"eos_token_id": [1, 107], "bos_token_id": 2}"#),
        ]);
        assert_eq!(config.vocab_size, Some(262_208));
        assert_eq!(config.architecture.as_deref(), Some("Gemma3ForConditionalGeneration"));
        assert_eq!(config.special_ids, [("bos", 2), ("eos", 1), ("eos", 106), ("eos", 107)]);
        assert!(config.notes.is_empty(), "{:?}", config.notes);
    }

    #[test]
    fn a_damaged_file_is_noted_and_the_others_are_read() {
        let config = read_from(&[
            ("config.json", r#"{"vocab_size": 3"#),
            ("generation_config.json", "[]"),
            ("adapter_config.json", "\u{feff}{\"base_model_name_or_path\": \"o/n\"}"),
        ]);
        assert_eq!(config.vocab_size, None);
        assert_eq!(config.adapter_base.as_deref(), Some("o/n"));
        assert_eq!(config.notes.len(), 2, "{:?}", config.notes);
    }

    #[test]
    fn a_file_above_the_limit_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        std::fs::write(&path, [b' '; 11]).unwrap();
        assert_eq!(read(&path, 11).unwrap().len(), 11);
        assert_eq!(read(&path, 10).unwrap_err().kind(), std::io::ErrorKind::FileTooLarge);
    }

    #[track_caller]
    fn card(text: &str, base_models: &[&str], relation: Option<&str>) {
        let found = FrontMatter::parse(text);
        assert_eq!(found.base_models, base_models, "{text}");
        assert_eq!(found.relation.as_deref(), relation, "{text}");
    }

    #[test]
    fn front_matter_names_base_models() {
        card("---\nbase_model: o/n\n---\n", &["o/n"], None);
        card(
            "---\r\nbase_model: \"o/n\" # c\r\nbase_model_relation: quantized\r\n---",
            &["o/n"],
            Some("quantized"),
        );
        card("---\nbase_model: [o/n, 'p/q']\n---", &["o/n", "p/q"], None);
        card(
            "---\ntags:\n- x\nbase_model:\n- o/n # c\n\n  - p/q\nlicense: mit\n- z\n---",
            &["o/n", "p/q"],
            None,
        );
        card("---\nlicense: mit\n---\nbase_model: o/n\n", &[], None);
        card("# Title\n---\nbase_model: o/n\n---\n", &[], None);
        card("---\nmodel:\n  base_model: o/n\nbase_model:\n---\n", &[], None);
        card("", &[], None);
    }
}
