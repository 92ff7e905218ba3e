//! Every format through `resolve`, from a directory as its publishers lay it out, against the library that owns the format.

use std::path::{Path, PathBuf};

use anytok::{Resolution, Resolver, Special, SpecialText, Strategy, Tokenizer};
use serde::Deserialize;

/// A line of testdata/expected.jsonl.
#[derive(Deserialize)]
struct Row {
    model: String,
    library: String,
    text: String,
    ids: Vec<u32>,
}

#[test]
fn every_layout_gives_the_ids_of_the_library_that_owns_it() {
    let rows = std::fs::read_to_string(testdata("expected.jsonl")).unwrap();
    let rows: Vec<Row> = rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (mut models, mut wrong) = (Vec::new(), Vec::new());
    for of_model in rows.chunk_by(|a, b| a.model == b.model) {
        let Row { model, library, .. } = &of_model[0];
        models.push(model.as_str());
        let found = resolve(&format!("models/{model}"));
        if (found.strategy(), found.is_degraded()) != (Strategy::Sibling, false) {
            wrong.push(format!("{model}:\n{found}"));
            continue;
        }
        for Row { text, ids, .. } in of_model {
            let got = found.tokenizer().encode(text, Special::Ignore).unwrap();
            if got != *ids {
                wrong.push(format!("{model}, {text:?}\n     got {got:?}\n    want {ids:?} ({library})"));
            }
        }
    }
    let all = [
        "rwkv",
        "sentencepiece",
        "tekken",
        "tiktoken",
        "tokenizer-json",
        "unigram",
        "vocab-and-merges",
        "wordpiece",
    ];
    models.sort_unstable();
    assert_eq!(models, all);
    let few: Vec<_> = wrong.iter().take(12).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} of {} rows differ:\n{}", wrong.len(), rows.len(), few.join("\n"));
}

#[test]
fn the_same_vocabulary_gives_the_same_ids_from_each_format() {
    let same = [
        ("models/llama-bpe.gguf", "models/tokenizer-json"),
        ("models/llama-spm.gguf", "models/sentencepiece"),
        ("models/rwkv.gguf", "models/rwkv"),
        ("models/t5.gguf", "models/unigram"),
        ("models/bert.gguf", "models/wordpiece"),
    ];
    for (gguf, directory) in same {
        let (gguf, directory) = (resolve(gguf), resolve(directory));
        for text in ["Hello, world!", "The boats 12 and the light.", "Der Tag", "fn count(x) { x + 1 }"] {
            let of = |found: &Resolution| found.tokenizer().encode(text, Special::Ignore).unwrap();
            assert_eq!(
                of(&gguf),
                of(&directory),
                "{text:?}: {} against {}",
                gguf.source(),
                directory.source()
            );
        }
    }
}

#[test]
fn texts_come_back_where_the_vocabulary_is_lossless() {
    let text = ["english.txt", "code.txt", "scripts.txt", "marks.txt"]
        .map(|name| std::fs::read_to_string(testdata("text").join(name)).unwrap())
        .concat();
    for model in
        ["qwen2.gguf", "rwkv.gguf", "tokenizer-json", "vocab-and-merges", "tiktoken", "tekken", "rwkv"]
    {
        let found = resolve(&format!("models/{model}"));
        let tokenizer = found.tokenizer();
        let ids = tokenizer.encode(&text, Special::Ignore).unwrap();
        assert!(ids.len() < text.len(), "{model}: nothing was merged");
        assert_eq!(tokenizer.decode(&ids, SpecialText::Render).unwrap(), text, "{model}");
    }
}

#[test]
fn special_tokens_are_known_from_what_lies_beside() {
    let roles = |tokenizer: &Tokenizer| {
        let special = tokenizer.special_tokens();
        (special.bos, special.eos)
    };
    for (model, bos, eos) in [
        ("llama-bpe.gguf", Some(616), Some(617)),
        ("qwen2.gguf", None, Some(618)),
        ("llama-spm.gguf", Some(1), Some(2)),
        ("sentencepiece", Some(1), Some(2)),
        ("tokenizer-json", Some(616), Some(620)),
        ("tekken", Some(1), Some(2)),
        ("unigram", None, Some(1)),
    ] {
        let found = resolve(&format!("models/{model}"));
        let (found_bos, found_eos) = roles(found.tokenizer());
        // llama.cpp has a default where a file names no BOS.
        assert!(bos.is_none() || found_bos == bos, "{model}: {found_bos:?}");
        assert_eq!(found_eos, eos, "{model}");
    }
    let llama = resolve("models/tokenizer-json");
    assert_eq!(llama.tokenizer().eog_tokens(), [617, 620]);
    let hello = llama.tokenizer().encode("Hello", Special::Add).unwrap();
    assert_eq!(hello[0], 616);
    let bert = resolve("models/wordpiece");
    let hello = bert.tokenizer().encode("hello", Special::Add).unwrap();
    assert_eq!((hello[0], hello.last()), (2, Some(&3)));
}

#[test]
fn chat_templates_come_along() {
    let qwen = resolve("models/qwen2.gguf");
    assert!(qwen.tokenizer().chat_template(None).unwrap().contains("<|im_start|>"));
    assert_eq!(qwen.tokenizer().chat_template_names().collect::<Vec<_>>(), ["tool_use"]);
    let llama = resolve("models/tokenizer-json");
    assert!(llama.tokenizer().chat_template(None).unwrap().contains("<|start_header_id|>"));
}

fn resolve(path: &str) -> Resolution {
    Resolver::builder().offline(true).without_store().build().resolve(testdata(path)).unwrap()
}

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}
