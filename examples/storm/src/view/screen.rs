//! The live screen.

use std::io;
use std::time::Duration;

use portcullis::State;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Gauge, Paragraph, Sparkline, Wrap};
use ratatui::{DefaultTerminal, Frame};

use crate::shop::SLOTS;
use crate::table::{millis, percent};
use crate::upstream::Upstream;
use crate::view::Moment;
use crate::view::curve::{Curve, FULL, grade};
use crate::world::Side;

/// A view that draws. Dropped, it gives the terminal back.
#[derive(Debug)]
pub(crate) struct Screen {
    terminal: DefaultTerminal,
    /// Bare, then protected.
    curves: [Curve; 2],
}

impl Screen {
    /// Takes the terminal.
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self { terminal: ratatui::try_init()?, curves: Default::default() })
    }

    /// Draws the moment, and reads the keys.
    pub(crate) fn show(&mut self, moment: &Moment<'_>) -> io::Result<()> {
        for (curve, shop) in self.curves.iter_mut().zip(&moment.shops) {
            curve.push(shop.beat.goodput);
        }
        self.terminal.draw(|frame| draw(frame, moment, &self.curves))?;
        while event::poll(Duration::ZERO)? {
            if stops(&event::read()?) {
                return Err(io::Error::new(io::ErrorKind::Interrupted, "stopped before the end"));
            }
        }
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn stops(event: &Event) -> bool {
    let Event::Key(key) = event else { return false };
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => true,
        KeyCode::Char('c') => key.modifiers.contains(KeyModifiers::CONTROL),
        _ => false,
    }
}

fn draw(frame: &mut Frame<'_>, moment: &Moment<'_>, curves: &[Curve; 2]) {
    let rows = [Constraint::Length(2), Constraint::Min(9), Constraint::Length(11)];
    let [head, shops, gates] = Layout::vertical(rows).areas(frame.area());
    draw_head(frame, head, moment);
    let halves = Layout::horizontal([Constraint::Fill(1); 2]).areas::<2>(shops);
    for side in Side::BOTH {
        let i = side as usize;
        draw_shop(frame, halves[i], side, moment, &curves[i]);
    }
    draw_gates(frame, gates, moment);
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, moment: &Moment<'_>) {
    let [says, time] = Layout::vertical([Constraint::Length(1); 2]).areas(area);
    let phase = moment.act.phase;
    let well = phase.fault.is_none() || moment.at >= moment.act.heal;
    let says_what = if phase.fault.is_some() && well { "all well again" } else { phase.says };
    let color = if well { Color::Green } else { Color::Red };
    let line = Line::from(vec![
        Span::from(format!(" {} ", phase.name)).bold().fg(Color::Black).bg(color),
        Span::from(format!(" {says_what}")),
        Span::from("   (q stops)").dark_gray(),
    ]);
    frame.render_widget(line, says);
    let (at, lasts) = (moment.at.as_secs_f64(), moment.lasts.as_secs_f64());
    let gauge = Gauge::default()
        .ratio(moment.progress())
        .label(format!("{at:.0} of {lasts:.0} s"))
        .gauge_style(Style::new().fg(Color::Blue));
    frame.render_widget(gauge, time);
}

fn draw_shop(frame: &mut Frame<'_>, area: Rect, side: Side, moment: &Moment<'_>, curve: &Curve) {
    let shop = &moment.shops[side as usize];
    let block = Block::bordered().title(format!(" {} ", side.as_str()).bold());
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let rows = [Constraint::Length(4), Constraint::Length(1), Constraint::Min(2)];
    let [figures, slots, history] = Layout::vertical(rows).areas(inner);

    let goodput = shop.beat.goodput;
    let color = grade(goodput);
    let calls: Vec<_> = Upstream::ALL
        .map(|upstream| format!("{upstream} {}", shop.reached[upstream.index()]))
        .to_vec();
    let lines = vec![
        Line::from(vec!["goodput       ".into(), text(goodput.map(percent)).bold().fg(color)]),
        Line::from(vec!["others        ".into(), text(shop.beat.others.map(percent))]),
        Line::from(vec!["p99           ".into(), text(shop.beat.p99.map(millis))]),
        Line::from(format!("calls         {}", calls.join("  "))),
    ];
    frame.render_widget(Paragraph::new(lines), figures);

    let full = shop.slots >= SLOTS;
    let gauge = Gauge::default()
        .ratio((shop.slots as f64 / SLOTS as f64).min(1.0))
        .label(format!("{} of {SLOTS} slots", shop.slots))
        .gauge_style(Style::new().fg(if full { Color::Red } else { Color::Cyan }));
    frame.render_widget(gauge, slots);

    let bars = curve.bars(history.width, moment.progress());
    frame.render_widget(Sparkline::default().data(bars).max(FULL), history);
}

fn draw_gates(frame: &mut Frame<'_>, area: Rect, moment: &Moment<'_>) {
    let spared: u64 = moment.lamps.iter().map(|lamp| lamp.spared).sum();
    let refused = moment.ward.as_ref().map_or(0, |ward| ward.refused);
    let title = format!(" circuits: {spared} calls spared, limits: {refused} requests refused ");
    let block = Block::bordered().title(title.bold());
    let mut lines: Vec<Line<'_>> = moment
        .lamps
        .iter()
        .map(|lamp| {
            Line::from(vec![
                Span::from("● ").fg(color(lamp.state)),
                Span::from(format!("{} {:<9} ", lamp.upstream, lamp.state.as_str())).bold(),
                Span::from(lamp.explain.as_str()),
            ])
        })
        .collect();
    lines.extend(moment.ward.as_ref().map(|ward| {
        Line::from(vec![Span::from("▮ ").fg(Color::Blue), Span::from(ward.explain.as_str())])
    }));
    lines.extend(moment.rank.as_ref().map(|rank| {
        Line::from(vec![Span::from("▶ ").fg(Color::Blue), Span::from(rank.explain.as_str())])
    }));
    lines.extend(moment.attempts.as_ref().map(|attempts| {
        Line::from(vec![Span::from("↻ ").fg(Color::Blue), Span::from(attempts.explain.as_str())])
    }));
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }).block(block), area);
}

fn text(figure: Option<String>) -> Span<'static> {
    Span::from(figure.unwrap_or_else(|| "-".to_owned()))
}

/// The colour of a lamp.
const fn color(state: State) -> Color {
    match state {
        State::Closed => Color::Green,
        State::HalfOpen => Color::Yellow,
        State::Open | State::ForcedOpen => Color::Red,
        State::ForcedClosed | State::Disabled | State::MetricsOnly => Color::Blue,
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::KeyEvent;

    use super::*;
    use crate::script::{PHASES, Script};
    use crate::view::Beat;
    use crate::view::tests::moment;

    #[test]
    fn a_small_terminal_shows_both_shops_and_all_circuits() {
        let script = Script::new(Some(&PHASES[1]), 1.0);
        let beat =
            Beat { goodput: Some(0.42), others: Some(0.61), p99: Some(Duration::from_millis(800)) };
        let moment = moment(&script, State::Open, beat);
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).expect("a terminal in memory");
        let mut curves = [Curve::default(), Curve::default()];
        curves[0].push(Some(1.0));
        terminal.draw(|frame| draw(frame, &moment, &curves)).expect("drawn in memory");
        let seen = terminal.backend().to_string();
        for text in [
            "b-hangs",
            "B takes calls",
            " bare ",
            " protected ",
            "42.0 %",
            "61.0 %",
            "800 ms",
            "64 of 64 slots",
            "A 1  B 2  C 3",
            "12 calls spared",
            "34 requests refused",
            "▮ per-client grants 20/s",
            "▶ till: 7 of 7 slots",
            "↻ depot: 9 attempts failed",
            "● B open",
            "upstream-b is open because",
        ] {
            assert!(seen.contains(text), "{text}\n{seen}");
        }
    }

    #[test]
    fn q_escape_and_control_c_stop_and_other_keys_do_not() {
        let key = |code, modifiers| stops(&Event::Key(KeyEvent::new(code, modifiers)));
        assert!(key(KeyCode::Char('q'), KeyModifiers::NONE));
        assert!(key(KeyCode::Esc, KeyModifiers::NONE));
        assert!(key(KeyCode::Char('c'), KeyModifiers::CONTROL));
        assert!(!key(KeyCode::Char('c'), KeyModifiers::NONE));
        assert!(!stops(&Event::FocusGained));
    }
}
