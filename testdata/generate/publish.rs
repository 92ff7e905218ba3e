//! Lays vocabularies out as the publishers of models do.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anytok::gguf::GgufBuilder;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::train::{self, ByteLevel, Pieces, SPACE, byte_char, token_bytes};

/// Names and contents of all files.
pub(crate) fn files(text: &str) -> BTreeMap<String, Vec<u8>> {
    let byte_level = train::byte_level(text, 360);
    let bpe = train::sentencepiece_bpe(text, 300);
    let unigram = train::unigram(text, 300);
    let wordpiece = train::wordpiece(text, 300);
    let rwkv = rwkv_tokens(&byte_level);

    let mut files = Files::default();
    let llama_bpe = gguf_byte_level(&byte_level, LLAMA3, "llama", Some("llama-bpe"), 0);
    files.add("models/llama-bpe.gguf", llama_bpe.clone().finish());
    files.add("models/qwen2.gguf", gguf_qwen2(&byte_level).finish());
    files.add("models/llama-spm.gguf", gguf_spm(&bpe).finish());
    files.add("models/bert.gguf", gguf_bert(&wordpiece).finish());
    files.add("models/t5.gguf", gguf_t5(&unigram).finish());
    files.add("models/rwkv.gguf", gguf_rwkv(&rwkv).finish());
    files.add("models/no-pre.gguf", gguf_byte_level(&byte_level, LLAMA3, "llama", None, 0).finish());
    let unknown = gguf_byte_level(&byte_level, LLAMA3, "llama", Some("harbour-2"), 0);
    files.add("models/unknown-pre.gguf", unknown.finish());
    let none = named("llama").u32("llama.vocab_size", 640).tensor("token_embd.weight", &[2, 640], 1);
    files.add("models/no-tokenizer.gguf", none.finish());

    let whole = llama_bpe.finish();
    let token = token_at(&whole, 600);
    // Four of the eight bytes of a length.
    files.add("damaged/truncated.gguf", whole[..token + 4].to_vec());
    let mut longer = whole;
    longer[token..token + 8].copy_from_slice(&u64::MAX.to_le_bytes());
    files.add("damaged/string-length.gguf", longer);

    tokenizer_json(&mut files, &byte_level);
    vocab_and_merges(&mut files, &byte_level);
    tiktoken(&mut files, &byte_level);
    tekken(&mut files, &byte_level);
    sentencepiece_llama(&mut files, &bpe);
    sentencepiece_t5(&mut files, &unigram);
    bert(&mut files, &wordpiece);
    rwkv_directory(&mut files, &rwkv);
    files.text("models/without-tokenizer/config.json", LLAMA_CONFIG.replace("ROWS", "640"));
    files.add("models/without-tokenizer/model.safetensors", safetensors("model.embed_tokens.weight", 640));
    files.0
}

/// Special tokens: BOS, EOS, then others; each model names its own.
struct Special {
    tokens: &'static [&'static str],
    bos: Option<usize>,
    eos: usize,
}

const LLAMA3: Special = Special {
    tokens: &[
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
    ],
    bos: Some(0),
    eos: 1,
};
const QWEN2: Special =
    Special { tokens: &["<|endoftext|>", "<|im_start|>", "<|im_end|>"], bos: None, eos: 2 };

const CHATML: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}\
     {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
const TOOL_TEMPLATE: &str = "<|im_start|>system\n{{ tools | tojson }}<|im_end|>\n";

/// Values of `tokenizer.ggml.token_type`.
const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;

fn named(architecture: &str) -> GgufBuilder {
    GgufBuilder::new()
        .string("general.architecture", architecture)
        .string("general.name", "Harbour")
        .u32(&format!("{architecture}.context_length"), 128)
}

/// A `gpt2` vocabulary; `rows` of the embedding beyond its tokens are named as the converter of llama.cpp names them.
fn gguf_byte_level(
    vocabulary: &ByteLevel,
    special: Special,
    architecture: &str,
    pre: Option<&str>,
    rows: usize,
) -> GgufBuilder {
    let ByteLevel { tokens, merges } = vocabulary;
    let first = tokens.len();
    let used = first + special.tokens.len();
    let count = used.max(rows);
    let texts = tokens.iter().cloned().chain(special.tokens.iter().map(|&token| token.to_owned()));
    let texts = texts.chain((used..count).map(|id| format!("[PAD{id}]")));
    let kinds = (0..count).map(|id| match id {
        id if id < first => NORMAL,
        id if id < used => CONTROL,
        _ => UNUSED,
    });
    let mut builder = named(architecture)
        .u32(&format!("{architecture}.vocab_size"), count as u32)
        .string("tokenizer.ggml.model", "gpt2");
    if let Some(pre) = pre {
        builder = builder.string("tokenizer.ggml.pre", pre);
    }
    builder = builder
        .strings("tokenizer.ggml.tokens", texts)
        .i32s("tokenizer.ggml.token_type", kinds)
        .strings("tokenizer.ggml.merges", merges.iter().map(|(left, right)| format!("{left} {right}")))
        .u32("tokenizer.ggml.eos_token_id", (first + special.eos) as u32);
    match special.bos {
        Some(bos) => builder.u32("tokenizer.ggml.bos_token_id", (first + bos) as u32),
        None => builder.bool("tokenizer.ggml.add_bos_token", false),
    }
}

fn gguf_qwen2(vocabulary: &ByteLevel) -> GgufBuilder {
    gguf_byte_level(vocabulary, QWEN2, "qwen2", Some("qwen2"), 640)
        .u32("tokenizer.ggml.padding_token_id", vocabulary.tokens.len() as u32)
        .string("tokenizer.chat_template", CHATML)
        .string("tokenizer.chat_template.tool_use", TOOL_TEMPLATE)
}

fn gguf_spm(vocabulary: &Pieces) -> GgufBuilder {
    let pieces = llama_pieces(vocabulary);
    named("llama")
        .u32("llama.vocab_size", pieces.len() as u32)
        .string("tokenizer.ggml.model", "llama")
        .string("tokenizer.ggml.pre", "default")
        .strings("tokenizer.ggml.tokens", pieces.iter().map(|piece| &piece.0))
        .f32s("tokenizer.ggml.scores", pieces.iter().map(|piece| piece.1))
        .i32s("tokenizer.ggml.token_type", pieces.iter().map(|piece| piece.2))
        .u32("tokenizer.ggml.bos_token_id", 1)
        .u32("tokenizer.ggml.eos_token_id", 2)
        .u32("tokenizer.ggml.unknown_token_id", 0)
        .bool("tokenizer.ggml.add_bos_token", true)
        .bool("tokenizer.ggml.add_eos_token", false)
}

/// Writes words as the converter of llama.cpp does: `▁` in front of what begins a word, nothing in front of what goes on.
fn gguf_bert(vocabulary: &[String]) -> GgufBuilder {
    let is_special = |token: &str| token.starts_with('[') && token.len() > 1;
    let text = |token: &String| match token.strip_prefix("##") {
        Some(rest) if !rest.is_empty() => rest.to_owned(),
        _ if is_special(token) => token.clone(),
        _ => format!("{SPACE}{token}"),
    };
    let kind = |token: &String| match token.as_str() {
        "[UNK]" => UNKNOWN,
        token if is_special(token) => CONTROL,
        _ => NORMAL,
    };
    named("bert")
        .string("tokenizer.ggml.model", "bert")
        .string("tokenizer.ggml.pre", "default")
        .u32("tokenizer.ggml.token_type_count", 2)
        .strings("tokenizer.ggml.tokens", vocabulary.iter().map(text))
        .i32s("tokenizer.ggml.token_type", vocabulary.iter().map(kind))
        .u32("tokenizer.ggml.padding_token_id", 0)
        .u32("tokenizer.ggml.unknown_token_id", 1)
        .u32("tokenizer.ggml.bos_token_id", 2)
        .u32("tokenizer.ggml.cls_token_id", 2)
        .u32("tokenizer.ggml.seperator_token_id", 3)
        .u32("tokenizer.ggml.mask_token_id", 4)
}

fn gguf_t5(vocabulary: &Pieces) -> GgufBuilder {
    let pieces = t5_pieces(vocabulary);
    named("t5")
        .u32("t5.vocab_size", pieces.len() as u32)
        .string("tokenizer.ggml.model", "t5")
        .string("tokenizer.ggml.pre", "default")
        .strings("tokenizer.ggml.tokens", pieces.iter().map(|piece| &piece.0))
        .f32s("tokenizer.ggml.scores", pieces.iter().map(|piece| piece.1))
        .i32s("tokenizer.ggml.token_type", pieces.iter().map(|piece| piece.2))
        .bool("tokenizer.ggml.add_space_prefix", true)
        .bool("tokenizer.ggml.remove_extra_whitespaces", true)
        .u32("tokenizer.ggml.padding_token_id", 0)
        .u32("tokenizer.ggml.eos_token_id", 1)
        .u32("tokenizer.ggml.unknown_token_id", 2)
        .bool("tokenizer.ggml.add_bos_token", false)
        .bool("tokenizer.ggml.add_eos_token", true)
}

/// The bytes of a Python literal, without its quotes.
fn gguf_rwkv(tokens: &[Vec<u8>]) -> GgufBuilder {
    let texts = std::iter::once("<s>".to_owned()).chain(tokens.iter().map(|token| python_escaped(token)));
    let kinds = std::iter::once(CONTROL).chain(tokens.iter().map(|_| NORMAL));
    named("rwkv7")
        .string("tokenizer.ggml.model", "rwkv")
        .strings("tokenizer.ggml.tokens", texts)
        .i32s("tokenizer.ggml.token_type", kinds)
        .u32("tokenizer.ggml.bos_token_id", 0)
        .u32("tokenizer.ggml.eos_token_id", 0)
        .u32("tokenizer.ggml.unknown_token_id", 0)
}

/// As Llama 3 is published on the Hub.
fn tokenizer_json(files: &mut Files, vocabulary: &ByteLevel) {
    const DIRECTORY: &str = "models/tokenizer-json";
    let first = vocabulary.tokens.len();
    let added = |(i, token): (usize, &&str)| {
        format!(
            "    {{\"id\": {}, \"content\": \"{token}\", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \
             \"normalized\": false, \"special\": true}}",
            first + i
        )
    };
    let added: Vec<String> = LLAMA3.tokens.iter().enumerate().map(added).collect();
    let vocab: Vec<String> = entries(&vocabulary.tokens).map(|entry| format!("      {entry}")).collect();
    let merge = |(left, right): &(String, String)| format!("      [{}, {}]", quoted(left), quoted(right));
    let merges: Vec<String> = vocabulary.merges.iter().map(merge).collect();
    let json = TOKENIZER_JSON
        .replace("ADDED", &added.join(",\n"))
        .replace("VOCAB", &vocab.join(",\n"))
        .replace("MERGES", &merges.join(",\n"))
        .replace("BOS_ID", &first.to_string());
    files.text(format!("{DIRECTORY}/tokenizer.json"), json);
    files.text(format!("{DIRECTORY}/tokenizer_config.json"), TOKENIZER_CONFIG);
    files.text(
        format!("{DIRECTORY}/special_tokens_map.json"),
        "{\n  \"bos_token\": \"<|begin_of_text|>\",\n  \"eos_token\": \"<|eot_id|>\"\n}\n",
    );
    let rows = first + LLAMA3.tokens.len();
    let config = LLAMA_CONFIG.replace("ROWS", &rows.to_string());
    files.text(format!("{DIRECTORY}/config.json"), config);
    let generation =
        format!("{{\"bos_token_id\": {first}, \"eos_token_id\": [{}, {}]}}\n", first + 1, first + 4);
    files.text(format!("{DIRECTORY}/generation_config.json"), generation);
    files.text(format!("{DIRECTORY}/chat_template.jinja"), LLAMA_TEMPLATE);
    files.add(format!("{DIRECTORY}/model.safetensors"), safetensors("model.embed_tokens.weight", rows));
}

/// As GPT-2 is published.
fn vocab_and_merges(files: &mut Files, vocabulary: &ByteLevel) {
    const DIRECTORY: &str = "models/vocab-and-merges";
    let mut tokens = vocabulary.tokens.clone();
    tokens.push("<|endoftext|>".to_owned());
    let vocab: Vec<String> = entries(&tokens).collect();
    files.text(format!("{DIRECTORY}/vocab.json"), format!("{{{}}}", vocab.join(", ")));
    let mut merges = String::from("#version: 0.2\n");
    for (left, right) in &vocabulary.merges {
        let _ = writeln!(merges, "{left} {right}");
    }
    files.text(format!("{DIRECTORY}/merges.txt"), merges);
    files.text(
        format!("{DIRECTORY}/tokenizer_config.json"),
        "{\"tokenizer_class\": \"GPT2Tokenizer\", \"model_max_length\": 1024}\n",
    );
    let end = tokens.len() - 1;
    let config = format!(
        "{{\n  \"architectures\": [\"GPT2LMHeadModel\"],\n  \"model_type\": \"gpt2\",\n  \"bos_token_id\": {end},\n  \
         \"eos_token_id\": {end},\n  \"vocab_size\": {}\n}}\n",
        tokens.len()
    );
    files.text(format!("{DIRECTORY}/config.json"), config);
    files.add(format!("{DIRECTORY}/model.safetensors"), safetensors("wte.weight", tokens.len()));
}

/// As the first Qwen is published: ranks in base64; the class named beside them knows the split and the special tokens.
fn tiktoken(files: &mut Files, vocabulary: &ByteLevel) {
    const DIRECTORY: &str = "models/tiktoken";
    let mut ranks = String::new();
    for (rank, token) in ranked(vocabulary).iter().enumerate() {
        let _ = writeln!(ranks, "{} {rank}", STANDARD.encode(token));
    }
    files.text(format!("{DIRECTORY}/qwen.tiktoken"), ranks);
    files.text(
        format!("{DIRECTORY}/tokenizer_config.json"),
        "{\n  \"model_max_length\": 8192,\n  \"tokenizer_class\": \"QWenTokenizer\"\n}\n",
    );
    // 208 special tokens come behind the ranks, and the rows are padded to a multiple of 128.
    let rows = (vocabulary.tokens.len() + 208).next_multiple_of(128);
    let config = format!(
        "{{\n  \"architectures\": [\"QWenLMHeadModel\"],\n  \"model_type\": \"qwen\",\n  \"tokenizer_type\": \
         \"QWenTokenizer\",\n  \"vocab_size\": {rows}\n}}\n"
    );
    files.text(format!("{DIRECTORY}/config.json"), config);
    files.add(format!("{DIRECTORY}/model.safetensors"), safetensors("transformer.wte.weight", rows));
}

/// As Mistral publishes: everything in one file, and ids in which the special tokens come first.
fn tekken(files: &mut Files, vocabulary: &ByteLevel) {
    const DIRECTORY: &str = "models/tekken";
    const SPECIAL: [&str; 10] = [
        "<unk>",
        "<s>",
        "</s>",
        "[INST]",
        "[/INST]",
        "[AVAILABLE_TOOLS]",
        "[/AVAILABLE_TOOLS]",
        "[TOOL_RESULTS]",
        "[/TOOL_RESULTS]",
        "[TOOL_CALLS]",
    ];
    let ranked = ranked(vocabulary);
    let token = |(rank, bytes): (usize, &Vec<u8>)| {
        let text = std::str::from_utf8(bytes).map_or("null".to_owned(), quoted);
        format!(
            "    {{\"rank\": {rank}, \"token_bytes\": \"{}\", \"token_str\": {text}}}",
            STANDARD.encode(bytes)
        )
    };
    let vocab: Vec<String> = ranked.iter().enumerate().map(token).collect();
    let special = |(rank, text): (usize, &&str)| {
        format!("    {{\"rank\": {rank}, \"token_str\": \"{text}\", \"is_control\": true}}")
    };
    let special: Vec<String> = SPECIAL.iter().enumerate().map(special).collect();
    let size = ranked.len() + SPECIAL.len();
    let json = TEKKEN_JSON
        .replace("VOCAB_SIZE", &size.to_string())
        .replace("RANKS", &ranked.len().to_string())
        .replace("SPECIAL_COUNT", &SPECIAL.len().to_string())
        .replace("SPECIAL", &special.join(",\n"))
        .replace("VOCAB", &vocab.join(",\n"));
    files.text(format!("{DIRECTORY}/tekken.json"), json);
    let params = format!("{{\n  \"dim\": 2,\n  \"n_layers\": 1,\n  \"vocab_size\": {size}\n}}\n");
    files.text(format!("{DIRECTORY}/params.json"), params);
    let weights = safetensors("tok_embeddings.weight", size);
    files.add(format!("{DIRECTORY}/consolidated.safetensors"), weights);
}

/// As Llama 2 is published, without a `tokenizer.json`.
fn sentencepiece_llama(files: &mut Files, vocabulary: &Pieces) {
    const DIRECTORY: &str = "models/sentencepiece";
    let pieces = llama_pieces(vocabulary);
    let trainer = Message::default().varint(3, 2).varint(4, pieces.len() as u64).varint(35, 1);
    let trainer = trainer.id(40, 0).id(41, 1).id(42, 2).id(43, -1);
    let normalizer = Message::default().bytes(1, b"identity").varint(3, 1).varint(4, 0).varint(5, 1);
    files.add(format!("{DIRECTORY}/tokenizer.model"), model_proto(&pieces, trainer, normalizer));
    files.text(
        format!("{DIRECTORY}/tokenizer_config.json"),
        "{\n  \"add_bos_token\": true,\n  \"add_eos_token\": false,\n  \"bos_token\": \"<s>\",\n  \"eos_token\": \"</s>\",\n  \
         \"legacy\": false,\n  \"tokenizer_class\": \"LlamaTokenizer\",\n  \"unk_token\": \"<unk>\"\n}\n",
    );
    let config = LLAMA_CONFIG.replace("ROWS", &pieces.len().to_string());
    files.text(format!("{DIRECTORY}/config.json"), config);
    let weights = safetensors("model.embed_tokens.weight", pieces.len());
    files.add(format!("{DIRECTORY}/model.safetensors"), weights);
}

/// As T5 is published; the embedding has more rows than the tokenizer has pieces.
fn sentencepiece_t5(files: &mut Files, vocabulary: &Pieces) {
    const DIRECTORY: &str = "models/unigram";
    let pieces = t5_pieces(vocabulary);
    let trainer = Message::default().varint(3, 1).varint(4, pieces.len() as u64);
    let trainer = trainer.id(40, 2).id(41, -1).id(42, 1).id(43, 0);
    let normalizer = Message::default().bytes(1, b"identity").varint(3, 1).varint(4, 1).varint(5, 1);
    files.add(format!("{DIRECTORY}/spiece.model"), model_proto(&pieces, trainer, normalizer));
    files.text(
        format!("{DIRECTORY}/tokenizer_config.json"),
        "{\"eos_token\": \"</s>\", \"extra_ids\": 0, \"pad_token\": \"<pad>\", \"tokenizer_class\": \"T5Tokenizer\", \
         \"unk_token\": \"<unk>\"}\n",
    );
    let rows = pieces.len().next_multiple_of(128);
    let config = format!(
        "{{\n  \"architectures\": [\"T5ForConditionalGeneration\"],\n  \"model_type\": \"t5\",\n  \"eos_token_id\": 1,\n  \
         \"pad_token_id\": 0,\n  \"vocab_size\": {rows}\n}}\n"
    );
    files.text(format!("{DIRECTORY}/config.json"), config);
    files.add(format!("{DIRECTORY}/model.safetensors"), safetensors("shared.weight", rows));
}

/// As BERT is published.
fn bert(files: &mut Files, vocabulary: &[String]) {
    const DIRECTORY: &str = "models/wordpiece";
    let mut vocab = vocabulary.join("\n");
    vocab.push('\n');
    files.text(format!("{DIRECTORY}/vocab.txt"), vocab);
    files.text(
        format!("{DIRECTORY}/tokenizer_config.json"),
        "{\"do_lower_case\": true, \"model_max_length\": 512, \"tokenizer_class\": \"BertTokenizer\"}\n",
    );
    let config = format!(
        "{{\n  \"architectures\": [\"BertModel\"],\n  \"model_type\": \"bert\",\n  \"pad_token_id\": 0,\n  \"vocab_size\": \
         {}\n}}\n",
        vocabulary.len()
    );
    files.text(format!("{DIRECTORY}/config.json"), config);
    let weights = safetensors("embeddings.word_embeddings.weight", vocabulary.len());
    files.add(format!("{DIRECTORY}/model.safetensors"), weights);
}

/// As RWKV World is published: id, Python literal, length in bytes.
fn rwkv_directory(files: &mut Files, tokens: &[Vec<u8>]) {
    const DIRECTORY: &str = "models/rwkv";
    let mut lines = String::new();
    for (id, token) in (1..).zip(tokens) {
        let literal = match std::str::from_utf8(token) {
            // Python writes a string where it is one, and bytes where it is not.
            Ok(text) if !text.chars().any(char::is_control) => {
                format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
            }
            Ok(_) => format!("'{}'", python_escaped(token).replace('\'', "\\'")),
            Err(_) => format!("b'{}'", python_escaped(token).replace('\'', "\\'")),
        };
        let _ = writeln!(lines, "{id} {literal} {}", token.len());
    }
    files.text(format!("{DIRECTORY}/rwkv_vocab_v20230424.txt"), lines);
    let rows = (tokens.len() + 1).next_multiple_of(128);
    let config = format!(
        "{{\n  \"architectures\": [\"Rwkv7ForCausalLM\"],\n  \"model_type\": \"rwkv7\",\n  \"vocab_size\": {rows}\n}}\n"
    );
    files.text(format!("{DIRECTORY}/config.json"), config);
    files.add(format!("{DIRECTORY}/model.safetensors"), safetensors("model.embeddings.weight", rows));
}

/// Pieces with their scores and types, in Llama's order: three control pieces, the bytes, the rest.
fn llama_pieces(vocabulary: &Pieces) -> Vec<(String, f32, i32)> {
    let mut pieces = vec![
        ("<unk>".to_owned(), 0.0, UNKNOWN),
        ("<s>".to_owned(), 0.0, CONTROL),
        ("</s>".to_owned(), 0.0, CONTROL),
    ];
    pieces.extend((0..=255u8).map(|byte| (format!("<0x{byte:02X}>"), 0.0, BYTE)));
    pieces.extend(vocabulary.pieces.iter().map(|(piece, score)| (piece.clone(), *score, NORMAL)));
    pieces
}

fn t5_pieces(vocabulary: &Pieces) -> Vec<(String, f32, i32)> {
    let mut pieces = vec![
        ("<pad>".to_owned(), 0.0, CONTROL),
        ("</s>".to_owned(), 0.0, CONTROL),
        ("<unk>".to_owned(), 0.0, UNKNOWN),
    ];
    pieces.extend(vocabulary.pieces.iter().map(|(piece, score)| (piece.clone(), *score, NORMAL)));
    pieces
}

/// Tokens as tiktoken counts them: the bytes in their order, then what merges make.
fn ranked(vocabulary: &ByteLevel) -> Vec<Vec<u8>> {
    let bytes = (0..=255).map(|byte| token_bytes(&byte_char(byte).to_string()));
    bytes.chain(vocabulary.tokens.iter().skip(256).map(|token| token_bytes(token))).collect()
}

/// Tokens as RWKV World orders them: the bytes, then longer ones by length.
fn rwkv_tokens(vocabulary: &ByteLevel) -> Vec<Vec<u8>> {
    let mut tokens = ranked(vocabulary);
    tokens[256..].sort_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    tokens
}

fn python_escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes {
        match byte {
            b'\t' => text.push_str("\\t"),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    text
}

/// A safetensors file with one tensor of zeros, two halves a row.
fn safetensors(tensor: &str, rows: usize) -> Vec<u8> {
    let size = rows * 4;
    let mut header = format!(
        "{{\"__metadata__\":{{\"format\":\"pt\"}},\"{tensor}\":{{\"dtype\":\"F16\",\"shape\":[{rows},2],\"data_offsets\":[0,{size}]}}}}"
    );
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.resize(file.len() + size, 0);
    file
}

/// Where the length of token `index` begins in a GGUF of version 3, little-endian.
fn token_at(gguf: &[u8], index: usize) -> usize {
    let key = b"tokenizer.ggml.tokens";
    let found = gguf.windows(key.len()).position(|window| window == key).expect("the file has tokens");
    // The array's type, its elements' type and their number.
    let mut at = found + key.len() + 4 + 4 + 8;
    for _ in 0..index {
        let length = gguf[at..at + 8].try_into().map(u64::from_le_bytes).expect("eight bytes");
        at += 8 + length as usize;
    }
    at
}

/// `ModelProto` of SentencePiece: pieces, trainer, normalizer.
fn model_proto(pieces: &[(String, f32, i32)], trainer: Message, normalizer: Message) -> Vec<u8> {
    let mut model = Message::default();
    for (piece, score, kind) in pieces {
        let message = Message::default()
            .bytes(1, piece.as_bytes())
            .float(2, *score)
            .varint(3, kind.unsigned_abs().into());
        model = model.bytes(1, &message.0);
    }
    model.bytes(2, &trainer.0).bytes(3, &normalizer.0).0
}

/// A protobuf message as it is written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(mut self, field: u64, value: u64) -> Self {
        self.put(field << 3);
        self.put(value);
        self
    }

    /// A signed `int32`, of which negative ones take ten bytes.
    fn id(self, field: u64, value: i64) -> Self {
        self.varint(field, value.cast_unsigned())
    }

    fn float(mut self, field: u64, value: f32) -> Self {
        self.put(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        self.put(field << 3 | 2);
        self.put(value.len() as u64);
        self.0.extend(value);
        self
    }

    fn put(&mut self, mut value: u64) {
        while value > 127 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[derive(Default)]
struct Files(BTreeMap<String, Vec<u8>>);

impl Files {
    fn add(&mut self, name: impl Into<String>, content: Vec<u8>) {
        self.0.insert(name.into(), content);
    }

    fn text(&mut self, name: impl Into<String>, content: impl Into<String>) {
        self.add(name, content.into().into_bytes());
    }
}

/// `"token": id`, in the order of the ids.
fn entries(tokens: &[String]) -> impl Iterator<Item = String> {
    tokens.iter().enumerate().map(|(id, token)| format!("{}: {id}", quoted(token)))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

const LLAMA_CONFIG: &str = r#"{
  "architectures": ["LlamaForCausalLM"],
  "hidden_size": 2,
  "model_type": "llama",
  "tie_word_embeddings": true,
  "torch_dtype": "float16",
  "vocab_size": ROWS
}
"#;

const LLAMA_TEMPLATE: &str = "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message.role }}<|end_header_id|>\n\n{{ \
     message.content }}<|eot_id|>{% endfor %}\n";

const TOKENIZER_CONFIG: &str = r#"{
  "bos_token": "<|begin_of_text|>",
  "clean_up_tokenization_spaces": false,
  "eos_token": "<|eot_id|>",
  "model_max_length": 128,
  "tokenizer_class": "PreTrainedTokenizerFast"
}
"#;

const TOKENIZER_JSON: &str = r#"{
  "version": "1.0",
  "truncation": null,
  "padding": null,
  "added_tokens": [
ADDED
  ],
  "normalizer": null,
  "pre_tokenizer": {
    "type": "Sequence",
    "pretokenizers": [
      {
        "type": "Split",
        "pattern": {"Regex": "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
        "behavior": "Isolated",
        "invert": false
      },
      {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}
    ]
  },
  "post_processor": {
    "type": "Sequence",
    "processors": [
      {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
      {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<|begin_of_text|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [
          {"SpecialToken": {"id": "<|begin_of_text|>", "type_id": 0}},
          {"Sequence": {"id": "A", "type_id": 0}},
          {"SpecialToken": {"id": "<|begin_of_text|>", "type_id": 1}},
          {"Sequence": {"id": "B", "type_id": 1}}
        ],
        "special_tokens": {
          "<|begin_of_text|>": {"id": "<|begin_of_text|>", "ids": [BOS_ID], "tokens": ["<|begin_of_text|>"]}
        }
      }
    ]
  },
  "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
  "model": {
    "type": "BPE",
    "dropout": null,
    "unk_token": null,
    "continuing_subword_prefix": null,
    "end_of_word_suffix": null,
    "fuse_unk": false,
    "byte_fallback": false,
    "ignore_merges": true,
    "vocab": {
VOCAB
    },
    "merges": [
MERGES
    ]
  }
}
"#;

const TEKKEN_JSON: &str = r#"{
  "config": {
    "pattern": "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    "num_vocab_tokens": RANKS,
    "default_vocab_size": VOCAB_SIZE,
    "default_num_special_tokens": SPECIAL_COUNT,
    "version": "v7"
  },
  "special_tokens": [
SPECIAL
  ],
  "vocab": [
VOCAB
  ]
}
"#;
