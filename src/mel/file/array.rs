//! An array as a file holds it, and the way from there to a mel: which axis is which, and is every value a number.

use super::{MelFile, ReadOptions, encoding::Encoding, numbers::Numbers, safetensors};
use crate::{
    Error, Fault, Remedy, Result, Setting,
    mel::{DeclaredMel, Layout, MelConvention, MelSpectrogram, held::Frames},
};
use std::{borrow::Cow, collections::BTreeMap, ops::Range, sync::Arc};

/// More than 31 hours of the native convention: 4 GiB.
const MOST_VALUES: usize = 1 << 30;

/// An array of a file, its values not looked at: they are read where they are asked for.
#[derive(Debug, Clone)]
pub struct RawArray {
    pub shape: Vec<usize>,
    /// As stored: `float16`, `float32 (big-endian)`.
    pub dtype: String,
    /// Its name in an .npz or .safetensors.
    pub tensor: Option<String>,
    /// The text entries of a .safetensors; empty for NumPy's files.
    pub metadata: BTreeMap<String, String>,
    /// Its values are a picture's greys, 0 to 1, the top row first.
    pub is_picture: bool,
    /// Names the file and the array in errors.
    subject: String,
    numbers: Arc<Numbers>,
    /// Where the first value lies among them, and how far apart those of each axis are.
    offset: usize,
    strides: Vec<usize>,
}

impl RawArray {
    /// `numbers` are in C order (last axis fastest), or in Fortran order (first axis fastest).
    pub(super) fn new(
        subject: String,
        shape: Vec<usize>,
        numbers: Numbers,
        encoding: Encoding,
        fortran_order: bool,
    ) -> Self {
        let stride = |stride: &mut usize, n: &usize| Some(std::mem::replace(stride, *stride * (*n).max(1)));
        let mut strides: Vec<usize> = match fortran_order {
            true => shape.iter().scan(1, stride).collect(),
            false => shape.iter().rev().scan(1, stride).collect(),
        };
        if !fortran_order {
            strides.reverse();
        }
        Self {
            shape,
            dtype: encoding.to_string(),
            tensor: None,
            metadata: BTreeMap::new(),
            is_picture: false,
            subject,
            numbers: Arc::new(numbers),
            offset: 0,
            strides,
        }
    }

    pub(in crate::mel) fn subject(&self) -> &str {
        &self.subject
    }

    /// All values in C order (last axis fastest), whatever the file's.
    ///
    /// # Errors
    /// `Error::Io` or `Error::Mel` where they cannot be read any more.
    pub fn values(&self) -> Result<Vec<f32>> {
        let count = if self.shape.contains(&0) { 0 } else { self.shape.iter().product() };
        let mut values = Vec::with_capacity(count);
        if count == 0 {
            return Ok(values);
        }
        let span = self.shape.iter().zip(&self.strides).map(|(n, stride)| (n - 1) * stride).sum::<usize>() + 1;
        let mut stored = vec![];
        self.read_run(self.offset, span, &mut stored)?;
        if span == count && self.strides.is_sorted_by(|a, b| a >= b) {
            return Ok(stored);
        }
        // The index of the value that comes next in C order, and where it lies.
        let (mut index, mut at) = (vec![0; self.shape.len()], 0);
        while values.len() < count {
            values.push(stored[at]);
            for axis in (0..self.shape.len()).rev() {
                index[axis] += 1;
                at += self.strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                at -= index[axis] * self.strides[axis];
                index[axis] = 0;
            }
        }
        Ok(values)
    }

    /// Appends `count` stored numbers from the `first` on.
    fn read_run(&self, first: usize, count: usize, out: &mut Vec<f32>) -> Result<()> {
        self.numbers.read(first, count, out).map_err(|source| match source.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                let found = "ends before the values that its header promises";
                Error::Mel(Fault::new(&self.subject, found).remedy("the file was cut off: copy or write it again"))
            }
            _ => Error::Io { path: self.subject.as_str().into(), action: "cannot read", source },
        })
    }

    /// The convention that the file declares, where it does.
    ///
    /// # Errors
    /// `Error::Convention` where the declaration cannot be read or contradicts itself.
    pub fn convention(&self) -> Result<Option<MelConvention>> {
        let Some(text) = self.metadata.get(safetensors::CONVENTION_KEY) else { return Ok(None) };
        let convention: MelConvention = serde_json::from_str(text).map_err(|error| {
            let subject = format!("{}: metadata entry {}", self.subject, safetensors::CONVENTION_KEY);
            let expected = "a mel convention in JSON";
            Error::Convention(Fault::new(subject, format!("cannot be read ({error})")).expected(expected))
        })?;
        convention.validate().map_err(|error| match error {
            Error::Convention(fault) => {
                Error::Convention(Fault { subject: format!("{}: {}", self.subject, fault.subject), ..fault })
            }
            other => other,
        })?;
        Ok(Some(convention))
    }

    /// An array for each channel: the two of `[2, M, T]`, `[2, T, M]`, `[T, M, 2]` or `[M, T, 2]`, or itself.
    pub fn into_channels(self) -> Vec<Self> {
        let axes = kept_axes(&self.shape);
        let (channels, mel) = match axes[..] {
            [first, a, b] if self.shape[first] == 2 => (first, [a, b]),
            [a, b, last] if self.shape[last] == 2 => (last, [a, b]),
            _ => return vec![self],
        };
        let channel = |(i, name)| Self {
            shape: mel.map(|axis| self.shape[axis]).to_vec(),
            strides: mel.map(|axis| self.strides[axis]).to_vec(),
            offset: self.offset + i * self.strides[channels],
            subject: format!("{} ({name} channel)", self.subject),
            ..self.clone()
        };
        ["left", "right"].into_iter().enumerate().map(channel).collect()
    }

    /// # Errors
    /// `Error::Mel` where the array has no two axes, or holds several mels.
    pub fn require_one_mel(&self) -> Result<()> {
        Axes { n_mels: None, forced: Some(Layout::BandsFirst), usual: None }
            .find(&self.shape, &self.subject)
            .map(|_| ())
    }

    /// The mel that the array holds, in memory. A declared convention's band count comes before the wanted one: what a file says
    /// of itself is right, whoever reads it.
    ///
    /// # Errors
    /// `Error::Mel` where no axis has the bands, a value is not finite, or there is no frame; `Error::Convention` as
    /// [`RawArray::convention`], and where the declaration does not fit the array.
    pub fn into_mel(self, options: &ReadOptions) -> Result<MelFile> {
        let found = self.axes(options)?;
        let Self { shape, dtype, tensor, .. } = self.clone();
        let (convention, subject) = (self.convention()?, self.subject.clone());
        let frames = StoredFrames::new(self, &found);
        let mel = frames.read(0..found.frames)?.into_owned();
        let mut finite = Finite::default();
        finite.add(0, &mel);
        finite.finish(&subject)?;
        let notes = found.notes(&subject);
        Ok(MelFile { declared: DeclaredMel { mel, convention }, layout: found.layout, shape, dtype, tensor, notes })
    }

    /// Which axis is which, for whoever reads frames. See [`RawArray::into_mel`].
    pub(in crate::mel) fn axes(&self, options: &ReadOptions) -> Result<FoundAxes> {
        let convention = self.convention()?;
        if let Some(c) = &convention
            && !self.shape.contains(&c.n_mels)
        {
            let found = format!("its metadata declares the convention {} of {} bands", c.name, c.n_mels);
            let shape = format!("an axis of that many in its shape {:?}", self.shape);
            return Err(Error::Convention(Fault::new(&self.subject, found).expected(shape)));
        }
        let wanted = Axes {
            n_mels: convention.as_ref().map(|c| c.n_mels).or(options.n_mels),
            forced: options.layout,
            usual: convention.as_ref().map(|c| c.layout),
        };
        wanted.find(&self.shape, &self.subject)
    }
}

/// Whether all values of a mel that comes in blocks are numbers.
#[derive(Default)]
pub(in crate::mel) struct Finite {
    /// Frame and band of the first that is none, and its value.
    first: Option<((usize, usize), f32)>,
    count: usize,
}

impl Finite {
    /// Takes the block that begins with frame `first`.
    pub fn add(&mut self, first: usize, block: &MelSpectrogram) {
        for (i, &value) in block.values().iter().enumerate().filter(|(_, value)| !value.is_finite()) {
            self.first.get_or_insert(((first + i / block.n_mels(), i % block.n_mels()), value));
            self.count += 1;
        }
    }

    /// # Errors
    /// `Error::Mel` names the first value that is no number, and how many there are.
    pub fn finish(self, subject: &str) -> Result<()> {
        self.first.map_or(Ok(()), |(place, value)| Err(not_finite(subject, place, value, self.count)))
    }
}

/// The first value that is no number, at a frame and a band.
pub(in crate::mel) fn not_finite(subject: &str, (frame, band): (usize, usize), value: f32, count: usize) -> Error {
    let more = match count {
        1 => String::new(),
        _ => format!(" ({count} values are not finite)"),
    };
    let what = if value.is_nan() { "NaN".into() } else { value.to_string() };
    let fault = Fault::new(subject, format!("the value of band {band} in frame {frame} is {what}{more}"));
    Error::Mel(fault.expected("finite numbers").remedy("look at the program that made it"))
}

/// What is known of an array's axes before its shape is seen.
#[derive(Debug, Clone, Copy)]
pub(in crate::mel) struct Axes {
    pub n_mels: Option<usize>,
    /// The user says so.
    pub forced: Option<Layout>,
    /// Taken where the shape leaves it open.
    pub usual: Option<Layout>,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::mel) struct FoundAxes {
    pub layout: Layout,
    pub n_mels: usize,
    pub frames: usize,
    /// What was assumed.
    pub note: Option<String>,
}

impl Axes {
    pub fn find(self, shape: &[usize], subject: &str) -> Result<FoundAxes> {
        let fault = |found: String, expected: String, remedy: Option<Remedy>| {
            Err(Error::Mel(Fault { remedy, ..Fault::new(subject, found).expected(expected) }))
        };
        let bands = self.n_mels.map_or("bands".into(), |n| n.to_string());
        let right = format!("[{bands}, frames], [frames, {bands}] or either as a batch of one");
        let (a, b) = match *squeezed(shape) {
            [a, b] => (a, b),
            [batch, _, _] => {
                // Two would be a stereo mel's channels.
                let found = format!("shape {shape:?} is a batch of {batch}");
                return fault(found, right, Some("split it into a file for each: mel[0], mel[1], …".into()));
            }
            _ => return fault(format!("shape {shape:?}"), right, None),
        };
        let by_layout = |layout| if layout == Layout::BandsFirst { (a, b) } else { (b, a) };
        let (layout, note) = match (self.n_mels, self.forced) {
            (None, Some(layout)) => (layout, None),
            (None, None) => match self.usual {
                Some(layout) => (layout, None),
                None => {
                    let found = format!("shape {shape:?} does not tell bands from frames");
                    return fault(
                        found,
                        String::new(),
                        Some(Remedy::give(Setting::Layout, ["bands-first", "frames-first"])),
                    );
                }
            },
            (Some(n), Some(layout)) if by_layout(layout).0 == n => (layout, None),
            (Some(n), Some(layout)) => {
                let (found, other) = by_layout(layout);
                let remedy = match other {
                    other if other == n => Remedy::LeaveOut(Setting::Layout),
                    _ => Remedy::NameConvention,
                };
                let order = if layout == Layout::BandsFirst { "bands first" } else { "frames first" };
                return fault(format!("shape {shape:?} with {order} has {found} bands"), n.to_string(), Some(remedy));
            }
            (Some(n), None) if a == n && b == n => match self.usual {
                Some(layout) => (layout, None),
                None => {
                    let note = format!("both axes of {shape:?} have {n} entries; the first is taken for the bands");
                    (Layout::BandsFirst, Some(note + " (`layout` frames-first takes the other)"))
                }
            },
            (Some(n), None) if a == n => (Layout::BandsFirst, None),
            (Some(n), None) if b == n => (Layout::FramesFirst, None),
            (Some(n), None) => {
                let found = format!("shape {shape:?} has no axis of {n} bands");
                return fault(found, right, Some(Remedy::NameConvention));
            }
        };
        let (n_mels, frames) = by_layout(layout);
        if n_mels == 0 || frames == 0 {
            return fault(format!("shape {shape:?} holds no frame"), String::new(), None);
        }
        Ok(FoundAxes { layout, n_mels, frames, note })
    }
}

impl FoundAxes {
    /// What was assumed, for the user.
    pub fn notes(&self, subject: &str) -> Vec<String> {
        self.note.iter().map(|note| format!("{subject}: {note}")).collect()
    }
}

/// A shape without axes of length 1, from the first on, as long as more than two are left: they move no value.
pub(in crate::mel) fn squeezed(shape: &[usize]) -> Vec<usize> {
    kept_axes(shape).into_iter().map(|axis| shape[axis]).collect()
}

/// The axes that [`squeezed`] leaves.
fn kept_axes(shape: &[usize]) -> Vec<usize> {
    let mut axes: Vec<usize> = (0..shape.len()).collect();
    while axes.len() > 2
        && let Some(at) = axes.iter().position(|&axis| shape[axis] == 1)
    {
        axes.remove(at);
    }
    axes
}

/// The mel of an array, whichever axis its frames lie along.
pub(in crate::mel) struct StoredFrames {
    array: RawArray,
    frames: usize,
    n_mels: usize,
    /// Between the values of one band, and of one frame.
    frame_stride: usize,
    band_stride: usize,
}

impl StoredFrames {
    /// `found` are the array's.
    pub fn new(array: RawArray, found: &FoundAxes) -> Self {
        let axes = kept_axes(&array.shape);
        let strides = [array.strides[axes[0]], array.strides[axes[1]]];
        let [band_stride, frame_stride] = match found.layout {
            Layout::BandsFirst => strides,
            Layout::FramesFirst => [strides[1], strides[0]],
        };
        Self { array, frames: found.frames, n_mels: found.n_mels, frame_stride, band_stride }
    }
}

impl Frames for StoredFrames {
    fn n_mels(&self) -> usize {
        self.n_mels
    }

    fn frames(&self) -> usize {
        self.frames
    }

    fn read(&self, frames: Range<usize>) -> Result<Cow<'_, MelSpectrogram>> {
        let &Self { n_mels, frame_stride, band_stride, .. } = self;
        let (count, start) = (frames.len(), self.array.offset + frames.start * frame_stride);
        let mut stored = vec![];
        if count == 0 {
            return Ok(Cow::Owned(MelSpectrogram::new(stored, n_mels)));
        }
        if frame_stride >= band_stride {
            // Frame after frame.
            let span = (count - 1) * frame_stride + (n_mels - 1) * band_stride + 1;
            self.array.read_run(start, span, &mut stored)?;
            if band_stride != 1 || frame_stride != n_mels {
                let frame = |t: usize| stored[t * frame_stride..].iter().step_by(band_stride).take(n_mels);
                stored = (0..count).flat_map(frame).copied().collect();
            }
            return Ok(Cow::Owned(MelSpectrogram::new(stored, n_mels)));
        }
        let mut values = vec![0.0; count * n_mels];
        for m in 0..n_mels {
            stored.clear();
            self.array.read_run(start + m * band_stride, (count - 1) * frame_stride + 1, &mut stored)?;
            for (frame, &value) in values.chunks_exact_mut(n_mels).zip(stored.iter().step_by(frame_stride)) {
                frame[m] = value;
            }
        }
        Ok(Cow::Owned(MelSpectrogram::new(values, n_mels)))
    }
}

/// How much an array holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mel) struct Size {
    pub values: usize,
    pub bytes: u64,
}

/// The size that a shape means, before anything of it is read.
pub(in crate::mel) fn elements(shape: &[usize], encoding: Encoding, subject: &str) -> Result<Size> {
    // Zeros are multiplied last, so that they hide no overflow.
    let product = shape.iter().filter(|n| **n > 0).try_fold(1usize, |product, n| product.checked_mul(*n));
    match product {
        Some(values) if values <= MOST_VALUES => {
            let values = if shape.contains(&0) { 0 } else { values };
            Ok(Size { values, bytes: (values * encoding.size()) as u64 })
        }
        _ => {
            let fault = Fault::new(subject, format!("claims the shape {}", describe(shape, encoding)));
            Err(Error::Mel(
                fault.expected(format!("at most {MOST_VALUES} values, 31 hours of a mel")).remedy("split it"),
            ))
        }
    }
}

/// `[100, 65] float32`
pub(super) fn describe(shape: &[usize], encoding: Encoding) -> String {
    format!("{shape:?} {encoding}")
}

/// The array to read among `names`, which are not empty: `wanted`, or the only one, or the one named `mel`.
pub(super) fn choose<'a>(names: &[&'a str], wanted: Option<&str>, path: &str) -> Result<&'a str> {
    let find = |name: &str| names.iter().find(|n| **n == name).copied();
    let list = || {
        const MOST: usize = 12;
        let shown = names.iter().take(MOST).map(|name| name.chars().take(60).collect::<String>());
        let more = if names.len() > MOST { format!(" and {} more", names.len() - MOST) } else { String::new() };
        shown.collect::<Vec<_>>().join(", ") + &more
    };
    if let Some(wanted) = wanted {
        return find(wanted).ok_or_else(|| {
            Error::Mel(Fault::new(path, format!("holds no array {wanted}")).expected(format!("one of {}", list())))
        });
    }
    match names {
        [only] => Ok(only),
        _ => find(safetensors::TENSOR).ok_or_else(|| {
            let found = format!("holds {} arrays, none of them named {}: {}", names.len(), safetensors::TENSOR, list());
            Error::Mel(Fault::new(path, found).remedy(format!("choose one with {} NAME", Setting::Tensor)))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const F32: Encoding = Encoding::F32LE;

    fn find(shape: &[usize], n_mels: Option<usize>, forced: Option<Layout>) -> Result<FoundAxes> {
        Axes { n_mels, forced, usual: None }.find(shape, "x.npy")
    }

    #[test]
    fn axes_are_found_by_the_band_count() {
        use Layout::{BandsFirst, FramesFirst};
        for (shape, layout, frames) in [
            (&[100, 7][..], BandsFirst, 7),
            (&[7, 100], FramesFirst, 7),
            (&[1, 100, 7], BandsFirst, 7),
            (&[1, 7, 100], FramesFirst, 7),
            (&[1, 100], FramesFirst, 1),
            (&[100, 1], BandsFirst, 1),
            (&[1, 1, 100], FramesFirst, 1),
            (&[1, 1, 100, 9], BandsFirst, 9),
            (&[7, 1, 100], FramesFirst, 7),
            (&[100, 1, 7], BandsFirst, 7),
            (&[100, 7, 1, 1], BandsFirst, 7),
        ] {
            let found = find(shape, Some(100), None).unwrap();
            assert_eq!(found, FoundAxes { layout, n_mels: 100, frames, note: None }, "{shape:?}");
        }
    }

    #[test]
    fn a_square_is_bands_first_and_says_so() {
        let found = find(&[100, 100], Some(100), None).unwrap();
        assert_eq!(found.layout, Layout::BandsFirst);
        assert!(found.note.unwrap().contains("`layout`"));
        let forced = find(&[100, 100], Some(100), Some(Layout::FramesFirst)).unwrap();
        assert_eq!((forced.layout, forced.note), (Layout::FramesFirst, None));
        let declared = Axes { n_mels: Some(100), forced: None, usual: Some(Layout::FramesFirst) };
        let declared = declared.find(&[100, 100], "x.npy").unwrap();
        assert_eq!((declared.layout, declared.note), (Layout::FramesFirst, None));
    }

    #[test]
    fn wrong_shapes_are_named_with_what_to_do() {
        let message = |shape: &[usize], layout| find(shape, Some(100), layout).unwrap_err().to_string();
        assert_eq!(
            message(&[80, 412], None),
            "x.npy: shape [80, 412] has no axis of 100 bands, expected [100, frames], [frames, 100] or either as a batch of \
             one; if another program made it, name its convention with `convention`"
        );
        let batch = message(&[4, 100, 9], None);
        assert!(batch.contains("shape [4, 100, 9] is a batch of 4") && batch.contains("split it"), "{batch}");
        let turned = message(&[9, 100], Some(Layout::BandsFirst));
        assert!(turned.contains("has 9 bands, expected 100; leave `layout` out"), "{turned}");
        for shape in [&[][..], &[100], &[2, 2, 100, 9], &[100, 0], &[0, 100]] {
            find(shape, Some(100), None).unwrap_err();
        }
        assert!(find(&[9, 12], None, None).unwrap_err().to_string().contains("give `layout`"));
    }

    #[test]
    fn absurd_shapes_are_refused_before_anything_is_multiplied_out() {
        for shape in [&[usize::MAX, 2][..], &[1 << 40, 1 << 40], &[0, usize::MAX, usize::MAX], &[1 << 31]] {
            elements(shape, F32, "x.npy").unwrap_err();
        }
        assert_eq!(elements(&[100, 0, 7], F32, "x.npy").unwrap(), Size { values: 0, bytes: 0 });
        assert_eq!(elements(&[], F32, "x.npy").unwrap(), Size { values: 1, bytes: 4 });
    }

    #[test]
    fn fortran_order_becomes_c_order() {
        let numbers = Numbers::Memory((0..12u8).map(f32::from).collect());
        let array = RawArray::new("x".into(), vec![2, 3, 2], numbers, F32, true);
        // numpy.arange(12).reshape(2, 3, 2, order="F").ravel()
        assert_eq!(array.values().unwrap(), [0.0, 6.0, 2.0, 8.0, 4.0, 10.0, 1.0, 7.0, 3.0, 9.0, 5.0, 11.0]);
    }

    /// In every order and with every channel, the frames that are read are those of the whole.
    #[test]
    fn frames_are_read_where_they_lie() {
        for (shape, fortran, layout) in [
            (&[5, 3][..], false, Layout::FramesFirst),
            (&[3, 5], false, Layout::BandsFirst),
            (&[5, 3], true, Layout::FramesFirst),
            (&[3, 5], true, Layout::BandsFirst),
            (&[1, 3, 5], false, Layout::BandsFirst),
            (&[2, 3, 5], false, Layout::BandsFirst),
            (&[5, 3, 2], false, Layout::FramesFirst),
            (&[3, 5, 2], true, Layout::BandsFirst),
        ] {
            let values = (0..shape.iter().product::<usize>()).map(|i| i as f32).collect();
            let array = RawArray::new("x".into(), shape.to_vec(), Numbers::Memory(values), F32, fortran);
            for array in array.into_channels() {
                let found =
                    Axes { n_mels: Some(3), forced: Some(layout), usual: None }.find(&array.shape, "x").unwrap();
                let whole = match layout {
                    Layout::BandsFirst => MelSpectrogram::from_band_major(&array.values().unwrap(), 3),
                    Layout::FramesFirst => MelSpectrogram::new(array.values().unwrap(), 3),
                };
                let frames = StoredFrames::new(array, &found);
                for range in [0..5, 0..1, 2..5, 4..5, 3..3] {
                    let read = frames.read(range.clone()).unwrap();
                    assert_eq!(*read, whole.slice(range), "{shape:?} {fortran} {layout:?}");
                }
            }
        }
    }

    #[test]
    fn channels_are_told_apart_wherever_their_axis_is() {
        let array = |shape: &[usize]| {
            let values = (0..shape.iter().product::<usize>()).map(|i| i as f32).collect();
            RawArray::new("x.npy".into(), shape.to_vec(), Numbers::Memory(values), F32, false)
        };
        let values = |array: &RawArray| array.values().unwrap();
        for shape in [&[2, 3, 4][..], &[1, 2, 3, 4], &[2, 1, 3, 4]] {
            let [left, right] = &array(shape).into_channels()[..] else { panic!("{shape:?}") };
            assert_eq!((&left.shape[..], values(left)[11], values(right)[0]), (&[3, 4][..], 11.0, 12.0), "{shape:?}");
        }
        let [left, right] = &array(&[3, 4, 2]).into_channels()[..] else { panic!() };
        assert_eq!((&right.shape[..], values(left)[1], values(right)[1]), (&[3, 4][..], 2.0, 3.0));
        assert!(right.subject.contains("x.npy (right channel)"));
        for shape in [&[3, 4][..], &[2, 4], &[3, 3, 4], &[1, 3, 4], &[2, 2, 3, 4]] {
            assert_eq!(array(shape).into_channels().len(), 1, "{shape:?}");
        }
    }

    #[test]
    fn an_array_is_chosen_by_name() {
        assert_eq!(choose(&["x"], None, "f").unwrap(), "x");
        assert_eq!(choose(&["x", "mel"], None, "f").unwrap(), "mel");
        assert_eq!(choose(&["x", "mel"], Some("x"), "f").unwrap(), "x");
        assert_eq!(
            choose(&["x", "y"], None, "f").unwrap_err().to_string(),
            "f: holds 2 arrays, none of them named mel: x, y; choose one with `tensor` NAME"
        );
        assert_eq!(
            choose(&["x", "y"], Some("z"), "f").unwrap_err().to_string(),
            "f: holds no array z, expected one of x, y"
        );
    }
}
