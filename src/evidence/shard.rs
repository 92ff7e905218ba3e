//! Names of the files of a split model.

use std::path::{Path, PathBuf};

/// The parts of `<prefix>-%05d-of-%05d`: prefix, number counted from 1, and count.
pub(super) fn numbers(stem: &str) -> Option<(&str, u32, u32)> {
    let (rest, count) = stem.rsplit_once("-of-")?;
    let (prefix, number) = rest.rsplit_once('-')?;
    let parse = |text: &str| {
        let five = text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
        five.then(|| text.parse().ok()).flatten()
    };
    Some((prefix, parse(number)?, parse(count)?))
}

/// The same for the name of a GGUF file, with the extension as it is written.
pub(super) fn of_gguf(name: &str) -> Option<(&str, u32, u32, &str)> {
    let (stem, extension) = name.rsplit_once('.')?;
    let (prefix, number, count) = numbers(stem)?;
    extension.eq_ignore_ascii_case("gguf").then_some((prefix, number, count, extension))
}

/// The path that the first shard must have, if `path` is named as a later one.
pub(super) fn first(path: &Path) -> Option<PathBuf> {
    let (prefix, number, count, extension) = of_gguf(path.file_name()?.to_str()?)?;
    (number != 1).then(|| path.with_file_name(format!("{prefix}-00001-of-{count:05}.{extension}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_shard_names_the_first() {
        let first_of = |name: &str| first(Path::new(name)).map(|path| path.display().to_string());
        assert_eq!(first_of("d/m-00002-of-00004.gguf").as_deref(), Some("d/m-00001-of-00004.gguf"));
        assert_eq!(first_of("m-x-00004-of-00004.GGUF").as_deref(), Some("m-x-00001-of-00004.GGUF"));
        for name in ["m-00001-of-00004.gguf", "m-2-of-4.gguf", "m-00002-of-00004.bin", "m.gguf", "-of-", ""] {
            assert_eq!(first_of(name), None, "{name}");
        }
    }
}
