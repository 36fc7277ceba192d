//! HTTP to the Hub: redirects without leaking the token, patience with a network that fails, errors in words.
//!
//! One request at a time, on a runtime that lives in this thread only; a cancel is noticed within a fraction of a
//! second even while the server is silent.

use std::{error::Error as _, future::Future, time::Duration};

use moescope_core::Cancelled;
use reqwest::{
    Response, StatusCode, Url,
    header::{ACCEPT_ENCODING, AUTHORIZATION, LOCATION, RANGE, RETRY_AFTER},
    redirect::Policy,
};

use super::{
    error::HubError,
    settings::{HubSettings, Patience},
};

/// Most redirects of one request.
const MOST_REDIRECTS: usize = 8;
/// How often a waiting request looks whether it was cancelled.
const TICK: Duration = Duration::from_millis(200);
/// Longest pause that a server can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Is called while something is waited for; an error ends the wait.
pub(super) type Tick<'t> = &'t mut dyn FnMut() -> Result<(), Cancelled>;

/// A connection to one Hub.
pub(super) struct Client {
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
    endpoint: Url,
    token: Option<reqwest::header::HeaderValue>,
    patience: Patience,
}

/// Why a request brought nothing.
pub(super) enum Failure {
    /// It may work the next time, after the pause that the server asks for.
    Passing {
        reason: String,
        help: String,
        pause: Option<Duration>,
    },
    /// It will not.
    Final(HubError),
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        Self::Final(error)
    }
}

impl From<Cancelled> for Failure {
    fn from(cancelled: Cancelled) -> Self {
        Self::Final(cancelled.into())
    }
}

impl Failure {
    pub(super) fn passing(reason: impl Into<String>) -> Self {
        Self::Passing {
            reason: reason.into(),
            help: String::new(),
            pause: None,
        }
    }
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
            .connect_timeout(settings.patience.silence)
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
        })
    }

    /// An address below the endpoint; every part is escaped.
    pub(super) fn url<'p>(&self, parts: impl IntoIterator<Item = &'p str>) -> Url {
        let mut url = self.endpoint.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(parts);
        }
        url
    }

    /// Whether there is a token to show.
    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
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
                    if failures >= self.patience.attempts {
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
            let status = response.status();
            if status.is_redirection() {
                at = redirected(&at, &response)?;
                continue;
            }
            if status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE {
                return Ok(response);
            }
            return Err(self.refusal(id, &at, &response));
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

    /// What a status that is no success means, and what would help.
    fn refusal(&self, id: &str, url: &Url, response: &Response) -> Failure {
        let header = |name: &str| {
            let text = response.headers().get(name)?.to_str().ok()?;
            // What a server says is shown on a terminal: no control characters, and not much of it.
            Some(
                text.chars()
                    .filter(|c| !c.is_control())
                    .take(200)
                    .collect::<String>(),
            )
        };
        let status = response.status();
        let code = header("x-error-code").unwrap_or_default();
        let message = header("x-error-message").map_or(String::new(), |text| format!(" ({text})"));
        if matches!(status.as_u16(), 408 | 429 | 500 | 502..=504) {
            let pause = header(RETRY_AFTER.as_str())
                .and_then(|text| text.parse().ok())
                .map(Duration::from_secs);
            let help = if status == StatusCode::TOO_MANY_REQUESTS && !self.has_token() {
                "; with HF_TOKEN set the Hub allows more requests".to_owned()
            } else {
                "; run the same command again later, it continues where it was".to_owned()
            };
            return Failure::Passing {
                reason: format!("the server answered {}{message}", status.as_u16()),
                help,
                pause,
            };
        }
        let is_endpoint = url.origin() == self.endpoint.origin();
        let id = id.to_owned();
        Failure::Final(match (status.as_u16(), code.as_str()) {
            (401 | 403, "GatedRepo") => HubError::Gated {
                page: self.url(id.split('/')).to_string(),
                id,
            },
            (401, _) if is_endpoint => HubError::Unauthorized {
                reason: if self.has_token() {
                    format!(
                        "the token was not accepted, or it may not read this repository{message}"
                    )
                } else {
                    format!(
                        "there is no such repository, or it is private and no token was given{message}"
                    )
                },
                id,
            },
            (404, "RevisionNotFound") => HubError::NotFound {
                what: format!("the revision of '{id}'"),
                hint: "; branches, tags and whole commits are revisions".to_owned(),
                url: shown(url),
            },
            (404, "EntryNotFound") => HubError::NotFound {
                what: format!("a file of '{id}'"),
                hint: String::new(),
                url: shown(url),
            },
            (404, _) if is_endpoint => HubError::NotFound {
                what: format!("the repository '{id}'"),
                hint: String::new(),
                url: shown(url),
            },
            (status, _) => HubError::Status {
                status,
                message,
                url: shown(url),
            },
        })
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

/// An address without its query, where signatures of content servers are.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    // Names and passwords may stand before the host.
    let _ = url.set_password(None);
    let _ = url.set_username("");
    url.to_string()
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

/// An error and its causes, without addresses.
fn causes(error: &reqwest::Error) -> String {
    let mut text = match (error.is_timeout(), error.is_connect(), error.is_body()) {
        (true, ..) => "the server is silent",
        (_, true, _) => "no connection",
        (.., true) => "the connection was cut",
        _ => "the request failed",
    }
    .to_owned();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) && !cause_text.contains("://") {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// A failure of the network, with what a user can do about it.
fn network_failure(error: &reqwest::Error, url: &Url) -> Failure {
    let reason = causes(error);
    let host = url.host_str().unwrap_or("the server");
    let lower = reason.to_lowercase();
    let help = if lower.contains("certificate") || lower.contains("unknownissuer") {
        // A certificate does not become valid by asking again.
        return Failure::Final(HubError::Network {
            action: format!("trust {host}"),
            reason,
            help: "; behind a proxy that re-signs traffic, or on a system without certificates, set SSL_CERT_FILE to \
                   a file with the right ones"
                .to_owned(),
            url: shown(url),
        });
    } else if lower.contains("dns") || lower.contains("lookup") {
        format!(
            "; the name {host} cannot be looked up: compute nodes often have no network, download on a login node first; \
             HF_ENDPOINT names another server, HTTPS_PROXY a proxy"
        )
    } else if error.is_connect() {
        format!(
            "; is {host} reachable from here? HF_ENDPOINT names another server, HTTPS_PROXY a proxy"
        )
    } else {
        "; run the same command again, it continues where it was".to_owned()
    };
    Failure::Passing {
        reason,
        help,
        pause: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_and_passwords_are_not_shown() {
        let url = Url::parse("https://ada:secret@cdn.example/a/b?Signature=xyz").unwrap();
        assert_eq!(shown(&url), "https://cdn.example/a/b");
    }

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
