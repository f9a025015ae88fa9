//! Whether an endpoint that somebody gave belongs to AWS.

/// How the names of AWS's endpoints end, in its partitions.
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

/// The service that answered.
#[derive(Clone, Copy)]
pub(super) enum Service {
    Kms,
    CloudTrail,
}

impl Service {
    /// How its endpoints begin.
    fn names(self) -> [&'static str; 2] {
        match self {
            Self::Kms => ["kms", "kms-fips"],
            Self::CloudTrail => ["cloudtrail", "cloudtrail-fips"],
        }
    }
}

/// Whether this URL is an endpoint of the service in this Region: a public one, or a VPC's. Other names below AWS's
/// domains belong to its customers.
pub(super) fn is_of_aws(url: &str, of: Service, region: &str) -> bool {
    let Some(host) = host(url) else {
        return false;
    };
    let mut names = SUFFIXES.iter().filter_map(|suffix| {
        let name = host.strip_suffix(suffix)?.strip_suffix('.')?;
        Some(name.split('.').collect::<Vec<_>>())
    });
    names.any(|name| match name[..] {
        [service, place] | [_, service, place, "vpce"] => {
            of.names().contains(&service) && place == region
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
    use super::{Service, is_of_aws};

    /// The scripts accept what is not `refused` here, and write it unchanged: `tests/online/portable_scripts.rs`.
    #[test]
    fn only_the_endpoints_of_the_service_in_the_region_of_the_key_are_aws_s() {
        for case in include_str!("endpoints.txt").lines() {
            let (kind, url) = case.split_once(' ').unwrap();
            let is_of = |service, url: &str| is_of_aws(url, service, "eu-west-1");
            assert_eq!(is_of(Service::Kms, url), kind == "aws", "{url}");
            assert!(!is_of(Service::CloudTrail, url), "{url}");
            let trail = url.to_ascii_lowercase().replace("kms", "cloudtrail");
            let has_case = url.starts_with("HTTPS");
            assert!(!is_of(Service::Kms, &trail), "{trail}");
            if !has_case {
                assert_eq!(is_of(Service::CloudTrail, &trail), kind == "aws", "{trail}");
            }
        }
        let of_china = "https://kms.cn-north-1.amazonaws.com.cn";
        assert!(is_of_aws(of_china, Service::Kms, "cn-north-1"));
        assert!(!is_of_aws("", Service::Kms, "eu-west-1"));
    }
}
