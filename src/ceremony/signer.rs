//! Who signs the transcript: a key pair in the HSM, chosen or made in step 4.
//!
//! A signer that this run made signs the transcript of an aborted run too, and is destroyed after that. So
//! its `key-destroyed` cannot be in what it signed: the last line says it beforehand
//! (`signer_destroyed`), and the record gets its name only afterwards. If the destruction fails, the
//! signer is still there, and signs a last line that names it as left (`may_be_left`).

use super::generate::not_the_only_one;
use super::{Ceremony, Error, Hsm, KeyId, Plan, Result, Vault, screens, transcript, words};
use crate::crypto::key_id::SIGNER_LABEL;
use crate::crypto::sshsig::Verdict;
use crate::crypto::sshsig::{self, Signature};
use crate::evidence::transcript::TranscriptSigner;
use crate::hsm::{FoundSigner, SigningKey};
use crate::plan::{Kind, SignerPlan};

/// How many rows of its digest are shown for paper.
const ROWS: usize = 3;

/// The signer of a ceremony under way.
#[derive(Default)]
pub(super) struct Signing {
    /// What this run asked the HSM to make.
    pub intended: Option<KeyId>,
    /// The key, once it is proved.
    pub key: Option<SigningKey>,
}

impl Signing {
    /// Whether this run made it.
    pub(super) fn is_made(&self) -> bool {
        self.intended.is_some() && self.key.is_some()
    }
}

/// Whether step 4 would have a signer, without making one that stays.
///
/// # Errors
/// As that step.
pub(crate) fn could_sign(plan: &Plan, hsm: &Hsm) -> Result<()> {
    let key = match &plan.signer {
        SignerPlan::Nobody => return Ok(()),
        SignerPlan::Named(digest) => Some(named(hsm.signers()?, digest)?),
        SignerPlan::Any => only(hsm.signers()?)?,
    };
    let tried = match &key {
        Some(key) => hsm.prove_signer(key),
        None => hsm.try_signer(),
    };
    tried.map_err(hinted)
}

impl Ceremony<'_> {
    /// Part of step 4.
    pub(super) fn choose_signer(&mut self, vault: &mut Vault) -> Result<()> {
        let found = match self.plan().signer {
            SignerPlan::Nobody => {
                return self.note("the transcript is not signed: the plan says signer = \"none\"");
            }
            _ => vault.hsm.signers()?,
        };
        let (origin, key) = match &self.plan().signer {
            SignerPlan::Named(digest) => ("named", named(found, digest)?),
            _ => match only(found)? {
                Some(key) => ("found", key),
                None => ("made", self.make_signer(vault)?),
            },
        };
        vault.hsm.prove_signer(&key).map_err(hinted)?;
        let before = self
            .previous()
            .as_ref()
            .and_then(|previous| previous.signer.as_ref());
        let changed = before
            .map(|signer| signer.fingerprint.clone())
            .filter(|fingerprint| *fingerprint != key.public.fingerprint());
        self.ledger.append(TranscriptSigner {
            origin: origin.into(),
            label: SIGNER_LABEL.into(),
            cka_id: key.id(),
            public_key: key.public.to_string(),
            fingerprint: key.public.fingerprint(),
            attributes: key.attributes.clone(),
            previous_fingerprint: changed.clone(),
        })?;
        self.desk.say(&shown(origin, &key));
        vault.signing.key = Some(key);
        match changed {
            Some(before) => self.tell_change(&before),
            None => Ok(()),
        }
    }

    /// A different signer is normal on a different HSM and suspicious on the same one.
    fn tell_change(&mut self, before: &str) -> Result<()> {
        let what = format!("the previous record was signed by another key, {before}");
        if self.plan().kind == Kind::Recover {
            self.desk.say(&screens::fold(&what, "      "));
            return Ok(());
        }
        self.note(&what)
    }

    fn make_signer(&mut self, vault: &mut Vault) -> Result<SigningKey> {
        let id = KeyId::random()?;
        self.ledger.append(transcript::SignerIntended {
            label: SIGNER_LABEL.into(),
            cka_id: id.to_string(),
        })?;
        self.ledger.sync()?;
        vault.signing.intended = Some(id);
        let made = vault
            .hsm
            .make_signer(id)
            .map_err(|e| hinted(e.doing("making the transcript signer")))?;
        let found = vault.hsm.signers()?;
        let found: Vec<&str> = found.iter().map(|signer| signer.id.as_str()).collect();
        match found == [made.id()] {
            true => Ok(made),
            false => Err(not_the_only_one(SIGNER_LABEL, &found)),
        }
    }

    /// Whether this object is the signer that the plan names: traces of a run that name it were planted.
    /// (The signer of the previous record is never a leftover: see [`before`](super::before).)
    pub(super) fn is_signer_in_use(&self, vault: &Vault, label: &str, id: KeyId) -> Result<bool> {
        if label != SIGNER_LABEL {
            return Ok(false);
        }
        let SignerPlan::Named(digest) = &self.plan().signer else {
            return Ok(false);
        };
        let id = id.to_string();
        let found = vault.hsm.signers()?;
        Ok(found
            .iter()
            .any(|signer| signer.id == id && is(signer, digest)))
    }

    /// Destroys the signer if this run made it. Returns a signer that may still be there.
    pub(super) fn destroy_signer(&mut self, vault: &mut Vault) -> Option<(String, KeyId)> {
        let id = vault.signing.intended.take()?;
        match self.destroy_one(vault, SIGNER_LABEL, id) {
            Ok(_) => None,
            Err(_) => Some((SIGNER_LABEL.to_owned(), id)),
        }
    }
}

impl Vault {
    /// The same signer in a new session; the handle belonged to the old one.
    pub(super) fn find_signer_again(&mut self) -> Result<()> {
        let Some(before) = &self.signing.key else {
            return Ok(());
        };
        let key = named(self.hsm.signers()?, &before.public.digest())?;
        self.hsm.prove_signer(&key)?;
        self.signing.key = Some(key);
        Ok(())
    }

    /// The signature over a transcript, as its file; `None` if the ceremony has no signer. It is verified in
    /// software before anybody relies on it.
    ///
    /// # Errors
    /// Exit 3 if the HSM does not sign, or its signature does not hold.
    pub(super) fn sign(&self, rehearsal: bool, transcript: &[u8]) -> Result<Option<String>> {
        let Some(key) = &self.signing.key else {
            return Ok(None);
        };
        let doing = |e: Error| e.doing("signing the transcript in the HSM");
        let namespace = crate::evidence::transcript::namespace(rehearsal);
        let digest = sshsig::digest_to_sign(namespace, transcript);
        let signed = self.hsm.sign(key, &digest).map_err(doing)?;
        let file = Signature::p256(key.public.clone(), namespace, &signed).armored();
        let transcript = sshsig::Message::new(transcript);
        let read = Signature::parse(file.as_bytes()).and_then(|s| s.verify(namespace, &transcript));
        match read {
            Ok(Verdict::Holds) => Ok(Some(file)),
            Ok(_) => Err(doing(Error::hsm("it cannot be verified here"))),
            Err(why) => Err(doing(Error::hsm(why).check("SIGNER"))),
        }
    }
}

/// What to do if the HSM has no signer.
fn hinted(error: Error) -> Error {
    error
        .hint("an HSM without ECDSA on P-256 can hold a ceremony whose transcript is not signed:")
        .hint("signer = \"none\" in the plan; the record then says so as an exception")
}

fn is(found: &FoundSigner, digest: &words::Digest) -> bool {
    let key = found.key.as_ref();
    key.is_ok_and(|key| key.public.digest() == *digest)
}

/// The signer that the plan names.
fn named(found: Vec<FoundSigner>, digest: &words::Digest) -> Result<SigningKey> {
    let wanted = sshsig::fingerprint(digest);
    let others: Vec<String> = found.iter().map(described).collect();
    let mut matching = found.into_iter().filter(|found| is(found, digest));
    if let Some(found) = matching.next() {
        return found.key;
    }
    let error = Error::hsm(format!(
        "the token does not hold the transcript signer {wanted} that the plan names"
    ))
    .check("SIGNER");
    let error = others
        .iter()
        .fold(error, |e, other| e.hint(format!("there is {other}")));
    Err(error.hint("is this the right token? If the HSM is a different one, take signer out of the plan: the record then names the new signer"))
}

/// The only signer in the token, if there is any.
fn only(mut found: Vec<FoundSigner>) -> Result<Option<SigningKey>> {
    let Some(last) = found.pop() else {
        return Ok(None);
    };
    if found.is_empty() {
        let doing = format!("the transcript signer in the token, CKA_ID {}", last.id);
        return last.key.map(Some).map_err(|e| {
            let check = e.check.unwrap_or("SIGNER");
            e.doing(doing).check(check)
        });
    }
    found.push(last);
    let error = Error::hsm(format!(
        "the token holds {} private keys labelled {SIGNER_LABEL:?}; byok does not guess which one signs",
        found.len()
    ))
    .check("SIGNER");
    let error = found.iter().fold(error, |e, one| {
        e.hint(format!("there is {}", described(one)))
    });
    Err(error.hint(
        "name the right one in the plan, from paper or an earlier record: signer = \"SHA256:…\"",
    ))
}

fn described(found: &FoundSigner) -> String {
    match &found.key {
        Ok(key) => format!("{}, CKA_ID {}", key.public.fingerprint(), found.id),
        Err(error) => format!("CKA_ID {}: {}", found.id, error.what),
    }
}

/// What people write down about it.
fn shown(origin: &str, key: &SigningKey) -> String {
    let what = match origin {
        "made" => "made in the token; write it on paper",
        "found" => "found in the token; compare with the paper",
        _ => "as the plan names it; compare with the paper",
    };
    let digest = key.public.digest();
    let mut text = format!(
        "      transcript signer {what}:\n      {}\n",
        key.public.fingerprint()
    );
    for number in 1..=ROWS {
        text += &format!("        row {number}   {}\n", words::row(&digest, number));
    }
    text
}
