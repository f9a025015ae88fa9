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

    #[test]
    fn only_the_endpoints_of_kms_in_the_region_of_the_key_are_aws_s() {
        for url in [
            "https://kms.eu-west-1.amazonaws.com",
            "https://KMS.eu-west-1.amazonaws.com:443/",
            "https://kms-fips.eu-west-1.amazonaws.com",
            "https://kms.eu-west-1.api.aws",
            "https://vpce-1234-abcd.kms.eu-west-1.vpce.amazonaws.com",
        ] {
            assert!(is_of_aws(url, "eu-west-1"), "{url}");
        }
        assert!(is_of_aws(
            "https://kms.cn-north-1.amazonaws.com.cn",
            "cn-north-1"
        ));
        for url in [
            "http://kms.eu-west-1.amazonaws.com",
            "https://kms.us-east-1.amazonaws.com",
            "https://kms.eu-west-1.amazonaws.com.example",
            "https://kms.eu-west-1.amazonaws.com@localhost",
            "https://kms.eu-west-1.amazonaws.com:8443",
            "https://kms.eu-west-1.amazonaws.com/x",
            "https://xkms.eu-west-1.amazonaws.com",
            "https://kms.eu-west-1.elb.amazonaws.com",
            "https://a.b.kms.eu-west-1.vpce.amazonaws.com",
            "https://x.execute-api.eu-west-1.amazonaws.com",
            "https://kmseu-west-1amazonaws.com",
            "http://127.0.0.1:4566",
            "",
        ] {
            assert!(!is_of_aws(url, "eu-west-1"), "{url}");
        }
    }
}
