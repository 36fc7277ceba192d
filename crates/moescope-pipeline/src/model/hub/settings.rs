//! What the environment says of the Hub: the same variables as Hugging Face's own tools.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::{Url, header::HeaderValue};

/// The public Hub.
const ENDPOINT: &str = "https://huggingface.co";
/// A token is some dozens of characters; a larger file is something else.
const LONGEST_TOKEN_FILE: u64 = 64 << 10;

/// Where the Hub and its local cache are, and who asks.
#[derive(Debug)]
pub(super) struct HubSettings {
    /// The folder with `models--ORGANISATION--NAME` folders; none where the environment names no place for it.
    pub(super) cache: Option<PathBuf>,
    /// The server's address.
    pub(super) endpoint: Result<Url, String>,
    /// The `Authorization` header, marked as secret so that it is never printed.
    pub(super) token: Result<Option<HeaderValue>, String>,
    /// The variable that forbids the network, if one does.
    pub(super) offline: Option<&'static str>,
    /// How patient a download is.
    pub(super) patience: Patience,
}

/// How long to wait for the network, and how often.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Longest silence of the server.
    pub(super) silence: Duration,
    /// Attempts in a row that bring nothing.
    pub(super) attempts: u32,
    /// Pause after the first of them; it doubles each time.
    pub(super) pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(30),
            attempts: 6,
            pause: Duration::from_secs(1),
        }
    }
}

impl HubSettings {
    /// Reads the environment.
    pub(super) fn from_environment() -> Self {
        let home = folder("HF_HOME").or_else(|| {
            folder("XDG_CACHE_HOME")
                .map(|cache| cache.join("huggingface"))
                .or_else(|| {
                    folder("HOME")
                        .or_else(|| folder("USERPROFILE"))
                        .map(|home| home.join(".cache").join("huggingface"))
                })
        });
        Self {
            cache: folder("HF_HUB_CACHE")
                .or_else(|| folder("HUGGINGFACE_HUB_CACHE"))
                .or_else(|| Some(home.as_ref()?.join("hub"))),
            endpoint: endpoint(&text("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned())),
            token: token(home.as_deref()),
            offline: ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]
                .into_iter()
                .find(|name| is_true(text(name).as_deref())),
            patience: Patience::default(),
        }
    }
}

/// A variable that is set to something.
fn text(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

fn folder(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// `1`, `ON`, `YES` or `TRUE`, as Hugging Face's tools read it.
fn is_true(value: Option<&str>) -> bool {
    value.is_some_and(|value| {
        matches!(
            value.to_ascii_uppercase().as_str(),
            "1" | "ON" | "YES" | "TRUE"
        )
    })
}

pub(super) fn endpoint(text: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim().trim_end_matches('/'))
        .map_err(|error| format!("HF_ENDPOINT is no address ({error}): {text}"))?;
    if !matches!(url.scheme(), "https" | "http") || url.cannot_be_a_base() {
        return Err(format!(
            "HF_ENDPOINT must begin with https:// or http://: {text}"
        ));
    }
    Ok(url)
}

/// `HF_TOKEN`, else what is in the file `HF_TOKEN_PATH` or `HF_HOME/token`.
fn token(home: Option<&Path>) -> Result<Option<HeaderValue>, String> {
    if let Some(token) = text("HF_TOKEN").or_else(|| text("HUGGING_FACE_HUB_TOKEN")) {
        return bearer(&token, "HF_TOKEN").map(Some);
    }
    let Some(path) = folder("HF_TOKEN_PATH").or_else(|| Some(home?.join("token"))) else {
        return Ok(None);
    };
    let is_small = fs::metadata(&path).is_ok_and(|found| found.len() <= LONGEST_TOKEN_FILE);
    match fs::read_to_string(&path) {
        Ok(token) if is_small && !token.trim().is_empty() => {
            bearer(&token, &path.display().to_string()).map(Some)
        }
        _ => Ok(None),
    }
}

pub(super) fn bearer(token: &str, from: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
        .ok()
        .filter(|_| token.trim().chars().all(|c| c.is_ascii_graphic()))
        .ok_or_else(|| {
            format!("the token in {from} holds characters that no token has (it is not shown here)")
        })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_web_address() {
        assert_eq!(
            endpoint("https://hub.example/").unwrap().as_str(),
            "https://hub.example/"
        );
        assert!(endpoint("ftp://hub.example").is_err());
        assert!(endpoint("hub.example").is_err());
    }

    #[test]
    fn a_token_is_never_shown() {
        let header = bearer(" hf_secret\n", "HF_TOKEN").unwrap();
        assert_eq!(header.to_str().unwrap(), "Bearer hf_secret");
        assert!(!format!("{header:?}").contains("secret"));
        let error = bearer("hf_se cret", "HF_TOKEN").unwrap_err();
        assert!(
            error.contains("HF_TOKEN") && !error.contains("cret\""),
            "{error}"
        );
        assert!(!error.contains("hf_se"), "{error}");
    }

    #[test]
    fn offline_is_read_like_hugging_face_does() {
        for (value, expected) in [("1", true), ("true", true), ("0", false), ("no", false)] {
            assert_eq!(is_true(Some(value)), expected, "{value}");
        }
        assert!(!is_true(None));
    }
}
