//! The comparison as a picture: one group of bars for each network and board.

use super::Row;

/// Pixels.
const WIDTH: usize = 860;
const LEFT: usize = 300;
const BAR: usize = 14;
const GAP: usize = 4;
const GROUP: usize = 14;
/// Room right of the longest bar for its number.
const NUMBER: usize = 110;

/// Bars of each row that has peers, each as long as its share of the row's largest.
pub fn svg(rows: &[Row]) -> String {
    let mut body = String::new();
    let mut y = 50;
    for row in rows.iter().filter(|row| !row.peers.is_empty()) {
        body.push_str(&format!(
            "<text x=\"10\" y=\"{}\" font-weight=\"bold\">{} · {}</text>\n",
            y + BAR - 3,
            escaped(&row.network),
            escaped(&row.processor)
        ));
        let ours = ("Sanderling", row.value, "#0b6e4f");
        let peers = row
            .peers
            .iter()
            .map(|peer| (peer.engine.as_str(), peer.value, "#9aa5b1"));
        let bars: Vec<_> = std::iter::once(ours).chain(peers).collect();
        let largest = bars
            .iter()
            .map(|bar| bar.1)
            .fold(f64::MIN_POSITIVE, f64::max);
        for (engine, value, colour) in bars {
            let room = (WIDTH - LEFT - NUMBER) as f64;
            let length = (room * value / largest).max(1.0);
            body.push_str(&format!(
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\
                 <rect x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>\
                 <text x=\"{:.1}\" y=\"{}\">{} {}</text>\n",
                LEFT - 6,
                y + BAR - 3,
                escaped(engine),
                LEFT as f64 + length + 5.0,
                y + BAR - 3,
                row.show(value),
                if row.unit == "instructions" { "" } else { row.unit }
            ));
            y += BAR + GAP;
        }
        y += GROUP;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{y}\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"24\" font-size=\"15\">One inference: instructions (emulated boards) or median \
         time (x86-64, 1 thread); shorter is better</text>\n{body}</svg>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
