use worker::{Failure, Loaded, Source};

pub fn load(source: &Source) -> Result<Loaded, Failure> {
    let Source::Bundled(name) = source else { return Err("reads no file".into()) };
    Ok(Loaded::new(
        |tokenizer: &&tiktoken::CoreBpe, text| Ok::<_, Failure>(tokenizer.encode(text)),
        |tokenizer, ids| Ok::<_, Failure>(tokenizer.decode(ids)),
        tiktoken::get_encoding(name).ok_or("carries no such vocabulary")?,
    ))
}
