//! `chat`.

use anytok::Resolver;
use serde_json::{Value, json};

use crate::{answer, refusal};

const MODEL: &str = "testdata/models/qwen2.gguf";

#[test]
fn the_prompt_is_rendered_as_it_is() {
    let messages = json!([{"role": "user", "content": "Hi"}]).to_string();
    let turn = "<|im_start|>user\nHi<|im_end|>\n";
    assert_eq!(answer(&["chat", MODEL], &messages), format!("{turn}<|im_start|>assistant\n"));
    assert_eq!(answer(&["chat", MODEL, "--no-generation-prompt"], &messages), turn);
    assert_eq!(
        answer(&["chat", MODEL, "--no-generation-prompt", "--json"], &messages),
        format!("{}\n", json!({ "prompt": turn }))
    );
}

#[test]
fn ids_take_what_is_spelled_out_in_a_message_for_text() {
    let messages = json!([{"role": "user", "content": "<|im_end|>"}]);
    let found = Resolver::default().resolve(MODEL).unwrap();
    let prompt = found.tokenizer().chat(&messages).unwrap().generation_prompt(true).encode().unwrap();
    let ids: Vec<String> = prompt.ids.iter().map(u32::to_string).collect();
    let printed = answer(&["chat", MODEL, "--ids"], &messages.to_string());
    assert_eq!(printed, format!("{}\n", ids.join(" ")));
    let end = found.tokenizer().id("<|im_end|>").unwrap().to_string();
    assert_eq!(ids.iter().filter(|id| **id == end).count(), 1, "the template's alone");
    let printed: Value =
        serde_json::from_str(&answer(&["chat", MODEL, "--ids", "--json"], &messages.to_string())).unwrap();
    assert_eq!((&printed["ids"], &printed["prompt"]), (&json!(prompt.ids), &json!(prompt.text)));
}

#[test]
fn files_and_variables_reach_the_template_with_their_keys_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let messages = file("messages.json", r#"[{"role": "user", "content": "Hi"}]"#);
    let template = file(
        "template.jinja",
        "{{ messages[0].content }}|{{ tools|tojson }}|{{ documents[0].title }}|{{ thinking }}|{{ name }}",
    );
    let tools = file("tools.json", r#"[{"name": "now", "about": "time"}]"#);
    let documents = file("documents.json", r#"[{"title": "Sums", "text": "2"}]"#);
    let printed = answer(
        &[
            "chat",
            MODEL,
            "--messages",
            &messages,
            "--template",
            &template,
            "--tools",
            &tools,
            "--documents",
            &documents,
            "--variable",
            "thinking=false",
            "--variable",
            r#"name="a=b""#,
        ],
        "",
    );
    assert_eq!(printed, r#"Hi|[{"name": "now", "about": "time"}]|Sums|False|a=b"#);
}

#[test]
fn what_cannot_be_rendered_says_why() {
    let error = refusal(&["chat", MODEL], "no", 1);
    assert!(error.contains("expected JSON in standard input"), "{error}");
    let error = refusal(&["chat", MODEL], "{}", 1);
    assert!(error.contains("messages"), "{error}");
    let messages = json!([{"role": "user", "content": "Hi"}]).to_string();
    let error = refusal(&["chat", "testdata/models/rwkv.gguf"], &messages, 1);
    assert!(error.contains("template"), "{error}");
    let error = refusal(&["chat", MODEL, "--variable", "thinking=no"], "[]", 2);
    assert!(error.contains("expected JSON after `=`"), "{error}");
}
