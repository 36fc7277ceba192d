//! The views, one file each; a new one is a file here and a line in [`VIEWS`].

mod capture;
mod compare;
mod disciplines;
mod expert;
mod intervene;
mod live;
mod token;

use crate::view::View;

/// How each view is made, in the order of tabs and menus.
pub const VIEWS: &[fn() -> Box<dyn View>] = &[
    || Box::<disciplines::Disciplines>::default(),
    || Box::<compare::Compare>::default(),
    || Box::<capture::Capture>::default(),
    || Box::<expert::Expert>::default(),
    || Box::<live::Live>::default(),
    || Box::<token::Token>::default(),
    || Box::<intervene::Intervene>::default(),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_file_of_this_folder_is_in_the_list() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/views");
        let files: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .filter(|name| name != "mod")
            .collect();
        let listed: BTreeSet<String> = VIEWS
            .iter()
            .map(|make| make().about().name.to_owned())
            .collect();
        assert_eq!(files, listed);
        assert_eq!(VIEWS.len(), listed.len(), "no two views have one name");
    }
}
