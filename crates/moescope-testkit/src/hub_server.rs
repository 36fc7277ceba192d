//! A small HTTP server on this machine that speaks as much of the Hugging Face Hub's interface as a download needs.
//!
//! Every request is recorded, and a test may answer any of them differently, so that each failure of a real network
//! can be played.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::HubRepository;

/// A request as the server saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubRequest {
    /// The path and query.
    pub path: String,
    /// The headers, their names in lowercase.
    pub headers: BTreeMap<String, String>,
}

impl HubRequest {
    /// The first byte that is asked for; 0 without a range.
    #[must_use]
    pub fn from(&self) -> usize {
        self.headers
            .get("range")
            .and_then(|range| {
                range
                    .strip_prefix("bytes=")?
                    .strip_suffix('-')?
                    .parse()
                    .ok()
            })
            .unwrap_or(0)
    }
}

/// What the server answers.
#[derive(Clone, Debug)]
pub struct HubAnswer {
    /// The status.
    pub status: u16,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// The body; its length is always told.
    pub body: Vec<u8>,
    /// Cut the connection after this many bytes of the body.
    pub cut_after: Option<usize>,
    /// Wait this long between pieces of a hundred bytes.
    pub pause: Duration,
}

impl HubAnswer {
    /// A status with a body.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            cut_after: None,
            pause: Duration::ZERO,
        }
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a connection that is cut after some bytes of the body.
    #[must_use]
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.cut_after = Some(bytes);
        self
    }
}

type Handler = dyn Fn(&HubRequest) -> HubAnswer + Send + Sync;

/// The running server; it ends with the value.
pub struct HubServer {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<HubRequest>>>,
    is_ended: Arc<AtomicBool>,
}

impl std::fmt::Debug for HubServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HubServer")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl HubServer {
    /// Serves a repository.
    ///
    /// # Panics
    /// When this machine has no loopback network.
    #[must_use]
    pub fn serve(repository: HubRepository) -> Self {
        Self::start(move |request| repository.answer(request))
    }

    /// Answers every request with `handler`.
    ///
    /// # Panics
    /// When this machine has no loopback network.
    #[must_use]
    pub fn start(handler: impl Fn(&HubRequest) -> HubAnswer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback network");
        let address = listener.local_addr().expect("a bound socket");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let is_ended = Arc::new(AtomicBool::new(false));
        let handler: Arc<Handler> = Arc::new(handler);
        let (seen, ended) = (Arc::clone(&requests), Arc::clone(&is_ended));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (handler, seen) = (Arc::clone(&handler), Arc::clone(&seen));
                std::thread::spawn(move || {
                    // A client that goes away is what some tests are about.
                    drop(stream.and_then(|stream| answer_one(&stream, &*handler, &seen)));
                });
            }
        });
        Self {
            address,
            requests,
            is_ended,
        }
    }

    /// What `HF_ENDPOINT` must be.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far.
    ///
    /// # Panics
    /// When a handler panicked.
    #[must_use]
    pub fn requests(&self) -> Vec<HubRequest> {
        self.requests.lock().expect("no handler panicked").clone()
    }

    /// How many requests named this file.
    #[must_use]
    pub fn count(&self, file: &str) -> usize {
        self.requests()
            .iter()
            .filter(|request| request.path.ends_with(&format!("/{file}")))
            .count()
    }
}

impl Drop for HubServer {
    fn drop(&mut self) {
        self.is_ended.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        drop(TcpStream::connect(self.address));
    }
}

fn answer_one(
    mut stream: &TcpStream,
    handler: &Handler,
    seen: &Mutex<Vec<HubRequest>>,
) -> io::Result<()> {
    let mut lines = BufReader::new(stream.take(64 << 10));
    let mut first = String::new();
    lines.read_line(&mut first)?;
    let Some(path) = first.split(' ').nth(1) else {
        return Ok(());
    };
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        lines.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let request = HubRequest {
        path: path.to_owned(),
        headers,
    };
    let answer = handler(&request);
    if let Ok(mut seen) = seen.lock() {
        seen.push(request);
    }
    let mut head = format!(
        "HTTP/1.1 {} Played\r\nContent-Length: {}\r\nConnection: close\r\n",
        answer.status,
        answer.body.len()
    );
    for (name, value) in &answer.headers {
        write!(head, "{name}: {value}\r\n").expect("writing to a string cannot fail");
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    let end = answer
        .cut_after
        .unwrap_or(usize::MAX)
        .min(answer.body.len());
    let piece = if answer.pause.is_zero() {
        64 << 10
    } else {
        100
    };
    for part in answer.body[..end].chunks(piece) {
        stream.write_all(part)?;
        std::thread::sleep(answer.pause);
    }
    stream.flush()
}
