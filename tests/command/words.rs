//! What the command says of paths that have no tokenizer.

use std::fs;

use crate::refusal;

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9085657\n";
const PAGE: &str = "<!DOCTYPE html>\n<html><body>Sign in</body></html>\n";

#[test]
fn a_path_that_is_not_there_is_named() {
    let error = refusal(&["count", "testdata/none.gguf"], "", 1);
    assert_eq!(error, "anytok: no file or directory at testdata/none.gguf\n");
}

#[test]
fn a_path_that_looks_like_a_repository_says_how_to_ask_for_one() {
    for subcommand in ["count", "explain", "doctor"] {
        let error = refusal(&[subcommand, "example/model-7b"], "", 1);
        let expected = "no file or directory at example/model-7b; `hub:example/model-7b` names the repository on the Hub";
        assert_eq!(error, format!("anytok: {expected}\n"));
    }
    for path in ["./example/model-7b", "example/model-7b.gguf", "model-7b", "a/b/c"] {
        let error = refusal(&["count", path], "", 1);
        assert_eq!(error, format!("anytok: no file or directory at {path}\n"));
    }
    let error = refusal(&["count", "hub:example/model-7b"], "", 1);
    assert!(error.contains("hub") && error.contains("the network is off"), "{error}");
    let error = refusal(&["count", "hub:a/b/c"], "", 1);
    assert!(error.contains("expected a repository name"), "{error}");
}

#[test]
fn a_file_that_was_not_downloaded_is_told_as_one() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["model.gguf", "tokenizer.json", "tokenizer.model", "tekken.json"] {
        for (content, message) in [
            (POINTER, "found a Git LFS pointer to 9085657 bytes; `git lfs pull`"),
            (PAGE, "found an HTML page"),
            ("", "found an empty file (0 bytes)"),
        ] {
            let path = directory.path().join(name);
            fs::write(&path, content).unwrap();
            let error = refusal(&["count", path.to_str().unwrap()], "", 1);
            assert!(error.contains(message), "{name}: {error}");
            fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn a_file_that_was_cut_short_is_told_with_its_size() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tokenizer.json");
    let whole = fs::read("testdata/models/tokenizer-json/tokenizer.json").unwrap();
    fs::write(&path, &whole[..9000]).unwrap();
    let error = refusal(&["count", path.to_str().unwrap()], "", 1);
    assert!(error.contains("tokenizer.json ends too early, after 9000 bytes"), "{error}");
}
