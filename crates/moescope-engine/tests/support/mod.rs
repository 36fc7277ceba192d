//! What several tests share: the oracle cases and the devices.

use std::path::{Path, PathBuf};

use moescope_engine::{Checkpoint, ComputeDevice, DeviceChoice, EngineError};

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All cases but those of families that are refused by name.
pub(crate) fn cases() -> Vec<PathBuf> {
    let folder = std::env::var_os("MOESCOPE_GOLDEN")
        .map_or_else(|| repository().join("tests/fixtures/golden"), PathBuf::from);
    let mut cases: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| {
            panic!(
                "cannot list the oracle cases in {}: {error}",
                folder.display()
            )
        })
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("expected.safetensors").is_file())
        .filter(|path| match Checkpoint::open(path) {
            Err(EngineError::UnsupportedFamily { found, .. }) => {
                println!("skipped: {found} is refused: {}", path.display());
                false
            }
            _ => true,
        })
        .collect();
    cases.sort();
    assert!(
        cases.len() >= 39,
        "found only {} oracle cases in {}",
        cases.len(),
        folder.display()
    );
    cases
}

pub(crate) fn expected(case: &Path) -> PathBuf {
    case.join("expected.safetensors")
}

/// The graphics adapter, software ones included; `None` says why the test is skipped.
pub(crate) fn gpu() -> Option<ComputeDevice> {
    match ComputeDevice::open(DeviceChoice::Gpu) {
        Ok(device) => Some(device),
        Err(error) => {
            assert!(
                std::env::var_os("MOESCOPE_REQUIRE_GPU").is_none(),
                "a graphics adapter is required here: {error}"
            );
            println!("skipped: {error}");
            None
        }
    }
}
