//! Where most of the documents of a class lie: a convex outline.

use super::{Frame, Map};
use crate::{
    FigureError,
    canvas::{Canvas, Point},
};

/// The part of a class's documents within its outline: single strays do not stretch it over the map.
const WITHIN: f64 = 0.8;

impl Map {
    /// Draws the convex hull of the documents of each class that are nearest to its middle.
    pub(super) fn hulls(&self, canvas: &mut Canvas<'_>, frame: &Frame) -> Result<(), FigureError> {
        for (class, look) in self.classes.looks.iter().enumerate() {
            let Some(middle) = self.middle(class) else {
                continue;
            };
            let hull: Vec<Point> = convex_hull(nearest(self.own(class).collect(), middle))
                .into_iter()
                .map(|place| frame.at(place))
                .collect();
            if hull.len() < 3 {
                continue;
            }
            canvas.polygon(&hull, look.color, 0.1)?;
            let closed: Vec<Point> = hull.iter().chain(&hull[..2]).copied().collect();
            canvas.path(&closed, look.color, 0.22)?;
        }
        Ok(())
    }
}

/// The given part of some places, those nearest to a middle.
fn nearest(mut places: Vec<Point>, middle: Point) -> Vec<Point> {
    let distance = |place: &Point| {
        let (dx, dy) = (place.0 - middle.0, place.1 - middle.1);
        dx * dx + dy * dy
    };
    places.sort_by(|a, b| {
        distance(a)
            .total_cmp(&distance(b))
            .then(a.0.total_cmp(&b.0))
            .then(a.1.total_cmp(&b.1))
    });
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of a count"
    )]
    let kept = (WITHIN * crate::axis::count(places.len())).ceil() as usize;
    places.truncate(kept);
    places
}

/// The corners of the convex hull, counterclockwise (Andrew's monotone chain); fewer than three where it has no area.
fn convex_hull(mut places: Vec<Point>) -> Vec<Point> {
    places.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    places.dedup();
    if places.len() < 3 {
        return places;
    }
    let turn = |a: Point, b: Point, c: Point| (b.0 - a.0) * (c.1 - a.1) - (b.1 - a.1) * (c.0 - a.0);
    let chain = |places: &mut dyn Iterator<Item = Point>| {
        let mut chain: Vec<Point> = Vec::new();
        for place in places {
            while let [.., a, b] = chain.as_slice() {
                if turn(*a, *b, place) > 0.0 {
                    break;
                }
                chain.pop();
            }
            chain.push(place);
        }
        // The last corner is the first of the other chain.
        chain.pop();
        chain
    };
    let mut hull = chain(&mut places.iter().copied());
    hull.extend(chain(&mut places.iter().rev().copied()));
    hull
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hull_has_the_corners_alone() {
        let square = [(0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.0, 2.0)];
        let mut places = square.to_vec();
        places.extend([(1.0, 1.0), (1.0, 0.0), (0.0, 0.0)]);
        let bits = |places: &[Point]| -> Vec<[u64; 2]> {
            let bits = |place: &Point| [place.0.to_bits(), place.1.to_bits()];
            places.iter().map(bits).collect()
        };
        assert_eq!(bits(&convex_hull(places)), bits(&square));
        // On a line there is no area.
        assert!(convex_hull(vec![(0.0, 0.0), (1.0, 1.0), (2.0, 2.0)]).len() < 3);
    }

    #[test]
    fn strays_are_left_out() {
        let mut places: Vec<Point> = (0..9)
            .map(|i| (f64::from(i % 3), f64::from(i / 3)))
            .collect();
        places.push((100.0, 100.0));
        // Eight of ten: the stray and one corner go.
        let kept = nearest(places, (1.0, 1.0));
        assert_eq!(kept.len(), 8);
        assert!(kept.iter().all(|place| place.0 < 10.0));
    }
}
