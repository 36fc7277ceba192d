//! The device that the user chose, and the threads of the CPU.

use anyhow::Context as _;
use moescope_core::did_you_mean;
use moescope_engine::{ComputeDevice, DeviceChoice};

use crate::{cli::GlobalArgs, console::Console};

/// Limits the threads of everything that computes on the CPU.
pub(crate) fn set_threads(threads: Option<u16>) -> anyhow::Result<()> {
    let Some(threads) = threads else {
        return Ok(());
    };
    rayon::ThreadPoolBuilder::new()
        .num_threads(usize::from(threads))
        .build_global()
        .with_context(|| format!("cannot start {threads} threads"))
}

/// Reads `--device`, so that a typing error is told before anything slow happens.
pub(crate) fn choice(global: &GlobalArgs) -> anyhow::Result<DeviceChoice> {
    global
        .device
        .parse()
        .map_err(|error: moescope_engine::EngineError| {
            let hint = did_you_mean(&global.device, &["auto", "cpu", "gpu"]);
            anyhow::anyhow!("{error}{hint}")
        })
}

/// Opens the device and tells which one it is, and why.
pub(crate) fn open(choice: DeviceChoice, console: &Console) -> anyhow::Result<ComputeDevice> {
    let device = ComputeDevice::open(choice)?;
    console.note(&format!(
        "device: {} ({}; {})",
        device.kind, device.name, device.reason
    ));
    Ok(device)
}
