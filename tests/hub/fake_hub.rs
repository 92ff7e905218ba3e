//! A Hub on loopback: repositories in memory, a second server as its CDN, faults on request, and a log of every request.
//!
//! It answers as huggingface.co does, as far as a client of files can tell, and is held to that by the clients of
//! `tests/crosscheck`. Used by unit tests and integration tests alike, so not all of it is used everywhere.
#![allow(dead_code, missing_docs, unreachable_pub)]
// Speed is no concern here, and `format!` reads best.
#![allow(clippy::format_push_string, clippy::format_collect, clippy::struct_excessive_bools)]

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// A token that is valid, and one that has also accepted the terms of gated repositories.
pub const TOKEN: &str = "hf_valid";
pub const MEMBER: &str = "hf_member";

pub struct FakeHub {
    state: Arc<State>,
    hub: SocketAddr,
    cdn: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Hub,
    Cdn,
}

/// A request as it came in, and the status it was given (0 if a fault took its place).
#[derive(Clone, Debug)]
pub struct Request {
    pub server: Server,
    pub method: String,
    /// Path and query.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub status: u16,
}

/// How the Hub hands a file out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// 200 at once: small files in former years, and mirrors.
    Direct,
    /// 307 to `/api/resolve-cache/…?…`: small files.
    Relative,
    /// 302 to another server: files in LFS.
    Cdn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Public,
    Private,
    Gated,
}

/// What goes wrong with an answer. Lengths are of the body.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Nothing: keeps its place in a script.
    None,
    /// These bytes, and the connection is closed.
    Raw(Vec<u8>),
    /// The request is read, and nothing is ever answered.
    Hang,
    Delay(Duration),
    /// The body stops after so many bytes and the connection stays open.
    Stall(usize),
    /// The body comes in pieces of so many bytes, with this pause before each.
    Drip(usize, Duration),
    /// The body stops after so many bytes and the connection is closed, or reset.
    Close(usize),
    Reset(usize),
    /// The lowest bit of this byte of the body is flipped.
    Flip(usize),
    /// The body never ends, by the account of the header neither: spaces until the client leaves.
    Endless,
    /// The body ends, by its own account, after so many bytes.
    Shorten(usize),
    /// No `Content-Length`: the end of the connection is the end of the body.
    NoLength,
    /// The answer lacks this header.
    Without(&'static str),
    /// The answer has this header, in place of any other of its name.
    With(&'static str, String),
    /// The answer has this body, under the same headers.
    Body(Vec<u8>),
    /// Another status with no body, and these headers.
    Status(u16, Vec<(&'static str, String)>),
    /// Several at once.
    All(Vec<Fault>),
}

#[derive(Default)]
struct State {
    stop: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    repositories: HashMap<String, Repository>,
    scripts: Vec<(String, VecDeque<Fault>)>,
    log: Vec<Request>,
    cdn: String,
}

struct Repository {
    access: Access,
    branches: BTreeMap<String, String>,
    commits: HashMap<String, BTreeMap<String, File>>,
}

#[derive(Clone)]
struct File {
    content: Vec<u8>,
    delivery: Delivery,
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl FakeHub {
    pub fn start() -> Self {
        Self::start_at("127.0.0.1:0").unwrap()
    }

    /// At another address of this machine, such as `[::1]:0`.
    pub fn start_at(address: &str) -> io::Result<Self> {
        let state = Arc::new(State::default());
        let hub = TcpListener::bind(address)?;
        let cdn = TcpListener::bind(address)?;
        let addresses = (hub.local_addr().unwrap(), cdn.local_addr().unwrap());
        state.lock().cdn = format!("http://{}", addresses.1);
        for (listener, server) in [(hub, Server::Hub), (cdn, Server::Cdn)] {
            let state = Arc::clone(&state);
            thread::spawn(move || accept(&listener, server, &state));
        }
        Ok(Self { state, hub: addresses.0, cdn: addresses.1 })
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.hub)
    }

    /// Lets the CDN be reached by another name, such as `localhost`: then the host differs, not only the port.
    pub fn name_cdn(&self, host: &str) {
        self.state.lock().cdn = format!("http://{host}:{}", self.cdn.port());
    }

    /// Adds a commit to `branch` of a repository that then holds exactly `files`, and returns the commit's hash.
    pub fn commit(&self, repository: &str, branch: &str, files: &[(&str, &[u8], Delivery)]) -> String {
        let mut inner = self.state.lock();
        let files: BTreeMap<String, File> = files
            .iter()
            .map(|&(name, content, delivery)| {
                (name.to_owned(), File { content: content.to_owned(), delivery })
            })
            .collect();
        let repository_entry = inner.repositories.entry(repository.to_owned()).or_insert_with(|| {
            Repository { access: Access::Public, branches: BTreeMap::new(), commits: HashMap::new() }
        });
        let mut hasher = Sha1::new();
        hasher.update(format!("{repository} {}", repository_entry.commits.len()));
        for (name, file) in &files {
            hasher.update(name);
            hasher.update(file.git_oid());
        }
        let commit = hex(&hasher.finalize());
        repository_entry.commits.insert(commit.clone(), files);
        repository_entry.branches.insert(branch.to_owned(), commit.clone());
        commit
    }

    pub fn set_access(&self, repository: &str, access: Access) {
        self.state.lock().repositories.get_mut(repository).unwrap().access = access;
    }

    /// The next requests whose "METHOD target" contains `pattern` meet these faults, one each, in order.
    pub fn script(&self, pattern: &str, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().scripts.push((pattern.to_owned(), faults.into_iter().collect()));
    }

    pub fn clear_scripts(&self) {
        self.state.lock().scripts.clear();
    }

    /// The requests since the last call.
    pub fn take_log(&self) -> Vec<Request> {
        std::mem::take(&mut self.state.lock().log)
    }

    /// The requests since the last [`take_log`](Self::take_log).
    pub fn log(&self) -> Vec<Request> {
        self.state.lock().log.clone()
    }
}

impl Drop for FakeHub {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Relaxed);
        for address in [self.hub, self.cdn] {
            let _ = TcpStream::connect_timeout(&address, Duration::from_secs(1)); // wakes `accept`
        }
    }
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl File {
    fn git_oid(&self) -> String {
        let mut hasher = Sha1::new();
        hasher.update(format!("blob {}\0", self.content.len()));
        hasher.update(&self.content);
        hex(&hasher.finalize())
    }

    fn sha256(&self) -> String {
        hex(&Sha256::digest(&self.content))
    }

    /// The hash in `ETag`: LFS files have SHA-256, the others their git blob id.
    fn etag(&self) -> String {
        if self.delivery == Delivery::Cdn { self.sha256() } else { self.git_oid() }
    }
}

fn accept(listener: &TcpListener, server: Server, state: &Arc<State>) {
    for stream in listener.incoming() {
        if state.stopped() {
            return;
        }
        let Ok(stream) = stream else { continue };
        let state = Arc::clone(state);
        thread::spawn(move || {
            let _ = serve(&stream, server, &state);
        });
    }
}

/// Answers the requests of one connection until either side closes it.
fn serve(mut stream: &TcpStream, server: Server, state: &State) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_millis(20)))?;
    stream.set_nodelay(true)?;
    loop {
        let Some(head) = peek_head(stream, state)? else { return Ok(()) };
        let length = head.len();
        let mut request = parse(&head, server);
        let line = format!("{} {}", request.method, request.target);
        let mut inner = state.lock();
        let fault = inner
            .scripts
            .iter_mut()
            .find(|(pattern, faults)| line.contains(pattern.as_str()) && !faults.is_empty())
            .and_then(|(_, faults)| faults.pop_front())
            .unwrap_or(Fault::None);
        let mut answer = inner.answer(&request);
        let plan = Plan::new(&fault, &mut answer);
        request.status = if plan.raw.is_some() || plan.hang { 0 } else { answer.status };
        let is_head = request.method == "HEAD";
        inner.log.push(request);
        drop(inner);

        // A byte left unread makes the system reset the connection when it is closed.
        let unread = usize::from(plan.reset);
        stream.read_exact(&mut vec![0; length - unread])?;
        thread::sleep(plan.delay);
        if let Some(raw) = plan.raw {
            return stream.write_all(&raw);
        }
        if plan.hang {
            hold(stream, state);
            return Ok(());
        }
        stream.write_all(&answer.head(plan.no_length || plan.endless))?;
        while plan.endless && !state.stopped() {
            stream.write_all(&[b' '; 16 << 10])?;
        }
        let body = if is_head { &[][..] } else { &answer.body };
        let end = plan.end.unwrap_or(body.len()).min(body.len());
        if let Some((size, pause)) = plan.drip {
            for piece in body[..end].chunks(size) {
                thread::sleep(pause);
                stream.write_all(piece)?;
            }
        } else {
            stream.write_all(&body[..end])?;
        }
        if plan.stall {
            hold(stream, state);
            return Ok(());
        }
        if plan.end.is_some() || plan.no_length || plan.reset {
            if plan.reset {
                thread::sleep(Duration::from_millis(30)); // lets the body arrive before the reset discards it
            }
            return Ok(());
        }
    }
}

/// Keeps the connection until the client leaves it.
fn hold(mut stream: &TcpStream, state: &State) {
    let start = Instant::now();
    let mut buffer = [0; 256];
    while !state.stopped() && start.elapsed() < Duration::from_secs(30) {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Err(error) if !is_timeout(&error) => break,
            _ => {}
        }
    }
}

/// The bytes up to and including the empty line, left in the socket; `None` at the end of the connection.
fn peek_head(stream: &TcpStream, state: &State) -> io::Result<Option<Vec<u8>>> {
    let mut buffer = vec![0; 32 << 10];
    let mut known = 0;
    while !state.stopped() {
        match stream.peek(&mut buffer) {
            Ok(0) => return Ok(None),
            Ok(length) => {
                if let Some(end) = buffer[..length].windows(4).position(|four| four == b"\r\n\r\n") {
                    return Ok(Some(buffer[..end + 4].to_vec()));
                }
                if length == known {
                    thread::sleep(Duration::from_millis(1)); // `peek` does not wait for more
                }
                known = length;
            }
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn parse(head: &[u8], server: Server) -> Request {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let mut words = lines.next().unwrap_or("").split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    Request { server, method, target, headers, status: 0 }
}

impl Answer {
    fn new(status: u16, headers: &[(&str, String)], body: &[u8]) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Self { status, headers, body: body.to_owned() }
    }

    fn error(status: u16, code: &str, text: &str) -> Self {
        let body = format!("{{\"error\":\"{text}\"}}");
        let mut headers =
            vec![("X-Error-Message", text.to_owned()), ("X-Request-Id", "Root=1-test".to_owned())];
        if !code.is_empty() {
            headers.push(("X-Error-Code", code.to_owned()));
        }
        Self::new(status, &headers, body.as_bytes())
    }

    fn json(body: &str) -> Self {
        Self::new(200, &[("Content-Type", "application/json".to_owned())], body.as_bytes())
    }

    fn set(&mut self, name: &str, value: String) {
        self.headers.retain(|(found, _)| !found.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value));
    }

    fn head(&self, no_length: bool) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} Status\r\n", self.status);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if no_length {
            head += "Connection: close\r\n";
        } else if !self.headers.iter().any(|(name, _)| {
            ["content-length", "transfer-encoding"].iter().any(|framing| name.eq_ignore_ascii_case(framing))
        }) {
            head += &format!("Content-Length: {}\r\n", self.body.len());
        }
        (head + "\r\n").into_bytes()
    }
}

/// What is left of a fault once it has been applied to the answer.
#[derive(Default)]
struct Plan {
    raw: Option<Vec<u8>>,
    hang: bool,
    delay: Duration,
    drip: Option<(usize, Duration)>,
    end: Option<usize>,
    stall: bool,
    reset: bool,
    no_length: bool,
    endless: bool,
}

impl Plan {
    fn new(fault: &Fault, answer: &mut Answer) -> Self {
        let mut plan = Self::default();
        plan.apply(fault, answer);
        plan
    }

    fn apply(&mut self, fault: &Fault, answer: &mut Answer) {
        match fault {
            Fault::None => {}
            Fault::Raw(bytes) => self.raw = Some(bytes.clone()),
            Fault::Hang => self.hang = true,
            Fault::Delay(delay) => self.delay = *delay,
            Fault::Drip(size, pause) => self.drip = Some((*size, *pause)),
            Fault::Stall(end) => (self.end, self.stall) = (Some(*end), true),
            Fault::Close(end) => self.end = Some(*end),
            Fault::Reset(end) => (self.end, self.reset) = (Some(*end), true),
            Fault::Flip(at) => {
                if let Some(byte) = answer.body.get_mut(*at) {
                    *byte ^= 1;
                }
            }
            Fault::Shorten(length) => answer.body.truncate(*length),
            Fault::NoLength => self.no_length = true,
            Fault::Endless => self.endless = true,
            Fault::Without(name) => answer.headers.retain(|(found, _)| !found.eq_ignore_ascii_case(name)),
            Fault::With(name, value) => answer.set(name, value.clone()),
            Fault::Body(bytes) => answer.body.clone_from(bytes),
            Fault::Status(status, headers) => *answer = Answer::new(*status, headers, b""),
            Fault::All(faults) => faults.iter().for_each(|fault| self.apply(fault, answer)),
        }
    }
}

impl Inner {
    fn answer(&self, request: &Request) -> Answer {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let path = decode(path);
        let answer = if request.server == Server::Cdn {
            self.cdn_file(&path, query, request)
        } else if let Some(path) = path.strip_prefix("/api/resolve-cache/models/") {
            self.resolve_cache(path, query)
        } else if let Some(path) = path.strip_prefix("/api/models/") {
            self.api(path)
        } else {
            self.resolve(&path, request)
        };
        compress(answer, request)
    }

    /// `/{repository}/resolve/{revision}/{file}`; the revision's slashes are encoded in the request.
    fn resolve(&self, path: &str, request: &Request) -> Answer {
        let raw = request.target.split('?').next().unwrap_or("");
        let Some((name, rest)) = raw.trim_start_matches('/').split_once("/resolve/") else {
            return Answer::error(404, "", &format!("no route for {path}"));
        };
        let Some((revision, file)) = rest.split_once('/') else { return Answer::error(404, "", "no route") };
        let (name, revision, file) = (decode(name), decode(revision), decode(file));
        let repository = match self.admit(&name, request) {
            Ok(repository) => repository,
            Err(answer) => return answer,
        };
        let Some((commit, files)) = repository.at(&revision) else {
            return Answer::error(404, "RevisionNotFound", "Invalid rev id");
        };
        let Some(found) = files.get(&file) else {
            let mut answer = Answer::error(404, "EntryNotFound", "Entry not found");
            answer.set("X-Repo-Commit", commit.to_owned());
            return answer;
        };
        let mut answer = match found.delivery {
            Delivery::Direct => {
                Answer::new(200, &[("ETag", format!("\"{}\"", found.etag()))], &found.content)
            }
            Delivery::Relative => {
                let location = format!(
                    "/api/resolve-cache/models/{name}/{commit}/{file}?%2F{}=&etag=%22{}%22",
                    name.replace('/', "%2F"),
                    found.etag()
                );
                Answer::new(
                    307,
                    &[("Location", location)],
                    b"Temporary Redirect. Redirecting to another place",
                )
            }
            Delivery::Cdn => {
                let location = format!("{}/{}?Signature=abc%2Bdef&Key-Pair-Id=K", self.cdn, found.sha256());
                Answer::new(302, &[("Location", location)], b"Found. Redirecting to another server")
            }
        };
        if found.delivery != Delivery::Direct {
            answer.set("X-Linked-Size", found.content.len().to_string());
            answer.set("X-Linked-Etag", format!("\"{}\"", found.etag()));
        }
        answer.set("X-Repo-Commit", commit.to_owned());
        answer
    }

    /// The repository, if the request's token may read it.
    fn admit(&self, name: &str, request: &Request) -> Result<&Repository, Answer> {
        let token = request.header("Authorization").map(|value| value.trim_start_matches("Bearer "));
        if token.is_some_and(|token| token != TOKEN && token != MEMBER) {
            return Err(Answer::error(401, "", "Invalid credentials in Authorization header"));
        }
        let hidden = || match token {
            Some(_) => Answer::error(404, "RepoNotFound", "Repository not found"),
            None => Answer::error(401, "RepoNotFound", "Invalid username or password."),
        };
        let repository = self.repositories.get(name).ok_or_else(hidden)?;
        match (repository.access, token) {
            (Access::Private, None) => Err(hidden()),
            (Access::Gated, None) => {
                Err(Answer::error(401, "GatedRepo", "Access to this model is restricted. Please log in."))
            }
            (Access::Gated, Some(token)) if token != MEMBER => {
                Err(Answer::error(403, "GatedRepo", "You are not in the authorized list."))
            }
            _ => Ok(repository),
        }
    }

    /// `{owner}/{name}/{commit}/{file}`; insists on the query of the redirect that led here.
    fn resolve_cache(&self, path: &str, query: &str) -> Answer {
        let parts: Vec<&str> = path.splitn(4, '/').collect();
        let [owner, name, commit, file] = parts[..] else { return Answer::error(404, "", "no route") };
        let found = self
            .repositories
            .get(&format!("{owner}/{name}"))
            .and_then(|repository| repository.commits.get(commit)?.get(file));
        let Some(found) = found.filter(|found| query.contains(&format!("etag=%22{}%22", found.etag())))
        else {
            return Answer::error(400, "", "the query of the redirect is missing");
        };
        let headers = [("ETag", format!("\"{}\"", found.etag())), ("X-Repo-Commit", commit.to_owned())];
        Answer::new(200, &headers, &found.content)
    }

    fn cdn_file(&self, path: &str, query: &str, request: &Request) -> Answer {
        if request.header("Authorization").is_some() {
            return Answer::error(400, "", "Only one auth mechanism allowed");
        }
        if !query.contains("Signature=abc%2Bdef") {
            return Answer::error(403, "", "the signature is missing");
        }
        let wanted = path.trim_start_matches('/');
        let found = self
            .repositories
            .values()
            .flat_map(|repository| repository.commits.values())
            .flat_map(BTreeMap::values)
            .find(|file| file.delivery == Delivery::Cdn && file.sha256() == wanted);
        match found {
            Some(file) => Answer::new(200, &[("ETag", "\"opaque-3\"".to_owned())], &file.content),
            None => Answer::error(404, "", "no such object"),
        }
    }

    fn api(&self, path: &str) -> Answer {
        let mut parts = path.splitn(4, '/');
        let mut next = || parts.next().unwrap_or("");
        let name = format!("{}/{}", next(), next());
        let (what, revision) = (next(), next());
        let Some(repository) = self.repositories.get(&name) else {
            return Answer::error(404, "RepoNotFound", "Repository not found");
        };
        if what == "refs" {
            let branches: Vec<String> = repository
                .branches
                .iter()
                .map(|(name, commit)| {
                    format!(
                        "{{\"name\":\"{name}\",\"ref\":\"refs/heads/{name}\",\"targetCommit\":\"{commit}\"}}"
                    )
                })
                .collect();
            return Answer::json(&format!(
                "{{\"branches\":[{}],\"tags\":[],\"converts\":[]}}",
                branches.join(",")
            ));
        }
        let Some((commit, files)) = repository.at(if revision.is_empty() { "main" } else { revision }) else {
            return Answer::error(404, "RevisionNotFound", "Invalid rev id");
        };
        if what == "tree" {
            let entries: Vec<String> = files
                .iter()
                .map(|(path, file)| {
                    let size = file.content.len();
                    let lfs = if file.delivery == Delivery::Cdn {
                        format!(
                            ",\"lfs\":{{\"oid\":\"{}\",\"size\":{size},\"pointerSize\":134}}",
                            file.sha256()
                        )
                    } else {
                        String::new()
                    };
                    format!(
                        "{{\"type\":\"file\",\"oid\":\"{}\",\"size\":{size},\"path\":\"{path}\"{lfs}}}",
                        file.git_oid()
                    )
                })
                .collect();
            return Answer::json(&format!("[{}]", entries.join(",")));
        }
        let siblings: Vec<String> =
            files.keys().map(|path| format!("{{\"rfilename\":\"{path}\"}}")).collect();
        Answer::json(&format!(
            "{{\"_id\":\"1\",\"id\":\"{name}\",\"modelId\":\"{name}\",\"sha\":\"{commit}\",\"private\":false,\
             \"gated\":false,\"disabled\":false,\"tags\":[],\"downloads\":0,\"likes\":0,\"siblings\":[{}]}}",
            siblings.join(",")
        ))
    }
}

impl Repository {
    fn at(&self, revision: &str) -> Option<(&str, &BTreeMap<String, File>)> {
        let commit = self.branches.get(revision).map_or(revision, String::as_str);
        self.commits.get_key_value(commit).map(|(commit, files)| (commit.as_str(), files))
    }
}

/// Text files travel compressed, in chunks and without a length, to clients that accept it.
fn compress(mut answer: Answer, request: &Request) -> Answer {
    let accepted = request.header("Accept-Encoding").is_some_and(|value| value.contains("gzip"));
    if request.server == Server::Cdn || answer.status != 200 || !accepted || request.method == "HEAD" {
        return answer;
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&answer.body).unwrap();
    let packed = encoder.finish().unwrap();
    answer.body = format!("{:x}\r\n", packed.len()).into_bytes();
    answer.body.extend(&packed);
    answer.body.extend(b"\r\n0\r\n\r\n");
    answer.set("Content-Encoding", "gzip".to_owned());
    answer.set("Transfer-Encoding", "chunked".to_owned());
    answer
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let escaped = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        if let Some(byte) = escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            out.push(byte);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
