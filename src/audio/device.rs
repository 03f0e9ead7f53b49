//! The sound device, through cpal: which there are, which one is meant, in which format it wants its samples.
//!
//! cpal's `Device` and `Stream` are seen nowhere else; its API changes from release to release.

use std::{sync::mpsc, thread, time::Duration};

use cpal::{
    BufferSize, ErrorKind, FromSample, HostId, I24, OutputCallbackInfo, SampleFormat, SizedSample, StreamConfig,
    SupportedBufferSize, SupportedStreamConfig, SupportedStreamConfigRange, U24,
    traits::{DeviceTrait, HostTrait, StreamTrait},
};

use super::player::Feeder;
use crate::{Error, Fault, Result, Setting};

/// Seconds of sound that a callback fills. Two of these lie in the device: short enough for keys to answer at once, long
/// enough for a callback to be late by 30 ms on a busy machine.
const PERIOD_S: f64 = 0.030;

/// Samples that go from ring to device at a time, whatever the device's period.
const BLOCK: usize = 512;

/// How long a driver may take to close a stream before we go on without it.
const CLOSING: Duration = Duration::from_secs(2);

/// A host (ALSA, CoreAudio, WASAPI …) and its output devices.
#[derive(Debug, Clone, PartialEq)]
pub struct HostInfo {
    pub name: String,
    pub is_default: bool,
    pub devices: Vec<DeviceInfo>,
    /// Why there are none, where the host could not be asked.
    pub problem: Option<String>,
}

/// An output device as it presents itself.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceInfo {
    /// What the host calls it: `hw:CARD=PCH,DEV=0`. Unique.
    pub id: String,
    /// What people call it.
    pub name: String,
    pub is_default: bool,
    /// Lowest and highest sample rate in Hz; each pair is a range.
    pub sample_rates: Vec<(u32, u32)>,
    pub channels: Vec<u16>,
    /// `i16`, `f32` and so on.
    pub formats: Vec<String>,
    /// What a stream gets if nothing else is asked for: rate, channels, format.
    pub usual: Option<(u32, u16, String)>,
    /// Why it cannot be used at present: busy, unplugged.
    pub problem: Option<String>,
}

/// Which device is meant, and how it is to be opened. Nothing given means the default one in its usual format.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceRequest {
    pub host: Option<String>,
    /// Exact name or id, or a part of it that only one device has.
    pub device: Option<String>,
    /// Hz.
    pub sample_rate: Option<u32>,
    /// `i16`, `f32` and so on.
    pub format: Option<String>,
}

/// Lists hosts and output devices, of one host where it is named. Each device is opened for a moment to ask its formats.
pub fn list(host: Option<&str>) -> Result<Vec<HostInfo>> {
    let _quiet = quiet();
    let default = cpal::default_host().id();
    let ids = match host {
        Some(name) => vec![host_id(name)?],
        None => cpal::available_hosts(),
    };
    Ok(ids.into_iter().map(|id| describe_host(id, id == default)).collect())
}

fn describe_host(id: HostId, is_default: bool) -> HostInfo {
    let name = id.name().to_owned();
    let found = cpal::host_from_id(id).and_then(|host| {
        let default = host.default_output_device().and_then(|device| device.id().ok());
        let mut devices: Vec<DeviceInfo> =
            outputs(&host)?.iter().map(|device| describe_device(device, device.id().ok() == default)).collect();
        devices.sort_by_key(|device| !device.is_default);
        Ok(devices)
    });
    match found {
        Ok(devices) => HostInfo { name, is_default, devices, problem: None },
        Err(error) => HostInfo { name, is_default, devices: Vec::new(), problem: Some(words(&error)) },
    }
}

/// All output devices, the default one included, which ALSA's own list may lack.
fn outputs(host: &cpal::Host) -> Result<Vec<cpal::Device>, cpal::Error> {
    let mut devices: Vec<cpal::Device> = host.output_devices()?.collect();
    if let Some(default) = host.default_output_device()
        && !devices.contains(&default)
    {
        devices.insert(0, default);
    }
    Ok(devices)
}

fn describe_device(device: &cpal::Device, is_default: bool) -> DeviceInfo {
    let (id, name) = (identity(device), title(device));
    let mut info = DeviceInfo {
        id,
        name,
        is_default,
        sample_rates: Vec::new(),
        channels: Vec::new(),
        formats: Vec::new(),
        usual: None,
        problem: None,
    };
    match device.supported_output_configs() {
        Ok(ranges) => {
            for range in ranges {
                push_new(&mut info.sample_rates, (range.min_sample_rate(), range.max_sample_rate()));
                push_new(&mut info.channels, range.channels());
                push_new(&mut info.formats, range.sample_format().to_string());
            }
            info.sample_rates.sort_unstable();
            info.channels.sort_unstable();
        }
        Err(error) => info.problem = Some(words(&error)),
    }
    if info.problem.is_none() {
        match device.default_output_config() {
            Ok(usual) => info.usual = Some((usual.sample_rate(), usual.channels(), usual.sample_format().to_string())),
            Err(error) => info.problem = Some(words(&error)),
        }
    }
    info
}

fn push_new<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

fn identity(device: &cpal::Device) -> String {
    device.id().map_or_else(|_| title(device), |id| id.id().to_owned())
}

fn title(device: &cpal::Device) -> String {
    device.description().map_or_else(|_| "unnamed".to_owned(), |description| description.name().to_owned())
}

fn host_id(name: &str) -> Result<HostId> {
    let hosts = cpal::available_hosts();
    let found = hosts.iter().find(|id| id.name().eq_ignore_ascii_case(name));
    found.copied().ok_or_else(|| {
        let names: Vec<&str> = hosts.iter().map(|id| id.name()).collect();
        let fault = Fault::new(Setting::Host, format!("there is no host {name:?}"));
        Error::Settings(fault.expected(names.join(" or ")))
    })
}

/// An output device that has said how it wants its samples.
pub struct OutputDevice {
    device: cpal::Device,
    name: String,
    config: SupportedStreamConfig,
}

impl OutputDevice {
    /// Finds the device and asks for its format.
    ///
    /// # Errors
    /// `Error::Device` where it is not there, busy, or has no such format; `Error::Settings` for a host that this
    /// program does not know.
    pub fn find(request: &DeviceRequest) -> Result<Self> {
        let _quiet = quiet();
        let host = match &request.host {
            Some(name) => {
                cpal::host_from_id(host_id(name)?).map_err(|error| refused(name, "cannot be reached", &error))?
            }
            None => cpal::default_host(),
        };
        let device = match &request.device {
            Some(name) => by_name(&host, name)?,
            None => host.default_output_device().ok_or_else(nothing_there)?,
        };
        let name = title(&device);
        let usual = device.default_output_config().map_err(|error| match request.device {
            // A default device that cannot be asked is how a machine without sound shows itself.
            None if error.kind() != ErrorKind::DeviceBusy => {
                let fault =
                    Fault::new("sound device", format!("there is none that can be played on ({})", words(&error)));
                Error::Device(fault.remedy("connect one or start the sound server; `audiodiff devices` lists them"))
            }
            _ => refused(&name, "cannot be opened", &error),
        })?;
        let config = match (request.sample_rate, &request.format) {
            (None, None) => usual,
            (rate, format) => {
                let ranges =
                    device.supported_output_configs().map_err(|error| refused(&name, "cannot be opened", &error))?;
                choose(ranges.collect(), usual, rate, format.as_deref(), &name)?
            }
        };
        Ok(Self { device, name, config })
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Hz.
    pub fn sample_rate(&self) -> u32 {
        self.config.sample_rate()
    }

    pub fn channels(&self) -> u16 {
        self.config.channels()
    }

    /// `i16`, `f32` and so on.
    pub fn format(&self) -> String {
        self.config.sample_format().to_string()
    }

    /// Opens and starts the stream. `make` is called for each attempt: a device that refuses the wanted period gets a
    /// second one with its own. What `make` gave beside the feeder comes back.
    pub(super) fn start<P>(&self, make: impl Fn() -> (Feeder, P)) -> Result<(OpenStream, P)> {
        let _quiet = quiet();
        let wanted = (PERIOD_S * f64::from(self.sample_rate())) as u32;
        let period = match *self.config.buffer_size() {
            SupportedBufferSize::Range { min, max } if min <= max => BufferSize::Fixed(wanted.clamp(min, max)),
            _ => BufferSize::Default,
        };
        let mut result = self.open(period, &make);
        if period != BufferSize::Default
            && matches!(&result, Err(error) if matches!(error.kind(), ErrorKind::UnsupportedConfig | ErrorKind::InvalidInput))
        {
            result = self.open(BufferSize::Default, &make);
        }
        let (stream, rest) = result.map_err(|error| refused(&self.name, "cannot be opened", &error))?;
        stream.play().map_err(|error| refused(&self.name, "does not start", &error))?;
        Ok((OpenStream { stream }, rest))
    }

    fn open<P>(
        &self,
        buffer_size: BufferSize,
        make: &impl Fn() -> (Feeder, P),
    ) -> Result<(cpal::Stream, P), cpal::Error> {
        let (feeder, rest) = make();
        let config = StreamConfig { channels: self.channels(), sample_rate: self.sample_rate(), buffer_size };
        let stream = match self.config.sample_format() {
            SampleFormat::I8 => self.build::<i8>(config, feeder),
            SampleFormat::I16 => self.build::<i16>(config, feeder),
            SampleFormat::I24 => self.build::<I24>(config, feeder),
            SampleFormat::I32 => self.build::<i32>(config, feeder),
            SampleFormat::I64 => self.build::<i64>(config, feeder),
            SampleFormat::U8 => self.build::<u8>(config, feeder),
            SampleFormat::U16 => self.build::<u16>(config, feeder),
            SampleFormat::U24 => self.build::<U24>(config, feeder),
            SampleFormat::U32 => self.build::<u32>(config, feeder),
            SampleFormat::U64 => self.build::<u64>(config, feeder),
            SampleFormat::F32 => self.build::<f32>(config, feeder),
            SampleFormat::F64 => self.build::<f64>(config, feeder),
            other => Err(cpal::Error::with_message(ErrorKind::UnsupportedConfig, format!("it wants {other} samples"))),
        }?;
        Ok((stream, rest))
    }

    fn build<T: SizedSample + FromSample<f32>>(
        &self,
        config: StreamConfig,
        mut feeder: Feeder,
    ) -> Result<cpal::Stream, cpal::Error> {
        let (channels, given) = (usize::from(config.channels), feeder.channels());
        let nanos_per_sample = 1e9 / f64::from(config.sample_rate);
        let reporter = feeder.reporter();
        // One buffer, allocated here and kept by the callback.
        let mut sound = vec![0f32; BLOCK * given];
        let fill = move |output: &mut [T], info: &OutputCallbackInfo| {
            let frames = output.len() / channels;
            for block in output.chunks_mut(BLOCK * channels) {
                let sound = &mut sound[..block.len() / channels * given];
                feeder.fill(sound);
                spread(sound, given, block, channels);
            }
            let timestamp = info.timestamp();
            let until_heard = timestamp.playback.duration_since(timestamp.callback);
            feeder.note_latency(until_heard + Duration::from_nanos((frames as f64 * nanos_per_sample) as u64));
        };
        let failed = move |error: cpal::Error| match error.kind() {
            ErrorKind::Xrun => reporter.xrun(),
            ErrorKind::RealtimeDenied | ErrorKind::DeviceChanged => {}
            ErrorKind::DeviceNotAvailable | ErrorKind::StreamInvalidated => reporter.gone(|| words(&error)),
            _ => reporter.trouble(|| words(&error)),
        };
        // A poll that comes back now and then lets ALSA notice a device that went without a word.
        self.device.build_output_stream(config, fill, failed, Some(Duration::from_millis(500)))
    }
}

/// One or two interleaved channels to a device's: mono to both of a stereo pair; of more, to the front pair, which come first.
fn spread<T: SizedSample + FromSample<f32>>(sound: &[f32], given: usize, output: &mut [T], channels: usize) {
    // The largest float below 1: the conversions multiply by 2^(bits - 1), and 24 bits do not saturate by themselves.
    const MOST: f32 = 1.0 - f32::EPSILON / 2.0;
    for (out, all) in output.chunks_mut(channels).zip(sound.chunks_exact(given)) {
        let (front, rest) = out.split_at_mut(channels.min(2));
        for (value, sample) in front.iter_mut().zip(all.iter().chain(all)) {
            *value = T::from_sample(sample.clamp(-1.0, MOST));
        }
        rest.fill(T::EQUILIBRIUM);
    }
}

/// The device's usual format with the wanted rate and sample format put in, where it has such a one.
fn choose(
    ranges: Vec<SupportedStreamConfigRange>,
    usual: SupportedStreamConfig,
    rate: Option<u32>,
    format: Option<&str>,
    name: &str,
) -> Result<SupportedStreamConfig> {
    let fits = |range: &SupportedStreamConfigRange| {
        let in_range = |rate: u32| (range.min_sample_rate()..=range.max_sample_rate()).contains(&rate);
        let right_format = format.map_or(range.sample_format() == usual.sample_format(), |format| {
            range.sample_format().to_string() == format
        });
        right_format && rate.is_none_or(in_range)
    };
    let mut fitting: Vec<&SupportedStreamConfigRange> = ranges.iter().filter(|range| fits(range)).collect();
    fitting.sort_by(|a, b| a.cmp_default_heuristics(b));
    let best = fitting.iter().find(|range| range.channels() == usual.channels()).or(fitting.last());
    match best {
        Some(range) => {
            let (low, high) = (range.min_sample_rate(), range.max_sample_rate());
            Ok(range.with_sample_rate(rate.unwrap_or_else(|| usual.sample_rate().clamp(low, high))))
        }
        None => {
            let mut formats = Vec::new();
            for range in &ranges {
                push_new(&mut formats, range.sample_format().to_string());
            }
            let wanted: Vec<String> =
                rate.map(|rate| format!("{rate} Hz")).into_iter().chain(format.map(str::to_owned)).collect();
            let fault = Fault::new(format!("sound device {name:?}"), format!("does not take {}", wanted.join(" in ")));
            Err(Error::Device(
                fault
                    .expected(format!("one of {}, at its rates", formats.join(", ")))
                    .remedy("see `audiodiff devices`"),
            ))
        }
    }
}

/// Exact id or name, else the only one that has `wanted` in either.
fn by_name(host: &cpal::Host, wanted: &str) -> Result<cpal::Device> {
    let devices = outputs(host).map_err(|error| refused(host.id().name(), "cannot list its devices", &error))?;
    let names: Vec<(String, String)> = devices.iter().map(|device| (identity(device), title(device))).collect();
    match pick(&names, wanted) {
        Ok(index) => devices.into_iter().nth(index).ok_or_else(nothing_there),
        Err(fault) => Err(Error::Device(fault)),
    }
}

/// The choice itself, on (id, name) pairs.
fn pick(names: &[(String, String)], wanted: &str) -> Result<usize, Fault> {
    let subject = format!("sound device {wanted:?}");
    if let Some(exact) = names.iter().position(|(id, _)| id == wanted) {
        return Ok(exact);
    }
    let lower = wanted.to_lowercase();
    let matching = |test: &dyn Fn(&(String, String)) -> bool| -> Vec<usize> {
        names.iter().enumerate().filter(|(_, pair)| test(pair)).map(|(index, _)| index).collect()
    };
    let mut found = matching(&|(_, name)| name == wanted);
    if found.is_empty() {
        found = matching(&|(id, name)| id.to_lowercase().contains(&lower) || name.to_lowercase().contains(&lower));
    }
    let listed = |indices: &[usize]| {
        let some: Vec<String> = indices.iter().take(6).map(|&index| format!("{:?}", names[index].0)).collect();
        let more = indices.len().saturating_sub(6);
        some.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
    };
    match found[..] {
        [one] => Ok(one),
        [] => {
            let all: Vec<usize> = (0..names.len()).collect();
            let there = if all.is_empty() { "none".to_owned() } else { listed(&all) };
            Err(Fault::new(subject, "is not there").expected(there).remedy("see `audiodiff devices`"))
        }
        _ => Err(Fault::new(subject, format!("could be any of {}", listed(&found))).remedy("give one of these")),
    }
}

/// A running stream. Dropped through `close`, so that a driver that hangs does not hang us.
pub(super) struct OpenStream {
    stream: cpal::Stream,
}

impl OpenStream {
    pub(super) fn close(self) {
        let (done, closed) = mpsc::channel();
        let closing = thread::Builder::new().name("closing".into()).spawn(move || {
            drop(self.stream);
            let _ = done.send(());
        });
        if closing.is_ok() {
            // A driver whose server was killed may never come back; the thread goes with the process.
            let _ = closed.recv_timeout(CLOSING);
        }
    }
}

fn nothing_there() -> Error {
    let fault = Fault::new("sound device", "there is none to play on");
    Error::Device(fault.remedy("connect one, or render to a file with `audiodiff render`"))
}

fn refused(name: &str, what: &str, error: &cpal::Error) -> Error {
    let remedy = match error.kind() {
        ErrorKind::DeviceBusy => "close the program that uses it, or choose another with `output_device`",
        ErrorKind::PermissionDenied => "add your user to the group that may use sound (audio on Linux)",
        _ => "see `audiodiff devices` for what is there",
    };
    Error::Device(Fault::new(format!("sound device {name:?}"), format!("{what}: {}", words(error))).remedy(remedy))
}

/// cpal's messages are sentences; ours are parts of one.
fn words(error: &cpal::Error) -> String {
    match error.kind() {
        ErrorKind::DeviceBusy => "it is in use by another program".into(),
        ErrorKind::DeviceNotAvailable => "it is not there, or no longer".into(),
        ErrorKind::HostUnavailable => "the sound system does not run".into(),
        ErrorKind::PermissionDenied => "permission denied".into(),
        ErrorKind::UnsupportedConfig => "it does not take this format".into(),
        _ => {
            let text = error.to_string();
            let text = text.trim_end_matches('.');
            let mut letters = text.chars();
            // `Device disconnected` becomes `device disconnected`; an abbreviation stays.
            match (letters.next(), letters.next()) {
                (Some(first), Some(second)) if second.is_lowercase() => {
                    first.to_lowercase().chain(text[first.len_utf8()..].chars()).collect()
                }
                _ => text.to_owned(),
            }
        }
    }
}

/// alsa-lib explains each failure on standard error, in lines of its own source code. While the guard lives they go into a
/// buffer instead; the error that we return says it in a sentence.
#[cfg(any(target_os = "linux", target_os = "freebsd", target_os = "netbsd", target_os = "dragonfly"))]
fn quiet() -> impl Sized {
    alsa::Output::local_error_handler().ok()
}

#[cfg(not(any(target_os = "linux", target_os = "freebsd", target_os = "netbsd", target_os = "dragonfly")))]
fn quiet() -> impl Sized {}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<(String, String)> {
        [
            ("default", "Default Audio Device"),
            ("pulse", "PulseAudio Sound Server"),
            ("hw:CARD=USB,DEV=0", "USB Headset"),
            ("plughw:CARD=USB,DEV=0", "USB Headset"),
            ("null", "Discard all samples"),
        ]
        .map(|(id, name)| (id.to_owned(), name.to_owned()))
        .to_vec()
    }

    #[test]
    fn devices_are_chosen_by_id_name_or_unique_part() {
        for (wanted, index) in
            [("default", 0), ("pulse", 1), ("PulseAudio Sound Server", 1), ("discard", 4), ("plughw:", 3)]
        {
            assert_eq!(pick(&names(), wanted), Ok(index), "{wanted}");
        }
        // An exact id wins over being part of another.
        assert_eq!(pick(&names(), "hw:CARD=USB,DEV=0"), Ok(2));
        let several = pick(&names(), "usb headset").unwrap_err().to_string();
        assert!(several.contains("\"hw:CARD=USB,DEV=0\"") && several.contains("plughw"), "{several}");
        let none = pick(&names(), "bluetooth").unwrap_err().to_string();
        assert!(none.contains("is not there") && none.contains("\"pulse\""), "{none}");
        assert!(pick(&[], "x").unwrap_err().to_string().contains("expected none"));
    }

    fn spread_to<T: SizedSample + FromSample<f32>>(channels: usize) -> Vec<T> {
        let mono = [0.0, 0.5, -0.5, 1.0, -1.0, 7.0, -7.0];
        let mut output = vec![T::EQUILIBRIUM; mono.len() * channels];
        spread(&mono, 1, &mut output, channels);
        output
    }

    /// Every format that a device may want: zero, half and full scale, and nothing wraps.
    #[test]
    fn every_sample_format_is_right_and_saturates() {
        assert_eq!(spread_to::<i8>(1), [0, 64, -64, 127, -128, 127, -128]);
        assert_eq!(spread_to::<i16>(1), [0, 16_384, -16_384, 32_767, -32_768, 32_767, -32_768]);
        let i24: Vec<i32> = spread_to::<I24>(1).into_iter().map(I24::inner).collect();
        assert_eq!(i24, [0, 4_194_304, -4_194_304, 8_388_607, -8_388_608, 8_388_607, -8_388_608]);
        let i32s = spread_to::<i32>(1);
        assert_eq!((i32s[1], i32s[2], i32s[4]), (1 << 30, -(1 << 30), i32::MIN));
        assert!(i32s[3] > i32::MAX - 256 && i32s[5] == i32s[3]);
        assert_eq!(spread_to::<u8>(1), [128, 192, 64, 255, 0, 255, 0]);
        assert_eq!(spread_to::<u16>(1), [32_768, 49_152, 16_384, 65_535, 0, 65_535, 0]);
        let f32s = spread_to::<f32>(1);
        assert_eq!((f32s[1], f32s[4], f32s[6]), (0.5, -1.0, -1.0));
        assert!(f32s[5] < 1.0);
        assert_eq!(spread_to::<f64>(1)[1], 0.5);
    }

    #[test]
    fn mono_goes_to_the_front_pair() {
        assert_eq!(spread_to::<i16>(2)[2..6], [16_384, 16_384, -16_384, -16_384]);
        assert_eq!(spread_to::<u8>(4)[4..8], [192, 192, 128, 128]);
    }

    #[test]
    fn left_is_left() {
        let mut output = [0u8; 8];
        spread(&[0.0, 0.5, -0.5, 0.0], 2, &mut output, 4);
        assert_eq!(output, [128, 192, 128, 128, 64, 128, 128, 128]);
    }

    #[test]
    fn a_rate_or_format_that_is_not_there_is_refused_in_words() {
        let range =
            |low, high, format| SupportedStreamConfigRange::new(2, low, high, SupportedBufferSize::Unknown, format);
        let ranges = vec![range(44_100, 48_000, SampleFormat::I16), range(48_000, 48_000, SampleFormat::F32)];
        let usual = ranges[1].with_max_sample_rate();
        let chosen = |rate, format| choose(ranges.clone(), usual, rate, format, "x");
        let config = chosen(Some(44_100), Some("i16")).unwrap();
        assert_eq!((config.sample_rate(), config.sample_format()), (44_100, SampleFormat::I16));
        assert_eq!(chosen(None, Some("i16")).unwrap().sample_rate(), 48_000);
        let text = chosen(Some(44_100), None).unwrap_err().to_string();
        assert!(text.contains("does not take 44100 Hz") && text.contains("i16, f32"), "{text}");
    }
}
