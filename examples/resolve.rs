//! Finds the tokenizer of a model, tells how, and encodes a text.
//!
//! ```text
//! resolve MODEL [TEXT]
//! ```

use anytok::{Resolver, Special};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The library warns of a model that is damaged and of a search that failed where the caller had asked for it.
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: resolve MODEL [TEXT]")?;
    let text = arguments.next().unwrap_or_else(|| "Hello, world!".into());

    // `strict` leaves out the last resort, so a tokenizer that is found is the model's own.
    let resolver = Resolver::builder().strict(true).build();
    let found = resolver.resolve(path)?;
    println!("{found}");

    let encoding = found.tokenizer().encode_with_offsets(&text, Special::Ignore)?;
    for (id, place) in encoding.ids.iter().zip(encoding.offsets) {
        // A token may be a part of a character.
        println!("{id:>8} {place:?} {:?}", String::from_utf8_lossy(&text.as_bytes()[place.clone()]));
    }

    // What was found is written for the next process in the background; this waits for it.
    resolver.store().flush();
    Ok(())
}
