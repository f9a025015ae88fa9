//! `byok verify`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use super::materials;
use crate::crypto::spec::Spec;
use crate::evidence::filing;
use crate::evidence::receipts::{self, KnownMaterial, Listed, Receipts, Standing};
use crate::evidence::rules::{Broken, Cause, Rule};
use crate::evidence::transcript;
use crate::evidence::transcript::Chain;
use crate::evidence::transcript::{
    EscrowDealt, ImportTypeTold, Imported, KeyName, Said, SealedLine, Wrapped,
};
use crate::evidence::verify::{
    self, AllowedSigners, Branch, Branches, End, Followed, KmsKeyMaterials, Link, Other,
    RecordedPlan, Report, Row, SignatureReport, Verified,
};
use crate::ground::anchor::{ANOTHER_HEAD, Anchor, FROM_PAPER, TYPE_ROWS};
use crate::ground::clock;
use crate::ground::error::{Error, Result};
use crate::ground::paint::Paint;
use crate::ground::words::{self, quoted, quoted_whole};
use crate::paper::last;
use crate::plan::Kind;

/// What was given to vouch for a record.
pub(crate) struct Anchors<'a> {
    /// The head digest from paper.
    head: Option<&'a str>,
    /// An allowed signers file.
    signers: Option<&'a Path>,
}

impl<'a> Anchors<'a> {
    /// A head digest from paper, an allowed signers file, or both.
    pub(crate) fn of(head: Option<&'a str>, signers: Option<&'a Path>) -> Self {
        Self { head, signers }
    }

    /// Verifies the record, and that all of this vouches for it.
    fn verify(&self, record: &Path) -> Result<Result<Verified, Broken>> {
        let head = self
            .head
            .map(Anchor::parse)
            .transpose()
            .map_err(|why| Error::usage(format!("--head: {why}")).hint(TYPE_ROWS))?;
        let allowed = self.signers.map(AllowedSigners::read).transpose()?;
        Ok(verify::vouched_for(record, head.as_ref(), allowed.as_ref()))
    }
}

/// Verifies a record and says so on standard output.
///
/// # Errors
/// Exit 4 if the record or an earlier one is broken, naming the first thing that does not hold, or if nobody on the
/// list signed it; exit 2 for a head digest or a list that is not one.
pub(crate) fn verify(
    record: &Path,
    anchors: &Anchors,
    previous: &[PathBuf],
    next: bool,
    as_json: bool,
) -> Result<()> {
    if let Some(error) = no_record(record) {
        return Err(error);
    }
    let verified = match anchors.verify(record)? {
        Ok(verified) => verified,
        Err(why) => {
            if as_json {
                super::print_json(
                    &json!({"verdict": no_verdict(why.rule), "authenticated": false, "why": why.to_string(),
                        "rule": why.rule.name()}),
                )?;
            }
            return Err(broken(record, &why));
        }
    };
    let followed = match verify::follow(record, &verified, previous) {
        Ok(followed) => followed,
        Err(error) => {
            if as_json {
                super::print_json(
                    &json!({"verdict": "broken", "authenticated": false, "why": error.what}),
                )?;
            }
            return Err(error.verdict("broken"));
        }
    };
    let others = verify::others(record, &verified, &followed, previous);
    let branches = verify::branches(record, &verified, &followed, previous);
    let whole = Whole::of(record, &verified, &followed, &others, &branches);
    let next = match next {
        true => words::screen(&next_screen(record, &verified, &followed, &branches)),
        false => String::new(),
    };
    if as_json {
        super::print_json(&whole)?;
        return super::print(&next);
    }
    let by_head = anchors.head.is_some();
    let text = for_people(&verified, &whole, &branches, by_head);
    super::print_lines(&words::screen(&text))?;
    super::print(&next)?;
    if !whole.report.authenticated {
        super::print_lines(&compare(record))?;
    }
    // The first lines have left a small screen by now, and nothing quoted from the record comes after this one.
    let verdict = verdict(&whole.report, by_head);
    let verdict = verdict.split(':').next().unwrap_or_default();
    super::print(&format!("verdict   {verdict}\n"))
}

/// What makes the record authentic.
fn compare(record: &Path) -> String {
    let record = words::shell_path(record);
    let typed = format!("byok verify --head {FROM_PAPER} {record}");
    format!(
        "next      compare the head with the one on paper:\n          {typed}\n          ({TYPE_ROWS})\n"
    )
}

/// What people give instead of a record: one of its files or folders, or the directory above it.
fn no_record(given: &Path) -> Option<Error> {
    let has = |directory: &Path, name| directory.join(name).is_file();
    let is_record = |directory: &Path| has(directory, transcript::FILE);
    let parts = [transcript::FILE, transcript::SUMS, "plan.toml"];
    if given.is_dir() && parts.iter().any(|name| has(given, name)) {
        return None; // it may be a broken one
    }
    let refuse = |why: &str| Some(Error::usage(format!("{}: {why}", given.display())));
    let verify = |directory: &Path| format!("byok verify {}", words::shell_path(directory));
    let whole = std::path::absolute(given).unwrap_or_else(|_| given.to_owned());
    if let Some(above) = whole.ancestors().skip(1).find(|above| is_record(above))
        && given.exists()
    {
        return refuse("is part of a record, and byok verifies only the whole record")
            .map(|error| error.hint(verify(above)));
    }
    if given.is_file() {
        return refuse("is a file, and a record is a directory").map(|error| {
            error.hint(format!(
                "to see what it is: byok inspect {}",
                words::shell_path(given)
            ))
        });
    }
    if !given.is_dir() {
        return refuse("there is no such record")
            .map(|error| error.hint("a record is a directory: give its path"));
    }
    let inside = std::fs::read_dir(given).ok()?.flatten();
    let mut below: Vec<PathBuf> = inside.map(|entry| entry.path()).collect();
    below.retain(|directory| is_record(directory));
    below.sort();
    let error =
        refuse("holds records, but is not a record itself").filter(|_| !below.is_empty())?;
    let first = below.iter().take(5);
    Some(first.fold(error, |error, record| error.hint(verify(record))))
}

/// The verdict on a record that does not hold, or for which what was given does not vouch: the latter may be whole.
fn no_verdict(rule: Rule) -> &'static str {
    match rule {
        Rule::Head => "not the record of that head",
        Rule::Listed => "not by a listed signer",
        _ => "broken",
    }
}

fn broken(record: &Path, why: &Broken) -> Error {
    let verdict = no_verdict(why.rule);
    let error = Error::mismatch(format!("{verdict}: {why}"))
        .check(why.rule.name())
        .verdict(verdict)
        .state(format!("{} was read and not changed", record.display()));
    if let Some(cause) = why.cause {
        return led_to(record, cause, error);
    }
    match why.rule {
        Rule::Head => ANOTHER_HEAD.into_iter().fold(error, Error::hint),
        Rule::Listed => error
            .hint("the record holds together, but a different signer signed it: a record from another HSM has that HSM's signer")
            .hint("compare these fingerprints with the paper; a key from the record itself proves nothing")
            .hint("a listed key counts only for its namespaces and in its time"),
        _ => error
            .hint("use none of its files; take another copy of the record and verify that")
            .hint("if every copy is broken in the same way, call the security officer: this is evidence"),
    }
}

/// The hints if the cause is known.
fn led_to(record: &Path, cause: Cause, error: Error) -> Error {
    let shown = words::shell_path(record);
    match cause {
        Cause::LeftBy(maker) => error
            .hint(format!(
                "{maker} leaves such files wherever it looks; byok did not make it"
            ))
            .hint(format!(
                "make a clean copy: cp -r {shown} COPY; remove it there; byok verify COPY"
            ))
            .hint("keep the copy on a medium that only Linux opens, or that is read-only"),
        Cause::LineEnds => error
            .hint("lines that ended with LF now end with CR LF: it was copied as text, not byte for byte")
            .hint("copy the record again from the first medium, as files (no git, FTP or mail that changes line ends)"),
        Cause::Unfinished => error
            .hint("this run was interrupted before its end; import nothing from it")
            .hint("run the plan again: that sets this record aside and destroys what the run left in the HSM"),
        Cause::Torn => filing::torn(record, error),
        Cause::Unnamed => error
            .hint("an interrupted byok receipt leaves such a file: run it again with that file")
            .hint("otherwise a line was cut off: take another copy of the record"),
    }
}

fn for_people(verified: &Verified, whole: &Whole, branches: &Branches, by_head: bool) -> String {
    let report = &whole.report;
    let mut text = String::new();
    if report.rehearsal {
        text += &Paint::Warning.on("REHEARSAL");
        text += ": this record is practice; nothing in it is real.\n";
    }
    if report.outcome == "aborted" {
        text += &Paint::Bad.on("ABORTED");
        text += ": this ceremony did not come to its end; there is nothing to import.\n";
    }
    text += &verdict(report, by_head);
    text += &format!(
        "title     {}\nceremony  {}\n",
        quoted(&report.title),
        quoted(&report.ceremony)
    );
    text += &format!(
        "lines     {}, exceptions: {}\n",
        report.lines, report.exceptions
    );
    if !report.exposure.is_empty() {
        text += &format!("exposure  {}\n", quoted(&report.exposure));
    }
    if let Some(medium) = &report.medium {
        text += &format!("medium    {medium}\n");
    }
    for key in &report.keys {
        let kcv = key.kcv.as_ref();
        let kcv = kcv.map(|kcv| format!("  KCV {}", quoted(kcv)));
        let bits = key.bits.map(|bits| format!("  {bits} bits"));
        let told = kcv.or(bits).unwrap_or_default();
        text += &format!(
            "data key  {}  {}{}\n          fingerprint {}\n",
            quoted(&key.label),
            quoted(&key.spec),
            told,
            in_lines(&quoted_whole(&key.fingerprint))
        );
        if Spec::parse(&key.spec).is_ok_and(Spec::is_private) {
            text += &format!(
                "          public key  {}/public-key.pem\n",
                quoted(&key.label)
            );
        }
    }
    text += &signatures_for_people(&report.signatures);
    text += &receipts_for_people(whole);
    text += &previous_for_people(whole, branches);
    text += &branches_for_people(branches);
    text += &life_for_people(&whole.life);
    text += &materials::for_people(&whole.materials);
    text += &format!("head      {}\n", report.head);
    text + &words::rows(&verified.chain.head, 3)
}

/// Hex of any length, 64 digits a line: the fingerprints of long HMAC keys are longer.
fn in_lines(hex: &str) -> String {
    let mut lines = vec![hex];
    while let Some((line, rest)) = lines.last().and_then(|last| last.split_at_checked(64))
        && !rest.is_empty()
    {
        lines.pop();
        lines.extend([line, rest]);
    }
    lines.join("\n                      ")
}

/// The verdict, and what it rests on.
fn verdict(report: &Report, by_head: bool) -> String {
    if !report.authenticated {
        return Paint::Warning.on("consistent, NOT AUTHENTICATED")
            + ": nothing in it contradicts the rest, but anyone\n\
               could have made it so.\n";
    }
    let what = Paint::Good.on(match report.rehearsal {
        true => "authentic rehearsal",
        false => "authentic",
    });
    let mut text = String::new();
    if by_head {
        text += &format!("{what}: the transcript is the one whose head digest you gave.\n");
    }
    for signature in &report.signatures {
        if let Some(principal) = &signature.principal {
            text += &format!("{what}: signed by {principal}, whom your list names.\n");
        }
    }
    text
}

fn signatures_for_people(signatures: &[SignatureReport]) -> String {
    let one = |signature: &SignatureReport| {
        let known = match (&signature.principal, signature.checked) {
            (Some(principal), _) => principal.as_str(),
            (None, true) => "holds; nothing here says whose key it is",
            (None, false) => "NOT CHECKED: byok does not know this type of key",
        };
        format!(
            "signed    {}  {known}\n          {} {}\n",
            quoted(&signature.file),
            quoted(&signature.key_type),
            signature.fingerprint
        )
    };
    signatures.iter().map(one).collect()
}

/// What `byok verify --json` says: the record's own report, its receipts, and the records before it.
#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    report: Report,
    receipts: ReceiptsReport,
    imports: Vec<Standing>,
    /// Materials that KMS lists and that no receipt of these records explains.
    unexplained: Vec<Listed>,
    /// KMS keys that hold several materials.
    materials: Vec<KmsKeyMaterials>,
    /// The earlier records, the newest first.
    previous: Vec<PreviousReport>,
    following: End,
    /// Records about the same data keys that are not among these.
    beside: Vec<BesideReport>,
    life: Vec<Row>,
}

#[derive(Serialize)]
struct ReceiptsReport {
    lines: usize,
    /// SHA-256 of receipts.jsonl.
    head: Option<String>,
    /// Nothing in a record vouches that all its own receipts are still there.
    completeness: &'static str,
}

#[derive(Serialize)]
struct PreviousReport {
    directory: String,
    head: String,
    ceremony: String,
    title: String,
    /// A later record that is authentic vouches for the head of this one; when it was made, something from outside
    /// vouched for that head too.
    authenticated: bool,
    receipts: usize,
    /// How many of them the later record vouches for.
    receipts_vouched: usize,
}

#[derive(Serialize)]
struct BesideReport {
    directory: String,
    /// The first thing in its transcript that does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ceremony: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    builds_on: Option<String>,
}

impl BesideReport {
    fn of(branch: &Branch) -> Self {
        let chain = branch.chain.as_ref().ok();
        let builds_on = branch.builds_on.as_ref();
        Self {
            directory: branch.directory.display().to_string(),
            broken: branch.chain.as_ref().err().map(ToString::to_string),
            head: chain.map(|chain| words::hex(&chain.head)),
            ceremony: chain.map(|chain| chain.opening().ceremony.clone()),
            builds_on: builds_on.map(|record| record.display().to_string()),
        }
    }
}

const NOT_VOUCHED: &str = "nothing vouches for completeness until a later record names this digest";

impl Whole {
    fn of(
        record: &Path,
        verified: &Verified,
        followed: &Followed,
        others: &[Other],
        branches: &Branches,
    ) -> Self {
        let receipts = &verified.receipts;
        let known = known(receipts, followed, others);
        Self {
            report: verified.report(),
            receipts: ReceiptsReport {
                lines: receipts.receipts.len(),
                head: receipts.head().map(|head| words::hex(&head)),
                completeness: NOT_VOUCHED,
            },
            imports: match verified.is_aborted() {
                true => Vec::new(), // nothing to import
                false => receipts.standings(),
            },
            unexplained: receipts.unexplained(&known),
            materials: verify::materials(record, verified, followed, others),
            previous: {
                let mut authenticated = verified.authenticated;
                let mut later = verified;
                let mut previous = Vec::with_capacity(followed.links.len());
                for link in &followed.links {
                    authenticated &= later.knew_its_previous();
                    previous.push(PreviousReport::of(link, authenticated));
                    later = &link.verified;
                }
                previous
            },
            following: followed.end.clone(),
            beside: branches.records.iter().map(BesideReport::of).collect(),
            life: verify::life(record, verified, followed, clock::now()),
        }
    }
}

/// Which materials all these records know.
pub(super) fn known(
    receipts: &Receipts,
    followed: &Followed,
    others: &[Other],
) -> Vec<KnownMaterial> {
    let mut known = receipts.known();
    known.extend(followed.known());
    let others = others.iter().map(|other| other.verified.receipts.known());
    known.extend(others.flatten());
    known
}

impl PreviousReport {
    fn of(link: &Link, authenticated: bool) -> Self {
        let opening = link.verified.chain.opening();
        Self {
            directory: link.directory.display().to_string(),
            head: words::hex(&link.verified.chain.head),
            ceremony: opening.ceremony.clone(),
            title: opening.title.clone(),
            authenticated,
            receipts: link.verified.receipts.receipts.len(),
            receipts_vouched: link.vouched.unwrap_or(0),
        }
    }
}

fn receipts_for_people(whole: &Whole) -> String {
    let mut text = match &whole.receipts.head {
        Some(head) => format!(
            "receipts  {}, digest {head}\n          {NOT_VOUCHED}\n",
            whole.receipts.lines
        ),
        None => String::new(),
    };
    for import in &whole.imports {
        text += &format!(
            "import    {}/{}  {}\n",
            quoted(&import.label),
            quoted(&import.import),
            words::quoted_whole(&import.told())
        );
        if let Some(id) = &import.key_material_id {
            let word = import.kms_key.word_for_material();
            text += &format!("          {word} {}\n", words::quoted_whole(id));
        }
    }
    text + &unexplained(&whole.unexplained)
}

/// Materials that KMS lists and no record explains, for people.
pub(super) fn unexplained(listed: &[Listed]) -> String {
    let one = |listed: &Listed| {
        format!(
            "UNEXPLAINED key material {}\n          {} in {}\n",
            quoted(&listed.key_material_id),
            quoted(listed.state.as_deref().unwrap_or("listed")),
            quoted(&listed.key_arn)
        )
    };
    listed.iter().map(one).collect()
}

fn previous_for_people(whole: &Whole, branches: &Branches) -> String {
    let mut text = String::new();
    for previous in &whole.previous {
        let verdict = if previous.authenticated {
            "authentic"
        } else {
            "holds"
        };
        text += &format!(
            "previous  {}: {verdict}, {}\n",
            quoted_whole(&previous.directory),
            quoted(&previous.title)
        );
        if previous.receipts > 0 {
            text += &format!(
                "          receipts {}, of which the later record vouches for {}\n",
                previous.receipts, previous.receipts_vouched
            );
        }
    }
    if let End::NotFollowed { head } = &whole.following {
        let copy = branches.copy_of(head);
        let copy = copy.map_or("DIR".to_owned(), words::shell_path);
        text += &format!(
            "previous  {head}: not followed; it is not here\n          name a copy: byok verify --previous {copy} …\n"
        );
    }
    text
}

fn branches_for_people(branches: &Branches) -> String {
    let told = branches.told();
    let mut text: String = told
        .iter()
        .map(|told| format!("beside    {told}\n"))
        .collect();
    if !told.is_empty() {
        text += "          NOT TOLD HERE: what these dealt, wrapped and kept. byok verify each\n";
    }
    text
}

/// AWS KMS makes an id of hex digits; in a version of another KMS the end tells it from others.
fn short_id(id: &str, kms_key: &KeyName) -> String {
    const SHORT: usize = 12;
    let word = kms_key.word_for_material();
    if kms_key.arn().is_some() {
        return format!("{word} {id:.SHORT$}…");
    }
    let version = id.rsplit('/').next().unwrap_or(id);
    match version.char_indices().nth_back(SHORT - 1) {
        Some((at, _)) if at > 0 => format!("{word} …{}", &version[at..]),
        _ => format!("{word} {version}"),
    }
}

fn life_for_people(rows: &[Row]) -> String {
    let mut text = String::new();
    let mut by_label: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        by_label.entry(&row.label).or_default().push(row);
    }
    for (label, rows) in by_label {
        text += &format!("life of the data key {}\n", quoted(label));
        for row in rows {
            let id = row.key_material_id.as_deref().zip(row.kms_key.as_ref());
            let id = id.map(|(id, kms_key)| short_id(id, kms_key));
            let about = [
                row.import.as_deref(),
                row.kms,
                id.as_deref(),
                Some(row.detail.as_str()),
            ];
            let about: Vec<&str> = about
                .into_iter()
                .flatten()
                .filter(|word| !word.is_empty())
                .collect();
            text += &format!(
                "  {}  {:<17} {}\n",
                clock::for_people(row.at),
                row.what,
                about
                    .iter()
                    .map(|word| quoted(word))
                    .collect::<Vec<_>>()
                    .join("  ")
            );
        }
    }
    text
}

/// The ceremony's last screen, from the transcript.
fn next_screen(
    record: &Path,
    verified: &Verified,
    followed: &Followed,
    branches: &Branches,
) -> String {
    if verified.is_aborted() {
        return " Nothing comes next: the ceremony was aborted. Run its plan again.\n".into();
    }
    let chain = &verified.chain;
    let folder = |label: &str, import: &str| format!("{}/{}", quoted(label), quoted(import));
    let folders: BTreeSet<String> = chain
        .events::<Wrapped>()
        .map(|wrapped| folder(&wrapped.label, &wrapped.import))
        .collect();
    let standings = verified.receipts.standings();
    let done = standings.iter().filter(|import| import.is_done());
    let done: Vec<String> = done
        .map(|import| folder(&import.label, &import.import))
        .collect();
    let folders: Vec<String> = folders
        .into_iter()
        .filter(|folder| !done.contains(folder))
        .collect();
    let by_import = verified.receipts.by_import();
    let not_proved = by_import.iter();
    let not_proved = not_proved.filter(|(_, standing)| standing.kms != receipts::PROVED);
    let proofs = not_proved.filter_map(|(import, _)| {
        let folder = folder(&import.label, &import.import);
        receipts::prove(
            &import.spec,
            (&import.kms, import.kms_key.as_str()),
            &folder,
        )
    });
    let proofs: BTreeSet<String> = proofs.collect();
    let proofs: Vec<String> = proofs.into_iter().collect();
    let deadline = chain.sealed().and_then(SealedLine::import_before);
    let is_open = |read: Said<Imported>| {
        read.valid_to.is_none() && folders.contains(&folder(&read.label, &read.import))
    };
    let open = chain.events::<Imported>().any(is_open);
    let dealt = |record: &Verified| record.chain.events::<EscrowDealt>().next().is_some();
    let ends = chain.opening().kind.known() == Some(Kind::Destroy);
    let mut links = followed.links.iter().filter(|_| !ends);
    let earlier = links.find(|link| dealt(&link.verified));
    let plan = RecordedPlan::of(record);
    let share_files = plan.share_files().map(PathBuf::from);
    let in_clear: Vec<PathBuf> = plan.source_files().iter().map(PathBuf::from).collect();
    let attempts = attempts(chain);
    let next = last::Next {
        directory: record,
        attempts: &attempts,
        folders: &folders,
        imported: !done.is_empty(),
        deadline,
        open,
        rehearsal: verified.is_rehearsal(),
        on_medium: super::on_medium(),
        package: dealt(verified),
        replaces: dealt(verified) && (earlier.is_some() || standings.is_empty()),
        by_quorum: plan.keeps_by_quorum(),
        earlier_package: earlier.map(|link| link.directory.as_path()),
        rotated: chain
            .events::<ImportTypeTold>()
            .any(|told| told.rotates.is_some()),
        proofs: &proofs,
        in_clear: &in_clear,
        share_files: share_files.as_deref(),
        branches: branches.records.len(),
    };
    format!("\n{}{}", next.screen(clock::now()), so_far(verified))
}

/// The directories of the attempts before the ceremony, as its first line names them.
fn attempts(chain: &Chain) -> Vec<String> {
    let attempts = chain.opening().attempts.iter();
    let names = attempts.map(|attempt| quoted(&attempt.directory));
    names.filter(|name| !name.contains('/')).collect() // beside the record, not elsewhere
}

/// How far the imports are, in a line; nothing if there is no receipt yet.
fn so_far(verified: &Verified) -> String {
    if verified.receipts.receipts.is_empty() {
        return String::new();
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let standings = verified.receipts.standings();
    for standing in &standings {
        *counts.entry(standing.kms).or_default() += 1;
    }
    let told = [
        receipts::PROVED,
        receipts::ACCEPTED,
        receipts::FAILED,
        receipts::NONE,
    ];
    let told = told
        .iter()
        .filter_map(|kms| Some(format!("{} {kms}", counts.get(kms)?)));
    let told: Vec<String> = told.collect();
    let elsewhere = standings.iter().filter_map(|import| {
        let doubt = import.doubt()?;
        let (label, name) = (quoted(&import.label), quoted(&import.import));
        Some(format!("   {label}/{name}{doubt}\n"))
    });
    let elsewhere: String = elsewhere.collect();
    format!(" By the receipts:     {}\n{elsewhere}", told.join(", "))
}
