//! The gallery of `docs/` is what the crate draws now.
//!
//! After a wanted change, run `cargo run --release -p moescope-figures --example gallery` and look at the difference.

use std::{collections::BTreeSet, fs, path::PathBuf};

use moescope_figures::catalogue;

use crate::common::gallery;

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

#[test]
fn the_gallery_is_up_to_date() {
    let docs = docs();
    let different: Vec<&str> = gallery::figures()
        .iter()
        .filter(|shown| {
            let path = docs.join(format!("gallery/{}.svg", shown.name));
            fs::read(path).ok() != Some(shown.svg())
        })
        .map(|shown| shown.name)
        .collect();
    assert!(
        different.is_empty(),
        "{different:?}; run the example gallery"
    );
    let page = fs::read_to_string(docs.join("GALLERY.md")).unwrap_or_default();
    assert!(
        page == gallery::page(),
        "GALLERY.md; run the example gallery"
    );
}

#[test]
fn the_gallery_shows_every_kind_and_nothing_else() {
    let page = gallery::page();
    for kind in catalogue() {
        assert!(page.contains(&format!("gallery/{}.svg", kind.about().name)));
    }
    let drawn: BTreeSet<String> = gallery::figures()
        .iter()
        .map(|shown| format!("{}.svg", shown.name))
        .collect();
    let stored: BTreeSet<String> = fs::read_dir(docs().join("gallery"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.'))
        .collect();
    assert_eq!(stored, drawn);
}
