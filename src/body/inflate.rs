//! Undoing a content coding as the bytes come, into whatever bounds them.

use std::io::{self, Write};

use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer, WriteBuf};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    Zstd,
    Brotli,
}

/// A coding that is not one of these, or several on top of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unknown;

impl Coding {
    /// One coding of a `content-encoding` header. `Ok(None)`: nothing to undo.
    pub fn named(value: &[u8]) -> Result<Option<Coding>, Unknown> {
        let name = std::str::from_utf8(value).map_err(|_| Unknown)?.trim();
        if name.is_empty() || name.eq_ignore_ascii_case("identity") {
            Ok(None)
        } else if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            Ok(Some(Coding::Gzip))
        } else if name.eq_ignore_ascii_case("zstd") {
            Ok(Some(Coding::Zstd))
        } else if name.eq_ignore_ascii_case("br") {
            Ok(Some(Coding::Brotli))
        } else {
            Err(Unknown)
        }
    }

    /// What its decoder may hold at most, whatever it is fed, besides what it writes.
    pub fn window(self) -> usize {
        match self {
            // Window, tables and output buffer, and the three texts that a header may carry, each
            // up to 64 KiB.
            Coding::Gzip => 384 << 10,
            // The window with room for three blocks, and tables.
            Coding::Zstd => (1 << ZSTD_WINDOW_LOG) + (1 << 20),
            // The window, and at most three times 256 tables of 4 KiB.
            Coding::Brotli => (1 << BROTLI_WINDOW_LOG) + (4 << 20),
        }
    }
}

/// Writes what it is fed, inflated, into `W`. An error of `W` stops it.
pub enum Inflater<W: Write> {
    Gzip(flate2::write::MultiGzDecoder<W>),
    Zstd(Box<zstd::stream::zio::Writer<W, ZstdFrames>>),
    Brotli {
        decoder: Box<brotli::DecompressorWriter<W>>,
        begun: bool,
    },
}

/// The window the brotli decoder reads through.
const BROTLI_BUFFER: usize = 4096;
/// 16 MiB: the largest that the standard knows.
const BROTLI_WINDOW_LOG: u32 = 24;
/// 8 MiB: what every decoder must support. A frame that asks for more could ask for gigabytes.
const ZSTD_WINDOW_LOG: u32 = 23;

impl<W: Write> Inflater<W> {
    pub fn new(coding: Coding, into: W) -> io::Result<Inflater<W>> {
        Ok(match coding {
            Coding::Gzip => Inflater::Gzip(flate2::write::MultiGzDecoder::new(into)),
            Coding::Zstd => {
                let mut decoder = Decoder::new()?;
                decoder
                    .set_parameter(zstd::zstd_safe::DParameter::WindowLogMax(ZSTD_WINDOW_LOG))?;
                let frames = ZstdFrames {
                    decoder,
                    begins: true,
                };
                Inflater::Zstd(Box::new(zstd::stream::zio::Writer::new(into, frames)))
            }
            Coding::Brotli => Inflater::Brotli {
                decoder: Box::new(brotli::DecompressorWriter::new(into, BROTLI_BUFFER)),
                begun: false,
            },
        })
    }

    pub fn feed(&mut self, chunk: &[u8]) -> io::Result<()> {
        match self {
            Inflater::Gzip(decoder) => decoder.write_all(chunk).and_then(|()| decoder.flush()),
            Inflater::Zstd(decoder) => decoder.write_all(chunk).and_then(|()| decoder.flush()),
            Inflater::Brotli { decoder, begun } => {
                if let (false, Some(first)) = (*begun, chunk.first()) {
                    *begun = true;
                    // The mark of windows up to a gigabyte, which only this decoder knows.
                    if first & 0x7f == 0x11 {
                        return Err(io::Error::from(io::ErrorKind::InvalidData));
                    }
                }
                decoder.write_all(chunk).and_then(|()| decoder.flush())
            }
        }
    }

    /// What has been inflated so far.
    pub fn inner(&mut self) -> &mut W {
        match self {
            Inflater::Gzip(decoder) => decoder.get_mut(),
            Inflater::Zstd(decoder) => decoder.writer_mut(),
            Inflater::Brotli { decoder, .. } => decoder.get_mut(),
        }
    }

    /// The end of the input: an error when the coding had not ended.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Inflater::Gzip(decoder) => decoder.finish(),
            Inflater::Zstd(mut decoder) => {
                decoder.finish()?;
                let (into, _) = decoder.into_inner();
                Ok(into)
            }
            Inflater::Brotli { mut decoder, .. } => {
                decoder.close()?;
                decoder
                    .into_inner()
                    .map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))
            }
        }
    }
}

/// The frames of the standard alone. The library also reads those of its own first years, with
/// windows that no setting bounds.
pub struct ZstdFrames {
    decoder: Decoder<'static>,
    /// Whether the next byte is the first of a frame.
    begins: bool,
}

impl Operation for ZstdFrames {
    fn run<C: WriteBuf + ?Sized>(
        &mut self,
        input: &mut InBuffer<'_>,
        output: &mut OutBuffer<'_, C>,
    ) -> io::Result<usize> {
        if let (true, Some(first)) = (self.begins, input.src.get(input.pos())) {
            // A frame, or one to be skipped.
            if !matches!(first, 0x28 | 0x50..=0x5f) {
                return Err(io::Error::from(io::ErrorKind::InvalidData));
            }
            self.begins = false;
        }
        let wanted = self.decoder.run(input, output)?;
        self.begins |= wanted == 0;
        Ok(wanted)
    }

    fn flush<C: WriteBuf + ?Sized>(&mut self, output: &mut OutBuffer<'_, C>) -> io::Result<usize> {
        // No frame ends here: the last byte of its input is taken with the last of its output.
        self.decoder.flush(output)
    }

    fn reinit(&mut self) -> io::Result<()> {
        self.decoder.reinit()
    }

    fn finish<C: WriteBuf + ?Sized>(
        &mut self,
        output: &mut OutBuffer<'_, C>,
        finished_frame: bool,
    ) -> io::Result<usize> {
        self.decoder.finish(output, finished_frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codings() -> [(Coding, Vec<u8>); 3] {
        let text = b"the same words again and again and again".repeat(1000);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&text).unwrap();
        let mut brotli = Vec::new();
        brotli::BrotliCompress(&mut &text[..], &mut brotli, &Default::default()).unwrap();
        [
            (Coding::Gzip, gzip.finish().unwrap()),
            (Coding::Zstd, zstd::encode_all(&text[..], 3).unwrap()),
            (Coding::Brotli, brotli),
        ]
    }

    #[test]
    fn every_coding_is_undone_however_it_is_cut() {
        for (coding, packed) in codings() {
            for step in [1, 7, packed.len()] {
                let mut inflater = Inflater::new(coding, Vec::new()).unwrap();
                for piece in packed.chunks(step) {
                    inflater.feed(piece).unwrap();
                }
                let text = inflater.finish().unwrap();
                assert_eq!(text.len(), 40_000, "{coding:?} by {step}");
            }
        }
    }

    #[test]
    fn half_a_body_is_an_error() {
        for (coding, packed) in codings() {
            let mut inflater = Inflater::new(coding, Vec::new()).unwrap();
            let fed = inflater.feed(&packed[..packed.len() / 2]);
            assert!(
                fed.is_err() || inflater.finish().is_err(),
                "{coding:?} was not missed"
            );
        }
    }

    fn inflated(coding: Coding, packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut inflater = Inflater::new(coding, Vec::new())?;
        inflater.feed(packed)?;
        inflater.finish()
    }

    /// A frame of this window; its content is not known to be smaller.
    fn zstd(text: &[u8], window_log: u32) -> Vec<u8> {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(window_log).unwrap();
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn brotli(text: &[u8], lgwin: i32) -> Vec<u8> {
        let params = brotli::enc::BrotliEncoderParams {
            quality: 1,
            lgwin,
            large_window: lgwin > 24,
            ..Default::default()
        };
        let mut packed = Vec::new();
        brotli::BrotliCompress(&mut &text[..], &mut packed, &params).unwrap();
        packed
    }

    #[test]
    fn no_window_is_larger_than_allowed() {
        let text = vec![b'x'; 1 << 20];
        for (coding, allowed, refused) in [
            (Coding::Zstd, zstd(&text, 23), zstd(&text, 24)),
            (Coding::Brotli, brotli(&text, 24), brotli(&text, 26)),
        ] {
            assert_eq!(inflated(coding, &allowed).unwrap(), text, "{coding:?}");
            assert!(inflated(coding, &refused).is_err(), "{coding:?}");
        }
    }

    #[test]
    fn zstd_holds_no_more_than_it_says() {
        let packed = zstd(&vec![b'x'; 9 << 20], ZSTD_WINDOW_LOG);
        let mut context = zstd::zstd_safe::DCtx::create();
        let mut input = InBuffer::around(&packed);
        let mut space = [0; 4096];
        let first = context.decompress_stream(&mut OutBuffer::around(&mut space[..]), &mut input);
        assert_ne!(first, Ok(0));
        let held = context.sizeof();
        assert!(
            held > 1 << ZSTD_WINDOW_LOG && held <= Coding::Zstd.window(),
            "{held}"
        );
    }

    #[test]
    fn frames_of_zstd_may_follow_each_other_but_not_those_of_its_first_years() {
        let frame = zstd(b"text", 20);
        let skipped = b"\x5a\x2a\x4d\x18\x01\0\0\0x";
        let packed = [skipped, frame.as_slice(), skipped, &frame].concat();
        let text = b"texttext";
        for step in 1..packed.len() {
            let mut inflater = Inflater::new(Coding::Zstd, Vec::new()).unwrap();
            packed
                .chunks(step)
                .for_each(|piece| inflater.feed(piece).unwrap());
            assert_eq!(inflater.finish().unwrap(), text, "by {step}");
        }
        // Version 0.7: an empty frame with a window of 128 MiB.
        let old = b"\x27\xb5\x2f\xfd\x00\x88\xc0\0\0";
        assert!(inflated(Coding::Zstd, old).is_err());
        assert!(inflated(Coding::Zstd, &[packed.as_slice(), old].concat()).is_err());
        // More than is put out at once: the frame ends after its last byte has been read.
        let mut inflater = Inflater::new(Coding::Zstd, Vec::new()).unwrap();
        inflater.feed(&zstd(&[b'x'; 40_000], 20)).unwrap();
        assert!(inflater.feed(old).is_err());
    }

    #[test]
    fn names() {
        assert_eq!(Coding::named(b" GZip "), Ok(Some(Coding::Gzip)));
        assert_eq!(Coding::named(b"identity"), Ok(None));
        assert_eq!(Coding::named(b"compress"), Err(Unknown));
        assert_eq!(Coding::named(b"gzip, br"), Err(Unknown));
    }
}
