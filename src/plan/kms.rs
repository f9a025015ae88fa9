//! The KMSs that data keys go to, and what each asks of a ceremony.
//!
//! A KMS gives *import parameters*: always an RSA public key to wrap under, and with it whatever that KMS wants back. What
//! differs from one to the next stands in its own file, in one [`Elsewhere`]: how a plan names its key, its parameters,
//! what it takes. AWS KMS has more to say, in a folder. [`KmsKey`] is the one list of them.

use std::ops::Deref;
use std::path::Path;

use jiff::Timestamp;

use crate::crypto::spec::{Refusal, Spec, Taken};
use crate::crypto::wrapping::WrappingAlgorithm;
use crate::crypto::wrapping::key::WrappingKey;
use crate::ground::clock;
use crate::ground::error::{Error, Result};
use crate::ground::words::{self, Digest};

mod answer;
pub(crate) mod arn;
pub mod aws;
pub(crate) mod azure;
mod file;
pub(crate) mod google;
pub(crate) mod name;
pub(crate) mod oci;
pub(crate) mod transit;

use answer::Answer;
pub(crate) use answer::{Answered, der_of};
pub(crate) use arn::KeyArn;
pub(crate) use file::ParameterFile;
use name::{Name, Shape};

/// What only people know, in a plan that byok writes.
pub(crate) const FILL_IN: &str = "FILL-IN";

/// The key that an import goes to, as its KMS names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum KmsKey {
    /// A key of AWS KMS.
    Aws(KeyArn),
    /// A key of the transit engine of OpenBao.
    OpenBao(Name),
    /// One of Vault's.
    Vault(Name),
    /// A key of a vault or a Managed HSM of Azure.
    Azure(Name),
    /// A key of Google Cloud KMS.
    Google(Name),
    /// A key of a vault of OCI.
    Oci(Name),
}

/// What is so of every key of a KMS. In some texts the parts of the key's name have places, such as `{vault}`.
pub(crate) struct Facts {
    /// What the KMS is called, for people.
    pub kms: &'static str,
    /// The plan's word for it; AWS KMS needs none.
    pub word: Option<&'static str>,
    /// The script of its online half, as it is typed behind `bash`.
    pub script: &'static str,
    /// Where it answers: a Region, or scheme and host.
    place: &'static str,
    /// What has its wrapping keys to itself: no two such share one. A key of AWS KMS does; elsewhere what holds the key.
    owner: &'static str,
    /// What the script of the online half is asked for import parameters, if that is one thing for all.
    source: Option<&'static str>,
    /// How long its wrapping keys can be, in bits.
    pub wrapping_key_bits: &'static [usize],
    /// Whether its import parameters are for one algorithm only.
    pub binds_algorithm: bool,
    /// How long import parameters are of use.
    pub lifetime: Lifetime,
    /// Who compares the material with what was there before, if the KMS does not always do it.
    no_guard: Option<&'static str>,
    /// What is not established about RSA_AES_KEY_WRAP_* there.
    doubt: Option<&'static str>,
    /// Whether the KMS shows only by decrypting that it has such a data key.
    pub proves_by_decrypting: fn(Spec) -> bool,
    /// What is beside WrappedKeyMaterial.bin: name and meaning of each file.
    pub beside: &'static [(&'static str, &'static str)],
}

/// How long import parameters are of use.
#[derive(Clone, Copy)]
pub(crate) enum Lifetime {
    /// So many hours after they were made.
    Hours(i64),
    /// They have no deadline, which means this.
    Endless(&'static str),
}

/// Why a KMS does not take something, behind its name, and what to do.
pub(crate) type No = (&'static str, &'static str);

/// What a data key can be there: names with spaces between, the usual first.
pub(crate) type Called = std::result::Result<&'static str, No>;

/// A KMS other than AWS KMS.
pub(crate) struct Elsewhere {
    facts: Facts,
    /// What a key's name looks like, for people.
    example: &'static str,
    /// A key of each kind that takes other data keys than the rest.
    kinds: &'static [&'static str],
    /// How keys are named.
    pub shape: Shape,
    /// A key of that name.
    pub key: fn(Name) -> KmsKey,
    /// What a data key can be there, as the KMS calls it, the usual first; or why it can be nothing.
    called: fn(&Name, Spec) -> Called,
    /// Whether the KMS unwraps such a data key with this algorithm.
    unwraps: fn(Spec, WrappingAlgorithm) -> std::result::Result<(), No>,
    /// Its import parameters.
    pub answer: Answer,
    /// The parts of a key's name, for import parameters that say none of them.
    pub unsaid: &'static [&'static str],
    /// Whether import parameters are for this key, now, besides what is asked of all.
    judge: fn(&Answered, &Name, Timestamp) -> Result<()>,
    /// The last part of the name that a label gives.
    pub labelled: fn(&str) -> String,
    /// Import parameters with this wrapping key as the command prints them, for a rehearsal.
    practice: fn(&Name, &WrappingKey, WrappingAlgorithm) -> String,
}

/// Every KMS but AWS KMS, which a plan need not name.
pub(crate) const ELSEWHERE: [&Elsewhere; 5] = [
    &transit::OPENBAO,
    &transit::VAULT,
    &azure::KEY_VAULT,
    &google::GOOGLE,
    &oci::OCI,
];

/// What a plan says about import parameters.
pub(crate) struct Wanted<'p> {
    /// Where they are.
    pub path: &'p Path,
    /// The algorithm that they must be for.
    pub wrapping: WrappingAlgorithm,
    /// `parameters_valid_to`.
    pub valid_to: Option<Timestamp>,
}

/// What import parameters give.
pub(crate) struct Given {
    /// The RSA public key to wrap under.
    pub wrapping_key: WrappingKey,
    /// The KMS's own name of it, if the KMS wants that back.
    pub wrapping_key_id: Option<String>,
    /// The import token, if the KMS wants one.
    pub token: Option<ImportToken>,
    /// Until when the KMS takes the material; `None`: for as long as the wrapping key exists.
    pub valid_to: Option<Timestamp>,
    /// The files that were read.
    pub files: Vec<ParameterFile>,
}

/// The import token of AWS KMS.
pub(crate) struct ImportToken {
    /// Opaque; only KMS opens it.
    pub bytes: Vec<u8>,
    /// Whether the parameters name their KMS key.
    pub names_key: bool,
}

impl Elsewhere {
    /// Reads import parameters from a file.
    ///
    /// # Errors
    /// Exit 2: no such file, not a regular file, or not such an answer, with what it is instead. Exit 4: they are of no
    /// use.
    fn read(&self, path: &Path) -> Result<(Answered, ParameterFile)> {
        let (bytes, file) = file::read_one(path, self.answer.fetch)?;
        Ok((self.parse(&bytes).map_err(|e| e.doing(&file.name))?, file))
    }

    /// Reads them from the bytes of one file.
    ///
    /// # Errors
    /// As [`read`](Self::read), except for those of opening.
    pub(crate) fn parse(&self, bytes: &[u8]) -> Result<Answered> {
        let answered = self.answer.parse(bytes)?;
        let whose = format!("those of {}", self.facts.kms);
        answer::of_length(&answered.wrapping_key, self.facts.wrapping_key_bits, &whose)?;
        Ok(answered)
    }

    /// Until when the KMS takes material by them, if they have a deadline.
    pub(crate) fn deadline(&self, answered: &Answered) -> Option<Timestamp> {
        match self.facts.lifetime {
            Lifetime::Hours(_) => answered.until,
            Lifetime::Endless(_) => None,
        }
    }

    fn name_it(&self) -> String {
        format!("name it {}", self.example)
    }
}

/// A key of each kind of each KMS, as far as it matters what they take.
pub(crate) fn each_kind() -> Vec<KmsKey> {
    let elsewhere = ELSEWHERE.iter().flat_map(|row| {
        let names = row.kinds.iter().map(|name| row.shape.read(name));
        names.flatten().map(row.key)
    });
    let aws = KmsKey::from(KeyArn::to_fill_in());
    std::iter::once(aws).chain(elsewhere).collect()
}

/// The wrapping key in the bytes of one file, or why there is none, by the reader of each KMS but AWS KMS.
pub fn by_each_reader(bytes: &[u8]) -> impl Iterator<Item = Result<WrappingKey>> {
    let each = ELSEWHERE.iter().map(move |row| row.parse(bytes));
    each.map(|read| read.map(|answered| answered.wrapping_key))
}

/// The script of the online half of the KMS with this word, as it is typed behind `bash`; AWS KMS has no word.
pub(crate) fn script(word: &str) -> &'static str {
    of_word(word).map_or(aws::FACTS.script, |row| row.facts.script)
}

fn of_word(word: &str) -> Option<&'static Elsewhere> {
    let mut rows = ELSEWHERE.into_iter();
    rows.find(|row| row.facts.word == Some(word))
}

/// What is so of every key of its KMS reads as if it were the key's own: `key.kms`, `key.script`.
impl Deref for KmsKey {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        match self.elsewhere() {
            Ok((row, _)) => &row.facts,
            Err(_) => &aws::FACTS,
        }
    }
}

impl KmsKey {
    /// Reads `kms`, and the key's name in the field that this KMS has for it.
    ///
    /// # Errors
    /// Exit 2 for a KMS that byok does not know, and for a name that is not one of that KMS.
    pub(crate) fn parse(
        kms: Option<&str>,
        key_arn: Option<&str>,
        key: Option<&str>,
    ) -> Result<Self> {
        let kms = kms.unwrap_or("aws");
        let refuse = |what: String, hint: &str| Err(Error::usage(what).hint(hint));
        match (of_word(kms), key_arn, key) {
            (None, ..) if kms != "aws" => refuse(
                format!("kms {kms:?} is not one of {}", known()),
                "without `kms` it is aws",
            ),
            (None, None, _) => refuse(
                "it has no key_arn".into(),
                "name the key of AWS KMS by its ARN; `key` is for other KMSs, with `kms`",
            ),
            (None, Some(arn), None) => Ok(Self::Aws(KeyArn::parse(arn)?.in_its_partition()?)),
            (_, Some(_), _) => refuse(
                match key {
                    Some(_) => "it has both key_arn and `key`".into(),
                    None => format!("kms = {kms:?} takes `key`, not key_arn"),
                },
                "key_arn is for AWS KMS alone, `key` for every other KMS",
            ),
            (Some(row), None, None) => refuse("it has no `key`".into(), &row.name_it()),
            (Some(row), None, Some(name)) if name.contains(FILL_IN) => {
                refuse(format!("key {name:?} is not filled in"), &row.name_it())
            }
            (Some(row), None, Some(name)) => match row.shape.read(name) {
                Ok(name) => Ok((row.key)(name)),
                Err(why) => refuse(format!("key {name:?} {why}"), &row.name_it()),
            },
        }
    }

    /// What its KMS says, and the name; of a key of AWS KMS the ARN.
    fn elsewhere(&self) -> std::result::Result<(&'static Elsewhere, &Name), &KeyArn> {
        Ok(match self {
            Self::Aws(arn) => return Err(arn),
            Self::OpenBao(name) => (&transit::OPENBAO, name),
            Self::Vault(name) => (&transit::VAULT, name),
            Self::Azure(name) if azure::is_in_hsm(name) => (&azure::HSM, name),
            Self::Azure(name) => (&azure::KEY_VAULT, name),
            Self::Google(name) => (&google::GOOGLE, name),
            Self::Oci(name) => (&oci::OCI, name),
        })
    }

    /// The whole name: of one KMS the same text is the same key.
    pub(crate) fn as_str(&self) -> &str {
        match self.elsewhere() {
            Ok((_, name)) => name.as_str(),
            Err(arn) => arn.as_str(),
        }
    }

    /// A text of [`Facts`], for this key.
    fn filled(&self, text: &'static str) -> String {
        match self.elsewhere() {
            Ok((row, name)) => name
                .fill(&text.replace("{owner}", row.facts.owner))
                .replace("{kms}", self.kms),
            Err(arn) => text
                .replace("{arn}", arn.as_str())
                .replace("{region}", arn.region()),
        }
    }

    /// The ARN, for what only AWS KMS knows: Regions, accounts, several materials of one key.
    pub(crate) fn arn(&self) -> Option<&KeyArn> {
        self.elsewhere().err()
    }

    /// Whether the other name is that of this same multi-Region key in another Region.
    pub(crate) fn is_replica_of(&self, other: &str) -> bool {
        self.arn().is_some_and(|arn| arn.is_replica_of(other))
    }

    /// Whether it is one Region's part of a multi-Region key.
    pub(crate) fn is_multi_region(&self) -> bool {
        self.arn().is_some_and(KeyArn::is_multi_region)
    }

    /// Where its KMS answers: a Region, or scheme and host.
    pub(crate) fn place(&self) -> String {
        self.filled(self.place)
    }

    /// What has the wrapping keys of its import parameters to itself.
    pub(crate) fn owner(&self) -> String {
        self.filled(self.owner)
    }

    /// The command of the online half that gets import parameters, with their slip; without the file that it writes. AWS
    /// KMS has none for all.
    pub(crate) fn parameters(&self) -> Option<String> {
        let source = self.filled(self.source?);
        Some(format!("bash {} parameters {source} --out", self.script))
    }

    /// Who compares the material with what was there before, if the KMS does not always do it.
    pub(crate) fn no_guard(&self) -> Option<String> {
        self.no_guard.map(|told| self.filled(told))
    }

    /// What is not established about this algorithm there.
    pub(crate) fn doubt(&self, wrapping: WrappingAlgorithm) -> Option<&'static str> {
        self.doubt.filter(|_| wrapping.is_rsa_aes())
    }

    /// What such a data key can be there, as the KMS calls it: names with spaces between, the usual first; none of AWS KMS.
    ///
    /// # Errors
    /// Why the KMS never takes it.
    pub(crate) fn called(&self, spec: Spec) -> Taken<&'static str> {
        let Ok((row, name)) = self.elsewhere() else {
            return Ok("");
        };
        let refuse = |(why, hint)| Refusal::new(format!("{} {why}", self.kms), hint);
        (row.called)(name, spec).map_err(refuse)
    }

    /// Whether the KMS takes such a data key wrapped with this algorithm, as far as the plan alone says.
    ///
    /// # Errors
    /// Why not; of a data key that it never takes, why it does not.
    pub(crate) fn takes(&self, spec: Spec, wrapping: WrappingAlgorithm) -> Taken {
        self.called(spec)?;
        match self.elsewhere() {
            Err(arn) => aws::takes(spec, wrapping, arn.is_china()),
            Ok((row, _)) => (row.unwraps)(spec, wrapping).map_err(|(why, hint)| {
                Refusal::new(format!("wrapping {wrapping}: {} {why}", self.kms), hint)
            }),
        }
    }

    /// Whether the KMS takes it under a wrapping key of this many bits.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn fits(
        &self,
        spec: Spec,
        wrapping: WrappingAlgorithm,
        wrapping_key_bits: usize,
    ) -> Taken {
        match self.elsewhere() {
            Err(_) => aws::fits(spec, wrapping, wrapping_key_bits),
            Ok(_) => Ok(()), // what they take fits under the shortest wrapping key that they have
        }
    }

    /// Reads and judges import parameters: whether they are for this key, and of use now but for their deadline.
    ///
    /// # Errors
    /// Exit 2: the file itself. Exit 4: they are for another key, another algorithm, or of no use. Exit 5: the file cannot be
    /// read.
    pub(crate) fn read(&self, wanted: &Wanted) -> Result<Given> {
        let (row, name) = match self.elsewhere() {
            Ok(elsewhere) => elsewhere,
            Err(arn) => return aws::given(arn, wanted),
        };
        let (answered, file) = row.read(wanted.path)?;
        in_one_place(row, &answered, name)?;
        same_algorithm(answered.wrapping, wanted.wrapping)?;
        (row.judge)(&answered, name, clock::now())?;
        Ok(Given {
            valid_to: row.deadline(&answered),
            wrapping_key: answered.wrapping_key,
            wrapping_key_id: answered.id,
            token: None,
            files: vec![file],
        })
    }

    /// The deadline of import parameters, as they say it: nothing else about them is judged.
    pub(crate) fn deadline(&self, wanted: &Wanted) -> Option<Timestamp> {
        match self.elsewhere() {
            Err(_) => aws::deadline(wanted),
            Ok((row, _)) => row.deadline(&row.read(wanted.path).ok()?.0),
        }
    }

    /// Import parameters with this wrapping key as the command prints them, for a rehearsal; AWS KMS has a token too.
    pub(crate) fn practice(
        &self,
        key: &WrappingKey,
        wrapping: WrappingAlgorithm,
    ) -> Option<String> {
        let (row, name) = self.elsewhere().ok()?;
        Some((row.practice)(name, key, wrapping))
    }

    /// The algorithms with which its KMS takes such a data key, the best first.
    pub(crate) fn algorithms(&self, spec: Spec) -> impl Iterator<Item = WrappingAlgorithm> + '_ {
        let all = WrappingAlgorithm::BEST_FIRST.into_iter();
        all.filter(move |wrapping| self.takes(spec, *wrapping).is_ok())
    }

    /// The best of them.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn usual(&self, spec: Spec) -> Taken<WrappingAlgorithm> {
        let best = WrappingAlgorithm::BEST_FIRST[0];
        match self.algorithms(spec).next() {
            Some(wrapping) => Ok(wrapping),
            None => self.takes(spec, best).map(|()| best),
        }
    }

    /// How to name it, if people have to fill in a part of the name.
    pub(crate) fn to_fill_in(&self) -> Option<&'static str> {
        let (row, name) = self.elsewhere().ok()?;
        name.as_str().contains(FILL_IN).then_some(row.example)
    }

    /// How the online side gets import parameters for it.
    pub(crate) fn fetch(&self) -> String {
        match self.parameters() {
            None => "download them on the online side (aws kms get-parameters-for-import), at most 24 hours before the ceremony".into(),
            Some(command) => format!("fetch them on the online side: {command} FILE"),
        }
    }
}

/// Refuses import parameters from where another key is.
fn in_one_place(row: &Elsewhere, answered: &Answered, into: &Name) -> Result<()> {
    let owner = |name: &Name| name.fill(row.facts.owner);
    let (Some(of), Some(id)) = (&answered.of, &answered.id) else {
        return Ok(());
    };
    if owner(of) == owner(into) {
        return Ok(());
    }
    let (_, is, own) = row.answer.id;
    let (of, into) = (owner(of), owner(into));
    Err(row.answer.useless(format!(
        "the {is} {id} is in {of}, but the plan's key in {into}: a key takes only what was wrapped for {own}"
    )))
}

/// Refuses import parameters for another algorithm, if they are for one.
fn same_algorithm(is: Option<WrappingAlgorithm>, wanted: WrappingAlgorithm) -> Result<()> {
    match is.filter(|is| *is != wanted) {
        None => Ok(()),
        Some(is) => Err(Error::mismatch(format!(
            "the parameters are for {is}, but the plan says {wanted}"
        ))
        .check("WRAPPING-ALGORITHM-MATCH")
        .hint("KMS unwraps only with the algorithm for which they were made: change the plan, or get parameters made for its algorithm")),
    }
}

/// The words for all KMSs.
fn known() -> String {
    let words = ELSEWHERE.iter().filter_map(|row| row.facts.word);
    let words: Vec<&str> = ["aws"].into_iter().chain(words).collect();
    words.join(", ")
}

/// One digest over all parameter files: SHA-256 of the lines `<sha256 hex>  <name>\n`, sorted by name
/// bytewise, which are the lines of the online side's `SHA256SUMS`.
pub fn parameter_files_digest(files: &[ParameterFile]) -> Digest {
    let mut files: Vec<&ParameterFile> = files.iter().collect();
    files.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    let lines: String = files
        .iter()
        .map(|file| format!("{}  {}\n", words::hex(&file.sha256), file.name))
        .collect();
    words::sha256(lines.as_bytes())
}

/// The command that shows the rows of [`parameter_files_digest`] with stock tools on the online side. It covers exactly
/// the files that the script wrote into SHA256SUMS, whatever else is in the folder.
pub fn slip_command(folder: &str) -> String {
    format!(
        "(cd {folder} && sha256sum -c SHA256SUMS &&\n      \
         sha256sum < SHA256SUMS | cut -c 1-64 | fold -w 8 | cat -n)"
    )
}

impl From<KeyArn> for KmsKey {
    fn from(arn: KeyArn) -> Self {
        Self::Aws(arn)
    }
}

impl std::fmt::Display for KmsKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
