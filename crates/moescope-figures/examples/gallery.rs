//! Draws the gallery of `docs/`: `cargo run --release -p moescope-figures --example gallery`.
//!
//! With a folder and a format (`-- FOLDER png`) it draws the figures there, to be looked at.

#[path = "../tests/common/mod.rs"]
mod common;

use std::{env, fs, path::PathBuf};

use common::gallery;
use moescope_figures::Format;

fn main() {
    let mut arguments = env::args().skip(1);
    let docs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let folder = arguments.next().map(PathBuf::from);
    let is_for_docs = folder.is_none();
    let folder = folder.unwrap_or_else(|| docs.join("gallery"));
    let ending = arguments.next().unwrap_or_else(|| "svg".to_owned());
    let format = Format::from_path(format!("x.{ending}").as_ref()).expect("a format");
    fs::create_dir_all(&folder).expect("the folder can be made");
    for shown in gallery::figures() {
        let path = folder.join(format!("{}.{ending}", shown.name));
        fs::write(path, shown.as_format(format)).expect("the folder can be written");
    }
    if is_for_docs {
        fs::write(docs.join("GALLERY.md"), gallery::page()).expect("the page can be written");
    }
}
