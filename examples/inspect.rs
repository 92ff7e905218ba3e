//! Prints what is at a path and what it says of itself: the evidence on which every strategy decides.
//!
//! ```text
//! inspect MODEL
//! ```

use std::error::Error;
use std::process::ExitCode;

use anytok::evidence::Evidence;

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    let mut arguments = std::env::args_os().skip(1);
    let (Some(path), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: inspect MODEL");
        return ExitCode::from(2);
    };
    match Evidence::gather(path) {
        Ok(evidence) => {
            print(&evidence);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("inspect: {}", with_sources(&error));
            ExitCode::FAILURE
        }
    }
}

fn print(evidence: &Evidence) {
    row("path", evidence.path().display());
    row("format", evidence.format());
    if let Some(model) = evidence.model_path().filter(|&model| model != evidence.path()) {
        row("model", model.display());
    }
    if let Some(format) = evidence.model_format().filter(|&format| format != evidence.format()) {
        row("model format", format);
    }
    if let Some(error) = evidence.model_error() {
        row("damage", with_sources(error));
    }
    if let Some(gguf) = evidence.gguf() {
        row(
            "GGUF",
            format_args!("version {}, {} keys, {} tensors", gguf.version(), gguf.len(), gguf.tensor_count()),
        );
        for key in ["general.name", "tokenizer.ggml.model", "tokenizer.ggml.pre"] {
            row(key, gguf.str(key).unwrap_or("(none)"));
        }
        if let Some(tokens) = gguf.array("tokenizer.ggml.tokens") {
            row("tokens", tokens.len());
        }
    }
    row("architecture", evidence.architecture().unwrap_or("(none)"));
    match evidence.rows() {
        Some(rows) => row("rows", format_args!("{} ({})", rows.count, rows.source)),
        None => row("rows", "(not said)"),
    }
    for (role, id) in evidence.special_ids() {
        row(role, id);
    }
    for repository in evidence.repositories() {
        let at = repository.revision.as_deref().map_or(String::new(), |revision| format!(" at {revision}"));
        row("repository", format_args!("{}{at} ({}: {})", repository.id, repository.kind, repository.source));
    }
    for directory in evidence.directories() {
        row("directory", directory.display());
    }
    for note in evidence.notes() {
        row("note", note);
    }
}

fn row(name: &str, value: impl std::fmt::Display) {
    println!("{name:<21} {value}");
}

fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
