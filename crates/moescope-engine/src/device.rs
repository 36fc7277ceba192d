//! Where a model runs: chosen by name at run time, and always told to the user with the reason.

use std::{fmt, str::FromStr};

use burn::{
    backend::Wgpu,
    tensor::{Device, DeviceType, Tensor},
};

use crate::{
    error::EngineError,
    kernels::{CpuKernels, GpuKernels, InstructionSet, Kernels, PlainKernels},
    precision::ComputeType,
};

/// What the user asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A real GPU if there is one, else the CPU; never a software adapter.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The best graphics adapter, a software one (llvmpipe) included.
    Gpu,
    /// The graphics adapter of this number in the list of adapters.
    GpuNumber(usize),
}

impl FromStr for DeviceChoice {
    type Err = EngineError;

    fn from_str(text: &str) -> Result<Self, EngineError> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "gpu" => Ok(Self::Gpu),
            other => other
                .strip_prefix("gpu:")
                .and_then(|n| n.parse().ok())
                .map(Self::GpuNumber)
                .ok_or_else(|| {
                    EngineError::Device(format!(
                        "'{other}' is not a device; use auto, cpu, gpu or gpu:N"
                    ))
                }),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Gpu => f.write_str("gpu"),
            Self::GpuNumber(number) => write!(f, "gpu:{number}"),
        }
    }
}

/// What a device's driver says of its memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdapterMemory {
    /// Bytes that the device may hold at once, other programs' included; `None` where the driver does not say.
    pub total: Option<u64>,
    /// Bytes of the largest single tensor.
    pub largest_tensor: u64,
    /// Whether it is the system's own memory: an adapter in software.
    pub is_system_memory: bool,
}

/// A device that is ready to compute, with its name and why it was chosen.
#[derive(Clone, Debug)]
pub struct ComputeDevice {
    device: Device,
    /// What the CPU kernels are compiled for; `None` where they are not used.
    cpu_set: Option<InstructionSet>,
    /// `cpu` or `gpu`.
    pub kind: &'static str,
    /// The processor's or adapter's name.
    pub name: String,
    /// Why this device, in a few words.
    pub reason: String,
}

impl ComputeDevice {
    /// Finds the device that was asked for.
    ///
    /// # Errors
    /// When there is no such adapter; the error lists the ones there are.
    pub fn open(choice: DeviceChoice) -> Result<Self, EngineError> {
        match choice {
            DeviceChoice::Cpu => Ok(Self::cpu("asked for")),
            DeviceChoice::Auto if !may_have_gpu() => Ok(Self::cpu("no GPU was found")),
            DeviceChoice::Auto => Ok(adapters()
                .into_iter()
                .find(|adapter| !adapter.is_software)
                .map_or_else(
                    || Self::cpu("no hardware GPU was found"),
                    |adapter| adapter.open("the first hardware GPU"),
                )),
            DeviceChoice::Gpu => {
                let all = adapters();
                let best = all
                    .iter()
                    .find(|adapter| !adapter.is_software)
                    .or(all.first())
                    .cloned();
                best.map(|adapter| adapter.open("asked for")).ok_or_else(|| {
                    EngineError::Device(
                        "no graphics adapter was found; a Vulkan, Metal or DirectX 12 driver is needed \
                         (software Vulkan: Debian's mesa-vulkan-drivers), or use --device cpu"
                            .to_owned(),
                    )
                })
            }
            DeviceChoice::GpuNumber(number) => {
                let all = adapters();
                let names: Vec<&str> = all.iter().map(|adapter| adapter.name.as_str()).collect();
                all.get(number)
                    .cloned()
                    .map(|adapter| adapter.open("asked for"))
                    .ok_or_else(|| {
                        EngineError::Device(format!(
                            "there is no graphics adapter {number}; found {}: {}",
                            names.len(),
                            names.join(", ")
                        ))
                    })
            }
        }
    }

    fn cpu(reason: &str) -> Self {
        Self {
            device: Device::flex(),
            cpu_set: Some(InstructionSet::detect()),
            kind: "cpu",
            name: cpu_name(),
            reason: reason.to_owned(),
        }
    }

    /// The CPU with the kernels for one of its instruction sets, for tests of each.
    ///
    /// # Panics
    /// When models are loaded onto it and the machine does not have the set.
    #[must_use]
    pub fn cpu_with(set: InstructionSet) -> Self {
        Self {
            cpu_set: Some(set),
            ..Self::cpu(&format!("asked for, with {set:?}"))
        }
    }

    /// The CPU with burn's operators only: slow, and the meaning of every kernel. For tests and comparisons.
    #[must_use]
    pub fn plain_cpu() -> Self {
        Self {
            cpu_set: None,
            ..Self::cpu("burn operators on the CPU")
        }
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// Whether the CPU kernels with weights as stored are used.
    pub(crate) fn is_cpu(&self) -> bool {
        self.cpu_set.is_some()
    }

    pub(crate) fn kernels(&self, compute: ComputeType) -> Result<Box<dyn Kernels>, EngineError> {
        if let Some(set) = self.cpu_set {
            return Ok(Box::new(CpuKernels::with(set, compute)));
        }
        if compute != ComputeType::F32 {
            return Err(EngineError::Precision(format!(
                "{} computes in f32 only, {compute} was asked for; use --compute f32, or --device cpu",
                self.name
            )));
        }
        Ok(if self.kind == "gpu" {
            Box::new(GpuKernels::new(&self.device))
        } else {
            Box::new(PlainKernels::new(&self.device))
        })
    }

    /// What a graphics adapter's driver says of its memory; `None` on the CPU, whose memory is the system's.
    #[must_use]
    pub fn adapter_memory(&self) -> Option<AdapterMemory> {
        if self.kind != "gpu" {
            return None;
        }
        // The properties belong to the device's queue, and any tensor leads to it.
        let tensor = Tensor::<1>::zeros([1], &self.device)
            .try_into_primitive::<Wgpu>()
            .ok()?;
        let memory = &tensor.client.properties().memory;
        let identity = self.device.identity();
        Some(AdapterMemory {
            total: memory.max_memory(),
            largest_tensor: memory.max_page_size,
            is_system_memory: identity.is_some_and(|identity| identity.physical.is_none()),
        })
    }

    /// Waits until everything queued is done.
    ///
    /// # Errors
    /// When something queued has failed, out of memory for example.
    pub fn sync(&self) -> Result<(), EngineError> {
        self.device
            .sync()
            .map_err(|error| EngineError::Execution(error.to_string()))
    }
}

#[derive(Clone, Debug)]
struct Adapter {
    device: Device,
    name: String,
    is_software: bool,
}

impl Adapter {
    fn open(self, reason: &str) -> ComputeDevice {
        ComputeDevice {
            device: self.device,
            cpu_set: None,
            kind: "gpu",
            name: self.name,
            reason: reason.to_owned(),
        }
    }
}

/// Whether the system has a device that only a GPU's driver makes.
///
/// On Linux, starting the graphics libraries without one takes time and makes them complain on standard error.
fn may_have_gpu() -> bool {
    if !cfg!(target_os = "linux") {
        return true;
    }
    let is_gpu =
        |name: &str| name.starts_with("renderD") || name.starts_with("nvidia") || name == "dxg";
    ["/dev", "/dev/dri"]
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .any(|entries| {
            entries
                .filter_map(Result::ok)
                .any(|entry| is_gpu(&entry.file_name().to_string_lossy()))
        })
}

/// All graphics adapters, hardware first.
fn adapters() -> Vec<Adapter> {
    let mut adapters: Vec<Adapter> = Device::enumerate(DeviceType::Wgpu)
        .into_iter()
        .map(|device| {
            let identity = device.identity();
            Adapter {
                // A software adapter is no card.
                is_software: identity
                    .as_ref()
                    .is_some_and(|identity| identity.physical.is_none()),
                name: identity.map_or_else(|| format!("{device:?}"), |identity| identity.name),
                device,
            }
        })
        .collect();
    adapters.sort_by_key(|adapter| adapter.is_software);
    adapters
}

/// The processor's name as the system tells it.
fn cpu_name() -> String {
    std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            text.lines()
                .find(|line| line.starts_with("model name"))
                .and_then(|line| line.split_once(':'))
                .map(|(_, name)| name.trim().to_owned())
        })
        .unwrap_or_else(|| format!("{} processor", std::env::consts::ARCH))
}
