//! What is refused, and in which words.

use super::*;

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
