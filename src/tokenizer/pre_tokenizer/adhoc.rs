use std::collections::HashMap;
use std::io::Read;
use super::*;
use crate::unicode;

fn u32_(b: &[u8], p: &mut usize) -> u32 { let v = u32::from_le_bytes(b[*p..*p+4].try_into().unwrap()); *p += 4; v }
fn u64_(b: &[u8], p: &mut usize) -> usize { let v = u64::from_le_bytes(b[*p..*p+8].try_into().unwrap()); *p += 8; v as usize }
fn s_<'a>(b: &'a [u8], p: &mut usize) -> &'a [u8] { let n = u64_(b, p); let v = &b[*p..*p+n]; *p += n; v }
fn skip(b: &[u8], p: &mut usize, t: u32) { match t { 0|1|7 => *p += 1, 2|3 => *p += 2, 4|5|6 => *p += 4, 10..=12 => *p += 8, 8 => { s_(b, p); } _ => panic!() } }

fn load(path: &str) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let b = std::fs::read(path).unwrap();
    let mut p = 8; u64_(&b, &mut p); let n = u64_(&b, &mut p);
    let (mut toks, mut merges) = (vec![], vec![]);
    for _ in 0..n {
        let k = s_(&b, &mut p).to_vec(); let t = u32_(&b, &mut p);
        if t == 9 {
            let et = u32_(&b, &mut p); let c = u64_(&b, &mut p);
            for _ in 0..c {
                if et == 8 { let s = s_(&b, &mut p).to_vec();
                    if k == b"tokenizer.ggml.tokens" { toks.push(s) } else if k == b"tokenizer.ggml.merges" { merges.push(s) } }
                else { skip(&b, &mut p, et) }
            }
        } else { skip(&b, &mut p, t) }
    }
    (toks, merges)
}

#[test]
fn expected_pre() {
    let (toks, merges) = load("/work/shared/vocab/gguf/llama-bpe.gguf");
    let ids: HashMap<&[u8], i64> = toks.iter().enumerate().map(|(i, t)| (&t[..], i as i64)).collect();
    let mut ranks: HashMap<(&[u8], &[u8]), usize> = HashMap::new();
    for (i, m) in merges.iter().enumerate() {
        let sp = 1 + m[1..].iter().position(|&c| c == b' ').unwrap();
        ranks.entry((&m[..sp], &m[sp+1..])).or_insert(i);
    }
    let mut cache: HashMap<(Vec<u8>, bool, bool), Vec<i64>> = HashMap::new();
    let (mut files, mut total, mut bad) = (0, 0, 0);
    for pre in names::PRE.iter() {
        let path = format!("/work/shared/expected/pre/{}.jsonl.gz", pre.name);
        let Ok(f) = std::fs::File::open(&path) else { continue };
        files += 1;
        let mut text = String::new();
        flate2::read::GzDecoder::new(f).read_to_string(&mut text).unwrap();
        let mut file_bad = 0;
        for line in text.lines() {
            let v: serde_json::Value = serde_json::from_str(line).unwrap();
            let raw: Vec<u8> = match v["text"].as_str() { Some(s) => s.as_bytes().to_vec(), None => panic!("{line}") };
            let mut t = unicode::repair(&raw).into_owned();
            let expected: Vec<i64> = v["ids"].as_array().unwrap().iter().map(|x| x.as_i64().unwrap()).collect();
            if pre.escape_whitespaces { t = String::from_utf8(t).unwrap().replace(' ', "\u{2581}").into_bytes(); }
            if pre.kind == PreKind::Nemotron { t = nemotron(&t).into_owned(); }
            if pre.kind == PreKind::Soprano { t = soprano(&t); }
            let mut words: Vec<Vec<u8>> = vec![];
            Split::Gguf(pre.split).split(&t, &mut |r| {
                if pre.kind == PreKind::Mmbert { mmbert(&t[r.clone()], &mut |q, mark| { let mut w = if mark { "\u{2581}".as_bytes().to_vec() } else { vec![] }; w.extend(&t[r.clone()][q]); words.push(w); }); }
                else { words.push(t[r].to_vec()) }
            }).unwrap();
            let mut got: Vec<i64> = vec![];
            for w in words {
                let lf = matches!(pre.kind, PreKind::Gemma4 | PreKind::Mmbert) && w.iter().all(|&b| b == b'\n');
                let key = (w.clone(), pre.byte_encode, pre.ignore_merges || lf);
                if pre.kind != PreKind::Soprano { if let Some(c) = cache.get(&key) { got.extend(c); continue } }
                let enc: Vec<u8> = if pre.byte_encode { w.iter().map(|&b| unicode::byte_to_char(b)).collect::<String>().into_bytes() } else { w };
                let mut out = vec![];
                if key.2 && ids.contains_key(&enc[..]) { out.push(ids[&enc[..]]) } else {
                    let mut sy: Vec<(usize, usize)> = vec![]; let mut i = 0;
                    while i < enc.len() { let n = unicode::utf8_len(enc[i]).min(enc.len() - i); sy.push((i, i + n)); i += n }
                    loop {
                        let best = sy.windows(2).enumerate().filter_map(|(i, p)| ranks.get(&(&enc[p[0].0..p[0].1], &enc[p[1].0..p[1].1])).map(|r| (*r, i))).min();
                        let Some((_, i)) = best else { break };
                        sy[i].1 = sy[i + 1].1; sy.remove(i + 1);
                    }
                    for (a, b) in sy {
                        if let Some(&id) = ids.get(&enc[a..b]) { out.push(id) }
                        else if pre.kind == PreKind::Soprano { out.push(-1) }
                        else { for &x in &enc[a..b] { let s = if pre.byte_encode { vec![x] } else { format!("<0x{x:02X}>").into_bytes() }; if let Some(&id) = ids.get(&s[..]) { out.push(id) } } }
                    }
                }
                got.extend(&out);
                if pre.kind != PreKind::Soprano { cache.insert(key, out); }
            }
            total += 1;
            if got != expected { file_bad += 1; if file_bad <= 2 { println!("{} {:?}\n  got {:?}\n  exp {:?}", pre.name, v["text"], &got[..got.len().min(30)], &expected[..expected.len().min(30)]); } }
        }
        bad += file_bad;
        if file_bad > 0 { println!("{} bad {file_bad}", pre.name) }
    }
    println!("files {files} cases {total} differences {bad}");
}

#[test]
fn speed() {
    let mut text = Vec::new();
    for f in std::env::var("SPEED_FILES").unwrap().split(':') { text.extend(std::fs::read(f).unwrap()) }
    let text = unicode::repair(&text).into_owned();
    let one = text.clone(); let mut text = one.clone();
    while text.len() < 5 << 20 { text.extend(&one) }
    let t = std::time::Instant::now(); std::hint::black_box(unicode::repair(&text)); println!("{:24} {:7.1} MB/s", "repair", text.len() as f64 / 1e6 / t.elapsed().as_secs_f64());
    let all = GgufSplit::NAMES.iter().map(|&(_, s)| Split::Gguf(s)).chain(PatternSplit::NAMES.iter().map(|&(_, s)| Split::Pattern(s)));
    for s in all {
        let mut best = f64::MAX; let mut count = 0usize;
        for _ in 0..3 {
            let t = std::time::Instant::now(); count = 0;
            s.split(&text, &mut |r| { count += 1; std::hint::black_box(r); }).unwrap();
            best = best.min(t.elapsed().as_secs_f64());
        }
        println!("{:24} {:7.1} MB/s {:5.2} B/piece", s.name(), text.len() as f64 / 1e6 / best, text.len() as f64 / count as f64);
    }
}
