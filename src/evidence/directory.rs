//! What lies in a directory: models, and tokenizer files in the order of preference.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::shard;
use super::sniff::{Format, TokenizerKind, kind_by_name, sniff};

/// The names of the regular files in a directory, sorted.
#[derive(Debug)]
pub(crate) struct Listing {
    directory: PathBuf,
    names: Vec<String>,
}

/// A file that alone, or with the files beside it, makes a tokenizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenizerFile {
    pub(crate) path: PathBuf,
    pub(crate) kind: TokenizerKind,
}

/// What a directory holds of tokenizers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TokenizerFiles {
    /// The best first. `VocabJson` is listed only if `merges.txt` lies beside it.
    pub(crate) found: Vec<TokenizerFile>,
    /// Files that belong to a tokenizer but are none on their own.
    pub(crate) incomplete: Vec<PathBuf>,
}

impl Listing {
    /// Lists `directory`, at most its first 65,536 entries.
    ///
    /// # Errors
    /// The directory, or an entry of it, cannot be read.
    pub(crate) fn read(directory: &Path) -> io::Result<Self> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(directory)?.take(MAX_ENTRIES) {
            let entry = entry?;
            // Names that are not UTF-8 are of no tool that we know.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let kind = entry.file_type()?;
            if kind.is_file() || (kind.is_symlink() && entry.path().is_file()) {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(Self { directory: directory.to_owned(), names })
    }

    /// The paths of all files in the directory, sorted by name.
    pub(crate) fn files(&self) -> impl Iterator<Item = PathBuf> {
        self.names.iter().map(|name| self.directory.join(name))
    }

    /// The tokenizer files of the directory, as their content has it.
    pub(crate) fn tokenizer_files(&self) -> TokenizerFiles {
        let mut ranked = Vec::new();
        let mut incomplete = Vec::new();
        for name in &self.names {
            let lower = name.to_ascii_lowercase();
            let path = self.directory.join(name);
            if PARTS.contains(&lower.as_str()) {
                incomplete.push(path);
                continue;
            }
            let Some(by_name) = kind_by_name(&lower) else { continue };
            // The kind that the name promises stays where the content is none of a tokenizer: its reader will say why.
            let kind = match head(&path).map(|head| sniff(&head, name)) {
                Ok(Format::Tokenizer(kind)) => kind,
                _ => by_name,
            };
            let has_other_half = |other: &str| self.names.iter().any(|name| name == other);
            match kind {
                TokenizerKind::MergesTxt if has_other_half("vocab.json") => {}
                TokenizerKind::VocabJson if has_other_half("merges.txt") => {
                    ranked.push((rank(&lower, kind), TokenizerFile { path, kind }));
                }
                TokenizerKind::VocabJson | TokenizerKind::MergesTxt => incomplete.push(path),
                kind => ranked.push((rank(&lower, kind), TokenizerFile { path, kind })),
            }
        }
        ranked.sort_by_key(|(rank, _)| *rank); // stable: names stay sorted within a rank
        TokenizerFiles { found: ranked.into_iter().map(|(_, file)| file).collect(), incomplete }
    }

    /// The GGUF files that may be the model, by name: no projectors, and of a split model the first shard alone.
    pub(super) fn ggufs(&self) -> Vec<PathBuf> {
        let is_model = |name: &&String| {
            let lower = name.to_ascii_lowercase();
            let first = shard::of_gguf(name).is_none_or(|(_, number, _, _)| number == 1);
            Path::new(&lower).extension().is_some_and(|extension| extension == "gguf")
                && !lower.contains("mmproj")
                && first
        };
        let models: Vec<_> = self.paths(is_model).collect();
        if !models.is_empty() {
            return models;
        }
        // Later shards without their first are still what the directory holds.
        self.paths(|name| shard::of_gguf(name).is_some()).collect()
    }

    /// The file of another format that stands for the model: an index before single files, the plain name before others.
    pub(super) fn other_model(&self) -> Option<PathBuf> {
        let ends = |ending: &'static str| move |name: &&String| name.ends_with(ending);
        let is_adapter = |name: &String| name.starts_with("adapter_model");
        self.paths(ends(".safetensors.index.json"))
            .chain(self.paths(|name| name.as_str() == "model.safetensors"))
            .chain(self.paths(|name| name.ends_with(".safetensors") && !is_adapter(name)))
            .chain(self.paths(|name| name.as_str() == "pytorch_model.bin"))
            .chain(self.paths(ends(".bin.index.json")))
            .chain(self.paths(ends(".onnx")))
            .chain(self.paths(ends(".pth")))
            .chain(self.paths(ends(".pt")))
            .next()
    }

    fn paths<'a>(
        &'a self,
        filter: impl FnMut(&&'a String) -> bool + 'a,
    ) -> impl Iterator<Item = PathBuf> + 'a {
        self.names.iter().filter(filter).map(|name| self.directory.join(name))
    }
}

/// Where a tokenizer file stands: `tokenizer.json`, which is complete in itself, first.
fn rank(lower_name: &str, kind: TokenizerKind) -> usize {
    match kind {
        TokenizerKind::TokenizerJson if lower_name == "tokenizer.json" => 0,
        TokenizerKind::TokenizerJson => 1,
        TokenizerKind::Tekken => 2,
        TokenizerKind::SentencePiece | TokenizerKind::Tiktoken
            if lower_name.starts_with("tokenizer.model") =>
        {
            3
        }
        TokenizerKind::SentencePiece => 4,
        TokenizerKind::Tiktoken => 5,
        TokenizerKind::VocabJson | TokenizerKind::MergesTxt => 6,
        TokenizerKind::VocabTxt => 7,
        TokenizerKind::RwkvVocab => 8,
    }
}

/// The first bytes of a file, enough to know most files.
fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    std::fs::File::open(path)?.take(HEAD).read_to_end(&mut head)?;
    Ok(head)
}

/// Files around a tokenizer that are none themselves.
const PARTS: [&str; 3] = ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"];
const MAX_ENTRIES: usize = 1 << 16;
const HEAD: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Listing) {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(directory.path().join(name), content).unwrap();
        }
        let listing = Listing::read(directory.path()).unwrap();
        (directory, listing)
    }

    fn kinds(files: &TokenizerFiles) -> Vec<(&str, TokenizerKind)> {
        let name = |file: &'_ TokenizerFile| file.path.file_name().unwrap().to_str().unwrap().to_owned();
        files.found.iter().map(|file| (&*name(file).leak(), file.kind)).collect()
    }

    #[test]
    fn every_kind_is_found_in_the_order_of_preference() {
        let (_directory, listing) = listing(&[
            ("a.tiktoken", b"IQ== 0\n"),
            ("config.json", b"{}"),
            ("merges.txt", b"#version: 0.2\na b\n"),
            ("rwkv_vocab_v20230424.txt", b"1 'a' 1\n"),
            ("spiece.model", b"\x0a\x0e\x0a\x05<unk>\x15\0\0\0\0\x18\x02"),
            ("tekken.json", br#"{"config": {}, "vocab": []}"#),
            ("tokenizer.json", br#"{"version": "1.0", "model": {}}"#),
            ("tokenizer.model", b"IQ== 0\n"),
            ("tokenizer_config.json", b"{}"),
            ("vocab.json", br#"{"a": 0, "b": 1}"#),
            ("vocab.txt", b"[UNK]\n"),
        ]);
        let files = listing.tokenizer_files();
        assert_eq!(
            kinds(&files),
            [
                ("tokenizer.json", TokenizerKind::TokenizerJson),
                ("tekken.json", TokenizerKind::Tekken),
                ("tokenizer.model", TokenizerKind::Tiktoken),
                ("spiece.model", TokenizerKind::SentencePiece),
                ("a.tiktoken", TokenizerKind::Tiktoken),
                ("vocab.json", TokenizerKind::VocabJson),
                ("vocab.txt", TokenizerKind::VocabTxt),
                ("rwkv_vocab_v20230424.txt", TokenizerKind::RwkvVocab),
            ]
        );
        assert_eq!(files.incomplete.len(), 1);
    }

    #[test]
    fn halves_and_parts_are_no_tokenizers() {
        for name in ["vocab.json", "merges.txt", "special_tokens_map.json", "tokenizer_config.json"] {
            let (directory, listing) = listing(&[(name, b"")]);
            let files = listing.tokenizer_files();
            assert_eq!(files.found, []);
            assert_eq!(files.incomplete, [directory.path().join(name)]);
        }
    }

    #[test]
    fn a_damaged_file_keeps_the_kind_of_its_name() {
        let (_directory, listing) = listing(&[("tokenizer.json", b"oops"), ("tokenizer.model", b"")]);
        assert_eq!(
            kinds(&listing.tokenizer_files()),
            [
                ("tokenizer.json", TokenizerKind::TokenizerJson),
                ("tokenizer.model", TokenizerKind::SentencePiece)
            ]
        );
    }

    #[test]
    fn models_are_the_first_shards_and_no_projectors() {
        let (directory, listing) = listing(&[
            ("b-00001-of-00002.gguf", b""),
            ("b-00002-of-00002.gguf", b""),
            ("mmproj-b.gguf", b""),
            ("a.GGUF", b""),
        ]);
        let at = |name: &str| directory.path().join(name);
        assert_eq!(listing.ggufs(), [at("a.GGUF"), at("b-00001-of-00002.gguf")]);
    }
}
