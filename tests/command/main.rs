//! The command `anytok`, held by running it.

mod doctor;
mod help;
mod prompt;
mod store;
mod text;
mod words;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const MODEL: &str = "testdata/models/llama-bpe.gguf";

/// Runs the command without a network, and without a store unless the test brings one.
#[track_caller]
fn run(arguments: &[&str], input: &str) -> Output {
    run_in(Path::new(""), arguments, input)
}

/// The same with a store in that directory; with none if it is empty.
#[track_caller]
fn run_in(store: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_anytok"))
        .args(arguments)
        .env("ANYTOK_CACHE_DIR", store)
        .env("HF_HUB_OFFLINE", "1")
        .env("COLUMNS", "100")
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that does not read its input may be gone by now.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// Standard output of a run that must go well.
#[track_caller]
fn answer(arguments: &[&str], input: &str) -> String {
    let output = run(arguments, input);
    assert!(output.status.success(), "{arguments:?}: {}", text_of(&output.stderr));
    text_of(&output.stdout).to_owned()
}

/// Standard error of a run that must end with that status, and print no answer.
#[track_caller]
fn refusal(arguments: &[&str], input: &str, status: i32) -> String {
    let output = run(arguments, input);
    let error = text_of(&output.stderr).to_owned();
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {error}");
    assert_eq!(text_of(&output.stdout), "", "{arguments:?}");
    error
}

#[track_caller]
fn text_of(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}
