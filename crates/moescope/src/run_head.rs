//! What every report of a run begins with.

use moescope_engine::ComputeDevice;
use moescope_pipeline::ModelFolder;
use serde::Serialize;

/// Which model ran, and where.
#[derive(Serialize)]
pub(crate) struct RunHead<'a> {
    model: &'a str,
    revision: Option<&'a str>,
    device: &'a str,
    device_name: &'a str,
}

impl<'a> RunHead<'a> {
    pub(crate) fn of(folder: &'a ModelFolder, device: &'a ComputeDevice) -> Self {
        Self {
            model: &folder.name,
            revision: folder.revision.as_deref(),
            device: device.kind,
            device_name: &device.name,
        }
    }
}
