//! Which thread this is, in a number below [`SHARES`](super::Lent::SHARES).

#[cfg(not(all(test, loom)))]
mod counted {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::super::Lent;

    thread_local! {
        static HERE: Cell<Option<u8>> = const { Cell::new(None) };
    }

    #[inline]
    pub(crate) fn here() -> usize {
        match HERE.get() {
            Some(here) => usize::from(here) % Lent::SHARES,
            None => first_time(),
        }
    }

    #[cold]
    fn first_time() -> usize {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let here = NEXT.fetch_add(1, Ordering::Relaxed) as usize % Lent::SHARES;
        HERE.set(Some(here as u8));
        here
    }
}

/// Under a model checker each thread says which it is: it has to be the same one in every run.
#[cfg(all(test, loom))]
mod chosen {
    use std::cell::Cell;

    loom::thread_local! {
        static HERE: Cell<usize> = Cell::new(0);
    }

    pub(crate) fn here() -> usize {
        HERE.with(Cell::get)
    }

    pub(crate) fn be(number: usize) {
        HERE.with(|here| here.set(number));
    }
}

#[cfg(all(test, loom))]
pub(crate) use self::chosen::{be, here};
#[cfg(not(all(test, loom)))]
pub(crate) use self::counted::here;
