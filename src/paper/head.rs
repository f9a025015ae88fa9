//! A head digest on paper: in rows for people, and as a QR code, so that a phone reads what the paper says.

use qrcodegen::{QrCode, QrCodeEcc};

use crate::ground::words;
use crate::paper::html::Html;
use crate::paper::template::{facts, fill};

const DIGEST: &str = include_str!("head/digest.html");

/// White around the code, in its modules: readers need four.
const QUIET: i32 = 4;

facts! {
    DigestFacts { rows: Html, size: Html, path: Html, }
}

/// These rows of a head digest, with its QR code beside them if all its digits are known.
pub(super) fn digest(hex: &str, rows: Html) -> Html {
    let text = format!("byok head digest {hex}");
    let whole = words::digest_from_hex(hex);
    // Medium: an eighth of the code may be dirty
    let code = whole.and_then(|_| QrCode::encode_text(&text, QrCodeEcc::Medium).ok());
    let facts = DigestFacts {
        rows,
        size: code.as_ref().map_or_else(Html::default, |code| {
            (code.size() + 2 * QUIET).to_string().into()
        }),
        path: code.as_ref().map_or_else(Html::default, path),
    };
    fill(DIGEST, &[&facts])
}

/// Its black modules, a rectangle for each row of them without a gap: gaps between squares would print as white lines.
fn path(code: &QrCode) -> Html {
    let mut path = String::new();
    for y in 0..code.size() {
        let mut x = 0;
        while x < code.size() {
            let run = (x..code.size()).take_while(|x| code.get_module(*x, y));
            let wide = i32::try_from(run.count()).unwrap_or_default();
            if wide > 0 {
                path += &format!("M{} {}h{wide}v1h-{wide}z", x + QUIET, y + QUIET);
            }
            x += wide + 1;
        }
    }
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paper::template::{Field as _, tests::*};

    #[test]
    fn the_digest_fits_its_facts() {
        let used = fits(DIGEST, &[&DigestFacts::example()]);
        nothing_is_left_out("src/paper/head", &[DIGEST], &used, &[DigestFacts::NAMES]);
    }
}
