//! A plan that builds on a record: the same data keys, once more.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::super::materials;
use super::{
    BuildsOn, Escrow, Known, PlanWish, SLIP, fits, from_plan, furthest_midnight, near_plan, quoted,
    room, shares, sort,
};
use crate::crypto::escrow::package;
use crate::evidence::previous::Previous;
use crate::ground::clock;
use crate::ground::error::{Error, Result};
use crate::ground::files::read_small;
use crate::ground::token_uri::TokenUri;
use crate::ground::words;
use crate::plan::kms::KeyArn;
use crate::plan::{Deliver, ImportAs, ImportPlan, Keep, KeyPlan, Kind, Network, PinSource, Plan};

/// Writes the plan from what the record's own plan said. The head digest is left for a person to type
/// from paper: taken from the record it would vouch for nothing.
pub(super) fn render(how: BuildsOn, record: &Path, wish: &PlanWish) -> Result<String> {
    let mut previous = Previous::load(record, None)?;
    let mut old = plan_of(record)?;
    let kind = kind_of(how, &old);
    if kind == Kind::Recover && previous.package.is_none() {
        let imports = imports_of_all(&old, &previous);
        previous = with_package(&previous)?;
        old = plan_of(&previous.directory)?;
        give_imports(&mut old, imports);
    } else {
        let imports = imports_of_all(&old, &previous);
        give_imports(&mut old, imports);
    }
    let known = new_parameters(&old, &wish.files)?;
    let word = match how {
        BuildsOn::NewShares => "new-shares",
        BuildsOn::Reimport | BuildsOn::Recover => kind.name(),
    };
    let escrow = match how {
        BuildsOn::Recover => Escrow::of_recovery(&wish.escrow, &previous, room::ask)?,
        BuildsOn::NewShares => Escrow::of_new_shares(&wish.escrow, &previous, room::ask)?,
        BuildsOn::Reimport => Escrow::Open,
    };
    let stands = near_plan(wish, &previous.directory)?;
    let mut text = opening((kind, word), &stands, &previous, wish, &old);
    if kind == Kind::Recover || how == BuildsOn::NewShares {
        text += shares::SCREEN_RECORDED;
    }
    text += &escrow.reuse(how);
    text += &machine_and_hsm(wish, &old, kind)?;
    for key in &old.keys {
        text += &key_table(key);
        if how == BuildsOn::NewShares {
            continue;
        }
        for import in &key.imports {
            let known = &known[&import.key_arn];
            let parameters = match &known.parameters {
                Some((path, _)) => from_plan(wish, path).display().to_string(),
                None => parameters_file(&old, key, import),
            };
            fits(key.spec, &import.key_arn, known)?;
            text += &once_more(import, key, (&parameters, known), &previous)?;
        }
    }
    if kind == Kind::Recover {
        text += "\n[recover]\nshares  = \"typed\"                # typed | files:DIR\n\
                 package = \"record\"               # record | typed | path of escrow-package.json\n";
    }
    text += &match how {
        BuildsOn::NewShares => escrow.table_delivered(&delivered_before(&previous)),
        BuildsOn::Recover => escrow.table(),
        BuildsOn::Reimport => String::new(),
    };
    text += &record_of(&old, word, &previous.directory);
    if let Some(signer) = &previous.signer {
        // another HSM has another one
        let _ = write!(
            text,
            "# Who signed that record; to insist on it, compare with the paper:\n# signer = {}\n",
            quoted(&signer.fingerprint)
        );
    }
    judge(&text, how, &escrow)?;
    Ok(text)
}

/// What was written must be a plan, once that is filled in which only people know.
fn judge(text: &str, how: BuildsOn, escrow: &Escrow) -> Result<()> {
    let open = how == BuildsOn::Recover && escrow.is_open();
    let text = match open {
        true => text.replacen("# reuse_escrow = \"\"", "reuse_escrow = \"-\"", 1),
        false => text.to_owned(),
    };
    Plan::parse(Path::new("plan.toml"), text.into_bytes())?;
    if open {
        super::super::remark(
            "byok: FILL IN reuse_escrow or [escrow] in this plan: whether the shares that are typed stay in use",
        );
    }
    Ok(())
}

/// The plan of a record.
fn plan_of(record: &Path) -> Result<Plan> {
    let path = record.join("plan.toml");
    let bytes = read_small(&path).map_err(|e| Error::usage(format!("{}: {e}", path.display())))?;
    Plan::parse(Path::new("plan.toml"), bytes)
}

/// The newest record before it that holds an escrow package: what was recovered with shares that stay in use
/// has none of its own.
fn with_package(previous: &Previous) -> Result<Previous> {
    let earlier = previous.earlier.iter();
    let mut holds = earlier.filter(|record| record.join(package::JSON_FILE).is_file());
    let Some(record) = holds.next() else {
        return Err(Error::usage(format!(
            "{} holds no escrow package, and no record before it that was found",
            previous.directory.display()
        ))
        .hint("name the record that dealt the shares which are in use: its escrow-package.json is needed"));
    };
    super::super::remark(&format!(
        "byok: {} holds no escrow package: this plan builds on {}, which dealt the shares in use",
        previous.directory.display(),
        record.display()
    ));
    Previous::load(record, None)
}

/// Where each data key goes.
fn imports_of_all(old: &Plan, previous: &Previous) -> Vec<(String, Vec<ImportPlan>)> {
    let of = |key: &KeyPlan| (key.label.clone(), imports_of(key, previous));
    old.keys.iter().map(of).collect()
}

fn give_imports(old: &mut Plan, imports: Vec<(String, Vec<ImportPlan>)>) {
    for (label, imports) in imports {
        let mut keys = old.keys.iter_mut();
        if let Some(key) = keys.find(|key| key.label == label) {
            key.imports = imports;
        }
    }
}

/// The parameters that were downloaded anew, by the KMS keys of the record and no others.
fn new_parameters(old: &Plan, files: &[PathBuf]) -> Result<BTreeMap<KeyArn, Known>> {
    let arns = old.imports().map(|(_, import)| import.key_arn.clone());
    let of_record: BTreeMap<KeyArn, Known> = arns.map(|arn| (arn, Known::default())).collect();
    let count = of_record.len();
    let known = sort(of_record, files)?;
    if known.len() == count {
        return Ok(known);
    }
    let of_record = |arn: &&KeyArn| !old.imports().any(|(_, import)| import.key_arn == **arn);
    let other = known.keys().find(of_record).map(KeyArn::as_str);
    Err(Error::mismatch(format!(
        "{}: the record wrapped nothing for this KMS key",
        other.unwrap_or_default()
    ))
    .check("KMS-KEY-MATCH")
    .hint("for another KMS key add a [[key.import]] by hand, with other_kms_key = \"reason\""))
}

/// How the same data keys come to hand once more.
fn kind_of(how: BuildsOn, old: &Plan) -> Kind {
    // What the HSM does not give out again comes from a quorum, whatever it is for.
    let given_out = old.keys.iter().all(|key| key.keep == Keep::Extractable);
    match how {
        BuildsOn::Reimport => Kind::Reimport,
        BuildsOn::NewShares if given_out => Kind::Reimport,
        BuildsOn::Recover | BuildsOn::NewShares => Kind::Recover,
    }
}

/// Title, kind and what it builds on.
fn opening(
    (kind, word): (Kind, &str),
    stands: &Path,
    previous: &Previous,
    wish: &PlanWish,
    old: &Plan,
) -> String {
    let title = wish.title.clone();
    let title = title.unwrap_or_else(|| format!("{} ({word})", without_word(&old.title)));
    format!(
        "# Builds on the record of ceremony {}. Read every line.\n\
         title    = {}\nkind     = \"{}\"\nprevious = {}\n\
         # From the paper that the witnesses signed: the head digest, at least its first\n\
         # three rows.\n\
         # At a terminal it may be left out; its rows are then typed in the room.\n\
         # previous_head = \"\"\n",
        previous.ceremony,
        quoted(&title),
        kind.name(),
        quoted(&stands.display().to_string()),
    )
}

/// A title that earlier plans of this kind made longer, as it was at first.
fn without_word(title: &str) -> &str {
    let words = [" (reimport)", " (recover)", " (new-shares)"];
    let shorter = words.iter().find_map(|word| title.strip_suffix(word));
    shorter.map_or(title, without_word)
}

/// Above module and token of the record before, where its data keys come from a quorum.
const PERHAPS_LOST: &str = "# Module and token are those of the HSM of the record before. Is that one lost?\n\
    # Then name those of the HSM that is here: change module and token, or write\n\
    # this plan again with --module PATH, which fills in both.\n";

/// How people reach and open the HSM stays; what was eased for one run only does not.
fn machine_and_hsm(wish: &PlanWish, old: &Plan, kind: Kind) -> Result<String> {
    let (module, token, env) = hsm(wish, old)?;
    let is_same = wish.module.is_none() && token == old.hsm.token;
    let hardware = old.hsm.hardware.as_deref().filter(|_| is_same);
    let hardware = hardware.map_or(String::new(), |reason| {
        format!("hardware = {}   # is that so still?\n", quoted(reason))
    });
    let network = match old.network {
        Network::Hsm => "hsm",
        Network::Forbidden | Network::Allowed => "forbidden",
    };
    let pin = match old.hsm.pin {
        PinSource::PinPad => "pinpad",
        PinSource::PromptHalves => "prompt-halves",
        PinSource::Prompt | PinSource::File(_) | PinSource::Descriptor(_) => "prompt",
    };
    let perhaps_lost = match (kind, &wish.module) {
        (Kind::Recover, None) => PERHAPS_LOST,
        _ => "",
    };
    Ok(format!(
        "\n[machine]\nnetwork = \"{network}\"\n\n[hsm]\n{perhaps_lost}module = {}\ntoken  = {}\npin    = \"{pin}\"\nenv    = {env:?}\n{hardware}",
        quoted(&module.display().to_string()),
        quoted(&token.to_string()),
    ))
}

fn key_table(key: &KeyPlan) -> String {
    format!(
        "\n[[key]]\nlabel = {}\nspec  = \"{}\"\n{}keep  = \"{}\"\n",
        quoted(&key.label),
        key.spec.name(),
        bits(key),
        key.keep.name()
    )
}

/// Module, token and environment: the record's own, or those of the HSM that is named now. A module that
/// is named is asked: another HSM has another token, and needs other variables.
fn hsm(wish: &PlanWish, old: &Plan) -> Result<(PathBuf, TokenUri, Vec<String>)> {
    let Some(module) = &wish.module else {
        let token = wish.token.as_deref().map(TokenUri::parse).transpose()?;
        let token = token.unwrap_or_else(|| old.hsm.token.clone());
        return Ok((old.hsm.module.clone(), token, old.hsm.env.clone()));
    };
    let token = room::choose_token(module, wish.token.as_deref(), Some(&old.hsm.token))?;
    let mut env = old.hsm.env.clone();
    let set = room::variables(Some(module));
    env.extend(set.into_iter().filter(|name| !old.hsm.env.contains(name)));
    Ok((module.clone(), token, env))
}

/// The length of an HMAC key, which its spec leaves open.
fn bits(key: &KeyPlan) -> String {
    let bits = key.spec.bits();
    bits.map_or(String::new(), |bits| format!("bits  = {bits}\n"))
}

/// A new name for the record; who watched the last time is to watch again.
fn record_of(old: &Plan, word: &str, previous: &Path) -> String {
    let day = clock::now().strftime("%Y-%m-%d").to_string();
    let label = old
        .keys
        .first()
        .map_or("data-key", |key| key.label.as_str());
    let name = format!("{day}-{label}-{word}");
    // A second one of the same day must not be planned over the record that it builds on.
    let taken = |name: &str| {
        previous.file_name().is_some_and(|is| is == name)
            || previous
                .parent()
                .is_some_and(|beside| beside.join(name).exists())
    };
    let free = (2..).map(|n| format!("{name}-{n}"));
    let free = std::iter::once(name.clone())
        .chain(free)
        .find(|name| !taken(name));
    let directory = quoted(&format!("records/{}", free.unwrap_or(name)));
    let witnesses: Vec<String> = old.witnesses.iter().map(|seat| quoted(seat)).collect();
    let witnesses = match witnesses.is_empty() {
        true => String::new(),
        false => format!("witnesses = [{}]\n", witnesses.join(", ")),
    };
    format!("\n[record]\ndirectory = {directory}\n{witnesses}")
}

/// Where a data key goes: by the record or, where that only dealt new shares, by the newest one before it
/// that says so.
fn imports_of(key: &KeyPlan, previous: &Previous) -> Vec<ImportPlan> {
    let of = |plan: Plan| {
        let mut keys = plan.keys.into_iter();
        keys.find(|earlier| earlier.label == key.label)
            .map(|key| key.imports)
    };
    let earlier = previous
        .earlier
        .iter()
        .filter_map(|record| of(Plan::read(&record.join("plan.toml")).ok()?));
    std::iter::once(key.imports.clone())
        .chain(earlier)
        .find(|imports| !imports.is_empty())
        .unwrap_or_default()
}

/// Where its import parameters will lie: two data keys may have imports of one name.
fn parameters_file(old: &Plan, key: &KeyPlan, import: &ImportPlan) -> String {
    let mut others = old.keys.iter().filter(|other| other.label != key.label);
    let shared = others.any(|other| other.imports.iter().any(|same| same.name == import.name));
    match shared {
        true => format!("inputs/{}-{}.json", key.label, import.name),
        false => format!("inputs/{}.json", import.name),
    }
}

/// An import again. What was true of one download (its deadline, its wrapping key) or of one decision
/// (`other_kms_key`: the record now names that KMS key itself) is left out.
fn once_more(
    import: &ImportPlan,
    key: &KeyPlan,
    (parameters, known): (&str, &Known),
    previous: &Previous,
) -> Result<String> {
    let expires = match import.expires {
        Some(before) => format!(
            "# at most 365 days after the import, or \"never\"; the record before had\n# {before}\n\
             expires    = \"{}\"\n",
            furthest_midnight()?
        ),
        None => "expires    = \"never\"\n".to_owned(),
    };
    let anew = match known.parameters {
        Some(_) => "",
        None => "# downloaded anew: each import needs its own\n",
    };
    let mut text = format!(
        "\n[[key.import]]\nname       = {}\nkey_arn    = {}\n{anew}parameters = {}\n\
         wrapping   = \"{}\"\nwrap_in    = \"{}\"\n{expires}{SLIP}",
        quoted(&import.name),
        quoted(import.key_arn.as_str()),
        quoted(parameters),
        known.wrapping().unwrap_or(import.wrapping),
        import.wrap_in,
    );
    text += match known.parameters {
        Some(_) => known.deadline(),
        None if import.parameters_valid_to.is_some() => {
            "# Of the new download, where its files carry none:\n\
             # parameters_valid_to = \"YYYY-MM-DDTHH:MM:SSZ\"\n"
        }
        None => "",
    };
    if let Some(other) = &import.witness_of {
        text += &format!(
            "witness_of = {}   # the same material a second time proves that import\n",
            quoted(other)
        );
    }
    text += &material(import, key, previous);
    if let Some(description) = &import.description {
        text += &format!("description = {}\n", quoted(description));
    }
    Ok(text)
}

/// Which of the materials of its KMS key this one is, as far as receipts tell.
fn material(import: &ImportPlan, key: &KeyPlan, previous: &Previous) -> String {
    let arn = import.key_arn.as_str();
    let before = previous.import_before(&key.label, arn);
    let mut text = match previous.key_material_id(&key.label, arn) {
        Some(id) => {
            format!("# KMS calls this material {id}: it goes in as EXISTING_KEY_MATERIAL\n")
        }
        None if import.witness_of.is_none()
            && before.is_some_and(|before| {
                before.import_as == Some(ImportAs::New) && !before.accepted
            }) =>
        {
            "# No receipt tells that KMS took it. If it did, add that receipt, or say\n\
             # EXISTING_KEY_MATERIAL:\n\
             import_type = \"NEW_KEY_MATERIAL\"\n"
                .to_owned()
        }
        None => String::new(),
    };
    let several = previous
        .kms_keys
        .iter()
        .find(|several| several.key_arn == arn);
    if let Some(several) = several.filter(|_| import.witness_of.is_none()) {
        for line in materials::for_people(std::slice::from_ref(several)).lines() {
            text += &format!("# {}\n", words::printable(line));
        }
    }
    text
}

/// How the shares in use were handed out.
fn delivered_before(previous: &Previous) -> Deliver {
    let plan = previous
        .in_use()
        .and_then(|dealt| plan_of(&dealt.directory).ok());
    match plan
        .and_then(|plan| plan.escrow)
        .map(|escrow| escrow.deliver)
    {
        Some(Deliver::Files(_)) => Deliver::Files("new-shares".into()),
        Some(Deliver::Screen) | None => Deliver::Screen,
    }
}
