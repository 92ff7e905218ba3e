//! Which peer reads which vocabulary from which source.

use std::path::{Path, PathBuf};

/// Peers that are programs of their own; the rest are crates of this one.
pub const PYTHON: [&str; 3] = ["gigatoken", "tiktoken-py", "sentencepiece"];
pub const TOKENIZERS_1_0: &str = "tokenizers-1.0";

pub struct Vocabulary {
    pub name: &'static str,
    pub sources: &'static [(Kind, &'static str)],
}

/// Kinds of sources, as the workers name them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Gguf,
    TokenizerJson,
    Tiktoken,
    SentencePiece,
    Bundled,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Gguf => "gguf",
            Self::TokenizerJson => "tokenizer.json",
            Self::Tiktoken => "tiktoken",
            Self::SentencePiece => "sentencepiece",
            Self::Bundled => "bundled",
        }
    }

    /// The crates and packages that read it.
    pub fn peers(self) -> &'static [&'static str] {
        match self {
            Self::Gguf => &["anytok", "anytok, stored", "shimmytok"],
            Self::TokenizerJson => &[
                "anytok",
                "anytok, stored",
                "fastokens",
                "gigatoken",
                "kitoken",
                "snaptokens",
                "splintr",
                "tokenizers",
                TOKENIZERS_1_0,
                "tokie",
            ],
            Self::Tiktoken => {
                &["anytok", "anytok, stored", "fastokens", "gigatoken", "kitoken", "splintr", "tiktoken-py"]
            }
            Self::SentencePiece => &["anytok", "gigatoken", "kitoken", "sentencepiece"],
            Self::Bundled => &["bpe-openai", "tiktoken", "tiktoken-rs"],
        }
    }
}

use Kind::{Bundled, Gguf, SentencePiece, Tiktoken, TokenizerJson};

/// Paths are below `../shared/vocab`, or, behind a `!`, below the directory that `run` fills from package registries.
pub const VOCABULARIES: &[Vocabulary] = &[
    Vocabulary {
        name: "llama3",
        sources: &[
            (Gguf, "gguf/llama-bpe.gguf"),
            (TokenizerJson, "files/llama3.1/tokenizer.json"),
            (Bundled, "llama3"),
        ],
    },
    Vocabulary {
        name: "gemma3",
        sources: &[
            (Gguf, "gguf/gemma3-spm.gguf"),
            (TokenizerJson, "!gemma3/package/models/tokenizer.json"),
            (SentencePiece, "!gemma3.model"),
        ],
    },
    Vocabulary {
        name: "cl100k",
        sources: &[(Tiktoken, "files/cl100k_base/cl100k_base.tiktoken"), (Bundled, "cl100k_base")],
    },
    Vocabulary {
        name: "o200k",
        sources: &[
            (Tiktoken, "files/o200k_base/o200k_base.tiktoken"),
            (TokenizerJson, "files/gpt-4o/tokenizer.json"),
            (Bundled, "o200k_base"),
        ],
    },
    Vocabulary {
        name: "mistral",
        sources: &[(Gguf, "gguf/mistral-v1-spm.gguf"), (TokenizerJson, "files/llama2/tokenizer.json")],
    },
    Vocabulary { name: "gemma4", sources: &[(Gguf, "gguf/gemma-4.gguf")] },
    Vocabulary {
        name: "bert",
        sources: &[(Gguf, "gguf/bert-bge.gguf"), (TokenizerJson, "files/all-minilm-l6-v2/tokenizer.json")],
    },
    Vocabulary {
        name: "t5",
        sources: &[
            (Gguf, "gguf/t5-v1_1-xxl.gguf"),
            (TokenizerJson, "files/t5-v1_1-xxl/tokenizer.json"),
            (SentencePiece, "files/t5-v1_1-xxl/spiece.model"),
        ],
    },
];

/// One row of the results: a peer that reads a source.
pub struct Entry {
    pub peer: &'static str,
    pub kind: Kind,
    pub path: PathBuf,
}

impl Vocabulary {
    /// Every peer on every source that is there.
    pub fn entries(&self, shared: &Path, data: &Path) -> Vec<Entry> {
        let mut entries = Vec::new();
        for &(kind, path) in self.sources {
            let path = match path.strip_prefix('!') {
                _ if kind == Bundled => PathBuf::from(path),
                Some(path) => data.join(path),
                None => shared.join("vocab").join(path),
            };
            if kind != Bundled && !path.exists() {
                eprintln!("skipped: {} is absent", path.display());
                continue;
            }
            entries.extend(kind.peers().iter().map(|&peer| Entry { peer, kind, path: path.clone() }));
        }
        entries
    }
}
