//! The names of `tokenizer.ggml.pre`: how each splits, and which of llama.cpp's switches it sets.

use super::gguf::GgufSplit;

/// What a `pre` type changes beside the split and the switches of [`Pre`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum PreKind {
    /// Words of newlines alone are looked up whole; `add_bos` is forced.
    Gemma4,
    /// Words of newlines alone are looked up whole; lines are cut into words by [`mmbert`](super::mmbert).
    Mmbert,
    /// The text is rewritten by [`soprano`](super::soprano); pieces are raw text; an unknown symbol is unk; eos is end of generation.
    Soprano,
    /// `<|user|>` and `<|observation|>` are end of generation.
    Flint,
    /// Usually with the model `whitespace`, which drops whitespace.
    Whitespace,
    /// Merges may be absent.
    KimiK2,
    /// The text is rewritten by [`nemotron`](super::nemotron).
    Nemotron,
    Other,
}

/// One name of `tokenizer.ggml.pre` and what llama.cpp makes of it, before the file's own keys override the switches.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "these are llama.cpp's independent switches, by its names")]
pub(crate) struct Pre {
    pub(crate) name: &'static str,
    pub(crate) split: GgufSplit,
    pub(crate) kind: PreKind,
    /// Pieces are written in the GPT-2 byte alphabet.
    pub(crate) byte_encode: bool,
    pub(crate) ignore_merges: bool,
    pub(crate) clean_spaces: bool,
    pub(crate) escape_whitespaces: bool,
    pub(crate) add_bos: bool,
    pub(crate) add_eos: bool,
    /// llama.cpp stores it and no path of its tokenizer reads it; kept so that the table can be held against the reference.
    #[cfg_attr(not(test), expect(dead_code))]
    pub(crate) add_sep: bool,
    pub(crate) add_space_prefix: bool,
    /// `add_bos` is true whatever the file's keys say.
    pub(crate) force_add_bos: bool,
    /// Without a bos key there is none, instead of the model's default.
    pub(crate) no_default_bos: bool,
    /// What `normalizer.lowercase` is without its key.
    pub(crate) lowercase_default: bool,
}

impl Pre {
    /// The row of a name, spelt as in the file. A missing or empty `pre` is the caller's concern; `default` is a name like any other.
    pub(crate) fn by_name(name: &str) -> Option<&'static Pre> {
        PRE.iter().find(|pre| pre.name == name)
    }

    /// Every name that is known.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        PRE.iter().map(|pre| pre.name)
    }
}

/// Pieces stay UTF-8; all others are byte-encoded.
const RAW: u16 = 1;
const IGNORE_MERGES: u16 = 1 << 1;
const CLEAN_SPACES: u16 = 1 << 2;
const ESCAPE: u16 = 1 << 3;
const ADD_BOS: u16 = 1 << 4;
const ADD_SEP: u16 = 1 << 5;
const FORCE_BOS: u16 = 1 << 6;
const NO_BOS: u16 = 1 << 7;
const KEEP_CASE: u16 = 1 << 8;

const fn row(name: &'static str, split: GgufSplit, kind: PreKind, switches: u16) -> Pre {
    Pre {
        name,
        split,
        kind,
        byte_encode: switches & RAW == 0,
        ignore_merges: switches & IGNORE_MERGES != 0,
        clean_spaces: switches & CLEAN_SPACES != 0,
        escape_whitespaces: switches & ESCAPE != 0,
        add_bos: switches & ADD_BOS != 0,
        // No `pre` sets these two.
        add_eos: false,
        add_space_prefix: false,
        add_sep: switches & ADD_SEP != 0,
        force_add_bos: switches & FORCE_BOS != 0,
        no_default_bos: switches & NO_BOS != 0,
        lowercase_default: switches & KEEP_CASE == 0,
    }
}

#[rustfmt::skip]
pub(super) static PRE: [Pre; 98] = [
    row("flint", GgufSplit::Flint, PreKind::Flint, 0),
    row("default", GgufSplit::Default, PreKind::Other, CLEAN_SPACES),
    row("minicpm5", GgufSplit::MiniCpm5, PreKind::Other, IGNORE_MERGES),
    row("llama3", GgufSplit::Llama3, PreKind::Other, IGNORE_MERGES | CLEAN_SPACES | ADD_BOS),
    row("llama-v3", GgufSplit::Llama3, PreKind::Other, IGNORE_MERGES | CLEAN_SPACES | ADD_BOS),
    row("llama-bpe", GgufSplit::Llama3, PreKind::Other, IGNORE_MERGES | CLEAN_SPACES | ADD_BOS),
    row("falcon3", GgufSplit::Llama3, PreKind::Other, IGNORE_MERGES | CLEAN_SPACES | ADD_BOS),
    row("falcon-h1", GgufSplit::Llama3, PreKind::Other, IGNORE_MERGES | CLEAN_SPACES | ADD_BOS),
    row("midm-2.0", GgufSplit::Llama3, PreKind::Other, IGNORE_MERGES | CLEAN_SPACES | ADD_BOS),
    row("jina-v5-nano", GgufSplit::Llama3, PreKind::Other, IGNORE_MERGES | CLEAN_SPACES | ADD_BOS),
    row("lfm2", GgufSplit::Llama3, PreKind::Other, IGNORE_MERGES | ADD_BOS),
    row("deepseek-llm", GgufSplit::DeepseekLlm, PreKind::Other, 0),
    row("deepseek-coder", GgufSplit::DeepseekCoder, PreKind::Other, 0),
    row("deepseek-v3", GgufSplit::DeepseekV3, PreKind::Other, 0),
    row("spark2_5", GgufSplit::Spark, PreKind::Other, 0),
    row("youtu", GgufSplit::Youtu, PreKind::Other, IGNORE_MERGES),
    row("falcon", GgufSplit::Falcon, PreKind::Other, CLEAN_SPACES),
    row("mpt", GgufSplit::Gpt2, PreKind::Other, CLEAN_SPACES),
    row("starcoder", GgufSplit::Starcoder, PreKind::Other, CLEAN_SPACES),
    row("gpt-2", GgufSplit::Gpt2, PreKind::Other, CLEAN_SPACES),
    row("phi-2", GgufSplit::Gpt2, PreKind::Other, CLEAN_SPACES),
    row("jina-es", GgufSplit::Gpt2, PreKind::Other, CLEAN_SPACES),
    row("jina-de", GgufSplit::Gpt2, PreKind::Other, CLEAN_SPACES),
    row("gigachat", GgufSplit::Gpt2, PreKind::Other, CLEAN_SPACES),
    row("jina-v2-es", GgufSplit::Gpt2, PreKind::Other, CLEAN_SPACES),
    row("jina-v2-de", GgufSplit::Gpt2, PreKind::Other, CLEAN_SPACES),
    row("a.x-4.0", GgufSplit::Gpt2, PreKind::Other, CLEAN_SPACES),
    row("mellum", GgufSplit::Gpt2, PreKind::Other, CLEAN_SPACES),
    row("modern-bert", GgufSplit::Gpt2, PreKind::Other, CLEAN_SPACES),
    row("jais-2", GgufSplit::Jais2, PreKind::Other, CLEAN_SPACES),
    row("gemma4", GgufSplit::Gemma4, PreKind::Gemma4, RAW | ESCAPE | FORCE_BOS),
    row("granite-embed-multi-311m", GgufSplit::Gemma4, PreKind::Gemma4, RAW | ESCAPE | FORCE_BOS),
    row("mmbert", GgufSplit::Gemma4, PreKind::Mmbert, RAW | CLEAN_SPACES | ESCAPE),
    row("sarvam-moe", GgufSplit::Gemma4, PreKind::Other, RAW | ESCAPE),
    row("jina-v1-en", GgufSplit::Gpt2, PreKind::Other, CLEAN_SPACES | ADD_SEP),
    row("jina-v2-code", GgufSplit::Gpt2, PreKind::Other, CLEAN_SPACES | ADD_SEP),
    row("roberta-bpe", GgufSplit::Gpt2, PreKind::Other, CLEAN_SPACES | ADD_SEP),
    row("whitespace", GgufSplit::Whitespace, PreKind::Whitespace, RAW | CLEAN_SPACES | KEEP_CASE),
    row("refact", GgufSplit::Starcoder, PreKind::Other, CLEAN_SPACES),
    row("command-r", GgufSplit::Starcoder, PreKind::Other, 0),
    row("qwen2", GgufSplit::Qwen2, PreKind::Other, 0),
    row("deepseek-r1-qwen", GgufSplit::Qwen2, PreKind::Other, 0),
    row("kormo", GgufSplit::Qwen2, PreKind::Other, 0),
    row("f2llmv2", GgufSplit::Qwen2, PreKind::Other, 0),
    row("qwen35", GgufSplit::Qwen35, PreKind::Other, 0),
    row("stablelm2", GgufSplit::Qwen2, PreKind::Other, CLEAN_SPACES),
    row("olmo", GgufSplit::Gpt2, PreKind::Other, CLEAN_SPACES),
    row("dbrx", GgufSplit::Llama3, PreKind::Other, 0),
    row("smaug-bpe", GgufSplit::Llama3, PreKind::Other, CLEAN_SPACES),
    row("poro-chat", GgufSplit::Bloom, PreKind::Other, 0),
    row("chatglm-bpe", GgufSplit::Llama3, PreKind::Other, NO_BOS),
    row("glm4", GgufSplit::Llama3, PreKind::Other, IGNORE_MERGES | NO_BOS),
    row("glm5", GgufSplit::Llama3, PreKind::Other, IGNORE_MERGES | NO_BOS),
    row("viking", GgufSplit::Viking, PreKind::Other, 0),
    row("jais", GgufSplit::Gpt2, PreKind::Other, CLEAN_SPACES),
    row("tekken", GgufSplit::Tekken, PreKind::Other, IGNORE_MERGES | ADD_BOS),
    row("pixtral", GgufSplit::Tekken, PreKind::Other, IGNORE_MERGES | ADD_BOS),
    row("tekken-num3", GgufSplit::TekkenNum3, PreKind::Other, IGNORE_MERGES | ADD_BOS),
    row("smollm", GgufSplit::Starcoder, PreKind::Other, 0),
    row("codeshell", GgufSplit::Starcoder, PreKind::Other, CLEAN_SPACES),
    row("bloom", GgufSplit::Bloom, PreKind::Other, CLEAN_SPACES),
    row("gpt3-finnish", GgufSplit::Bloom, PreKind::Other, CLEAN_SPACES),
    row("exaone", GgufSplit::Starcoder, PreKind::Other, CLEAN_SPACES),
    row("exaone4", GgufSplit::Gpt2, PreKind::Other, 0),
    row("exaone-moe", GgufSplit::ExaoneMoe, PreKind::Other, CLEAN_SPACES),
    row("chameleon", GgufSplit::Chameleon, PreKind::Other, ADD_BOS),
    row("minerva-7b", GgufSplit::Starcoder, PreKind::Other, CLEAN_SPACES),
    row("domyn-small", GgufSplit::Gemma4, PreKind::Other, RAW | CLEAN_SPACES | ESCAPE),
    row("megrez", GgufSplit::Qwen2, PreKind::Other, CLEAN_SPACES),
    row("gpt-4o", GgufSplit::Gpt4o, PreKind::Other, 0),
    row("llama4", GgufSplit::Gpt4o, PreKind::Other, 0),
    row("kanana2", GgufSplit::Gpt4o, PreKind::Other, 0),
    row("talkie", GgufSplit::Gpt4o, PreKind::Other, 0),
    row("granite-embed-multi-97m", GgufSplit::Gpt4o, PreKind::Other, IGNORE_MERGES),
    row("tiny_aya", GgufSplit::TinyAya, PreKind::Other, 0),
    row("cohere2moe", GgufSplit::TinyAya, PreKind::Other, 0),
    row("superbpe", GgufSplit::Superbpe, PreKind::Other, 0),
    row("trillion", GgufSplit::Gpt2, PreKind::Other, 0),
    row("granite-docling", GgufSplit::Gpt2, PreKind::Other, 0),
    row("bailingmoe", GgufSplit::BailingMoe, PreKind::Other, 0),
    row("bailingmoe2", GgufSplit::BailingMoe, PreKind::Other, 0),
    row("llada-moe", GgufSplit::BailingMoe, PreKind::Other, 0),
    row("seed-coder", GgufSplit::SeedCoder, PreKind::Other, 0),
    row("hunyuan", GgufSplit::Qwen2, PreKind::Other, 0),
    row("hunyuan-dense", GgufSplit::DeepseekV3, PreKind::Other, 0),
    row("hy_v4", GgufSplit::DeepseekV3, PreKind::Other, 0),
    row("joyai-llm", GgufSplit::DeepseekV3, PreKind::Other, 0),
    row("kimi-k2", GgufSplit::KimiK2, PreKind::KimiK2, 0),
    row("ufakzeka", GgufSplit::Ufakzeka, PreKind::Other, 0),
    row("grok-2", GgufSplit::Qwen2, PreKind::Other, 0),
    row("afmoe", GgufSplit::Afmoe, PreKind::Other, 0),
    row("laguna", GgufSplit::Laguna, PreKind::Other, 0),
    row("minimax-m2", GgufSplit::Gpt4o, PreKind::Other, 0),
    row("solar-open", GgufSplit::Qwen2, PreKind::Other, 0),
    row("mellum2", GgufSplit::Starcoder, PreKind::Other, 0),
    row("k2-horizon", GgufSplit::K2Horizon, PreKind::Other, 0),
    row("nemotron-3.5-embed", GgufSplit::Tekken, PreKind::Nemotron, IGNORE_MERGES | CLEAN_SPACES | ADD_BOS),
    row("soprano", GgufSplit::Soprano, PreKind::Soprano, RAW | CLEAN_SPACES),
];
