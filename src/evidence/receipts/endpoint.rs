//! Whether an endpoint that somebody gave is AWS's own.

/// What the names of AWS's endpoints end with, in its partitions.
const SUFFIXES: [&str; 9] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "api.aws",
    "api.amazonwebservices.com.cn",
    "c2s.ic.gov",
    "sc2s.sgov.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
];

/// Whether this URL is an endpoint of KMS in this Region: a public one, or that of a VPC. Other names below
/// those of AWS belong to its customers.
pub(super) fn is_of_aws(url: &str, region: &str) -> bool {
    let Some(host) = host(url) else {
        return false;
    };
    let mut names = SUFFIXES.iter().filter_map(|suffix| {
        let name = host.strip_suffix(suffix)?.strip_suffix('.')?;
        Some(name.split('.').collect::<Vec<_>>())
    });
    names.any(|name| match name[..] {
        [service, place] | [_, service, place, "vpce"] => {
            ["kms", "kms-fips"].contains(&service) && place == region
        }
        _ => false,
    })
}

/// The host of `https://HOST`, `https://HOST:443` or either with `/` at its end.
fn host(url: &str) -> Option<String> {
    let rest = url.strip_prefix("https://")?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let host = rest.strip_suffix(":443").unwrap_or(rest);
    let plain = |c: char| c.is_ascii_alphanumeric() || ['.', '-'].contains(&c);
    host.chars().all(plain).then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::is_of_aws;

    /// The scripts take what is not `refused` here, and tell it as it stands: `tests/online/portable_scripts.rs`.
    #[test]
    fn only_the_endpoints_of_kms_in_the_region_of_the_key_are_aws_s() {
        for case in include_str!("endpoints.txt").lines() {
            let (kind, url) = case.split_once(' ').unwrap();
            assert_eq!(is_of_aws(url, "eu-west-1"), kind == "aws", "{url}");
        }
        let of_china = "https://kms.cn-north-1.amazonaws.com.cn";
        assert!(is_of_aws(of_china, "cn-north-1"));
        assert!(!is_of_aws("", "eu-west-1"));
    }
}
