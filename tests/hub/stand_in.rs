//! A stand-in for the hub: a server of its own at one port, and the storage that it redirects to at another. It can
//! be told to break off, to lie, to be slow or to refuse.

use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::Duration;

/// What goes wrong with one answer.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This status and these headers, and no content.
    Status(u16, &'static str),
    /// The connection ends after so many bytes.
    BreakOff(usize),
    /// Nothing comes after so many bytes, and the connection stays.
    Stall(usize),
    /// `Content-Length` is so much more (or less) than what there is; what there is, or what was said, comes.
    Announce(i64),
    /// The whole comes, whatever range was asked for.
    IgnoreRange,
    /// As many other bytes come.
    Garbage,
    /// The right bytes come, and the connection is never closed.
    StayOpen,
    /// A redirect there.
    Redirect(String),
    /// A redirect to the storage that says nothing of the file, as some mirrors send.
    PlainRedirect,
}

/// A file of a repository. Large ones lie in the storage.
#[derive(Debug, Clone)]
pub struct Content {
    pub path: String,
    pub bytes: Vec<u8>,
    pub large: bool,
}

/// A large file.
pub fn large(path: &str, bytes: impl Into<Vec<u8>>) -> Content {
    Content { path: path.into(), bytes: bytes.into(), large: true }
}

/// A small file.
pub fn small(path: &str, bytes: impl Into<Vec<u8>>) -> Content {
    Content { path: path.into(), bytes: bytes.into(), large: false }
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `hub` or `storage`.
    pub place: &'static str,
    pub path: String,
    pub headers: HashMap<String, String>,
}

#[derive(Default)]
struct State {
    /// By name and commit.
    repositories: HashMap<(String, String), Vec<Content>>,
    /// Commits by name and revision.
    revisions: HashMap<(String, String), String>,
    faults: HashMap<(&'static str, String), VecDeque<Fault>>,
    seen: Vec<Seen>,
    /// Whether listings say sizes and hashes.
    metadata: bool,
}

/// The server. It ends with the process.
pub struct StandIn {
    /// Its address, for `HF_ENDPOINT`.
    pub endpoint: String,
    storage: String,
    state: Arc<Mutex<State>>,
}

impl StandIn {
    pub fn start() -> Self {
        let [hub, storage] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let address = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { metadata: true, ..State::default() }));
        let stand_in = Self { endpoint: address(&hub), storage: address(&storage), state: state.clone() };
        for (place, listener) in [("hub", hub), ("storage", storage)] {
            let (state, storage) = (state.clone(), stand_in.storage.clone());
            spawn(move || {
                for stream in listener.incoming().flatten() {
                    let (state, storage) = (state.clone(), storage.clone());
                    spawn(move || {
                        // A client that goes away is no failure of the test.
                        let _ = serve(place, stream, &state, &storage);
                    });
                }
            });
        }
        stand_in
    }

    /// Adds a repository at a revision; answers the commit.
    pub fn add(&self, name: &str, revision: &str, files: Vec<Content>) -> String {
        let commit = commit_of(name, revision);
        let mut state = self.state.lock().unwrap();
        state.revisions.insert((name.into(), revision.into()), commit.clone());
        state.revisions.insert((name.into(), commit.clone()), commit.clone());
        state.repositories.insert((name.into(), commit.clone()), files);
        commit
    }

    /// Lets listings say nothing but names, as mirrors do.
    pub fn without_metadata(&self) {
        self.state.lock().unwrap().metadata = false;
    }

    /// What goes wrong with the next answers about a path of `hub`, of where it redirects to on its own host
    /// (`relative`), or of `storage`. The path `listing` is that of the hub's listing.
    pub fn fail(&self, place: &'static str, path: &str, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().unwrap().faults.entry((place, path.into())).or_default().extend(faults);
    }

    /// All requests so far that have this in their path.
    pub fn seen(&self, part: &str) -> Vec<Seen> {
        let state = self.state.lock().unwrap();
        state.seen.iter().filter(|seen| seen.path.contains(part)).cloned().collect()
    }

    /// The `Range` headers that the storage was sent about a file, in order.
    pub fn ranges(&self, part: &str) -> Vec<Option<String>> {
        let requests = self.seen(part).into_iter().filter(|seen| seen.place == "storage");
        requests.map(|seen| seen.headers.get("range").cloned()).collect()
    }
}

/// What a repository's commit is here: made up, but always the same.
pub fn commit_of(name: &str, revision: &str) -> String {
    sha256(format!("{name}@{revision}").as_bytes())[..40].to_string()
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What names a file's blob.
fn tag(file: &Content) -> String {
    let hash = sha256(&file.bytes);
    if file.large { hash } else { hash[..40].to_string() }
}

fn serve(place: &'static str, stream: TcpStream, state: &Mutex<State>, storage: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_string();
    let mut headers = HashMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.to_string()),
            None => break,
        };
    }
    let mut stream = stream;
    let range = headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let condition = headers.get("if-range").cloned();
    state.lock().unwrap().seen.push(Seen { place, path: path.clone(), headers });
    let path = path.replace("%2F", "/");
    if let Some(rest) = path.strip_prefix("/api/datasets/") {
        let (name, revision) = rest.split_once("/revision/").unwrap_or((rest, ""));
        let revision = revision.split('?').next().unwrap_or_default();
        return list(&mut stream, state, name, revision);
    }
    let Some((name, commit, file)) = find(state, &path) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nX-Error-Code: EntryNotFound\r\nContent-Length: 0\r\n\r\n");
    };
    let relative = path.starts_with("/api/resolve-cache/");
    let fault = next_fault(state, if relative { "relative" } else { place }, &file.path);
    if let Some(Fault::Status(status, headers)) = &fault {
        return write!(stream, "HTTP/1.1 {status} Fault\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let behind = format!("/{name}/{commit}/{}", file.path);
    let redirect = match (&fault, path.contains("/resolve/"), file.large) {
        (Some(Fault::Redirect(target)), ..) => Some((target.clone(), String::new())),
        (Some(Fault::PlainRedirect), ..) => Some((format!("{storage}/storage{behind}"), String::new())),
        (_, true, true) => {
            let (tag, size) = (tag(&file), file.bytes.len());
            let facts = format!("X-Linked-Etag: \"{tag}\"\r\nX-Linked-Size: {size}\r\n");
            Some((format!("{storage}/storage{behind}?signature=a%2Fb"), facts))
        }
        (_, true, false) => Some((format!("/api/resolve-cache{behind}"), format!("ETag: \"{}\"\r\n", tag(&file)))),
        _ => None,
    };
    match redirect {
        Some((target, facts)) => write!(
            stream,
            "HTTP/1.1 302 Found\r\nLocation: {target}\r\n{facts}X-Repo-Commit: {commit}\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n"
        ),
        None => send(&mut stream, &file, range, condition, fault),
    }
}

fn next_fault(state: &Mutex<State>, place: &'static str, path: &str) -> Option<Fault> {
    state.lock().unwrap().faults.get_mut(&(place, path.to_string()))?.pop_front()
}

/// The file that a path means: `…/<name>/…/<revision>/<path>`.
fn find(state: &Mutex<State>, path: &str) -> Option<(String, String, Content)> {
    let state = state.lock().unwrap();
    let path = path.split('?').next()?;
    state.revisions.iter().find_map(|((name, revision), commit)| {
        let (before, after) = path.split_once(&format!("/{revision}/"))?;
        let files = &state.repositories[&(name.clone(), commit.clone())];
        let file = files.iter().find(|file| file.path == after)?;
        let named = before.ends_with(name) || before.ends_with(&format!("{name}/resolve"));
        named.then(|| (name.clone(), commit.clone(), file.clone()))
    })
}

fn list(stream: &mut TcpStream, state: &Mutex<State>, name: &str, revision: &str) -> std::io::Result<()> {
    if let Some(Fault::Status(status, headers)) = next_fault(state, "hub", "listing") {
        return write!(stream, "HTTP/1.1 {status} Fault\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let found = {
        let state = state.lock().unwrap();
        let commit = state.revisions.get(&(name.to_string(), revision.to_string())).cloned();
        commit.map(|commit| {
            let files = &state.repositories[&(name.to_string(), commit.clone())];
            // Order means nothing on the hub.
            let siblings: Vec<_> = files.iter().rev().map(|file| sibling(file, state.metadata)).collect();
            serde_json::json!({"id": name, "sha": commit, "private": false, "siblings": siblings}).to_string()
        })
    };
    match found {
        Some(json) => write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{json}",
            json.len()
        ),
        None => {
            let known = state.lock().unwrap().revisions.keys().any(|(other, _)| other == name);
            let (status, code) = if known { (404, "RevisionNotFound") } else { (401, "RepoNotFound") };
            write!(
                stream,
                "HTTP/1.1 {status} No\r\nX-Error-Code: {code}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
        }
    }
}

fn sibling(file: &Content, metadata: bool) -> serde_json::Value {
    let (path, size) = (&file.path, file.bytes.len());
    match (metadata, file.large) {
        (false, _) => serde_json::json!({"rfilename": path}),
        (true, false) => serde_json::json!({"rfilename": path, "size": size, "blobId": tag(file)}),
        (true, true) => {
            let large = serde_json::json!({"sha256": tag(file), "size": size, "pointerSize": 134});
            serde_json::json!({"rfilename": path, "size": size, "blobId": "0".repeat(40), "lfs": large})
        }
    }
}

fn send(
    stream: &mut TcpStream,
    file: &Content,
    range: Option<usize>,
    condition: Option<String>,
    fault: Option<Fault>,
) -> std::io::Result<()> {
    // The storage's own tag is not the hub's.
    let etag = format!("\"s{}\"", &tag(file)[..16]);
    let whole = matches!(fault, Some(Fault::IgnoreRange)) || condition.is_some_and(|condition| condition != etag);
    let start = range.filter(|_| !whole);
    let total = file.bytes.len();
    if start.is_some_and(|start| start >= total) {
        return write!(
            stream,
            "HTTP/1.1 416 No\r\nContent-Range: bytes */{total}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
    let mut bytes = file.bytes[start.unwrap_or(0)..].to_vec();
    let announced = match fault {
        Some(Fault::Announce(more)) => usize::try_from(bytes.len() as i64 + more).unwrap(),
        _ => bytes.len(),
    };
    let status = match start {
        Some(start) => format!("206 Partial Content\r\nContent-Range: bytes {start}-{}/{total}", total - 1),
        None => "200 OK".to_string(),
    };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {announced}\r\nETag: {etag}\r\nAccept-Ranges: bytes\r\n\r\n")?;
    match fault {
        Some(Fault::BreakOff(count) | Fault::Stall(count)) => bytes.truncate(count),
        Some(Fault::Announce(_)) => bytes.truncate(announced),
        Some(Fault::Garbage) => bytes.iter_mut().for_each(|byte| *byte ^= 0x55),
        _ => {}
    }
    stream.write_all(&bytes)?;
    stream.flush()?;
    if matches!(fault, Some(Fault::Stall(_) | Fault::StayOpen)) {
        sleep(Duration::from_secs(30));
    }
    Ok(())
}
