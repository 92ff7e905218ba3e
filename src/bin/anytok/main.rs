//! `anytok`: the tokenizer of any model, from the command line. Arguments and output; what is said here the library has found.

mod budget;
mod cache;
mod chat;
mod doctor;
mod explain;
mod lines;
mod model;
mod pipe;
mod shell;
mod text;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use lines::chain;

/// The tokenizer of any model: counts, ids, text, and where it came from.
///
/// MODEL is a GGUF, safetensors, ONNX or PyTorch file, a model directory, a tokenizer file, a snapshot of the Hugging Face
/// cache, or a blob of ollama. Exit status: 0; 1 if there is no answer, or an answer that a check was to prevent; 2 if the
/// arguments are wrong.
#[derive(Parser)]
#[command(name = "anytok", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Print JSON, one value a line
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    Count(text::Count),
    Encode(text::Encode),
    Decode(text::Decode),
    Truncate(budget::Truncate),
    Split(budget::Split),
    Chat(chat::Chat),
    Explain(explain::Explain),
    Doctor(doctor::Doctor),
    Pipe(pipe::Pipe),
    Cache(cache::Cache),
    Completions(shell::Completions),
    /// Print the manual page, in roff
    Man,
}

/// What a subcommand ends with.
type Outcome = Result<ExitCode, Box<dyn Error>>;

fn main() -> ExitCode {
    // That a result is degraded is said by `model::Model`, in the words of this command.
    let filter = env_logger::Env::default().default_filter_or("warn,anytok::strategy::backup=off");
    env_logger::Builder::from_env(filter).format_timestamp(None).init();
    let Arguments { command, json } = Arguments::parse();
    let outcome = match command {
        Command::Count(count) => count.run(json),
        Command::Encode(encode) => encode.run(json),
        Command::Decode(decode) => decode.run(json),
        Command::Truncate(truncate) => truncate.run(json),
        Command::Split(split) => split.run(json),
        Command::Chat(chat) => chat.run(json),
        Command::Explain(explain) => explain.run(json),
        Command::Doctor(doctor) => doctor.run(json),
        Command::Pipe(pipe) => pipe.run(),
        Command::Cache(cache) => cache.run(json),
        Command::Completions(completions) => completions.run(),
        Command::Man => shell::man(),
    };
    outcome.unwrap_or_else(|error| {
        // A reader that has seen enough (`head`) is no mishap.
        if !lines::is_closed(&*error) {
            anstream::eprintln!("{STRONG}anytok:{STRONG:#} {}", chain(&*error));
        }
        ExitCode::FAILURE
    })
}

/// How an id is written: one that a vocabulary leaves open (`LLAMA_TOKEN_NULL` of llama.cpp) as -1.
fn written(id: u32) -> i64 {
    if id == u32::MAX { -1 } else { i64::from(id) }
}

const STRONG: anstyle::Style = anstyle::Style::new().bold();
const GOOD: anstyle::Style = anstyle::AnsiColor::Green.on_default();
const BAD: anstyle::Style = anstyle::AnsiColor::Red.on_default();
