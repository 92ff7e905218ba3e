use worker::{Failure, Loaded, Source};

pub fn load(source: &Source) -> Result<Loaded, Failure> {
    let tokenizer = match source {
        Source::Bundled(name) if name == "cl100k_base" => bpe_openai::cl100k_base(),
        Source::Bundled(name) if name == "o200k_base" => bpe_openai::o200k_base(),
        _ => return Err("carries no such vocabulary".into()),
    };
    Ok(Loaded::new(
        |tokenizer: &&bpe_openai::Tokenizer, text| Ok::<_, Failure>(tokenizer.encode(text)),
        |tokenizer, ids| tokenizer.decode(ids).ok_or("not UTF-8"),
        tokenizer,
    ))
}
