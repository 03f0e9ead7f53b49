//! The settings that messages speak of. Every caller has a word of its own for each: the program a flag, Python a keyword.

use std::fmt;

/// What can be given to the library's work. It is written `` `name` ``, so that a caller finds it in a message and puts its own word
/// in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Setting {
    Convention,
    Data,
    Device,
    Extend,
    FinalIterations,
    Gain,
    Host,
    Init,
    Iterations,
    Json,
    Layout,
    Manifest,
    Model,
    Out,
    /// The place of what is made.
    Output,
    OutputDevice,
    /// To overwrite what is there.
    Overwrite,
    Phase,
    Precision,
    PrintConfig,
    Recording,
    Results,
    /// To leave what is there as it is.
    Skip,
    StartIterations,
    Steps,
    Tensor,
    Validation,
}

impl Setting {
    pub const ALL: [Self; 27] = [
        Self::Convention,
        Self::Data,
        Self::Device,
        Self::Extend,
        Self::FinalIterations,
        Self::Gain,
        Self::Host,
        Self::Init,
        Self::Iterations,
        Self::Json,
        Self::Layout,
        Self::Manifest,
        Self::Model,
        Self::Out,
        Self::Output,
        Self::OutputDevice,
        Self::Overwrite,
        Self::Phase,
        Self::Precision,
        Self::PrintConfig,
        Self::Recording,
        Self::Results,
        Self::Skip,
        Self::StartIterations,
        Self::Steps,
        Self::Tensor,
        Self::Validation,
    ];

    /// In snake case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Convention => "convention",
            Self::Data => "data",
            Self::Device => "device",
            Self::Extend => "extend",
            Self::FinalIterations => "final_iterations",
            Self::Gain => "gain",
            Self::Host => "host",
            Self::Init => "init",
            Self::Iterations => "iterations",
            Self::Json => "json",
            Self::Layout => "layout",
            Self::Manifest => "manifest",
            Self::Model => "model",
            Self::Out => "out",
            Self::Output => "output",
            Self::OutputDevice => "output_device",
            Self::Overwrite => "overwrite",
            Self::Phase => "phase",
            Self::Precision => "precision",
            Self::PrintConfig => "print_config",
            Self::Recording => "recording",
            Self::Results => "results",
            Self::Skip => "skip",
            Self::StartIterations => "start_iterations",
            Self::Steps => "steps",
            Self::Tensor => "tensor",
            Self::Validation => "validation",
        }
    }

    /// `text` with `word` in the place of every setting.
    pub fn spoken(text: &str, word: impl Fn(Self) -> String) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('`') {
            let (before, quoted) = rest.split_at(at);
            out.push_str(before);
            let end = quoted[1..].find('`').map(|end| end + 2);
            let setting = end.and_then(|end| Self::ALL.into_iter().find(|s| s.name() == &quoted[1..end - 1]));
            let taken = match (setting, end) {
                (Some(setting), Some(end)) => {
                    out.push_str(&word(setting));
                    end
                }
                _ => {
                    out.push('`');
                    1
                }
            };
            rest = &quoted[taken..];
        }
        out + rest
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "`{}`", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_caller_puts_its_own_words_in() {
        let flag = |setting: Setting| format!("--{}", setting.name());
        let text = format!("a`b`.npy: give {} 8 and `audiodiff doctor` or {}", Setting::Steps, Setting::Layout);
        assert_eq!(Setting::spoken(&text, flag), "a`b`.npy: give --steps 8 and `audiodiff doctor` or --layout");
        assert_eq!(Setting::spoken("`", flag), "`");
    }

    #[test]
    fn each_has_a_name_of_its_own() {
        let names: BTreeSet<_> = Setting::ALL.into_iter().map(Setting::name).collect();
        assert_eq!(names.len(), Setting::ALL.len());
    }
}
