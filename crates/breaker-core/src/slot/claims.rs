//! Where threads note what is still to be taken in: [`Claims`].

use std::ptr;

use super::license::{License, Pending};
use super::local::Table;
use crate::planted::planted;
use crate::sync::Ordering;

/// The places in which threads note for a circuit. One thread takes no memory: of a large family
/// of circuits nearly all are used by nobody, or by one thread, at a time.
#[derive(Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) enum Claims {
    #[default]
    None,
    One(Claim),
    /// What the one thread had noted when it left.
    Left(Pending, u32),
    Many(Box<List>),
}

/// A thread's table, and how much of what it notes has been taken in.
#[derive(Clone, Copy)]
pub(super) struct Claim {
    table: &'static Table,
    folded: u32,
}

#[derive(Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct List {
    tables: Vec<Claim>,
    /// What threads had noted when they left.
    left: Vec<(Pending, u32)>,
}

impl Claims {
    /// Hands out what has been noted since the last time, kind by kind.
    pub(super) fn take(&mut self, place: usize, mut each: impl FnMut(Pending, u32)) {
        match self {
            &mut Self::Left(kind, count) => {
                *self = Self::None;
                each(kind, count);
            }
            Self::Many(list) => list.left.drain(..).for_each(|(kind, count)| each(kind, count)),
            Self::None | Self::One(_) => {}
        }
        for claim in self.tables_mut() {
            let (pending, count) = claim.fresh(place);
            if count > 0 {
                if !planted("folds-twice") {
                    claim.folded += count;
                }
                each(pending, count);
            }
        }
    }

    pub(super) fn enter(&mut self, table: &'static Table) {
        let claim = Claim { table, folded: 0 };
        match self {
            Self::None => *self = Self::One(claim),
            Self::One(_) | Self::Left(..) | Self::Many(_) => self.list().tables.push(claim),
        }
    }

    /// Has a thread begin anew with what it notes; what it has noted is kept for the next time.
    pub(super) fn restart(&mut self, place: usize, table: &'static Table, license: License) {
        let left = self.begin_anew(place, table, license);
        self.keep(left);
    }

    /// Takes its place from a thread; what it has noted is kept for the next time.
    pub(super) fn leave(&mut self, place: usize, table: &'static Table) {
        let left = self.begin_anew(place, table, License::NONE);
        match self {
            Self::One(claim) if claim.is(table) => *self = Self::None,
            Self::None | Self::One(_) | Self::Left(..) => {}
            Self::Many(list) => list.tables.retain(|claim| !claim.is(table)),
        }
        self.keep(left);
    }

    /// Hands out what a thread has noted, which begins anew.
    fn begin_anew(
        &mut self,
        place: usize,
        table: &'static Table,
        license: License,
    ) -> Option<(Pending, u32)> {
        let claim = self.tables_mut().iter_mut().find(|claim| claim.is(table))?;
        let (pending, count) = claim.fresh(place);
        claim.folded = 0;
        table.place(place).pending.store(Pending::under(license).0, Ordering::Release);
        (count > 0).then_some((pending, count))
    }

    pub(super) fn tables(&self) -> impl Iterator<Item = &'static Table> {
        let claims: &[Claim] = match self {
            Self::None | Self::Left(..) => &[],
            Self::One(claim) => std::slice::from_ref(claim),
            Self::Many(list) => &list.tables,
        };
        claims.iter().map(|claim| claim.table)
    }

    fn tables_mut(&mut self) -> &mut [Claim] {
        match self {
            Self::None | Self::Left(..) => &mut [],
            Self::One(claim) => std::slice::from_mut(claim),
            Self::Many(list) => &mut list.tables,
        }
    }

    fn keep(&mut self, noted: Option<(Pending, u32)>) {
        let Some((pending, more)) = noted else { return };
        if let Self::None = self {
            *self = Self::Left(pending, more);
            return;
        }
        let left = &mut self.list().left;
        // One that is full is left as it is: a circuit that refuses all may go untouched for long.
        let has_room = |(kind, count): &&mut (Pending, u32)| {
            kind.kind() == pending.kind() && count.checked_add(more).is_some()
        };
        match left.iter_mut().find(has_room) {
            Some((_, count)) => *count += more,
            None => left.push((pending, more)),
        }
    }

    fn list(&mut self) -> &mut List {
        match self {
            Self::None | Self::One(_) => {
                let tables = self.tables_mut().to_vec();
                *self = Self::Many(Box::new(List { tables, left: Vec::new() }));
            }
            &mut Self::Left(kind, count) => {
                let left = vec![(kind, count)];
                *self = Self::Many(Box::new(List { tables: Vec::new(), left }));
            }
            Self::Many(_) => {}
        }
        match self {
            Self::Many(list) => list,
            Self::None | Self::One(_) | Self::Left(..) => unreachable!("it was made a list"),
        }
    }
}

impl Claim {
    fn fresh(&self, place: usize) -> (Pending, u32) {
        let pending = Pending(self.table.place(place).pending.load(Ordering::Acquire));
        (pending, pending.count() - self.folded)
    }

    fn is(&self, table: &'static Table) -> bool {
        ptr::eq(self.table, table)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn more_refusals_than_a_number_holds_are_kept_until_somebody_looks() {
        let refusals = Pending::under(License::new(7, License::REFUSES));
        let mut claims = Claims::default();
        for count in [u32::MAX, 5, u32::MAX, 6] {
            claims.keep(Some((refusals, count)));
        }
        let mut all = 0;
        claims.take(0, |kind, count| {
            assert!(kind.is_refusals());
            all += u64::from(count);
        });
        assert_eq!(all, 2 * u64::from(u32::MAX) + 11);
        claims.take(0, |_, count| panic!("{count} are taken in twice"));
    }
}
