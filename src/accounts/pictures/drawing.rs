//! Drawing a picture anew: decoded, made small, turned upright and encoded.
//!
//! A picture says in its first bytes how large it is, and is refused before anything is decoded if that is
//! too much (IJ-06).

use std::io::Cursor;

use image_webp::{ColorType, WebPDecoder, WebPEncoder};
use zune_jpeg::{
    JpegDecoder,
    zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions},
};

/// The longest side of what is decoded.
const MAX_SIDE: usize = 4_096;
/// The most pixels: the dearest decoding takes nine bytes for each.
const MAX_PIXELS: usize = 5_000_000;
/// The longest side of what is kept: without loss, it is small all the same.
const SIDE: usize = 256;
/// How much of a decoder's own memory there may be.
const MAX_MEMORY: usize = 64 * 1_024 * 1_024;
/// A progressive picture comes in so many passes at the most.
const MAX_SCANS: usize = 32;

/// Why something does not become a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PictureFault {
    /// It is of another kind.
    #[error("is no PNG, JPEG or WebP picture")]
    Kind,
    /// It is too large.
    #[error("is larger than 4096 by 4096, or than five million, pixels")]
    Size,
    /// It moves.
    #[error("moves; choose one that stands still")]
    Animated,
    /// It cannot be read.
    #[error("is damaged")]
    Damaged,
}

/// Colours, three bytes for each pixel.
struct Raster {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

/// Draws a picture anew: a WebP of at most 256 by 256 pixels.
pub(super) fn draw(file: &[u8]) -> Result<Vec<u8>, PictureFault> {
    let raster = match file {
        [0x89, b'P', b'N', b'G', ..] => png(file)?,
        [0xff, 0xd8, 0xff, ..] => jpeg(file)?,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => webp(file)?,
        _ => return Err(PictureFault::Kind),
    };
    encode(&raster.shrunk())
}

/// How many pixels there are, if they are not too many.
fn pixels(width: usize, height: usize) -> Result<usize, PictureFault> {
    let fits = (1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height);
    let all = if fits { width * height } else { usize::MAX };
    if all <= MAX_PIXELS { Ok(all) } else { Err(PictureFault::Size) }
}

fn damaged(error: impl std::fmt::Display) -> PictureFault {
    tracing::debug!(%error, "a picture cannot be read");
    PictureFault::Damaged
}

fn png(file: &[u8]) -> Result<Raster, PictureFault> {
    let limits = png::Limits { bytes: MAX_MEMORY };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(file), limits);
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let info = decoder.read_header_info().map_err(damaged)?;
    let (width, height) = (info.width as usize, info.height as usize);
    let count = pixels(width, height)?;
    let mut reader = decoder.read_info().map_err(damaged)?;
    if reader.info().is_animated() {
        return Err(PictureFault::Animated);
    }
    let size = reader.output_buffer_size().filter(|size| *size <= count * 4);
    let mut bytes = vec![0; size.ok_or(PictureFault::Size)?];
    reader.next_frame(&mut bytes).map_err(damaged)?;
    let rgb = match reader.output_color_type().0 {
        png::ColorType::Grayscale => bytes.iter().flat_map(|grey| [*grey; 3]).collect(),
        png::ColorType::GrayscaleAlpha => on_white(&bytes, 2),
        png::ColorType::Rgb => bytes,
        png::ColorType::Rgba => on_white(&bytes, 4),
        png::ColorType::Indexed => return Err(PictureFault::Damaged),
    };
    Ok(Raster { width, height, rgb })
}

fn jpeg(file: &[u8]) -> Result<Raster, PictureFault> {
    let options = DecoderOptions::new_safe()
        .set_max_width(MAX_SIDE)
        .set_max_height(MAX_SIDE)
        .jpeg_set_max_scans(MAX_SCANS)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options);
    decoder.decode_headers().map_err(damaged)?;
    let (width, height) = decoder.dimensions().ok_or(PictureFault::Damaged)?;
    let count = pixels(width, height)?;
    let rgb = decoder.decode().map_err(damaged)?;
    if rgb.len() != count * 3 {
        return Err(PictureFault::Damaged);
    }
    let turn = decoder.exif().map_or(1, |exif| orientation(exif));
    Ok(Raster { width, height, rgb }.shrunk().turned(turn))
}

fn webp(file: &[u8]) -> Result<Raster, PictureFault> {
    let mut decoder = WebPDecoder::new(Cursor::new(file)).map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    let count = pixels(width, height)?;
    if decoder.is_animated() {
        return Err(PictureFault::Animated);
    }
    decoder.set_memory_limit(MAX_MEMORY);
    let size = decoder.output_buffer_size().filter(|size| *size <= count * 4);
    let mut bytes = vec![0; size.ok_or(PictureFault::Size)?];
    decoder.read_image(&mut bytes).map_err(damaged)?;
    let rgb = if decoder.has_alpha() { on_white(&bytes, 4) } else { bytes };
    Ok(Raster { width, height, rgb })
}

/// What is not quite there shows what is behind it: white. `each` bytes are one pixel, the last of them
/// how much of it is there.
fn on_white(bytes: &[u8], each: usize) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(bytes.len() / each * 3);
    for pixel in bytes.chunks_exact(each) {
        let Some((alpha, colours)) = pixel.split_last() else {
            continue;
        };
        let alpha = u32::from(*alpha);
        let mixed = |colour: u8| {
            let sum = u32::from(colour) * alpha + 255 * (255 - alpha);
            u8::try_from(sum / 255).unwrap_or(u8::MAX)
        };
        match colours {
            [red, green, blue] => rgb.extend([mixed(*red), mixed(*green), mixed(*blue)]),
            [grey] => rgb.extend([mixed(*grey); 3]),
            _ => {}
        }
    }
    rgb
}

impl Raster {
    fn pixel(&self, x: usize, y: usize) -> &[u8] {
        let at = (y * self.width + x) * 3;
        self.rgb.get(at..at + 3).unwrap_or(&[255; 3])
    }

    /// Made small enough to be kept: each pixel is the mean of those that it stands for.
    fn shrunk(self) -> Self {
        let longest = self.width.max(self.height);
        if longest <= SIDE {
            return self;
        }
        let scaled = |side: usize| (side * SIDE / longest).max(1);
        let (width, height) = (scaled(self.width), scaled(self.height));
        let mut rgb = Vec::with_capacity(width * height * 3);
        for y in 0..height {
            let rows = y * self.height / height..((y + 1) * self.height / height);
            for x in 0..width {
                let columns = x * self.width / width..((x + 1) * self.width / width);
                rgb.extend(self.mean(columns, &rows));
            }
        }
        Self { width, height, rgb }
    }

    fn mean(&self, columns: std::ops::Range<usize>, rows: &std::ops::Range<usize>) -> [u8; 3] {
        let mut sums = [0_u64; 3];
        let mut count = 0;
        for y in rows.clone() {
            for x in columns.clone() {
                for (sum, colour) in sums.iter_mut().zip(self.pixel(x, y)) {
                    *sum += u64::from(*colour);
                }
                count += 1;
            }
        }
        sums.map(|sum| u8::try_from(sum / count.max(1)).unwrap_or(u8::MAX))
    }

    /// Turned as the camera says it was held (Exif, tag 0x0112).
    fn turned(self, orientation: u16) -> Self {
        let (width, height) = (self.width, self.height);
        let sideways = (5..=8).contains(&orientation);
        let (across, down) = if sideways { (height, width) } else { (width, height) };
        let mut rgb = Vec::with_capacity(self.rgb.len());
        for y in 0..down {
            for x in 0..across {
                let (x, y) = match orientation {
                    2 => (width - 1 - x, y),
                    3 => (width - 1 - x, height - 1 - y),
                    4 => (x, height - 1 - y),
                    5 => (y, x),
                    6 => (y, height - 1 - x),
                    7 => (width - 1 - y, height - 1 - x),
                    8 => (width - 1 - y, x),
                    _ => (x, y),
                };
                rgb.extend(self.pixel(x, y));
            }
        }
        Self { width: across, height: down, rgb }
    }
}

/// How the camera was held: from 1, upright, to 8.
fn orientation(exif: &[u8]) -> u16 {
    find_orientation(exif).filter(|found| (1..=8).contains(found)).unwrap_or(1)
}

fn find_orientation(exif: &[u8]) -> Option<u16> {
    let little = exif.starts_with(b"II");
    let short = |at: usize| {
        let bytes = exif.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let long = |at: usize| {
        let bytes = exif.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    let directory = usize::try_from(long(4)?).ok()?;
    let count = usize::from(short(directory)?);
    let entries = (0..count).map(|index| directory.saturating_add(2 + index * 12));
    let entry = entries.into_iter().find(|at| short(*at) == Some(0x0112))?;
    short(entry.checked_add(8)?)
}

fn encode(raster: &Raster) -> Result<Vec<u8>, PictureFault> {
    let side = |side: usize| u32::try_from(side).map_err(damaged);
    let (width, height) = (side(raster.width)?, side(raster.height)?);
    let mut file = Vec::new();
    let encoder = WebPEncoder::new(&mut file);
    encoder.encode(&raster.rgb, width, height, ColorType::Rgb8).map_err(damaged)?;
    Ok(file)
}
