//! Which libtorch the program runs with.

use std::path::PathBuf;

use tch::Cuda;

/// The version that tch is made for.
pub const LIBTORCH_VERSION: &str = "2.13.0";

/// The libtorch in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    /// The file, where the system can tell.
    pub path: Option<PathBuf>,
    /// `2.13.0`, where the library can tell.
    pub version: Option<String>,
    pub cuda_devices: usize,
    pub cudnn: bool,
}

impl Library {
    pub fn loaded() -> Self {
        let (path, version) = symbol::locate();
        Self {
            path,
            version,
            cuda_devices: usize::try_from(Cuda::device_count()).unwrap_or(0),
            cudnn: Cuda::cudnn_is_available(),
        }
    }
}

#[cfg(unix)]
mod symbol {
    use std::{
        ffi::{CStr, OsStr},
        mem::MaybeUninit,
        os::unix::ffi::OsStrExt as _,
        path::PathBuf,
    };

    /// Takes nothing and gives the version, a byte each for major, minor and patch at the top of the word.
    const ABI_VERSION: &CStr = c"aoti_torch_abi_version";

    /// File and version of the library that has the symbol.
    pub fn locate() -> (Option<PathBuf>, Option<String>) {
        // SAFETY: the name is a C string, and the handle stands for all that is loaded.
        let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, ABI_VERSION.as_ptr()) };
        if address.is_null() {
            return (None, None);
        }
        // SAFETY: the symbol is a function of libtorch's stable C interface with this signature.
        let abi_version: extern "C" fn() -> u64 = unsafe { std::mem::transmute(address) };
        let [major, minor, patch, ..] = abi_version().to_be_bytes();
        let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
        // SAFETY: `info` is writable, and all zeros are a valid value of it (null pointers).
        let info = unsafe {
            libc::dladdr(address, info.as_mut_ptr());
            info.assume_init()
        };
        let path = (!info.dli_fname.is_null()).then(|| {
            // SAFETY: dladdr gives a C string that lives as long as the library stays loaded.
            let name = unsafe { CStr::from_ptr(info.dli_fname) };
            PathBuf::from(OsStr::from_bytes(name.to_bytes()))
        });
        (path, Some(format!("{major}.{minor}.{patch}")))
    }
}

#[cfg(not(unix))]
mod symbol {
    use std::path::PathBuf;

    pub fn locate() -> (Option<PathBuf>, Option<String>) {
        (None, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn the_library_that_the_tests_run_with_is_found() {
        let library = Library::loaded();
        assert_eq!(library.version.as_deref(), Some(LIBTORCH_VERSION));
        assert!(library.path.unwrap().exists());
    }
}
