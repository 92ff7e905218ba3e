//! tiktoken's rank files: one token a line, its bytes in base64 and its rank.
//!
//! The file does not say how its text is cut nor which special tokens there are. Both are known for files whose content is that of
//! a published encoding, and for models whose `tokenizer_config.json` names the class that reads the file; any other one is refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::FormatError;
use super::side_files::SideFiles;
use crate::encode::special_tokens::Specials;
use crate::semantics::post_processor::Processing;
use crate::semantics::{Pipeline, Recipe, SpecialTokens, tiktoken};
use crate::split::Split;
use crate::tokenizer::Tokenizer;
use crate::vocabulary::{Alphabet, Builder, NONE, attribute};

/// Builds the tokenizer of the rank file `name` with the content `bytes`; `side` says what lies beside it.
pub(crate) fn load(name: &str, bytes: &[u8], side: &SideFiles) -> Result<Tokenizer, FormatError> {
    let mut ranks = Ranks::parse(name, bytes)?;
    ranks.sort(name)?;
    let fingerprint = ranks.fingerprint();
    let known = KNOWN.iter().find(|known| known.sha256 == fingerprint).map(|known| known.encoding);
    let class = side.tokenizer_class.as_deref().unwrap_or_default();
    let by_class = || CLASSES.iter().find(|(name, _)| *name == class).map(|&(_, encoding)| encoding);
    let Some(encoding) = known.or_else(by_class) else {
        return Err(FormatError::UnsupportedModel {
            file: name.to_owned(),
            kind: format!("tiktoken ranks with the fingerprint {fingerprint}"),
            hint: "; such a file does not say how its text is cut, and this content is not that of a published encoding; a \
                   `tokenizer.json` or the `tokenizer_config.json` of a model whose class is known settles it"
                .into(),
        });
    };
    let split = Split::of_matches(encoding.pattern())
        .map_err(|source| FormatError::Malformed { file: name.to_owned(), source: Box::new(source) })?;
    let mut specials = encoding.specials(ranks.next());
    let named = side.added_tokens.iter().map(|token| (token.id, token.content.clone()));
    for (id, text) in named {
        match specials.iter_mut().find(|special| special.0 == id) {
            Some(special) => special.1 = text,
            None => specials.push((id, text)),
        }
    }
    let mut notes = Vec::new();
    if matches!(encoding, Encoding::Qwen | Encoding::Qwen35) {
        notes.push(
            "the model's own code composes a text (NFC) before it is encoded; tiktoken does not".into(),
        );
    }
    ranks.build(name, split, specials, &encoding.roles(), side, notes)
}

/// Tokens with their ranks.
#[derive(Debug, Default)]
pub(super) struct Ranks {
    arena: Vec<u8>,
    /// Rank, and `[start, end)` in the arena.
    tokens: Vec<(u32, u32, u32)>,
}

/// Text of the special tokens that have a role, the likeliest first.
#[derive(Debug, Default)]
pub(super) struct RoleTexts {
    pub(super) bos: &'static [&'static str],
    pub(super) eos: &'static [&'static str],
    pub(super) pad: &'static [&'static str],
    pub(super) unk: &'static [&'static str],
    /// Whether the model wants BOS in front of a text.
    pub(super) add_bos: bool,
}

impl Ranks {
    fn parse(name: &str, bytes: &[u8]) -> Result<Self, FormatError> {
        let mut ranks = Self::default();
        ranks.arena.reserve(bytes.len() / 2);
        for (number, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            let wrong = |found: &[u8]| FormatError::Value {
                file: name.to_owned(),
                place: format!("line {}", number + 1),
                expected: "a token in base64, a space and its rank below 2^31".into(),
                found: super::excerpt(found),
            };
            let blank = line.iter().position(u8::is_ascii_whitespace).ok_or_else(|| wrong(line))?;
            let (token, rank) = (&line[..blank], line[blank..].trim_ascii());
            let rank = std::str::from_utf8(rank).ok().and_then(|rank| rank.parse().ok());
            ranks.push(token, rank.ok_or_else(|| wrong(line))?).ok_or_else(|| wrong(line))?;
        }
        Ok(ranks)
    }

    /// Adds a token; `None` when it is not base64, is empty, its rank is above [`HIGHEST`], or there are more than fit.
    pub(super) fn push(&mut self, base64: &[u8], rank: u32) -> Option<()> {
        if rank > HIGHEST {
            return None;
        }
        // Whisper's ranks end with a token of no bytes, which Python reads out of a lone padding sign.
        if base64 == b"=" {
            let end = self.arena.len() as u32;
            self.tokens.push((rank, end, end));
            return Some(());
        }
        let start = self.arena.len();
        self.arena.resize(start + base64.len() / 4 * 3 + 3, 0);
        let written = STANDARD.decode_slice(base64, &mut self.arena[start..]);
        self.arena.truncate(start + *written.as_ref().unwrap_or(&0));
        written.ok().filter(|&written| written > 0)?;
        self.tokens.push((rank, start as u32, u32::try_from(self.arena.len()).ok()?));
        Some(())
    }

    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.tokens.truncate(len);
    }

    /// Adds `by` to every rank: ids that begin behind those of special tokens.
    pub(super) fn shift(&mut self, by: u32) {
        for token in &mut self.tokens {
            token.0 += by;
        }
    }

    /// Brings the tokens into the order of their ranks, which must differ.
    fn sort(&mut self, name: &str) -> Result<(), FormatError> {
        self.tokens.sort_by_key(|token| token.0);
        let twice = self.tokens.windows(2).find(|pair| pair[0].0 == pair[1].0);
        if let Some(pair) = twice {
            return Err(FormatError::Value {
                file: name.to_owned(),
                place: format!("rank {}", pair[0].0),
                expected: "every rank once".into(),
                found: "two tokens".into(),
            });
        }
        Ok(())
    }

    /// One more than the highest rank.
    fn next(&self) -> u32 {
        self.tokens.last().map_or(0, |token| token.0 + 1)
    }

    fn bytes(&self, token: (u32, u32, u32)) -> &[u8] {
        &self.arena[token.1 as usize..token.2 as usize]
    }

    /// SHA-256 over the tokens in the order of their ranks, each as rank, length (both `u32`, little-endian) and bytes: two files
    /// that differ in line ends or order only have the same.
    fn fingerprint(&self) -> String {
        let mut hasher = Sha256::new();
        for &token in &self.tokens {
            let bytes = self.bytes(token);
            hasher.update(token.0.to_le_bytes());
            hasher.update((bytes.len() as u32).to_le_bytes());
            hasher.update(bytes);
        }
        hasher.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
            use std::fmt::Write as _;
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// The tokenizer. Ranks are ids, and special tokens have ids of their own; what lies between is holes.
    pub(super) fn build(
        &self,
        name: &str,
        split: Split,
        mut specials: Vec<(u32, String)>,
        roles: &RoleTexts,
        side: &SideFiles,
        mut notes: Vec<String>,
    ) -> Result<Tokenizer, FormatError> {
        let vocabulary = |source| FormatError::Vocabulary { file: name.to_owned(), source };
        specials.sort_unstable();
        let count = self.tokens.len() + specials.len();
        let last = self.tokens.last().map(|token| token.0).max(specials.last().map(|special| special.0));
        let ids = last.map_or(0, |last| last as usize + 1);
        // Real files have a few dozen holes; a crafted rank must not cost memory.
        if ids > 2 * count + MOST_HOLES {
            return Err(FormatError::Value {
                file: name.to_owned(),
                place: format!("rank {}", ids - 1),
                expected: format!("ranks not far above the number of tokens ({count})"),
                found: format!("{} ids without a token", ids - count),
            });
        }
        let mut builder = Builder::new(Alphabet::ByteLevel, ids, self.arena.len()).map_err(vocabulary)?;
        let mut ordinary = self.tokens.iter().copied().peekable();
        let mut special = specials.iter().peekable();
        let tokens = (0..ids as u32).map(|id| {
            while special.peek().is_some_and(|special| special.0 < id) {
                special.next();
            }
            // A special token may have the id of an ordinary one, such as Qwen's names for unused ids; then the latter counts.
            if let Some(token) = ordinary.next_if(|token| token.0 == id) {
                let bytes = self.bytes(token);
                (bytes, attribute::NORMAL | if bytes.is_empty() { attribute::RAW } else { 0 })
            } else if let Some((_, text)) = special.next_if(|special| special.0 == id) {
                (text.as_bytes(), attribute::CONTROL | attribute::RAW)
            } else {
                (&[][..], attribute::HOLE)
            }
        });
        builder.extend_keys(tokens).map_err(vocabulary)?;
        builder.byte_symbols().map_err(vocabulary)?;
        let vocabulary = builder.finish(&[NONE; 256]).map_err(vocabulary)?;

        let control = |id: u32| vocabulary.attributes(id) & attribute::CONTROL != 0;
        let id_of = |text: &str| {
            let at = specials.iter().find(|special| special.1 == text && control(special.0))?;
            Some(at.0)
        };
        let (beside, mut eog) = side.special_tokens(|text| id_of(text));
        let of = |texts: &[&str]| texts.iter().find_map(|text| id_of(text));
        let special = SpecialTokens {
            bos: of(roles.bos).or(beside.bos),
            eos: of(roles.eos).or(beside.eos),
            pad: of(roles.pad).or(beside.pad),
            unk: of(roles.unk).or(beside.unk),
            ..beside
        };
        eog.extend(special.eos);
        eog.sort_unstable();
        eog.dedup();
        eog.retain(|&id| id < vocabulary.len);
        let add_bos = side.add_bos.unwrap_or(roles.add_bos);
        let add_eos = side.add_eos.unwrap_or(false);
        notes.extend_from_slice(&side.notes);
        let recipe = tiktoken::Recipe {
            split,
            bos: special.bos.filter(|_| add_bos),
            eos: special.eos.filter(|_| add_eos),
        };
        let recipe = Recipe {
            special,
            eog,
            add_bos: recipe.bos.is_some(),
            add_eos: recipe.eos.is_some(),
            chat_templates: side.chat_templates.clone(),
            processing: Processing::default(),
            notes,
            pipeline: Pipeline::Tiktoken(recipe),
        };
        let specials = specials.iter().filter(|special| control(special.0));
        let specials = Specials::new(specials.map(|(id, text)| (*id, text.as_bytes().into())));
        Ok(Tokenizer::new(vocabulary, specials, recipe))
    }
}

/// Published encodings, by what cuts their text and by their special tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Encoding {
    R50k,
    P50k,
    Cl100k,
    O200k,
    Whisper,
    Llama3,
    Llama4,
    Qwen,
    Qwen35,
    Glm4,
    Kimi,
}

struct Known {
    /// [`Ranks::fingerprint`].
    sha256: &'static str,
    encoding: Encoding,
}

impl Encoding {
    fn pattern(self) -> &'static str {
        match self {
            Self::R50k | Self::P50k | Self::Whisper => GPT2,
            Self::Cl100k => CL100K,
            Self::O200k | Self::Llama4 => O200K,
            Self::Llama3 | Self::Glm4 => LLAMA3,
            Self::Qwen => QWEN,
            Self::Qwen35 => QWEN35,
            Self::Kimi => KIMI,
        }
    }

    /// The special tokens; `next` is the first id behind the ranks.
    fn specials(self, next: u32) -> Vec<(u32, String)> {
        let from = |start: u32, texts: Vec<String>| (start..).zip(texts).collect();
        let some = |texts: &[(u32, &str)]| texts.iter().map(|&(id, text)| (id, text.to_owned())).collect();
        match self {
            Self::R50k | Self::P50k => some(&[(50_256, "<|endoftext|>")]),
            Self::Cl100k => some(&[
                (100_257, "<|endoftext|>"),
                (100_258, "<|fim_prefix|>"),
                (100_259, "<|fim_middle|>"),
                (100_260, "<|fim_suffix|>"),
                (100_276, "<|endofprompt|>"),
            ]),
            Self::O200k => some(&[(199_999, "<|endoftext|>"), (200_018, "<|endofprompt|>")]),
            Self::Whisper => from(next, whisper()),
            Self::Llama3 => from(next, llama3()),
            Self::Llama4 => from(next, llama4()),
            Self::Qwen => from(next, qwen()),
            Self::Qwen35 => from(next, QWEN35_SPECIALS.iter().map(|&text| text.to_owned()).collect()),
            // What `tokenizer_config.json` lists is all.
            Self::Glm4 => Vec::new(),
            Self::Kimi => (next..next + 258).map(|id| (id, format!("<|reserved_token_{id}|>"))).collect(),
        }
    }

    fn roles(self) -> RoleTexts {
        const END: &[&str] = &["<|endoftext|>"];
        match self {
            Self::R50k | Self::P50k | Self::Cl100k | Self::O200k | Self::Whisper | Self::Qwen35 => {
                RoleTexts { eos: END, ..RoleTexts::default() }
            }
            Self::Qwen => RoleTexts { eos: END, pad: END, ..RoleTexts::default() },
            Self::Llama3 => RoleTexts {
                bos: &["<|begin_of_text|>"],
                eos: &["<|end_of_text|>"],
                pad: &["<|finetune_right_pad_id|>"],
                unk: &[],
                add_bos: true,
            },
            Self::Llama4 => RoleTexts {
                bos: &["<|begin_of_text|>"],
                eos: &["<|end_of_text|>"],
                pad: &["<|finetune_right_pad|>"],
                unk: &[],
                add_bos: true,
            },
            Self::Glm4 | Self::Kimi => RoleTexts::default(),
        }
    }
}

fn llama3() -> Vec<String> {
    let mut texts: Vec<String> = LLAMA3_SPECIALS.iter().map(|&text| text.to_owned()).collect();
    let named = texts.len();
    texts.extend((0..256 - named).map(|i| format!("<|reserved_special_token_{}|>", i + 2)));
    texts
}

fn llama4() -> Vec<String> {
    let mut texts: Vec<String> = Vec::with_capacity(2048);
    let mut named = |names: &[&str]| texts.extend(names.iter().map(|&name| name.to_owned()));
    named(&["<|begin_of_text|>", "<|end_of_text|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"]);
    named(&["<|header_start|>", "<|header_end|>", "<|eom|>", "<|eot|>", "<|step|>"]);
    let reserved = |texts: &mut Vec<String>, of: &str, ids: std::ops::Range<u32>| {
        texts.extend(ids.map(|i| format!("<|{of}_reserved_special_token_{i}|>")));
    };
    reserved(&mut texts, "text_post_train", 0..6);
    texts.extend(["<|python_start|>", "<|python_end|>", "<|finetune_right_pad|>"].map(str::to_owned));
    reserved(&mut texts, "text_post_train", 8..69);
    texts.extend(["<|image_start|>", "<|image_end|>"].map(str::to_owned));
    reserved(&mut texts, "vision", 0..2);
    texts.extend(["<|tile_x_separator|>", "<|tile_y_separator|>"].map(str::to_owned));
    reserved(&mut texts, "vision", 2..6);
    texts.push("<|image|>".into());
    reserved(&mut texts, "vision", 6..7);
    texts.push("<|patch|>".into());
    reserved(&mut texts, "vision", 7..1048);
    reserved(&mut texts, "reasoning", 0..8);
    texts.extend(["<|reasoning_thinking_start|>", "<|reasoning_thinking_end|>"].map(str::to_owned));
    let count = texts.len();
    texts.extend((0..2048 - count).map(|i| format!("<|reserved_special_token_{i}|>")));
    texts
}

fn qwen() -> Vec<String> {
    let named = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"].map(str::to_owned);
    named.into_iter().chain((0..205).map(|i| format!("<|extra_{i}|>"))).collect()
}

/// As `get_encoding` of openai-whisper 20250625 lists them for 99 languages.
fn whisper() -> Vec<String> {
    let mut texts = vec!["<|endoftext|>".to_owned(), "<|startoftranscript|>".to_owned()];
    texts.extend(WHISPER_LANGUAGES.split(' ').map(|language| format!("<|{language}|>")));
    let tasks = ["translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps"];
    texts.extend(tasks.map(|task| format!("<|{task}|>")));
    texts.extend((0..1501).map(|i| format!("<|{}.{:02}|>", i / 50, i % 50 * 2)));
    texts
}

/// What ranks may be, so that some hundred special tokens still have ids behind them.
const HIGHEST: u32 = i32::MAX as u32;

/// A rank file may leave so many ids without a token, and as many as it has tokens on top.
const MOST_HOLES: usize = 4096;

#[rustfmt::skip]
const KNOWN: &[Known] = &[
    // Also the `gpt2.tiktoken` of Whisper.
    Known { sha256: "b91f3c8b678e78163bcd3d79e0a3ff685a414fe810e36c4d308255dc030e95db", encoding: Encoding::R50k },
    Known { sha256: "a9bae7f8ca57fbc18a7b22034d07785bdc144fde995c283d20f7d651fe845789", encoding: Encoding::P50k },
    Known { sha256: "3494aad2103f500f737237788f1e4c5237da95faba58dec1c2327e5b20024443", encoding: Encoding::Cl100k },
    Known { sha256: "bb5386e3399c28cc69b4bee4fa8bce4bfcabfd77b77eedfa5e0dec6a16f8568a", encoding: Encoding::O200k },
    Known { sha256: "0385714e3009ac870d505ee452c00c545a0178ae42cfe4e1921179f7ebb0593c", encoding: Encoding::Whisper },
    Known { sha256: "a0353bd671a1cf77b3ada7f3ec0f4b776eab285567f32db10965b0b73f41f21d", encoding: Encoding::Llama3 },
    Known { sha256: "c02d7ae213b6dc8e37a5de52379d8a3b153fbe1f9a9058d223cede56d01d9b21", encoding: Encoding::Llama4 },
    Known { sha256: "2fcefb56f07ebf27d6d4d89db448b4750abc6ef4ef9b236789f2cda8b4e65a30", encoding: Encoding::Qwen },
    Known { sha256: "b7b7f253fc81ad0d912614fe372e3671d2a5f72ec4ec9db1ef940fe256347700", encoding: Encoding::Qwen35 },
];

/// `tokenizer_class` of models that ship a rank file: their code, which is never run, holds the pattern.
const CLASSES: &[(&str, Encoding)] = &[
    ("QWenTokenizer", Encoding::Qwen),
    ("ChatGLM4Tokenizer", Encoding::Glm4),
    // Kimi and Moonlight.
    ("TikTokenTokenizer", Encoding::Kimi),
];

const LLAMA3_SPECIALS: &[&str] = &[
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|reserved_special_token_0|>",
    "<|reserved_special_token_1|>",
    "<|finetune_right_pad_id|>",
    "<|step_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|python_tag|>",
    "<|image|>",
];

const QWEN35_SPECIALS: &[&str] = &[
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<tool_response>",
    "</tool_response>",
    "<think>",
    "</think>",
    "<|audio_start|>",
    "<|audio_end|>",
    "<tts_pad>",
    "<tts_text_bos>",
    "<tts_text_eod>",
    "<tts_text_bos_single>",
    "<|audio_pad|>",
];

const WHISPER_LANGUAGES: &str = "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt la \
     mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg sd gu am yi lo uz fo ht \
     ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su";

#[rustfmt::skip]
const GPT2: &str = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s";
#[rustfmt::skip]
const CL100K: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s";
#[rustfmt::skip]
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
#[rustfmt::skip]
const O200K: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
#[rustfmt::skip]
const QWEN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
#[rustfmt::skip]
const QWEN35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
#[rustfmt::skip]
const KIMI: &str = r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
