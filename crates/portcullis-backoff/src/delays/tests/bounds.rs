use proptest::prelude::*;

use super::*;

fn any_kind() -> impl Strategy<Value = DelayKind> {
    prop::sample::select(DelayKind::ALL.to_vec())
}

fn any_attempt() -> impl Strategy<Value = u32> {
    prop_oneof![1_u32..100, 1_u32..=1_000_000, Just(u32::MAX)]
}

prop_compose! {
    fn any_delays()(
        initial in 1_u64..=86_400_000_000_000,
        longer in 0_u64..=86_400_000_000_000,
        factor in 1_000_u16..=10_000,
        jitter in 0_u16..=10_000,
    ) -> Delays {
        let cap = initial.saturating_add(longer).min(86_400_000_000_000);
        let jitter = Percent::basis_points(jitter);
        let delays = Delays::new().cap(MINUTE).jitter(jitter);
        Delays {
            initial: Duration::from_nanos(initial),
            cap: Duration::from_nanos(cap),
            factor,
            ..delays
        }
    }
}

proptest! {
    // S-BACKOFF-09
    #[test]
    fn no_delay_is_above_the_cap_or_outside_of_its_jitter(
        delays in any_delays(),
        kind in any_kind(),
        attempt in any_attempt(),
        last in prop::option::of(any::<u64>()),
        usage in prop::option::of(0_u8..=100),
        interval in prop::option::of(any::<u64>()),
        seed in any::<u64>(),
    ) {
        let facts = Facts {
            last: last.map(Duration::from_nanos),
            usage: usage.map(Percent::new),
            pattern: interval.map(|nanos| Pattern { period: 2, interval: Duration::from_nanos(nanos) }),
            ..facts(attempt)
        };
        let (delay, _) = delays.draw(kind, &facts, &mut Chance::seeded(seed));
        prop_assert!(delay <= delays.cap);
        let raw = delays.capped(kind, &facts, &mut Chance::seeded(seed)).expect("nothing is wrong");
        let raw = Duration::from_nanos(raw);
        prop_assert!(raw <= delays.cap);
        if kind.is_spread() {
            prop_assert_eq!(delay, raw);
        } else {
            let share = delays.jitter.fraction();
            let slack = Duration::from_nanos(100);
            prop_assert!(delay + slack >= raw.mul_f64(1.0 - share));
            prop_assert!(delay <= raw.mul_f64(1.0 + share) + slack);
        }
        if matches!(kind, DelayKind::Decorrelated) {
            prop_assert!(delay >= delays.initial);
        }
    }

    #[test]
    fn what_grows_never_shrinks(delays in any_delays(), attempt in any_attempt()) {
        let growing = [
            DelayKind::Fixed,
            DelayKind::Linear,
            DelayKind::Exponential,
            DelayKind::Fibonacci,
            DelayKind::ResourceSensitive,
        ];
        for kind in growing {
            let at = |attempt| delays.capped(kind, &facts(attempt), &mut Chance::seeded(1));
            prop_assert!(at(attempt) <= at(attempt.saturating_add(1)), "{}", kind);
            prop_assert!(at(1) == Some(delays.initial.as_nanos() as u64), "{}", kind);
        }
    }
}
