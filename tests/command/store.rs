//! `explain`, `cache`, `completions`, `man`.

use std::fs;

use serde_json::Value;

use crate::{MODEL, answer, run_in, text_of};

#[test]
fn explain_tells_the_story_for_people_and_for_programs() {
    let story = answer(&["explain", MODEL], "");
    for part in ["llama-bpe", "embedded  found", "<|begin_of_text|>", "ends generation", "621"] {
        assert!(story.contains(part), "expected {part:?} in {story}");
    }
    let story: Value = serde_json::from_str(&answer(&["explain", MODEL, "--json"], "")).unwrap();
    assert_eq!(story["resolution"]["strategy"], "embedded");
    assert_eq!(story["resolution"]["degraded"], false);
    assert_eq!(story["tokenizer"]["ids"], 621);
}

#[test]
fn the_store_keeps_an_answer_and_the_command_lists_and_removes_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path();
    let run = |arguments: &[&str]| {
        let output = run_in(store, arguments, "");
        assert!(output.status.success(), "{arguments:?}: {}", text_of(&output.stderr));
        text_of(&output.stdout).to_owned()
    };
    assert_eq!(run(&["cache", "path"]).trim_end(), store.to_str().unwrap());
    assert!(run(&["cache", "list", "--json"]).is_empty());
    run(&["count", MODEL, "--text", "x"]);
    let listed: Value = serde_json::from_str(&run(&["cache", "list", "--json"])).unwrap();
    assert!(listed["model"].as_str().unwrap().ends_with("llama-bpe.gguf"), "{listed}");
    assert!(run(&["cache", "list"]).contains("1 entries"));
    let again: Value = serde_json::from_str(&run(&["explain", MODEL, "--json"])).unwrap();
    assert_eq!(again["resolution"]["stored"], true);
    assert!(run(&["cache", "verify"]).starts_with("sound"));
    assert_eq!(run_in(store, &["cache", "remove", "2"], "").status.code(), Some(1));
    assert!(run(&["cache", "remove", "1"]).starts_with("removed"));
    assert!(run(&["cache", "list", "--json"]).is_empty());
    run(&["count", MODEL, "--text", "x"]);
    assert_eq!(run(&["cache", "clear"]), "removed 1 entries\n");
}

#[test]
fn a_damaged_entry_is_found() {
    let directory = tempfile::tempdir().unwrap();
    assert!(run_in(directory.path(), &["count", MODEL, "--text", "x"], "").status.success());
    let mut files = Vec::new();
    let mut open = vec![directory.path().to_owned()];
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { open.push(path) } else { files.push(path) }
        }
    }
    let image = files.iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = fs::read(image).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(image, bytes).unwrap();
    let output = run_in(directory.path(), &["cache", "verify"], "");
    assert_eq!(output.status.code(), Some(1), "{}", text_of(&output.stdout));
    assert!(text_of(&output.stdout).starts_with("damaged"));
}

#[test]
fn completions_and_the_manual_know_every_subcommand() {
    let manual = answer(&["man"], "");
    let commands =
        ["count", "encode", "decode", "truncate", "split", "chat", "explain", "doctor", "pipe", "cache"];
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = answer(&["completions", shell], "");
        for command in commands {
            assert!(script.contains(command), "{shell}: {command}");
            assert!(manual.contains(&format!(".SH ANYTOK {}", command.to_uppercase())), "{command}");
        }
    }
}
