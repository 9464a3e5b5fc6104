//! Networks of IP addresses, written as in `10.0.0.0/8`.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;

use breaker_core::ConfigError;

/// All addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Network {
    first: IpAddr,
    bits: u8,
}

impl Network {
    /// Networks from texts, or all that is wrong with these.
    pub(crate) fn all<I>(texts: I) -> Result<Vec<Self>, InvalidNetworks>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let (mut networks, mut errors) = (Vec::new(), Vec::new());
        for (index, text) in texts.into_iter().enumerate() {
            let text = text.as_ref();
            match Self::parse(text) {
                Ok(network) => networks.push(network),
                Err(fix) => errors.push(wrong(format!("cidrs[{index}]"), format!("{text:?}"), fix)),
            }
        }
        if networks.is_empty() && errors.is_empty() {
            let fix = "name the networks that are trusted, or trust none".to_owned();
            errors.push(wrong("cidrs".to_owned(), "[]".to_owned(), fix));
        }
        if errors.is_empty() { Ok(networks) } else { Err(InvalidNetworks(errors)) }
    }

    /// Says what to do where the text is no network.
    fn parse(text: &str) -> Result<Self, String> {
        let (address, bits) = text.split_once('/').unwrap_or((text, ""));
        let Ok(given) = address.parse::<IpAddr>() else {
            return Err("write an address, a slash and the number of bits".to_owned());
        };
        let longest = width(given);
        if bits.is_empty() {
            return Err(format!("for this one address write \"{given}/{longest}\""));
        }
        let digits = bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits = bits.parse().ok().filter(|&bits| digits && bits <= longest);
        let Some(bits) = bits else {
            return Err(format!("write 0..={longest} behind the slash"));
        };
        let first = first(given, bits);
        if first != given {
            return Err(format!("bits are set behind the prefix: write \"{first}/{bits}\""));
        }
        // Addresses are compared as IPv4 where they can be.
        let canonical = first.to_canonical();
        Ok(Self { first: canonical, bits: bits - (longest - width(canonical)) })
    }

    /// Whether an address, IPv4 where it can be, is in the network.
    pub(crate) fn contains(self, address: IpAddr) -> bool {
        first(address, self.bits) == self.first
    }
}

const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The first address that has the same first bits.
fn first(address: IpAddr, bits: u8) -> IpAddr {
    let bits = u32::from(bits);
    // A shift by the whole width overflows: no bit is kept.
    match address {
        IpAddr::V4(address) => {
            let mask = 32_u32.checked_sub(bits).and_then(|shift| u32::MAX.checked_shl(shift));
            IpAddr::V4((address.to_bits() & mask.unwrap_or(0)).into())
        }
        IpAddr::V6(address) => {
            let mask = 128_u32.checked_sub(bits).and_then(|shift| u128::MAX.checked_shl(shift));
            IpAddr::V6((address.to_bits() & mask.unwrap_or(0)).into())
        }
    }
}

fn wrong(path: String, value: String, fix: String) -> ConfigError {
    let allowed = "a network such as 10.0.0.0/8 or fd00::/8".to_owned();
    ConfigError { path, value, allowed, fix }
}

/// All texts that are no network, at least one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidNetworks(Vec<ConfigError>);

impl InvalidNetworks {
    /// The problems, in the order of the texts.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a InvalidNetworks {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for InvalidNetworks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} problem(s) in the networks that are trusted", self.0.len())?;
        self.0.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}

impl Error for InvalidNetworks {}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        let address: IpAddr = address.parse().expect("an address");
        Network::parse(network).expect("a network").contains(address.to_canonical())
    }

    // S-RATE-10
    #[test]
    fn a_network_holds_the_addresses_with_its_first_bits() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("192.0.2.7/32", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.128/25", "192.0.2.128", "192.0.2.127"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "ffff::", "0.0.0.0"),
            ("fd00::/8", "fdff::1", "fe00::"),
            ("2001:db8::1/128", "2001:db8::1", "2001:db8::2"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::ffff:11.0.0.1"),
            ("::ffff:10.0.0.0/104", "10.0.0.1", "11.0.0.1"),
            ("::ffff:0.0.0.0/96", "10.0.0.1", "::1"),
        ] {
            assert!(contains(network, inside), "{network} {inside}");
            assert!(!contains(network, outside), "{network} {outside}");
        }
    }

    // S-RATE-10
    #[test]
    fn what_is_no_network_is_told_the_cure() {
        for (text, fix) in [
            ("", "write an address, a slash and the number of bits"),
            ("ten", "write an address, a slash and the number of bits"),
            ("10.0.0/8", "write an address, a slash and the number of bits"),
            ("fe80::%eth0/64", "write an address, a slash and the number of bits"),
            ("10.0.0.0", "for this one address write \"10.0.0.0/32\""),
            ("::1/", "for this one address write \"::1/128\""),
            ("10.0.0.0/33", "write 0..=32 behind the slash"),
            ("10.0.0.0/+8", "write 0..=32 behind the slash"),
            ("10.0.0.0/8/8", "write 0..=32 behind the slash"),
            ("::/129", "write 0..=128 behind the slash"),
            ("::/99999999999", "write 0..=128 behind the slash"),
            ("10.0.0.1/8", "bits are set behind the prefix: write \"10.0.0.0/8\""),
            ("1::1/0", "bits are set behind the prefix: write \"::/0\""),
        ] {
            assert_eq!(Network::parse(text), Err(fix.to_owned()), "{text}");
        }
    }
}
