//! `moescope app`: what it says where no window can be opened, and what a script must be.
//!
//! A tour through every view in a real window is `tests/app/tour.txt`, which continuous integration follows.

use crate::support::{Ran, Scratch, command};

fn without_display(args: &[&str]) -> Ran {
    command(args)
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .output()
        .unwrap()
        .into()
}

#[test]
#[cfg(target_os = "linux")]
fn without_a_display_it_says_what_would_help() {
    for args in [&[][..], &["app"]] {
        let ran = without_display(args);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(
            ran.stderr.contains("cannot open a window"),
            "{}",
            ran.stderr
        );
        assert!(ran.stderr.contains("xvfb-run"), "{}", ran.stderr);
    }
}

#[test]
fn a_script_is_checked_before_there_is_a_window() {
    let scratch = Scratch::new();
    let refused = |text: &str, reason: &str| {
        let script = scratch.write("script.txt", text);
        let ran = without_display(&["app", "--script", &script]);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains(reason), "{}", ran.stderr);
    };
    refused(
        "wait idle\ndance\n",
        "line 2 of the script: 'dance' is no step",
    );
    refused(
        "key Hyper+K\n",
        "line 1 of the script: 'Hyper' is no modifier",
    );
}

#[test]
fn one_model_at_a_time_is_chosen() {
    let ran = without_display(&["app", "demo", "another"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("'another'"), "{}", ran.stderr);
}
