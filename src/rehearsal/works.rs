//! What the soft HSM of a rehearsal does by itself, found out by trying; and what is practised instead of what it cannot
//! do.

use std::collections::{BTreeMap, BTreeSet};

use crate::crypto::spec::Spec;
use crate::crypto::wrapping::WrappingAlgorithm::{
    self, RsaAesKeyWrapSha1, RsaAesKeyWrapSha256, RsaesOaepSha1, RsaesOaepSha256,
};
use crate::plan::WrapIn;
use crate::plan::kms::KmsKey;

/// What was found out about each spec of a plan.
#[derive(Debug, Default)]
pub(crate) struct Works {
    wraps: BTreeSet<(Spec, WrappingAlgorithm)>,
    plays: BTreeMap<Spec, Spec>,
}

impl Works {
    /// The soft HSM wraps such a data key by itself.
    pub(crate) fn wraps(&mut self, spec: Spec, wrapping: WrappingAlgorithm) {
        self.wraps.insert((spec, wrapping));
    }

    /// The soft HSM cannot escrow the first spec; the second is practised instead.
    pub(crate) fn plays(&mut self, real: Spec, practised: Spec) {
        self.plays.insert(real, practised);
    }

    /// What is practised for a data key of this spec.
    pub(crate) fn played(&self, spec: Spec) -> Spec {
        self.plays.get(&spec).copied().unwrap_or(spec)
    }

    /// How byok wraps here what the plan wants wrapped in a certain way: as the plan says if the soft HSM can; otherwise
    /// inside it with a different hash, if the KMS takes that; otherwise in this computer.
    pub(crate) fn how(
        &self,
        spec: Spec,
        wrapping: WrappingAlgorithm,
        wrap_in: WrapIn,
        into: &KmsKey,
    ) -> (WrappingAlgorithm, WrapIn) {
        let does = |wrapping| self.wraps.contains(&(self.played(spec), wrapping));
        if wrap_in == WrapIn::Host || does(wrapping) {
            return (wrapping, wrap_in);
        }
        let other = match wrapping {
            RsaesOaepSha1 => RsaesOaepSha256,
            RsaesOaepSha256 => RsaesOaepSha1,
            RsaAesKeyWrapSha1 => RsaAesKeyWrapSha256,
            RsaAesKeyWrapSha256 => RsaAesKeyWrapSha1,
        };
        match does(other) && into.takes(self.played(spec), other).is_ok() {
            true => (other, WrapIn::Hsm),
            false => (wrapping, WrapIn::Host),
        }
    }

    /// How a data key is wrapped if the plan does not say it.
    pub(crate) fn any(&self, spec: Spec, into: &KmsKey) -> (WrappingAlgorithm, WrapIn) {
        let order = [
            RsaAesKeyWrapSha256,
            RsaAesKeyWrapSha1,
            RsaesOaepSha256,
            RsaesOaepSha1,
        ];
        let mut taken = order
            .into_iter()
            .filter(|wrapping| into.takes(spec, *wrapping).is_ok());
        let first = taken.clone().next().unwrap_or(RsaesOaepSha256);
        let inside = taken.find(|wrapping| self.wraps.contains(&(self.played(spec), *wrapping)));
        inside.map_or((first, WrapIn::Host), |wrapping| (wrapping, WrapIn::Hsm))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::kms::KeyArn;

    fn works(of: &[(Spec, WrappingAlgorithm)]) -> Works {
        let mut works = Works::default();
        of.iter()
            .for_each(|(spec, wrapping)| works.wraps(*spec, *wrapping));
        works
    }

    fn into(place: &str) -> KmsKey {
        let id = "1234abcd-12ab-34cd-56ef-1234567890ab";
        let arn = format!("arn:{place}:111122223333:key/{id}");
        KeyArn::parse(&arn).unwrap().into()
    }

    #[test]
    fn what_no_algorithm_wraps_in_the_soft_hsm_this_computer_wraps() {
        let (aes, hsm) = (Spec::DEFAULT, WrapIn::Hsm);
        let aws = into("aws:kms:eu-west-1");
        let how = |of: &[_]| works(of).how(aes, RsaesOaepSha256, hsm, &aws);
        let both = [(aes, RsaesOaepSha256), (aes, RsaesOaepSha1)];
        assert_eq!(how(&both), (RsaesOaepSha256, hsm));
        assert_eq!(how(&both[1..]), (RsaesOaepSha1, hsm));
        assert_eq!(how(&[]), (RsaesOaepSha256, WrapIn::Host));
        let host = works(&both).how(aes, RsaesOaepSha1, WrapIn::Host, &aws);
        assert_eq!(host, (RsaesOaepSha1, WrapIn::Host));
        // OCI takes no other hash
        let oci = "https://v-management.kms.r.oraclecloud.com/ocid1.compartment.oc1..a/k";
        let oci = KmsKey::parse(Some("oci"), None, Some(oci)).unwrap();
        assert_eq!(
            works(&both[1..]).how(aes, RsaesOaepSha256, hsm, &oci),
            (RsaesOaepSha256, WrapIn::Host)
        );
    }

    #[test]
    fn what_works_for_one_spec_says_nothing_of_another() {
        let secrets_only = works(&[(Spec::DEFAULT, RsaesOaepSha256)]);
        let how = |spec, wrapping| {
            secrets_only.how(spec, wrapping, WrapIn::Hsm, &into("aws:kms:eu-west-1"))
        };
        let rsa = Spec::Rsa { bits: 2048 };
        let in_china = into("aws-cn:kms:cn-north-1");
        assert_eq!(
            how(Spec::P256, RsaesOaepSha256),
            (RsaesOaepSha256, WrapIn::Host)
        );
        assert_eq!(
            how(rsa, RsaAesKeyWrapSha1),
            (RsaAesKeyWrapSha1, WrapIn::Host)
        );
        assert_eq!(
            secrets_only.any(rsa, &into("aws:kms:eu-west-1")),
            (RsaAesKeyWrapSha256, WrapIn::Host)
        );
        assert_eq!(
            secrets_only.any(Spec::DEFAULT, &in_china),
            (RsaesOaepSha256, WrapIn::Hsm)
        );
        // KMS takes no RSA_AES_KEY_WRAP in China
        assert_eq!(
            secrets_only.any(Spec::P256, &in_china),
            (RsaesOaepSha256, WrapIn::Host)
        );
    }

    #[test]
    fn what_is_practised_in_the_place_of_another_is_wrapped_as_itself() {
        let [short, long] = [28, 32].map(|bytes| Spec::Hmac {
            hash: crate::crypto::spec::HmacHash::Sha224,
            bytes,
        });
        let mut works = works(&[(long, RsaesOaepSha1)]);
        works.plays(short, long);
        assert_eq!(works.played(short), long);
        assert_eq!(works.played(Spec::P256), Spec::P256);
        assert_eq!(
            works.how(
                short,
                RsaesOaepSha256,
                WrapIn::Hsm,
                &into("aws:kms:eu-west-1")
            ),
            (RsaesOaepSha1, WrapIn::Hsm)
        );
    }
}
