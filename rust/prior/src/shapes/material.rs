//! Paint: colours in patterns that follow the parts of a shape or ignore them.

use super::dice::Dice;
use super::vector::{Vec3, dot};

/// Coats of paint that a shape may ask for.
pub const SLOTS: usize = 8;

/// Paint of a whole object.
#[derive(Clone, Debug)]
pub struct Material {
    coats: [Coat; SLOTS],
    /// A coat that ignores the parts, and how strongly it shows.
    over: Option<(Coat, f32)>,
    /// Strength of the highlight.
    pub gloss: f32,
    /// Sharpness of the highlight (Blinn's exponent).
    pub shininess: f32,
}

#[derive(Clone, Debug)]
struct Coat {
    first: Vec3,
    second: Vec3,
    pattern: Pattern,
    direction: Vec3,
    frequency: f32,
    phase: f32,
}

#[derive(Clone, Copy, Debug)]
enum Pattern {
    Plain,
    Stripes,
    Fade,
    Clouds,
    Spots,
    Checks,
    Bricks,
}

impl Material {
    /// Random paint: most often a few plain colours, sometimes patterns.
    pub fn random(dice: &mut Dice) -> Self {
        // Few base hues, so that parts belong together.
        let base: [Vec3; 3] = std::array::from_fn(|_| color(dice));
        // Unpainted models and casts are grey or white all over.
        let unpainted = dice.chance(0.1);
        let base = if unpainted { [[dice.between(0.2, 0.9); 3]; 3] } else { base };
        let one_color = unpainted || dice.chance(0.2);
        let patterned = if unpainted || dice.chance(0.5) { 0.0 } else { dice.between(0.1, 0.8) };
        let coats = std::array::from_fn(|slot| {
            let first = if one_color {
                base[0]
            } else if slot < 3 && dice.chance(0.6) {
                base[slot]
            } else {
                color(dice)
            };
            Coat::random(first, patterned, dice)
        });
        let over = (!unpainted && dice.chance(0.2)).then(|| {
            let first = color(dice);
            (Coat::random(first, 1.0, dice), dice.between(0.2, 1.0))
        });
        let gloss = if dice.chance(0.5) { 0.0 } else { dice.between(0.02, 0.6) };
        Self { coats, over, gloss, shininess: dice.log_between(4.0, 120.0) }
    }

    /// Linear albedo of coat `slot` at `p` in shape space, where the shape measures about one.
    pub fn albedo(&self, slot: u8, p: Vec3) -> Vec3 {
        let own = self.coats[slot as usize % SLOTS].color(p);
        match &self.over {
            Some((coat, share)) => super::vector::mix(own, coat.color(p), *share * coat.amount(p)),
            None => own,
        }
    }

    /// Linear albedo `own` of a painted mesh, under the coat that ignores parts.
    pub fn over(&self, own: Vec3, p: Vec3) -> Vec3 {
        match &self.over {
            Some((coat, share)) => super::vector::mix(own, coat.color(p), 0.5 * share * coat.amount(p)),
            None => own,
        }
    }
}

impl Coat {
    fn random(first: Vec3, patterned: f32, dice: &mut Dice) -> Self {
        let pattern = if dice.chance(patterned) {
            [
                Pattern::Stripes,
                Pattern::Fade,
                Pattern::Clouds,
                Pattern::Clouds,
                Pattern::Spots,
                Pattern::Checks,
                Pattern::Bricks,
            ][dice.below(7)]
        } else {
            Pattern::Plain
        };
        let direction = match dice.below(4) {
            0 => [1.0, 0.0, 0.0],
            1 => [0.0, 1.0, 0.0],
            2 => [0.0, 0.0, 1.0],
            _ => dice.direction(),
        };
        let second = if dice.chance(0.5) { color(dice) } else { first.map(|x| x * 0.35) };
        Self {
            first,
            second,
            pattern,
            direction,
            frequency: dice.log_between(2.0, 16.0),
            phase: dice.between(0.0, 100.0),
        }
    }

    fn color(&self, p: Vec3) -> Vec3 {
        super::vector::mix(self.first, self.second, self.amount(p))
    }

    /// How much of the second colour shows, 0..=1.
    fn amount(&self, p: Vec3) -> f32 {
        let along = dot(p, self.direction) * self.frequency + self.phase;
        match self.pattern {
            Pattern::Plain => 0.0,
            Pattern::Stripes => f32::from((along * 1.5).sin() > 0.2),
            Pattern::Fade => (0.5 + dot(p, self.direction)).clamp(0.0, 1.0),
            Pattern::Clouds => {
                let q = p.map(|x| x * self.frequency + self.phase);
                (0.5 + 1.2 * (0.7 * noise(q) + 0.3 * noise(q.map(|x| x * 2.3)))).clamp(0.0, 1.0)
            }
            Pattern::Spots => {
                let q = p.map(|x| x * self.frequency * 0.6 + self.phase);
                f32::from(noise(q) > 0.18)
            }
            Pattern::Checks => {
                let cell: f32 = p.iter().map(|x| (x * self.frequency * 0.7 + self.phase).floor()).sum();
                cell.rem_euclid(2.0)
            }
            Pattern::Bricks => {
                let row = p[1] * self.frequency * 1.5 + self.phase;
                let column = (p[0] + p[2]) * self.frequency * 0.7 + 0.5 * row.floor().rem_euclid(2.0);
                f32::from(row.rem_euclid(1.0) < 0.15 || column.rem_euclid(1.0) < 0.08)
            }
        }
    }
}

/// A linear colour: greys, woods, skins, greens and paints as they are met.
fn color(dice: &mut Dice) -> Vec3 {
    let (hue, saturation, value) = match dice.below(10) {
        0 | 1 => (dice.between(0.0, 1.0), dice.between(0.0, 0.08), dice.between(0.05, 1.0)),
        2 => (0.0, 0.0, dice.between(0.75, 1.0)),
        3 => (0.0, 0.0, dice.between(0.02, 0.2)),
        4 | 5 => (dice.between(0.02, 0.13), dice.between(0.3, 0.8), dice.between(0.25, 0.9)),
        6 => (dice.between(0.2, 0.42), dice.between(0.3, 0.9), dice.between(0.25, 0.9)),
        7 => (dice.between(0.5, 0.7), dice.between(0.2, 0.9), dice.between(0.3, 1.0)),
        _ => (dice.between(0.0, 1.0), dice.between(0.3, 0.9), dice.between(0.4, 1.0)),
    };
    let channel = |offset: f32| {
        let k = (offset + hue * 6.0).rem_euclid(6.0);
        value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0)
    };
    [channel(5.0), channel(3.0), channel(1.0)].map(maquette_core::color::linear_from_srgb)
}

/// Value noise about -0.5..=0.5 with features of size one.
fn noise(p: Vec3) -> f32 {
    let cell = p.map(f32::floor);
    let f: Vec3 = std::array::from_fn(|k| {
        let t = p[k] - cell[k];
        t * t * (3.0 - 2.0 * t)
    });
    let corner = |dx: i32, dy: i32, dz: i32| {
        let mut h = (cell[0] as i32 + dx).wrapping_mul(0x1f1f_1f1f)
            ^ (cell[1] as i32 + dy).wrapping_mul(0x2c1b_3c6d)
            ^ (cell[2] as i32 + dz).wrapping_mul(0x297a_2d39);
        h = (h ^ (h >> 15)).wrapping_mul(0x2545_f491);
        h ^= h >> 13;
        (h & 0xffff) as f32 / 65535.0 - 0.5
    };
    let mut value = 0.0;
    for index in 0..8 {
        let (dx, dy, dz) = (index & 1, index >> 1 & 1, index >> 2 & 1);
        let weight = |k: usize, d: i32| if d == 1 { f[k] } else { 1.0 - f[k] };
        value += weight(0, dx) * weight(1, dy) * weight(2, dz) * corner(dx, dy, dz);
    }
    value
}
