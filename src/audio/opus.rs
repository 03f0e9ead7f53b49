//! Opus for symphonia, which takes its packets out of Ogg and other containers and decodes them not itself.

use std::sync::LazyLock;

use opus_decoder::OpusDecoder;
use symphonia::core::{
    audio::{AsGenericAudioBufferRef as _, Audio as _, AudioBuffer, AudioMut as _, AudioSpec, GenericAudioBufferRef},
    codecs::{
        CodecInfo,
        audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions, FinalizeResult, well_known::CODEC_ID_OPUS},
        registry::{CodecRegistry, RegisterableAudioDecoder, SupportedAudioCodec},
    },
    errors::{Error, Result},
    packet::PacketRef,
};

/// Hz: Opus is decoded at this rate, whatever was recorded.
const RATE: u32 = 48_000;

/// All decoders that recordings are read with.
pub(super) static DECODERS: LazyLock<CodecRegistry> = LazyLock::new(|| {
    let mut registry = CodecRegistry::new();
    symphonia::default::register_enabled_codecs(&mut registry);
    registry.register_audio_decoder::<Opus>();
    registry
});

struct Opus {
    parameters: AudioCodecParameters,
    decoder: OpusDecoder,
    decoded: AudioBuffer<f32>,
    interleaved: Vec<f32>,
    /// Samples of each channel that the encoder needed to get going, still to be left out.
    pre_skip: usize,
    /// The gain that the header wants, a factor.
    gain: f32,
}

impl Opus {
    fn new(parameters: &AudioCodecParameters) -> Result<Self> {
        let channels = parameters.channels.clone().ok_or(Error::Unsupported("opus without channels"))?;
        // Families of more channels hold several streams.
        if !(1..=2).contains(&channels.count()) {
            return Err(Error::Unsupported("opus of more than two channels"));
        }
        let decoder = OpusDecoder::new(RATE, channels.count()).map_err(|_| Error::Unsupported("this kind of opus"))?;
        let longest = decoder.max_frame_size_per_channel();
        // "OpusHead", version, channels, pre-skip (2 bytes), rate (4), gain in 1/256 dB (2).
        let head = parameters.extra_data.as_deref().filter(|data| data.starts_with(b"OpusHead") && data.len() >= 18);
        let field = |at: usize| head.map_or([0; 2], |head| [head[at], head[at + 1]]);
        Ok(Self {
            interleaved: vec![0.0; longest * channels.count()],
            decoded: AudioBuffer::new(AudioSpec::new(RATE, channels), longest),
            parameters: parameters.clone(),
            decoder,
            pre_skip: usize::from(u16::from_le_bytes(field(10))),
            gain: 10f32.powf(f32::from(i16::from_le_bytes(field(16))) / 256.0 / 20.0),
        })
    }
}

impl AudioDecoder for Opus {
    fn reset(&mut self) {
        self.decoder.reset();
    }

    fn codec_info(&self) -> &CodecInfo {
        &Self::supported_codecs()[0].info
    }

    fn codec_params(&self) -> &AudioCodecParameters {
        &self.parameters
    }

    fn decode_ref(&mut self, packet: &PacketRef<'_>) -> Result<GenericAudioBufferRef<'_>> {
        self.decoded.clear();
        let count = self.decoder.decode_float(packet.data, &mut self.interleaved, false);
        let count = count.map_err(|_| Error::DecodeError("opus: invalid packet"))?;
        let samples = &mut self.interleaved[..count * self.decoded.spec().channels().count()];
        samples.iter_mut().for_each(|sample| *sample *= self.gain);
        self.decoded.render_uninit(Some(count));
        self.decoded.copy_from_slice_interleaved(&&*samples);
        let skipped = self.pre_skip.min(count);
        self.pre_skip -= skipped;
        let end = usize::try_from(packet.trim_end.get()).unwrap_or(usize::MAX).min(count - skipped);
        self.decoded.trim(skipped, end);
        Ok(self.decoded.as_generic_audio_buffer_ref())
    }

    fn finalize(&mut self) -> FinalizeResult {
        FinalizeResult::default()
    }

    fn last_decoded(&self) -> GenericAudioBufferRef<'_> {
        self.decoded.as_generic_audio_buffer_ref()
    }
}

impl RegisterableAudioDecoder for Opus {
    fn try_registry_new(parameters: &AudioCodecParameters, _: &AudioDecoderOptions) -> Result<Box<dyn AudioDecoder>> {
        Ok(Box::new(Self::new(parameters)?))
    }

    fn supported_codecs() -> &'static [SupportedAudioCodec] {
        const OPUS: SupportedAudioCodec = SupportedAudioCodec {
            id: CODEC_ID_OPUS,
            info: CodecInfo { short_name: "opus", long_name: "Opus", profiles: &[] },
        };
        &[OPUS]
    }
}
