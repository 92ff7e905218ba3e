//! The results as a picture: text not seen before, a panel for each vocabulary and kind of text, a bar for each of the fastest.

use std::fmt::Write as _;

use crate::columns::Column;
use crate::corpus::Corpus;
use crate::report::Section;

const BARS: usize = 6;
const BAR: usize = 17;
const PANEL: usize = 300;
const LABEL: usize = 108;
const LONGEST: f64 = 140.0;
const TOP: usize = 66;

pub fn svg(sections: &[Section], corpora: &[Corpus]) -> String {
    let kinds = &corpora[..corpora.len() - 1];
    let panels: Vec<(&str, Vec<Vec<Bar>>)> = sections
        .iter()
        .map(|section| (section.name, (0..kinds.len()).map(|at| bars(section, corpora, at)).collect()))
        // A bar alone compares nothing.
        .filter(|(_, panels): &(_, Vec<Vec<Bar>>)| panels.iter().all(|bars| bars.len() > 1))
        .collect();
    let heights = panels.iter().map(|(_, row)| row.iter().map(Vec::len).max().unwrap_or(0) * BAR + 34);
    let (width, height) = (PANEL * kinds.len() + 10, TOP + heights.clone().sum::<usize>());
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="12">
<style>
text {{ fill: #424a53 }} .head {{ fill: #1f2328; font-weight: 600 }} .ours {{ fill: #0a6c4d; font-weight: 600 }}
rect {{ fill: #b6bec8 }} rect.ours {{ fill: #12a173 }} rect.back {{ fill: #ffffff }}
@media (prefers-color-scheme: dark) {{
text {{ fill: #b1bac4 }} .head {{ fill: #f0f6fc }} .ours {{ fill: #56d3a4 }}
rect {{ fill: #58606a }} rect.ours {{ fill: #2bb884 }} rect.back {{ fill: #0d1117 }}
}}
</style>
<rect class="back" width="{width}" height="{height}"/>
<text class="head" x="12" y="22" font-size="14">Encoding text not seen before, MB/s on one core (longer is faster)</text>
"#
    );
    for (at, corpus) in kinds.iter().enumerate() {
        let _ = writeln!(
            svg,
            r#"<text class="head" x="{}" y="48">{}</text>"#,
            at * PANEL + LABEL + 8,
            corpus.name
        );
    }
    let mut top = TOP;
    for ((name, row), height) in panels.iter().zip(heights) {
        let _ = writeln!(svg, r#"<text class="head" x="12" y="{}">{name}</text>"#, top + 4);
        for (at, bars) in row.iter().enumerate() {
            let most = bars.first().map_or(1.0, |bar| bar.speed);
            for (line, bar) in bars.iter().enumerate() {
                let (x, y) = (at * PANEL + LABEL, top + 12 + line * BAR);
                let (length, class) = (bar.speed / most * LONGEST, if bar.ours { "ours" } else { "" });
                let _ = writeln!(
                    svg,
                    r#"<text class="{class}" x="{x}" y="{}" text-anchor="end">{}</text><rect class="{class}" x="{}" y="{y}" width="{length:.1}" height="{}" rx="2"/><text class="{class}" x="{:.1}" y="{}">{:.0}</text>"#,
                    y + 11,
                    bar.peer,
                    x + 8,
                    BAR - 4,
                    (x + 13) as f64 + length,
                    y + 11,
                    bar.speed,
                );
            }
        }
        top += height;
    }
    svg.push_str("</svg>\n");
    svg
}

struct Bar {
    peer: &'static str,
    ours: bool,
    speed: f64,
}

/// The fastest by whichever source they are fastest with, and anytok in any case.
fn bars(section: &Section, corpora: &[Corpus], at: usize) -> Vec<Bar> {
    let mut bars: Vec<Bar> = Vec::new();
    for row in &section.rows {
        let Some(speed) = Column::Unseen(at).figure(row, corpora) else { continue };
        match bars.iter_mut().find(|bar| bar.peer == row.entry.peer) {
            Some(bar) => bar.speed = bar.speed.max(speed),
            None => bars.push(Bar { peer: row.entry.peer, ours: row.is_ours(), speed }),
        }
    }
    bars.sort_by(|a, b| b.speed.total_cmp(&a.speed));
    while bars.len() > BARS {
        let Some(last) = bars.iter().rposition(|bar| !bar.ours) else { break };
        bars.remove(last);
    }
    bars
}
