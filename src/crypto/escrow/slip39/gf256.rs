//! Arithmetic in GF(256) with the polynomial x^8 + x^4 + x^3 + x + 1 (FIPS 197, section 4.2), as in SLIP-0039. There
//! are no tables and no branches on values: time and memory access reveal nothing about them.

/// The product of two field elements.
pub(crate) fn multiply(a: u8, b: u8) -> u8 {
    let mut product = 0;
    let mut shifted = a;
    for bit in 0..8 {
        product ^= shifted & mask(b >> bit);
        shifted = (shifted << 1) ^ (0x1b & mask(shifted >> 7));
    }
    product
}

/// The inverse of a field element, a^254; for 0 the result is 0.
pub(crate) fn invert(a: u8) -> u8 {
    // 254 = 2 + 4 + 8 + 16 + 32 + 64 + 128
    let mut power = a;
    let mut result = 1;
    for _ in 0..7 {
        power = multiply(power, power);
        result = multiply(result, power);
    }
    result
}

/// 0xff if the lowest bit is set, otherwise 0.
fn mask(bit: u8) -> u8 {
    (bit & 1).wrapping_neg()
}

/// The value at `x` of the polynomial through the points, byte by byte, into `out`. The x coordinates are share
/// indices, which are not secret; they must differ.
pub fn interpolate(points: &[(u8, &[u8])], x: u8, out: &mut [u8]) {
    out.fill(0);
    for (at, (xi, yi)) in points.iter().enumerate() {
        let others = points.iter().enumerate().filter(|(other, _)| *other != at);
        let factor = others.fold(1, |factor, (_, (xj, _))| {
            multiply(factor, multiply(x ^ xj, invert(xi ^ xj)))
        });
        for (out, y) in out.iter_mut().zip(*yi) {
            *out ^= multiply(factor, *y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_those_of_fips_197() {
        assert_eq!(multiply(0x57, 0x83), 0xc1); // section 4.2
        assert_eq!(multiply(0x57, 0x13), 0xfe); // section 4.2.1
    }

    #[test]
    fn every_element_but_zero_has_its_inverse() {
        assert_eq!(invert(0), 0);
        for a in 1..=255 {
            assert_eq!(multiply(a, invert(a)), 1, "{a}");
        }
    }

    #[test]
    fn a_polynomial_passes_through_its_points() {
        let (p, q, r) = ([7, 9], [200, 1], [0, 255]);
        let points: Vec<(u8, &[u8])> = vec![(0, &p), (1, &q), (255, &r)];
        let mut out = [0; 2];
        for (x, y) in &points {
            interpolate(&points, *x, &mut out);
            assert_eq!(&out, y);
        }
        // a fourth point on it leads back to the first
        interpolate(&points, 9, &mut out);
        let fourth = out;
        let again: Vec<(u8, &[u8])> = vec![(9, &fourth), (1, &q), (255, &r)];
        interpolate(&again, 0, &mut out);
        assert_eq!(out, p);
    }
}
