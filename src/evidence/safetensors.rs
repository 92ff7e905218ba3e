//! The header of a safetensors file, and the index of several: only what tells the rows of the vocabulary.
//!
//! Format: <https://github.com/huggingface/safetensors#format>.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::mmap::Prefix;

/// Whether a file of `len` bytes that begins with `head` is a safetensors file: 8 bytes of length in front, then a JSON object.
pub(super) fn has_header(head: &[u8], len: u64) -> bool {
    header_len(head).is_some_and(|header| header <= len.saturating_sub(8)) && head.get(8) == Some(&b'{')
}

fn header_len(head: &[u8]) -> Option<u64> {
    let len = u64::from_le_bytes(*head.first_chunk()?);
    (2..=MAX_HEADER).contains(&len).then_some(len)
}

/// The JSON header of the file, read; `None` if it has none.
fn header(file: &mut Prefix) -> io::Result<Option<&[u8]>> {
    let len = file.len();
    let head = file.read(9)?;
    let Some(header) = header_len(head).filter(|_| has_header(head, len)) else { return Ok(None) };
    let end = 8 + header as usize; // at most 10^8: fits on every target
    Ok(file.read(end)?.get(8..end))
}

/// The rows of the token embedding in the model whose file or index is at `path`, if one of its tensors is one.
///
/// A shard that does not hold the embedding is asked for its index.
///
/// # Errors
/// What is wrong with a file that had to be read, in words for a person.
pub(super) fn rows(path: &Path) -> Result<Option<u64>, String> {
    let mut file = open(path)?;
    if let Some(header) = header(&mut file).map_err(|error| unreadable(path, &error))? {
        if let Some(rows) = rows_in_header(header).map_err(|error| describe(path, &error))? {
            return Ok(Some(rows));
        }
        let Some(index) = index_of_shard(path).filter(|index| index.is_file()) else { return Ok(None) };
        return rows_by_index(&mut open(&index)?, &index);
    }
    rows_by_index(&mut file, path)
}

fn rows_by_index(file: &mut Prefix, path: &Path) -> Result<Option<u64>, String> {
    if file.len() > MAX_INDEX as u64 {
        return Err(format!("{} is larger than {MAX_INDEX} bytes", path.display()));
    }
    let bytes = file.read(MAX_INDEX).map_err(|error| unreadable(path, &error))?;
    let shard = parse(bytes, Field { key: "weight_map", seed: Embedding(ShardName) });
    let Some(Some((_, shard))) = shard.map_err(|error| describe(path, &error))? else { return Ok(None) };
    // The index may name a file beside it, and nothing else.
    if shard.contains(['/', '\\', ':']) || shard.starts_with('.') {
        return Err(format!("{} names a shard outside its directory: {shard:?}", path.display()));
    }
    let shard = path.with_file_name(shard);
    let mut file = open(&shard)?;
    let Some(header) = header(&mut file).map_err(|error| unreadable(&shard, &error))? else {
        return Err(format!("{} is not a safetensors file", shard.display()));
    };
    rows_in_header(header).map_err(|error| describe(&shard, &error))
}

fn rows_in_header(header: &[u8]) -> Result<Option<u64>, serde_json::Error> {
    Ok(parse(header, Embedding(Rows))?.map(|(_, rows)| rows))
}

/// `model-00002-of-00004.safetensors` → `model.safetensors.index.json`.
fn index_of_shard(path: &Path) -> Option<std::path::PathBuf> {
    let name = path.file_name()?.to_str()?;
    let (prefix, _, _) = super::shard::numbers(name.strip_suffix(".safetensors")?)?;
    Some(path.with_file_name(format!("{prefix}.safetensors.index.json")))
}

/// How likely a tensor of this name is the token embedding: the smallest number of all names wins.
fn embedding_rank(name: &str) -> Option<(usize, usize)> {
    let stem = name.strip_suffix(".weight")?;
    let last = stem.rsplit_once('.').map_or(stem, |(_, last)| last);
    let rank = EMBEDDINGS.iter().position(|&known| known == last)?;
    Some((rank, name.len())) // the shorter name is nearer to the root: the model's own, not a part's
}

fn parse<'de, S: DeserializeSeed<'de>>(bytes: &'de [u8], seed: S) -> Result<S::Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = seed.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Reads one field of an object with `seed`, and skips the others.
struct Field<S> {
    key: &'static str,
    seed: S,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Field<S> {
    type Value = Option<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for Field<S> {
    type Value = Option<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with `{}`", self.key)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut seed = Some(self.seed);
        let mut value = None;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match seed.take_if(|_| key == self.key) {
                Some(seed) => value = Some(map.next_value_seed(seed)?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(value)
    }
}

/// Reads the value of the likeliest embedding in an object of tensors, and skips all others: a header with a hundred
/// thousand tensors costs no memory.
struct Embedding<V>(V);

trait OfTensor<'de>: Copy {
    type Value;
    /// `None` if the value does not look as that of an embedding does.
    fn value<A: MapAccess<'de>>(self, map: &mut A) -> Result<Option<Self::Value>, A::Error>;
}

impl<'de, V: OfTensor<'de>> DeserializeSeed<'de> for Embedding<V> {
    type Value = Option<((usize, usize), V::Value)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, V: OfTensor<'de>> Visitor<'de> for Embedding<V> {
    type Value = Option<((usize, usize), V::Value)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut best: Self::Value = None;
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            let rank = embedding_rank(&name);
            match rank.filter(|rank| best.as_ref().is_none_or(|(best, _)| rank < best)) {
                Some(rank) => {
                    if let Some(value) = self.0.value(&mut map)? {
                        best = Some((rank, value));
                    }
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(best)
    }
}

/// In a header: the first of two dimensions.
#[derive(Clone, Copy)]
struct Rows;

impl<'de> OfTensor<'de> for Rows {
    type Value = u64;

    fn value<A: MapAccess<'de>>(self, map: &mut A) -> Result<Option<u64>, A::Error> {
        #[derive(serde::Deserialize)]
        struct Tensor {
            shape: Vec<u64>,
        }
        Ok(match map.next_value::<Tensor>()?.shape[..] {
            [rows, _] => Some(rows),
            _ => None,
        })
    }
}

/// In an index: the name of the file.
#[derive(Clone, Copy)]
struct ShardName;

impl<'de> OfTensor<'de> for ShardName {
    type Value = String;

    fn value<A: MapAccess<'de>>(self, map: &mut A) -> Result<Option<String>, A::Error> {
        map.next_value().map(Some)
    }
}

fn open(path: &Path) -> Result<Prefix, String> {
    Prefix::open(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("cannot read {}: {error}", path.display())
}

fn describe(path: &Path, error: &serde_json::Error) -> String {
    format!("{} is damaged: {error}", path.display())
}

/// The last component of a token embedding's name, before `.weight`; the likeliest first.
const EMBEDDINGS: [&str; 12] = [
    "embed_tokens",
    "wte",
    "word_embeddings",
    "tok_embeddings",
    "shared",
    "embed_in",
    "token_embedding",
    "word_embedding",
    "embeddings",
    "embedding",
    "emb",
    "token_embd",
];
/// The format's own limit.
const MAX_HEADER: u64 = 100_000_000;
/// Ten times the largest known (91,991 tensors, 9 MB).
const MAX_INDEX: usize = 100_000_000;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn file(header: &str) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 16]].concat()
    }

    #[test]
    fn the_embedding_nearest_the_root_gives_the_rows() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model.safetensors");
        let tensors = [
            (
                r#""vision.embeddings.position_embedding.weight":{"dtype":"F32","shape":[7,2],"data_offsets":[0,56]}"#,
                None,
            ),
            (
                r#""model.layers.61.embed_tokens.weight":{"dtype":"F32","shape":[9,2],"data_offsets":[0,72]}"#,
                Some(9),
            ),
            (r#""model.embed_tokens.weight":{"dtype":"F32","shape":[10,2],"data_offsets":[0,80]}"#, Some(10)),
            (r#""lm_head.weight":{"dtype":"F32","shape":[11,2],"data_offsets":[0,80]}"#, Some(10)),
        ];
        for count in 1..=tensors.len() {
            let names: Vec<_> = tensors[..count].iter().map(|(tensor, _)| *tensor).collect();
            let header = format!(r#"{{"__metadata__":{{"format":"pt"}},{}}}   "#, names.join(","));
            std::fs::write(&path, file(&header)).unwrap();
            assert_eq!(rows(&path), Ok(tensors[count - 1].1), "{count}");
        }
    }

    #[test]
    fn a_shard_and_an_index_lead_to_the_embedding() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let tensor = |name: &str, rows: u32| {
            file(&format!(r#"{{"{name}":{{"dtype":"F32","shape":[{rows},2],"data_offsets":[0,8]}}}}"#))
        };
        std::fs::write(at("model-00001-of-00002.safetensors"), tensor("lm_head.weight", 5)).unwrap();
        std::fs::write(at("model-00002-of-00002.safetensors"), tensor("transformer.wte.weight", 50_432))
            .unwrap();
        assert_eq!(rows(&at("model-00001-of-00002.safetensors")), Ok(None));
        let index = at("model.safetensors.index.json");
        std::fs::write(
            &index,
            r#"{"metadata":{},"weight_map":{"lm_head.weight":"model-00001-of-00002.safetensors",
                "transformer.wte.weight":"model-00002-of-00002.safetensors"}}"#,
        )
        .unwrap();
        for path in [&index, &at("model-00001-of-00002.safetensors"), &at("model-00002-of-00002.safetensors")]
        {
            assert_eq!(rows(path), Ok(Some(50_432)), "{}", path.display());
        }
        std::fs::write(&index, r#"{"weight_map":{"wte.weight":"../secret"}}"#).unwrap();
        assert!(rows(&index).unwrap_err().contains("outside its directory"));
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        let whole = file(r#"{"wte.weight":{"dtype":"F32","shape":[3,2],"data_offsets":[0,24]}}"#);
        for at in 0..whole.len() {
            for flip in [1, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                std::fs::write(&path, &bytes).unwrap();
                let _ = rows(&path);
            }
            std::fs::write(&path, &whole[..at]).unwrap();
            let cut = rows(&path);
            assert!(cut.is_err() || at >= whole.len() - 16, "{at}: {cut:?}");
        }
    }
}
