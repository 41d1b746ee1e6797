//! Undoing a content coding as the bytes come, into whatever bounds them.

use std::io::{self, Write};

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
}

/// Writes what it is fed, inflated, into `W`. An error of `W` stops it.
pub enum Inflater<W: Write> {
    Gzip(flate2::write::MultiGzDecoder<W>),
    Zstd(Box<zstd::stream::zio::Writer<W, zstd::stream::raw::Decoder<'static>>>),
    Brotli(Box<brotli::DecompressorWriter<W>>),
}

/// The window the brotli decoder reads through.
const BROTLI_BUFFER: usize = 4096;
/// 8 MiB: what every decoder must support. A frame that asks for more could ask for gigabytes.
const ZSTD_WINDOW_LOG: u32 = 23;

impl<W: Write> Inflater<W> {
    pub fn new(coding: Coding, into: W) -> io::Result<Inflater<W>> {
        Ok(match coding {
            Coding::Gzip => Inflater::Gzip(flate2::write::MultiGzDecoder::new(into)),
            Coding::Zstd => {
                let mut decoder = zstd::stream::raw::Decoder::new()?;
                decoder
                    .set_parameter(zstd::zstd_safe::DParameter::WindowLogMax(ZSTD_WINDOW_LOG))?;
                Inflater::Zstd(Box::new(zstd::stream::zio::Writer::new(into, decoder)))
            }
            Coding::Brotli => Inflater::Brotli(Box::new(brotli::DecompressorWriter::new(
                into,
                BROTLI_BUFFER,
            ))),
        })
    }

    pub fn feed(&mut self, chunk: &[u8]) -> io::Result<()> {
        match self {
            Inflater::Gzip(decoder) => decoder.write_all(chunk).and_then(|()| decoder.flush()),
            Inflater::Zstd(decoder) => decoder.write_all(chunk).and_then(|()| decoder.flush()),
            Inflater::Brotli(decoder) => decoder.write_all(chunk).and_then(|()| decoder.flush()),
        }
    }

    /// What has been inflated so far.
    pub fn inner(&mut self) -> &mut W {
        match self {
            Inflater::Gzip(decoder) => decoder.get_mut(),
            Inflater::Zstd(decoder) => decoder.writer_mut(),
            Inflater::Brotli(decoder) => decoder.get_mut(),
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
            Inflater::Brotli(mut decoder) => {
                decoder.close()?;
                decoder
                    .into_inner()
                    .map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))
            }
        }
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

    #[test]
    fn names() {
        assert_eq!(Coding::named(b" GZip "), Ok(Some(Coding::Gzip)));
        assert_eq!(Coding::named(b"identity"), Ok(None));
        assert_eq!(Coding::named(b"compress"), Err(Unknown));
        assert_eq!(Coding::named(b"gzip, br"), Err(Unknown));
    }
}
