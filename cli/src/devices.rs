//! `audiodiff devices`: hosts and output devices, and what they take.

use std::{fmt::Write as _, io};

use audiodiff::{
    Result,
    audio::device::{DeviceInfo, HostInfo, list},
};
use clap::Args;
use serde_json::json;

use crate::{Outcome, terminal::print};

/// List the sound hosts and output devices that play can use
#[derive(Args, Debug)]
pub struct DevicesFlags {
    /// Only the devices of this host
    #[arg(long, value_name = "HOST", env = "AUDIODIFF_HOST")]
    host: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(flags: DevicesFlags) -> Result<Outcome> {
    let hosts = without_chatter(|| list(flags.host.as_deref()))?;
    let text = if flags.json { as_json(&hosts) } else { as_text(&hosts) };
    print(&text)?;
    Ok(Outcome::Done)
}

/// Plugins of sound systems (JACK's above all) complain on standard error when they are opened and their server does not
/// run. That a device cannot be used stands in our list.
#[cfg(unix)]
fn without_chatter<T>(work: impl FnOnce() -> T) -> T {
    use std::{
        fs::OpenOptions,
        os::fd::{AsFd as _, AsRawFd as _},
    };
    let nowhere = OpenOptions::new().write(true).open("/dev/null");
    let (Ok(kept), Ok(nowhere)) = (io::stderr().as_fd().try_clone_to_owned(), nowhere) else { return work() };
    // SAFETY: dup2 on two open descriptors; the copy in `kept` puts the first back in its place.
    unsafe { libc::dup2(nowhere.as_raw_fd(), libc::STDERR_FILENO) };
    let result = work();
    unsafe { libc::dup2(kept.as_raw_fd(), libc::STDERR_FILENO) };
    result
}

#[cfg(not(unix))]
fn without_chatter<T>(work: impl FnOnce() -> T) -> T {
    work()
}

fn as_json(hosts: &[HostInfo]) -> String {
    let device = |device: &DeviceInfo| {
        let usual = device
            .usual
            .as_ref()
            .map(|(rate, channels, format)| json!({ "sample_rate": rate, "channels": channels, "format": format }));
        json!({
            "id": device.id,
            "name": device.name,
            "default": device.is_default,
            "sample_rates": device.sample_rates,
            "channels": device.channels,
            "formats": device.formats,
            "usual": usual,
            "problem": device.problem,
        })
    };
    let host = |host: &HostInfo| {
        json!({
            "host": host.name,
            "default": host.is_default,
            "devices": host.devices.iter().map(device).collect::<Vec<_>>(),
            "problem": host.problem,
        })
    };
    let all = serde_json::Value::from(hosts.iter().map(host).collect::<Vec<_>>());
    format!("{all:#}\n")
}

fn as_text(hosts: &[HostInfo]) -> String {
    let mut text = String::new();
    for host in hosts {
        let mark = if host.is_default { " (default)" } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}{mark}", host.name);
        if let Some(problem) = &host.problem {
            let _ = writeln!(text, "  cannot be asked: {problem}");
        } else if host.devices.is_empty() {
            let _ = writeln!(text, "  no output devices");
        }
        for device in &host.devices {
            let mark = if device.is_default { '*' } else { ' ' };
            let _ = writeln!(text, "{mark} {}", device.id);
            let _ = writeln!(text, "    {}", device.name);
            let _ = writeln!(text, "    {}", formats(device));
        }
    }
    let _ = writeln!(text, "\n* is the default; choose another with play --output-device NAME");
    text
}

/// `44100 Hz, 2 channels, f32 as usual; 1-384000 Hz; u8 i16 f32`, or why nothing is known.
fn formats(device: &DeviceInfo) -> String {
    if let Some(problem) = &device.problem {
        return format!("cannot be used: {problem}");
    }
    let mut parts = Vec::new();
    if let Some((rate, channels, format)) = &device.usual {
        let plural = if *channels == 1 { "" } else { "s" };
        parts.push(format!("{rate} Hz, {channels} channel{plural}, {format} as usual"));
    }
    let rates: Vec<String> = device
        .sample_rates
        .iter()
        .map(|(low, high)| if low == high { low.to_string() } else { format!("{low} to {high}") })
        .collect();
    parts.push(format!("{} Hz", rates.join(", ")));
    parts.push(device.formats.join(" "));
    parts.join("; ")
}
