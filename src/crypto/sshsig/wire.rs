//! The encodings of RFC 4251, section 5: a `string` is its length in four bytes, big-endian, and its bytes.

/// Appends a `string` (RFC 4251).
pub(crate) fn put(bytes: &mut Vec<u8>, string: &[u8]) {
    let len = u32::try_from(string.len()).unwrap_or(u32::MAX);
    bytes.extend(len.to_be_bytes());
    bytes.extend_from_slice(string);
}

/// Appends a positive `mpint` (RFC 4251): no leading zeros, except one if the first bit is set.
pub(crate) fn put_number(bytes: &mut Vec<u8>, number: &[u8]) {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let mut shortest = number[zeros..].to_vec();
    if shortest.first().is_some_and(|byte| *byte >= 0x80) {
        shortest.insert(0, 0);
    }
    put(bytes, &shortest);
}

/// Reads the encodings of RFC 4251.
pub(crate) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// A `uint32`.
    pub(crate) fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }

    /// A `string`.
    pub(crate) fn string(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number()?).ok()?;
        let (string, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(string)
    }

    /// A positive `mpint`, without leading zeros, of at most as many bytes as OpenSSH reads.
    pub(crate) fn positive(&mut self) -> Option<&'a [u8]> {
        const LONGEST: usize = 16_384 / 8 + 1; // with the zero before a first bit that is set
        let number = self.string()?;
        if number.len() > LONGEST || number.len() == LONGEST && number[0] != 0 {
            return None;
        }
        if number.first().is_some_and(|byte| *byte >= 0x80) {
            return None; // negative
        }
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        Some(&number[zeros..])
    }

    /// Whether nothing follows.
    pub(crate) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_rfc_4251_shows_them() {
        let written = |number: &[u8]| {
            let mut bytes = Vec::new();
            put_number(&mut bytes, number);
            bytes
        };
        assert_eq!(written(&[0, 0]), [0, 0, 0, 0]);
        assert_eq!(written(&[0, 0x80]), [0, 0, 0, 2, 0, 0x80]);
        assert_eq!(written(&[0, 0x12]), [0, 0, 0, 1, 0x12]);
        assert_eq!(Reader(&[0, 0, 0, 1, 0x80]).positive(), None);
    }
}
