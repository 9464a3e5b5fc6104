//! The goodput of a shop over the whole run, as bars.

use ratatui::style::{Color, Style};
use ratatui::widgets::SparklineBar;

/// The height of a full bar.
pub(super) const FULL: u64 = 100;

/// The goodput at every moment so far, oldest first; 0 where nothing ended.
#[derive(Debug, Default)]
pub(super) struct Curve(Vec<f64>);

impl Curve {
    /// Takes in the goodput of a moment.
    pub(super) fn push(&mut self, goodput: Option<f64>) {
        self.0.push(goodput.unwrap_or(0.0));
    }

    /// The curve as bars that fill `progress` of the width, so that the whole run fills all of it.
    pub(super) fn bars(&self, width: u16, progress: f64) -> Vec<SparklineBar> {
        let filled = (f64::from(width) * progress.clamp(0.0, 1.0)).round() as usize;
        let bar = |column: usize| {
            let goodput = self.0[column * self.0.len() / filled];
            let height = (goodput * FULL as f64) as u64;
            SparklineBar::from(height).style(Style::new().fg(grade(Some(goodput))))
        };
        if self.0.is_empty() { Vec::new() } else { (0..filled).map(bar).collect() }
    }
}

/// The colour of a goodput.
pub(super) fn grade(goodput: Option<f64>) -> Color {
    match goodput {
        None => Color::Gray,
        Some(share) if share >= 0.95 => Color::Green,
        Some(share) if share >= 0.5 => Color::Yellow,
        Some(_) => Color::Red,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(height: u64, color: Color) -> SparklineBar {
        SparklineBar::from(height).style(Style::new().fg(color))
    }

    #[test]
    fn bars_fill_as_much_of_the_width_as_has_passed_of_the_run() {
        let mut curve = Curve::default();
        assert_eq!(curve.bars(10, 0.5), []);
        for goodput in [None, Some(0.5), Some(0.75), Some(1.0)] {
            curve.push(goodput);
        }
        let (none, most) = (bar(0, Color::Red), bar(75, Color::Yellow));
        assert_eq!(curve.bars(2, 1.0), [none, most]);
        assert_eq!(curve.bars(4, 1.0)[3], bar(100, Color::Green));
        assert_eq!(curve.bars(4, 0.5).len(), 2);
        assert_eq!(curve.bars(5, 9.0).len(), 5);
        assert_eq!(curve.bars(5, 0.0), []);
    }

    #[test]
    fn what_ended_nowhere_has_no_grade() {
        assert_eq!(grade(None), Color::Gray);
        assert_eq!(grade(Some(0.95)), Color::Green);
    }
}
