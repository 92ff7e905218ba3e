//! Help texts are as in `tests/command/help/`. `UPDATE_SNAPSHOTS=1 cargo test --features cli --test command` writes them again.

use std::fs;
use std::path::Path;

use crate::{answer, refusal};

#[test]
fn help_texts_are_those_of_the_snapshots() {
    let directory = Path::new("tests/command/help");
    let update = std::env::var_os("UPDATE_SNAPSHOTS").is_some();
    let main = answer(&["--help"], "");
    let names = main.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = names.take_while(|line| !line.is_empty()).filter_map(|line| line.split_whitespace().next());
    let mut texts = vec![("anytok".to_owned(), main.clone())];
    texts.extend(
        names.filter(|name| *name != "help").map(|name| (name.to_owned(), answer(&[name, "--help"], ""))),
    );
    assert!(texts.len() > 10, "{main}");
    for (name, text) in texts {
        let path = directory.join(format!("{name}.txt"));
        if update {
            fs::write(path, text).unwrap();
        } else {
            let expected = fs::read_to_string(&path).unwrap_or_default();
            assert!(expected == text, "expected {} to be\n{text}", path.display());
        }
    }
}

#[test]
fn wrong_arguments_are_told_by_status_2() {
    for arguments in [
        &[][..],
        &["count"],
        &["counts", "x"],
        &["count", "x", "--limit", "many"],
        &["count", "x", "--chain", "mock"],
        &["truncate", "x"],
        &["pipe", "x", "--skip-special"],
        &["count", "x", "--repo", "no repo"],
    ] {
        let error = refusal(arguments, "", 2);
        assert!(error.contains("--help") || error.contains("Usage"), "{arguments:?}: {error}");
    }
}
