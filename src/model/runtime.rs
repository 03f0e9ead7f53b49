//! Where and in which numbers the network computes.

use crate::{Error, Fault, Result};
use tch::{Cuda, Device};

/// The device that the user asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first CUDA device, else the CPU.
    #[default]
    Auto,
    Cpu,
    Cuda(usize),
}

impl std::str::FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.split_once(':') {
            None if text == "auto" => Ok(Self::Auto),
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", index)) if index.parse::<usize>().is_ok() => {
                Ok(Self::Cuda(index.parse().unwrap_or_default()))
            }
            _ => Err(format!("{text}: expected auto, cpu, cuda or cuda:N")),
        }
    }
}

impl std::fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl DeviceChoice {
    /// # Errors
    /// [`Error::Settings`] where there is no such device.
    pub(crate) fn resolve(self) -> Result<Device> {
        let count = || usize::try_from(Cuda::device_count()).unwrap_or(0);
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Auto => Ok(Device::cuda_if_available()),
            Self::Cuda(index) if Cuda::is_available() && index < count() => Ok(Device::Cuda(index)),
            Self::Cuda(index) => Err(Error::Settings(
                Fault::new(format!("device cuda:{index}"), format!("this libtorch sees {} CUDA devices", count()))
                    .remedy(
                        "give `device` cpu, or build with a CUDA libtorch (`audiodiff doctor` says which is in use)",
                    ),
            )),
        }
    }
}

/// The number type of the network's matrix products; all else is f32.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// bf16 where the hardware multiplies it faster, else f32.
    #[default]
    Auto,
    F32,
    Bf16,
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        })
    }
}

impl Precision {
    /// `F32` or `Bf16`, never `Auto`.
    pub(crate) fn resolve(self, device: Device) -> Self {
        match self {
            Self::Auto if device.is_cuda() || cpu_gains_by_bf16() => Self::Bf16,
            Self::Auto => Self::F32,
            chosen => chosen,
        }
    }
}

/// Whether matrices of bf16 take this CPU less time than those of f32.
pub fn cpu_gains_by_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return {
        use std::arch::x86_64::{__cpuid, __cpuid_count};
        // SAFETY: every x86-64 CPU has the instruction. Where it is safe, as in newer toolchains, the block is not needed.
        #[allow(unused_unsafe)]
        let (vendor, amx_bf16) = unsafe {
            let leaf = __cpuid(0);
            (leaf.ebx, leaf.eax >= 7 && __cpuid_count(7, 0).edx >> 22 & 1 == 1)
        };
        let by_amd = vendor.to_le_bytes() == *b"Auth";
        bf16_pays(std::arch::is_x86_feature_detected!("avx512bf16"), amx_bf16, by_amd)
    };
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// With AMX, and with AMD's AVX512-BF16, which multiplies at twice the rate of f32. Intel's without AMX, as in most of its
/// virtual machines, multiplies at half of it.
#[cfg(any(target_arch = "x86_64", test))]
fn bf16_pays(avx512_bf16: bool, amx_bf16: bool, by_amd: bool) -> bool {
    avx512_bf16 && (amx_bf16 || by_amd)
}

/// Where and how to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuntimeOptions {
    pub device: DeviceChoice,
    pub precision: Precision,
    /// Threads that share the work on one window.
    pub threads: usize,
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self { device: DeviceChoice::default(), precision: Precision::default(), threads: 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_is_taken_where_it_is_faster_and_not_where_it_is_merely_there() {
        assert!(bf16_pays(true, true, false), "Sapphire Rapids");
        assert!(!bf16_pays(true, false, false), "the same without AMX");
        assert!(bf16_pays(true, false, true), "Zen 4");
        assert!(!bf16_pays(false, false, true), "Zen 3");
        assert!(matches!(Precision::Auto.resolve(Device::Cpu), Precision::Bf16) == cpu_gains_by_bf16());
    }
}
