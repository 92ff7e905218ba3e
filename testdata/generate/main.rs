//! Makes every file of `testdata/` but the texts and the README, byte for byte the same each time:
//! `cargo run --example testdata`. A test compares what it makes with what is there.

mod publish;
mod train;

use std::collections::BTreeMap;
use std::path::Path;

/// The contents of all files, by path inside `testdata/`; `root` is that directory and holds the texts.
pub(crate) fn files(root: &Path) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let mut text = String::new();
    for name in ["english.txt", "code.txt", "scripts.txt", "marks.txt"] {
        text += &std::fs::read_to_string(root.join("text").join(name))?;
    }
    Ok(publish::files(&text))
}

#[allow(dead_code, reason = "the test that compares includes this file as a module")]
fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let files = files(&root)?;
    let mut total = 0;
    for (name, content) in &files {
        let path = root.join(name);
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        std::fs::write(&path, content)?;
        println!("{:>7}  {name}", content.len());
        total += content.len();
    }
    println!("{total:>7}  bytes in {} files", files.len());
    Ok(())
}
