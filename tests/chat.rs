//! Prompts of real vocabularies: user text never becomes a special token, and ordinary text has the ids it always has.

#![cfg(feature = "chat")]

#[expect(dead_code, reason = "nothing here reads expected ids")]
mod shared;

use std::path::{Path, PathBuf};

use anytok::{ChatError, Resolver, Special, Tokenizer};
use serde_json::{Value, json};

/// Writes every field that the conversations have, in the ways templates do.
const TEMPLATE: &str = "{{ bos_token }}\
    {%- for m in messages %}{{ m.role }}: {{ m.content }}|{{ m.content|trim|upper }}|{{ m.content|lower }}\
    |{{ m.name }}|{{ m.reasoning_content }}|{{ (m.thinking or '')[1:] }}\
    |{% for p in m.parts %}{{ p.text }}{% endfor %}\
    |{% for p in m.parts %}{{ p.text|trim }}{% endfor %}\
    |{{ m.cut.replace('CUT', '') }}|{{ m.cut.split('CUT')|join }}\
    |{{ m.tool_calls|tojson }}|{{ m.tool_calls }}{% endfor %}\
    {{- tools|tojson(indent=2) }}{{ documents }}{{ extra ~ '' }}{{ eos_token }}";

/// A conversation with `text` in the field of that name, and something harmless in the others.
fn conversation(field: &str, text: &str) -> (Value, Value, Value, String) {
    let of = |name: &str| if name == field { text } else { "x" };
    // Halves that a template joins, and one with something in its middle that a template takes out.
    let middle = text.char_indices().nth(text.chars().count() / 2).map_or(0, |(at, _)| at);
    let (left, right) = if field == "parts" { text.split_at(middle) } else { ("x", "x") };
    let cut = if field == "cut" { format!("{}CUT{}", &text[..middle], &text[middle..]) } else { "x".into() };
    let mut arguments = serde_json::Map::new();
    arguments.insert(of("argument name").into(), of("argument").into());
    let messages = json!([{
        "role": of("role"), "content": of("content"), "name": of("name"), "thinking": of("thinking"),
        "parts": [{"text": left}, {"text": right}], "cut": cut,
        "tool_calls": [{"function": {"name": of("call"), "arguments": arguments}}],
    }]);
    let tools = json!([{"name": of("tool"), "parameters": {"enum": [of("schema")]}}]);
    let documents = json!([{"title": of("title"), "text": of("text")}]);
    (messages, tools, documents, of("extra").to_owned())
}

const FIELDS: &[&str] = &[
    "content",
    "role",
    "name",
    "thinking",
    "parts",
    "cut",
    "call",
    "argument",
    "argument name",
    "tool",
    "schema",
    "title",
    "text",
    "extra",
];

fn vocabularies(root: &Path) -> Vec<PathBuf> {
    let gguf = root.join("vocab/gguf");
    let mut paths: Vec<_> =
        shared::names(&gguf, ".gguf").iter().map(|name| gguf.join(format!("{name}.gguf"))).collect();
    let files = root.join("vocab/files");
    paths.extend(shared::names(&files, "").iter().map(|name| files.join(name)));
    paths
}

fn special(tokenizer: &Tokenizer, ids: &[u32]) -> usize {
    ids.iter().filter(|&&id| tokenizer.is_special(id) && Some(id) != tokenizer.special_tokens().unk).count()
}

#[test]
fn no_special_token_of_any_vocabulary_comes_from_the_input() {
    let Some(root) = shared::root() else { return };
    let (mut tokens, mut prompts, mut refused) = (0, 0, 0);
    let mut failures = Vec::new();
    for path in vocabularies(&root) {
        let found =
            Resolver::builder().offline(true).without_store().build().resolve(&path).expect("a tokenizer");
        let tokenizer = found.tokenizer();
        let texts: Vec<String> = (0..tokenizer.vocab_size())
            .filter(|&id| tokenizer.is_special(id))
            .filter_map(|id| String::from_utf8(tokenizer.token_text(id)?.into_owned()).ok())
            .filter(|text| !text.trim().is_empty())
            .collect();
        tokens += texts.len();
        // All of them in the content; elsewhere some dozens, so that vocabularies with thousands take no minutes.
        let few: Vec<String> = texts.iter().step_by(texts.len() / 24 + 1).cloned().collect();
        for field in FIELDS {
            let count = |text: &str| {
                let (messages, tools, documents, extra) = conversation(field, text);
                let chat = tokenizer.chat(&messages)?.tools(&tools).documents(&documents);
                let chat = chat.variable("extra", extra).template_source(TEMPLATE).add_special_tokens(false);
                Ok::<_, ChatError>(special(tokenizer, &chat.encode()?.ids))
            };
            let harmless = count("x").expect("a prompt");
            let texts = if *field == "content" { &texts } else { &few };
            let inputs = [texts.join(""), texts.join(" a\n")].into_iter().chain(texts.first().cloned());
            for input in inputs.filter(|input| !input.is_empty()) {
                prompts += 1;
                match count(&input) {
                    Ok(count) if count == harmless => {}
                    Ok(count) => {
                        failures.push(format!("{}: {field}: {count} for {harmless}", path.display()));
                    }
                    Err(ChatError::Literal { .. }) => refused += 1,
                    Err(error) => failures.push(format!("{}: {field}: {error}", path.display())),
                }
            }
        }
    }
    println!("{tokens} special tokens, {prompts} prompts, {refused} refused");
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures[..failures.len().min(40)].join("\n")
    );
}

#[test]
fn ordinary_text_has_the_ids_of_the_whole_prompt() {
    let Some(root) = shared::root() else { return };
    let mut compared = 0;
    for path in vocabularies(&root) {
        let found =
            Resolver::builder().offline(true).without_store().build().resolve(&path).expect("a tokenizer");
        let tokenizer = found.tokenizer();
        for text in [
            "a < b [c] {d}  <e></e> é 湖\n\n  x",
            "<",
            "<|not a token|>",
            "  \n",
            "a <tool_call>",
            "<think>x",
        ] {
            // Added tokens that are not special, and that the template does not have, are what they are in any text.
            let is_special = |text: &&str| tokenizer.id(text).is_some_and(|id| tokenizer.is_special(id));
            if ["<tool_call>", "<think>"].iter().filter(|token| text.contains(**token)).any(is_special) {
                continue;
            }
            for field in FIELDS {
                let (messages, tools, documents, extra) = conversation(field, text);
                let chat = tokenizer.chat(&messages).expect("a chat").tools(&tools).documents(&documents);
                let chat = chat.variable("extra", extra).template_source(TEMPLATE).add_special_tokens(false);
                let whole = tokenizer.encode(&chat.render().expect("a text"), Special::Parse).expect("ids");
                assert_eq!(chat.encode().expect("a prompt").ids, whole, "{}: {field}", path.display());
                compared += 1;
            }
        }
    }
    println!("{compared} prompts");
}

#[test]
fn opting_out_parses_the_input() {
    let found =
        Resolver::builder().offline(true).build().resolve("testdata/models/qwen2.gguf").expect("found");
    let tokenizer = found.tokenizer();
    let chat = tokenizer.chat(&json!([{"role": "user", "content": "<|im_end|>"}])).expect("a chat");
    let count = |prompt: &anytok::Prompt| special(tokenizer, &prompt.ids);
    assert_eq!(count(&chat.encode().expect("a prompt")), 2);
    assert_eq!(count(&chat.parse_input(true).encode().expect("a prompt")), 3);
}

#[test]
fn bos_is_never_doubled() {
    let found =
        Resolver::builder().offline(true).build().resolve("testdata/models/llama-bpe.gguf").expect("found");
    let tokenizer = found.tokenizer();
    let bos = tokenizer.special_tokens().bos.expect("a BOS");
    let chat = tokenizer.chat(&json!([{"role": "user", "content": "a"}])).expect("a chat");
    for (source, notes) in [("{{ bos_token }}a", 1), ("a", 0)] {
        let prompt = chat.clone().template_source(source).encode().expect("a prompt");
        assert_eq!(prompt.ids.iter().filter(|&&id| id == bos).count(), 1);
        assert_eq!((prompt.ids[0], prompt.notes.len()), (bos, notes));
        assert_eq!(prompt.offsets[0].end, if notes == 1 { prompt.text.len() - 1 } else { 0 });
    }
    let prompt = chat.template_source("a").add_special_tokens(false).encode().expect("a prompt");
    assert!(!prompt.ids.contains(&bos));
}

#[test]
fn the_mask_is_what_the_assistant_says() {
    let found =
        Resolver::builder().offline(true).build().resolve("testdata/models/qwen2.gguf").expect("found");
    let tokenizer = found.tokenizer();
    let source = "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}\
        {% else %}{{ m.content }}{% endif %}<|im_end|>{% endfor %}";
    let messages = json!([
        {"role": "user", "content": "one <|im_end|>"},
        {"role": "assistant", "content": "two <b> "},
        {"role": "user", "content": "three"},
        {"role": "assistant", "content": "four"},
    ]);
    let prompt =
        tokenizer.chat(&messages).expect("a chat").template_source(source).encode().expect("a prompt");
    let said: Vec<&str> = prompt
        .offsets
        .iter()
        .zip(&prompt.assistant_mask)
        .filter(|(_, said)| **said)
        .map(|(range, _)| &prompt.text[range.clone()])
        .collect();
    assert_eq!(said.concat(), "two <b> four");
    assert_eq!(prompt.assistant_mask.len(), prompt.ids.len());
}

#[test]
fn templates_are_found_where_a_model_has_them() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    for name in ["tokenizer.json", "tokenizer_config.json", "config.json"] {
        std::fs::copy(Path::new("testdata/models/tokenizer-json").join(name), at(name)).expect("a copy");
    }
    std::fs::write(at("chat_template.jinja"), "default").expect("written");
    std::fs::create_dir(at("additional_chat_templates")).expect("made");
    std::fs::write(at("additional_chat_templates/tool_use.jinja"), "tools").expect("written");
    let found =
        Resolver::builder().offline(true).without_store().build().resolve(directory.path()).expect("found");
    let chat = found.tokenizer().chat(&json!([{"role": "user"}])).expect("a chat");
    assert_eq!(chat.render().expect("a text"), "default");
    assert_eq!(chat.clone().tools(&json!([{}])).render().expect("a text"), "tools");
    assert_eq!(chat.clone().template("default").tools(&json!([{}])).render().expect("a text"), "default");
    let error = chat.template("rag").render().expect_err("no such template").to_string();
    assert_eq!(error, r#"expected the name of a chat template, one of ["default", "tool_use"], found "rag""#);
}
