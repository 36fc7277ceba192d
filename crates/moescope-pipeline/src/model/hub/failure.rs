//! What a failed request means, and what a user can do about it.

use std::{error::Error as _, time::Duration};

use moescope_core::Cancelled;
use reqwest::{Response, StatusCode, Url, header::RETRY_AFTER};

use super::error::HubError;

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

/// What was asked for, and by whom.
pub(super) struct Asked<'a> {
    /// The repository.
    pub(super) id: &'a str,
    /// The Hub's address.
    pub(super) endpoint: &'a Url,
    /// Whether a token was shown.
    pub(super) has_token: bool,
}

/// What a status that is no success means, and what would help.
pub(super) fn refusal(asked: &Asked<'_>, url: &Url, response: &Response) -> Failure {
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
        let help = if status == StatusCode::TOO_MANY_REQUESTS && !asked.has_token {
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
    let is_endpoint = url.origin() == asked.endpoint.origin();
    let id = asked.id.to_owned();
    Failure::Final(match (status.as_u16(), code.as_str()) {
        (401 | 403, "GatedRepo") => HubError::Gated {
            page: below(asked.endpoint, id.split('/')).to_string(),
            id,
        },
        (401, _) if is_endpoint => HubError::Unauthorized {
            reason: if asked.has_token {
                format!("the token was not accepted, or it may not read this repository{message}")
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

/// An address below another; every part is escaped.
pub(super) fn below<'p>(endpoint: &Url, parts: impl IntoIterator<Item = &'p str>) -> Url {
    let mut url = endpoint.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(parts);
    }
    url
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

/// An error and its causes, without addresses.
pub(super) fn causes(error: &reqwest::Error) -> String {
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
        let is_news = !text.contains(&cause_text)
            && !cause_text.contains("://")
            // hyper's word for what `no connection` says already.
            && !cause_text.starts_with("client error");
        if is_news {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// A failure of the network, with what a user can do about it.
pub(super) fn network_failure(error: &reqwest::Error, url: &Url) -> Failure {
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
}
