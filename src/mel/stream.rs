//! Mel frames that another process is still writing.
//!
//! Two forms: bare little-endian floats, and .npy blocks one after the other. Both give frames as soon as they have arrived,
//! so that sound starts before the writer has finished, and hold no more than a pipe's worth of them.

use super::{
    Layout, MelSpectrogram,
    file::{Axes, Encoding, FoundAxes, NpyHeader, not_finite, read_npy_header, read_up_to},
};
use crate::{Error, Fault, Result};
use std::io::{self, Read};

/// The most frames that one call gives: 44 s of the native convention, 1.6 MB.
const MOST_FRAMES: usize = 4096;

/// The largest .npy block whose frames do not lie one after the other (bands first), so that it has to be there as a whole
/// before its first frame is known: 64 MiB.
const LARGEST_BLOCK: u64 = 64 << 20;

/// A live source of mel frames.
pub trait FrameReader {
    fn n_mels(&self) -> usize;

    /// Waits for at least one frame, then gives as many of up to `most` as have arrived: [t, M]. Nothing means the end.
    ///
    /// # Errors
    /// `Error::Mel` with the frame's number where a value is not finite or the source ends within a frame; `Error::Io`.
    fn read_frames(&mut self, most: usize) -> Result<MelSpectrogram>;

    /// What was assumed since the last call; a sentence each, for the user.
    fn take_notes(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Waits for `count` frames; fewer only at the end.
    fn read_exactly(&mut self, count: usize) -> Result<MelSpectrogram> {
        let mut values = Vec::new();
        while values.len() < count * self.n_mels() {
            let more = self.read_frames(count - values.len() / self.n_mels())?;
            if more.frames() == 0 {
                break;
            }
            values.extend_from_slice(more.values());
        }
        Ok(MelSpectrogram::new(values, self.n_mels()))
    }
}

/// Bare frames: `n_mels` little-endian float32 each.
pub struct F32leFrames<R> {
    frames: Contiguous,
    n_mels: usize,
    source: R,
    subject: String,
}

impl<R: Read> F32leFrames<R> {
    /// `subject` names the source in errors: `standard input`.
    ///
    /// # Panics
    /// If `n_mels` is 0, which no convention has.
    pub fn new(source: R, n_mels: usize, subject: impl Into<String>) -> Self {
        assert!(n_mels > 0, "frames of no bands");
        Self { frames: Contiguous::new(Encoding::F32LE), n_mels, source, subject: subject.into() }
    }
}

impl<R: Read> FrameReader for F32leFrames<R> {
    fn n_mels(&self) -> usize {
        self.n_mels
    }

    fn read_frames(&mut self, most: usize) -> Result<MelSpectrogram> {
        let frames = self.frames.read(&mut self.source, self.n_mels, most, &self.subject)?;
        Ok(frames.unwrap_or_else(|| MelSpectrogram::new(Vec::new(), self.n_mels)))
    }
}

/// .npy blocks one after the other, each [M, t] or [t, M] (or either as a batch of one) of any float type.
pub struct NpyBlocks<R> {
    source: R,
    subject: String,
    axes: Axes,
    n_mels: usize,
    /// Blocks begun.
    blocks: usize,
    state: Block,
    frames: Contiguous,
    notes: Vec<String>,
}

/// The block that is being read.
enum Block {
    None,
    /// Its frames lie one after the other; so many are still to come.
    Streamed {
        left: usize,
    },
    /// It was read as a whole; frames from `next` on are still to be given.
    Whole {
        mel: MelSpectrogram,
        next: usize,
    },
}

impl<R: Read> NpyBlocks<R> {
    /// `layout` forces the order of the axes; otherwise each block's is found by its band count, and a square block's by the
    /// blocks before it. `subject` names the source in errors: `standard input`.
    ///
    /// # Panics
    /// If `n_mels` is 0, which no convention has.
    pub fn new(source: R, n_mels: usize, layout: Option<Layout>, subject: impl Into<String>) -> Self {
        assert!(n_mels > 0, "frames of no bands");
        Self {
            source,
            subject: subject.into(),
            axes: Axes { n_mels: Some(n_mels), forced: layout, usual: None },
            n_mels,
            blocks: 0,
            state: Block::None,
            frames: Contiguous::new(Encoding::F32LE),
            notes: Vec::new(),
        }
    }

    /// The next block's header; `None` at the end of the source.
    fn begin(&mut self) -> Result<Option<Block>> {
        let mut first = [0];
        if read_up_to(&mut self.source, &mut first).map_err(Error::io("cannot read", &self.subject))? == 0 {
            return Ok(None);
        }
        let subject = format!("{}: block {}", self.subject, self.blocks);
        let header = read_npy_header(&mut first.chain(&mut self.source), &subject)?;
        self.blocks += 1;
        if header.size.values == 0 {
            return Ok(Some(Block::Streamed { left: 0 }));
        }
        let found = self.axes.find(&header.shape, &subject)?;
        self.notes.extend(found.note.iter().map(|note| format!("{subject}: {note}")));
        // A square block has the order that the others have.
        self.axes.usual = Some(found.layout);
        let frames_in_a_row = (found.layout == Layout::FramesFirst) != header.fortran_order;
        if frames_in_a_row {
            self.frames.encoding = header.encoding;
            return Ok(Some(Block::Streamed { left: found.frames }));
        }
        self.read_whole(&header, &found, &subject).map(Some)
    }

    fn read_whole(&mut self, header: &NpyHeader, found: &FoundAxes, subject: &str) -> Result<Block> {
        if header.size.bytes > LARGEST_BLOCK {
            let fault = Fault::new(subject, format!("holds {} bytes bands first", header.size.bytes));
            let expected = format!("at most {LARGEST_BLOCK}");
            return Err(Error::Mel(fault.expected(expected).remedy("write smaller blocks, or frames first")));
        }
        let values = header.encoding.read(&mut self.source, header.size.values);
        let values = values.map_err(Error::io("cannot read", &self.subject))?;
        if values.len() < header.size.values {
            let fault = Fault::new(subject, format!("ends after {} of {} values", values.len(), header.size.values));
            return Err(Error::Mel(fault.remedy("its writer stopped in the middle")));
        }
        let mel = MelSpectrogram::from_band_major(&values, found.n_mels);
        check_finite(mel.values(), self.n_mels, self.frames.done, &self.subject)?;
        Ok(Block::Whole { mel, next: 0 })
    }
}

impl<R: Read> FrameReader for NpyBlocks<R> {
    fn n_mels(&self) -> usize {
        self.n_mels
    }

    fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    fn read_frames(&mut self, most: usize) -> Result<MelSpectrogram> {
        loop {
            match &mut self.state {
                Block::Streamed { left } if *left > 0 => {
                    let most = most.min(*left);
                    let Some(mel) = self.frames.read(&mut self.source, self.n_mels, most, &self.subject)? else {
                        let block = format!("{}: block {}", self.subject, self.blocks - 1);
                        let fault = Fault::new(block, format!("ends with {left} frames missing"));
                        return Err(Error::Mel(fault.remedy("its writer stopped in the middle")));
                    };
                    *left -= mel.frames();
                    return Ok(mel);
                }
                Block::Whole { mel, next } if *next < mel.frames() => {
                    let end = mel.frames().min(next.saturating_add(most.clamp(1, MOST_FRAMES)));
                    let frames = mel.slice(*next..end);
                    self.frames.done += (end - *next) as u64;
                    *next = end;
                    return Ok(frames);
                }
                _ => match self.begin()? {
                    Some(block) => self.state = block,
                    None => {
                        self.state = Block::None;
                        return Ok(MelSpectrogram::new(Vec::new(), self.n_mels));
                    }
                },
            }
        }
    }
}

/// Frames that lie one after the other in a source.
struct Contiguous {
    encoding: Encoding,
    /// Bytes that have arrived of the next frame.
    pending: Vec<u8>,
    /// Frames given since the start of the source.
    done: u64,
}

impl Contiguous {
    fn new(encoding: Encoding) -> Self {
        Self { encoding, pending: Vec::new(), done: 0 }
    }

    /// At least one frame, and as many more of up to `most` as come with it; `None` where the source ends before it.
    fn read(
        &mut self,
        source: &mut impl Read,
        n_mels: usize,
        most: usize,
        subject: &str,
    ) -> Result<Option<MelSpectrogram>> {
        let size = n_mels * self.encoding.size();
        let room = most.clamp(1, MOST_FRAMES) * size;
        let mut bytes = std::mem::take(&mut self.pending);
        let mut filled = bytes.len();
        bytes.resize(room.max(filled), 0);
        while filled < size {
            match source.read(&mut bytes[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => {
                    let found = format!("ends within frame {}, after {filled} of its {size} bytes", self.done);
                    return Err(Error::Mel(Fault::new(subject, found).remedy("its writer stopped in the middle")));
                }
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::io("cannot read", subject)(source)),
            }
        }
        let mut frames = filled.min(room) / size;
        let mut values = Vec::with_capacity(frames * n_mels);
        self.encoding.decode(&bytes[..frames * size], &mut values);
        if let Some(bad) = values.iter().position(|v| !v.is_finite()) {
            // The good frames before it are given first.
            frames = bad / n_mels;
            if frames == 0 {
                check_finite(&values, n_mels, self.done, subject)?;
            }
            values.truncate(frames * n_mels);
        }
        self.done += frames as u64;
        self.pending = bytes[frames * size..filled].to_vec();
        Ok(Some(MelSpectrogram::new(values, n_mels)))
    }
}

/// `values` are frames from number `first` on.
fn check_finite(values: &[f32], n_mels: usize, first: u64, subject: &str) -> Result<()> {
    match values.iter().position(|v| !v.is_finite()) {
        Some(i) => Err(not_finite(subject, (first as usize + i / n_mels, i % n_mels), values[i], 1)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::VecDeque, sync::mpsc};

    /// Gives its pieces one a call, as a pipe does.
    struct Pieces(VecDeque<Vec<u8>>);

    impl Pieces {
        fn new(bytes: &[u8], sizes: impl IntoIterator<Item = usize>) -> Self {
            let (mut pieces, mut rest) = (VecDeque::new(), bytes);
            for size in sizes {
                let (piece, more) = rest.split_at(size.min(rest.len()));
                pieces.push_back(piece.to_vec());
                rest = more;
            }
            pieces.push_back(rest.to_vec());
            pieces.retain(|piece| !piece.is_empty());
            Self(pieces)
        }
    }

    impl Read for Pieces {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let Some(mut piece) = self.0.pop_front() else { return Ok(0) };
            let n = piece.len().min(out.len());
            out[..n].copy_from_slice(&piece[..n]);
            let rest = piece.split_off(n);
            if !rest.is_empty() {
                self.0.push_front(rest);
            }
            Ok(n)
        }
    }

    fn frames(t: usize, n_mels: usize) -> Vec<f32> {
        (0..t * n_mels).map(|i| i as f32 / 8.0 - 9.0).collect()
    }

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    fn npy(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
        let fortran = if fortran { "True" } else { "False" };
        let text = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        let mut out = b"\x93NUMPY\x01\x00".to_vec();
        out.extend((text.len() as u16).to_le_bytes());
        out.extend(text.bytes());
        out.extend(data);
        out
    }

    fn all(reader: &mut impl FrameReader, most: usize) -> Result<Vec<f32>> {
        let mut values = Vec::new();
        loop {
            let more = reader.read_frames(most)?;
            if more.frames() == 0 {
                return Ok(values);
            }
            assert!(more.frames() <= most);
            values.extend(more.into_values());
        }
    }

    #[test]
    fn any_division_into_pieces_gives_the_same_frames() {
        let want = frames(23, 5);
        let data = bytes(&want);
        for size in [1, 3, 19, 20, 21, 64, 1000] {
            for most in [1, 4, 100] {
                let source = Pieces::new(&data, std::iter::repeat_n(size, data.len() / size));
                let got = all(&mut F32leFrames::new(source, 5, "standard input"), most).unwrap();
                assert_eq!(got, want, "pieces of {size}, at most {most} frames");
            }
        }
    }

    #[test]
    fn what_has_arrived_is_given_at_once() {
        // The writer sends its second frame only when the first has been read: waiting for more would hang.
        struct Asked(mpsc::Receiver<Vec<u8>>);
        impl Read for Asked {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                let Ok(piece) = self.0.try_recv() else { panic!("asked for more than had arrived") };
                out[..piece.len()].copy_from_slice(&piece);
                Ok(piece.len())
            }
        }
        let (writer, pipe) = mpsc::channel();
        let mut reader = F32leFrames::new(Asked(pipe), 5, "standard input");
        let want = frames(3, 5);
        writer.send(bytes(&want[..5])).unwrap();
        assert_eq!(reader.read_frames(100).unwrap().values(), &want[..5]);
        writer.send(bytes(&want[5..])).unwrap();
        assert_eq!(reader.read_frames(100).unwrap().values(), &want[5..]);
    }

    #[test]
    fn a_source_that_closes_within_a_frame_is_an_error_with_its_number() {
        let data = bytes(&frames(4, 5));
        let mut reader = F32leFrames::new(&data[..67], 5, "standard input");
        assert_eq!(reader.read_frames(100).unwrap().frames(), 3);
        let message = reader.read_frames(100).unwrap_err().to_string();
        assert!(message.starts_with("standard input: ends within frame 3, after 7 of its 20 bytes"), "{message}");
    }

    #[test]
    fn a_value_that_is_no_number_is_an_error_with_its_frame() {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut values = frames(8, 5);
            values[6 * 5 + 2] = bad;
            let data = bytes(&values);
            for (most, calls) in [(100, 1), (4, 2), (6, 1)] {
                let mut reader = F32leFrames::new(&data[..], 5, "standard input");
                let given: usize = (0..calls).map(|_| reader.read_frames(most).unwrap().frames()).sum();
                assert_eq!(given, 6);
                let message = reader.read_frames(most).unwrap_err().to_string();
                assert!(message.contains("band 2 in frame 6"), "{message}");
            }
        }
    }

    #[test]
    fn read_exactly_waits_for_all_frames() {
        let want = frames(23, 5);
        let data = bytes(&want);
        let mut reader = F32leFrames::new(Pieces::new(&data, std::iter::repeat_n(7, 60)), 5, "standard input");
        assert_eq!(reader.read_exactly(20).unwrap().values(), &want[..100]);
        assert_eq!(reader.read_exactly(20).unwrap().values(), &want[100..]);
        assert_eq!(reader.read_exactly(20).unwrap().frames(), 0);
    }

    #[test]
    fn blocks_of_every_order_and_type_make_one_stream() {
        let want = frames(12, 5);
        let turned = |values: &[f32]| MelSpectrogram::new(values.to_vec(), 5).band_major();
        let mut data = npy("<f4", false, "(3, 5)", &bytes(&want[..15]));
        data.extend(npy("<f4", false, "(5, 2)", &bytes(&turned(&want[15..25]))));
        data.extend(npy("<f4", true, "(1, 5, 2)", &bytes(&want[25..35])));
        data.extend(npy("<f4", false, "(0, 5)", &[]));
        let doubles: Vec<u8> = want[35..50].iter().flat_map(|v| f64::from(*v).to_be_bytes()).collect();
        data.extend(npy(">f8", false, "(3, 5)", &doubles));
        data.extend(npy("<f4", true, "(2, 5)", &bytes(&turned(&want[50..]))));
        for size in [1, 13, 4096] {
            for most in [1, 2, 100] {
                let source = Pieces::new(&data, std::iter::repeat_n(size, data.len() / size));
                let got = all(&mut NpyBlocks::new(source, 5, None, "standard input"), most).unwrap();
                assert_eq!(got, want, "pieces of {size}, at most {most} frames");
            }
        }
    }

    #[test]
    fn a_square_block_follows_those_before_it() {
        let want = frames(8, 5);
        let mut data = npy("<f4", false, "(3, 5)", &bytes(&want[..15]));
        data.extend(npy("<f4", false, "(5, 5)", &bytes(&want[15..])));
        let mut reader = NpyBlocks::new(&data[..], 5, None, "standard input");
        assert_eq!(all(&mut reader, 100).unwrap(), want);
        assert_eq!(reader.take_notes(), Vec::<String>::new());

        let alone = npy("<f4", false, "(5, 5)", &bytes(&want[15..]));
        let mut reader = NpyBlocks::new(&alone[..], 5, None, "standard input");
        assert_ne!(all(&mut reader, 100).unwrap(), &want[15..]); // bands first
        assert_eq!(reader.take_notes().len(), 1);
        let mut forced = NpyBlocks::new(&alone[..], 5, Some(Layout::FramesFirst), "standard input");
        assert_eq!(all(&mut forced, 100).unwrap(), &want[15..]);
    }

    #[test]
    fn broken_blocks_are_named() {
        let message =
            |data: &[u8]| all(&mut NpyBlocks::new(data, 5, None, "standard input"), 100).unwrap_err().to_string();
        let whole = npy("<f4", false, "(3, 5)", &bytes(&frames(3, 5)));
        let mut second = whole.clone();
        second.extend(b"RIFF");
        assert!(message(&second).starts_with("standard input: block 1: does not begin with"), "{}", message(&second));
        second.truncate(whole.len());
        second.extend(&whole[..40]);
        assert!(message(&second).starts_with("standard input: block 1: ends within its .npy header"));
        assert!(message(&whole[..whole.len() - 3]).contains("ends within frame 2, after 17 of its 20 bytes"));
        assert!(message(&whole[..whole.len() - 20]).contains("block 0: ends with 1 frames missing"));
        let turned = npy("<f4", false, "(5, 3)", &bytes(&frames(3, 5))[..44]);
        assert!(message(&turned).contains("block 0: ends after 11 of 15 values"));
        let huge = npy("<f4", false, "(5, 99999999)", &[]);
        assert!(message(&huge).contains("write smaller blocks"), "{}", message(&huge));
        assert!(message(&npy("<f4", false, "(4, 3)", &[])).contains("no axis of 5 bands"));
    }
}
