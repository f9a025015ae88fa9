//! Tries each path of an HSM: which data keys it makes, how each is wrapped, and which of them an escrow can hold.

use serde::Serialize;

use crate::ceremony::tries::Tries;
use crate::crypto::spec::Spec;
use crate::crypto::wrapping::{ControlKey, WrappingAlgorithm};
use crate::ground::error::Result;
use crate::hsm::Hsm;
use crate::plan::WrapIn;
use crate::plan::kms::{self, KmsKey};

/// The sizes of wrapping key, in bits. The middle one is used if one is enough: P-521 does not fit under the first with
/// RSAES-OAEP.
const SIZES: [usize; 3] = [2048, 3072, 4096];
const ONE_SIZE: usize = 3072;

/// One way to wrap one kind of data key, and whether it works.
#[derive(Serialize)]
pub(super) struct Path {
    pub spec: &'static str,
    pub wrapping: WrappingAlgorithm,
    pub wrapped_in: WrapIn,
    pub wrapping_key_spec: &'static str,
    #[serde(skip)]
    of: (Spec, usize),
    pub works: bool,
    /// How the HSM does RSA_AES_KEY_WRAP: CKM_RSA_AES_KEY_WRAP in one call, or the AES-KWP of two parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Whether the HSM makes a kind of data key.
#[derive(Serialize)]
pub(super) struct Made {
    pub spec: &'static str,
    /// Whether it was tried: long RSA keys take minutes in some HSMs.
    pub tried: bool,
    pub works: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Whether an escrow key wraps a kind of data key and brings it back.
#[derive(Serialize)]
pub(super) struct Escrow {
    pub spec: &'static str,
    pub wrapping: &'static str,
    pub works: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Everything that was found out.
pub(super) struct Examination {
    /// Whether every spec was tried under every size of wrapping key.
    pub all: bool,
    pub made: Vec<Made>,
    pub paths: Vec<Path>,
    pub escrow: Vec<Escrow>,
    /// The keys of the plan; without a plan one of each kind of each KMS.
    kms_keys: Vec<KmsKey>,
    is_of_plan: bool,
}

/// Which KMSs take what this HSM wraps in a certain way.
#[derive(Serialize)]
pub(super) struct Served {
    pub wrapping: WrappingAlgorithm,
    pub wrap_in: WrapIn,
    pub kms: Vec<&'static str>,
}

impl Examination {
    /// Tries everything; says on standard error what takes seconds.
    ///
    /// # Errors
    /// Exit 3 if a control key stays in the session; exit 5 if none can be made here.
    pub(crate) fn of(hsm: &mut Hsm, all: bool, of_plan: Vec<KmsKey>) -> Result<Self> {
        let mut tries = Tries::of(hsm);
        let specs: Vec<Spec> = Spec::ALL.to_vec();
        let mut examination = Self {
            all,
            made: Vec::new(),
            paths: Vec::new(),
            escrow: Vec::new(),
            is_of_plan: !of_plan.is_empty(),
            kms_keys: match of_plan.is_empty() {
                true => kms::each_kind(),
                false => of_plan,
            },
        };
        for spec in &specs {
            examination.made.push(make(&mut tries, *spec, all));
        }
        for bits in SIZES {
            crate::cli::verbs::remark(&format!("trying RSA-{bits} wrapping keys, some seconds"));
            let control_key = ControlKey::generate(bits)?;
            for spec in &specs {
                let every_size = all || *spec == Spec::DEFAULT;
                if (every_size || bits == ONE_SIZE) && examination.is_made(*spec) {
                    examination.try_under(&mut tries, *spec, &control_key);
                }
            }
        }
        for spec in &specs {
            let why = match examination.is_made(*spec) {
                true => tries.escrow(*spec).err().map(|e| e.line()),
                false => continue,
            };
            examination.escrow.push(Escrow {
                spec: spec.name(),
                wrapping: if spec.needs_padding() {
                    "AES-KWP"
                } else {
                    "AES-KW"
                },
                works: why.is_none(),
                why,
            });
        }
        tries.end()?;
        Ok(examination)
    }

    fn is_made(&self, spec: Spec) -> bool {
        let mut made = self.made.iter();
        made.any(|made| made.spec == spec.name() && made.works)
    }

    fn try_under(&mut self, tries: &mut Tries, spec: Spec, control_key: &ControlKey) {
        let wrapping_key = control_key.public();
        for wrapping in WrappingAlgorithm::ALL {
            let bits = wrapping_key.bits();
            let mut keys = self.kms_keys.iter();
            if !keys.any(|key| takes(key, spec, wrapping, bits)) {
                continue;
            }
            let in_hsm = tries.in_hsm(spec, wrapping, control_key);
            let mechanism = in_hsm.as_ref().ok().filter(|_| wrapping.is_rsa_aes());
            let mechanism = mechanism.map(|way| way.name());
            let by_host = tries.by_host(spec, wrapping, wrapping_key);
            for (wrapped_in, mechanism, refused) in [
                (WrapIn::Hsm, mechanism, in_hsm.err()),
                (WrapIn::Host, None, by_host.err()),
            ] {
                self.paths.push(Path {
                    spec: spec.name(),
                    wrapping,
                    wrapped_in,
                    wrapping_key_spec: wrapping_key.spec(),
                    of: (spec, bits),
                    works: refused.is_none(),
                    mechanism,
                    why: refused.map(|e| e.line()),
                });
            }
        }
    }

    /// Whether a path can be chosen. Without a plan it must serve AWS KMS or, for a data key that never goes there, be of
    /// the algorithms that most others take.
    pub(super) fn can_be_chosen(&self, path: &Path) -> bool {
        let (spec, bits) = path.of;
        self.is_of_plan
            || match spec.is_of_aws() {
                true => {
                    let mut aws = self.kms_keys.iter().filter(|key| key.arn().is_some());
                    aws.any(|key| takes(key, spec, path.wrapping, bits))
                }
                false => path.wrapping.is_rsa_aes(),
            }
    }

    /// Without a plan: the KMSs that this HSM can serve without the bytes of a data key in this computer, by algorithm, and
    /// those that it cannot.
    pub(super) fn serves(&self) -> Vec<Served> {
        if self.is_of_plan {
            return Vec::new();
        }
        let served = |path: &&Path, key: &KmsKey| {
            path.works && takes(key, path.of.0, path.wrapping, path.of.1)
        };
        let by = |wrapping, wrap_in, but: &[&str]| {
            let ways = self
                .paths
                .iter()
                .filter(|path| (path.wrapping, path.wrapped_in) == (wrapping, wrap_in));
            let keys = self.kms_keys.iter();
            let keys = keys.filter(|key| ways.clone().any(|way| served(&way, key)));
            let kms = keys
                .map(|key| key.kms)
                .filter(|kms| !but.contains(kms))
                .collect();
            Served {
                wrapping,
                wrap_in,
                kms,
            }
        };
        let all = WrappingAlgorithm::BEST_FIRST;
        let mut served: Vec<Served> = all.map(|wrapping| by(wrapping, WrapIn::Hsm, &[])).into();
        let in_hsm: Vec<&str> = served
            .iter()
            .flat_map(|served| served.kms.clone())
            .collect();
        served.extend(all.map(|wrapping| by(wrapping, WrapIn::Host, &in_hsm)));
        served.retain(|served| !served.kms.is_empty());
        served
    }

    /// Why an escrow cannot hold data keys of this kind, if so.
    pub(crate) fn escrow_refused(&self, spec: Spec) -> Option<&str> {
        let of_spec = self.escrow.iter().find(|escrow| escrow.spec == spec.name());
        of_spec?.why.as_deref()
    }
}

fn make(tries: &mut Tries, spec: Spec, all: bool) -> Made {
    let tried = all || !matches!(spec, Spec::Rsa { bits } if bits > 2048);
    if let (Spec::Rsa { bits }, true) = (spec, tried) {
        crate::cli::verbs::remark(&format!(
            "making an RSA-{bits} data key in the HSM, some seconds"
        ));
    }
    let why = match tried {
        true => tries.key(spec).err().map(|e| e.line()),
        false => None,
    };
    Made {
        spec: spec.name(),
        tried,
        works: tried && why.is_none(),
        why,
    }
}

/// Whether the KMS of a key takes it.
fn takes(key: &KmsKey, spec: Spec, wrapping: WrappingAlgorithm, bits: usize) -> bool {
    let taken = key.takes(spec, wrapping);
    taken.and_then(|()| key.fits(spec, wrapping, bits)).is_ok()
}
