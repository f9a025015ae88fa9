//! `byok receipt`.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::materials;
use super::verify::{known, unexplained};
use crate::evidence::filing::{self, Added};
use crate::evidence::receipts::{self, Entry, Listed, Proves, Receipts, Standing};
use crate::evidence::verify::{self, KmsKeyMaterials};
use crate::ground::error::Result;
use crate::ground::words::{self, quoted};

/// What `byok receipt --json` says.
#[derive(Serialize)]
struct Report<'a> {
    added: Vec<Line<'a>>,
    imports: Vec<Standing>,
    unexplained: Vec<Listed>,
    materials: Vec<KmsKeyMaterials>,
    /// SHA-256 of receipts.jsonl.
    head: Option<String>,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip)]
    spec: &'a str,
    #[serde(skip)]
    kms: &'a str,
    from: String,
    file: &'a str,
    already: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    unproved: Option<&'a str>,
    #[serde(flatten)]
    entry: &'a Entry,
}

/// Adds answers of the KMS to a record and says what they prove.
///
/// # Errors
/// As [`filing::append`].
pub(crate) fn receipt(
    record: &Path,
    files: &[PathBuf],
    previous: &[PathBuf],
    as_json: bool,
) -> Result<()> {
    let (added, verified, followed) = filing::append(record, files, previous)?;
    let receipts = &verified.receipts;
    let others = verify::others(record, &verified, &followed, previous);
    let known = known(receipts, &followed, &others);
    let report = Report {
        added: added.iter().map(|added| line(added, receipts)).collect(),
        imports: receipts.standings(),
        unexplained: receipts.unexplained(&known),
        materials: verify::materials(record, &verified, &followed, &others),
        head: receipts.head().map(|head| words::hex(&head)),
    };
    if as_json {
        return super::print_json(&report);
    }
    super::print_lines(&words::screen(&for_people(&report)))
}

fn line<'a>(added: &'a Added, receipts: &'a Receipts) -> Line<'a> {
    let entry = &added.receipt.entry;
    let mut imports = receipts.imports.iter();
    let import = imports.find(|import| {
        Some(&import.label) == entry.label.as_ref()
            && (entry.kms_key.is_none() || entry.is_of(&import.kms_key))
    });
    Line {
        spec: import.map_or("", |import| &import.spec),
        kms: import.map_or("", |import| &import.kms),
        from: added.from.display().to_string(),
        file: &added.receipt.file,
        already: added.already,
        unproved: entry.unproved.as_deref(),
        entry: &added.receipt.entry,
    }
}

fn for_people(report: &Report) -> String {
    let mut text = String::new();
    for line in &report.added {
        let already = if line.already {
            ", which the record had already"
        } else {
            ""
        };
        text += &format!(
            "{}  {}  {}{already}\n",
            line.file,
            quoted(&line.entry.answer),
            words::printable(&line.from)
        );
        let elsewhere = line.entry.endpoint.as_deref();
        let elsewhere = elsewhere
            .map(|url| receipts::said_elsewhere(&quoted(url), line.entry.kms_key.as_ref()));
        text += &format!(
            "          {}{}\n",
            meaning(line.entry, (line.spec, line.kms)),
            elsewhere.unwrap_or_default()
        );
        if let Some(why) = line.unproved {
            let why = words::quoted_whole(why);
            text += &format!("          the KMS showed no proof: {why}\n");
        }
    }
    for import in &report.imports {
        text += &format!(
            "import    {}/{}  {}\n",
            quoted(&import.label),
            quoted(&import.import),
            words::quoted_whole(&import.told())
        );
    }
    text + &unexplained(&report.unexplained) + &materials::for_people(&report.materials)
}

/// What one answer proves about a data key of this spec, in a sentence.
fn meaning(entry: &Entry, (spec, kms): (&str, &str)) -> String {
    match (entry.proves, entry.answer.as_str()) {
        (Proves::Proved, "GenerateMac") => {
            "proved in KMS: the KMS key computes the MAC that is this HMAC key's fingerprint".into()
        }
        (Proves::Proved, "GetPublicKey") => {
            "proved in KMS: the KMS key has the public key that the record holds".into()
        }
        (Proves::Proved, "import" | "engine key") => {
            "proved in KMS: the key there shows what only this data key can show".into()
        }
        (Proves::Proved, _) => {
            "proved in KMS: KMS accepted the same material a second time, as existing material"
                .into()
        }
        (Proves::Accepted, _) => match receipts::proof(spec, kms) {
            Some(proof) => {
                format!("accepted by KMS; only {proof} proves that it is the right material")
            }
            None => "accepted by KMS; nothing that it shows proves that it is the right material"
                .into(),
        },
        (Proves::Nothing, "ImportKeyMaterial") if entry.exit == Some(0) => {
            "aws succeeded, but the answer does not name the KMS key that took it: it proves nothing".into()
        }
        (Proves::Nothing, "ImportKeyMaterial") => format!(
            "the import failed: aws ended with exit code {}; it proves nothing",
            entry.exit.unwrap_or_default()
        ),
        (Proves::Nothing, "import") => format!(
            "the import failed: it ended with exit code {}; it proves nothing",
            entry.exit.unwrap_or_default()
        ),
        (Proves::Nothing, "DescribeKey") => format!(
            "KeyState {}; it proves nothing about the material",
            quoted(entry.key_state.as_deref().unwrap_or("unknown"))
        ),
        (Proves::Nothing, "ListKeyRotations") => {
            format!(
                "{} materials are listed; it proves nothing",
                entry.materials.len()
            )
        }
        (Proves::Nothing, "GenerateMac" | "GetPublicKey") => {
            format!("it proves nothing about a data key of {}", quoted(spec))
        }
        (Proves::Nothing, _) => "it proves nothing".into(),
    }
}
