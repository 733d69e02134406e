//! Shapes without end: random geometry and procedural families of things that make one think of real ones.
//!
//! A family draws a [`Shape`] of parts about one unit in size, +Y up, its front towards +Z. Everything is a pure function
//! of the dice.

mod buildings;
mod creatures;
mod cube;
mod dice;
mod furniture;
mod material;
mod outlines;
mod plants;
mod primitives;
mod random_geometry;
mod shape;
mod solids;
mod tools;
mod turned;
pub mod vector;
mod vehicles;

pub use cube::SdfCube;
pub use dice::Dice;
pub use material::{Material, SLOTS};
pub use primitives::{Outline, Primitive};
pub use random_geometry::random_geometry;
pub use shape::{Content, Decal, Part, Ripples, Shape, Solid, slope, surface_points};
pub use vector::{Mat3, Vec3, apply, times, transposed, turn};

/// A kind of thing.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// What it is called.
    pub name: &'static str,
    /// How often it is drawn, relative to the others.
    pub weight: f32,
    /// Draws one.
    pub make: fn(&mut Dice) -> Shape,
}

const fn family(name: &'static str, weight: f32, make: fn(&mut Dice) -> Shape) -> Family {
    Family { name, weight, make }
}

/// All families.
pub const FAMILIES: &[Family] = &[
    family("blobs", 1.2, solids::blobs),
    family("superquadrics", 0.9, solids::superquadrics),
    family("rock", 0.5, solids::rock),
    family("block", 1.0, solids::block),
    family("quadruped", 1.8, creatures::quadruped),
    family("biped", 1.6, creatures::biped),
    family("many-legged", 0.7, creatures::many_legged),
    family("bird", 0.8, creatures::bird),
    family("fish", 0.6, creatures::fish),
    family("snake", 0.3, creatures::snake),
    family("lathed", 1.2, turned::lathed),
    family("vessel", 1.0, turned::vessel),
    family("ring", 0.5, turned::ring),
    family("stack", 0.5, turned::stack),
    family("extruded", 0.8, outlines::extruded),
    family("cushion", 0.6, outlines::cushion),
    family("arch", 0.4, outlines::arch),
    family("table", 0.8, furniture::table),
    family("chair", 1.0, furniture::chair),
    family("sofa", 0.5, furniture::sofa),
    family("shelf", 0.5, furniture::shelf),
    family("cabinet", 0.8, furniture::cabinet),
    family("bed", 0.4, furniture::bed),
    family("lamp", 0.6, furniture::lamp),
    family("car", 1.4, vehicles::car),
    family("cart", 0.5, vehicles::cart),
    family("boat", 0.5, vehicles::boat),
    family("aircraft", 0.7, vehicles::aircraft),
    family("house", 0.9, buildings::house),
    family("tower", 0.7, buildings::tower),
    family("wall", 0.4, buildings::wall),
    family("stairs", 0.3, buildings::stairs),
    family("tree", 0.9, plants::tree),
    family("leaves", 0.5, plants::leaves),
    family("mushroom", 0.4, plants::mushroom),
    family("fruit", 0.6, plants::fruit),
    family("cactus", 0.3, plants::cactus),
    family("blade", 0.6, tools::blade),
    family("hammer", 0.6, tools::hammer),
    family("gun", 0.6, tools::gun),
    family("screen", 0.6, tools::screen),
    family("wires", 0.4, tools::wires),
    family("books", 0.3, tools::books),
];
