//! Tables of a run as pictures: one panel for each column of numbers, over the first column.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;

use embedded_graphics::Pixel;
use embedded_graphics::geometry::{OriginDimensions, Size};
use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::ascii::FONT_7X13;
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::{DrawTarget, Drawable, Point, Primitive, RgbColor, WebColors};
use embedded_graphics::primitives::{Polyline, PrimitiveStyle, Rectangle};
use embedded_graphics::text::Text;

use crate::{Error, Result};

/// Columns that tell when, not what.
const TIMES: [&str; 2] = ["samples", "seconds"];
const PANEL: [i32; 2] = [420, 220];
/// Between a panel's border and its lines: left and right, top, bottom.
const MARGIN: [i32; 3] = [10, 34, 18];
const COLORS: [Rgb888; 6] = [
    Rgb888::CSS_ROYAL_BLUE,
    Rgb888::CSS_DARK_ORANGE,
    Rgb888::CSS_SEA_GREEN,
    Rgb888::CSS_CRIMSON,
    Rgb888::CSS_PURPLE,
    Rgb888::CSS_SADDLE_BROWN,
];

/// One column: its name, and for each set its points.
type Column = (String, BTreeMap<String, Vec<[f64; 2]>>);

/// Draws the CSV file `table` as `picture`, a PNG. Columns of text name the set that a line belongs to.
///
/// # Errors
/// When the table cannot be read or the picture not be written.
pub fn plot(table: &Path, picture: &Path) -> Result<()> {
    let failed = |source| Error::Io { path: table.to_owned(), source };
    let text = std::fs::read_to_string(table).map_err(failed)?;
    let columns = columns(&text);
    let across = columns.len().clamp(1, 3) as i32;
    let down = (columns.len() as i32 + across - 1) / across;
    let size = [across * PANEL[0], down.max(1) * PANEL[1]].map(|side| side as u32);
    let mut canvas = Canvas(image::RgbImage::from_pixel(size[0], size[1], image::Rgb([255; 3])));
    for (index, column) in columns.iter().enumerate() {
        let index = index as i32;
        let corner = Point::new(index % across * PANEL[0], index / across * PANEL[1]);
        let Ok(()) = panel(&mut canvas, corner, column);
    }
    canvas.0.save(picture).map_err(|error| Error::File { path: picture.to_owned(), reason: error.to_string() })
}

fn columns(text: &str) -> Vec<Column> {
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let Some(header) = lines.next() else { return Vec::new() };
    let rows: Vec<Vec<&str>> = lines.filter(|row| row.len() == header.len()).collect();
    let number = |text: &str| text.parse::<f64>().ok().filter(|value| value.is_finite());
    let is_text = |column: usize| rows.iter().all(|row| row[column].parse::<f64>().is_err());
    let texts: Vec<usize> = (0..header.len()).filter(|&column| is_text(column)).collect();
    (1..header.len())
        .filter(|column| !texts.contains(column) && !TIMES.contains(&header[*column]))
        .map(|column| {
            let mut sets: BTreeMap<String, Vec<[f64; 2]>> = BTreeMap::new();
            for row in &rows {
                if let (Some(x), Some(y)) = (number(row[0]), number(row[column])) {
                    let set = texts.iter().map(|&text| row[text]).collect::<Vec<_>>().join(" ");
                    sets.entry(set).or_default().push([x, y]);
                }
            }
            (header[column].to_owned(), sets)
        })
        .collect()
}

fn panel(canvas: &mut Canvas, corner: Point, (name, sets): &Column) -> std::result::Result<(), Infallible> {
    let [width, height] = PANEL;
    let outer = Rectangle::new(corner, Size::new(width as u32, height as u32));
    outer.into_styled(PrimitiveStyle::with_stroke(Rgb888::CSS_LIGHT_GRAY, 1)).draw(canvas)?;
    let write = |canvas: &mut Canvas, text: &str, x: i32, y: i32, color: Rgb888| {
        let style = MonoTextStyle::new(&FONT_7X13, color);
        Text::new(text, corner + Point::new(x, y), style).draw(canvas)
    };
    let mut low = [f64::MAX; 2];
    let mut high = [f64::MIN; 2];
    for point in sets.values().flatten() {
        for k in 0..2 {
            low[k] = low[k].min(point[k]);
            high[k] = high[k].max(point[k]);
        }
    }
    if low[0] > high[0] {
        write(canvas, name, MARGIN[0], 14, Rgb888::BLACK)?;
        return Ok(());
    }
    write(canvas, &format!("{name}: {:.4} to {:.4}", low[1], high[1]), MARGIN[0], 14, Rgb888::BLACK)?;
    write(canvas, &format!("{}", low[0]), MARGIN[0], height - 5, Rgb888::CSS_GRAY)?;
    let end = format!("{}", high[0]);
    write(canvas, &end, width - MARGIN[0] - 7 * end.len() as i32, height - 5, Rgb888::CSS_GRAY)?;
    let mut legend = MARGIN[0];
    for ((set, points), color) in sets.iter().zip(COLORS.iter().cycle()) {
        write(canvas, set, legend, 28, *color)?;
        legend += 7 * (set.len() as i32 + 2);
        let place = |point: &[f64; 2]| {
            let share = |k: usize| (point[k] - low[k]) / (high[k] - low[k]).max(1e-12);
            let x = MARGIN[0] + (share(0) * f64::from(width - 2 * MARGIN[0])).round() as i32;
            let y = height - MARGIN[2] - (share(1) * f64::from(height - MARGIN[1] - MARGIN[2])).round() as i32;
            corner + Point::new(x, y)
        };
        let points: Vec<Point> = points.iter().map(place).collect();
        Polyline::new(&points).into_styled(PrimitiveStyle::with_stroke(*color, 1)).draw(canvas)?;
    }
    Ok(())
}

/// A picture that the drawing library draws on.
struct Canvas(image::RgbImage);

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.0.width(), self.0.height())
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> std::result::Result<(), Infallible> {
        for Pixel(Point { x, y }, color) in pixels {
            let at = u32::try_from(x).ok().zip(u32::try_from(y).ok());
            if let Some(pixel) = at.and_then(|(x, y)| self.0.get_pixel_mut_checked(x, y)) {
                *pixel = image::Rgb([color.r(), color.g(), color.b()]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fall_where_the_numbers_do() {
        let folder = tempfile::tempdir().unwrap();
        let (table, picture) = (folder.path().join("a.csv"), folder.path().join("a.png"));
        std::fs::write(&table, "step,samples,set,iou\n1,8,a,0.5\n1,8,b,0.1\n2,16,a,0.9\n2,16,b,nan\n").unwrap();
        plot(&table, &picture).unwrap();
        let image = image::open(&picture).unwrap().to_rgb8();
        assert_eq!(image.dimensions(), (PANEL[0] as u32, PANEL[1] as u32));
        // The best of set a is at the upper right, in the first colour.
        let corner = image.get_pixel((PANEL[0] - MARGIN[0]) as u32, MARGIN[1] as u32);
        assert_eq!(corner.0, [COLORS[0].r(), COLORS[0].g(), COLORS[0].b()]);
        std::fs::write(&table, "").unwrap();
        plot(&table, &picture).unwrap();
        assert!(plot(&folder.path().join("none.csv"), &picture).is_err());
    }
}
