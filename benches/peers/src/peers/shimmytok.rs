use shimmytok::Tokenizer;
use worker::{Failure, Loaded, Source};

pub fn load(source: &Source) -> Result<Loaded, Failure> {
    let Source::Gguf(path) = source else { return Err("reads GGUF only".into()) };
    Ok(Loaded::new(
        |tokenizer: &Tokenizer, text| tokenizer.encode(text, false),
        |tokenizer, ids| tokenizer.decode(ids, true),
        Tokenizer::from_gguf_file(path)?,
    ))
}
