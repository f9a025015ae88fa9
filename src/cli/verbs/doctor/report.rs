//! What people send to those who keep docs/hsms.md: what an HSM can do, and nothing that says whose it is.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::ground::error::Result;
use crate::ground::facts::{ModuleDescription, TokenFacts};

/// The format, named in the file.
const FORMAT: &str = "byok-hsm-report-v1";

/// What is taken over from the answer for programs. All else stays here: the module's path, the token's label and serial
/// number, the environment, and the plan's own words.
const MEMBERS: [&str; 9] = [
    "software",
    "judged_by",
    "data_key_attributes",
    "token_object",
    "data_keys",
    "paths",
    "choices",
    "escrow",
    "signer",
];

/// Writes it into a new file.
///
/// # Errors
/// Exit 2 if there is such a file already, exit 5 if it cannot be written.
pub(super) fn write(
    file: &Path,
    answer: &Value,
    module: &ModuleDescription,
    token: &TokenFacts,
) -> Result<()> {
    let mut report = Map::new();
    report.insert("format".into(), FORMAT.into());
    report.insert("byok".into(), env!("CARGO_PKG_VERSION").into());
    report.insert(
        "module".into(),
        json!({"library": module.library, "module_sha256": module.module_sha256}),
    );
    report.insert(
        "token".into(),
        json!({"manufacturer": token.manufacturer, "model": token.model, "firmware": token.firmware}),
    );
    for member in MEMBERS {
        report.insert(member.into(), answer[member].clone());
    }
    let mut report = Value::Object(report);
    let own = [&token.token, &token.serial, &module.module];
    hide(&mut report, &own.map(String::as_str));
    super::super::write_out(file, &text(&report))?;
    super::super::remark(&format!(
        "wrote {}: without label, serial number, PIN and path; read it before you send it",
        file.display()
    ));
    Ok(())
}

/// A module may put anything into what it says of itself or of a failure.
fn hide(value: &mut Value, own: &[&str]) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| hide(value, own)),
        Value::Object(members) => members.values_mut().for_each(|value| hide(value, own)),
        Value::String(text) => {
            for own in own.iter().filter(|own| !own.is_empty()) {
                *text = text.replace(own, "…");
            }
        }
        _ => {}
    }
}

/// JSON that a person reads: a line for each member, and for each thing that was tried.
fn text(report: &Value) -> String {
    let members = report.as_object().into_iter().flatten();
    let members = members.map(|(name, value)| match value {
        Value::Array(tried) => {
            let tried: Vec<String> = tried.iter().map(|one| format!("    {one}")).collect();
            format!("  {name:?}: [\n{}\n  ]", tried.join(",\n"))
        }
        value => format!("  {name:?}: {value}"),
    });
    let members: Vec<String> = members.collect();
    format!("{{\n{}\n}}\n", members.join(",\n"))
}
