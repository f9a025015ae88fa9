//! HTML printed to PDF by a real browser, and read back page by page with the place of every word.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{skip, stderr};

/// What it is printed on.
#[derive(Clone, Copy, Debug)]
pub enum Paper {
    A4,
    Letter,
}

impl Paper {
    pub fn name(self) -> &'static str {
        match self {
            Self::A4 => "A4",
            Self::Letter => "letter",
        }
    }

    /// Width and height in points.
    fn size(self) -> (f64, f64) {
        match self {
            Self::A4 => (595.0, 842.0),
            Self::Letter => (612.0, 792.0),
        }
    }
}

/// A printed document.
pub struct Printed {
    pub paper: Paper,
    pub pages: Vec<Page>,
}

/// One page: its size, and its words with their boxes, in points from the top left.
pub struct Page {
    width: f64,
    height: f64,
    words: Vec<Word>,
}

struct Word {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
    text: String,
}

impl Printed {
    pub fn text(&self) -> String {
        self.pages.iter().map(|page| page.text() + "\n").collect()
    }
}

impl Page {
    /// All words in the order of the file, with single spaces.
    pub fn text(&self) -> String {
        let words: Vec<&str> = self.words.iter().map(|word| word.text.as_str()).collect();
        words.join(" ")
    }

    /// Every word lies within the margins that printers need, 5 mm.
    #[track_caller]
    pub fn nothing_outside(&self, place: &str) {
        const MARGIN: f64 = 14.0;
        for word in &self.words {
            let inside = word.left >= MARGIN
                && word.top >= MARGIN
                && word.right <= self.width - MARGIN
                && word.bottom <= self.height - MARGIN;
            assert!(inside, "{place}: {:?} is outside", word.text);
        }
    }

    /// No two words share their middles.
    #[track_caller]
    pub fn nothing_overlaps(&self, place: &str) {
        for (at, a) in self.words.iter().enumerate() {
            for b in &self.words[at + 1..] {
                assert!(
                    !a.covers(b),
                    "{place}: {:?} and {:?} overlap",
                    a.text,
                    b.text
                );
            }
        }
    }
}

impl Word {
    /// Whether two boxes meet in their middles: fonts have much air above and below their letters.
    fn covers(&self, other: &Self) -> bool {
        let wide = self.right.min(other.right) - self.left.max(other.left);
        let apart = ((self.top + self.bottom) - (other.top + other.bottom)).abs() / 2.0;
        let high = (self.bottom - self.top) + (other.bottom - other.top);
        wide > 1.0 && apart < high * 0.2
    }
}

/// Prints a copy of the file that asks for this paper; `None` after saying what is not here.
pub fn print(html: &Path, paper: Paper) -> Option<Printed> {
    for program in ["chromium", "pdftotext"] {
        let found = Command::new(program).arg("-v").arg("--version").output();
        if found.is_err() {
            skip(&format!("there is no {program}"));
            return None;
        }
    }
    let text = fs::read_to_string(html).unwrap();
    let size = format!("@page {{ size: {} }}\n</style>", paper.name());
    fs::write(html, text.replacen("</style>", &size, 1)).unwrap();
    let pdf = html.with_extension("pdf");
    to_pdf(html, &pdf);
    let boxes = Command::new("pdftotext")
        .arg("-bbox")
        .arg(&pdf)
        .arg("-")
        .output()
        .unwrap();
    let pages = pages(&String::from_utf8(boxes.stdout).unwrap());
    for page in &pages {
        let (width, height) = paper.size();
        let fits = (page.width - width).abs() < 1.5 && (page.height - height).abs() < 1.5;
        assert!(fits, "{} x {} is not {paper:?}", page.width, page.height);
    }
    Some(Printed { paper, pages })
}

fn to_pdf(html: &Path, pdf: &Path) {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new("timeout")
        .args([
            "120",
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg("--no-pdf-header-footer")
        .arg(format!("--print-to-pdf={}", pdf.display()))
        .arg(format!("file://{}", html.canonicalize().unwrap().display()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success() && pdf.exists(),
        "{}",
        stderr(&output)
    );
}

/// What a reader of QR codes that is not byok's (PyPI's zxing-cpp) finds on the pages of a PDF, printed with 300 dots an
/// inch in black, white and grey; `None` after saying what is not here.
pub fn qr_codes(pdf: &Path) -> Option<Vec<String>> {
    const READ: &str = "import sys, zxingcpp\n\
        for name in sys.argv[1:]:\n\
        \x20   data = open(name, 'rb').read()\n\
        \x20   width, height = (int(n) for n in data.split(maxsplit=4)[1:3])\n\
        \x20   pixels = memoryview(data[-width * height:]).cast('B', (height, width))\n\
        \x20   for code in zxingcpp.read_barcodes(pixels):\n\
        \x20       print(code.format, code.text)\n";
    let Some(venv) = std::env::var_os("BYOK_TEST_VENV").filter(|venv| !venv.is_empty()) else {
        skip("no BYOK_TEST_VENV");
        return None;
    };
    let dir = tempfile::tempdir().unwrap();
    let drawn = Command::new("pdftoppm")
        .args(["-r", "300", "-gray"])
        .arg(pdf)
        .arg(dir.path().join("page"))
        .status();
    assert!(drawn.unwrap().success());
    let mut drawn: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|page| page.unwrap().path())
        .collect();
    drawn.sort();
    let python = std::path::absolute(venv).unwrap().join("bin/python");
    let output = Command::new(python)
        .args(["-c", READ])
        .args(drawn)
        .output()
        .unwrap();
    if stderr(&output).contains("No module named 'zxingcpp'") {
        skip("BYOK_TEST_VENV has no zxing-cpp");
        return None;
    }
    assert!(output.status.success(), "{}", stderr(&output));
    let said = String::from_utf8(output.stdout).unwrap();
    Some(said.lines().map(str::to_owned).collect())
}

/// The pages of `pdftotext -bbox`: a line a word.
fn pages(boxes: &str) -> Vec<Page> {
    let mut pages: Vec<Page> = Vec::new();
    for line in boxes.lines().map(str::trim) {
        if line.starts_with("<page ") {
            pages.push(Page {
                width: number(line, "width"),
                height: number(line, "height"),
                words: Vec::new(),
            });
        } else if line.starts_with("<word ") {
            let text = line.split_once('>').unwrap().1.trim_end_matches("</word>");
            pages.last_mut().unwrap().words.push(Word {
                left: number(line, "xMin"),
                top: number(line, "yMin"),
                right: number(line, "xMax"),
                bottom: number(line, "yMax"),
                text: text.to_owned(),
            });
        }
    }
    assert!(!pages.is_empty(), "{boxes}");
    pages
}

fn number(line: &str, name: &str) -> f64 {
    let (_, rest) = line.split_once(&format!("{name}=\"")).unwrap();
    rest.split_once('"').unwrap().0.parse().unwrap()
}
