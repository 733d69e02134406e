//! Pinhole cameras in the canonical frame, and the six-view rig.

use borsh::{BorshDeserialize, BorshSerialize};
use nalgebra::{Matrix3, Matrix4, Point3, Rotation3, Vector3};

use crate::{Error, Result};

/// Distance of the six-view cameras from the origin: a sphere of radius 0.5 just fits a 30 degree field of view.
pub const RIG_DISTANCE: f32 = 1.866_025_4;
/// Vertical field of view of the six-view cameras.
pub const RIG_FOV_Y_DEGREES: f32 = 30.0;
/// (azimuth, elevation) in degrees of the six views, relative to the input view (Zero123++ v1.2).
pub const SIX_VIEW_ANGLES: [(f32, f32); 6] =
    [(30.0, 20.0), (90.0, -10.0), (150.0, 20.0), (210.0, -10.0), (270.0, 20.0), (330.0, -10.0)];

/// A pinhole camera. OpenGL axes: x right, y up, looking along -z. Pixel `(row, column)` has its centre at
/// `(column + 0.5, row + 0.5)`, row 0 on top.
#[derive(Clone, Debug, PartialEq, BorshSerialize, BorshDeserialize)]
pub struct Camera {
    /// Image size in pixels.
    pub width: usize,
    /// Image size in pixels.
    pub height: usize,
    /// Focal lengths in pixels.
    pub focal_px: [f32; 2],
    /// Principal point in pixels.
    pub center_px: [f32; 2],
    /// Rotation from camera to world axes.
    #[borsh(serialize_with = "serialize_rotation", deserialize_with = "deserialize_rotation")]
    pub world_from_camera: Rotation3<f32>,
    /// Camera centre in world space.
    #[borsh(serialize_with = "serialize_point", deserialize_with = "deserialize_point")]
    pub position: Point3<f32>,
}

impl Camera {
    /// A square camera on a sphere around the origin, looking at it with +Y up.
    ///
    /// Azimuth 0 is in front (+Z) and grows towards +X; elevation is positive above.
    pub fn orbit(
        azimuth_degrees: f32,
        elevation_degrees: f32,
        distance: f32,
        fov_y_degrees: f32,
        size_px: usize,
    ) -> Self {
        let (azimuth, elevation) = (f64::from(azimuth_degrees).to_radians(), f64::from(elevation_degrees).to_radians());
        let back = Vector3::new(elevation.cos() * azimuth.sin(), elevation.sin(), elevation.cos() * azimuth.cos());
        let right = Vector3::new(azimuth.cos(), 0.0, -azimuth.sin());
        let up = back.cross(&right);
        let rotation = Matrix3::from_columns(&[right, up, back]).cast::<f32>();
        let focal = (size_px as f64 / 2.0 / (f64::from(fov_y_degrees).to_radians() / 2.0).tan()) as f32;
        Self {
            width: size_px,
            height: size_px,
            focal_px: [focal; 2],
            center_px: [size_px as f32 / 2.0; 2],
            world_from_camera: Rotation3::from_matrix_unchecked(rotation),
            position: Point3::from((back * f64::from(distance)).cast::<f32>()),
        }
    }

    /// Camera of the rig's distance and field of view.
    pub fn rig(azimuth_degrees: f32, elevation_degrees: f32, size_px: usize) -> Self {
        Self::orbit(azimuth_degrees, elevation_degrees, RIG_DISTANCE, RIG_FOV_Y_DEGREES, size_px)
    }

    /// The six-view rig of Zero123++ v1.2 at `size_px` square.
    pub fn six_views(size_px: usize) -> [Self; 6] {
        SIX_VIEW_ANGLES.map(|(azimuth, elevation)| Self::rig(azimuth, elevation, size_px))
    }

    /// Camera from a 4x4 camera-to-world matrix with OpenGL axes. Its rotation must be orthonormal within 1e-3.
    pub fn from_matrix(
        world_from_camera: &Matrix4<f32>,
        focal_px: [f32; 2],
        center_px: [f32; 2],
        width: usize,
        height: usize,
    ) -> Result<Self> {
        let rotation: Matrix3<f32> = world_from_camera.fixed_view::<3, 3>(0, 0).into_owned();
        let off = (rotation.transpose() * rotation - Matrix3::identity()).abs().max();
        // The negated form also catches NaN.
        if !(off < 1e-3 && rotation.determinant() > 0.0) {
            return Err(Error::invalid(format!(
                "camera matrix is not a rotation and a translation (off by {off}); give an orthonormal camera-to-world matrix"
            )));
        }
        let finite = focal_px.iter().all(|f| f.is_finite() && *f > 0.0) && center_px.iter().all(|c| c.is_finite());
        let position: Vector3<f32> = world_from_camera.fixed_view::<3, 1>(0, 3).into_owned();
        if !finite || !position.iter().all(|x| x.is_finite()) || width == 0 || height == 0 {
            return Err(Error::invalid(format!(
                "camera has focal length {focal_px:?}, centre {center_px:?}, size {width}x{height}; all must be finite, sizes positive"
            )));
        }
        Ok(Self {
            width,
            height,
            focal_px,
            center_px,
            world_from_camera: Rotation3::from_matrix(&rotation),
            position: Point3::from(position),
        })
    }

    /// The same camera over an image of another size.
    #[must_use]
    pub fn resized(&self, width: usize, height: usize) -> Self {
        let scale = [width as f32 / self.width as f32, height as f32 / self.height as f32];
        Self {
            width,
            height,
            focal_px: [self.focal_px[0] * scale[0], self.focal_px[1] * scale[1]],
            center_px: [self.center_px[0] * scale[0], self.center_px[1] * scale[1]],
            ..self.clone()
        }
    }

    /// The camera seen in the mirror x = 0; its images are the originals flipped left to right.
    #[must_use]
    pub fn mirrored_x(&self) -> Self {
        let flip = Matrix3::from_diagonal(&Vector3::new(-1.0, 1.0, 1.0));
        let rotation = flip * self.world_from_camera.matrix() * flip;
        Self {
            center_px: [self.width as f32 - self.center_px[0], self.center_px[1]],
            world_from_camera: Rotation3::from_matrix_unchecked(rotation),
            position: Point3::new(-self.position.x, self.position.y, self.position.z),
            ..self.clone()
        }
    }

    /// Camera-space position of a world point.
    pub fn to_camera(&self, point_in_world: [f32; 3]) -> [f32; 3] {
        let p = self.world_from_camera.inverse() * (Point3::from(point_in_world) - self.position);
        [p.x, p.y, p.z]
    }

    /// Pixel position and depth along the optical axis (positive in front). Depth <= 0: behind the camera.
    pub fn project(&self, point_in_world: [f32; 3]) -> ([f32; 2], f32) {
        let [x, y, z] = self.to_camera(point_in_world);
        let depth = -z;
        let pixel =
            [self.center_px[0] + self.focal_px[0] * x / depth, self.center_px[1] - self.focal_px[1] * y / depth];
        (pixel, depth)
    }

    /// World point at `depth` along the optical axis behind pixel position `(x, y)`.
    pub fn unproject(&self, x: f32, y: f32, depth: f32) -> [f32; 3] {
        let direction =
            Vector3::new((x - self.center_px[0]) / self.focal_px[0], -(y - self.center_px[1]) / self.focal_px[1], -1.0);
        let p = self.position + self.world_from_camera * (direction * depth);
        [p.x, p.y, p.z]
    }

    /// Unit direction in world space of the ray through pixel position `(x, y)`.
    pub fn ray_in_world(&self, x: f32, y: f32) -> [f32; 3] {
        let far = Point3::from(self.unproject(x, y, 1.0)) - self.position;
        let unit = far / far.norm();
        [unit.x, unit.y, unit.z]
    }

    /// World-space direction of a camera-space vector.
    pub fn vector_to_world(&self, vector_in_camera: [f32; 3]) -> [f32; 3] {
        let v = self.world_from_camera * Vector3::from(vector_in_camera);
        [v.x, v.y, v.z]
    }

    /// Camera-space direction of a world-space vector.
    pub fn vector_to_camera(&self, vector_in_world: [f32; 3]) -> [f32; 3] {
        let v = self.world_from_camera.inverse() * Vector3::from(vector_in_world);
        [v.x, v.y, v.z]
    }

    /// 4x4 camera-to-world matrix, row-major.
    pub fn matrix(&self) -> [[f32; 4]; 4] {
        let r = self.world_from_camera.matrix();
        let mut rows = [[0.0; 4]; 4];
        for i in 0..3 {
            for j in 0..3 {
                rows[i][j] = r[(i, j)];
            }
            rows[i][3] = self.position[i];
        }
        rows[3][3] = 1.0;
        rows
    }
}

fn serialize_rotation<W: borsh::io::Write>(rotation: &Rotation3<f32>, writer: &mut W) -> borsh::io::Result<()> {
    <[[f32; 3]; 3]>::from(*rotation.matrix()).serialize(writer)
}

fn deserialize_rotation<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Rotation3<f32>> {
    let columns = <[[f32; 3]; 3]>::deserialize_reader(reader)?;
    Ok(Rotation3::from_matrix_unchecked(Matrix3::from(columns)))
}

fn serialize_point<W: borsh::io::Write>(point: &Point3<f32>, writer: &mut W) -> borsh::io::Result<()> {
    [point.x, point.y, point.z].serialize(writer)
}

fn deserialize_point<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Point3<f32>> {
    Ok(Point3::from(<[f32; 3]>::deserialize_reader(reader)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_view_matches_the_published_matrix() {
        let expected = [
            [0.866_025_4, -0.171_010_07, 0.469_846_3, 0.876_745_15],
            [0.0, 0.939_692_6, 0.342_020_14, 0.638_218_3],
            [-0.5, -0.296_198_1, 0.813_797_7, 1.518_567_1],
        ];
        let camera = &Camera::six_views(320)[0];
        for (row, wanted) in camera.matrix().iter().zip(expected) {
            for (a, b) in row.iter().zip(wanted) {
                assert!((a - b).abs() < 1e-6, "{a} {b}");
            }
        }
        assert!((camera.focal_px[0] - 597.128_1).abs() < 1e-3);
    }

    #[test]
    fn projection_round_trip() {
        for camera in Camera::six_views(64) {
            let point = [0.1, -0.2, 0.3];
            let ([x, y], depth) = camera.project(point);
            let back = camera.unproject(x, y, depth);
            assert!(back.iter().zip(point).all(|(a, b)| (a - b).abs() < 1e-5));
            let mirrored = camera.mirrored_x();
            let ([mx, my], _) = mirrored.project([-point[0], point[1], point[2]]);
            assert!((mx - (64.0 - x)).abs() < 1e-3 && (my - y).abs() < 1e-3);
        }
    }

    #[test]
    fn stored_cameras_come_back() {
        let camera = Camera::six_views(64)[3].clone();
        assert_eq!(borsh::from_slice::<Camera>(&borsh::to_vec(&camera).unwrap()).unwrap(), camera);
    }

    #[test]
    fn skewed_matrices_are_refused() {
        let mut matrix = Matrix4::identity();
        matrix[(0, 1)] = 0.5;
        assert!(Camera::from_matrix(&matrix, [1.0; 2], [0.0; 2], 4, 4).is_err());
        matrix[(0, 1)] = f32::NAN;
        assert!(Camera::from_matrix(&matrix, [1.0; 2], [0.0; 2], 4, 4).is_err());
    }
}
