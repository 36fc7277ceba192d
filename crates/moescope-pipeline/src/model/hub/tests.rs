//! Downloads from a server on this machine that plays what a real network does.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use moescope_core::{Cancelled, NoProgress, Progress};
use moescope_testkit::{HubAnswer, HubRepository, HubRequest, HubServer, ranged, sha256};
use tempfile::TempDir;

use super::{
    Download, HubError, obtain_with,
    settings::{HubSettings, Patience, bearer, endpoint},
};
use crate::model::ModelFolder;

const ID: &str = "ada/tiny-moe";
const TOKEN: &str = "hf_verysecret";

/// A cache of a test's own, and a Hub to fill it from.
struct Setting {
    folder: TempDir,
    settings: HubSettings,
}

impl Setting {
    fn new(server: &HubServer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = HubSettings {
            cache: Some(folder.path().join("hub")),
            endpoint: endpoint(&server.endpoint()),
            token: Ok(None),
            offline: None,
            patience: Patience {
                silence: Duration::from_secs(5),
                attempts: 3,
                pause: Duration::from_millis(1),
            },
        };
        Self { folder, settings }
    }

    fn with_token(mut self) -> Self {
        self.settings.token = bearer(TOKEN, "HF_TOKEN").map(Some);
        self
    }

    fn get(&self) -> Result<ModelFolder, HubError> {
        self.get_as(None, Download::Allowed, &NoProgress)
    }

    fn get_as(
        &self,
        revision: Option<&str>,
        download: Download,
        progress: &dyn Progress,
    ) -> Result<ModelFolder, HubError> {
        obtain_with(&self.settings, ID, revision, download, progress)
    }

    fn refused(&self) -> String {
        self.get().unwrap_err().to_string()
    }

    fn repository(&self) -> PathBuf {
        self.folder.path().join("hub/models--ada--tiny-moe")
    }

    /// Where the content of a large file grows, with some of it there already.
    fn begin(&self, content: &[u8], begun: &[u8]) -> PathBuf {
        let blobs = self.repository().join("blobs");
        fs::create_dir_all(&blobs).unwrap();
        let partial = blobs.join(format!("{}.incomplete", sha256(content)));
        fs::write(&partial, begun).unwrap();
        partial
    }
}

fn weights() -> Vec<u8> {
    (0..100_000u32).flat_map(u32::to_le_bytes).collect()
}

fn repository() -> HubRepository {
    HubRepository::new(ID)
        .file("config.json", r#"{"model_type": "mixtral"}"#)
        .file("tokenizer.json", "{}")
        .file("model.safetensors", weights())
        .file("pytorch_model.bin", "the same weights once more")
        .file("original/config.json", "{}")
        .file("README.md", "words")
}

fn content(folder: &ModelFolder) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(&folder.path)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// Answers the weights with `answer`, which also gets how often they were asked for, and the rest as usual.
fn weights_answer(
    answer: impl Fn(&HubRequest, usize) -> HubAnswer + Send + Sync + 'static,
) -> HubServer {
    let (repository, times) = (repository(), AtomicUsize::new(0));
    HubServer::start(move |request| {
        if request.path.ends_with("/model.safetensors") {
            answer(request, times.fetch_add(1, Ordering::SeqCst))
        } else {
            repository.answer(request)
        }
    })
}

#[test]
fn only_what_a_model_needs_is_downloaded_and_then_found_without_the_network() {
    let server = HubServer::serve(repository());
    let setting = Setting::new(&server);
    let folder = setting.get().unwrap();
    assert_eq!(folder.name, ID);
    assert_eq!(folder.revision, Some(repository().commit));
    let found = content(&folder);
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        ["config.json", "model.safetensors", "tokenizer.json"]
    );
    assert_eq!(found["model.safetensors"], weights());
    let asked = server.requests().len();
    // One listing and three files; then the cache is enough.
    assert_eq!(asked, 4);
    for download in [Download::Allowed, Download::NotAsked, Download::Forbidden] {
        let again = setting.get_as(None, download, &NoProgress).unwrap();
        assert_eq!(again.path, folder.path);
    }
    assert_eq!(server.requests().len(), asked);
}

#[test]
fn the_cache_has_the_layout_of_hugging_face() {
    let server = HubServer::serve(repository());
    let setting = Setting::new(&server);
    setting.get().unwrap();
    let repository = setting.repository();
    let commit = self::repository().commit;
    assert_eq!(
        fs::read_to_string(repository.join("refs/main")).unwrap(),
        commit
    );
    let blob = repository.join("blobs").join(sha256(&weights()));
    assert_eq!(fs::read(&blob).unwrap(), weights());
    #[cfg(unix)]
    assert_eq!(
        fs::read_link(repository.join(format!("snapshots/{commit}/model.safetensors"))).unwrap(),
        Path::new("../../blobs").join(sha256(&weights()))
    );
    let left: Vec<_> = fs::read_dir(repository.join("blobs")).unwrap().collect();
    assert_eq!(left.len(), 3, "nothing incomplete is left");
}

#[test]
fn of_a_sharded_model_the_named_shards_come_and_no_others() {
    let index =
        r#"{"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}}"#;
    let server = HubServer::serve(
        HubRepository::new(ID)
            .file("config.json", "{}")
            .file("tokenizer.json", "{}")
            .file("model.safetensors.index.json", index)
            .file("model-1-of-2.safetensors", vec![1; 1000])
            .file("model-2-of-2.safetensors", vec![2; 1000])
            .file("consolidated.safetensors", vec![3; 1000]),
    );
    let setting = Setting::new(&server);
    let folder = setting.get().unwrap();
    assert_eq!(content(&folder).len(), 5);
    assert_eq!(server.count("consolidated.safetensors"), 0);
    // A shard that went missing is noticed, and only it comes again.
    fs::remove_file(folder.path.join("model-2-of-2.safetensors")).unwrap();
    fs::remove_file(setting.repository().join("blobs").join(sha256(&[2; 1000]))).unwrap();
    let error = setting
        .get_as(None, Download::NotAsked, &NoProgress)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("model-2-of-2.safetensors is missing"),
        "{error}"
    );
    assert!(error.contains("--download"), "{error}");
    setting.get().unwrap();
    assert_eq!(server.count("model-1-of-2.safetensors"), 1);
    assert_eq!(server.count("model-2-of-2.safetensors"), 2);
}

#[test]
fn an_index_cannot_fetch_what_it_may_not_name() {
    for name in ["../../evil.safetensors", "missing.safetensors"] {
        let index = serde_json::json!({"weight_map": {"a": name}}).to_string();
        let server = HubServer::serve(
            HubRepository::new(ID)
                .file("config.json", "{}")
                .file("model.safetensors.index.json", index)
                .file("../../evil.safetensors", "x"),
        );
        let error = Setting::new(&server).refused();
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn a_begun_download_is_continued() {
    let server = HubServer::serve(repository());
    let setting = Setting::new(&server);
    setting.begin(&weights(), &weights()[..12_345]);
    let folder = setting.get().unwrap();
    assert_eq!(content(&folder)["model.safetensors"], weights());
    let from: Vec<usize> = server
        .requests()
        .iter()
        .filter(|request| request.path.ends_with("/model.safetensors"))
        .map(HubRequest::from)
        .collect();
    assert_eq!(from, [12_345]);
}

#[test]
fn a_begun_download_that_is_whole_needs_no_request() {
    let server = HubServer::serve(repository());
    let setting = Setting::new(&server);
    setting.begin(&weights(), &weights());
    let folder = setting.get().unwrap();
    assert_eq!(content(&folder)["model.safetensors"], weights());
    assert_eq!(server.count("model.safetensors"), 0);
}

#[test]
fn a_server_without_ranges_sends_everything_again() {
    let server = weights_answer(|_, _| HubAnswer::new(200, weights()));
    let setting = Setting::new(&server);
    setting.begin(&weights(), &weights()[..12_345]);
    assert_eq!(
        content(&setting.get().unwrap())["model.safetensors"],
        weights()
    );
}

#[test]
fn a_range_that_begins_elsewhere_is_not_appended() {
    let server = weights_answer(|request, _| match request.from() {
        0 => ranged(&weights(), 0),
        from => {
            let mut answer = ranged(&weights(), from - 1);
            answer.status = 206;
            answer
        }
    });
    let setting = Setting::new(&server);
    setting.begin(&weights(), &weights()[..12_345]);
    assert_eq!(
        content(&setting.get().unwrap())["model.safetensors"],
        weights()
    );
}

#[test]
fn a_partial_file_longer_than_the_file_is_dropped() {
    let server = HubServer::serve(repository());
    let setting = Setting::new(&server);
    let mut longer = weights();
    longer.push(1);
    setting.begin(&weights(), &longer);
    assert_eq!(
        content(&setting.get().unwrap())["model.safetensors"],
        weights()
    );
}

#[test]
fn a_connection_that_is_cut_is_taken_up_where_it_was() {
    // The first three answers end early, each a little later: more failures than attempts, but each brings something.
    let server = weights_answer(|request, time| {
        let answer = ranged(&weights(), request.from());
        if time < 3 {
            answer.cut_after(70_000)
        } else {
            answer
        }
    });
    let setting = Setting::new(&server);
    assert_eq!(
        content(&setting.get().unwrap())["model.safetensors"],
        weights()
    );
    let from: Vec<usize> = server
        .requests()
        .iter()
        .filter(|request| request.path.ends_with("/model.safetensors"))
        .map(HubRequest::from)
        .collect();
    assert_eq!(from.len(), 4);
    assert!(from.is_sorted() && from[3] > 0, "{from:?}");
}

#[test]
fn a_server_that_stays_broken_is_given_up_and_can_be_continued() {
    let server = weights_answer(|request, time| match time {
        0 => ranged(&weights(), request.from()).cut_after(1000),
        _ => HubAnswer::new(503, ""),
    });
    let setting = Setting::new(&server);
    let error = setting.refused();
    assert!(
        error.contains("503") && error.contains("attempts"),
        "{error}"
    );
    assert!(error.contains("run the same command again"), "{error}");
    let partial = setting
        .repository()
        .join(format!("blobs/{}.incomplete", sha256(&weights())));
    assert_eq!(fs::metadata(partial).unwrap().len(), 1000);
    // Until the weights are there, `main` is not said to be.
    assert!(!setting.repository().join("refs/main").exists());
}

#[test]
fn damaged_content_is_refused_and_removed() {
    let mut other = weights();
    other[5] ^= 1;
    let server = weights_answer(move |request, _| ranged(&other, request.from()));
    let setting = Setting::new(&server);
    let error = setting.refused();
    assert!(
        error.contains("model.safetensors arrived damaged") && error.contains("SHA-256"),
        "{error}"
    );
    let blobs: Vec<String> = fs::read_dir(setting.repository().join("blobs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(blobs.len(), 2, "config and tokenizer stay: {blobs:?}");
}

#[test]
fn more_bytes_than_promised_are_not_taken() {
    let server = weights_answer(|_, _| HubAnswer::new(200, vec![0; 4_000_000]));
    let error = Setting::new(&server).refused();
    assert!(error.contains("more bytes of model.safetensors"), "{error}");
}

#[test]
fn a_redirect_to_another_server_does_not_carry_the_token() {
    let content_server = HubServer::start(|request| ranged(&weights(), request.from()));
    let elsewhere = format!("{}/signed?Signature=abc", content_server.endpoint());
    let server = weights_answer(move |_, _| HubAnswer::new(302, "").with("Location", &elsewhere));
    let setting = Setting::new(&server).with_token();
    assert_eq!(
        content(&setting.get().unwrap())["model.safetensors"],
        weights()
    );
    let with_token = |request: &HubRequest| {
        request.headers.get("authorization") == Some(&format!("Bearer {TOKEN}"))
    };
    assert!(server.requests().iter().all(with_token));
    assert_eq!(content_server.requests().len(), 1);
    assert!(
        !content_server.requests()[0]
            .headers
            .contains_key("authorization")
    );
}

#[test]
fn a_redirect_within_the_server_is_followed_from_where_it_is() {
    let server = weights_answer(|request, time| {
        if time == 0 {
            return HubAnswer::new(307, "").with("Location", "/cdn/model.safetensors");
        }
        assert_eq!(request.path, "/cdn/model.safetensors");
        ranged(&weights(), request.from())
    });
    Setting::new(&server).get().unwrap();
    let round = HubServer::start(|_| HubAnswer::new(302, "").with("Location", "/again"));
    let error = Setting::new(&round).refused();
    assert!(error.contains("redirects"), "{error}");
}

#[test]
fn refusals_say_what_to_do() {
    let status = |status: u16, code: &'static str| {
        HubServer::start(move |_| HubAnswer::new(status, "").with("X-Error-Code", code))
    };
    let check = |server: &HubServer, has_token: bool, words: &[&str]| {
        let mut setting = Setting::new(server);
        if has_token {
            setting = setting.with_token();
        }
        let error = setting.refused();
        for word in words {
            assert!(error.contains(word), "'{word}' is not in: {error}");
        }
        assert!(!error.contains(TOKEN), "{error}");
    };
    let server = status(401, "RepoNotFound");
    check(&server, false, &["401", "private", "HF_TOKEN"]);
    check(&server, true, &["401", "the token was not accepted"]);
    let server = status(403, "GatedRepo");
    let page = format!("{}/{ID}", server.endpoint());
    check(&server, true, &["gated", &page, "accept"]);
    let server = status(401, "GatedRepo");
    check(&server, false, &["gated", "HF_TOKEN"]);
    check(
        &status(404, ""),
        false,
        &["404", "the repository 'ada/tiny-moe'"],
    );
    check(&status(418, ""), false, &["418"]);
    check(&status(429, ""), false, &["429", "HF_TOKEN"]);
    let server = HubServer::start(|_| HubAnswer::new(200, "<html>a proxy's page</html>"));
    check(&server, false, &["no description of a repository"]);
}

#[test]
fn a_name_that_the_hub_does_not_know_may_be_a_slip() {
    let server = HubServer::start(|_| HubAnswer::new(404, ""));
    let setting = Setting::new(&server);
    fs::create_dir_all(setting.folder.path().join("hub/models--ada--tiny-moes")).unwrap();
    let error = setting.refused();
    assert!(error.contains("did you mean 'ada/tiny-moes'"), "{error}");
}

#[test]
fn a_passing_failure_of_the_listing_is_waited_out() {
    let times = AtomicUsize::new(0);
    let repository = repository();
    let server = HubServer::start(move |request| match times.fetch_add(1, Ordering::SeqCst) {
        0 => HubAnswer::new(429, "").with("Retry-After", "0"),
        1 => HubAnswer::new(502, ""),
        _ => repository.answer(request),
    });
    Setting::new(&server).get().unwrap();
}

#[test]
fn a_server_that_is_not_there_is_told() {
    let server = HubServer::serve(repository());
    let setting = Setting::new(&server);
    let mut gone = Setting::new(&server);
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    gone.settings.endpoint = endpoint(&format!("http://{port}"));
    let error = gone.refused();
    assert!(
        error.contains("no connection") && error.contains("HF_ENDPOINT"),
        "{error}"
    );
    setting.get().unwrap();
}

#[test]
fn nothing_is_downloaded_unless_it_is_allowed() {
    let server = HubServer::serve(repository());
    let mut setting = Setting::new(&server);
    let refused = |setting: &Setting, download| {
        setting
            .get_as(None, download, &NoProgress)
            .unwrap_err()
            .to_string()
    };
    let error = refused(&setting, Download::NotAsked);
    assert!(
        error.contains("not in the local Hugging Face cache"),
        "{error}"
    );
    assert!(error.contains("--download"), "{error}");
    let error = refused(&setting, Download::Forbidden);
    assert!(error.contains("--offline forbids"), "{error}");
    setting.settings.offline = Some("HF_HUB_OFFLINE");
    let error = refused(&setting, Download::Allowed);
    assert!(error.contains("HF_HUB_OFFLINE forbids"), "{error}");
    assert!(server.requests().is_empty());
    assert!(
        !setting.folder.path().join("hub").exists(),
        "nothing was written"
    );
}

#[test]
fn a_revision_is_pinned_and_a_newer_commit_shares_content() {
    let old = repository();
    let mut new = repository().file("config.json", r#"{"model_type": "mixtral", "new": 1}"#);
    new.commit = "fedcba9876543210fedcba9876543210fedcba98".to_owned();
    let current = Arc::new(Mutex::new(old.clone()));
    let (served, pinned) = (Arc::clone(&current), old.clone());
    let server = HubServer::start(move |request| {
        if request.path.contains(&pinned.commit) {
            pinned.answer(request)
        } else {
            served.lock().unwrap().answer(request)
        }
    });
    let setting = Setting::new(&server);
    let first = setting.get().unwrap();
    *current.lock().unwrap() = new.clone();
    let newer = setting
        .get_as(Some(&new.commit), Download::Allowed, &NoProgress)
        .unwrap();
    assert_ne!(newer.path, first.path);
    assert_eq!(
        server.count("model.safetensors"),
        1,
        "the weights are the same"
    );
    // `main` stays what it was when it was asked for, and the old commit can be named.
    for revision in [None, Some(old.commit.as_str()), Some("main")] {
        let again = setting
            .get_as(revision, Download::NotAsked, &NoProgress)
            .unwrap();
        assert_eq!(again.path, first.path, "{revision:?}");
    }
    let error = setting
        .get_as(Some("v9"), Download::Allowed, &NoProgress)
        .unwrap_err()
        .to_string();
    assert!(error.contains("the revision of 'ada/tiny-moe'"), "{error}");
    let error = setting
        .get_as(Some("../../x"), Download::Allowed, &NoProgress)
        .unwrap_err()
        .to_string();
    assert!(error.contains("cannot be a revision"), "{error}");
}

/// Cancels once some bytes have arrived, and remembers the reports.
struct CancelAfter {
    bytes: u64,
    reports: Mutex<Vec<(u64, u64, String)>>,
}

impl Progress for CancelAfter {
    fn report(&self, done: u64, total: u64, message: &str) -> Result<(), Cancelled> {
        let report = (done, total, message.to_owned());
        self.reports.lock().unwrap().push(report);
        if done >= self.bytes {
            return Err(Cancelled);
        }
        Ok(())
    }
}

#[test]
fn a_cancel_leaves_what_has_arrived_and_the_next_run_continues() {
    let server = weights_answer(|request, _| {
        let mut answer = ranged(&weights(), request.from());
        answer.pause = Duration::from_micros(10);
        answer
    });
    let setting = Setting::new(&server);
    let progress = CancelAfter {
        bytes: 50_000,
        reports: Mutex::default(),
    };
    let error = setting
        .get_as(None, Download::Allowed, &progress)
        .unwrap_err();
    assert!(matches!(error, HubError::Interrupted));
    let partial = setting
        .repository()
        .join(format!("blobs/{}.incomplete", sha256(&weights())));
    let arrived = fs::metadata(&partial).unwrap().len();
    assert!(arrived >= 49_000 && arrived < 400_000, "{arrived}");
    let reports = progress.reports.into_inner().unwrap();
    // 25 bytes of configuration, 2 of the tokenizer, 400,000 of weights.
    let (_, total, message) = reports.last().unwrap();
    assert_eq!(*total, 400_027);
    assert!(message.contains("model.safetensors"), "{message}");
    setting.get().unwrap();
    let last = server.requests().last().unwrap().clone();
    assert_eq!(last.from() as u64, arrived);
}

#[test]
fn a_cancel_is_heard_while_the_server_is_silent() {
    let server = HubServer::start(|_| {
        std::thread::sleep(Duration::from_secs(3));
        HubAnswer::new(200, "")
    });
    let setting = Setting::new(&server);
    let progress = CancelAfter {
        bytes: 0,
        reports: Mutex::default(),
    };
    let started = std::time::Instant::now();
    let error = setting
        .get_as(None, Download::Allowed, &progress)
        .unwrap_err();
    assert!(matches!(error, HubError::Interrupted));
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[test]
fn two_downloads_at_once_fetch_each_file_once() {
    let server = weights_answer(|request, _| {
        let mut answer = ranged(&weights(), request.from());
        answer.pause = Duration::from_micros(50);
        answer
    });
    let setting = Setting::new(&server);
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..3).map(|_| scope.spawn(|| setting.get())).collect();
        for run in runs {
            let folder = run.join().unwrap().unwrap();
            assert_eq!(content(&folder)["model.safetensors"], weights());
        }
    });
    assert_eq!(server.count("model.safetensors"), 1);
}

#[test]
fn a_repository_without_safetensors_is_refused_before_anything_large() {
    let server = HubServer::serve(
        HubRepository::new(ID)
            .file("config.json", "{}")
            .file("pytorch_model.bin", vec![0; 1000]),
    );
    let error = Setting::new(&server).refused();
    assert!(
        error.contains("no safetensors weights") && error.contains("pytorch_model.bin"),
        "{error}"
    );
    assert_eq!(server.count("pytorch_model.bin"), 0);
}

#[test]
fn a_download_larger_than_the_disk_is_refused_first() {
    let repository = repository();
    let server = HubServer::start(move |request| {
        let mut answer = repository.answer(request);
        if request.path.contains("/revision/") {
            // 4 exabytes of weights.
            let mut listing: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            for file in listing["siblings"].as_array_mut().unwrap() {
                if file["rfilename"] == "model.safetensors" {
                    file["lfs"]["size"] = (4u64 << 60).into();
                }
            }
            answer.body = listing.to_string().into_bytes();
        }
        answer
    });
    let error = Setting::new(&server).refused();
    assert!(
        error.contains("not enough room") && error.contains("HF_HOME"),
        "{error}"
    );
    assert_eq!(server.count("model.safetensors"), 0);
}

#[test]
fn a_cache_that_cannot_be_made_is_told() {
    let server = HubServer::serve(repository());
    let mut setting = Setting::new(&server);
    // A file where the folder should be refuses everybody, root as well.
    let path = setting.folder.path().join("file");
    fs::write(&path, "").unwrap();
    setting.settings.cache = Some(path.join("hub"));
    let error = setting.refused();
    assert!(error.contains("make the cache's folder"), "{error}");
    setting.settings.cache = None;
    assert!(setting.refused().contains("HF_HOME"));
}

#[test]
fn errors_of_the_disk_are_sorted_by_what_helps() {
    let sorted = |kind: std::io::ErrorKind| {
        HubError::io("write the download", Path::new("/cache"), kind.into()).to_string()
    };
    let full = sorted(std::io::ErrorKind::StorageFull);
    assert!(
        full.contains("not enough room") && full.contains("continued"),
        "{full}"
    );
    assert!(sorted(std::io::ErrorKind::QuotaExceeded).contains("not enough room"));
    assert!(sorted(std::io::ErrorKind::ReadOnlyFilesystem).contains("HF_HOME"));
}
