//! How many connections each client may have.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Who is connected, by address.
#[derive(Debug, Default, Clone)]
pub(super) struct Guests(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A connection that counts for as long as the value lives.
#[derive(Debug)]
pub(super) struct Guest {
    guests: Guests,
    address: IpAddr,
}

impl Guests {
    /// Counts a connection of an address, unless that has as many as `limit` already. Of IPv6 addresses those of one
    /// network count together, as they may all be one client's.
    pub(super) fn admit(&self, address: IpAddr, limit: usize) -> Option<Guest> {
        let address = counted(address);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(address).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        drop(all);
        Some(Guest {
            guests: self.clone(),
            address,
        })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let all = self.guests.0.lock();
        let mut all = all.unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                all.remove(&self.address);
            }
        }
    }
}

/// The address that stands for all that are counted with this one.
fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_places_of_its_own() {
        let guests = Guests::default();
        let admit = |address: &str| guests.admit(address.parse().unwrap(), 2);
        let first = admit("192.0.2.1").unwrap();
        let _second = admit("::ffff:192.0.2.1").unwrap();
        assert!(admit("192.0.2.1").is_none());
        let _other = admit("192.0.2.2").unwrap();
        drop(first);
        let third = admit("192.0.2.1");
        assert!(third.is_some());
        // A network of IPv6 is one client.
        let _six = admit("2001:db8::1").unwrap();
        let _again = admit("2001:db8::2").unwrap();
        assert!(admit("2001:db8::3").is_none());
        assert!(admit("2001:db8:0:1::3").is_some());
    }

    #[test]
    fn who_has_gone_is_forgotten() {
        let guests = Guests::default();
        drop(guests.admit(IpAddr::from([192, 0, 2, 1]), 1));
        assert!(guests.0.lock().unwrap().is_empty());
    }
}
