//! Goodput over the attainable by load, drawn as SVG.

use super::options::Front;
use super::report::Row;

/// The picture; a line for each front.
pub(super) fn svg(rows: &[Row]) -> String {
    let mut fronts: Vec<Front> = Vec::new();
    for row in rows.iter().filter(|row| row.steady) {
        if !fronts.contains(&row.front) {
            fronts.push(row.front);
        }
    }
    let most = rows.iter().filter(|row| row.steady).map(|row| row.load).fold(1.0, f64::max);
    let mut text = head();
    for tick in 0..=5 {
        let share = f64::from(tick) / 5.0;
        text += &format!(
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{1:.1}\" y2=\"{1:.1}\"/>\n\
             <text x=\"{2}\" y=\"{3:.1}\" text-anchor=\"end\">{share:.1}</text>\n",
            LEFT + WIDTH,
            y(share),
            LEFT - 8.0,
            y(share) + 4.0,
        );
    }
    let mut loads: Vec<f64> = rows.iter().filter(|row| row.steady).map(|row| row.load).collect();
    loads.sort_by(f64::total_cmp);
    loads.dedup();
    for load in loads {
        text += &format!(
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{load}</text>\n",
            x(load, most),
            TOP + HEIGHT + 18.0
        );
    }
    for (at, (front, colour)) in fronts.iter().zip(COLOURS.iter().cycle()).enumerate() {
        let mut points: Vec<(f64, f64)> = rows
            .iter()
            .filter(|row| row.steady && row.front == *front)
            .map(|row| (row.load, row.share()))
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        text += &series(&points, most, colour);
        text += &legend(at, front, colour);
    }
    text + "</svg>\n"
}

fn head() -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\">\n\
         <title>Answers inside their objective, as a share of what could be attained, by load</title>\n\
         <style>text {{ font: 13px sans-serif; fill: #333 }} .grid {{ stroke: #ddd }} .line {{ fill: none; \
         stroke-width: 2.5 }}</style>\n\
         <rect width=\"{0}\" height=\"{1}\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"22\">Answers inside their objective, as a share of what could be attained</text>\n\
         <text x=\"{2}\" y=\"{3}\" text-anchor=\"middle\">load, as a multiple of what the model servers can answer</text>\n",
        LEFT + WIDTH + LEGEND,
        TOP + HEIGHT + 48.0,
        LEFT + WIDTH / 2.0,
        TOP + HEIGHT + 38.0,
    )
}

fn series(points: &[(f64, f64)], most: f64, colour: &str) -> String {
    let places: Vec<(f64, f64)> = points.iter().map(|(load, share)| (x(*load, most), y(*share))).collect();
    let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let dots: String = places
        .iter()
        .map(|(x, y)| format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>\n"))
        .collect();
    format!("<polyline class=\"line\" stroke=\"{colour}\" points=\"{}\"/>\n{dots}", path.join(" "))
}

fn legend(at: usize, front: &Front, colour: &str) -> String {
    let (left, middle) = (LEFT + WIDTH + 20.0, TOP + 14.0 + 22.0 * at as f64);
    format!(
        "<line class=\"line\" stroke=\"{colour}\" x1=\"{left}\" x2=\"{}\" y1=\"{middle}\" y2=\"{middle}\"/>\n\
         <text x=\"{}\" y=\"{}\">{front}</text>\n",
        left + 22.0,
        left + 28.0,
        middle + 4.0,
    )
}

fn x(load: f64, most: f64) -> f64 {
    LEFT + load / most * (WIDTH - MARGIN)
}

fn y(share: f64) -> f64 {
    TOP + HEIGHT * (1.0 - share.min(SHARE_MAX) / SHARE_MAX)
}

const LEFT: f64 = 50.0;
const TOP: f64 = 40.0;
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 260.0;
/// Room for the names on the right.
const LEGEND: f64 = 230.0;
/// Room between the last load and the right edge.
const MARGIN: f64 = 20.0;
/// A little more than the attainable can be reached: it is that of the best fixed limit.
const SHARE_MAX: f64 = 1.1;
/// Told apart by those who see colours differently, too.
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
