//! Models of the Hugging Face Hub: found in the local cache first, downloaded only when that is allowed.

mod blob;
mod cache;
mod client;
mod download;
mod error;
mod failure;
mod listing;
mod meter;
mod needed;
mod partial;
mod settings;
#[cfg(test)]
mod tests;

use std::path::Path;

use moescope_core::{Progress, did_you_mean};

pub use error::HubError;

use super::ModelFolder;
use cache::{Gaps, RepositoryFolder};
use settings::HubSettings;

/// Whether what the local cache lacks may be downloaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Download {
    /// Nobody said so: the network is not touched, and the error tells how to allow it.
    #[default]
    NotAsked,
    /// Yes.
    Allowed,
    /// No, and the user said so.
    Forbidden,
}

/// Whether a name has the form `organisation/name`.
pub(super) fn is_repository_id(model: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    matches!(model.split_once('/'), Some((organisation, name)) if is_part(organisation) && is_part(name))
}

/// The snapshot of a repository, from the cache or from the Hub.
pub(super) fn obtain(
    id: &str,
    revision: Option<&str>,
    download: Download,
    progress: &dyn Progress,
) -> Result<ModelFolder, HubError> {
    obtain_with(
        &HubSettings::from_environment(),
        id,
        revision,
        download,
        progress,
    )
}

fn obtain_with(
    settings: &HubSettings,
    id: &str,
    revision: Option<&str>,
    download: Download,
    progress: &dyn Progress,
) -> Result<ModelFolder, HubError> {
    let Some(cache) = &settings.cache else {
        return Err(HubError::Settings(format!(
            "cannot look for the repository '{id}': none of HF_HUB_CACHE, HF_HOME and HOME says where the local Hugging Face \
             cache is"
        )));
    };
    let revision = revision.unwrap_or("main");
    if !cache::is_safe_revision(revision) {
        return Err(HubError::Settings(format!(
            "'{revision}' cannot be a revision; branches, tags and commits are"
        )));
    }
    let repository = RepositoryFolder::new(cache, id);
    let local = repository.commit(revision).map(|commit| {
        let gaps = cache::gaps(&repository.snapshot(&commit));
        (commit, gaps)
    });
    let is_allowed = download == Download::Allowed;
    let commit = match local {
        Some((commit, gaps)) if gaps.files.is_empty() && !(is_allowed && gaps.no_tokenizer) => {
            commit
        }
        _ if is_allowed && settings.offline.is_none() => {
            download::download(settings, cache, id, revision, progress)
                .map_err(|error| with_hint(error, id, cache))?
        }
        local => {
            let gaps = local.map(|(_, gaps)| gaps);
            return Err(not_cached(
                settings,
                cache,
                id,
                revision,
                download,
                gaps,
                &repository,
            ));
        }
    };
    Ok(ModelFolder {
        path: repository.snapshot(&commit),
        name: id.to_owned(),
        revision: Some(commit),
        temporary: None,
    })
}

/// Says what the cache lacks and how to get it.
fn not_cached(
    settings: &HubSettings,
    cache: &Path,
    id: &str,
    revision: &str,
    download: Download,
    gaps: Option<Gaps>,
    repository: &RepositoryFolder,
) -> HubError {
    let how = match (download, settings.offline) {
        (Download::Forbidden, _) => {
            "--offline forbids the download; leave it out and add --download, or give a folder"
                .to_owned()
        }
        (_, Some(variable)) => format!(
            "{variable} forbids the download; unset it and add --download, or give a folder"
        ),
        _ => format!(
            "nothing is downloaded unless you allow it: add --download (or use `hf download {id}`), or give a folder"
        ),
    };
    let found = if let Some(gaps) = gaps {
        format!(
            "'{id}' is in the local Hugging Face cache, but not whole: {} {} missing",
            some_of(&gaps.files),
            if gaps.files.len() == 1 { "is" } else { "are" }
        )
    } else if repository.path.is_dir() {
        let snapshots = repository.snapshots();
        format!(
            "the repository '{id}' is in the local Hugging Face cache, but not its revision '{revision}'; found {}",
            if snapshots.is_empty() {
                "no snapshot".to_owned()
            } else {
                some_of(&snapshots)
            }
        )
    } else {
        format!(
            "the repository '{id}' is not in the local Hugging Face cache{}",
            similar(id, cache)
        )
    };
    HubError::NotCached(format!("{found}; {how}: {}", cache.display()))
}

/// The first names of a list that may be long.
fn some_of(names: &[String]) -> String {
    match names {
        [] => "tokenizer.json".to_owned(),
        [.., _] if names.len() <= 3 => names.join(", "),
        _ => format!("{}, … ({} files)", names[..2].join(", "), names.len()),
    }
}

fn similar(id: &str, cache: &Path) -> String {
    let known = cache::repositories(cache);
    let known: Vec<&str> = known
        .iter()
        .map(String::as_str)
        .filter(|known| *known != id)
        .collect();
    did_you_mean(id, &known)
}

/// A name that the Hub does not know may be a slip of one that the cache has.
fn with_hint(error: HubError, id: &str, cache: &Path) -> HubError {
    match error {
        HubError::NotFound { what, hint, url } if hint.is_empty() => HubError::NotFound {
            hint: similar(id, cache),
            what,
            url,
        },
        HubError::Unauthorized { id, reason } => HubError::Unauthorized {
            reason: reason + &similar(&id, cache),
            id,
        },
        other => other,
    }
}
