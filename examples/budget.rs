//! Holds a text against a budget of tokens: whether it fits, what of it fits, and the parts that do.
//!
//! ```text
//! budget MODEL TOKENS < text
//! ```

use anytok::{Resolver, Side, Special};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), Some(budget)) = (arguments.next(), arguments.next()) else {
        return Err("usage: budget MODEL TOKENS < text".into());
    };
    let budget: usize = budget.parse()?;
    let found = Resolver::builder().strict(true).build().resolve(path)?;
    let tokenizer = found.tokenizer();
    let text = std::io::read_to_string(std::io::stdin())?;

    // Stops at the limit, however long the text is.
    if let Some(count) = tokenizer.count_up_to(&text, budget, Special::Ignore)? {
        println!("fits: {count} of {budget} tokens");
        return Ok(());
    }
    let start = tokenizer.truncate(&text, budget, Side::Right, Special::Ignore)?;
    println!("does not fit; the first {} of {} bytes do", start.len(), text.len());
    for (i, place) in tokenizer.split(&text, budget).parts()?.enumerate() {
        let place = place?;
        let count = tokenizer.count(&text[place.clone()], Special::Ignore)?;
        println!("part {:>3}: {count:>5} tokens, bytes {place:?}", i + 1);
    }
    Ok(())
}
