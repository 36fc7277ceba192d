//! What is downloaded, where it is put, and when.

use std::sync::{Arc, Mutex};

use super::*;

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
    let (now_main, pinned) = (Arc::clone(&current), old.clone());
    let server = HubServer::start(move |request| {
        if request.path.contains(&pinned.commit) {
            pinned.answer(request)
        } else {
            now_main.lock().unwrap().answer(request)
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
