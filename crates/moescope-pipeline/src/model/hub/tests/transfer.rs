//! Partial files, cut connections, redirects, cancels, and several processes.

use std::sync::Mutex;

use super::*;

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
    assert!((49_000..400_000).contains(&arrived), "{arrived}");
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
