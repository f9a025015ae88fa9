//! A document that people print: one file that needs nothing else, no script, no address.
//!
//! It is made of sheets. Each begins on a new page and repeats its head on every page, so that nobody takes a page for
//! one of another ceremony. A sheet is made of table rows: `<tr>` stays together on one page, `<tr class="long">` may
//! continue on the next page.

use super::html::Html;
use super::template::{facts, fill};

const TEMPLATE: &str = include_str!("document.html");
const STYLE: &str = include_str!("document.css");

facts! {
    DocumentFacts {
        /// `PRODUCTION`, `PRACTICE` or `REHEARSAL`, on every page.
        mode: Html,
        title: Html,
        style: Html,
        sheets: Vec<SheetFacts>,
    }
    SheetFacts { part: Html, rows: Html, }
}

/// A document under construction.
pub(crate) struct Document(DocumentFacts);

impl Document {
    /// An empty one.
    pub(crate) fn new(title: &str, mode: &'static str) -> Self {
        Self(DocumentFacts {
            mode: mode.into(),
            title: title.into(),
            style: Html::fixed(STYLE),
            sheets: Vec::new(),
        })
    }

    /// Adds a sheet; `part` is at the top of each of its pages.
    pub(crate) fn add(&mut self, part: impl Into<Html>, rows: Html) {
        let part = part.into();
        self.0.sheets.push(SheetFacts { part, rows });
    }

    /// The whole file.
    pub(crate) fn finish(self) -> String {
        fill(TEMPLATE, &[&self.0]).into()
    }
}

/// How every document begins, up to its mode.
pub(crate) fn beginning() -> &'static str {
    TEMPLATE.split("{{").next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paper::template::{Field as _, tests::*};

    #[test]
    fn the_frame_fits_its_facts() {
        let used = fits(TEMPLATE, &[&DocumentFacts::example()]);
        let declared = [DocumentFacts::NAMES, SheetFacts::NAMES];
        nothing_is_left_out("src/paper", &[TEMPLATE], &used, &declared);
    }

    #[test]
    fn a_document_is_whole_and_names_its_mode_on_every_sheet() {
        let mut document = Document::new("<Title>", "PRACTICE");
        document.add("one", "x".into());
        document.add("two", "y".into());
        let html = document.finish();
        assert!(html.starts_with("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset"));
        assert!(html.starts_with(&format!("{}PRACTICE", beginning())));
        assert_eq!(html.matches("<b>PRACTICE</b>").count(), 2);
        assert!(!html.contains("<Title>") && html.contains("&lt;Title&gt;"));
        for never in ["http://", "https://", "<script", "url(", "@import", "{{"] {
            assert!(!html.contains(never), "{never}");
        }
    }
}
