use kitoken::Kitoken;
use worker::{Failure, Loaded, Source};

pub fn load(source: &Source) -> Result<Loaded, Failure> {
    let tokenizer = match source {
        Source::TokenizerJson(path) => Kitoken::from_tokenizers_file(path)?,
        Source::Tiktoken(path) => Kitoken::from_tiktoken_file(path)?,
        Source::SentencePiece(path) => Kitoken::from_sentencepiece_file(path)?,
        Source::Gguf(_) | Source::Bundled(_) => {
            return Err("reads tokenizer.json, tiktoken and SentencePiece".into());
        }
    };
    Ok(Loaded::new(
        |tokenizer: &Kitoken, text| tokenizer.encode(text, false),
        |tokenizer, ids| tokenizer.decode(ids, false),
        tokenizer,
    ))
}
