//! The settings that messages speak of. Every caller has a word of its own for each: the program a flag, Python a keyword.

use std::fmt;

/// Each setting with its name in snake case, once.
macro_rules! settings {
    ($($(#[$doc:meta])* $setting:ident $name:literal,)*) => {
        /// What can be given to the library's work. It is written `` `name` ``, so that a caller finds it in a message and puts its own
        /// word in its place.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Setting {
            $($(#[$doc])* $setting,)*
        }

        impl Setting {
            pub const ALL: &'static [Self] = &[$(Self::$setting,)*];

            /// In snake case.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$setting => $name,)*
                }
            }
        }
    };
}

settings! {
    Convention "convention",
    Data "data",
    Device "device",
    /// To go on above a mel's highest band.
    Extend "extend",
    FinalIterations "final_iterations",
    Gain "gain",
    Host "host",
    Init "init",
    Iterations "iterations",
    Json "json",
    Layout "layout",
    Manifest "manifest",
    Model "model",
    /// The folder of a training.
    Out "out",
    /// The place of what is made.
    Output "output",
    OutputDevice "output_device",
    /// To overwrite what is there.
    Overwrite "overwrite",
    Phase "phase",
    /// That a network predicted the mel.
    Predicted "predicted",
    Precision "precision",
    PrintConfig "print_config",
    Recording "recording",
    Results "results",
    /// To leave what is there as it is.
    Skip "skip",
    StartIterations "start_iterations",
    Steps "steps",
    Tensor "tensor",
    Validation "validation",
}

impl Setting {
    /// `text` with `word` in the place of every setting.
    pub fn spoken(text: &str, word: impl Fn(Self) -> String) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('`') {
            let (before, quoted) = rest.split_at(at);
            out.push_str(before);
            let end = quoted[1..].find('`').map(|end| end + 2);
            let setting = end.and_then(|end| Self::ALL.iter().copied().find(|s| s.name() == &quoted[1..end - 1]));
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
        let names: BTreeSet<_> = Setting::ALL.iter().map(|setting| setting.name()).collect();
        assert_eq!(names.len(), Setting::ALL.len());
    }
}
