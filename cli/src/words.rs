//! The library's messages in the program's words: its settings as flags.

use audiodiff::Setting;

/// `text` with a flag in the place of every setting.
pub fn in_flags(text: &str) -> String {
    Setting::spoken(text, flag)
}

fn flag(setting: Setting) -> String {
    match setting {
        Setting::Output => "-o".into(),
        Setting::Overwrite => "-y".into(),
        Setting::Skip => "-n".into(),
        other => format!("--{}", other.name().replace('_', "-")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cli;
    use clap::CommandFactory as _;
    use std::collections::BTreeSet;

    /// Options of all commands, by every name that they go by.
    fn options(command: &clap::Command, names: &mut BTreeSet<String>) {
        for option in command.get_arguments() {
            names.extend(option.get_short().map(|short| format!("-{short}")));
            let long = option.get_long_and_visible_aliases().unwrap_or_default();
            names.extend(long.into_iter().map(|long| format!("--{long}")));
        }
        command.get_subcommands().for_each(|command| options(command, names));
    }

    /// The options that a line of source names, but for a comment's.
    fn options_in(line: &str) -> impl Iterator<Item = &str> {
        let code = if line.trim_start().starts_with("//") { "" } else { line };
        code.split([' ', '"', '`', ',', '(']).filter_map(|word| {
            let name = word.strip_prefix("--")?;
            let end = name.find(|c: char| !(c.is_ascii_lowercase() || c == '-')).unwrap_or(name.len());
            (end > 0).then(|| &word[..end + 2])
        })
    }

    /// A remedy that names an option which is not there helps nobody.
    #[test]
    fn options_in_messages_exist() {
        // The last is cargo's.
        let mut known = BTreeSet::from(["--help", "--version", "--release"].map(str::to_owned));
        options(&Cli::command(), &mut known);
        let mut found: BTreeSet<String> = Setting::ALL.iter().map(|setting| flag(*setting)).collect();
        assert!(found.is_subset(&known), "{:?} are no options", found.difference(&known));
        for file in walkdir::WalkDir::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).into_iter().map(Result::unwrap) {
            if file.path().extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let text = std::fs::read_to_string(file.path()).unwrap();
            let messages = text.split("#[cfg(test)]").next().unwrap_or_default();
            for name in messages.lines().flat_map(options_in) {
                assert!(known.contains(name), "{}: {name} is no option", file.path().display());
                found.insert(name.to_owned());
            }
        }
        assert!(found.contains("--convention") && found.len() > 20, "{found:?}");
    }

    #[test]
    fn a_setting_is_told_as_its_flag() {
        let told = in_flags("a.wav: is there already; give `overwrite` to overwrite it, or another `output_device`");
        assert_eq!(told, "a.wav: is there already; give -y to overwrite it, or another --output-device");
    }
}
