//! How busy the machine is: [`Usage`], [`ResourceProbe`], [`SystemProbe`], [`ResourceGauge`].

mod cpu;
mod gauge;
mod parse;
mod system;

use std::sync::Arc;

use crate::percent::Percent;

pub use gauge::ResourceGauge;
pub use system::SystemProbe;

/// What of the machine's resources is in use, as far as it is known.
///
/// ```
/// use breaker_core::{Percent, Usage};
///
/// const USAGE: Usage = Usage::new().cpu(Percent::new(35)).memory(Percent::new(90));
/// assert_eq!(USAGE.worst(), Some(Percent::new(90)));
/// assert_eq!(Usage::new().worst(), None);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct Usage {
    /// The share of the processor time that was used since the last asking.
    pub cpu: Option<Percent>,
    /// The share of the memory that is taken and cannot be had for the asking.
    pub memory: Option<Percent>,
    /// The load average of the last minute per core, 100 % at most.
    pub load: Option<Percent>,
}

impl Usage {
    /// Nothing is known.
    pub const fn new() -> Self {
        Self { cpu: None, memory: None, load: None }
    }

    /// This share of the processor time is used.
    pub const fn cpu(mut self, share: Percent) -> Self {
        self.cpu = Some(share);
        self
    }

    /// This share of the memory is taken.
    pub const fn memory(mut self, share: Percent) -> Self {
        self.memory = Some(share);
        self
    }

    /// This is the load average of the last minute per core.
    pub const fn load(mut self, share: Percent) -> Self {
        self.load = Some(share);
        self
    }

    /// The most used of the resources; `None` where nothing is known.
    #[must_use]
    pub fn worst(self) -> Option<Percent> {
        self.cpu.max(self.memory).max(self.load)
    }
}

/// Who knows how busy the machine is.
///
/// A closure `Fn() -> Usage` does; [`SystemProbe`] asks the machine itself. A probe is asked on the
/// thread of a call, once per interval of a [`ResourceGauge`]: it must not wait for anything.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not know how busy the machine is",
    note = "hand over a `SystemProbe`, or a closure `|| Usage::new().cpu(..)` that is `Send + Sync`"
)]
pub trait ResourceProbe: Send + Sync {
    /// What is in use at present. What cannot be found out is left out.
    fn usage(&self) -> Usage;
}

impl<F: Fn() -> Usage + Send + Sync> ResourceProbe for F {
    fn usage(&self) -> Usage {
        self()
    }
}

impl<P: ResourceProbe + ?Sized> ResourceProbe for Arc<P> {
    fn usage(&self) -> Usage {
        (**self).usage()
    }
}
