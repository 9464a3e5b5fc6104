//! Counts what does not depend on the machine: allocations, clock reads, bytes.

use allocation_counter::measure;

fn main() {
    portcullis_benches::weights::print(&[], |run| {
        let info = measure(run);
        (info.count_total, info.bytes_current)
    });
}
