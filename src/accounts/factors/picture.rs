//! A QR code as the path of an SVG: pages draw it without a script, and without an image from
//! anywhere.

use std::fmt::Write as _;

use qrcode::{Color, EcLevel, QrCode};

/// The light edge that readers need around the code (ISO/IEC 18004).
const EDGE: usize = 4;

/// A square picture.
#[derive(Clone)]
pub struct Picture {
    /// How many units it is wide and high.
    pub size: usize,
    /// The dark part, as the `d` of a path.
    pub path: String,
}

/// It shows a secret.
impl std::fmt::Debug for Picture {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Picture(..)")
    }
}

impl Picture {
    /// The picture of a text; nothing if it is too long for one.
    pub fn of(text: &str) -> Option<Self> {
        let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
        let width = code.width();
        let mut path = String::new();
        for (y, row) in code.to_colors().chunks(width).enumerate() {
            let mut x = 0;
            while let Some(rest) = row.get(x..).filter(|rest| !rest.is_empty()) {
                let dark = rest.iter().take_while(|color| **color == Color::Dark).count();
                if dark > 0 {
                    // Writing to a text cannot fail.
                    let _ = write!(path, "M{} {}h{dark}v1h-{dark}z", x + EDGE, y + EDGE);
                }
                x += dark.max(1);
            }
        }
        Some(Self { size: width + 2 * EDGE, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dark_field_is_in_the_path_and_no_other() {
        let text = "otpauth://totp/Keywright:bob?secret=MFRGGZDFMZTWQ2LK&issuer=Keywright";
        let picture = Picture::of(text).unwrap();
        let code = QrCode::with_error_correction_level(text, EcLevel::M).unwrap();
        assert_eq!(picture.size, code.width() + 8);
        let mut drawn = vec![Color::Light; code.width() * code.width()];
        for part in picture.path.split('z').filter(|part| !part.is_empty()) {
            let (place, run) = part.strip_prefix('M').unwrap().split_once('h').unwrap();
            let (x, y) = place.split_once(' ').unwrap();
            let (x, y): (usize, usize) = (x.parse().unwrap(), y.parse().unwrap());
            let run: usize = run.split_once('v').unwrap().0.parse().unwrap();
            for x in x..x + run {
                let at = (y - EDGE) * code.width() + x - EDGE;
                *drawn.get_mut(at).unwrap() = Color::Dark;
            }
        }
        assert_eq!(drawn, code.to_colors());
        assert!(Picture::of(&"x".repeat(5_000)).is_none());
    }
}
