//! HTTP to the Hub: redirects without leaking the token, patience with a network that fails, errors in words.
//!
//! One request at a time, on a runtime that lives in this thread only; a cancel is noticed within a fraction of a
//! second even while the server is silent.

use std::{cell::Cell, future::Future, time::Duration};

use moescope_core::Cancelled;
use reqwest::{
    Response, StatusCode, Url,
    header::{ACCEPT_ENCODING, AUTHORIZATION, LOCATION, RANGE},
    redirect::Policy,
};

use super::{
    error::HubError,
    failure::{Asked, Failure, below, causes, network_failure, refusal, shown},
    settings::{HubSettings, Patience},
};

/// Most redirects of one request.
const MOST_REDIRECTS: usize = 8;
/// Attempts to reach a server that has not answered yet.
const FIRST_ATTEMPTS: u32 = 3;
/// Longest wait for a connection: a firewall that drops packets never answers.
const LONGEST_CONNECT: Duration = Duration::from_secs(10);
/// How often a waiting request looks whether it was cancelled.
const TICK: Duration = Duration::from_millis(200);
/// Longest pause that a server can ask for.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Is called while something is waited for; an error ends the wait.
pub(super) type Tick<'t> = &'t mut dyn FnMut() -> Result<(), Cancelled>;

/// A connection to one Hub.
pub(super) struct Client {
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
    endpoint: Url,
    token: Option<reqwest::header::HeaderValue>,
    patience: Patience,
    /// Whether any server has answered yet.
    has_connected: Cell<bool>,
}

impl Client {
    /// Prepares a client; nothing is sent yet.
    pub(super) fn new(settings: &HubSettings) -> Result<Self, HubError> {
        let endpoint = settings.endpoint.clone().map_err(HubError::Settings)?;
        let token = settings.token.clone().map_err(HubError::Settings)?;
        let broken = |reason: String| HubError::Network {
            action: "prepare the connection to the Hub".to_owned(),
            help: String::new(),
            reason,
            url: endpoint.to_string(),
        };
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("moescope/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .connect_timeout(settings.patience.silence.min(LONGEST_CONNECT))
            .read_timeout(settings.patience.silence)
            .http1_only();
        if is_loopback(&endpoint) {
            // A server on this machine is reached directly, whatever proxy the environment names.
            http = http.no_proxy();
        }
        Ok(Self {
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| broken(error.to_string()))?,
            http: http.build().map_err(|error| broken(causes(&error)))?,
            patience: settings.patience,
            endpoint,
            token,
            has_connected: Cell::new(false),
        })
    }

    /// An address below the endpoint; every part is escaped.
    pub(super) fn url<'p>(&self, parts: impl IntoIterator<Item = &'p str>) -> Url {
        below(&self.endpoint, parts)
    }

    /// Repeats a request that fails in passing, with growing pauses. `work` says whether it brought something before it
    /// failed; then the count begins anew.
    pub(super) fn patiently<T>(
        &self,
        action: &str,
        url: &Url,
        tick: Tick<'_>,
        work: &mut dyn FnMut(Tick<'_>, &mut bool) -> Result<T, Failure>,
    ) -> Result<T, HubError> {
        let mut failures = 0;
        loop {
            let mut has_advanced = false;
            match work(tick, &mut has_advanced) {
                Ok(value) => return Ok(value),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing {
                    reason,
                    help,
                    pause,
                }) => {
                    failures = if has_advanced { 1 } else { failures + 1 };
                    // A network that never was will hardly come; one that was there may come back.
                    let attempts = if self.has_connected.get() {
                        self.patience.attempts
                    } else {
                        self.patience.attempts.min(FIRST_ATTEMPTS)
                    };
                    if failures >= attempts {
                        return Err(HubError::Network {
                            action: action.to_owned(),
                            reason: format!("{reason} ({failures} attempts)"),
                            help,
                            url: shown(url),
                        });
                    }
                    let usual = self.patience.pause * 2u32.pow((failures - 1).min(5));
                    let pause = pause.map_or(usual, |asked| asked.max(usual));
                    self.pause(pause.min(LONGEST_PAUSE), tick)?;
                }
            }
        }
    }

    fn pause(&self, pause: Duration, tick: Tick<'_>) -> Result<(), Cancelled> {
        self.wait(async { tokio::time::sleep(pause).await }, tick)
    }

    /// Waits for something, and ends the wait when it is cancelled.
    fn wait<F: Future>(&self, future: F, tick: Tick<'_>) -> Result<F::Output, Cancelled> {
        self.runtime.block_on(async {
            let mut future = std::pin::pin!(future);
            loop {
                if let Ok(output) = tokio::time::timeout(TICK, &mut future).await {
                    return Ok(output);
                }
                tick()?;
            }
        })
    }

    /// Asks for an address, from byte `from` on where that is not zero, and follows redirects.
    ///
    /// The token goes to the endpoint only. The answer is a success, or 416 for a range that is not there.
    pub(super) fn get(
        &self,
        id: &str,
        url: &Url,
        from: u64,
        tick: Tick<'_>,
    ) -> Result<Response, Failure> {
        let mut at = url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let mut request = self
                .http
                .get(at.clone())
                // A compressed answer would have another length than the one the Hub promised.
                .header(ACCEPT_ENCODING, "identity");
            if let Some(token) = &self.token
                && at.origin() == self.endpoint.origin()
            {
                request = request.header(AUTHORIZATION, token.clone());
            }
            if from > 0 {
                request = request.header(RANGE, format!("bytes={from}-"));
            }
            let response = self
                // Timers of the request must be made inside the runtime.
                .wait(async { request.send().await }, tick)?
                .map_err(|error| network_failure(&error, &at))?;
            self.has_connected.set(true);
            let status = response.status();
            if status.is_redirection() {
                at = redirected(&at, &response)?;
                continue;
            }
            if status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE {
                return Ok(response);
            }
            let asked = Asked {
                id,
                endpoint: &self.endpoint,
                has_token: self.token.is_some(),
            };
            return Err(refusal(&asked, &at, &response));
        }
        Err(Failure::Final(HubError::Answer {
            reason: format!("more than {MOST_REDIRECTS} redirects"),
            url: shown(url),
        }))
    }

    /// The next piece of an answer's body; `None` at its end.
    pub(super) fn chunk(
        &self,
        response: &mut Response,
        tick: Tick<'_>,
    ) -> Result<Option<impl AsRef<[u8]> + use<>>, Failure> {
        let url = response.url().clone();
        self.wait(response.chunk(), tick)?
            .map_err(|error| network_failure(&error, &url))
    }

    /// A whole answer of at most `largest` bytes.
    pub(super) fn body(
        &self,
        mut response: Response,
        largest: u64,
        tick: Tick<'_>,
    ) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(piece) = self.chunk(&mut response, tick)? {
            body.extend_from_slice(piece.as_ref());
            if body.len() as u64 > largest {
                return Err(Failure::Final(HubError::Answer {
                    reason: format!("more than {largest} bytes"),
                    url: shown(response.url()),
                }));
            }
        }
        Ok(body)
    }
}

/// Where a redirect leads: to the web, and never from https to http.
fn redirected(from: &Url, response: &Response) -> Result<Url, HubError> {
    let bad = |reason: &str| HubError::Answer {
        reason: reason.to_owned(),
        url: shown(from),
    };
    let to = response
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| from.join(text).ok())
        .ok_or_else(|| bad("a redirect that leads nowhere"))?;
    match (from.scheme(), to.scheme()) {
        ("https", "https") | ("http", "http" | "https") => Ok(to),
        _ => Err(bad("a redirect from https to something else")),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_addresses_are_known() {
        for (url, expected) in [
            ("http://127.0.0.1:8080", true),
            ("http://[::1]:1", true),
            ("http://localhost", true),
            ("https://huggingface.co", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }
}
