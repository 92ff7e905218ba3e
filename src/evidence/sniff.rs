//! What a file is, by its content; by its name only where the content cannot tell.

use std::io;

use memchr::{memchr2, memmem};

use crate::gguf::Gguf;
use crate::mmap::Prefix;

/// What lies at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// A GGUF file, whole or damaged.
    Gguf,
    /// A safetensors file.
    Safetensors,
    /// The JSON index of a model in several safetensors files.
    SafetensorsIndex,
    /// An ONNX model.
    Onnx,
    /// A `PyTorch` checkpoint: a zip archive, a pickle, or the JSON index of several. Its content is never read.
    PyTorch,
    /// A file of a tokenizer.
    Tokenizer(TokenizerKind),
    /// A directory.
    Directory,
    /// The manifest of a model in an ollama store.
    OllamaManifest,
    /// A Git LFS pointer: the repository was cloned without its large files.
    GitLfsPointer,
    /// None of these. Its neighbours may still say more.
    Unknown,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Gguf => "GGUF",
            Self::Safetensors => "safetensors",
            Self::SafetensorsIndex => "safetensors index",
            Self::Onnx => "ONNX",
            Self::PyTorch => "PyTorch checkpoint",
            Self::Tokenizer(kind) => return kind.fmt(f),
            Self::Directory => "directory",
            Self::OllamaManifest => "ollama manifest",
            Self::GitLfsPointer => "Git LFS pointer",
            Self::Unknown => "unknown",
        })
    }
}

/// The formats of tokenizer files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TokenizerKind {
    /// `tokenizer.json` of the `tokenizers` library.
    TokenizerJson,
    /// `tekken.json` of Mistral.
    Tekken,
    /// A `SentencePiece` model.
    SentencePiece,
    /// Lines of a token in base64 and its rank.
    Tiktoken,
    /// `vocab.json`, a token's text to its id. Half a tokenizer: `merges.txt` is the other half.
    VocabJson,
    /// `merges.txt`, two symbols a line. Half a tokenizer: `vocab.json` is the other half.
    MergesTxt,
    /// `vocab.txt`, a `WordPiece` a line.
    VocabTxt,
    /// `rwkv_vocab_*.txt`, lines of an id, a Python literal and its length.
    RwkvVocab,
}

impl std::fmt::Display for TokenizerKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TokenizerJson => "tokenizer.json",
            Self::Tekken => "tekken.json",
            Self::SentencePiece => "SentencePiece model",
            Self::Tiktoken => "tiktoken ranks",
            Self::VocabJson => "vocab.json",
            Self::MergesTxt => "merges.txt",
            Self::VocabTxt => "vocab.txt",
            Self::RwkvVocab => "RWKV vocabulary",
        })
    }
}

/// The format of a file with this content and this name (its last component).
///
/// Reads the first 64 KiB, and all of it only for a JSON object that does not show by then what it is.
pub(crate) fn sniff(bytes: &[u8], name: &str) -> Format {
    let head = &bytes[..bytes.len().min(HEAD)];
    let name = name.to_ascii_lowercase();
    sniff_head(head, bytes.len() as u64, &name).unwrap_or_else(|| sniff_json(bytes, &name))
}

/// As [`sniff`], reading no more of the file than that takes.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn sniff_file(file: &mut Prefix, name: &str) -> io::Result<Format> {
    let name = name.to_ascii_lowercase();
    let len = file.len();
    let head = file.read(HEAD)?;
    match sniff_head(&head[..head.len().min(HEAD)], len, &name) {
        Some(format) => Ok(format),
        None => Ok(sniff_json(file.read(MAX_JSON)?, &name)),
    }
}

/// What is there in place of a file that was not downloaded, in words that say what to do; `None` for any other content.
pub(crate) fn not_downloaded(bytes: &[u8]) -> Option<String> {
    let head = &bytes[..bytes.len().min(HEAD)];
    if head.is_empty() {
        return Some("an empty file (0 bytes); download it again".into());
    }
    if head.starts_with(GIT_LFS) {
        let size = head.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"size "));
        let size = size.map_or_else(String::new, |size| {
            format!(" to {} bytes", String::from_utf8_lossy(&size[..size.len().min(20)]))
        });
        return Some(format!("a Git LFS pointer{size}; `git lfs pull` in its repository fetches the file"));
    }
    let start = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head).trim_ascii_start();
    let is_html = [&b"<!doctype html"[..], b"<html"]
        .iter()
        .any(|tag| start.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag)));
    is_html.then(|| {
        "an HTML page, as servers send it for an error or to sign in; download the file again, with a token if the repository is gated"
            .into()
    })
}

/// The format of a file of `len` bytes that begins with `head`; `None` for a JSON object that does not show it there.
fn sniff_head(head: &[u8], len: u64, name: &str) -> Option<Format> {
    if Gguf::has_magic(head) {
        return Some(Format::Gguf);
    }
    if head.starts_with(GIT_LFS) {
        return Some(Format::GitLfsPointer);
    }
    if super::safetensors::has_header(head, len) {
        return Some(Format::Safetensors);
    }
    if is_pytorch(head, name) {
        return Some(Format::PyTorch);
    }
    if is_sentencepiece(head) {
        return Some(Format::Tokenizer(TokenizerKind::SentencePiece));
    }
    if is_onnx(head) {
        return Some(Format::Onnx);
    }
    if let Some(keys) = top_level_keys(head) {
        // Which kind of index it is shows further on.
        let is_index = keys.contains(&(b"weight_map", b'{'));
        return if is_index { None } else { json(&keys, head, name) };
    }
    Some(text(head, name).or_else(|| by_name(name, head)).unwrap_or(Format::Unknown))
}

fn sniff_json(bytes: &[u8], name: &str) -> Format {
    let head = &bytes[..bytes.len().min(HEAD)];
    let of = |part| json(&top_level_keys(part)?, bytes, name);
    of(head).or_else(|| of(bytes)).or_else(|| by_name(name, head)).unwrap_or(Format::Unknown)
}

/// Decides by the keys of a JSON object and the first byte of each value.
fn json(keys: &[(&[u8], u8)], bytes: &[u8], name: &str) -> Option<Format> {
    let has = |key: &str, value: u8| keys.contains(&(key.as_bytes(), value));
    let names = |key: &str| keys.iter().any(|(name, _)| *name == key.as_bytes());
    if has("weight_map", b'{') {
        let safetensors = memmem::find(bytes, b".safetensors\"").is_some();
        return Some(if safetensors { Format::SafetensorsIndex } else { Format::PyTorch });
    }
    if names("schemaVersion") && has("layers", b'[') {
        return Some(Format::OllamaManifest);
    }
    if has("config", b'{') && has("vocab", b'[') {
        return Some(Format::Tokenizer(TokenizerKind::Tekken));
    }
    let stages = ["truncation", "normalizer", "pre_tokenizer", "post_processor", "decoder", "version"];
    if (has("model", b'{') || has("added_tokens", b'[')) && stages.iter().any(|stage| names(stage)) {
        return Some(Format::Tokenizer(TokenizerKind::TokenizerJson));
    }
    let flat = keys.len() >= 2 && keys.iter().all(|(_, value)| value.is_ascii_digit());
    // The same shape holds the tokens that were added to a vocabulary; alone they are no tokenizer.
    if flat && name != "added_tokens.json" {
        return Some(Format::Tokenizer(TokenizerKind::VocabJson));
    }
    None
}

/// Decides by the first lines of a text.
fn text(head: &[u8], name: &str) -> Option<Format> {
    if head.contains(&0) {
        return None;
    }
    let lines: Vec<&[u8]> = head
        .split(|&byte| byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.is_empty())
        .take(3)
        .collect();
    let all = |is: fn(&[u8]) -> bool| !lines.is_empty() && lines.iter().all(|line| is(line));
    if all(is_tiktoken_line) {
        return Some(Format::Tokenizer(TokenizerKind::Tiktoken));
    }
    if all(is_rwkv_line) {
        return Some(Format::Tokenizer(TokenizerKind::RwkvVocab));
    }
    if head.starts_with(b"#version:") || (name.ends_with("merges.txt") && all(is_merge_line)) {
        return Some(Format::Tokenizer(TokenizerKind::MergesTxt));
    }
    let has_line = |wanted: &[u8]| {
        head.split(|&byte| byte == b'\n').any(|line| line.strip_suffix(b"\r").unwrap_or(line) == wanted)
    };
    if !lines.is_empty() && (name == "vocab.txt" || (has_line(b"[UNK]") && has_line(b"[CLS]"))) {
        return Some(Format::Tokenizer(TokenizerKind::VocabTxt));
    }
    None
}

/// Where the content does not tell: a name that tools agree on. What such a file holds is then for its reader to refuse.
fn by_name(name: &str, head: &[u8]) -> Option<Format> {
    if head.is_empty() {
        return None;
    }
    kind_by_name(name).map(Format::Tokenizer)
}

/// The kind of tokenizer file that a lower-case name promises.
pub(crate) fn kind_by_name(name: &str) -> Option<TokenizerKind> {
    let has_extension =
        |extension: &str| name.strip_suffix(extension).is_some_and(|stem| stem.ends_with('.'));
    Some(match name {
        "tokenizer.json" => TokenizerKind::TokenizerJson,
        "tekken.json" => TokenizerKind::Tekken,
        "vocab.json" => TokenizerKind::VocabJson,
        "merges.txt" => TokenizerKind::MergesTxt,
        "vocab.txt" => TokenizerKind::VocabTxt,
        "tiktoken.model" => TokenizerKind::Tiktoken,
        _ if has_extension("tiktoken") => TokenizerKind::Tiktoken,
        _ if has_extension("model") || name.starts_with("tokenizer.model.v") => TokenizerKind::SentencePiece,
        _ if name.starts_with("rwkv_vocab") && has_extension("txt") => TokenizerKind::RwkvVocab,
        _ => return None,
    })
}

fn is_pytorch(head: &[u8], name: &str) -> bool {
    if head.starts_with(b"PK\x03\x04") {
        let start = &head[..head.len().min(512)];
        let named = [".bin", ".pt", ".pth", ".ckpt"].iter().any(|extension| name.ends_with(extension));
        return named || memmem::find(start, b"data.pkl").is_some();
    }
    matches!(head, [0x80, 2..=5, ..])
}

/// `ModelProto` of `SentencePiece` begins with its pieces: field 1, a message whose field 1 is the text, followed by a score
/// (field 2, a float) or a type (field 3, a varint).
fn is_sentencepiece(head: &[u8]) -> bool {
    let piece = || -> Option<bool> {
        let (message, _) = length_delimited(head.strip_prefix(&[0x0a])?)?;
        let (_, after) = length_delimited(message.strip_prefix(&[0x0a])?)?;
        Some(matches!(after, [] | [0x15, _, _, _, _, ..] | [0x18, _, ..]))
    };
    piece() == Some(true)
}

/// `ModelProto` of ONNX begins with `ir_version` (field 1, a small varint), followed by another of its fields.
fn is_onnx(head: &[u8]) -> bool {
    matches!(head, [0x08, 1..=64, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42 | 0x72, ..])
}

/// A varint length and that many bytes; and the rest.
fn length_delimited(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut len = 0usize;
    for (at, &byte) in bytes.iter().enumerate().take(4) {
        len |= usize::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return bytes[at + 1..].split_at_checked(len);
        }
    }
    None
}

fn is_tiktoken_line(line: &[u8]) -> bool {
    let Some(space) = line.iter().position(|&byte| byte == b' ') else { return false };
    let (token, rank) = (&line[..space], &line[space + 1..]);
    let base64 = |&byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    token.len() >= 4 && token.len() % 4 == 0 && token.iter().all(base64) && is_number(rank)
}

fn is_rwkv_line(line: &[u8]) -> bool {
    let Some(first) = line.iter().position(|&byte| byte == b' ') else { return false };
    let Some(last) = line.iter().rposition(|&byte| byte == b' ') else { return false };
    let literal = line.get(first + 1..last).unwrap_or_default();
    let literal = literal.strip_prefix(b"b").unwrap_or(literal);
    is_number(&line[..first]) && is_number(&line[last + 1..]) && matches!(literal.first(), Some(b'\'' | b'"'))
}

fn is_merge_line(line: &[u8]) -> bool {
    line.starts_with(b"#")
        || line.split(|&byte| byte == b' ').filter(|symbol| !symbol.is_empty()).count() == 2
}

fn is_number(text: &[u8]) -> bool {
    !text.is_empty() && text.len() <= 10 && text.iter().all(u8::is_ascii_digit)
}

/// The first keys of a JSON object with the first byte of each value; as many as lie in `bytes`. `None` if the bytes do
/// not begin with an object. Only the shape is followed: what is wrong inside is the reader's to find.
fn top_level_keys(bytes: &[u8]) -> Option<Vec<(&[u8], u8)>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut rest = bytes.trim_ascii_start().strip_prefix(b"{")?;
    let mut keys = Vec::new();
    while keys.len() < MAX_KEYS {
        let Some(entry) = next_entry(rest) else { break };
        keys.push((entry.0, entry.1));
        rest = entry.2;
    }
    Some(keys)
}

/// A key, the first byte of its value, and what follows the value.
fn next_entry(rest: &[u8]) -> Option<(&[u8], u8, &[u8])> {
    let rest = rest.trim_ascii_start();
    let rest = rest.strip_prefix(b",").unwrap_or(rest).trim_ascii_start();
    let (key, rest) = string(rest.strip_prefix(b"\"")?)?;
    let value = rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    // A value cut off by the end of the bytes has shown its first byte, and nothing follows it.
    Some((key, *value.first()?, skip_value(value).unwrap_or_default()))
}

/// The content of a string whose opening quote is behind us, and what follows its closing quote.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some((&bytes[..at], &bytes[at + 1..]));
        }
        at += 2;
    }
}

fn skip_value(value: &[u8]) -> Option<&[u8]> {
    let mut depth = 0usize;
    let mut rest = value;
    loop {
        let (&byte, after) = rest.split_first()?;
        match byte {
            b'"' => {
                rest = string(after)?.1;
                if depth == 0 {
                    return Some(rest);
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' | b',' if depth == 0 => return Some(rest),
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(after);
                }
            }
            _ => {}
        }
        rest = after;
    }
}

/// How a Git LFS pointer begins.
const GIT_LFS: &[u8] = b"version https://git-lfs.github.com/spec/";

const HEAD: usize = 64 << 10;
/// As much of a JSON file as is looked through, in bytes: several times the largest index or tokenizer known.
const MAX_JSON: usize = 256 << 20;
const MAX_KEYS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn is(bytes: &[u8], name: &str, format: Format) {
        assert_eq!(sniff(bytes, name), format, "{:?}", bytes.escape_ascii().to_string());
        for end in 0..bytes.len() {
            sniff(&bytes[..end], name); // no prefix panics
        }
    }

    #[track_caller]
    fn is_kind(bytes: &[u8], name: &str, kind: TokenizerKind) {
        is(bytes, name, Format::Tokenizer(kind));
    }

    #[test]
    fn models_are_known_by_their_content() {
        is(b"GGUF\x03\0\0\0", "x.bin", Format::Gguf);
        is(b"\x02\0\0\0\0\0\0\0{}", "x.gguf", Format::Safetensors);
        is(b"\x08\x07\x12\x07pytorch", "x", Format::Onnx);
        is(b"PK\x03\x04\0\0\0\0archive/data.pkl", "x", Format::PyTorch);
        is(b"PK\x03\x04\0\0\0\0word/document.xml", "x.docx", Format::Unknown);
        is(b"\x80\x02\x8a\x0a", "x", Format::PyTorch);
        is(
            br#"{"metadata": {}, "weight_map": {"a": "b.safetensors"}}"#,
            "index.json",
            Format::SafetensorsIndex,
        );
        is(br#"{"metadata": {}, "weight_map": {"a": "b.bin"}}"#, "index.json", Format::PyTorch);
        is(br#"{"schemaVersion": 2, "config": {}, "layers": []}"#, "latest", Format::OllamaManifest);
        is(b"version https://git-lfs.github.com/spec/v1\noid", "model.gguf", Format::GitLfsPointer);
        is(b"", "tokenizer.json", Format::Unknown);
        is(b"hello there, world", "notes", Format::Unknown);
        is(br#"{"model_type": "llama", "vocab_size": 3}"#, "config.json", Format::Unknown);
    }

    #[test]
    fn tokenizers_are_known_by_their_content() {
        is_kind(br#"{"version": "1.0", "added_tokens": [], "model": {}}"#, "x", TokenizerKind::TokenizerJson);
        is_kind(br#" {"model": {"a": "}\"]"}, "decoder": null}"#, "x", TokenizerKind::TokenizerJson);
        is_kind(br#"{"config": {"pattern": "{["}, "vocab": [{"rank": 0}]}"#, "x", TokenizerKind::Tekken);
        is_kind(br#"{"!": 0, "\"": 1}"#, "x", TokenizerKind::VocabJson);
        is(br#"{"!": 0, "\"": 1}"#, "added_tokens.json", Format::Unknown);
        is_kind(b"\x0a\x0e\x0a\x05<unk>\x15\0\0\0\0\x18\x02", "x", TokenizerKind::SentencePiece);
        is_kind(b"IQ== 0\nIg== 1\n", "tokenizer.model", TokenizerKind::Tiktoken);
        is_kind(b"1 '\\x00' 1\r\n2 b'\\xff' 1\r\n", "x", TokenizerKind::RwkvVocab);
        is_kind("#version: 0.2\nĠ t\n".as_bytes(), "x", TokenizerKind::MergesTxt);
        is_kind("Ġ t\ni n\n".as_bytes(), "merges.txt", TokenizerKind::MergesTxt);
        is("Ġ t\ni n\n".as_bytes(), "poem.txt", Format::Unknown);
        is_kind(b"[PAD]\n[UNK]\n[CLS]\n", "x", TokenizerKind::VocabTxt);
        is_kind(b"a\nb\n", "vocab.txt", TokenizerKind::VocabTxt);
    }

    #[test]
    fn real_files_are_known_without_their_names() {
        let root = std::env::var_os("ANYTOK_SHARED").map_or_else(
            || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"),
            std::path::PathBuf::from,
        );
        let Ok(models) = std::fs::read_dir(root.join("vocab/files")) else {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "../shared is absent");
            println!("skipped: ../shared is absent");
            return;
        };
        let mut known = 0;
        for model in models {
            for file in std::fs::read_dir(model.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap();
                let expected = match kind_by_name(name) {
                    _ if path.ends_with("llama3-meta/tokenizer.model") => Some(TokenizerKind::Tiktoken),
                    kind => kind,
                };
                // Added tokens have the shape of a vocabulary; only the name tells.
                if name == "added_tokens.json" {
                    continue;
                }
                let expected = expected.map_or(Format::Unknown, Format::Tokenizer);
                assert_eq!(sniff(&std::fs::read(&path).unwrap(), "x"), expected, "{}", path.display());
                known += usize::from(expected != Format::Unknown);
            }
        }
        assert!(known > 10, "{known}");
    }

    #[test]
    fn a_key_behind_a_long_value_is_found() {
        let filler = "x".repeat(2 * HEAD);
        let json = format!(r#"{{"model": {{"vocab": "{filler}"}}, "pre_tokenizer": null}}"#);
        assert_eq!(sniff(json.as_bytes(), "x"), Format::Tokenizer(TokenizerKind::TokenizerJson));
    }
}
