//! A chat with a model's template: what the prompt is, and what its ids are.
//!
//! ```text
//! chat MODEL [--text] [--no-generation-prompt] < messages.json
//! ```
//!
//! Standard input has a JSON list of messages, or an object with `messages` and, if there are any, `tools` and `documents`. `--text` prints
//! the prompt, else its ids are printed, special tokens by name.

use std::error::Error;

use anytok::Resolver;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Raw JSON keeps the order of its keys.
#[derive(Deserialize)]
struct Request<'r> {
    #[serde(borrow)]
    messages: &'r RawValue,
    tools: Option<&'r RawValue>,
    documents: Option<&'r RawValue>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let model = arguments.iter().find(|argument| !argument.starts_with("--"));
    let model = model.ok_or("usage: chat MODEL [--text] [--no-generation-prompt] < messages.json")?;
    let found = Resolver::default().resolve(model)?;
    let tokenizer = found.tokenizer();

    let input = std::io::read_to_string(std::io::stdin())?;
    let request: Request<'_> = if input.trim_start().starts_with('[') {
        Request { messages: serde_json::from_str(&input)?, tools: None, documents: None }
    } else {
        serde_json::from_str(&input)?
    };
    let mut chat = tokenizer.chat(request.messages)?.generation_prompt(!has("--no-generation-prompt"));
    if let Some(tools) = request.tools {
        chat = chat.tools(tools);
    }
    if let Some(documents) = request.documents {
        chat = chat.documents(documents);
    }
    if has("--text") {
        print!("{}", chat.render()?);
        return Ok(());
    }
    let prompt = chat.encode()?;
    for (&id, range) in prompt.ids.iter().zip(&prompt.offsets) {
        let kind = if tokenizer.is_special(id) { "special" } else { "text" };
        println!("{id:>8} {kind:<8} {:?}", &prompt.text[range.clone()]);
    }
    prompt.notes.iter().for_each(|note| eprintln!("note: {note}"));
    Ok(())
}
