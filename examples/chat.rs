//! A chat with a model's template: what the prompt is, and what its ids are.
//!
//! ```text
//! chat MODEL < messages.json
//! ```
//!
//! Standard input has a JSON list of messages, `[{"role": "user", "content": "Hello!"}]`.

use anytok::Resolver;
use serde_json::value::RawValue;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: chat MODEL < messages.json")?;
    let found = Resolver::builder().strict(true).build().resolve(path)?;
    let tokenizer = found.tokenizer();

    // Raw JSON keeps the order of its keys, which a template may write out.
    let input = std::io::read_to_string(std::io::stdin())?;
    let messages: &RawValue = serde_json::from_str(&input)?;
    let prompt = tokenizer.chat(messages)?.generation_prompt(true).encode()?;

    // Only the template writes special tokens: one that is spelled out in a message is text.
    for (&id, place) in prompt.ids.iter().zip(&prompt.offsets) {
        let kind = if tokenizer.is_special(id) { "special" } else { "text" };
        println!("{id:>8} {kind:<8} {:?}", String::from_utf8_lossy(&prompt.text.as_bytes()[place.clone()]));
    }
    prompt.notes.iter().for_each(|note| eprintln!("note: {note}"));
    Ok(())
}
