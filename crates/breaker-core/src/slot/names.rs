//! Names that can be read without a lock.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

use crate::name::Name;

/// The names of circuits, each kept once and for ever. There is room for so many; a circuit whose
/// name came too late takes its lock to tell it.
const ROOM: usize = 1_024;

static NAMES: [OnceLock<Name>; ROOM] = [const { OnceLock::new() }; ROOM];
static NUMBERS: LazyLock<Mutex<HashMap<Name, u32>>> = LazyLock::new(Mutex::default);

/// The number of a name; `None` where there is no room for it.
pub(super) fn number_of(name: &Name) -> Option<u32> {
    let mut numbers = NUMBERS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(&number) = numbers.get(name) {
        return Some(number);
    }
    let number = numbers.len();
    let place = NAMES.get(number)?;
    let _ = place.set(*name);
    numbers.insert(*name, number as u32);
    Some(number as u32)
}

/// The name of a number.
pub(super) fn name_of(number: u32) -> Option<&'static Name> {
    NAMES.get(number as usize)?.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number() {
        let (ledger, stock) = (Name::new("ledger of the test"), Name::new("stock of the test"));
        let number = number_of(&ledger).expect("there is room");
        assert_ne!(number_of(&stock), Some(number));
        assert_eq!(number_of(&ledger), Some(number));
        assert_eq!(name_of(number), Some(&ledger));
    }
}
