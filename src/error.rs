//! The library's one error type: a variant for each thing that a caller can act on.
//!
//! Every message is one sentence in lower case without a full stop: which file, what was found, what was expected,
//! what to do. The program's name is put before it once, by `main`.

use crate::{printable::OneLine, setting::Setting};
use std::{any::Any, fmt, io, path::PathBuf};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is wrong with a thing that the user gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file (with the tensor, field or line in it) or the setting that is meant: `hello.npy`, `model.safetensors: denoiser.stft_in.weight`.
    pub subject: String,
    /// What was seen there: `80 bands`.
    pub found: String,
    /// What would have been right: `the model "builtin" wants 100`. Empty where `found` says all.
    pub expected: String,
    /// What to do about it; `None` where nothing can be done.
    pub remedy: Option<Remedy>,
}

/// What would help, as data: who calls the library has words of its own for its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// To give a setting one of these values; what is right, where there is none.
    Give(Setting, Vec<String>),
    /// To leave a setting out.
    LeaveOut(Setting),
    /// Another program made the mel, perhaps: its convention is to be named.
    NameConvention,
    /// The mel's convention is none that has a name.
    DescribeConvention,
    /// A sentence, in which settings are written as [`Setting`] writes them.
    Say(String),
}

impl Remedy {
    /// To give `setting` one of `values`.
    pub fn give<S: Into<String>>(setting: Setting, values: impl IntoIterator<Item = S>) -> Self {
        Self::Give(setting, values.into_iter().map(Into::into).collect())
    }
}

impl From<&str> for Remedy {
    fn from(words: &str) -> Self {
        Self::Say(words.into())
    }
}

impl From<String> for Remedy {
    fn from(words: String) -> Self {
        Self::Say(words)
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let convention = Setting::Convention;
        match self {
            Self::Give(setting, values) if values.is_empty() => write!(f, "give {setting}"),
            Self::Give(setting, values) => write!(f, "give {setting} {}", values.join(" or ")),
            Self::LeaveOut(setting) => write!(f, "leave {setting} out"),
            Self::NameConvention => write!(f, "if another program made it, name its convention with {convention}"),
            Self::DescribeConvention => write!(f, "describe its convention in a file and give {convention} FILE"),
            Self::Say(words) => f.write_str(words),
        }
    }
}

impl Fault {
    pub fn new(subject: impl fmt::Display, found: impl Into<String>) -> Self {
        Self { subject: subject.to_string(), found: found.into(), expected: String::new(), remedy: None }
    }

    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = expected.into();
        self
    }

    pub fn remedy(mut self, remedy: impl Into<Remedy>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        // Names and values may be anything that a file holds.
        write!(f, "{}: {}", OneLine(&self.subject), OneLine(&self.found))?;
        if !self.expected.is_empty() {
            write!(f, ", expected {}", OneLine(&self.expected))?;
        }
        if let Some(remedy) = &self.remedy {
            write!(f, "; {}", OneLine(remedy))?;
        }
        Ok(())
    }
}

#[derive(Debug)]
pub enum Error {
    /// The operating system refused: `action` is a verb with its object, `cannot open`.
    Io { path: PathBuf, action: &'static str, source: io::Error },
    /// A mel file that is broken, or not what the model takes.
    Mel(Fault),
    /// A recording that cannot be decoded.
    Audio(Fault),
    /// A model file that is broken, or of a kind that this version does not know.
    Model(Fault),
    /// A mel convention that contradicts itself or the file.
    Convention(Fault),
    /// A batch manifest or input list that cannot be used.
    Manifest(Fault),
    /// A training, validation or reference data set that cannot be used.
    Data(Fault),
    /// Settings that are out of range or do not go together.
    Settings(Fault),
    /// A sound device that is missing, busy or gone.
    Device(Fault),
    /// An output that is there already.
    Exists(PathBuf),
    /// What computes, libtorch, refused: out of memory, no such device.
    Backend { action: String, source: Box<dyn std::error::Error + Send + Sync> },
    /// The user asked to stop.
    Interrupted,
    /// A panic that was caught: the fault is this program's, whatever the input.
    Bug(Fault),
}

impl Error {
    /// For `map_err`: `File::open(&path).map_err(Error::io("cannot open", &path))`.
    pub fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, action, source }
    }

    /// What a caught panic becomes: `catch_unwind(…).unwrap_or_else(|panic| Err(Error::bug(name, &*panic)))`. `subject` is
    /// what was being worked on.
    pub fn bug(subject: impl fmt::Display, panic: &(dyn Any + Send)) -> Self {
        let found = format!("brought a bug to light ({})", panic_text(panic));
        Self::Bug(Fault::new(subject, found).remedy("please report it, with the file and what RUST_BACKTRACE=1 says"))
    }

    /// For `map_err` on tch's fallible calls.
    pub(crate) fn torch(action: impl Into<String>) -> impl FnOnce(tch::TchError) -> Self {
        let action = action.into();
        move |source| Self::Backend { action, source: source.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Io { path, action, source } => {
                write!(f, "{}: {action}: {}", OneLine(path.display()), OneLine(source))
            }
            Self::Mel(fault)
            | Self::Audio(fault)
            | Self::Model(fault)
            | Self::Convention(fault)
            | Self::Manifest(fault)
            | Self::Data(fault)
            | Self::Settings(fault)
            | Self::Device(fault)
            | Self::Bug(fault) => fault.fmt(f),
            Self::Exists(path) => {
                let (overwrite, skip) = (Setting::Overwrite, Setting::Skip);
                let path = OneLine(path.display());
                write!(f, "{path}: is there already; give {overwrite} to overwrite it or {skip} to skip it")
            }
            // libtorch appends a C++ stack trace, which helps nobody who reads one line.
            Self::Backend { action, source } => {
                let text = source.to_string();
                let first = text.lines().next().unwrap_or_default();
                write!(f, "{}: libtorch says: {}", OneLine(action), OneLine(first))
            }
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Backend { source, .. } => Some(source.as_ref()),
            _ => None,
        }
    }
}

/// The first line of a panic's message.
pub fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
    // libtorch's errors come through `unwrap`, with a C++ stack trace behind escaped line feeds.
    text.split(['\n', '\r']).next().unwrap_or_default().split("\\n").next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_in_one_line() {
        let caught = std::panic::catch_unwind(|| panic!("sizes differ\nframe #0: at::mm")).unwrap_err();
        let error = Error::bug("a.npy", &*caught);
        assert!(matches!(error, Error::Bug(_)));
        let text = error.to_string();
        assert!(text.starts_with("a.npy: brought a bug to light (") && text.contains("sizes differ"), "{text}");
        assert!(!text.contains("frame #0") && text.contains("); please report it"), "{text}");
    }
}
