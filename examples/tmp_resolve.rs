fn main() {
    env_logger::init();
    let r = anytok::Resolver::builder().offline(true).build();
    for p in std::env::args().skip(1) {
        let t = std::time::Instant::now();
        match r.resolve(&p) {
            Ok(f) => { println!("{f}"); println!("{:?} {:?} {:?}", t.elapsed(), f.tokenizer().encode("Hello, world!", anytok::Special::Add), t.elapsed()); }
            Err(e) => println!("{e}"),
        }
        let t = std::time::Instant::now(); let _ = r.resolve(&p); println!("again {:?}", t.elapsed());
    }
}
