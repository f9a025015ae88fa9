//! What an HSM can do, path by path, each tried with throw-away keys: for `byok doctor` and for rehearsals.
//! Preflight proves what one plan asks; this finds out what could be asked.

use std::collections::BTreeMap;

use super::preflight;
use crate::crypto::spec::Spec;
use crate::crypto::wrapping::key::WrappingKey;
use crate::crypto::wrapping::{self, ControlKey, WrappingAlgorithm};
use crate::ground::error::Result;
use crate::hsm::{Hsm, Material, Way};

/// An HSM and the throw-away keys that were made in it so far, one of each spec.
pub(crate) struct Tries<'a> {
    hsm: &'a mut Hsm,
    keys: BTreeMap<Spec, Material>,
    /// A control key under which every private key on a curve has room.
    control_key: Option<ControlKey>,
    /// The algorithms and ways that were seen to keep the length of private values on curves.
    in_full_length: Vec<(WrappingAlgorithm, Way)>,
}

impl<'a> Tries<'a> {
    /// Begins with no key.
    pub(crate) fn of(hsm: &'a mut Hsm) -> Self {
        Self {
            hsm,
            keys: BTreeMap::new(),
            control_key: None,
            in_full_length: Vec::new(),
        }
    }

    /// The throw-away key of this spec, made when it is first asked for; an RSA key takes seconds.
    ///
    /// # Errors
    /// Exit 3 if the HSM makes none with the attributes of a data key.
    pub(crate) fn key(&mut self, spec: Spec) -> Result<&Material> {
        if !self.keys.contains_key(&spec) {
            let made = self.hsm.throw_away(spec)?;
            self.keys.insert(spec, made);
        }
        Ok(&self.keys[&spec])
    }

    /// Whether the HSM wraps such a data key by itself, and how: the very controls of preflight.
    ///
    /// # Errors
    /// Exit 3 if no way proves itself.
    pub(crate) fn in_hsm(
        &mut self,
        spec: Spec,
        wrapping: WrappingAlgorithm,
        control_key: &ControlKey,
    ) -> Result<Way> {
        if spec.varies() {
            // A private key that is slow to make is not made if P-256 shows the outcome.
            self.key(Spec::P256).map_err(preflight::needs_p256)?;
            if spec != Spec::P256 {
                preflight::find_way(self.hsm, control_key, wrapping, Spec::P256, &self.keys)?;
            }
        }
        self.key(spec)?;
        let way = preflight::find_way(self.hsm, control_key, wrapping, spec, &self.keys)?;
        if let Spec::Ec(_) = spec {
            self.keeps_leading_zeros(wrapping, way)?;
        }
        Ok(way)
    }

    fn keeps_leading_zeros(&mut self, wrapping: WrappingAlgorithm, way: Way) -> Result<()> {
        if self.in_full_length.contains(&(wrapping, way)) {
            return Ok(());
        }
        let control_key = match self.control_key.take() {
            Some(made) => made,
            None => ControlKey::generate(preflight::LONG_ENOUGH)?,
        };
        let kept = preflight::keeps_leading_zeros(self.hsm, &control_key, wrapping, way);
        self.control_key = Some(control_key);
        kept?;
        self.in_full_length.push((wrapping, way));
        Ok(())
    }

    /// Whether such a data key comes out for `wrap_in = "host"`, byte for byte, and wraps in this computer.
    ///
    /// # Errors
    /// Exit 3 if it does not.
    pub(crate) fn by_host(
        &mut self,
        spec: Spec,
        wrapping: WrappingAlgorithm,
        wrapping_key: &WrappingKey,
    ) -> Result<()> {
        self.key(spec)?;
        let mut transport = self.hsm.transport()?;
        let out = self
            .hsm
            .prove_transport(&mut transport, &self.keys[&spec])
            .and_then(|()| self.hsm.take_out(&transport, &self.keys[&spec]))
            .and_then(|bytes| wrapping::wrap(wrapping, wrapping_key, &bytes).map(|_| ()));
        self.hsm.end_transport(transport)?;
        out
    }

    /// Whether an escrow key wraps such a data key and brings it back in.
    ///
    /// # Errors
    /// Exit 3 if it does not.
    pub(crate) fn escrow(&mut self, spec: Spec) -> Result<()> {
        preflight::try_escrow(self.hsm, std::iter::once(spec))
    }

    /// Destroys the throw-away keys.
    ///
    /// # Errors
    /// Exit 3 if C_DestroyObject fails; they end with the session all the same.
    pub(crate) fn end(self) -> Result<()> {
        let hsm = self.hsm;
        self.keys
            .into_values()
            .try_for_each(|material| hsm.destroy(material))
    }
}
