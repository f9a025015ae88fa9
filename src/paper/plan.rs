//! A plan as TOML: the inverse of the reader. The text that is written reads as the same plan. Plans that byok drafts for
//! people begin here too.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::crypto::escrow::policy::Group;
use crate::crypto::spec::Spec;
use crate::crypto::sshsig::fingerprint;
use crate::crypto::wrapping::WrappingAlgorithm;
use crate::ground::token_uri::TokenUri;
use crate::ground::words::{self, Digest};
use crate::plan::kms::KmsKey;
use crate::plan::{
    Deliver, HsmPlan, ImportAs, ImportPlan, Keep, KeyPlan, Kind, Network, PackageSource, PinSource,
    Plan, ShareSource, SignerPlan, Source, WrapIn,
};

/// What people are told about the fields of a plan, by a field's path: lines of comment above the field, or in its
/// place if the plan does not have it, and words beside it. `key.keep` is for every data key, `key.0.keep` for the
/// first.
#[derive(Default)]
pub(crate) struct Notes {
    above: BTreeMap<String, String>,
    beside: BTreeMap<String, String>,
}

impl Notes {
    /// The notes of one table.
    pub(crate) fn of(above: &[(&str, &str)], beside: &[(&str, &str)]) -> Self {
        let owned = |notes: &[(&str, &str)]| {
            let notes = notes.iter();
            notes
                .map(|(at, note)| ((*at).to_owned(), (*note).to_owned()))
                .collect()
        };
        Self {
            above: owned(above),
            beside: owned(beside),
        }
    }

    /// More lines above a field.
    pub(crate) fn above(&mut self, at: impl Into<String>, lines: &str) {
        let told = self.above.entry(at.into()).or_default();
        if !told.is_empty() {
            told.push('\n');
        }
        *told += lines.trim_end();
    }

    /// Words beside a field.
    pub(crate) fn beside(&mut self, at: impl Into<String>, words: &str) {
        self.beside.insert(at.into(), words.to_owned());
    }
}

impl HsmPlan {
    /// An HSM with the usual settings.
    pub(crate) fn draft(module: &Path, token: TokenUri) -> Self {
        Self {
            module: module.to_owned(),
            token,
            pin: PinSource::Prompt,
            env: Vec::new(),
            hardware: None,
        }
    }
}

impl KeyPlan {
    /// A data key that is made in the HSM, stays there, and has no imports yet.
    pub(crate) fn draft(label: &str, spec: Spec) -> Self {
        Self {
            label: label.to_owned(),
            spec,
            keep: Keep::Extractable,
            source: Source::Hsm,
            reason: None,
            fingerprint: None,
            imports: Vec::new(),
        }
    }
}

impl ImportPlan {
    /// An import that is wrapped in the HSM and never expires.
    pub(crate) fn draft(
        name: &str,
        kms_key: impl Into<KmsKey>,
        parameters: &Path,
        wrapping: WrappingAlgorithm,
    ) -> Self {
        Self {
            name: name.to_owned(),
            kms_key: kms_key.into(),
            parameters: parameters.to_owned(),
            wrapping,
            wrap_in: WrapIn::Hsm,
            expires: None,
            parameters_valid_to: None,
            wrapping_key_sha256: None,
            other_kms_key: None,
            witness_of: None,
            import_as: None,
            description: None,
        }
    }
}

impl Plan {
    /// A plan that is still to be written: what every plan has, without data keys.
    pub(crate) fn draft(title: &str, kind: Kind, hsm: HsmPlan, directory: &Path) -> Self {
        Self {
            path: PathBuf::new(),
            bytes: Vec::new(),
            sha256: Digest::default(),
            title: title.to_owned(),
            kind,
            network: Network::Forbidden,
            hsm,
            keys: Vec::new(),
            previous: None,
            previous_head: None,
            recover: None,
            reason: None,
            reuse_escrow: None,
            escrow: None,
            screen_recorded: None,
            directory: directory.to_owned(),
            witnesses: Vec::new(),
            apart: Vec::new(),
            signer: SignerPlan::Any,
        }
    }

    /// This plan as TOML, with paths relative to its own directory.
    pub(crate) fn written(&self, notes: &Notes) -> String {
        let mut page = Page {
            text: String::new(),
            notes,
            base: self.path.parent().unwrap_or(Path::new("")),
            places: vec![String::new()],
            width: 0,
        };
        page.top(self);
        page.table("machine", 7);
        page.word("network", self.network.name());
        page.hsm(self);
        for (at, key) in self.keys.iter().enumerate() {
            page.key(at, key);
        }
        page.recover(self);
        page.escrow(self);
        page.roles(self);
        page.record(self);
        page.text
    }
}

struct Page<'a> {
    text: String,
    notes: &'a Notes,
    /// The plan's directory.
    base: &'a Path,
    /// The current table, as `key.import.` and as `key.0.import.1.`.
    places: Vec<String>,
    /// The width of its fields' names.
    width: usize,
}

impl Page<'_> {
    fn top(&mut self, plan: &Plan) {
        self.width = if plan.previous.is_some() { 8 } else { 5 };
        self.word("title", &plan.title);
        self.word("kind", plan.kind.name());
        let previous = plan.previous.as_deref().map(|path| self.path(path));
        self.words("previous", previous.as_deref());
        let head = plan.previous_head.as_ref().map(|head| head.digits());
        self.words("previous_head", head);
        self.words("reason", plan.reason.as_deref());
        self.words("screen_recorded", plan.screen_recorded.as_deref());
        self.words("reuse_escrow", plan.reuse_escrow.as_deref());
    }

    fn hsm(&mut self, plan: &Plan) {
        let hsm = &plan.hsm;
        self.table("hsm", 6);
        self.word("module", &self.path(&hsm.module));
        self.word("token", &hsm.token.to_string());
        let pin = match &hsm.pin {
            PinSource::Prompt => "prompt".to_owned(),
            PinSource::PromptHalves => "prompt-halves".to_owned(),
            PinSource::PinPad => "pinpad".to_owned(),
            PinSource::File(path) => format!("file:{}", self.path(path)),
            PinSource::Descriptor(fd) => format!("fd:{fd}"),
        };
        self.word("pin", &pin);
        self.field("env", Some(list(&hsm.env)));
        self.words("hardware", hsm.hardware.as_deref());
    }

    fn key(&mut self, at: usize, key: &KeyPlan) {
        self.begin("\n[[key]]\n", vec!["key.".into(), format!("key.{at}.")], 5);
        self.word("label", &key.label);
        self.word("spec", key.spec.name());
        let bits = match key.spec {
            Spec::Hmac { hash, bytes } if bytes != hash.bytes() => Some(bytes * 8),
            _ => None,
        };
        self.field("bits", bits.map(|bits| bits.to_string()));
        self.word("keep", key.keep.name());
        let fingerprint = key.fingerprint.as_ref().map(ToString::to_string);
        self.words("fingerprint", fingerprint.as_deref());
        let source = match &key.source {
            Source::Hsm => None,
            Source::File(path) => Some(format!("file:{}", self.path(path))),
            Source::Token(_) => Some(key.source.to_string()),
        };
        self.words("source", source.as_deref());
        self.words("reason", key.reason.as_deref());
        for (nth, import) in key.imports.iter().enumerate() {
            let own = format!("key.{at}.import.{nth}.");
            self.begin("\n[[key.import]]\n", vec!["key.import.".into(), own], 10);
            self.import(import);
        }
    }

    fn import(&mut self, import: &ImportPlan) {
        self.word("name", &import.name);
        let key = import.kms_key.as_str();
        match import.kms_key.word {
            None => self.word("key_arn", key),
            Some(kms) => {
                self.word("kms", kms);
                self.word("key", key);
            }
        }
        self.word("parameters", &self.path(&import.parameters));
        self.word("wrapping", import.wrapping.name());
        self.word("wrap_in", &import.wrap_in.to_string());
        let never = || "never".to_owned();
        self.word(
            "expires",
            &import.expires.map_or_else(never, |at| at.to_string()),
        );
        let valid_to = import.parameters_valid_to.map(|at| at.to_string());
        self.words("parameters_valid_to", valid_to.as_deref());
        let slip = import.wrapping_key_sha256.map(|digest| words::hex(&digest));
        self.words("wrapping_key_sha256", slip.as_deref());
        self.words("other_kms_key", import.other_kms_key.as_deref());
        self.words("witness_of", import.witness_of.as_deref());
        self.words("import_type", import.import_as.map(ImportAs::name));
        self.words("description", import.description.as_deref());
    }

    fn recover(&mut self, plan: &Plan) {
        let Some(recover) = &plan.recover else {
            return self.no_table("recover");
        };
        self.table("recover", 7);
        let shares = match &recover.shares {
            ShareSource::Typed => "typed".to_owned(),
            ShareSource::Files(directory) => format!("files:{}", self.path(directory)),
        };
        self.word("shares", &shares);
        let package = match &recover.package {
            PackageSource::Record => "record".to_owned(),
            PackageSource::Typed => "typed".to_owned(),
            // a file with such a name is neither of the two
            PackageSource::File(path) => match self.path(path) {
                name if ["record", "typed"].contains(&name.as_str()) => format!("./{name}"),
                path => path,
            },
        };
        self.word("package", &package);
    }

    fn escrow(&mut self, plan: &Plan) {
        let Some(escrow) = &plan.escrow else {
            return self.no_table("escrow");
        };
        self.table("escrow", 10);
        let policy = &escrow.policy;
        match policy.groups() {
            [one] => {
                self.field("threshold", Some(one.threshold.to_string()));
                self.field("custodians", Some(list(&one.custodians)));
            }
            groups => {
                let needed = policy.groups_needed().to_string();
                self.field("groups_threshold", Some(needed));
                let groups: String = groups.iter().map(group).collect();
                self.field("groups", Some(format!("[\n{groups}]")));
            }
        }
        let deliver = match &escrow.deliver {
            Deliver::Screen => "screen".to_owned(),
            Deliver::Files(directory) => format!("files:{}", self.path(directory)),
        };
        self.word("deliver", &deliver);
    }

    fn roles(&mut self, plan: &Plan) {
        if plan.apart.is_empty() {
            return self.no_table("roles");
        }
        self.table("roles", 5);
        let pairs: Vec<String> = plan
            .apart
            .iter()
            .map(|pair| pair.name().to_owned())
            .collect();
        self.field("apart", Some(list(&pairs)));
    }

    fn record(&mut self, plan: &Plan) {
        self.table("record", 9);
        self.word("directory", &self.path(&plan.directory));
        let witnesses = (!plan.witnesses.is_empty()).then(|| list(&plan.witnesses));
        self.field("witnesses", witnesses);
        let signer = match &plan.signer {
            SignerPlan::Any => None,
            SignerPlan::Named(digest) => Some(fingerprint(digest)),
            SignerPlan::Nobody => Some("none".to_owned()),
        };
        self.words("signer", signer.as_deref());
    }

    fn table(&mut self, name: &str, width: usize) {
        self.begin(&format!("\n[{name}]\n"), vec![format!("{name}.")], width);
    }

    fn begin(&mut self, heading: &str, places: Vec<String>, width: usize) {
        self.text += heading;
        (self.places, self.width) = (places, width);
    }

    /// The note in the place of a missing table.
    fn no_table(&mut self, name: &str) {
        if let Some(note) = self.notes.above.get(name) {
            self.text.push('\n');
            self.comment(note);
        }
    }

    fn word(&mut self, name: &str, text: &str) {
        self.words(name, Some(text));
    }

    fn words(&mut self, name: &str, text: Option<&str>) {
        self.field(name, text.map(quoted));
    }

    /// A field, if the plan has it, with its notes.
    fn field(&mut self, name: &str, value: Option<String>) {
        /// The column in which words beside a field begin.
        const BESIDE: usize = 32;
        let notes = self.notes;
        for place in self.places.clone() {
            if let Some(note) = notes.above.get(&(place + name)) {
                self.comment(note);
            }
        }
        let Some(value) = value else {
            return;
        };
        let line = format!("{name:<width$} = {value}", width = self.width);
        let places = self.places.iter().rev();
        let beside = places.filter_map(|place| notes.beside.get(&format!("{place}{name}")));
        let _ = match beside.into_iter().next() {
            Some(told) => writeln!(self.text, "{line:<BESIDE$}   # {}", words::printable(told)),
            None => writeln!(self.text, "{line}"),
        };
    }

    /// Each line separately: whatever a note contains, no line of it can become a field.
    fn comment(&mut self, note: &str) {
        for line in note.lines() {
            let _ = writeln!(self.text, "# {}", words::printable(line));
        }
    }

    /// A path in the plan's spelling.
    fn path(&self, path: &Path) -> String {
        let near = path.strip_prefix(self.base).unwrap_or(path);
        match near.as_os_str().is_empty() {
            true => ".".to_owned(),
            false => near.to_string_lossy().into_owned(),
        }
    }
}

/// A line of `groups`.
fn group(group: &Group) -> String {
    let (name, custodians) = (quoted(&group.name), list(&group.custodians));
    let threshold = group.threshold;
    format!("    {{ name = {name}, threshold = {threshold}, custodians = {custodians} }},\n")
}

fn list(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests;
