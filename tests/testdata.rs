//! What lies in `testdata/` is what its generator makes.

#[path = "../testdata/generate/main.rs"]
mod generate;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[test]
fn the_generator_makes_every_file_byte_for_byte() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let made = generate::files(&root).expect("the texts can be read");
    for (name, content) in &made {
        let there = std::fs::read(root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let differs = there.iter().zip(content).position(|(there, made)| there != made);
        assert!(
            there == *content,
            "{name} is not what `cargo run --example testdata` makes: {} bytes against {}, first difference at {differs:?}",
            there.len(),
            content.len()
        );
    }

    let mut there = BTreeSet::new();
    for directory in ["models", "damaged"] {
        collect(&root.join(directory), &mut there);
    }
    let made: BTreeSet<_> = made.into_keys().map(|name| root.join(name)).collect();
    assert_eq!(there, made, "a file that no one makes, or one that is missing");
    let size: u64 = there.iter().map(|path| path.metadata().expect("a file").len()).sum();
    assert!(size < 1 << 20, "testdata has grown to {size} bytes");
}

fn collect(directory: &Path, files: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a directory of testdata") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.insert(path);
        }
    }
}
