//! Counts what does not depend on the machine, for ours and for the others.

use allocation_counter::measure;

fn main() {
    portcullis_benches::weights::print(&portcullis_peers::peers(), |run| {
        let info = measure(run);
        (info.count_total, info.bytes_current)
    });
}
