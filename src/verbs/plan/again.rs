//! A plan that builds on a record: the same data keys, once more.

use std::fmt::Write as _;
use std::path::Path;

use super::{BuildsOn, PlanWish, furthest_midnight, quoted};
use crate::error::{Error, Result};
use crate::machine;
use crate::plan::{Deliver, Keep, Plan};
use crate::previous::Previous;

/// Writes the plan from what the record's own plan said. The head digest is left for a person to type
/// from paper: taken from the record it would vouch for nothing.
pub(super) fn render(how: BuildsOn, record: &Path, wish: &PlanWish) -> Result<String> {
    let previous = Previous::load(record, None)?;
    let bytes = std::fs::read(record.join("plan.toml"))
        .map_err(|e| Error::usage(format!("{}: {e}", record.join("plan.toml").display())))?;
    let old = Plan::parse(Path::new("plan.toml"), bytes)?;
    let stands = record
        .canonicalize()
        .map_err(|e| Error::usage(format!("{}: {e}", record.display())))?;
    // What the HSM does not give out again comes from a quorum, whatever it is for.
    let by_quorum = how == BuildsOn::Recover
        || how == BuildsOn::NewShares && old.keys.iter().any(|key| key.keep != Keep::Extractable);
    let (kind, word) = match how {
        BuildsOn::Reimport => ("reimport", "reimport"),
        BuildsOn::Recover => ("recover", "recover"),
        BuildsOn::NewShares if by_quorum => ("recover", "new-shares"),
        BuildsOn::NewShares => ("reimport", "new-shares"),
    };
    if by_quorum && previous.package.is_none() {
        return Err(Error::usage("that record holds no escrow package").hint(
            "name the record that dealt the shares which are in use: its escrow-package.json is needed",
        ));
    }
    let title = wish
        .title
        .clone()
        .unwrap_or_else(|| format!("{} ({word})", old.title));
    let mut text = format!(
        "# Builds on the record of ceremony {}. Read every line.\n\
         title    = {}\nkind     = \"{kind}\"\nprevious = {}\n\
         # From the paper that the witnesses signed: the head digest, at least its first three rows.\n\
         # At a terminal it may be left out; its rows are then typed in the room.\n\
         # previous_head = \"\"\n",
        previous.ceremony,
        quoted(&title),
        quoted(&stands.display().to_string()),
    );
    if how == BuildsOn::Recover {
        text += "# Without [escrow] below, say why the shares that are typed now stay in use:\n";
        text += "reuse_escrow = \"no new custodians\"\n";
    }
    let module = wish.module.as_ref().unwrap_or(&old.hsm.module);
    let _ = write!(
        text,
        "\n[machine]\nnetwork = \"forbidden\"\n\n[hsm]\nmodule = {}\ntoken  = {}\npin    = \"prompt\"\nenv    = {:?}\n",
        quoted(&module.display().to_string()),
        quoted(
            &wish
                .token
                .clone()
                .unwrap_or_else(|| old.hsm.token.to_string())
        ),
        old.hsm.env,
    );
    for key in &old.keys {
        let keep = match key.keep {
            Keep::Extractable => "extractable",
            Keep::Sealed => "sealed",
            Keep::None => "none",
        };
        let _ = write!(
            text,
            "\n[[key]]\nlabel = {}\nspec  = \"{}\"\nkeep  = \"{keep}\"\n",
            quoted(&key.label),
            key.spec.name()
        );
        if how == BuildsOn::NewShares {
            continue;
        }
        for import in &key.imports {
            let expires = match import.expires {
                Some(_) => furthest_midnight()?.to_string(),
                None => "never".to_owned(),
            };
            let _ = write!(
                text,
                "\n[[key.import]]\nname       = {}\nkey_arn    = {}\n\
                 parameters = {}   # downloaded anew: each import needs its own\n\
                 wrapping   = \"{}\"\nwrap_in    = \"{}\"\nexpires    = \"{expires}\"\n\
                 # wrapping_key_sha256 = \"\"   # from the slip, for unattended runs\n",
                quoted(&import.name),
                quoted(import.key_arn.as_str()),
                quoted(&format!("inputs/{}.json", import.name)),
                import.wrapping,
                import.wrap_in,
            );
        }
    }
    if by_quorum {
        text += "\n[recover]\nshares  = \"typed\"                # typed | files:DIR\n\
                 package = \"record\"               # record | typed | path of escrow-package.json\n";
    }
    if how == BuildsOn::NewShares {
        text += &escrow(&old)?;
    }
    let day = machine::now().strftime("%Y-%m-%d").to_string();
    let label = old
        .keys
        .first()
        .map_or("data-key", |key| key.label.as_str());
    let _ = write!(
        text,
        "\n[record]\ndirectory = {}\n",
        quoted(&format!("records/{day}-{label}-{word}"))
    );
    if let Some(signer) = &previous.signer {
        // another HSM has another one
        let _ = write!(
            text,
            "# Who signed that record; to insist on it, compare with the paper:\n# signer = {}\n",
            quoted(&signer.fingerprint)
        );
    }
    Ok(text)
}

/// The old quorum, to be edited: somebody left, or new shares would not be needed.
fn escrow(old: &Plan) -> Result<String> {
    let escrow = old.escrow.as_ref().ok_or_else(|| {
        Error::usage("that record dealt no shares")
            .hint("for a first escrow, add [escrow] to a plan by --reimport")
    })?;
    let deliver = match &escrow.deliver {
        Deliver::Screen => "screen".to_owned(),
        Deliver::Files(_) => "files:new-shares".to_owned(),
    };
    let custodians: Vec<String> = escrow.custodians.iter().map(|name| quoted(name)).collect();
    Ok(format!(
        "\n[escrow]\nthreshold  = {}\ncustodians = [{}]   # as before: change what changed\ndeliver    = {}\n",
        escrow.threshold,
        custodians.join(", "),
        quoted(&deliver)
    ))
}
